// SPDX-License-Identifier: MIT
#include <fedagg/rules/sign_majority.hpp>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::sign_majority;

namespace {

/// Updates if `base` is empty.
template <class T>
std::vector<T> round(const sign_majority& rule, const matrix<T>& x, const std::vector<T>& base, errc& rc) {
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

int majority(const std::vector<double>& column, double origin) {
  int votes = 0;
  for (const double v : column) votes += (v > origin) - (v < origin);
  return (votes > 0) - (votes < 0);
}

template <class T>
void check(kind k, std::size_t n, std::size_t d, double scale) {
  auto x = sample<T>(k, n, d, 9);
  // Some zeros of both signs, which have no vote.
  for (std::size_t at = 0; at < x.data.size(); at += 7) x.data[at] = stored<T>(at % 2 ? 0.0 : -0.0);
  errc rc = errc::ok;
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " d=" << d);
  const auto got = round(sign_majority{.scale = scale}, x, {}, rc);
  REQUIRE(rc == errc::ok);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) wrong += bits_of(got[j]) != bits_of(stored<T>(majority(x.column(j), 0) * static_cast<double>(stored<float>(scale)) + 0.0));
  CHECK(wrong == 0);
  // The same votes about a base.
  const auto one = sample<T>(kind::normal, 1, d, 10);
  const auto based = round(sign_majority{.scale = 1}, x, one.data, rc);
  REQUIRE(rc == errc::ok);
  wrong = 0;
  for (std::size_t j = 0; j < d; ++j) wrong += value(based[j]) != value(stored<T>(value(stored<T>(value(one.data[j]) + majority(x.column(j), value(one.data[j]))))));
  CHECK(wrong == 0);
}

template <class T>
void check_all() {
  for (std::size_t n = 1; n <= 40; ++n) check<T>(n % 2 ? kind::normal : kind::ties, n, 21, 0.25);
  for (std::size_t d = 1; d <= 70; ++d) check<T>(kind::normal, 4, d, 3);
  for (const kind k : all_kinds)
    for (const std::size_t n : {2u, 5u, 20u}) check<T>(k, n, 33, 0.5);
  for (const std::size_t n : {64u, 100u, 1000u}) check<T>(kind::ties, n, 45, 1);
}

} // namespace

TEST_CASE("the sign that most updates have, times the scale") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("by hand") {
  matrix<float> x(4, 5);
  const float rows[4][5] = {{1e30f, -1, 0, 2, -1}, {-1, -1, 0, 0, -1}, {-1e-45f, 5, -0.0f, 0, 1}, {-2, 3, 0, 0, -1e30f}};
  for (std::size_t i = 0; i < 4; ++i) std::copy(rows[i], rows[i] + 5, x.data.begin() + static_cast<std::ptrdiff_t>(i * 5));
  errc rc = errc::ok;
  CHECK(same_bits(round(sign_majority{}, x, {}, rc), {-1, 0, 0, 1, -1}));
  CHECK(same_bits(round(sign_majority{.scale = 0.01}, x, {}, rc), {-0.01f, 0, 0, 0.01f, -0.01f}));
}

TEST_CASE("one vote each: fewer hostile clients than the majority is wide change nothing") {
  matrix<double> x(9, 3);
  for (std::size_t i = 0; i < 9; ++i)
    for (std::size_t j = 0; j < 3; ++j) x.at(i, j) = i < 6 ? 1e-9 : -1.7e308;
  errc rc = errc::ok;
  CHECK(same_bits(round(sign_majority{}, x, {}, rc), {1, 1, 1}));
  CHECK(rc == errc::ok);
}

TEST_CASE("raw models have no signs, and the scale must be a length") {
  const auto x = sample<float>(kind::normal, 5, 9, 2);
  errc rc = errc::ok;
  CHECK(aggregated(sign_majority{}, x, {}, {}, &rc).empty());
  CHECK(rc == errc::missing_origin);
  for (const double scale : {0.0, -1.0, 1e-39, 1e39, std::bit_cast<double>(0x7ff0000000000000u), std::bit_cast<double>(0x7ff8000000000000u)}) {
    round(sign_majority{.scale = scale}, x, {}, rc);
    CHECK(rc == errc::bad_parameter);
  }
  for (const double scale : {1.2e-38, 3.4e38}) {
    const auto got = round(sign_majority{.scale = scale}, x, {}, rc);
    REQUIRE(rc == errc::ok);
    CHECK((got[0] == static_cast<float>(scale) || got[0] == -static_cast<float>(scale)));
  }
  // A step that the output's type cannot hold is told.
  const auto halves = sample<fedagg::float16>(kind::normal, 5, 9, 2);
  round(sign_majority{.scale = 1e5}, halves, {}, rc);
  CHECK(rc == errc::overflow);
}

TEST_CASE("a client with a NaN has no vote") {
  auto x = sample<float>(kind::normal, 7, 30, 3);
  matrix<float> rest(6, 30);
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < 30; ++j) rest.at(i, j) = x.at(i < 2 ? i : i + 1, j);
  x.at(2, 17) = std::bit_cast<float>(0x7fc00000u);
  errc rc = errc::ok;
  CHECK(same_bits(round(sign_majority{}, x, {}, rc), round(sign_majority{}, rest, {}, rc)));
  CHECK(rc == errc::ok);
}
