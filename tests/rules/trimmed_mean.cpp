// SPDX-License-Identifier: MIT
#include <fedagg/rules/trimmed_mean.hpp>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::trimmed_mean;

namespace {

template <class T>
void check_against_sorted(kind k, std::size_t n, std::size_t trim, std::size_t d) {
  const auto x = sample<T>(k, n, d, 3);
  const auto got = aggregated(trimmed_mean{.trim = static_cast<std::int64_t>(trim)}, x);
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " trim=" << trim << " d=" << d);
  REQUIRE(got.size() == d);
  std::string wrong;
  for (std::size_t j = 0; j < d && wrong.empty(); ++j) {
    const reference r = window_mean(x.column(j), trim, n - trim);
    if (!rounds_to<T>(got[j], r.exact, r.error))
      wrong = "coordinate " + std::to_string(j) + ": " + text(value(got[j])) + " for " + text(static_cast<double>(r.exact));
  }
  CHECK(wrong == "");
}

template <class T>
void check_all_sizes() {
  for (std::size_t n = 1; n <= 40; ++n)
    for (std::size_t trim = 0; 2 * trim < n; trim += n > 24 ? 5 : 1)
      check_against_sorted<T>(trim % 2 ? kind::mixed : kind::normal, n, trim, 17);
  for (std::size_t d = 1; d <= 70; ++d) check_against_sorted<T>(kind::normal, 9, 2, d);
  for (const std::size_t n : {50u, 63u, 64u, 65u, 100u, 128u, 200u, 257u, 1000u}) check_against_sorted<T>(kind::normal, n, n / 5, 33);
  for (const kind k : all_kinds)
    for (const std::size_t n : {3u, 10u, 20u, 35u}) check_against_sorted<T>(k, n, n / 3, 35);
}

/// The definition with trusted weights, in quad: equal values stand in ascending order of weight.
quad weighted(const std::vector<double>& x, const std::vector<double>& w, std::size_t trim, double mass) {
  std::vector<std::pair<double, double>> sorted;
  for (std::size_t i = 0; i < x.size(); ++i) sorted.emplace_back(x[i], w[i]);
  std::sort(sorted.begin(), sorted.end());
  quad total = 0, reached = 0, sum = 0, kept = 0;
  for (const double v : w) total = add(total, v);
  const quad low = multiply(mass, total), high = total - low;
  for (std::size_t i = trim; i < sorted.size() - trim; ++i) {
    const quad from = reached, to = add(reached, sorted[i].second);
    reached = to;
    const quad share = mass > 0 ? (to < high ? to : high) - (from > low ? from : low) : quad(sorted[i].second);
    if (!(share > 0)) continue;
    kept = add(kept, share);
    sum = add(sum, multiply(share, sorted[i].first));
  }
  return divide(sum, kept);
}

} // namespace

TEST_CASE("the trimmed mean is that of the sorted column's middle") {
  SECTION("f32") { check_all_sizes<float>(); }
  SECTION("f64") { check_all_sizes<double>(); }
  SECTION("f16") { check_all_sizes<fedagg::float16>(); }
  SECTION("bf16") { check_all_sizes<fedagg::bfloat16>(); }
}

TEST_CASE("a fraction drops its floor in clients from each end") {
  for (const std::size_t n : {1u, 4u, 5u, 9u, 10u, 20u, 33u, 100u}) {
    const auto x = sample<float>(kind::normal, n, 40, 8);
    // Sixteenths are exact, so the floor is an integer division.
    for (std::size_t s = 0; s < 8; ++s) {
      const auto trim = static_cast<std::int64_t>(n * s / 16);
      CHECK(same_bits(aggregated(trimmed_mean{.fraction = static_cast<double>(s) / 16}, x), aggregated(trimmed_mean{.trim = trim}, x)));
    }
  }
  // Not representable in binary, but what is meant is clear.
  const auto x = sample<float>(kind::normal, 10, 40, 8);
  CHECK(same_bits(aggregated(trimmed_mean{.fraction = 0.3}, x), aggregated(trimmed_mean{.trim = 3}, x)));
}

TEST_CASE("what is outside of the window has no influence, however large") {
  auto x = sample<double>(kind::normal, 10, 30, 1);
  const auto before = aggregated(trimmed_mean{.trim = 2}, x);
  // The two largest and the two smallest of each column go to the ends of the range.
  for (std::size_t j = 0; j < x.d; ++j) {
    auto sorted = x.column(j);
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < x.n; ++i) {
      if (x.at(i, j) <= sorted[1]) x.at(i, j) = -1.7e308;
      else if (x.at(i, j) >= sorted[8]) x.at(i, j) = 1.7e308;
    }
  }
  CHECK(!before.empty());
  CHECK(same_bits(before, aggregated(trimmed_mean{.trim = 2}, x)));
}

