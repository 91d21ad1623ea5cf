// SPDX-License-Identifier: MIT
#include <fedagg/rules/cge.hpp>

#include <algorithm>
#include <numeric>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::cge;

TEST_CASE("the mean of the updates of least norm") {
  for (const std::size_t n : {1u, 2u, 3u, 10u, 200u})
    for (const std::size_t f : {std::size_t{0}, (n - 1) / 4, (n - 1) / 2}) {
      auto x = cloud(n, 4, n + f);
      if (n > 5) {
        x[3] = x[4];
        x[5] = vector(4);
        for (double& v : x[1]) v *= 1e30;
      }
      extras e;
      e.base = {0.5, 0, -0.5, 1};
      const answer a = solve(cge{.f = static_cast<std::int64_t>(f)}, shape(x, e));
      std::vector<std::size_t> order(n);
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
        return square_distance(x[i], e.base) < square_distance(x[j], e.base);
      });
      order.resize(n - f);
      std::sort(order.begin(), order.end());
      INFO("n=" << n << " f=" << f);
      REQUIRE(a.code == errc::ok);
      CHECK(a.selected() == order);
      CHECK(a.s.breakdown == f);
      const bool averages_the_far_one = n > 5 && f == 0;
      if (!averages_the_far_one) check_near(a.point, mean_of(x, order), 1e-14L);
    }
}

TEST_CASE("equal norms go by the lowest index") {
  CHECK(solve(cge{.f = 2}, shape({{3, 4}, {5, 0}, {0, 5}, {-3, 4}, {0, -5}})).selected() == std::vector<std::size_t>{0, 1, 2});
  CHECK(solve(cge{.f = 1}, shape(matrix(3, vector{0, 0}))).selected() == std::vector<std::size_t>{0, 1});
}

TEST_CASE("what CGE refuses") {
  extras models;
  models.origin = false;
  CHECK(solve(cge{.f = 1}, shape(cloud(5, 2, 1), models)).code == errc::missing_origin);
  CHECK(solve(cge{}, shape(cloud(5, 2, 1))).code == errc::bad_parameter);
  CHECK(solve(cge{.f = 1}, shape(cloud(2, 2, 1))).code == errc::too_few_clients);
  CHECK(solve(cge{.f = 2}, shape(cloud(4, 2, 1))).code == errc::too_few_clients);
}
