// SPDX-License-Identifier: MIT
#include "support/eigen_allocations.hpp"

#include <fedagg/rules/smea.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::smea;

namespace {

/// The top eigenvalue of some rows' scatter, by Jacobi rotations of the coordinates' matrix in long double.
real top_of(const matrix& x, const std::vector<std::size_t>& rows) {
  const exact m = mean_of(x, rows);
  const std::size_t d = m.size();
  std::vector<exact> a(d, exact(d, 0));
  for (const std::size_t i : rows)
    for (std::size_t p = 0; p < d; ++p)
      for (std::size_t q = 0; q < d; ++q) a[p][q] += (x[i][p] - m[p]) * (x[i][q] - m[q]);
  for (int sweep = 0; sweep < 30; ++sweep)
    for (std::size_t p = 0; p < d; ++p)
      for (std::size_t q = p + 1; q < d; ++q) {
        if (a[p][q] == 0) continue;
        const real theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const real t = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const real c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (std::size_t k = 0; k < d; ++k) {
          const real u = a[k][p], v = a[k][q];
          a[k][p] = c * u - s * v;
          a[k][q] = s * u + c * v;
        }
        for (std::size_t k = 0; k < d; ++k) {
          const real u = a[p][k], v = a[q][k];
          a[p][k] = c * u - s * v;
          a[q][k] = s * u + c * v;
        }
      }
  real top = 0;
  for (std::size_t p = 0; p < d; ++p) top = std::max(top, a[p][p]);
  return top;
}

/// Lists all subsets of n - f rows; of equal ones the first.
std::vector<std::size_t> flattest(const matrix& x, std::size_t f) {
  std::vector<bool> kept(x.size(), true);
  std::fill(kept.end() - static_cast<std::ptrdiff_t>(f), kept.end(), false);
  std::vector<std::size_t> best;
  real least = 0;
  do {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (kept[i]) rows.push_back(i);
    const real top = top_of(x, rows);
    if (best.empty() || top < least * (1 - 1e-13L)) {
      best = rows;
      least = top;
    }
  } while (std::prev_permutation(kept.begin(), kept.end()));
  return best;
}

/// The same for many rows: from their products, in double.
double top_of_products(const matrix& x, const std::vector<std::size_t>& rows) {
  const exact m = mean_of(x, rows);
  const auto n = static_cast<Eigen::Index>(rows.size()), d = static_cast<Eigen::Index>(m.size());
  Eigen::MatrixXd a(n, d);
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t j = 0; j < m.size(); ++j)
      a(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = static_cast<double>(x[rows[i]][j] - m[j]);
  if (n > d) a = Eigen::MatrixXd(a.transpose());
  const Eigen::MatrixXd products = a * a.transpose();
  return Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(products, Eigen::EigenvaluesOnly).eigenvalues().maxCoeff();
}

const matrix y8{{0.5, -0.14, 0.65, 1.52},    {-0.23, -0.23, 1.58, 0.77}, {-0.47, 0.54, -0.46, -0.47},
                {0.24, -1.91, -1.72, -0.56}, {-1.01, 0.31, -0.91, -1.41}, {1.47, -0.23, 0.07, -1.42},
                {6.5, -5.25, 4.0, -3.75},    {-7.0, 2.5, 8.25, 0.5}};

} // namespace

TEST_CASE("values that others published or recomputed") {
  const answer a = solve(smea{.f = 2}, shape(y8));
  REQUIRE(a.code == errc::ok);
  CHECK(a.selected() == std::vector<std::size_t>{0, 1, 2, 3, 4, 5});
  check_near(a.point, widen({0.08333333333333333, -0.2766666666666666, -0.13166666666666668, -0.26166666666666666}), 1e-9L);
  // An exact tie of {0, 1} and {1, 2}.
  const answer tie = solve(smea{.f = 1}, shape({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}));
  check_near(tie.point, widen({2.5, 3.5, 4.5}), 1e-15L);
}

