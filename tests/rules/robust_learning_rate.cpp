// SPDX-License-Identifier: MIT
#include <fedagg/rules/robust_learning_rate.hpp>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::robust_learning_rate;

namespace {

/// Updates if `base` is empty.
template <class T>
std::vector<T> round(const robust_learning_rate& rule, const matrix<T>& x, const std::vector<T>& base, errc& rc) {
  fedagg::cohort clients;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  if (base.empty()) clients.updates();
  else clients.base(base);
  std::vector<T> out(x.d);
  fedagg::workspace space;
  const mode callers(worst);
  rc = fedagg::try_aggregate(rule, clients, out, space);
  return out;
}

bool trusted(const std::vector<double>& column, std::size_t threshold) {
  std::int64_t votes = 0;
  for (const double v : column) votes += (v > 0) - (v < 0);
  return static_cast<std::size_t>(votes < 0 ? -votes : votes) >= threshold;
}

/// The mean, with the sign that the rule gives it, and what a computation in the lanes' type may be off by.
template <class T>
reference expected(const std::vector<double>& column, std::size_t threshold) {
  const quad n = quad(column.size());
  quad sum = 0, size = 0;
  for (const double v : column) {
    sum = add(sum, v);
    size = add(size, magnitude(v));
  }
  using lane = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const quad mean = divide(sum, n), epsilon = power(1 - format<lane>::digits);
  // Halves are rounded from a float. The rest is of the second order, n times in n additions, once in the quotient.
  const quad first = sizeof(T) == 2 ? half_ulp<lane>(magnitude(mean)) : quad(0);
  const quad error = first + multiply(2 * epsilon, half_ulp<lane>(magnitude(mean))) + multiply(multiply(n, epsilon * epsilon), size);
  return {trusted(column, threshold) ? mean : -mean, error};
}

template <class T>
void check(kind k, std::size_t n, std::size_t threshold, std::size_t d) {
  auto x = sample<T>(k, n, d, 11);
  for (std::size_t at = 0; at < x.data.size(); at += 7) x.data[at] = stored<T>(at % 2 ? 0.0 : -0.0);
  errc rc = errc::ok;
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " threshold=" << threshold << " d=" << d);
  const auto got = round(robust_learning_rate{.threshold = static_cast<std::int64_t>(threshold)}, x, {}, rc);
  REQUIRE(rc == errc::ok);
  std::string wrong;
  for (std::size_t j = 0; j < d && wrong.empty(); ++j) {
    const reference r = expected<T>(x.column(j), threshold);
    if (!rounds_to<T>(got[j], r.exact, r.error)) wrong = "coordinate " + std::to_string(j) + ": " + text(value(got[j])) + " for " + text(static_cast<double>(r.exact));
    if (r.exact == 0 && bits_of(got[j]) != 0) wrong = "coordinate " + std::to_string(j) + ": -0";
  }
  CHECK(wrong == "");
}

template <class T>
void check_all() {
  for (std::size_t n = 1; n <= 40; ++n)
    for (std::size_t threshold = 0; threshold <= n; threshold += n > 8 ? 3 : 1) check<T>(n % 2 ? kind::normal : kind::ties, n, threshold, 21);
  for (std::size_t d = 1; d <= 70; ++d) check<T>(kind::normal, 4, 2, d);
  for (const kind k : all_kinds)
    for (const std::size_t n : {2u, 5u, 20u}) check<T>(k, n, n / 3, 33);
  for (const std::size_t n : {64u, 100u, 1000u}) check<T>(kind::normal, n, n / 10, 45);
}

} // namespace

