// SPDX-License-Identifier: MIT
#include <fedagg/rules/fltrust.hpp>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::fltrust;

namespace {

exact expected(const shape& of) {
  const exact base = widen(of.base), server = minus(widen(of.more.trusted), base);
  exact sum(base.size(), 0);
  real total = 0;
  for (const vector& row : of.x) {
    const exact u = minus(widen(row), base);
    if (!(norm(u) > 0) || !(norm(server) > 0)) continue;
    real product = 0;
    for (std::size_t j = 0; j < u.size(); ++j) product += u[j] * server[j];
    const real trust = product / (norm(u) * norm(server));
    if (!(trust > 0)) continue;
    total += trust;
    for (std::size_t j = 0; j < u.size(); ++j) sum[j] += trust * norm(server) / norm(u) * u[j];
  }
  for (std::size_t j = 0; j < sum.size(); ++j) sum[j] = base[j] + (total > 0 ? sum[j] / total : real(0));
  return sum;
}

shape with_server(matrix x, vector server, vector base = {}) {
  extras e;
  e.trusted = std::move(server);
  e.base = std::move(base);
  return shape(std::move(x), e);
}

} // namespace

TEST_CASE("clients count by how far they agree with the server") {
  for (const std::size_t n : {1u, 2u, 8u, 200u})
    for (const bool models : {false, true}) {
      auto x = cloud(n, 4, n, 1, 0.3);
      if (n > 4) {
        x[1] = x[2];
        for (double& v : x[3]) v *= 1e30;
        x[4] = models ? vector{-0.5, -0.25, -0.75, -1} : vector(4);
      }
      if (n < 3) x[0] = {2, 3, 4, 5};
      const shape of = with_server(x, {2, 2.5, 3.25, 4.75}, models ? vector{-0.5, -0.25, -0.75, -1} : vector{});
      const answer a = solve(fltrust{}, of);
      INFO("n=" << n << " models=" << models);
      REQUIRE(a.code == errc::ok);
      CHECK(!a.s.no_trust);
      check_near(a.point, expected(of), 1e-13L);
      CHECK(a.coefficients.back() == 0);
      // Never longer than the server's own update.
      const exact base = widen(of.base);
      CHECK(norm(minus(a.point, base)) <= norm(minus(widen(of.more.trusted), base)) * (1 + 1e-14L));
      if (n > 4) CHECK(a.scores[4] == 1);
    }
}

TEST_CASE("where nobody is trusted the result is the origin, and says so") {
  for (const auto& of : {with_server({{-1, 0}, {-2, 1}, {0, -1}}, {1, 0}), with_server({{0, 0}, {0, 0}}, {1, 0}),
                         with_server({{1, 0}, {2, 0}}, {0, 0}), with_server({{1, 5}, {3, 5}}, {-1, 5}, {2, 5})}) {
    const answer a = solve(fltrust{}, of);
    const bool some = of.x[0] == vector{1, 5};
    REQUIRE(a.code == errc::ok);
    CHECK(a.s.no_trust == !some);
    if (!some) check_near(a.point, widen(of.base), 0);
    else check_near(a.point, {-1, 5}, 1e-15L);
  }
}

TEST_CASE("what FLTrust refuses") {
  CHECK(solve(fltrust{}, shape(cloud(3, 2, 1))).code == errc::missing_trusted);
  extras e;
  e.trusted = {1, 1};
  CHECK(solve(fltrust{}, shape(matrix{}, e)).code == errc::too_few_clients);
  e.origin = false;
  CHECK(solve(fltrust{}, shape(cloud(3, 2, 1), e)).code == errc::missing_origin);
}

TEST_CASE("norms at the ends of the range") {
  // Squares of these leave the range of doubles or vanish: such a row is as good as zero, and nothing becomes Inf.
  const answer tiny = solve(fltrust{}, with_server({{1e-160, 0}, {1, 0}}, {1e150, 0}));
  CHECK(tiny.code == errc::ok);
  for (const double c : tiny.coefficients) CHECK(fedagg::is_finite(c));
  const answer huge = solve(fltrust{}, with_server({{1e150, 1e150}, {1, 0}}, {1e-3, 0}));
  check_near(huge.point, {1.5e-3L / (1 + std::sqrt(0.5L)), 0.5e-3L / (1 + std::sqrt(0.5L))}, 1e-17L);
  for (const double c : huge.coefficients) CHECK(fedagg::is_finite(c));
}
