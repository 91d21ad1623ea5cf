// SPDX-License-Identifier: MIT
#include <fedagg/rules/multi_krum.hpp>

#include <algorithm>
#include <numeric>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::multi_krum;

namespace {

std::vector<std::size_t> lowest(const matrix& x, std::size_t neighbours, int power, std::size_t count) {
  exact scores;
  for (std::size_t i = 0; i < x.size(); ++i) {
    exact d;
    for (std::size_t j = 0; j < x.size(); ++j)
      if (j != i) d.push_back(std::pow(square_distance(x[i], x[j]), real(power) / 2));
    std::sort(d.begin(), d.end());
    scores.push_back(std::accumulate(d.begin(), d.begin() + static_cast<std::ptrdiff_t>(std::min(neighbours, d.size())), real(0)));
  }
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  order.resize(count);
  std::sort(order.begin(), order.end());
  return order;
}

} // namespace

TEST_CASE("the mean of the lowest scores") {
  for (std::size_t n = 3; n < 25; n += 3)
    for (std::size_t f = 0; 2 * f + 3 <= n; ++f) {
      const auto x = cloud(n, 4, n * 10 + f);
      const auto hostile = static_cast<std::int64_t>(f);
      for (std::size_t q = 1; q <= n - f; ++q) {
        const auto select = static_cast<std::int64_t>(q);
        INFO("n=" << n << " f=" << f << " q=" << q);
        const auto check = [&](const multi_krum& r, std::size_t neighbours, int power, std::size_t count) {
          const answer a = solve(r, shape(x));
          REQUIRE(a.code == errc::ok);
          const auto want = lowest(x, neighbours, power, count);
          CHECK(a.selected() == want);
          CHECK(a.s.divisor == static_cast<double>(count));
          check_near(a.point, mean_of(x, want), 1e-15L);
        };
        check(multi_krum{.f = hostile, .select = select}, n - f - 2, 2, q);
        check(multi_krum::byzfl(hostile, select), n - f - 1, 2, q);
        check(multi_krum::flower(hostile, select), n - f - 2, 2, q);
        check(multi_krum::fedlib(hostile, select), n - f - 2, 4, q);
        // n - f if nothing is said.
        check(multi_krum{.f = hostile}, n - f - 2, 2, n - f);
        check(multi_krum::fedml(hostile), n - f, 1, n - f);
      }
    }
}

TEST_CASE("what Multi-Krum refuses") {
  const auto code = [](const multi_krum& r, std::size_t n) { return solve(r, shape(cloud(n, 2, n))).code; };
  CHECK(code(multi_krum{}, 9) == errc::bad_parameter);
  CHECK(code(multi_krum{.f = 1, .select = 0}, 9) == errc::bad_parameter);
  CHECK(code(multi_krum{.f = 1, .select = -2}, 9) == errc::bad_parameter);
  CHECK(code(multi_krum{.f = 1, .power = 7}, 9) == errc::bad_parameter);
  CHECK(code(multi_krum{.f = 1, .select = 9}, 9) == errc::too_few_clients);
  CHECK(code(multi_krum{.f = 1, .select = 8}, 9) == errc::ok);
  CHECK(code(multi_krum{.f = 4}, 9) == errc::too_few_clients);
  CHECK(code(multi_krum::byzfl(3), 5) == errc::too_few_clients);
  CHECK(code(multi_krum::byzfl(2), 5) == errc::ok);
  CHECK(code(multi_krum::byzfl(0), 1) == errc::ok);
  CHECK(code(multi_krum{.f = 0}, 2) == errc::too_few_clients);
}

TEST_CASE("equal scores go by the lowest index, and identical rows are their own mean") {
  const answer a = solve(multi_krum{.f = 2, .select = 3}, shape(matrix(9, vector{1, 2})));
  CHECK(a.selected() == std::vector<std::size_t>{0, 1, 2});
  check_near(a.point, {1, 2}, 0);
}

TEST_CASE("hostile rows are not averaged") {
  for (const std::size_t n : {7u, 23u, 200u})
    for (const double far : {1e3, 1e30}) {
      const std::size_t f = (n - 3) / 2;
      auto x = cloud(n, 6, n);
      for (std::size_t k = 0; k < f; ++k)
        for (double& v : x[2 * k]) v = far;
      const answer a = solve(multi_krum{.f = static_cast<std::int64_t>(f)}, shape(x));
      REQUIRE(a.code == errc::ok);
      for (const std::size_t i : a.selected()) CHECK((i % 2 == 1 || i >= 2 * f));
      CHECK(a.selected().size() == n - f);
    }
}
