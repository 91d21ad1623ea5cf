// SPDX-License-Identifier: MIT
#ifndef FEDAGG_MIXING_STATIC_CLIPPING_HPP
#define FEDAGG_MIXING_STATIC_CLIPPING_HPP

#include <cstddef>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Each update shortened to `threshold` if it is longer: x_i min(1, threshold / norm x_i). The threshold is the
/// caller's and does not follow the updates as they shrink; arc does. O(n d).
struct static_clipping {
  double threshold = unset; ///< the longest update that is left as it is

  static constexpr const char* name = "static_clipping";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr bool needs_origin = true;
  static constexpr bool scales_rows = true;
  static constexpr auto fields() {
    return field_list{field{"threshold", &static_clipping::threshold, unset, detail::largest_double,
                            "longer updates are shortened to this"}};
  }

  errc mix(const geometry& g, arena& memory, affine_map& map) const {
    if (!is_finite(threshold) || !(threshold > 0)) return errc::bad_parameter;
    if (!g.has_origin) return errc::missing_origin;
    return detail::clip_rows(detail::slice<const double>(g.square_norms).first(g.rows), threshold, memory, map);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_MIXING_STATIC_CLIPPING_HPP
