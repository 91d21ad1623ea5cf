// SPDX-License-Identifier: MIT
#include <fedagg/core/directions.hpp>

#include <bit>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::detail::directions;

namespace {

/// Radii, cosines and distances from a random point, against coordinates.
void check(const shape& of, std::size_t centre, real tolerance) {
  const std::size_t n = of.x.size();
  const exact c = widen(centre == directions::origin ? of.base : centre == n ? of.more.trusted : of.x[centre]);
  fedagg::arena memory;
  directions from(n, memory);
  from.look(of.view(), centre);
  std::vector<exact> u;
  for (std::size_t i = 0; i < n; ++i) {
    u.push_back(minus(widen(of.x[i]), c));
    const real r = norm(u[i]);
    CHECK(std::abs(from.radius(i) - r) <= tolerance * r);
    if (r > 0)
      for (real& v : u[i]) v /= r;
  }
  std::mt19937_64 random(3);
  vector b(n), projections(n), distances(n);
  exact z(c.size(), 0);
  for (std::size_t i = 0; i < n; ++i) {
    if (norm(u[i]) > 0) b[i] = static_cast<double>(random() % 1000) / 1000 - 0.3;
    for (std::size_t j = 0; j < z.size(); ++j) z[j] += b[i] * u[i][j];
    for (std::size_t j = 0; j < n; ++j) {
      real cosine = 0;
      for (std::size_t k = 0; k < z.size(); ++k) cosine += u[i][k] * u[j][k];
      CHECK(static_cast<double>(std::abs(from.cosine(i, j) - cosine)) <= static_cast<double>(tolerance));
    }
  }
  from.project(b, projections);
  const double square = from.distances(b, projections, distances);
  CHECK(std::abs(std::sqrt(real(square)) - norm(z)) <= 20 * tolerance);
  for (std::size_t i = 0; i < n; ++i) {
    real projection = 0;
    for (std::size_t k = 0; k < z.size(); ++k) projection += u[i][k] * z[k];
    CHECK(std::abs(projections[i] - projection) <= 20 * tolerance);
    const real d = norm(minus(minus(widen(of.x[i]), c), z));
    CHECK(std::abs(distances[i] - d) <= 100 * tolerance * (d + 1));
  }
}

} // namespace

TEST_CASE("rows as seen from a row, the trusted row and the origin") {
  extras e;
  e.trusted = {1, 2, 3, 4};
  e.base = {0.5, -0.5, 0, 0.25};
  auto x = cloud(9, 4, 1);
  x[5] = x[2];
  const shape of(x, e);
  check(of, directions::origin, 1e-13L);
  check(of, 9, 1e-13L);
  check(of, 2, 1e-13L);
  extras models;
  models.origin = false;
  check(shape(x, models), 2, 1e-13L);
}

TEST_CASE("a row 1e30 away costs no accuracy where there is an origin") {
  auto x = cloud(8, 6, 2);
  for (double& v : x[3]) v *= 1e30;
  check(shape(x), directions::origin, 1e-13L);
  check(shape(x), 0, 1e-13L);
}

TEST_CASE("without an origin, directions that distances cannot tell are orthogonal") {
  auto x = cloud(8, 6, 2);
  for (double& v : x[3]) v *= 1e30;
  extras models;
  models.origin = false;
  fedagg::arena memory;
  directions from(8, memory);
  const shape of(x, models);
  from.look(of.view(), 0);
  for (std::size_t i = 1; i < 8; ++i)
    if (i != 3) CHECK(std::abs(from.cosine(i, 3)) <= 1);
  const shape only({{0, 0}, {1, 0}, {1e30, 0}}, models);
  directions line(3, memory);
  line.look(only.view(), 0);
  CHECK(std::abs(line.cosine(1, 2)) <= 1e-20);
}

TEST_CASE("a cosine that only rounding can have made is dropped") {
  // Rows at 0, 1 away and 1e30 away; the last bit of the far distance would make a cosine of -1e14.
  const double far = 1e60, off = std::bit_cast<double>(std::bit_cast<std::uint64_t>(far) + 1);
  const vector d{0, 1, far, 1, 0, off, far, off, 0};
  fedagg::geometry g;
  g.rows = 3;
  g.distances = d;
  fedagg::arena memory;
  directions from(3, memory);
  from.look(g, 0);
  CHECK(from.cosine(1, 2) == 0);
  // A cosine a little above one is one: the same, at an ordinary distance.
  const vector near{0, 1, 9, 1, 0, 3.9999, 9, 3.9999, 0};
  g.distances = near;
  from.look(g, 0);
  CHECK(from.cosine(1, 2) == 1);
}
