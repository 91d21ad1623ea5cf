// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_GEOMETRY_HPP
#define FEDAGG_TESTS_SUPPORT_GEOMETRY_HPP

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include <fedagg/core/geometry.hpp>

#include "catch.hpp"

/// Rows with coordinates, their geometry computed in long double, and what a rule makes of it.
namespace shapes {

using fedagg::errc;
using real = long double;
using vector = std::vector<double>;
using matrix = std::vector<vector>;
using exact = std::vector<real>;

inline real square_distance(const vector& a, const vector& b) {
  real sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += (real(a[j]) - real(b[j])) * (real(a[j]) - real(b[j]));
  return sum;
}
inline real norm(const exact& a) {
  real sum = 0;
  for (const real x : a) sum += x * x;
  return std::sqrt(sum);
}
inline exact minus(const exact& a, const exact& b) {
  exact c(a);
  for (std::size_t j = 0; j < c.size(); ++j) c[j] -= b[j];
  return c;
}
inline exact widen(const vector& a) { return exact(a.begin(), a.end()); }

/// What a shape may have beyond its rows.
struct extras {
  bool origin = true;
  vector base = {}; ///< zero if it is empty
  vector trusted = {};
  vector weights = {};
  std::vector<std::size_t> clients = {};
};

class shape {
public:
  matrix x;
  extras more;
  vector base;

  explicit shape(matrix rows, extras e = {}) : x(std::move(rows)), more(std::move(e)), base(more.base) {
    if (base.empty() && !x.empty()) base.assign(x[0].size(), 0.0);
    matrix all = x;
    if (!more.trusted.empty()) all.push_back(more.trusted);
    const std::size_t m = all.size();
    distances_.resize(m * m);
    products_.resize(more.origin ? m * m : 0);
    norms_.resize(more.origin ? m : 0);
    with_.resize(more.origin && !more.trusted.empty() ? m : 0);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < m; ++j) {
        distances_[i * m + j] = static_cast<double>(square_distance(all[i], all[j]));
        real p = 0;
        for (std::size_t k = 0; k < base.size(); ++k) p += (real(all[i][k]) - base[k]) * (real(all[j][k]) - base[k]);
        if (!more.origin) continue;
        products_[i * m + j] = static_cast<double>(p);
        if (i == j) norms_[i] = static_cast<double>(p);
        if (j + 1 == m && !with_.empty()) with_[i] = static_cast<double>(p);
      }
  }

  fedagg::geometry view() const {
    fedagg::geometry g;
    g.rows = x.size();
    g.has_origin = more.origin;
    g.has_trusted = !more.trusted.empty();
    g.known = fedagg::geometry_needs::distances;
    g.square_norms = norms_;
    g.with_trusted = with_;
    g.distances = distances_;
    g.products = products_;
    g.weights = more.weights;
    g.clients = more.clients;
    return g;
  }

private:
  vector distances_, products_, norms_, with_;
};

/// What a rule answered, and the point it means.
struct answer {
  errc code = errc::ok;
  vector coefficients, scores;
  fedagg::solution s;
  exact point;

  /// The rows with a coefficient other than zero.
  std::vector<std::size_t> selected() const {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < coefficients.size(); ++i)
      if (coefficients[i] != 0) rows.push_back(i);
    return rows;
  }
};

template <class Rule>
answer solve(const Rule& rule, const shape& of) {
  static_assert(fedagg::geometric_rule<Rule>);
  const fedagg::geometry g = of.view();
  answer a;
  a.coefficients.assign(g.order(), 0.0);
  a.scores.assign(g.rows, 0.0);
  a.s.coefficients = a.coefficients;
  a.s.scores = a.scores;
  fedagg::arena memory;
  a.code = rule.coefficients(g, memory, a.s);
  if (a.code != errc::ok && a.code != errc::search_limit) return a;
  real sum = 0;
  a.point.assign(of.base.size(), 0);
  for (std::size_t i = 0; i < g.order(); ++i) {
    const vector& row = i < g.rows ? of.x[i] : of.more.trusted;
    const real share = real(a.coefficients[i]) / real(a.s.divisor);
    sum += share;
    for (std::size_t j = 0; j < row.size(); ++j)
      a.point[j] += share * (real(row[j]) - (a.s.whole ? real(0) : real(of.base[j])));
  }
  // What a rule claims to be whole is.
  if (a.s.whole)
    CHECK(std::abs(static_cast<double>(sum - 1)) <= 1e-14);
  else
    for (std::size_t j = 0; j < a.point.size(); ++j) a.point[j] += of.base[j];
  return a;
}

/// The rows that mixing makes.
struct mixed {
  errc code = errc::ok;
  fedagg::affine_map map; ///< sizes only: its entries are gone
  vector entries;         ///< out x in
  std::vector<exact> rows;
};

template <class Stage>
mixed mix(const Stage& stage, const shape& of) {
  static_assert(fedagg::mixing<Stage>);
  const fedagg::geometry g = of.view();
  fedagg::arena memory;
  mixed m;
  m.code = stage.mix(g, memory, m.map);
  if (m.code != errc::ok) return m;
  REQUIRE(m.map.in == g.rows);
  REQUIRE(m.map.rows_done == m.map.out);
  m.entries.assign(m.map.out * m.map.in, 0.0);
  for (std::size_t k = 0; k < m.map.out; ++k) {
    std::size_t next = 0;
    for (const fedagg::map_entry& e : m.map.row(k)) {
      CHECK(e.index >= next); // ascending
      next = e.index + 1;
      m.entries.at(k * m.map.in + e.index) = e.share / m.map.divisor(k);
    }
  }
  for (std::size_t k = 0; k < m.map.out; ++k) {
    exact row(of.base.size(), 0);
    real sum = 0;
    for (std::size_t i = 0; i < m.map.in; ++i) {
      const real a = m.entries[k * m.map.in + i];
      sum += a;
      for (std::size_t j = 0; j < row.size(); ++j) row[j] += a * (real(of.x[i][j]) - real(of.base[j]));
    }
    if (m.map.whole) CHECK(std::abs(static_cast<double>(sum - 1)) <= 1e-14);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] += of.base[j];
    m.rows.push_back(row);
  }
  return m;
}

/// n rows of d coordinates, normal around `centre`.
inline matrix cloud(std::size_t n, std::size_t d, std::uint64_t seed, double spread = 1, double centre = 0) {
  std::mt19937_64 random(seed);
  matrix x(n, vector(d));
  for (auto& row : x)
    for (double& v : row) {
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum += static_cast<double>(random() >> 11) * 0x1p-53 - 0.5;
      v = centre + spread * sum;
    }
  return x;
}

inline void check_near(const exact& got, const exact& want, real tolerance) {
  REQUIRE(got.size() == want.size());
  for (std::size_t j = 0; j < got.size(); ++j) {
    INFO("coordinate " << j << ": " << static_cast<double>(got[j]) << " for " << static_cast<double>(want[j]));
    CHECK(static_cast<double>(std::abs(got[j] - want[j])) <= static_cast<double>(tolerance));
  }
}

/// The mean of some rows.
inline exact mean_of(const matrix& x, const std::vector<std::size_t>& rows) {
  exact m(x[0].size(), 0);
  for (const std::size_t i : rows)
    for (std::size_t j = 0; j < m.size(); ++j) m[j] += real(x[i][j]) / real(rows.size());
  return m;
}

} // namespace shapes

#endif // FEDAGG_TESTS_SUPPORT_GEOMETRY_HPP
