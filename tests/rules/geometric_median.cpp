// SPDX-License-Identifier: MIT
#include <fedagg/rules/geometric_median.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::geometric_median;

namespace {

constexpr geometric_median trusted{.weighting = fedagg::weights::trusted};

/// The least subgradient's norm at z, over the weight: 0 at a median and nowhere else.
double gap(const shape& of, const exact& z) {
  exact pull(z.size(), 0);
  real held = 0, total = 0;
  for (std::size_t i = 0; i < of.x.size(); ++i) {
    const real w = of.more.weights.empty() ? 1 : of.more.weights[i];
    const exact e = minus(widen(of.x[i]), z);
    const real d = norm(e);
    total += w;
    if (d <= 1e-30L) held += w;
    else
      for (std::size_t j = 0; j < z.size(); ++j) pull[j] += w * e[j] / d;
  }
  const real rest = norm(pull) - held;
  return static_cast<double>((rest > 0 ? rest : 0) / total);
}

} // namespace

TEST_CASE("at the geometric median the directions cancel") {
  for (const std::size_t n : {1u, 2u, 3u, 4u, 5u, 12u, 50u})
    for (const std::size_t d : {1u, 2u, 3u, 20u, 300u})
      for (std::uint64_t seed = 0; seed < 4; ++seed)
        for (const bool origin : {true, false}) {
          extras e;
          e.origin = origin;
          auto x = cloud(n, d, seed * 1000 + n + d, 1, 2);
          if (seed == 3 && n > 4) x[1] = x[3] = x[0];
          const shape of(x, e);
          const answer a = solve(geometric_median{}, of);
          INFO("n=" << n << " d=" << d << " seed=" << seed << " gap told " << a.s.gap);
          REQUIRE(a.code == errc::ok);
          CHECK(gap(of, a.point) <= 1e-12);
          // On a line it allows for rows that lie beside it by less than distances tell.
          CHECK(a.s.gap <= (d == 1 ? 1e-4 : 1e-13));
          CHECK(a.s.iterations <= 60);
          CHECK(a.s.breakdown == (n - 1) / 2);
          for (const double c : a.coefficients) CHECK(c >= 0);
        }
  const shape many(cloud(200, 30, 1));
  CHECK(gap(many, solve(geometric_median{}, many).point) <= 1e-12);
}

TEST_CASE("clusters, which Weiszfeld's steps alone hardly leave") {
  for (const double apart : {1e2, 1e4, 1e6})
    for (const std::size_t n : {11u, 12u}) {
      auto x = cloud(n, 5, n);
      for (std::size_t i = 0; i < 6; ++i) x[i][0] += apart;
      const shape of(x);
      const answer a = solve(geometric_median{}, of);
      INFO("apart " << apart << " n=" << n << " steps " << a.s.iterations);
      CHECK(gap(of, a.point) <= 1e-11);
      CHECK(a.s.iterations <= 100);
    }
}

TEST_CASE("a client that holds the others is the median itself, bit for bit") {
  const answer a = solve(geometric_median{}, shape({{1, 0}, {0, 1}, {0.1, 0.2}, {-1, 0}, {0, -1}, {0.1, 0.2}}));
  CHECK(a.selected().size() == 1);
  check_near(a.point, {0.1L + (real(0.1) - 0.1L), real(0.2)}, 0);
  CHECK(a.s.gap == 0);
  CHECK(a.s.iterations == 0);
  const answer same = solve(geometric_median{}, shape(matrix(6, vector{1, 2, 3})));
  check_near(same.point, {1, 2, 3}, 0);
}

TEST_CASE("of several medians the midpoint") {
  check_near(solve(geometric_median{}, shape({{1, 2}, {5, 10}})).point, {3, 6}, 0);
  check_near(solve(geometric_median{}, shape({{0, 0}, {2, 2}, {6, 6}, {-50, -50}})).point, {1, 1}, 0);
  check_near(solve(geometric_median{}, shape({{7, 7}, {7, 7}})).point, {7, 7}, 0);
  // The corners of a square have one: its centre.
  check_near(solve(geometric_median{}, shape({{1, 1}, {-1, 1}, {1, -1}, {-1, -1}})).point, {0, 0}, 1e-15L);
}

