// SPDX-License-Identifier: MIT
#include <fedagg/rules/mda.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::mda;

namespace {

real diameter(const matrix& x, const std::vector<std::size_t>& rows) {
  real widest = 0;
  for (const std::size_t i : rows)
    for (const std::size_t j : rows) widest = std::max(widest, square_distance(x[i], x[j]));
  return widest;
}

/// Lists all subsets of n - f rows.
std::vector<std::size_t> narrowest(const matrix& x, std::size_t f) {
  std::vector<bool> kept(x.size(), true);
  std::fill(kept.end() - static_cast<std::ptrdiff_t>(f), kept.end(), false);
  std::vector<std::size_t> best;
  real least = 0;
  do {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (kept[i]) rows.push_back(i);
    const real d = diameter(x, rows);
    if (best.empty() || d < least) {
      best = rows;
      least = d;
    }
  } while (std::prev_permutation(kept.begin(), kept.end()));
  return best;
}

} // namespace

TEST_CASE("the narrowest of all subsets, the first of equal ones") {
  for (std::size_t n = 1; n < 13; ++n)
    for (std::size_t f = 0; 2 * f < n; ++f)
      for (std::uint64_t seed = 0; seed < 6; ++seed) {
        auto x = cloud(n, seed % 3 + 1, seed * 1000 + n * 10 + f);
        // On a grid, where equal diameters abound.
        if (seed >= 3)
          for (auto& row : x)
            for (double& v : row) v = std::round(2 * v);
        const answer a = solve(mda{.f = static_cast<std::int64_t>(f)}, shape(x));
        INFO("n=" << n << " f=" << f << " seed=" << seed);
        REQUIRE(a.code == errc::ok);
        const auto want = narrowest(x, f);
        CHECK(a.selected() == want);
        check_near(a.point, mean_of(x, want), 1e-15L);
        CHECK(a.s.gap == 0);
        CHECK(a.s.breakdown == f);
      }
}

TEST_CASE("what MDA refuses") {
  const auto code = [](const mda& r, std::size_t n) { return solve(r, shape(cloud(n, 2, n))).code; };
  CHECK(code(mda{}, 5) == errc::bad_parameter);
  CHECK(code(mda{.f = 1, .max_nodes = 0}, 5) == errc::bad_parameter);
  CHECK(code(mda{.f = 1}, 2) == errc::too_few_clients);
  CHECK(code(mda{.f = 2}, 4) == errc::too_few_clients);
  CHECK(code(mda{.f = 1}, 3) == errc::ok);
  CHECK(code(mda{.f = 0}, 1) == errc::ok);
}

TEST_CASE("identical rows and duplicates") {
  const answer same = solve(mda{.f = 3}, shape(matrix(8, vector{1, 2})));
  CHECK(same.selected() == std::vector<std::size_t>{0, 1, 2, 3, 4});
  const answer a = solve(mda{.f = 2}, shape({{5, 5}, {0, 0}, {5, 5}, {0, 0}, {0, 0}}));
  CHECK(a.selected() == std::vector<std::size_t>{1, 3, 4});
  CHECK(solve(mda{.f = 1}, shape({{0, 0}, {2, 0}, {1, 0}})).selected() == std::vector<std::size_t>{0, 2});
}

TEST_CASE("hostile rows, and forty clients at once") {
  for (const double far : {10.0, 1e30})
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      auto x = cloud(40, 30, seed);
      for (std::size_t k = 0; k < 10; ++k)
        for (double& v : x[(k * 3 + seed) % 40]) v += far * static_cast<double>(k + 1);
      const answer a = solve(mda{.f = 10, .max_nodes = 10000}, shape(x));
      REQUIRE(a.code == errc::ok);
      const auto rows = a.selected();
      for (std::size_t k = 0; k < 10; ++k) CHECK(std::count(rows.begin(), rows.end(), (k * 3 + seed) % 40) == 0);
    }
  for (std::uint64_t seed = 0; seed < 5; ++seed)
    for (const std::size_t d : {2u, 30u})
      CHECK(solve(mda{.f = 10, .max_nodes = 10000}, shape(cloud(40, d, seed))).code == errc::ok);
}

TEST_CASE("past its limit the search gives the best it has, and how good that is") {
  for (const std::size_t n : {40u, 200u})
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const auto x = cloud(n, 3, seed);
      const shape of(x);
      const auto f = static_cast<std::int64_t>(n * 2 / 5);
      const answer best = solve(mda{.f = f}, of);
      REQUIRE(best.code == errc::ok);
      REQUIRE(best.s.iterations > 3);
      const real least = std::sqrt(diameter(x, best.selected()));
      for (const std::int64_t nodes : {std::int64_t{1}, std::int64_t{3}}) {
        const answer a = solve(mda{.f = f, .max_nodes = nodes}, of);
        INFO("n=" << n << " seed=" << seed << " nodes=" << nodes);
        CHECK(a.code == errc::search_limit);
        CHECK(a.s.iterations == static_cast<std::size_t>(nodes));
        REQUIRE(a.selected().size() == n - static_cast<std::size_t>(f));
        const real reached = std::sqrt(diameter(x, a.selected()));
        CHECK(reached >= least);
        // No subset is narrower than the gap allows.
        CHECK(static_cast<double>(reached * (1 - real(a.s.gap))) <= static_cast<double>(least) * (1 + 1e-14));
      }
      CHECK(solve(mda{.f = f, .max_nodes = 1}, of).s.gap > 0);
    }
}
