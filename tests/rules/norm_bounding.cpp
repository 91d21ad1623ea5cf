// SPDX-License-Identifier: MIT
#include <fedagg/rules/norm_bounding.hpp>

#include <bit>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::norm_bounding;

namespace {

exact expected(const shape& of, double bound) {
  const exact base = widen(of.base);
  exact sum(base.size(), 0);
  for (const vector& row : of.x) {
    const exact u = minus(widen(row), base);
    const real length = norm(u), factor = length > bound ? bound / length : real(1);
    for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += factor * u[j];
  }
  for (std::size_t j = 0; j < sum.size(); ++j) sum[j] = base[j] + sum[j] / real(of.x.size());
  return sum;
}

} // namespace

TEST_CASE("the mean of shortened updates") {
  for (const std::size_t n : {1u, 2u, 9u, 200u})
    for (const double bound : {1e-3, 0.5, 1.0, 1e9, 1e300}) {
      auto x = cloud(n, 5, n);
      if (n > 5) {
        x[2] = vector(5);
        x[3] = x[4];
      }
      for (const bool models : {false, true}) {
        extras e;
        if (models) e.base = {1, 2, 3, 4, 5};
        const shape of(x, e);
        const answer a = solve(norm_bounding{.bound = bound}, of);
        INFO("n=" << n << " bound=" << bound);
        REQUIRE(a.code == errc::ok);
        check_near(a.point, expected(of, bound), 1e-14L);
        CHECK(norm(minus(a.point, widen(of.base))) <= bound * (1 + 1e-14L));
        // Whole only if nothing is cut.
        if (bound > 1e8) CHECK(a.s.whole);
        if (bound < 1e-2) CHECK(!a.s.whole);
      }
    }
}

TEST_CASE("a hostile row moves the mean by no more than its share of the bound") {
  auto x = cloud(10, 5, 3, 0.1);
  const exact before = solve(norm_bounding{.bound = 1}, shape(x)).point;
  for (double& v : x[4]) v = 1e30;
  const answer a = solve(norm_bounding{.bound = 1}, shape(x));
  CHECK(norm(minus(a.point, before)) <= 2.0L / 10 + 1e-12L);
  CHECK(a.s.breakdown == 10);
}

TEST_CASE("what norm bounding refuses") {
  const shape of(cloud(3, 2, 1));
  CHECK(solve(norm_bounding{}, of).code == errc::bad_parameter);
  CHECK(solve(norm_bounding{.bound = 0}, of).code == errc::bad_parameter);
  CHECK(solve(norm_bounding{.bound = std::bit_cast<double>(0x7ff0000000000000u)}, of).code == errc::bad_parameter);
  CHECK(solve(norm_bounding{.bound = std::bit_cast<double>(0x7ff8000000000000u)}, of).code == errc::bad_parameter);
  extras models;
  models.origin = false;
  CHECK(solve(norm_bounding{.bound = 1}, shape(cloud(3, 2, 1), models)).code == errc::missing_origin);
  CHECK(solve(norm_bounding{.bound = 1}, shape(matrix{})).code == errc::too_few_clients);
}
