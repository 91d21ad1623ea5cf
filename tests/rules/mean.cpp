// SPDX-License-Identifier: MIT
#include <fedagg/rules/mean.hpp>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::mean;

namespace {

/// Weights of each sort that takes another path: equal, counts, many digits, wide ranges with zeros.
std::vector<std::vector<double>> weight_sets(std::size_t n) {
  std::mt19937_64 random(n);
  std::vector<std::vector<double>> sets(5);
  for (std::size_t i = 0; i < n; ++i) {
    sets[1].push_back(137.0);
    sets[2].push_back(static_cast<double>(random() % 5000 + 1));
    sets[3].push_back(1.0 + uniform(random) / 3.0);
    sets[4].push_back(i % 3 == 1 ? 0.0 : power(static_cast<int>(random() % 40) - 20) * (1.5 + uniform(random) / 4));
  }
  return sets;
}

template <class T>
void check_against_exact(kind k, std::size_t n, std::size_t d) {
  const auto x = sample<T>(k, n, d, 1);
  for (const auto& w : weight_sets(n)) {
    const auto got = aggregated(mean{}, x, w);
    REQUIRE(got.size() == d);
    std::string wrong;
    for (std::size_t j = 0; j < d && wrong.empty(); ++j) {
      const auto column = x.column(j);
      const auto r = weighted_mean(column, w);
      // What n products lose below the smallest subnormal double, over coefficients that add up to 2^-(bits of n + 1).
      const quad subnormal = std::is_same_v<T, double> ? quad(n) * power(static_cast<int>(std::bit_width(n)) - 1074) : quad(0);
      if (!rounds_to<T>(got[j], r.exact, r.error + subnormal))
        wrong = "coordinate " + std::to_string(j) + ": " + text(value(got[j])) + " for " + text(static_cast<double>(r.exact));
    }
    INFO(format<T>::name << " " << name_of(k) << " n=" << n << " d=" << d << " weights like " << (w.empty() ? 0.0 : w[0]));
    CHECK(wrong == "");
  }
}

template <class T>
void check_all_sizes() {
  for (std::size_t d = 1; d <= 70; ++d) check_against_exact<T>(kind::normal, 3, d);
  for (const std::size_t d : {511u, 512u, 513u, 1025u}) check_against_exact<T>(kind::normal, 5, d);
  for (std::size_t n = 1; n <= 40; ++n) check_against_exact<T>(kind::mixed, n, 19);
  for (const std::size_t n : {50u, 63u, 64u, 65u, 100u, 257u, 1000u}) check_against_exact<T>(kind::normal, n, 33);
  for (const kind k : all_kinds)
    for (const std::size_t n : {1u, 2u, 7u, 20u}) check_against_exact<T>(k, n, 37);
}

} // namespace

TEST_CASE("the mean is the exact one rounded once, to within the sum's own error") {
  SECTION("f32") { check_all_sizes<float>(); }
  SECTION("f64") { check_all_sizes<double>(); }
  SECTION("f16") { check_all_sizes<fedagg::float16>(); }
  SECTION("bf16") { check_all_sizes<fedagg::bfloat16>(); }
}

TEST_CASE("a mean of floats with exact sums is correctly rounded") {
  // 24-bit integers times counts: sums below 2^53, so one rounding is left in double and one in float.
  std::mt19937_64 random(5);
  matrix<float> x(24, 200);
  std::vector<double> w(24);
  for (auto& v : x.data) v = static_cast<float>(static_cast<std::int64_t>(random() >> 40) - (1 << 23));
  for (auto& v : w) v = static_cast<double>(random() % 100000 + 1);
  const auto got = aggregated(mean{}, x, w);
  REQUIRE(got.size() == x.d);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const quad exact = weighted_mean(x.column(j), w).exact;
    wrong += !rounds_to<float>(got[j], exact, magnitude(exact) * unit);
  }
  CHECK(wrong == 0);
}

TEST_CASE("a sum that would overflow does not spoil a mean that does not") {
  // Below the largest double by more than the sum's own rounding.
  constexpr double most = std::numeric_limits<double>::max() * (1 - 0x1p-40);
  for (const std::size_t n : {1u, 2u, 3u, 4u, 7u, 8u, 31u}) {
    matrix<double> x(n, 9);
    for (auto& v : x.data) v = most;
    for (const double spread : {0.0, 0.01}) {
      std::vector<double> w(n);
      for (std::size_t i = 0; i < n; ++i) w[i] = 1.9 + spread * static_cast<double>(i % 2);
      errc rc = errc::ok;
      const auto got = aggregated(mean{}, x, w, {}, &rc);
      INFO("n=" << n << " spread " << spread);
      REQUIRE(rc == errc::ok);
      CHECK(rounds_to<double>(got[8], quad(most), quad(most) * quad(2 * n) * unit));
    }
  }
}

TEST_CASE("weights out of the ordinary") {
  const auto x = sample<double>(kind::normal, 6, 21, 3);
  const auto same_as = [&](const std::vector<double>& w, double scale) {
    std::vector<double> scaled = w;
    for (double& v : scaled) v *= scale;
    errc rc = errc::ok;
    const auto a = aggregated(mean{}, x, w), b = aggregated(mean{}, x, scaled, {}, &rc);
    INFO("scale " << text(scale) << ": " << fedagg::message(rc));
    CHECK(same_bits(a, b));
    CHECK(!a.empty());
  };
  const std::vector<double> w = {1.25, 3, 0.5, 0, 7, 2};
  // Powers of two change no bit, however far they shift the weights.
  for (const int e : {-900, -60, -1, 1, 60, 900}) same_as(w, power(e));
  const std::vector<double> none(6, 0.0);
  errc rc = errc::ok;
  CHECK(aggregated(mean{}, x, none, {}, &rc).empty());
  CHECK(rc == errc::zero_weight_sum);
}

TEST_CASE("equal weights give the unweighted mean, bit for bit") {
  for (const std::size_t n : {1u, 3u, 10u, 20u}) {
    const auto x = sample<float>(kind::mixed, n, 65, 9);
    const auto plain = aggregated(mean{}, x);
    for (const double w : {0.1, 3.0, 1e-300, 1e300, 123456789.0})
      CHECK(same_bits(plain, aggregated(mean{}, x, std::vector<double>(n, w))));
  }
}

TEST_CASE("integers are averaged and rounded half to even") {
  std::mt19937_64 random(11);
  for (const std::size_t n : {1u, 2u, 3u, 4u, 6u, 7u, 10u, 49u}) {
    std::vector<std::vector<std::int64_t>> x(n, std::vector<std::int64_t>(300));
    for (auto& r : x)
      for (auto& v : r) v = static_cast<std::int64_t>(random() % 41) - 20;
    fedagg::cohort clients;
    for (auto& r : x) clients.add(r);
    std::vector<std::int64_t> out(300);
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(mean{}, clients, out, space) == errc::ok);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < 300; ++j) {
      std::int64_t sum = 0;
      for (auto& r : x) sum += r[j];
      const auto count = static_cast<std::int64_t>(n);
      std::int64_t low = sum / count - (sum % count < 0), rest = sum - low * count;
      if (2 * rest > count || (2 * rest == count && low % 2 != 0)) ++low;
      wrong += out[j] != low;
    }
    INFO("n=" << n);
    CHECK(wrong == 0);
  }
}
