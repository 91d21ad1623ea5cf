// SPDX-License-Identifier: MIT
#include <fedagg/passes/windows.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::order_window;
namespace impl = fedagg::impl;

namespace {

template <class T>
std::vector<T> run(const matrix<T>& x, order_window w, std::size_t begin, std::size_t end, unsigned* seen = nullptr, bool odd = false) {
  std::vector<const T*> rows;
  for (std::size_t i = 0; i < x.n; ++i) rows.push_back(x.row(i).data());
  std::vector<T> out(x.d, T(77));
  const impl::window_pass pass(x.n, w);
  std::vector<std::byte> scratch(pass.scratch_bytes() + 64);
  auto* aligned = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
  const auto once = [&](bool past_cache) {
    return impl::on_active_isa([&](auto tag) {
      return pass.template run<decltype(tag), T>(rows.data(), nullptr, begin, end, out.data(), impl::tile_mode{odd, past_cache}, aligned);
    });
  };
  const unsigned flags = once(false);
  const auto first = out;
  // Streaming past the cache changes nothing.
  CHECK(once(true) == flags);
  CHECK((flags != 0 || same_bits(first, out)));
  if (seen) *seen = flags;
  return first;
}

template <class T>
void check(kind k, std::size_t n, order_window w, std::size_t d, std::size_t begin, std::size_t end) {
  const auto x = sample<T>(k, n, d, 6);
  unsigned seen = 0;
  const auto got = run(x, w, begin, end, &seen);
  std::size_t wrong = seen != 0;
  for (std::size_t j = 0; j < d; ++j) {
    if (j < begin || j >= end) {
      wrong += bits_of(got[j]) != bits_of(T(77));
      continue;
    }
    const reference r = window_mean(x.column(j), w.first, w.last);
    wrong += !rounds_to<T>(got[j], r.exact, r.error);
    // Zeros are positive, whatever the order in which zeros came.
    wrong += got[j] == 0 && bits_of(got[j]) != 0;
  }
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " window [" << w.first << ", " << w.last << ") coordinates [" << begin << ", " << end << ") of " << d);
  CHECK(wrong == 0);
}

template <class T>
void check_windows() {
  // Every window of every small cohort, each single rank included.
  for (std::size_t n = 1; n <= 12; ++n)
    for (std::size_t first = 0; first < n; ++first)
      for (std::size_t last = first + 1; last <= n; ++last) check<T>(kind::normal, n, {first, last}, 9, 0, 9);
  for (std::size_t n = 13; n <= 70; ++n) {
    check<T>(kind::mixed, n, {n / 2, n / 2 + 1}, 17, 0, 17);
    check<T>(kind::normal, n, {n / 4, n - n / 4}, 17, 0, 17);
    check<T>(kind::ties, n, {0, 1}, 5, 0, 5);
    check<T>(kind::normal, n, {n - 1, n}, 5, 0, 5);
  }
  for (std::size_t d = 1; d <= 70; ++d) check<T>(kind::normal, 5, {1, 4}, d, 0, d);
  for (const std::size_t begin : {1u, 3u, 16u, 31u}) check<T>(kind::normal, 10, {2, 8}, 100, begin, 100 - begin / 2);
  // Around every number of sorted blocks, with the window's ends at theirs and inside.
  for (const std::size_t n : {64u, 65u, 95u, 96u, 97u, 127u, 128u, 129u, 160u, 200u, 225u, 255u, 256u, 257u, 1000u})
    for (const order_window w : {order_window{n / 3, n - n / 3}, {n / 4, n - n / 4}, {0, n}, {n / 2, n / 2 + 1},
                                 {31, 33}, {32, 64}, {0, 1}, {n - 1, n}, {n - 3, n - 1}})
      check<T>(kind::normal, n, w, 35, 1, 34);
}

/// Whether the few values were found without sorting everything.
template <class T>
bool placed(const matrix<T>& x, order_window w) {
  std::vector<const T*> rows;
  for (std::size_t i = 0; i < x.n; ++i) rows.push_back(x.row(i).data());
  return impl::on_active_isa([&](auto tag) {
    using kernel = impl::middle_kernel<decltype(tag)>;
    using sorter = impl::sort_kernel<decltype(tag)>;
    using column = typename sorter::template column<T>;
    std::vector<std::byte> scratch(kernel::room(x.n) * sizeof(column) + 64);
    auto* aligned = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
    column low, high;
    return kernel::template place<T>(rows.data(), x.n, 0, sorter::template largest<T>,
                                     reinterpret_cast<column*>(aligned), w, low, high);
  });
}