TEST_CASE("of all subsets the one with the least top eigenvalue, the first of equal ones") {
  // With six or more to drop they are no longer all found at once.
  for (std::size_t n = 1; n < 14; ++n)
    for (std::size_t f = n < 12 ? 0 : 6; 2 * f < n; ++f)
      for (std::uint64_t seed = 0; seed < 6; ++seed) {
        auto x = cloud(n, seed % 3 + 1, seed * 1000 + n * 10 + f);
        // On a grid, where equal eigenvalues abound.
        if (seed >= 3)
          for (auto& row : x)
            for (double& v : row) v = std::round(2 * v);
        const answer a = solve(smea{.f = static_cast<std::int64_t>(f)}, shape(x));
        INFO("n=" << n << " f=" << f << " seed=" << seed);
        REQUIRE(a.code == errc::ok);
        const auto want = flattest(x, f);
        CHECK(a.selected() == want);
        check_near(a.point, mean_of(x, want), 1e-15L);
        CHECK(a.s.gap == 0);
        CHECK(a.s.breakdown == f);
      }
}

TEST_CASE("what SMEA refuses") {
  const auto code = [](const smea& r, std::size_t n) { return solve(r, shape(cloud(n, 2, n))).code; };
  CHECK(code(smea{}, 5) == errc::bad_parameter);
  CHECK(code(smea{.f = 1, .max_nodes = -1}, 5) == errc::bad_parameter);
  CHECK(code(smea{.f = 1}, 2) == errc::too_few_clients);
  CHECK(code(smea{.f = 2}, 4) == errc::too_few_clients);
  CHECK(code(smea{.f = 1}, 3) == errc::ok);
  CHECK(code(smea{.f = 0}, 1) == errc::ok);
}

TEST_CASE("identical rows and duplicates") {
  const answer same = solve(smea{.f = 3}, shape(matrix(8, vector{1, 2})));
  CHECK(same.code == errc::ok);
  CHECK(same.selected() == std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK(same.s.iterations < 10);
  CHECK(solve(smea{.f = 2}, shape({{5, 5}, {0, 0}, {5, 5}, {0, 0}, {0, 0}})).selected() == std::vector<std::size_t>{1, 3, 4});
  CHECK(solve(smea{.f = 2}, shape({{0, 0}, {0, 0}, {5, 5}, {0, 0}, {0, 0}})).selected() == std::vector<std::size_t>{0, 1, 3});
}

TEST_CASE("hostile rows of any size, several sizes at once") {
  for (const double far : {20.0, 1e6, 1e30, 1e150})
    for (const bool alike : {false, true})
      for (std::uint64_t seed = 0; seed < 4; ++seed) {
        auto x = cloud(12, 30, seed);
        std::vector<std::size_t> honest;
        for (std::size_t i = 0; i < 12; ++i) {
          if (i % 4 != seed % 4) {
            honest.push_back(i);
            continue;
          }
          for (double& v : x[i]) v += far * (alike ? 1 : i < 4 ? 1 : i < 8 ? -1e-3 : 1e-7);
          if (!alike && i >= 8) for (double& v : x[i]) v = 20;
          if (!alike && i >= 4 && i < 8) for (std::size_t j = 0; j < 15; ++j) x[i][j] = -30;
        }
        INFO("far=" << far << " alike=" << alike << " seed=" << seed);
        const answer a = solve(smea{.f = 3}, shape(x));
        REQUIRE(a.code == errc::ok);
        CHECK(a.selected() == honest);
      }
}

TEST_CASE("the size of the numbers does not matter") {
  const auto x = cloud(9, 3, 5);
  const auto want = solve(smea{.f = 3}, shape(x)).selected();
  for (const double size : {0x1p-500, 0x1p-100, 0x1p100, 0x1p500}) {
    auto y = x;
    for (auto& row : y)
      for (double& v : row) v *= size;
    CHECK(solve(smea{.f = 3}, shape(y)).selected() == want);
  }
}

TEST_CASE("past its limit the search gives the best it has, and how good that is") {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const auto x = cloud(24, 20, seed);
    const shape of(x);
    const answer best = solve(smea{.f = 9}, of);
    REQUIRE(best.code == errc::ok);
    REQUIRE(best.s.iterations > 80);
    const real least = top_of(x, best.selected());
    for (const std::int64_t nodes : {1, 8, 60}) {
      const answer a = solve(smea{.f = 9, .max_nodes = nodes}, of);
      INFO("seed=" << seed << " nodes=" << nodes);
      CHECK(a.code == errc::search_limit);
      // A first subset and a bound there are always, and the last rows are not dropped by half.
      CHECK(a.s.iterations <= static_cast<std::size_t>(nodes) + 40);
      REQUIRE(a.selected().size() == 15);
      const real reached = top_of(x, a.selected());
      CHECK(static_cast<double>(reached) >= static_cast<double>(least) * (1 - 1e-14));
      CHECK(static_cast<double>(reached * (1 - real(a.s.gap))) <= static_cast<double>(least) * (1 + 1e-12));
      CHECK((a.s.gap > 0 && a.s.gap < 1));
    }
  }
}

