// SPDX-License-Identifier: MIT
#ifndef FEDAGG_MIXING_ARC_HPP
#define FEDAGG_MIXING_ARC_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Adaptive robust clipping: the k longest updates are shortened to the next one's norm, k = floor(2 f (n - f) / n)
/// (Allouah et al. 2025, arXiv:2405.14432). No parameter in the updates' own units. For at most f hostile rows, 2f < n.
/// O(n d).
struct arc {
  std::int64_t f = unset; ///< hostile rows to survive

  static constexpr const char* name = "arc";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr bool needs_origin = true;
  static constexpr bool scales_rows = true;
  static constexpr auto fields() {
    return field_list{field{"f", &arc::f, unset, any_count, "hostile rows to survive"}};
  }

  errc mix(const geometry& g, arena& memory, affine_map& map) const {
    if (!g.has_origin) return errc::missing_origin;
    const std::size_t n = g.rows;
    if (const errc rc = detail::honest_majority(f, n); rc != errc::ok) return rc;
    // In integers: a quotient of doubles falls below the whole number at n = 242, f = 33.
    const auto hostile = static_cast<std::size_t>(f);
    const std::size_t clipped = 2 * hostile * (n - hostile) / n;
    const auto order = memory.room<detail::ranked>(n);
    for (std::size_t i = 0; i < n; ++i) order[i] = {g.square_norms[i], i};
    detail::smallest_first(order, n - clipped);
    const double threshold = detail::square_root(order[n - clipped - 1].value);
    return detail::clip_rows(detail::slice<const double>(g.square_norms).first(n), threshold, memory, map);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_MIXING_ARC_HPP