template <class T>
void check_narrow_windows() {
  for (const std::size_t n : {257u, 1000u, 2049u})
    for (const order_window w : {order_window{(n - 1) / 2, n / 2 + 1}, {0, 1}, {n - 1, n}, {n / 4, n / 4 + n / 128}}) {
      for (const kind k : all_kinds)
        if (n < 2000 || k == kind::mixed) check<T>(k, n, w, 9, 0, 9);
      CHECK(placed(sample<T>(kind::normal, n, 64, 6), w));
      // Whole runs above the others: few of what their middles leave out are the column's ends.
      auto x = sample<T>(kind::normal, n, 64, 7);
      const std::size_t blocks = impl::middle_kernel<impl::on_baseline>::room(n) / impl::register_rows;
      for (std::size_t i = 0; i < n; ++i)
        if (i % blocks >= blocks / 2)
          for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = x.at(i, j) * x.at(i, j) + T(1e30);
      if (w.first == (n - 1) / 2) CHECK_FALSE(placed(x, w));
      const auto got = run(x, w, 0, x.d);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < x.d; ++j) {
        const reference r = window_mean(x.column(j), w.first, w.last);
        wrong += !rounds_to<T>(got[j], r.exact, r.error);
      }
      INFO(format<T>::name << " n=" << n << " window [" << w.first << ", " << w.last << ")");
      CHECK(wrong == 0);
    }
}

} // namespace

TEST_CASE("the mean of any window of the sorted column") {
  SECTION("f32") { check_windows<float>(); }
  SECTION("f64") { check_windows<double>(); }
}

TEST_CASE("a narrow window of a long column, whatever the order of its values") {
  SECTION("f32") { check_narrow_windows<float>(); }
  SECTION("f64") { check_narrow_windows<double>(); }
}

TEST_CASE("a quotient of doubles is rounded once") {
  // Three equal integers: their mean is the integer, which sum * (1 / n) misses for some n.
  for (const std::size_t n : {3u, 7u, 11u, 13u, 29u, 49u}) {
    matrix<double> x(n, 200);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = static_cast<double>(j + 1);
    const auto got = run(x, {0, n}, 0, x.d);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < x.d; ++j) wrong += got[j] != static_cast<double>(j + 1);
    INFO("n=" << n);
    CHECK(wrong == 0);
  }
}

TEST_CASE("results to be narrowed are exact or odd") {
  const auto x = sample<float>(kind::normal, 6, 200, 2);
  const auto got = run(x, {1, 5}, 0, x.d, nullptr, true);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const reference r = window_mean(x.column(j), 1, 5);
    const quad off = magnitude(quad(static_cast<double>(got[j])) - r.exact);
    wrong += off != 0 && !(bits_of(got[j]) & 1u);
    wrong += off > 2 * half_ulp<float>(r.exact) + r.error;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a NaN or Inf in any row and place is told, values at the ends of the range are not") {
  for (const std::size_t n : {1u, 3u, 4u, 19u, 24u, 25u, 40u, 65u, 100u, 200u, 300u})
    for (const std::size_t d : {1u, 8u, 21u})
      for (std::size_t at = 0; at < d; at += 5) {
        matrix<float> x(n, d);
        for (auto& v : x.data) v = std::numeric_limits<float>::max();
        for (std::size_t i = 0; i < n; i += 2) x.at(i, at) = std::numeric_limits<float>::lowest();
        unsigned seen = 7;
        run(x, {(n - 1) / 2, n / 2 + 1}, 0, d, &seen);
        INFO("n=" << n << " d=" << d << " at " << at);
        CHECK(seen == 0);
        for (const std::uint32_t bad : {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xff800001u}) {
          const float kept = x.at(n / 2, at);
          x.at(n / 2, at) = std::bit_cast<float>(bad);
          run(x, {(n - 1) / 2, n / 2 + 1}, 0, d, &seen);
          CHECK(seen == impl::saw_non_finite);
          x.at(n / 2, at) = kept;
        }
      }
}
