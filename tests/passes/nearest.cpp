// SPDX-License-Identifier: MIT
#include <fedagg/passes/nearest.hpp>

#include "support/nearest.hpp"

using namespace numeric;
using fedagg::nearest_values;
namespace impl = fedagg::impl;

namespace {

template <class T>
std::vector<T> run(const matrix<T>& x, const nearest_values& v, std::size_t begin, std::size_t end, unsigned* seen = nullptr, bool odd = false) {
  std::vector<const T*> rows;
  for (std::size_t i = 0; i < x.n; ++i) rows.push_back(x.row(i).data());
  std::vector<T> out(x.d, T(77));
  const impl::nearest_pass pass(x.n, v);
  std::vector<std::byte> scratch(pass.scratch_bytes() + 64);
  auto* aligned = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
  const auto once = [&](T* to, bool past_cache) {
    return impl::on_active_isa([&](auto tag) {
      return pass.template run<decltype(tag), T>(rows.data(), nullptr, begin, end, to, impl::tile_mode{odd, past_cache}, aligned);
    });
  };
  const unsigned flags = once(out.data(), false);
  const auto first = out;
  // Streaming past the cache changes nothing, and looking sees the same.
  CHECK(once(out.data(), true) == flags);
  CHECK((flags != 0 || same_bits(first, out)));
  CHECK(once(nullptr, false) == flags);
  if (seen) *seen = flags;
  return first;
}

template <class T>
void check(kind k, std::size_t n, const nearest_values& v, std::size_t d, std::size_t begin, std::size_t end) {
  const auto x = sample<T>(k, n, d, 6);
  unsigned seen = 0;
  const auto got = run(x, v, begin, end, &seen);
  std::size_t wrong = seen != 0;
  for (std::size_t j = 0; j < d; ++j) {
    if (j < begin || j >= end) {
      wrong += bits_of(got[j]) != bits_of(T(77));
      continue;
    }
    wrong += !is_nearest_mean(got[j], x.column(j), v);
    // Zeros are positive, whatever the order in which zeros came.
    wrong += got[j] == 0 && bits_of(got[j]) != 0;
  }
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " dropped " << v.dropped << " centre [" << v.centre.first << ", " << v.centre.last << ") coordinates [" << begin << ", " << end << ") of " << d);
  CHECK(wrong == 0);
}

nearest_values around_median(std::size_t n, std::size_t dropped) { return {{(n - 1) / 2, n / 2 + 1}, dropped}; }

template <class T>
void check_all() {
  // Every number of dropped values, beyond half of them too, around every window of small columns.
  for (std::size_t n = 1; n <= 9; ++n)
    for (std::size_t dropped = 0; dropped < n; ++dropped)
      for (std::size_t first = 0; first < n; ++first)
        for (std::size_t last = first + 1; last <= n; ++last) check<T>(kind::normal, n, {{first, last}, dropped}, 9, 0, 9);
  for (std::size_t n = 10; n <= 70; ++n) {
    check<T>(kind::mixed, n, around_median(n, n / 3), 17, 0, 17);
    check<T>(kind::normal, n, around_median(n, n - 1), 17, 0, 17);
    check<T>(kind::ties, n, {{n / 4, n - n / 4}, n / 4}, 17, 0, 17);
  }
  for (const kind k : all_kinds)
    for (const std::size_t n : {3u, 10u, 20u, 35u, 65u}) check<T>(k, n, {{n / 4, n - n / 4}, n / 3}, 21, 0, 21);
  for (std::size_t d = 1; d <= 70; ++d) check<T>(kind::normal, 5, around_median(5, 2), d, 0, d);
  for (const std::size_t begin : {1u, 3u, 16u, 31u}) check<T>(kind::normal, 10, around_median(10, 4), 100, begin, 100 - begin / 2);
  for (const std::size_t n : {128u, 129u, 257u, 1000u}) check<T>(kind::normal, n, around_median(n, n / 3), 35, 1, 34);
}

} // namespace

TEST_CASE("the mean of the values nearest a centre") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
}

