// SPDX-License-Identifier: MIT
#include <fedagg/core/line_median.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;

namespace {

struct found {
  bool line = false;
  vector shares;
  double gap = 0;
};

found look(const shape& of, const vector& w, std::size_t centre = 0) {
  const std::size_t n = of.x.size();
  fedagg::arena memory;
  const fedagg::geometry g = of.view();
  fedagg::detail::directions from(n, memory);
  from.look(g, centre);
  std::vector<fedagg::detail::ranked> order(n);
  fedagg::detail::line_median median(g, w, from, order);
  found f;
  f.line = median.exists();
  if (!f.line) return f;
  f.shares.assign(n, 0.0);
  double divisor = 0;
  f.gap = median.solve(f.shares, divisor);
  for (double& a : f.shares) a /= divisor;
  return f;
}

/// The norm of the least subgradient at the point of these shares, over the weight.
double true_gap(const shape& of, const vector& w, const vector& shares) {
  exact z(of.base.size(), 0);
  for (std::size_t i = 0; i < w.size(); ++i)
    for (std::size_t j = 0; j < z.size(); ++j) z[j] += real(shares[i]) * of.x[i][j];
  exact pull(z.size(), 0);
  real held = 0, total = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const exact e = minus(widen(of.x[i]), z);
    const real d = norm(e);
    total += w[i];
    if (d <= 1e-25L) held += w[i];
    else
      for (std::size_t j = 0; j < z.size(); ++j) pull[j] += w[i] * e[j] / d;
  }
  const real rest = norm(pull) - held;
  return static_cast<double>((rest > 0 ? rest : 0) / total);
}

} // namespace

TEST_CASE("a line, and what is none") {
  const auto on = [](const matrix& x) { return look(shape(x), vector(x.size(), 1.0)).line; };
  CHECK(on({{1, 2}}));
  CHECK(on({{1, 2}, {1, 2}}));
  CHECK(on({{1, 2}, {-7, 3}}));
  CHECK(on({{0, 0}, {1, 2}, {-3, -6}}));
  CHECK_FALSE(on({{0, 0}, {1, 2}, {-3, -6.001}}));
  CHECK_FALSE(on({{0, 0}, {1, 0}, {0, 1}}));
  // Who has no weight is on every line.
  CHECK(look(shape({{0, 0}, {1, 0}, {0, 1}, {2, 0}}), {1, 1, 0, 1}).line);
}

TEST_CASE("the weighted median, the midpoint of all of them") {
  const shape of({{0, 0}, {1, 1}, {2, 2}, {6, 6}, {-50, -50}});
  CHECK(look(of, {1, 1, 1, 1, 1}).shares == vector{0, 1, 0, 0, 0});
  CHECK(look(of, {1, 1, 1, 1, 0}).shares == vector{0, 0.5, 0.5, 0, 0});
  CHECK(look(of, {1, 0, 1, 2, 4}).shares == vector{0.5, 0, 0, 0, 0.5});
  CHECK(look(of, {1, 0, 1, 2, 5}).shares == vector{0, 0, 0, 0, 1});
}

TEST_CASE("the gap covers rows that lie off the line by less than distances tell") {
  std::size_t lines = 0, between = 0;
  double worst = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    std::mt19937_64 random(seed);
    const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
    const std::size_t n = 3 + seed % 8;
    const double off = 3e-8 * std::pow(0.1, static_cast<double>(random() % 3));
    matrix x;
    vector w;
    for (std::size_t i = 0; i < n; ++i) {
      const double t = (uniform() < 0.5 ? -1 : 1) * std::pow(10.0, -4 * uniform());
      x.push_back({t, off * std::abs(t) * (2 * uniform() - 1), seed % 2 ? off * uniform() * std::abs(t) : 0.0});
      w.push_back(seed % 3 ? 1.0 : 1 + static_cast<double>(random() % 3));
    }
    const shape of(x);
    const found f = look(of, w, random() % n);
    if (!f.line) continue;
    ++lines;
    between += std::count(f.shares.begin(), f.shares.end(), 0.5) > 0;
    const double gap = true_gap(of, w, f.shares);
    INFO("seed " << seed << ": told " << f.gap);
    CHECK(gap <= f.gap * (1 + 1e-5) + 1e-14);
    worst = std::max(worst, gap);
  }
  CHECK(lines > 500);
  CHECK(between > 100);
  // Not everything on a line is exact.
  CHECK(worst > 1e-8);
}

TEST_CASE("two of four rows 1e-4 apart and 1e-8 off the line") {
  const shape of({{-1, 0}, {-5e-5, 0}, {5e-5, 1e-8}, {1, 0}});
  const found f = look(of, vector(4, 1.0));
  REQUIRE(f.line);
  CHECK(f.shares == vector{0, 0.5, 0.5, 0});
  const double gap = true_gap(of, vector(4, 1.0), f.shares);
  CHECK(f.gap >= gap);
  CHECK(f.gap < 1e-2);
}

TEST_CASE("a row that holds the others has no gap, two alone neither") {
  CHECK(look(shape({{0, 0}, {1, 1}, {2, 2}, {6, 6}, {-50, -50}}), vector(5, 1.0)).gap == 0);
  CHECK(look(shape({{1, 2}, {-7, 3}}), vector(2, 1.0)).gap == 0);
  CHECK(look(shape(matrix(4, vector{1, 2})), vector(4, 1.0)).gap == 0);
  const double even = look(shape({{0, 0}, {1, 1}, {2, 2}, {3, 3}}), vector(4, 1.0)).gap;
  CHECK((even > 0 && even < 1e-6));
}
