// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_CGE_HPP
#define FEDAGG_RULES_CGE_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the n - f updates of least norm: comparative gradient elimination (Gupta, Liu, Vaidya 2021,
/// arXiv:2008.04699). Equal norms go by the lowest index. With at most f hostile clients, 2f < n, no update that is
/// averaged is longer than the longest honest one; their directions are not looked at. Ignores weights. O(n d).
struct cge {
  std::int64_t f = unset; ///< hostile clients to survive

  static constexpr const char* name = "cge";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr bool needs_origin = true;
  static constexpr auto fields() {
    return field_list{field{"f", &cge::f, unset, any_count, "hostile clients to survive"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (!g.has_origin) return errc::missing_origin;
    if (const errc rc = detail::honest_majority(f, g.rows); rc != errc::ok) return rc;
    const std::size_t kept = g.rows - static_cast<std::size_t>(f);
    const auto order = memory.room<detail::ranked>(g.rows);
    for (std::size_t i = 0; i < g.rows; ++i) {
      s.scores[i] = g.square_norms[i];
      order[i] = {s.scores[i], i};
    }
    detail::smallest_first(order, kept);
    for (const auto& r : order.first(kept)) s.coefficients[r.index] = 1;
    s.divisor = static_cast<double>(kept);
    s.whole = true;
    s.breakdown = static_cast<std::size_t>(f);
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_CGE_HPP