TEST_CASE("huge values inside of the window have a mean too") {
  matrix<double> x(9, 7);
  for (auto& v : x.data) v = 1.5e308;
  const auto got = aggregated(trimmed_mean{.trim = 2}, x);
  REQUIRE(got.size() == x.d);
  for (const double v : got) CHECK(rounds_to<double>(v, 1.5e308, quad(1.5e308) * quad(5) * unit));
}

TEST_CASE("trusted weights, by count and by mass") {
  std::size_t compared = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (const std::size_t n : {3u, 4u, 5u, 8u, 13u, 40u}) {
      std::mt19937_64 random(seed * 100 + n);
      std::vector<double> w(n);
      for (auto& v : w) v = seed % 2 ? static_cast<double>(random() % 7) : 1.0 + uniform(random) / 2;
      const auto x = sample<double>(seed % 3 == 2 ? kind::ties : kind::normal, n, 23, seed);
      double total = 0, largest = 0;
      for (const double v : w) {
        total += v;
        largest = std::max(largest, v);
      }
      if (total == 0) continue;
      for (const std::size_t trim : {std::size_t{0}, std::size_t{1}, (n - 1) / 2})
        for (const double mass : {-1.0, 0.0, 0.1, 0.25, 0.4}) {
          if (mass >= 0 && trim != 0) continue;
          trimmed_mean rule{.weighting = fedagg::weights::trusted};
          if (mass < 0) rule.trim = static_cast<std::int64_t>(trim);
          else rule.mass = mass;
          errc rc = errc::ok;
          const auto got = aggregated(rule, x, w, {}, &rc);
          std::vector<double> heavy = w;
          std::sort(heavy.rbegin(), heavy.rend());
          double held = 0;
          for (std::size_t i = 0; i < trim; ++i) held += heavy[i];
          INFO("n=" << n << " seed=" << seed << " trim=" << trim << " mass=" << mass);
          const bool equal = largest * static_cast<double>(n) == total && heavy.front() == heavy.back();
          if (mass < 0 && !equal && held >= total / 2) {
            CHECK(rc == errc::weight_majority);
            continue;
          }
          REQUIRE(rc == errc::ok);
          std::string wrong;
          for (std::size_t j = 0; j < x.d && wrong.empty(); ++j) {
            const auto column = x.column(j);
            const quad exact = weighted(column, w, trim, mass < 0 ? 0 : mass);
            double size = 0;
            for (const double v : column) size = std::max(size, v < 0 ? -v : v);
            // Cuts, shares and sums: at most four roundings per client, each of a value below the whole weight, whose
            // share in the result is divided by what is kept.
            const quad kept = mass > 0 ? quad(1 - 2 * mass) : quad(1) - quad(2 * held / total);
            const quad error = divide(quad(8 * n) * unit * quad(size), kept > 0 ? kept : quad(1));
            if (!rounds_to<double>(got[j], exact, error))
              wrong = "coordinate " + std::to_string(j) + ": " + text(got[j]) + " for " + text(static_cast<double>(exact));
            ++compared;
          }
          CHECK(wrong == "");
        }
    }
  CHECK(compared > 5000);
}

TEST_CASE("integer weights by mass are the trimmed mean of as many clients") {
  // 20 units of weight, a fifth of it from each end: the same as 4 of 20 clients.
  const std::vector<double> w = {3, 1, 4, 1, 5, 2, 2, 2};
  const auto x = sample<double>(kind::normal, 8, 50, 6);
  matrix<double> many(20, x.d);
  std::size_t at = 0;
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t k = 0; k < static_cast<std::size_t>(w[i]); ++k, ++at)
      for (std::size_t j = 0; j < x.d; ++j) many.at(at, j) = x.at(i, j);
  const auto got = aggregated(trimmed_mean{.mass = 0.2, .weighting = fedagg::weights::trusted}, x, w);
  REQUIRE(got.size() == x.d);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const reference r = window_mean(many.column(j), 4, 16);
    // The bound of the weighted form above, with values below two and three fifths kept.
    wrong += !rounds_to<double>(got[j], r.exact, quad(8 * 8) * unit * quad(2) / quad(0.6));
  }
  CHECK(wrong == 0);
}

TEST_CASE("trusted weights may be of any size") {
  const auto x = sample<double>(kind::normal, 6, 30, 4);
  const std::vector<double> w = {1, 2, 3, 2, 1.5, 2};
  for (const trimmed_mean& rule : {trimmed_mean{.trim = 1, .weighting = fedagg::weights::trusted}, trimmed_mean{.mass = 0.25, .weighting = fedagg::weights::trusted}}) {
    const auto want = aggregated(rule, x, w);
    REQUIRE(want.size() == x.d);
    // Powers of two change no bit; the sum of the largest lies beyond the largest double.
    for (const int e : {-1060, -900, -1, 1, 900, 1022}) {
      std::vector<double> scaled = w;
      for (double& v : scaled) v *= power(e);
      INFO("scale 2^" << e);
      CHECK(same_bits(want, aggregated(rule, x, scaled)));
    }
  }
}
