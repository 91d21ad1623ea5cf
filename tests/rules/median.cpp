// SPDX-License-Identifier: MIT
#include <fedagg/rules/median.hpp>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::median;
using fedagg::middle;

namespace {

constexpr median midpoint{};
constexpr median lower{.even = middle::lower};
constexpr median trusted_midpoint{.even = middle::midpoint, .weighting = fedagg::weights::trusted};
constexpr median trusted_lower{.even = middle::lower, .weighting = fedagg::weights::trusted};

template <class T>
void check_against_sorted(kind k, std::size_t n, std::size_t d) {
  const auto x = sample<T>(k, n, d, 2);
  const auto mid = aggregated(midpoint, x), low = aggregated(lower, x);
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " d=" << d);
  REQUIRE(mid.size() == d);
  REQUIRE(low.size() == d);
  std::string wrong;
  for (std::size_t j = 0; j < d && wrong.empty(); ++j) {
    auto column = x.column(j);
    std::sort(column.begin(), column.end());
    const double a = column[(n - 1) / 2], b = column[n / 2];
    // The lower one is selected, so it is exact; zeros come out positive.
    const bool right_low = value(low[j]) == a && (a != 0 || bits_of(low[j]) == 0);
    // One rounding of the sum in double (inexact only if the exponents lie far apart), one to T.
    const quad exact = divide(add(a, b), 2);
    const bool right_mid = n % 2 == 1 ? value(mid[j]) == a : rounds_to<T>(mid[j], exact, std::is_same_v<T, double> ? quad(0) : magnitude(exact) * unit);
    if (!right_low || !right_mid)
      wrong = "coordinate " + std::to_string(j) + ": " + text(value(mid[j])) + ", " + text(value(low[j])) + " for " + text(a) + " and " + text(b);
  }
  CHECK(wrong == "");
}

template <class T>
void check_all_sizes() {
  for (std::size_t n = 1; n <= 40; ++n)
    for (const kind k : {kind::normal, kind::mixed, kind::ties}) check_against_sorted<T>(k, n, 21);
  for (std::size_t d = 1; d <= 70; ++d) check_against_sorted<T>(kind::normal, 6, d);
  for (const std::size_t n : {50u, 63u, 64u, 65u, 100u, 128u, 200u, 257u, 1000u}) check_against_sorted<T>(kind::normal, n, 33);
  for (const kind k : all_kinds)
    for (const std::size_t n : {2u, 9u, 20u, 33u}) check_against_sorted<T>(k, n, 35);
}

/// Each client as often as its weight says.
template <class T>
matrix<T> replicated(const matrix<T>& x, const std::vector<double>& w) {
  std::size_t total = 0;
  for (const double v : w) total += static_cast<std::size_t>(v);
  matrix<T> r(total, x.d);
  std::size_t at = 0;
  for (std::size_t i = 0; i < x.n; ++i)
    for (std::size_t k = 0; k < static_cast<std::size_t>(w[i]); ++k, ++at)
      for (std::size_t j = 0; j < x.d; ++j) r.at(at, j) = x.at(i, j);
  return r;
}

template <class T>
void check_weighted(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed + n);
  std::vector<double> w(n);
  // Small weights and zeros: exactly half of the weight is reached often.
  for (auto& v : w) v = static_cast<double>(random() % 5);
  double total = 0;
  for (const double v : w) total += v;
  const double most = *std::max_element(w.begin(), w.end());
  const auto x = sample<T>(seed % 2 ? kind::normal : kind::ties, n, 17, seed);
  errc rc = errc::ok;
  const auto mid = aggregated(trusted_midpoint, x, w, {}, &rc);
  const bool equal = std::all_of(w.begin(), w.end(), [&](double v) { return v == w[0]; });
  if (total == 0 || (2 * most >= total && !equal)) {
    CHECK(rc == (total == 0 ? errc::zero_weight_sum : errc::weight_majority));
    return;
  }
  REQUIRE(rc == errc::ok);
  const auto many = replicated(x, w);
  INFO(format<T>::name << " n=" << n << " seed=" << seed);
  CHECK(same_bits(mid, aggregated(midpoint, many)));
  CHECK(same_bits(aggregated(trusted_lower, x, w), aggregated(lower, many)));
}

} // namespace

TEST_CASE("the median is the middle of the sorted column") {
  SECTION("f32") { check_all_sizes<float>(); }
  SECTION("f64") { check_all_sizes<double>(); }
  SECTION("f16") { check_all_sizes<fedagg::float16>(); }
  SECTION("bf16") { check_all_sizes<fedagg::bfloat16>(); }
}

TEST_CASE("the midpoint of two huge values is finite") {
  matrix<double> x(4, 11);
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = (i % 2 ? 1.5e308 : 1.7e308) * (j % 2 ? 1 : -1);
  const auto got = aggregated(midpoint, x);
  REQUIRE(got.size() == x.d);
  for (std::size_t j = 0; j < x.d; ++j) CHECK(magnitude(quad(got[j])) == divide(add(1.5e308, 1.7e308), 2));
}

TEST_CASE("integer weights count a client that often") {
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    for (const std::size_t n : {1u, 2u, 3u, 4u, 5u, 8u, 13u, 33u, 60u}) {
      check_weighted<float>(n, seed);
      check_weighted<double>(n, seed);
    }
  check_weighted<fedagg::float16>(9, 1);
  check_weighted<fedagg::bfloat16>(9, 2);
}

TEST_CASE("equal trusted weights give the unweighted median, bit for bit") {
  for (const std::size_t n : {1u, 2u, 7u, 20u, 40u}) {
    const auto x = sample<float>(kind::mixed, n, 65, 4);
    for (const double w : {0.1, 1.0, 1e300})
      CHECK(same_bits(aggregated(midpoint, x), aggregated(trusted_midpoint, x, std::vector<double>(n, w))));
    std::vector<double> uneven(n, 3.0);
    uneven[0] = 50;
    // Ignored unless trusted; capped to equal ones where a cap says so.
    CHECK(same_bits(aggregated(midpoint, x), aggregated(midpoint, x, uneven)));
    median capped = trusted_midpoint;
    capped.weight_cap = 2;
    CHECK(same_bits(aggregated(midpoint, x), aggregated(capped, x, uneven)));
  }
}

TEST_CASE("integer tensors take the median and round half to even") {
  std::mt19937_64 random(3);
  for (const std::size_t n : {1u, 2u, 5u, 6u, 20u}) {
    std::vector<std::vector<std::int32_t>> x(n, std::vector<std::int32_t>(100));
    for (auto& r : x)
      for (auto& v : r) v = static_cast<std::int32_t>(random() % 21) - 10;
    fedagg::cohort clients;
    for (auto& r : x) clients.add(r);
    std::vector<std::int32_t> out(100);
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(midpoint, clients, out, space) == errc::ok);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < 100; ++j) {
      std::vector<std::int32_t> column;
      for (auto& r : x) column.push_back(r[j]);
      std::sort(column.begin(), column.end());
      const std::int32_t sum = column[(n - 1) / 2] + column[n / 2];
      std::int32_t want = sum / 2;
      if (sum % 2 != 0) {
        const std::int32_t low = (sum - 1) / 2;
        want = low % 2 == 0 ? low : low + 1;
      }
      wrong += out[j] != want;
    }
    INFO("n=" << n);
    CHECK(wrong == 0);
  }
}
