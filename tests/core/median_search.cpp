// SPDX-License-Identifier: MIT
#include <fedagg/core/median_search.hpp>

#include "support/geometry.hpp"

using namespace shapes;

namespace {

struct found {
  exact point;
  vector shares;
  double gap = 0;
  std::size_t steps = 0;
};

found search(const shape& of, const vector& w, std::size_t max_steps = 1000) {
  const std::size_t n = of.x.size();
  fedagg::arena memory;
  const fedagg::geometry g = of.view();
  fedagg::detail::median_search s(g, w, memory);
  vector a(n);
  double divisor = 0;
  found f;
  f.steps = s.run(max_steps, a, divisor, f.gap);
  f.point.assign(of.base.size(), 0);
  for (std::size_t i = 0; i < n; ++i) {
    f.shares.push_back(a[i] / divisor);
    for (std::size_t j = 0; j < f.point.size(); ++j) f.point[j] += real(a[i]) / real(divisor) * of.x[i][j];
  }
  return f;
}

/// The norm of the subgradient of least norm at z, over the weight.
double true_gap(const shape& of, const vector& w, const exact& z) {
  exact pull(z.size(), 0);
  real held = 0, total = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const exact e = minus(widen(of.x[i]), z);
    const real d = norm(e);
    total += w[i];
    if (d <= 1e-30L) held += w[i];
    else
      for (std::size_t j = 0; j < z.size(); ++j) pull[j] += w[i] * e[j] / d;
  }
  const real rest = norm(pull) - held;
  return static_cast<double>((rest > 0 ? rest : 0) / total);
}

} // namespace

TEST_CASE("weighted searches end where the weighted directions cancel") {
  for (const std::size_t n : {3u, 4u, 7u, 20u, 60u})
    for (const std::size_t d : {2u, 3u, 10u, 200u})
      for (std::uint64_t seed = 0; seed < 5; ++seed) {
        std::mt19937_64 random(seed);
        vector w(n);
        // Some without weight: they must not matter.
        for (double& v : w) v = static_cast<double>(random() % 5) / 4;
        w[0] = w[1] = w[2] = 1;
        const shape of(cloud(n, d, seed * 100 + n + d));
        const found f = search(of, w);
        INFO("n=" << n << " d=" << d << " seed=" << seed << " steps=" << f.steps);
        CHECK(true_gap(of, w, f.point) <= 1e-12);
        CHECK(f.gap <= 1e-13);
        CHECK(f.steps <= 60);
        for (std::size_t i = 0; i < n; ++i) {
          CHECK(f.shares[i] >= 0);
          if (w[i] == 0) CHECK(f.shares[i] == 0);
        }
      }
}

TEST_CASE("a search that is stopped early tells how far it is") {
  auto x = cloud(12, 5, 1);
  for (std::size_t i = 0; i < 6; ++i) x[i][0] += 1e4;
  const shape of(x);
  const vector w(12, 1.0);
  for (const std::size_t steps : {1u, 2u, 5u}) {
    const found f = search(of, w, steps);
    CHECK(f.steps <= steps);
    const double gap = true_gap(of, w, f.point);
    CHECK(gap > 1e-10);
    // It was measured before a last rounding of coefficients, at this point.
    CHECK(f.gap >= gap / 2);
  }
  CHECK(true_gap(of, w, search(of, w).point) <= 1e-12);
}

TEST_CASE("a median beside a row is found from any side") {
  for (const double side : {1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 0.0, -1e-12, -1e-3}) {
    // Three directions from the first row whose sum is 1 + side: it holds them if that is at most one.
    const double c = side / 2, s = std::sqrt(1 - c * c);
    const shape of({{0, 0}, {1, 0}, {5 * c, 5 * s}, {3 * c, -3 * s}});
    const found f = search(of, vector(4, 1.0));
    INFO("side " << side);
    CHECK(true_gap(of, vector(4, 1.0), f.point) <= 1e-13);
    if (side < 0) CHECK(f.shares == vector{1, 0, 0, 0});
    if (side > 1e-10) CHECK(f.point[0] > 0);
  }
}

TEST_CASE("on a line the midpoint of all medians") {
  const auto shares = [](const vector& t, const vector& w) {
    matrix x;
    for (const double v : t) x.push_back({3 * v + 1, -4 * v, 12 * v});
    return search(shape(x), w).shares;
  };
  CHECK(shares({0, 1}, {1, 1}) == vector{0.5, 0.5});
  CHECK(shares({7}, {1}) == vector{1});
  CHECK(shares({3, 3, 3}, {1, 1, 1}) == vector{0, 1, 0});
  CHECK(shares({5, 0, 2, 1}, {1, 1, 1, 1}) == vector{0, 0, 0.5, 0.5});
  CHECK(shares({5, 0, 2, 1, -9}, {1, 1, 1, 1, 1}) == vector{0, 0, 0, 1, 0});
  CHECK(shares({5, 0, 2, 1}, {3, 1, 1, 1}) == vector{0.5, 0, 0.5, 0});
  CHECK(shares({5, 0, 2, 1}, {4, 1, 1, 1}) == vector{1, 0, 0, 0});
  // Rows without weight lie between nothing.
  CHECK(shares({1, 2, 3}, {1, 0, 1}) == vector{0.5, 0, 0.5});
}