TEST_CASE("forty honest clients of whom ten are dropped") {
  const auto x = cloud(40, 60, 1);
  const answer a = solve(smea{.f = 10}, shape(x));
  REQUIRE(a.code == errc::ok);
  CHECK(a.s.gap == 0);
  // Half a second; listing all subsets would be 847660528 nodes.
  CHECK(a.s.iterations < 20000);
  // Nobody may be exchanged for another.
  const auto best = a.selected();
  REQUIRE(best.size() == 30);
  const double least = top_of_products(x, best);
  for (std::size_t out = 0; out < 40; ++out) {
    if (a.coefficients[out] != 0) continue;
    for (std::size_t k = 0; k < 30; ++k) {
      auto other = best;
      other[k] = out;
      CHECK(top_of_products(x, other) > least);
    }
  }
}

TEST_CASE("two hundred clients that look alike end the search in bounded time") {
  const auto x = cloud(200, 30, 1);
  const shape of(x);
  for (const std::int64_t f : {20, 50, 99}) {
    const answer a = solve(smea{.f = f, .max_nodes = 20}, of);
    INFO("f=" << f);
    CHECK(a.code == errc::search_limit);
    CHECK(a.s.iterations < 60);
    const auto best = a.selected();
    REQUIRE(best.size() == 200 - static_cast<std::size_t>(f));
    CHECK((a.s.gap > 0 && a.s.gap < 1));
    // Better than the first ones, or than the last ones.
    std::vector<std::size_t> first, last;
    for (std::size_t i = 0; i < best.size(); ++i) {
      first.push_back(i);
      last.push_back(199 - i);
    }
    CHECK(top_of_products(x, best) < top_of_products(x, first));
    CHECK(top_of_products(x, best) < top_of_products(x, last));
  }
  // A node takes some n^3 nanoseconds.
  for (const std::size_t n : {3u, 40u, 200u, 2000u})
    CHECK(static_cast<double>(smea::default_nodes(n)) * 1e-9 * static_cast<double>(n * n) * static_cast<double>(n) < 18);
  CHECK(smea::default_nodes(40) > 100000);
  CHECK(smea::default_nodes(200) > 1000);
  CHECK(smea::default_nodes(1000000) == 1);
}

TEST_CASE("clients in one place, and other ties beyond what a list of all subsets could tell") {
  // Twenty-one in one place and twenty elsewhere.
  auto x = cloud(41, 5, 1);
  std::vector<std::size_t> want;
  for (std::size_t i = 1; i < 41; i += 2) x[i] = x[1];
  x[0] = x[1];
  for (std::size_t i = 0; i < 41; ++i)
    if (i % 2 == 1 || i == 0) want.push_back(i);
  const answer a = solve(smea{.f = 20}, shape(x));
  REQUIRE(a.code == errc::ok);
  CHECK(a.selected() == want);
  CHECK(a.s.iterations == 0);
  // Pairs at the corners of a cross in ten dimensions.
  matrix cross(20, vector(10));
  for (std::size_t i = 0; i < 20; ++i) cross[i][i / 2] = i % 2 ? 1 : -1;
  const answer b = solve(smea{.f = 2}, shape(cross));
  CHECK(b.code == errc::ok);
  CHECK(b.selected() == flattest(cross, 2));
}

TEST_CASE("only Eigen allocates") {
  const auto a = allocations::in_steady_state(smea{.f = 6}, cloud(20, 30, 1));
  CHECK(a.iterations > 20);
  CHECK(a.plain == 0);
}
