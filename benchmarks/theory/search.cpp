// SPDX-License-Identifier: MIT
#include "search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <fedagg/core/element.hpp>

namespace theory {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The mean of some rows of d numbers and their mean square distance from it.
double spread_of(std::span<const double> x, std::size_t d, std::span<const std::size_t> subset,
                 std::vector<double>& mean) {
  mean.assign(d, 0.0);
  const auto size = static_cast<double>(subset.size());
  for (const std::size_t i : subset)
    for (std::size_t c = 0; c < d; ++c) mean[c] += x[i * d + c] / size;
  double spread = 0;
  for (const std::size_t i : subset)
    for (std::size_t c = 0; c < d; ++c) spread += (x[i * d + c] - mean[c]) * (x[i * d + c] - mean[c]) / size;
  return spread;
}

} // namespace

search::search(const nlohmann::json& rule, std::size_t n, std::size_t f, std::uint64_t seed)
    : rule_(study::read_rule(rule, {static_cast<std::int64_t>(f), 0, static_cast<std::int64_t>(seed)})), n_(n), f_(f),
      draws_(seed, "kappa"), order_(n) {}

double search::run(std::size_t tries) {
  double worst = 0;
  // Every dimension and kind of start is to be seen, however few the tries are.
  const std::size_t climb = std::clamp<std::size_t>(tries / 16, 1, 2500);
  for (std::size_t start = 0; evaluations_ < tries; ++start) {
    draws_.permutation(order_);
    point best = random_point(start);
    double highest = ratio(best);
    for (std::size_t k = 0; k < climb && evaluations_ < tries; ++k) {
      point next = best;
      move(next);
      if (const double r = ratio(next); r >= highest) {
        highest = r;
        best = std::move(next);
        if (settle(best)) highest = ratio(best);
      }
    }
    worst = std::max(worst, over_all_subsets(best));
  }
  return worst;
}

double search::uniform() { return (static_cast<double>(draws_() >> 12) + 0.5) * 0x1p-52; }

double search::normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }

/// Clouds, clusters and single outliers, with hostile rows on top of each other or apart, near or far.
search::point search::random_point(std::size_t start) {
  static constexpr std::size_t dimensions[] = {1, 2, 4, 16};
  point p{n_, dimensions[start % 4], {}};
  p.x.assign(p.n * p.d, 0.0);
  const std::size_t kind = below(3), apart = 1 + below(n_ - f_);
  for (std::size_t k = 0; k < n_ - f_; ++k)
    for (double& x : p.row(order_[k])) {
      if (kind == 0) x = normal();
      if (kind == 1 && k < apart) x = 1 + 1e-3 * normal();
      if (kind == 2 && k < apart) x = normal();
    }
  std::vector<double> at(p.d);
  const double far = std::exp(4 * normal());
  for (std::size_t k = 0; k < f_; ++k) {
    if (k == 0 || uniform() < 0.2)
      for (double& x : at) x = far * normal();
    std::copy(at.begin(), at.end(), p.row(hostile()[k]).begin());
  }
  return p;
}

void search::move(point& p) {
  const double step = std::exp(-10 + 11 * uniform());
  const std::size_t i = below(n_), j = below(n_);
  switch (below(7)) {
  case 0: // one row
    for (double& x : p.row(i)) x += step * normal();
    break;
  case 1: // one coordinate of it
    p.row(i)[below(p.d)] += step * normal();
    break;
  case 2: // all hostile rows alike
    for (std::size_t c = 0; c < p.d; ++c) {
      const double by = step * normal();
      for (const std::size_t h : hostile()) p.row(h)[c] += by;
    }
    break;
  case 3: // onto, towards or beyond another row
    for (std::size_t c = 0; c < p.d; ++c) p.row(i)[c] += (step > 1 ? 1 : step) * (p.row(j)[c] - p.row(i)[c]);
    break;
  case 4: { // the hostile rows' distance from the honest ones
    const double factor = std::exp((uniform() < 0.5 ? -1 : 1) * step);
    for (const std::size_t h : hostile())
      for (double& x : p.row(h)) x *= factor;
    break;
  }
  case 5: // all rows alike, which matters to rules with an origin
    for (std::size_t c = 0; c < p.d; ++c) {
      const double by = step * normal();
      for (std::size_t k = 0; k < n_; ++k) p.row(k)[c] += by;
    }
    break;
  default: // everything
    for (double& x : p.x) x += 0.1 * step * normal();
  }
}

/// Where numbers leave their range, moves the honest mean to zero and the honest spread to one. That changes the
/// ratio only of rules with an origin.
bool search::settle(point& p) const {
  std::vector<double> mean;
  const double spread = spread_of(p.x, p.d, honest(), mean);
  double largest = 0;
  for (const double x : p.x) largest = std::max(largest, std::abs(x));
  if (!(spread > 0) || (spread > 1e-2 && spread < 1e2 && largest < 1e6)) return false;
  const double scale = 1 / std::sqrt(spread);
  for (std::size_t i = 0; i < n_; ++i)
    for (std::size_t c = 0; c < p.d; ++c) p.row(i)[c] = std::clamp((p.row(i)[c] - mean[c]) * scale, -1e6, 1e6);
  return true;
}

bool search::aggregate(const point& p) {
  ++evaluations_;
  clients_.clear();
  clients_.updates();
  for (std::size_t i = 0; i < n_; ++i) clients_.add(p.row(i));
  out_.assign(p.d, 0.0);
  const fedagg::errc rc = rule_(clients_, std::span<double>(out_), space_);
  if (rc == fedagg::errc::ok)
    ++accepted_;
  else
    refused_ = rc;
  return rc == fedagg::errc::ok;
}

/// Of the aggregate in `out_`. Where rows are so close that rounding decides, 0 unless the aggregate is truly away.
double search::ratio_of(const point& p, std::span<const std::size_t> subset) {
  const double spread = spread_of(p.x, p.d, subset, mean_);
  double away = 0, size = 0;
  for (std::size_t c = 0; c < p.d; ++c) away += (out_[c] - mean_[c]) * (out_[c] - mean_[c]);
  for (const std::size_t i : subset)
    for (const double x : p.row(i)) size = std::max(size, x * x);
  // Not by std::max or <, which drop a NaN.
  if (!fedagg::is_finite(away)) return infinity;
  if (!(spread > 1e-16 * size)) return away > 1e-12 * size ? infinity : 0;
  return away / spread;
}

double search::ratio(const point& p) { return aggregate(p) ? ratio_of(p, honest()) : -1; }

/// S need not be the rows that the search called honest.
double search::over_all_subsets(const point& p) {
  if (!aggregate(p)) return 0;
  std::vector<bool> in(n_, false);
  std::fill(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n_ - f_), true);
  double worst = 0;
  std::vector<std::size_t> subset;
  do {
    subset.clear();
    for (std::size_t i = 0; i < n_; ++i)
      if (in[i]) subset.push_back(i);
    worst = std::max(worst, ratio_of(p, subset));
  } while (std::prev_permutation(in.begin(), in.end()));
  return worst;
}

} // namespace theory
