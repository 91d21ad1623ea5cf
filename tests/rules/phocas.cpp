// SPDX-License-Identifier: MIT
#include <fedagg/rules/phocas.hpp>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/nearest.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::phocas;
using fedagg::nearest_values;

namespace {

nearest_values values_of(std::size_t n, std::size_t f) { return {{f, n - f}, f}; }

template <class T>
void check(kind k, std::size_t n, std::size_t f, std::size_t d) {
  const auto x = sample<T>(k, n, d, 5);
  const auto got = aggregated(phocas{.f = static_cast<std::int64_t>(f)}, x);
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " f=" << f << " d=" << d);
  REQUIRE(got.size() == d);
  std::string wrong;
  for (std::size_t j = 0; j < d && wrong.empty(); ++j)
    if (!is_nearest_mean(got[j], x.column(j), values_of(n, f))) wrong = "coordinate " + std::to_string(j) + ": " + text(value(got[j]));
  CHECK(wrong == "");
}

template <class T>
void check_all() {
  for (std::size_t n = 1; n <= 40; ++n)
    for (std::size_t f = 0; 2 * f < n; f += n > 24 ? 5 : 1) check<T>(f % 2 ? kind::mixed : kind::normal, n, f, 17);
  for (std::size_t d = 1; d <= 70; ++d) check<T>(kind::normal, 9, 2, d);
  for (const std::size_t n : {50u, 64u, 65u, 100u, 257u, 1000u}) check<T>(kind::normal, n, n / 5, 33);
  for (const kind k : all_kinds)
    for (const std::size_t n : {3u, 10u, 20u, 35u}) check<T>(k, n, (n - 1) / 2, 35);
}

} // namespace

TEST_CASE("phocas is the mean of the n - f values nearest the f-trimmed mean") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("by hand") {
  const auto column = [](std::vector<double> values, std::int64_t f) {
    matrix<double> x(values.size(), 1);
    x.data = values;
    const auto got = aggregated(phocas{.f = f}, x);
    return got.empty() ? -1e300 : got[0];
  };
  // The trimmed mean is 4; 1 and 7 are as far, and the lower one is taken.
  CHECK(column({7, 1, 4}, 1) == 2.5);
  CHECK(column({7.0001, 1, 4}, 1) == 2.5);
  CHECK(column({7, 0.9999, 4}, 1) == 5.5);
  // The 1-trimmed mean is (0 + 1 + 5) / 3 = 2: dropped is 9 (distance 7), not -3 (5).
  CHECK(column({9, 5, 1, -3, 0}, 1) == 0.75);
  // The 1-trimmed mean is (0 + 0 + 6) / 3 = 2: dropped is -5 (distance 7), where the median 0 would drop 8.
  CHECK(column({8, 0, -5, 6, 0}, 1) == 3.5);
  // Without a budget nothing is dropped.
  CHECK(column({1, 2, 9}, 0) == 4);
  CHECK(column({5}, 0) == 5);
}

TEST_CASE("a hostile client's values beyond the honest ones do not count, however large") {
  auto x = sample<double>(kind::normal, 9, 40, 1);
  matrix<double> honest(7, x.d);
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < x.d; ++j) honest.at(i, j) = x.at(i, j);
  std::vector<std::vector<double>> results;
  for (const double huge : {1e6, 1e30, 1e300, 1.7e308}) {
    for (std::size_t j = 0; j < x.d; ++j) x.at(7, j) = huge, x.at(8, j) = -huge;
    results.push_back(aggregated(phocas{.f = 2}, x));
    REQUIRE(results.back().size() == x.d);
    CHECK(same_bits(results.back(), results.front()));
  }
  // What is left is the mean of the honest clients.
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const reference r = window_mean(honest.column(j), 0, 7);
    wrong += !rounds_to<double>(results[0][j], r.exact, r.error);
  }
  CHECK(wrong == 0);
}

TEST_CASE("f must be given, 2f < n, also of those who are left") {
  const auto x = sample<float>(kind::normal, 5, 9, 2);
  const auto code = [](const matrix<float>& of, std::int64_t f, fedagg::options how = {}) {
    errc rc = errc::ok;
    const auto got = aggregated(phocas{.f = f}, of, {}, how, &rc);
    CHECK(got.empty() == (rc != errc::ok));
    return rc;
  };
  CHECK(code(x, fedagg::unset) == errc::bad_parameter);
  CHECK(code(x, -2) == errc::bad_parameter);
  CHECK(code(x, 0) == errc::ok);
  CHECK(code(x, 2) == errc::ok);
  CHECK(code(x, 3) == errc::too_few_clients);
  CHECK(code(x, 5) == errc::too_few_clients);
  CHECK(code(x, std::int64_t{1} << 53) == errc::too_few_clients);
  CHECK(code(x, std::numeric_limits<std::int64_t>::max()) == errc::bad_parameter);
  // A client that gets itself rejected does not lower the budget.
  auto bad = x;
  bad.at(1, 4) = std::bit_cast<float>(0x7fc00000u);
  CHECK(code(bad, 2) == errc::too_few_clients);
  CHECK(code(bad, 1) == errc::ok);
  // The rule's own condition says how many may be lost.
  bad.at(2, 0) = bad.at(3, 8) = std::bit_cast<float>(0xff800000u);
  CHECK(code(bad, 0) == errc::ok);
  CHECK(code(bad, 1) == errc::too_few_clients);
  fedagg::options how;
  how.max_rejected = 2;
  CHECK(code(bad, 0, how) == errc::too_many_rejected);
}

TEST_CASE("the outcome tells the breakdown, and that weights were not used") {
  const auto x = sample<float>(kind::normal, 7, 9, 2);
  fedagg::cohort clients;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  clients.weights(std::vector<double>{1, 2, 3, 4, 5, 6, 700});
  std::vector<float> out(x.d);
  const auto o = fedagg::aggregate(phocas{.f = 3}, clients, out);
  CHECK(o.breakdown == 3);
  CHECK(o.passes == 1);
  CHECK_FALSE(o.weights_used);
  CHECK(same_bits(out, aggregated(phocas{.f = 3}, x)));
}
