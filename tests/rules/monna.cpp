// SPDX-License-Identifier: MIT
#include <fedagg/rules/monna.hpp>

#include <algorithm>
#include <numeric>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::monna;

namespace {

/// The rows nearest to a point, `centre` first if it is a row.
std::vector<std::size_t> nearest_to(const matrix& x, const vector& point, std::size_t centre, std::size_t count) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (a == centre || b == centre) return a == centre && b != centre;
    return square_distance(x[a], point) < square_distance(x[b], point);
  });
  order.resize(count);
  std::sort(order.begin(), order.end());
  return order;
}

} // namespace

TEST_CASE("the mean of the nearest to a client") {
  for (const std::size_t n : {1u, 2u, 3u, 8u, 21u})
    for (std::size_t f = 0; 2 * f < n; ++f)
      for (std::size_t pivot = 0; pivot < n; pivot += 3) {
        auto x = cloud(n, 4, n * 10 + f);
        if (n > 5) x[4] = x[1];
        const answer a = solve(monna{.f = static_cast<std::int64_t>(f), .pivot = static_cast<std::int64_t>(pivot)}, shape(x));
        INFO("n=" << n << " f=" << f << " pivot=" << pivot);
        REQUIRE(a.code == errc::ok);
        const auto want = nearest_to(x, x[pivot], pivot, n - f);
        CHECK(a.selected() == want);
        check_near(a.point, mean_of(x, want), 1e-15L);
        for (std::size_t i = 0; i < n; ++i) CHECK(a.scores[i] == static_cast<double>(square_distance(x[i], x[pivot])));
      }
}

TEST_CASE("the mean of the trusted row and its nearest clients") {
  for (const std::size_t n : {1u, 2u, 3u, 8u, 21u})
    for (std::size_t f = 0; 2 * f < n + 1; ++f) {
      const auto x = cloud(n, 4, n * 10 + f);
      extras e;
      e.trusted = {0.5, 0.25, -0.5, 0};
      e.origin = n % 2 == 0;
      const answer a = solve(monna{.f = static_cast<std::int64_t>(f)}, shape(x, e));
      INFO("n=" << n << " f=" << f);
      REQUIRE(a.code == errc::ok);
      auto want = nearest_to(x, e.trusted, n, n - f);
      auto all = x;
      all.push_back(e.trusted);
      want.push_back(n);
      CHECK(a.selected() == want);
      check_near(a.point, mean_of(all, want), 1e-15L);
    }
}

TEST_CASE("a pivot is the index of a client, not of a row that is left") {
  extras e;
  e.clients = {0, 2, 3, 5};
  const shape of({{0, 0}, {1, 0}, {10, 0}, {11, 0}}, e);
  CHECK(solve(monna{.f = 1, .pivot = 2}, of).selected() == std::vector<std::size_t>{0, 1, 2});
  CHECK(solve(monna{.f = 1, .pivot = 5}, of).selected() == std::vector<std::size_t>{1, 2, 3});
  // Rejected, or never there.
  CHECK(solve(monna{.f = 1, .pivot = 1}, of).code == errc::missing_trusted);
  CHECK(solve(monna{.f = 1, .pivot = 6}, of).code == errc::missing_trusted);
}

TEST_CASE("a pivot leaves the trusted row out") {
  extras e;
  e.trusted = {100, 0};
  const answer a = solve(monna{.f = 1, .pivot = 0}, shape({{0, 0}, {1, 0}, {2, 0}}, e));
  CHECK(a.selected() == std::vector<std::size_t>{0, 1});
}

TEST_CASE("what MoNNA refuses") {
  const shape of(cloud(4, 2, 1));
  CHECK(solve(monna{}, of).code == errc::bad_parameter);
  CHECK(solve(monna{.f = 1, .pivot = -2}, of).code == errc::bad_parameter);
  CHECK(solve(monna{.f = 1}, of).code == errc::missing_trusted);
  CHECK(solve(monna{.f = 2, .pivot = 0}, of).code == errc::too_few_clients);
  extras e;
  e.trusted = {0, 0};
  CHECK(solve(monna{.f = 2}, shape(cloud(3, 2, 1), e)).code == errc::too_few_clients);
  CHECK(solve(monna{.f = 2}, shape(cloud(4, 2, 1), e)).code == errc::ok);
  CHECK(solve(monna{.f = 0}, shape(cloud(1, 2, 1), e)).selected() == std::vector<std::size_t>{0, 1});
}

TEST_CASE("ties go by the lowest index, hostile rows stay out") {
  CHECK(solve(monna{.f = 2, .pivot = 3}, shape(matrix(6, vector{1, 2}))).selected() == std::vector<std::size_t>{0, 1, 2, 3});
  auto x = cloud(200, 5, 1);
  for (std::size_t i = 0; i < 99; ++i) x[i][0] = 1e30;
  const answer a = solve(monna{.f = 99, .pivot = 150}, shape(x));
  REQUIRE(a.code == errc::ok);
  CHECK(a.selected().front() == 99);
  CHECK(a.selected().size() == 101);
}
