// SPDX-License-Identifier: MIT
#include <fedagg/rules/centered_clipping.hpp>

#include <bit>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::centered_clipping;

namespace {

exact expected(const shape& of, double tau, int iterations) {
  exact v = widen(of.more.trusted.empty() ? of.base : of.more.trusted);
  for (int k = 0; k < iterations; ++k) {
    exact step(v.size(), 0);
    for (const vector& row : of.x) {
      const exact u = minus(widen(row), v);
      const real factor = norm(u) > tau ? tau / norm(u) : real(1);
      for (std::size_t j = 0; j < v.size(); ++j) step[j] += factor * u[j] / real(of.x.size());
    }
    for (std::size_t j = 0; j < v.size(); ++j) v[j] += step[j];
  }
  return v;
}

} // namespace

TEST_CASE("clients pull by at most tau, again and again") {
  for (const std::size_t n : {1u, 2u, 9u, 200u})
    for (const double tau : {1e-3, 0.3, 2.0, 1e9})
      for (const int iterations : {1, 3, 50}) {
        if (n == 200 && iterations == 50) continue;
        auto x = cloud(n, 5, n, 1, 0.5);
        if (n > 5) {
          x[2] = vector(5);
          x[3] = x[4];
        }
        for (const bool state : {false, true}) {
          extras e;
          if (state) e = {true, {0.5, -0.25, 0, 0, 1}, {0.5, 0.5, 0.25, 0, 0}, {}, {}};
          const shape of(x, e);
          const answer a = solve(centered_clipping{.tau = tau, .iterations = iterations}, of);
          INFO("n=" << n << " tau=" << tau << " iterations=" << iterations << " state=" << state);
          REQUIRE(a.code == errc::ok);
          check_near(a.point, expected(of, tau, iterations), 1e-12L);
          const exact start = widen(state ? e.trusted : of.base);
          CHECK(norm(minus(a.point, start)) <= tau * iterations * (1 + 1e-12L));
          CHECK(a.s.iterations == static_cast<std::size_t>(iterations));
          CHECK(a.s.whole == state);
        }
      }
}

TEST_CASE("rows 1e30 away cost no accuracy") {
  for (const bool state : {false, true}) {
    auto x = cloud(12, 6, 3);
    for (double& v : x[4]) v = 1e30;
    for (double& v : x[7]) v *= -1e30;
    extras e;
    if (state) e.trusted = {0.5, 0.5, 0.25, 0, 0, 1};
    const shape of(x, e);
    const answer a = solve(centered_clipping{.tau = 0.7, .iterations = 20}, of);
    REQUIRE(a.code == errc::ok);
    check_near(a.point, expected(of, 0.7, 20), 1e-12L);
  }
}

TEST_CASE("identical rows, and rows at the start") {
  extras e;
  e.trusted = {1, 2};
  const answer there = solve(centered_clipping{.tau = 5, .iterations = 2}, shape(matrix(7, vector{1, 2}), e));
  check_near(there.point, {1, 2}, 1e-15L);
  const answer same = solve(centered_clipping{.tau = 5}, shape(matrix(7, vector{3, 4})));
  check_near(same.point, {3, 4}, 1e-14L);
  const answer half = solve(centered_clipping{.tau = 2.5}, shape(matrix(7, vector{3, 4})));
  check_near(half.point, {1.5, 2}, 1e-14L);
  check_near(solve(centered_clipping{.tau = 1}, shape(matrix(3, vector{0, 0}))).point, {0, 0}, 0);
}

TEST_CASE("what centred clipping refuses") {
  const shape of(cloud(3, 2, 1));
  CHECK(solve(centered_clipping{}, of).code == errc::bad_parameter);
  CHECK(solve(centered_clipping{.tau = 0}, of).code == errc::bad_parameter);
  CHECK(solve(centered_clipping{.tau = std::bit_cast<double>(0x7ff8000000000000u)}, of).code == errc::bad_parameter);
  CHECK(solve(centered_clipping{.tau = 1, .iterations = 0}, of).code == errc::bad_parameter);
  CHECK(solve(centered_clipping{.tau = 1, .iterations = 10001}, of).code == errc::bad_parameter);
  extras models;
  models.origin = false;
  CHECK(solve(centered_clipping{.tau = 1}, shape(cloud(3, 2, 1), models)).code == errc::missing_origin);
  CHECK(solve(centered_clipping{.tau = 1}, shape(matrix{})).code == errc::too_few_clients);
}
