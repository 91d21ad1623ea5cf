// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_NORM_BOUNDING_HPP
#define FEDAGG_RULES_NORM_BOUNDING_HPP

#include <cstddef>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the updates, each shortened to `bound` if it is longer (Sun et al. 2019, arXiv:1911.07963).
/// mean of x_i min(1, bound / norm x_i): k hostile clients of n move it by at most 2 k bound / n, all of them never
/// beyond `bound`; that is all it promises. Ignores weights. O(n d).
struct norm_bounding {
  double bound = unset; ///< the longest update that counts in full

  static constexpr const char* name = "norm_bounding";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr bool needs_origin = true;
  static constexpr auto fields() {
    return field_list{
        field{"bound", &norm_bounding::bound, unset, detail::largest_double, "longer updates are shortened to this"}};
  }

  errc coefficients(const geometry& g, arena&, solution& s) const noexcept {
    if (!is_finite(bound) || !(bound > 0)) return errc::bad_parameter;
    if (!g.has_origin) return errc::missing_origin;
    if (g.rows == 0) return errc::too_few_clients;
    s.whole = true;
    for (std::size_t i = 0; i < g.rows; ++i) {
      s.coefficients[i] = detail::clip_factor(g.square_norms[i], bound);
      s.scores[i] = g.square_norms[i];
      if (s.coefficients[i] < 1) s.whole = false;
    }
    s.divisor = static_cast<double>(g.rows);
    s.breakdown = g.rows;
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_NORM_BOUNDING_HPP