TEST_CASE("a minority 1e30 away does not decide, and costs no accuracy") {
  for (const double spread : {1.0, 1e-6})
    for (const std::size_t hostile : {1u, 5u, 9u})
      for (const bool together : {true, false}) {
        auto x = cloud(20, 30, hostile, spread);
        for (std::size_t k = 0; k < hostile; ++k)
          for (std::size_t j = 0; j < 30; ++j) x[2 * k][j] = 1e30 * (together ? 1 : std::sin(static_cast<double>(k * 31 + j * 7)));
        const shape of(x);
        const answer a = solve(geometric_median{}, of);
        INFO("spread " << spread << ", " << hostile << " hostile, together: " << together);
        REQUIRE(a.code == errc::ok);
        CHECK(gap(of, a.point) <= 1e-10);
        CHECK(a.s.gap <= 1e-12);
        // A few times the honest ones' radius, for nine of twenty.
        CHECK(norm(a.point) <= 40 * spread);
        // Models: their directions are unknown, but not how far they may pull.
        extras models;
        models.origin = false;
        const answer blind = solve(geometric_median{}, shape(x, models));
        CHECK(blind.s.gap <= 1e-12);
        CHECK(norm(blind.point) <= 40 * spread);
        CHECK(gap(of, blind.point) <= static_cast<double>(hostile) / 20);
      }
}

TEST_CASE("trusted weights count a client that often") {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const auto x = cloud(9, 4, seed);
    std::mt19937_64 random(seed);
    extras e;
    matrix often;
    for (std::size_t i = 0; i < 9; ++i) {
      e.weights.push_back(static_cast<double>(random() % 4));
      for (double k = 0; k < e.weights[i]; ++k) often.push_back(x[i]);
    }
    const answer a = solve(trusted, shape(x, e));
    REQUIRE(a.code == errc::ok);
    CHECK(gap(shape(x, e), a.point) <= 1e-12);
    check_near(a.point, solve(geometric_median{}, shape(often)).point, 1e-9L);
    // Ignored unless trusted.
    CHECK(solve(geometric_median{}, shape(x, e)).coefficients == solve(geometric_median{}, shape(x)).coefficients);
    for (double& w : e.weights) w *= 1e300;
    check_near(solve(trusted, shape(x, e)).point, a.point, 1e-12L);
  }
}

TEST_CASE("equal trusted weights give the unweighted median, bit for bit") {
  const auto x = cloud(9, 4, 1);
  const vector plain = solve(geometric_median{}, shape(x)).coefficients;
  for (const double w : {0.1, 1.0, 1e300}) {
    extras e;
    e.weights = vector(9, w);
    CHECK(solve(trusted, shape(x, e)).coefficients == plain);
  }
  // Two of equal weight hold half each, and one all of it, as without weights.
  for (const std::size_t n : {1u, 2u}) {
    extras few;
    few.weights = vector(n, 3.0);
    CHECK(solve(trusted, shape(cloud(n, 3, 1), few)).code == errc::ok);
  }
  extras e;
  e.weights = {3, 4, 5, 6, 7, 8, 9, 10, 11};
  geometric_median capped = trusted;
  capped.weight_cap = 2;
  CHECK(solve(capped, shape(x, e)).coefficients == plain);
  CHECK(solve(trusted, shape(x, e)).coefficients != plain);
}

TEST_CASE("what the geometric median refuses") {
  const auto x = cloud(5, 2, 1);
  const auto weighed = [&](vector w) {
    extras e;
    e.weights = std::move(w);
    return solve(trusted, shape(x, e));
  };
  CHECK(weighed({}).code == errc::weight_count);
  CHECK(weighed({0, 0, 0, 0, 0}).code == errc::zero_weight_sum);
  CHECK(weighed({1, 1, 1, 1, 4}).code == errc::weight_majority);
  CHECK(weighed({1, 1, 1, 1, -1}).code == errc::invalid_weight);
  const answer a = weighed({1, 1, 1, 1, 3});
  CHECK(a.code == errc::ok);
  CHECK(a.s.breakdown == 1);
  CHECK(a.s.breakdown_mass == 0.5);
  CHECK(weighed({2, 2, 2, 2, 2}).s.breakdown_mass == 2.0 / 5);
  CHECK(solve(geometric_median{}, shape(x)).s.breakdown_mass == 0);
  CHECK(solve(geometric_median{}, shape(matrix{})).code == errc::too_few_clients);
  CHECK(solve(geometric_median{.weight_cap = -1}, shape(x)).code == errc::bad_parameter);
  CHECK(solve(geometric_median{.max_iterations = 0}, shape(x)).code == errc::bad_parameter);
}

TEST_CASE("stopped early it tells its gap") {
  auto x = cloud(12, 5, 1);
  for (std::size_t i = 0; i < 6; ++i) x[i][0] += 1e4;
  const shape of(x);
  const answer a = solve(geometric_median{.max_iterations = 2}, of);
  CHECK(a.code == errc::ok);
  CHECK(a.s.iterations == 2);
  CHECK(gap(of, a.point) > 1e-10);
  CHECK(a.s.gap >= gap(of, a.point) / 2);
}
