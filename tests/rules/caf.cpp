// SPDX-License-Identifier: MIT
#include "support/eigen_allocations.hpp"

#include <fedagg/rules/caf.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::caf;

namespace {

const matrix y8{{0.5, -0.14, 0.65, 1.52},    {-0.23, -0.23, 1.58, 0.77}, {-0.47, 0.54, -0.46, -0.47},
                {0.24, -1.91, -1.72, -0.56}, {-1.01, 0.31, -0.91, -1.41}, {1.47, -0.23, 0.07, -1.42},
                {6.5, -5.25, 4.0, -3.75},    {-7.0, 2.5, 8.25, 0.5}};

struct reference {
  exact mean;
  real least = 0, least_taken = 1e30L;
  std::size_t iterations = 0;
};

/// The definition on coordinates: a power iteration in long double from every direction of the rows. `plain` is the
/// paper's loop, whose maximum is over all clients always; it may go on for ever, and is given up then.
reference filtered(const matrix& x, std::size_t f, bool plain = false) {
  const std::size_t n = x.size(), d = x[0].size();
  exact c(n, 1);
  reference r;
  for (;;) {
    real total = 0;
    for (const real w : c) total += w;
    if (!(total > real(n - 2 * f))) return r;
    exact m(d, 0);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < d; ++j) m[j] += c[i] / total * x[i][j];
    std::vector<exact> s(d, exact(d, 0));
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t p = 0; p < d; ++p)
        for (std::size_t q = 0; q < d; ++q) s[p][q] += c[i] / total * (x[i][p] - m[p]) * (x[i][q] - m[q]);
    // Squared so often that only the top eigenvector is left.
    auto power = s;
    for (int k = 0; k < 40; ++k) {
      std::vector<exact> next(d, exact(d, 0));
      real trace = 0;
      for (std::size_t p = 0; p < d; ++p)
        for (std::size_t q = 0; q < d; ++q)
          for (std::size_t t = 0; t < d; ++t) next[p][q] += power[p][t] * power[t][q];
      for (std::size_t p = 0; p < d; ++p) trace += next[p][p];
      for (auto& row : next)
        for (real& v : row) v /= trace;
      power = next;
    }
    exact v = power[0];
    for (const exact& row : power)
      if (norm(row) > norm(v)) v = row;
    const real length = norm(v);
    for (real& e : v) e /= length;
    real top = 0;
    for (std::size_t p = 0; p < d; ++p)
      for (std::size_t q = 0; q < d; ++q) top += v[p] * s[p][q] * v[q];
    if (r.iterations++ == 0 || top < r.least) {
      r.least = top;
      r.mean = m;
    }
    exact tau(n, 0);
    real among_all = 0, among_some = 0, taken = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < d; ++j) tau[i] += (x[i][j] - m[j]) * v[j];
      tau[i] *= tau[i];
      among_all = std::max(among_all, tau[i]);
      if (c[i] > 0) among_some = std::max(among_some, tau[i]);
    }
    for (std::size_t i = 0; i < n; ++i) taken += c[i] * tau[i] / among_all;
    r.least_taken = std::min(r.least_taken, taken);
    const real most = taken < 1.0L / 32 && !plain ? among_some : among_all;
    if (plain && r.iterations > 300) return {};
    for (std::size_t i = 0; i < n; ++i)
      if (c[i] > 0) c[i] *= tau[i] < most ? 1 - tau[i] / most : 0;
  }
}

} // namespace

TEST_CASE("values that others published or recomputed") {
  const answer a = solve(caf{.f = 2}, shape(y8));
  REQUIRE(a.code == errc::ok);
  CHECK(a.s.iterations == 11);
  check_near(a.point, widen({0.11214241664988958, -0.19951089053507787, -0.2610086365173173, -0.4951870798252132}), 1e-12L);
  check_near(solve(caf{.f = 1}, shape({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}})).point, widen({4, 5, 6}), 1e-15L);
}

TEST_CASE("the definition on coordinates") {
  for (const std::size_t n : {3u, 4u, 7u, 12u, 20u})
    for (std::size_t f = 1; 2 * f < n; f += 2)
      for (std::uint64_t seed = 0; seed < 4; ++seed) {
        auto x = cloud(n, 4, seed * 100 + n);
        // Directions that are told apart, and sometimes somebody far away.
        for (auto& row : x) row[1] *= 2, row[3] *= 5;
        if (seed > 1)
          for (std::size_t k = 0; k < f; ++k) x[k * 2][k % 4] += seed == 2 ? 30 : 1e4 * static_cast<double>(k + 1);
        const reference want = filtered(x, f);
        const answer a = solve(caf{.f = static_cast<std::int64_t>(f)}, shape(x));
        INFO("n=" << n << " f=" << f << " seed=" << seed);
        REQUIRE(a.code == errc::ok);
        CHECK(a.s.iterations == want.iterations);
        check_near(a.point, want.mean, 1e-9L);
        CHECK(a.s.breakdown == f);
        for (std::size_t i = 0; i < n; ++i) CHECK(a.scores[i] == 1 - a.coefficients[i]);
      }
}

