// SPDX-License-Identifier: MIT
#include <fedagg/core/centred_products.hpp>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::detail::centred_products;
using fedagg::detail::scaled_by;

namespace {

/// (x_i - m) (x_j - m) for the weighted mean m of some rows.
real product_about(const matrix& x, const std::vector<std::size_t>& rows, const vector& weights, std::size_t i, std::size_t j) {
  exact m(x[0].size(), 0);
  real total = 0;
  for (std::size_t k = 0; k < rows.size(); ++k) total += weights[k];
  for (std::size_t k = 0; k < rows.size(); ++k)
    for (std::size_t c = 0; c < m.size(); ++c) m[c] += real(weights[k]) / total * x[rows[k]][c];
  real p = 0;
  for (std::size_t c = 0; c < m.size(); ++c) p += (x[i][c] - m[c]) * (x[j][c] - m[c]);
  return p;
}

void check(const matrix& x, const std::vector<std::size_t>& rows, const vector& weights, bool equal, real scale) {
  const shape of(x);
  const fedagg::geometry g = of.view();
  fedagg::arena memory;
  centred_products products(g, memory);
  if (equal)
    products.about(rows);
  else
    products.about(rows, weights);
  CHECK(!products.single_point());
  for (const std::size_t i : rows)
    for (const std::size_t j : rows) {
      CHECK(products(i, j) == products(j, i));
      const real got = real(scaled_by(products(i, j), products.exponent()));
      CHECK(static_cast<double>(std::abs(got - product_about(x, rows, weights, i, j)) / scale) <= 1e-14);
    }
}

} // namespace

TEST_CASE("inner products about a mean, from distances") {
  for (const double size : {1.0, 1e-150, 1e150, 1e30}) {
    const auto x = cloud(9, 5, 7, size, 3 * size);
    const vector ones(9, 1.0);
    check(x, {0, 1, 2, 3, 4, 5, 6, 7, 8}, ones, true, real(size) * size);
    check(x, {1, 4, 5}, vector(3, 1.0), true, real(size) * size);
    check(x, {1, 4, 5, 8}, {0.5, 1, 1e-9, 0.125}, false, real(size) * size);
  }
}

TEST_CASE("rows that are left out spoil nothing, and are known themselves") {
  auto x = cloud(6, 4, 3);
  for (double& v : x[2]) v = 1e30;
  check(x, {0, 1, 3, 4, 5}, vector(5, 1.0), true, 1);
  const shape of(x);
  const fedagg::geometry g = of.view();
  fedagg::arena memory;
  centred_products products(g, memory);
  const std::vector<std::size_t> rows{0, 1, 3, 4, 5};
  products.about(rows);
  const real far = scaled_by(products(2, 2), products.exponent());
  CHECK(static_cast<double>(std::abs(far / product_about(x, rows, vector(5, 1.0), 2, 2) - 1)) <= 1e-14);
}

TEST_CASE("rows that are all alike are a single point") {
  const shape of(matrix(4, vector{1, 2}));
  const fedagg::geometry g = of.view();
  fedagg::arena memory;
  centred_products products(g, memory);
  const std::vector<std::size_t> rows{0, 3};
  products.about(rows);
  CHECK(products.single_point());
  for (std::size_t i = 0; i < 4; ++i) CHECK(products(i, 0) == 0);
}

TEST_CASE("powers of two beyond what a double holds") {
  CHECK(scaled_by(1.5, 1023) == 1.5 * 0x1p1023);
  CHECK(scaled_by(0x1p-1000, 2000) == 0x1p1000);
  CHECK(scaled_by(0x1p1000, -2000) == 0x1p-1000);
  CHECK(scaled_by(1.0, 1024) == fedagg::detail::largest_double);
  CHECK(scaled_by(1.0, -5000) == 0);
  CHECK(scaled_by(0.0, 3000) == 0);
}
