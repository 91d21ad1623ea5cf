// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_LINE_MEDIAN_HPP
#define FEDAGG_CORE_LINE_MEDIAN_HPP

#include <cstddef>

#include <fedagg/core/directions.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// The weighted median of rows that lie on one line through a centre, as far as their distances can tell.
class line_median {
public:
  line_median(const geometry& g, slice<const double> weights, const directions& from, slice<ranked> order)
      : g_(g), w_(weights), from_(from), order_(order) {}

  /// Whether all rows of any weight lie on one line.
  bool exists() noexcept {
    const std::size_t n = w_.size();
    along_ = n;
    for (std::size_t i = 0; i < n; ++i) {
      if (!(w_[i] > 0 && from_.radius(i) > 0)) continue;
      if (along_ == n) along_ = i;
      const double c = from_.cosine(i, along_);
      if (1 - (c < 0 ? -c : c) > error(i)) return false;
    }
    return true;
  }

  /// Coefficients and their divisor, the midpoint of all medians where there are several. Returns the largest gap that
  /// rows which pass for a line can have at this point.
  double solve(slice<double> coefficients, double& divisor) noexcept {
    std::size_t count = 0;
    double total = 0;
    for (std::size_t i = 0; i < w_.size(); ++i)
      if (w_[i] > 0) {
        const double r = from_.radius(i);
        order_[count++] = {r > 0 && from_.cosine(i, along_) < 0 ? -r : r, i};
        total = plus(total, w_[i]);
      }
    const auto rows = order_.first(count);
    smallest_first(rows, count);
    double reached = 0;
    std::size_t at = 0;
    for (;; ++at) {
      reached = plus(reached, w_[rows[at].index]);
      if (!(reached < total / 2) || at + 1 == count) break;
    }
    const std::size_t low = rows[at].index;
    const bool half = reached == total / 2 && at + 1 < count;
    coefficients[low] = 1;
    if (half) coefficients[rows[at + 1].index] = 1;
    divisor = half ? 2 : 1;
    return quotient(gap_at(rows, at, half ? at + 1 : at), total);
  }

private:
  /// What rounding three squared distances can do to a cosine.
  double error(std::size_t i) const noexcept {
    const double a = from_.radius(i), b = from_.radius(along_);
    const double ratio = a < b ? quotient(b, a) : quotient(a, b);
    return ratio < 1e5 ? 2e-15 * ratio : 1e-9;
  }

  /// How far off the line a row can lie.
  double off(std::size_t i) const noexcept {
    const double r = from_.radius(i);
    return i == along_ || !(r > 0) ? 0 : times(r, square_root(2 * error(i)));
  }

  /// The norm of the directions' sum, the part that rows at the point can hold taken off, for the worst that lies
  /// within the errors: each row off the line by as much as it can, all to the same side.
  double gap_at(slice<const ranked> rows, std::size_t low, std::size_t high) const noexcept {
    const std::size_t a = rows[low].index, b = rows[high].index;
    const bool between = g_.square_distance(a, b) > 0;
    const double z = plus(rows[low].value / 2, rows[high].value / 2), own = plus(off(a) / 2, off(b) / 2);
    double held = 0, balance = 0, across = 0, lost = 0;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const std::size_t i = rows[k].index;
      const double weight = w_[i], t = plus(rows[k].value, -z);
      const double distance = between ? (t < 0 ? -t : t) : square_root(g_.square_distance(i, a));
      if (!between && !(distance > 0)) {
        held = plus(held, weight);
        continue;
      }
      const double sine = distance > 0 ? quotient(plus(off(i), own), distance) : 1;
      across = plus(across, times(weight, sine < 1 ? sine : 1));
      balance = plus(balance, k <= low ? -weight : weight);
      // What a turned direction has less along the line; who is as near as that may lie on the other side.
      lost = plus(lost, sine < 1 ? times(weight, times(sine, sine)) : 2 * weight);
    }
    const double along = plus(balance < 0 ? -balance : balance, lost);
    const double pull = square_root(plus(times(along, along), times(across, across)));
    return pull > held ? pull - held : 0;
  }

  const geometry& g_;
  slice<const double> w_;
  const directions& from_;
  slice<ranked> order_;
  std::size_t along_ = 0; ///< the row whose direction is the line's
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_LINE_MEDIAN_HPP