TEST_CASE("the mean of the updates, turned around where too few signs agree") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("by hand") {
  matrix<float> x(4, 5);
  // Margins 4, 2, 0, 1 (of one vote), 0 (of none).
  const float rows[4][5] = {{1, 1, 1, 8, 0}, {2, 2, -2, 0, -0.0f}, {3, 3, 6, 0, 0}, {2, -14, -1, 0, 0}};
  for (std::size_t i = 0; i < 4; ++i) std::copy(rows[i], rows[i] + 5, x.data.begin() + static_cast<std::ptrdiff_t>(i * 5));
  errc rc = errc::ok;
  CHECK(same_bits(round(robust_learning_rate{.threshold = 0}, x, {}, rc), {2, -2, 1, 2, 0}));
  CHECK(same_bits(round(robust_learning_rate{.threshold = 1}, x, {}, rc), {2, -2, -1, 2, 0}));
  CHECK(same_bits(round(robust_learning_rate{.threshold = 2}, x, {}, rc), {2, -2, -1, -2, 0}));
  CHECK(same_bits(round(robust_learning_rate{.threshold = 3}, x, {}, rc), {2, 2, -1, -2, 0}));
  CHECK(same_bits(round(robust_learning_rate{.threshold = 4}, x, {}, rc), {2, 2, -1, -2, 0}));
  // About a base the updates are what is left.
  matrix<float> models = x;
  const std::vector<float> base = {10, 20, 30, 40, 50};
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 5; ++j) models.at(i, j) += base[j];
  CHECK(same_bits(round(robust_learning_rate{.threshold = 3}, models, base, rc), {12, 22, 29, 38, 50}));
}

TEST_CASE("values up to the largest have a mean") {
  const auto check_largest = []<class T>(T most) {
    for (const std::size_t n : {1u, 2u, 3u, 7u, 8u, 20u, 64u, 1000u})
      for (const std::size_t hostile : {std::size_t{1}, n}) {
        matrix<T> x(n, 19);
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = i < hostile ? (j % 2 ? most : -most) : T(1);
        errc rc = errc::ok;
        const auto got = round(robust_learning_rate{.threshold = 0}, x, {}, rc);
        INFO(format<T>::name << " n=" << n << " hostile " << hostile);
        REQUIRE(rc == errc::ok);
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < x.d; ++j) {
          const reference r = expected<T>(x.column(j), 0);
          wrong += !rounds_to<T>(got[j], r.exact, r.error);
        }
        CHECK(wrong == 0);
      }
  };
  check_largest(std::numeric_limits<float>::max());
  check_largest(std::numeric_limits<double>::max());
}

TEST_CASE("cancellation does not cost the small values their place") {
  // In plain float sums 1e10 swallows them.
  matrix<float> x(4, 9);
  for (std::size_t j = 0; j < 9; ++j) {
    x.at(0, j) = 1e10f;
    x.at(1, j) = 0.5f;
    x.at(2, j) = -1e10f;
    x.at(3, j) = 0.25f;
  }
  errc rc = errc::ok;
  CHECK(same_bits(round(robust_learning_rate{.threshold = 1}, x, {}, rc), std::vector<float>(9, 0.1875f)));
}

TEST_CASE("raw models have no signs; the threshold must be given and within reach of those who are left") {
  auto x = sample<float>(kind::normal, 5, 9, 2);
  errc rc = errc::ok;
  CHECK(aggregated(robust_learning_rate{.threshold = 2}, x, {}, {}, &rc).empty());
  CHECK(rc == errc::missing_origin);
  const auto code = [&](std::int64_t threshold) {
    round(robust_learning_rate{.threshold = threshold}, x, {}, rc);
    return rc;
  };
  CHECK(code(fedagg::unset) == errc::bad_parameter);
  CHECK(code(-2) == errc::bad_parameter);
  CHECK(code(5) == errc::ok);
  CHECK(code(6) == errc::too_few_clients);
  CHECK(code(std::int64_t{1} << 53) == errc::too_few_clients);
  x.at(3, 3) = std::bit_cast<float>(0x7f800000u);
  CHECK(code(5) == errc::too_few_clients);
  CHECK(code(4) == errc::ok);
}
