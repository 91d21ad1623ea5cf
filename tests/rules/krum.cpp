// SPDX-License-Identifier: MIT
#include <fedagg/rules/krum.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::krum;
using fedagg::nearest;

namespace {

/// Scores from the coordinates, by sorting.
exact scores_of(const matrix& x, std::size_t neighbours, int power) {
  exact scores;
  for (std::size_t i = 0; i < x.size(); ++i) {
    exact d;
    for (std::size_t j = 0; j < x.size(); ++j)
      if (j != i) d.push_back(std::pow(square_distance(x[i], x[j]), real(power) / 2));
    std::sort(d.begin(), d.end());
    real sum = 0;
    for (std::size_t k = 0; k < std::min(neighbours, d.size()); ++k) sum += d[k];
    scores.push_back(sum);
  }
  return scores;
}

void check(const krum& rule, const matrix& x, std::size_t neighbours, int power) {
  const exact want = scores_of(x, neighbours, power);
  const auto best = static_cast<std::size_t>(std::min_element(want.begin(), want.end()) - want.begin());
  const answer a = solve(rule, shape(x));
  REQUIRE(a.code == errc::ok);
  CHECK(a.selected() == std::vector<std::size_t>{best});
  CHECK(a.s.whole);
  check_near(a.point, widen(x[best]), 0);
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::abs(a.scores[i] - want[i]) <= 1e-13L * want[i]);
}

} // namespace

TEST_CASE("every preset takes the row with the least score of its kind") {
  for (std::size_t n = 3; n < 30; n += 2)
    for (std::size_t f = 0; 2 * f + 3 <= n; ++f)
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        const auto x = cloud(n, 4, seed * 1000 + n * 10 + f);
        const auto hostile = static_cast<std::int64_t>(f);
        INFO("n=" << n << " f=" << f << " seed=" << seed);
        check(krum{.f = hostile}, x, n - f - 2, 2);
        check(krum::blanchard(hostile), x, n - f - 2, 2);
        check(krum::flower(hostile), x, n - f - 2, 2);
        check(krum::byzfl(hostile), x, n - f - 1, 2);
        check(krum::fedlib(hostile), x, n - f - 2, 4);
        check(krum::fedml(hostile), x, n - f, 1);
        check(krum{.f = hostile, .power = 3}, x, n - f - 2, 3);
      }
}

TEST_CASE("what Krum refuses") {
  const auto code = [](const krum& r, std::size_t n) { return solve(r, shape(cloud(n, 2, n))).code; };
  CHECK(code(krum{}, 9) == errc::bad_parameter);
  CHECK(code(krum{.f = 1, .power = 0}, 9) == errc::bad_parameter);
  CHECK(code(krum{.f = 1, .power = 5}, 9) == errc::bad_parameter);
  for (std::int64_t f = 0; f < 4; ++f)
    for (std::size_t n = 1; n < 12; ++n) {
      const auto m = static_cast<std::int64_t>(n);
      INFO("n=" << n << " f=" << f);
      CHECK(code(krum::blanchard(f), n) == (m >= 2 * f + 3 ? errc::ok : errc::too_few_clients));
      for (const krum& r : {krum::byzfl(f), krum::flower(f), krum::fedml(f)})
        CHECK(code(r, n) == (m > 2 * f ? errc::ok : errc::too_few_clients));
    }
}

TEST_CASE("equal scores go to the lowest index") {
  for (const krum& r : {krum::blanchard(1), krum::byzfl(1), krum::flower(1), krum::fedlib(1), krum::fedml(1)}) {
    CHECK(solve(r, shape(matrix(7, vector{1, 2}))).selected() == std::vector<std::size_t>{0});
    // The corners of a square twice, in this order: all alike.
    CHECK(solve(r, shape({{1, 1}, {-1, 1}, {1, -1}, {-1, -1}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}})).selected() ==
          std::vector<std::size_t>{0});
    // Duplicates of the best row: the first of them.
    CHECK(solve(r, shape({{9, 0}, {0, 0}, {0, 8}, {0, 0}, {0, 0}, {-7, 0}, {0, 0}})).selected() ==
          std::vector<std::size_t>{1});
  }
}

TEST_CASE("one client and two clients") {
  CHECK(solve(krum::byzfl(0), shape({{3, 4}})).selected() == std::vector<std::size_t>{0});
  CHECK(solve(krum::flower(0), shape({{3, 4}})).selected() == std::vector<std::size_t>{0});
  CHECK(solve(krum::fedml(0), shape({{3, 4}, {1, 1}})).selected() == std::vector<std::size_t>{0});
}

TEST_CASE("hostile rows never win, wherever and however far they are") {
  for (const std::size_t n : {7u, 20u, 200u})
    for (const double far : {1e3, 1e30}) {
      const std::size_t f = (n - 3) / 2;
      auto x = cloud(n, 6, n);
      for (std::size_t k = 0; k < f; ++k)
        for (double& v : x[2 * k]) v = far * (k % 2 ? 1 : -1);
      const auto hostile = static_cast<std::int64_t>(f);
      for (const krum& r : {krum::blanchard(hostile), krum::byzfl(hostile), krum::flower(hostile), krum::fedlib(hostile)}) {
        const answer a = solve(r, shape(x));
        REQUIRE(a.code == errc::ok);
        INFO("n=" << n << " far=" << far);
        CHECK((a.selected()[0] % 2 == 1 || a.selected()[0] >= 2 * f));
        CHECK(a.s.breakdown == f);
      }
    }
  // Identical hostile rows are each other's nearest: with one neighbour they would win, and the outcome says so.
  const answer a = solve(krum::flower(2), shape({{0, 0}, {1, 0}, {0, 1}, {50, 50}, {50, 50}}));
  CHECK(a.selected() == std::vector<std::size_t>{3});
  CHECK(a.s.breakdown == 1);
}

TEST_CASE("neither the order of the clients nor where they lie matters") {
  auto x = cloud(11, 3, 4);
  const krum r{.f = 3};
  const exact want = solve(r, shape(x)).point;
  std::mt19937_64 random(1);
  for (int k = 0; k < 20; ++k) {
    std::shuffle(x.begin(), x.end(), random);
    extras e;
    e.origin = false;
    check_near(solve(r, shape(x, e)).point, want, 0);
  }
}
