// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_DIRECTIONS_HPP
#define FEDAGG_CORE_DIRECTIONS_HPP

#include <cstddef>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// The rows as seen from a point: how far each lies, and the cosine between every two directions. A point written as
/// sum_i b_i (direction of row i) has coefficients of ordinary size even where rows lie 1e30 apart, so that an
/// iterative rule which computes in them loses nothing to a hostile row.
class directions {
public:
  /// Stands for the origin as the centre.
  static constexpr std::size_t origin = static_cast<std::size_t>(-1);

  directions(std::size_t rows, arena& memory)
      : radius_(memory.room<double>(rows)), norms_(memory.room<double>(rows)),
        cosines_(memory.room<double>(rows * rows)) {}

  /// Looks from row `centre`, from the trusted row (index g.rows) or from the origin.
  void look(const geometry& g, std::size_t centre) noexcept {
    const std::size_t n = radius_.size();
    for (std::size_t i = 0; i < n; ++i) {
      norms_[i] = g.has_origin ? square_root(g.square_norms[i]) : 0;
      radius_[i] = centre == origin ? norms_[i] : square_root(g.square_distance(i, centre));
    }
    const double centre_norm = g.has_origin && centre != origin ? square_root(g.square_norms[centre]) : 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        const bool same_place = !(radius_[i] > 0 && radius_[j] > 0);
        const double c = same_place ? 0 : i == j ? 1 : cosine(g, centre, centre_norm, i, j);
        cosines_[i * n + j] = cosines_[j * n + i] = c;
      }
  }

  double radius(std::size_t i) const noexcept { return radius_[i]; }
  double cosine(std::size_t i, std::size_t j) const noexcept { return cosines_[i * radius_.size() + j]; }

  /// out_i = the product of direction i with sum_j b_j (direction j).
  void project(slice<const double> b, slice<double> out) const noexcept {
    const std::size_t n = radius_.size();
    for (std::size_t i = 0; i < n; ++i) out[i] = 0;
    for (std::size_t j = 0; j < n; ++j) {
      const double scale = b[j];
      if (scale == 0) continue;
      const double* row = cosines_.data() + j * n;
      for (std::size_t i = 0; i < n; ++i) out[i] = plus(out[i], times(scale, row[i]));
    }
  }

  /// The distances from sum_j b_j (direction j) to the rows, given its projections; returns its own square norm.
  double distances(slice<const double> b, slice<const double> projections, slice<double> out) const noexcept {
    double square = 0;
    for (std::size_t i = 0; i < b.size(); ++i) square = plus(square, times(b[i], projections[i]));
    if (square < 0) square = 0;
    for (std::size_t i = 0; i < b.size(); ++i)
      out[i] = square_root(plus(times(radius_[i], plus(radius_[i], -times(2, projections[i]))), square));
    return square;
  }

private:
  /// From the distances or from the products about the origin, whichever the geometry's accuracy makes the better. An
  /// estimate that neither the accuracy nor its own value makes believable is dropped: far rows are then orthogonal.
  static double estimate(double product, double error, double a, double b) noexcept {
    // Divided one by one: the product of two radii can leave the range of doubles.
    const double c = quotient(quotient(product, a), b), e = quotient(quotient(error, a), b);
    if (c >= -1 && c <= 1) return c;
    return !(e <= 1) ? 0 : c < 0 ? -1 : 1;
  }

  double cosine(const geometry& g, std::size_t centre, double centre_norm, std::size_t i,
                std::size_t j) const noexcept {
    const double a = radius_[i], b = radius_[j];
    if (centre == origin) return estimate(g.product(i, j), 0, a, b);
    const double aa = g.square_distance(i, centre), bb = g.square_distance(j, centre), ab = g.square_distance(i, j);
    // The larger two first: exact where they cancel.
    const double near = aa < bb ? aa : bb, far = aa < bb ? bb : aa;
    const double by_distance = plus(plus(far, -ab), near) / 2;
    const double distance_error = times(1e-5, saturating_plus(far, ab));
    if (!g.has_origin || g.products.empty()) return estimate(by_distance, distance_error, a, b);
    const double product_error =
        times(1e-6, times(saturating_plus(norms_[i], centre_norm), saturating_plus(norms_[j], centre_norm)));
    if (!(product_error < distance_error)) return estimate(by_distance, distance_error, a, b);
    const double by_product =
        plus(plus(g.product(i, j), -g.product(i, centre)), plus(g.product(centre, centre), -g.product(j, centre)));
    return estimate(by_product, product_error, a, b);
  }

  slice<double> radius_, norms_, cosines_;
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_DIRECTIONS_HPP
