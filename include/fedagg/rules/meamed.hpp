// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_MEAMED_HPP
#define FEDAGG_RULES_MEAMED_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/rule.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Coordinate-wise mean of the n - f values nearest the median: MeaMed (Xie, Koyejo, Gupta 2018, arXiv:1802.10116).
/// An even number of clients has the midpoint of the two middle values as its median; of two values equally far from it
/// the lower one is nearer. With at most f hostile clients, 2f < n, no value that is averaged is farther from the
/// median than the farthest honest one. Ignores weights. O(n d) reads, one pass.
struct meamed {
  std::int64_t f = unset; ///< hostile clients to survive

  static constexpr const char* name = "meamed";
  static constexpr auto fields() {
    return field_list{field{"f", &meamed::f, unset, any_count, "hostile clients to survive"}};
  }

  errc nearest(std::size_t, std::size_t present, nearest_values& v) const noexcept {
    if (const errc rc = detail::honest_majority(f, present); rc != errc::ok) return rc;
    v = {{(present - 1) / 2, present / 2 + 1}, static_cast<std::size_t>(f)};
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_MEAMED_HPP