TEST_CASE("the loop of the paper, where it takes some weight in every step") {
  std::size_t same = 0;
  for (const std::size_t n : {5u, 8u, 12u, 20u})
    for (std::size_t f = 1; 2 * f < n; f += 2)
      for (std::uint64_t seed = 0; seed < 4; ++seed) {
        auto x = cloud(n, 4, seed * 100 + n);
        for (auto& row : x) row[1] *= 2, row[3] *= 5;
        if (seed > 1) x[n / 2][2] += seed == 2 ? 8 : -12;
        const reference want = filtered(x, f, true);
        // Whether it does so is seen from that loop alone: the least that a step took.
        if (want.iterations == 0 || want.least_taken < 0.04L) continue;
        ++same;
        const answer a = solve(caf{.f = static_cast<std::int64_t>(f)}, shape(x));
        INFO("n=" << n << " f=" << f << " seed=" << seed);
        REQUIRE(a.code == errc::ok);
        CHECK(a.s.iterations == want.iterations);
        check_near(a.point, want.mean, 1e-9L);
      }
  CHECK(same > 30);
}

TEST_CASE("what CAF refuses, and what needs no filter") {
  const auto code = [](const caf& r, std::size_t n) { return solve(r, shape(cloud(n, 2, n))).code; };
  CHECK(code(caf{}, 5) == errc::bad_parameter);
  CHECK(code(caf{.f = 1}, 2) == errc::too_few_clients);
  CHECK(code(caf{.f = 2}, 4) == errc::too_few_clients);
  CHECK(code(caf{.f = 1}, 3) == errc::ok);
  for (const std::size_t n : {1u, 2u, 5u}) {
    const auto x = cloud(n, 3, n);
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(i);
    check_near(solve(caf{.f = 0}, shape(x)).point, mean_of(x, all), 1e-15L);
  }
  const answer same = solve(caf{.f = 3}, shape(matrix(8, vector{1, 2})));
  REQUIRE(same.code == errc::ok);
  check_near(same.point, {1, 2}, 0);
  CHECK(same.s.iterations == 1);
}

TEST_CASE("nobody chooses the number of iterations, or wins by being far away") {
  for (const double far : {1e2, 1e6, 1e15, 1e30, 1e150})
    for (const bool both : {false, true})
      for (const std::size_t n : {5u, 12u, 41u}) {
        const std::size_t f = (n - 1) / 4;
        auto x = cloud(n, 6, n);
        std::vector<std::size_t> honest;
        for (std::size_t i = 0; i < n; ++i) {
          if (i >= f) {
            honest.push_back(i);
            continue;
          }
          // One far away keeps the others small beside it, as far as it is allowed to.
          for (double& v : x[i]) v += i == 0 ? far : both ? -far / static_cast<double>(i) : 50;
          x[i][i % 6] -= 20;
        }
        const answer a = solve(caf{.f = static_cast<std::int64_t>(f)}, shape(x));
        INFO("n=" << n << " far=" << far << " both=" << both);
        REQUIRE(a.code == errc::ok);
        CHECK(a.s.iterations <= 64 * f + n);
        check_near(a.point, mean_of(x, honest), 2);
      }
}

TEST_CASE("neither where the clients lie nor the size of the numbers matters") {
  const auto x = cloud(9, 4, 5);
  const exact want = solve(caf{.f = 3}, shape(x)).point;
  for (const double size : {0x1p-500, 0x1p-100, 0x1p100, 0x1p500}) {
    auto y = x;
    for (auto& row : y)
      for (double& v : row) v *= size;
    exact scaled = want;
    for (real& v : scaled) v *= size;
    check_near(solve(caf{.f = 3}, shape(y)).point, scaled, 1e-13L * size);
  }
  auto y = x;
  for (auto& row : y)
    for (double& v : row) v += 16;
  exact moved = want;
  for (real& v : moved) v += 16;
  check_near(solve(caf{.f = 3}, shape(y)).point, moved, 1e-10L);
}

TEST_CASE("only Eigen allocates, for its results once and for a vector in each iteration") {
  for (const std::size_t n : {5u, 20u, 60u}) {
    const auto a = allocations::in_steady_state(caf{.f = static_cast<std::int64_t>(n - 1) / 2}, cloud(n, 30, n));
    INFO("n=" << n << " iterations=" << a.iterations);
    CHECK(a.iterations > 1);
    CHECK(a.plain == 0);
    CHECK(a.eigen <= 5 + a.iterations);
  }
}
