// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_PHOCAS_HPP
#define FEDAGG_RULES_PHOCAS_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/rule.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Coordinate-wise mean of the n - f values nearest the trimmed mean: Phocas (Xie, Koyejo, Gupta 2018,
/// arXiv:1805.09682). The centre is the mean without the f smallest and the f largest values; of two values equally far
/// from it the lower one is nearer. With at most f hostile clients, 2f < n, no value that is averaged is farther from
/// the centre than the farthest honest one. Ignores weights. O(n d) reads, one pass.
struct phocas {
  std::int64_t f = unset; ///< hostile clients to survive

  static constexpr const char* name = "phocas";
  static constexpr auto fields() {
    return field_list{field{"f", &phocas::f, unset, any_count, "hostile clients to survive"}};
  }

  errc nearest(std::size_t, std::size_t present, nearest_values& v) const noexcept {
    if (const errc rc = detail::honest_majority(f, present); rc != errc::ok) return rc;
    const auto dropped = static_cast<std::size_t>(f);
    v = {{dropped, present - dropped}, dropped};
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_PHOCAS_HPP
