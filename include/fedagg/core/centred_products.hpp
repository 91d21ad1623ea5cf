// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_CENTRED_PRODUCTS_HPP
#define FEDAGG_CORE_CENTRED_PRODUCTS_HPP

#include <cstddef>
#include <span>

#include <fedagg/core/arena.hpp>
#include <fedagg/core/element.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// x 2^e, the largest double where that overflows.
inline double scaled_by(double x, int e) noexcept {
  while (e > 1000) {
    x = times(x, power_of_two(1000));
    e -= 1000;
  }
  while (e < -1000) {
    x = times(x, power_of_two(-1000));
    e += 1000;
  }
  x = times(x, power_of_two(e));
  return is_finite(x) ? x : largest_double;
}

/// Inner products of rows about the weighted mean of some of them, from distances alone (Torgerson 1952):
/// K_ij = -1/2 (D_ij - r_i - r_j + t) with r_i = sum_k w_k D_ik / sum w and t = sum_k w_k r_k / sum w. Only the rows
/// that are asked for enter, so that one far away spoils nothing once it is left out.
class centred_products {
public:
  /// Memory for up to `rows` rows.
  centred_products(const geometry& g, arena& memory) : g_(g), means_(memory.take<double>(g.rows)) {}

  /// Centres on the mean of these rows, all alike or by these weights; at least one row, weights with a positive sum.
  void about(std::span<const std::size_t> rows, std::span<const double> weights = {}) noexcept {
    widest_ = 0;
    for (const std::size_t i : rows)
      for (const std::size_t j : rows)
        if (const double d = g_.square_distance(i, j); d > widest_) widest_ = d;
    const int e = widest_ > 0 ? exponent_of(widest_) : 0;
    exponent_ = e > 1000 ? 1000 : e < -1000 ? -1000 : e;
    unit_ = power_of_two(-exponent_);
    double total = 0;
    for (std::size_t k = 0; k < rows.size(); ++k) total = plus(total, weights.empty() ? 1 : weights[k]);
    mean_ = 0;
    const auto mean_from = [&](std::size_t i) {
      double sum = 0;
      for (std::size_t k = 0; k < rows.size(); ++k)
        sum = plus(sum, times(weights.empty() ? 1 : weights[k], distance(i, rows[k])));
      return quotient(sum, total);
    };
    for (std::size_t i = 0; i < g_.rows; ++i) means_[i] = mean_from(i);
    for (std::size_t k = 0; k < rows.size(); ++k)
      mean_ = plus(mean_, times(weights.empty() ? 1 : weights[k], means_[rows[k]]));
    mean_ = quotient(mean_, total);
  }

  /// K_ij 2^-exponent(), of any rows; Inf or NaN where one lies beyond all numbers from the mean.
  double operator()(std::size_t i, std::size_t j) const noexcept {
    return -0.5 * plus(plus(distance(i, j), mean_), -plus(means_[i], means_[j]));
  }
  int exponent() const noexcept { return exponent_; }
  /// True if the rows are all alike.
  bool single_point() const noexcept { return !(widest_ > 0); }

private:
  double distance(std::size_t i, std::size_t j) const noexcept { return times(g_.square_distance(i, j), unit_); }

  const geometry& g_;
  std::span<double> means_;
  double widest_ = 0, unit_ = 1, mean_ = 0;
  int exponent_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_CENTRED_PRODUCTS_HPP