TEST_CASE("small integers: exactly the values that the definition takes, the lower one where two are as near") {
  std::size_t ties = 0;
  for (const std::size_t n : {2u, 3u, 4u, 5u, 8u, 9u, 16u, 20u, 24u, 33u, 64u})
    for (const std::size_t dropped : {std::size_t{1}, n / 4, n / 2, n - 1}) {
      // 64, so that every mean of the chosen values is told from every other.
      matrix<float> x(n, 64);
      std::mt19937_64 random(n);
      for (auto& e : x.data) e = static_cast<float>(static_cast<std::int64_t>(random() % 41) - 20);
      // Powers of two of values in the centre keep it exact.
      const std::size_t half = n / 2;
      for (const fedagg::order_window w : {fedagg::order_window{half, half + 1}, fedagg::order_window{half - 1, half + 1}, fedagg::order_window{0, 2}}) {
        const nearest_values v{w, dropped};
        const auto got = run(x, v, 0, x.d);
        std::string wrong;
        for (std::size_t j = 0; j < x.d; ++j) {
          const auto chosen = nearest_by_distance(x.column(j), v);
          const reference r = window_mean(chosen, 0, chosen.size());
          if (!rounds_to<float>(got[j], r.exact, r.error)) wrong = "coordinate " + std::to_string(j) + ": " + text(value(got[j])) + " for " + text(static_cast<double>(r.exact));
          auto sorted = x.column(j);
          std::sort(sorted.begin(), sorted.end());
          for (std::size_t i = 0; i < dropped; ++i) ties += sorted[i] < sorted[i + n - dropped] && quad(sorted[i] + sorted[i + n - dropped]) == twice_centre(sorted, w);
        }
        INFO("n=" << n << " dropped " << dropped << " centre [" << w.first << ", " << w.last << ")");
        CHECK(wrong == "");
      }
    }
  CHECK(ties > 1000);
}

TEST_CASE("values up to the largest double have a centre and a mean") {
  constexpr double most = std::numeric_limits<double>::max();
  for (const std::size_t n : {1u, 2u, 3u, 7u, 8u, 20u, 24u, 40u, 65u}) {
    matrix<double> x(n, 40);
    std::mt19937_64 random(n);
    for (std::size_t j = 0; j < x.d; ++j)
      for (std::size_t i = 0; i < n; ++i) {
        // Whole columns of huge values, huge ones among small ones, and small ones alone.
        const double u = uniform(random);
        x.at(i, j) = j % 4 == 0 ? u * most : j % 4 == 1 ? most * (u < 0 ? -1 : 1) : j % 4 == 2 ? (i % 3 == 1 ? u * most : u) : u * 0x1p-1040;
      }
    for (const std::size_t dropped : {std::size_t{0}, n / 4, (n - 1) / 2})
      for (const nearest_values& v : {around_median(n, dropped), nearest_values{{dropped, n - dropped}, dropped}}) {
        unsigned seen = 7;
        const auto got = run(x, v, 0, x.d, &seen);
        CHECK(seen == 0);
        std::string wrong;
        for (std::size_t j = 0; j < x.d; ++j)
          if (!is_nearest_mean(got[j], x.column(j), v)) wrong = "coordinate " + std::to_string(j) + ": " + text(got[j]);
        INFO("n=" << n << " dropped " << dropped);
        CHECK(wrong == "");
      }
  }
}

TEST_CASE("a huge value does not change what its neighbours in the tile get") {
  for (const std::size_t n : {5u, 20u, 40u}) {
    auto x = sample<double>(kind::denormal, n, 33, 3);
    const nearest_values v = around_median(n, 2);
    const auto before = run(x, v, 0, x.d);
    x.at(1, 16) = 1.7e308;
    auto after = run(x, v, 0, x.d);
    after[16] = before[16];
    CHECK(same_bits(before, after));
  }
}

TEST_CASE("results to be narrowed are exact or odd") {
  const auto x = sample<float>(kind::normal, 7, 200, 2);
  const nearest_values v = around_median(7, 2);
  const auto got = run(x, v, 0, x.d, nullptr, true);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const auto chosen = nearest_by_distance(x.column(j), v);
    const reference r = window_mean(chosen, 0, chosen.size());
    const quad off = magnitude(quad(static_cast<double>(got[j])) - r.exact);
    wrong += off != 0 && !(bits_of(got[j]) & 1u);
    wrong += off > 2 * half_ulp<float>(r.exact) + r.error;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a NaN or Inf in any row and place is told, values at the ends of the range are not") {
  for (const std::size_t n : {1u, 3u, 4u, 19u, 24u, 25u, 40u})
    for (const std::size_t d : {1u, 8u, 21u})
      for (std::size_t at = 0; at < d; at += 5) {
        matrix<float> x(n, d);
        for (auto& e : x.data) e = std::numeric_limits<float>::max();
        for (std::size_t i = 0; i < n; i += 2) x.at(i, at) = std::numeric_limits<float>::lowest();
        const nearest_values v = around_median(n, (n - 1) / 2);
        unsigned seen = 7;
        run(x, v, 0, d, &seen);
        INFO("n=" << n << " d=" << d << " at " << at);
        CHECK(seen == 0);
        for (const std::uint32_t bad : {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xff800001u}) {
          const float kept = x.at(n / 2, at);
          x.at(n / 2, at) = std::bit_cast<float>(bad);
          run(x, v, 0, d, &seen);
          CHECK(seen == impl::saw_non_finite);
          x.at(n / 2, at) = kept;
        }
      }
}
