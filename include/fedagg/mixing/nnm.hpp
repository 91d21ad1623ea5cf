// SPDX-License-Identifier: MIT
#ifndef FEDAGG_MIXING_NNM_HPP
#define FEDAGG_MIXING_NNM_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Nearest-neighbour mixing: each row becomes the mean of the n - f rows nearest to it, itself included (Allouah et al.
/// 2023, arXiv:2302.01772). Equal distances go by the lowest index. For at most f hostile rows, 2f < n. O(n^2 d) for
/// the distances and O(n^2 log n) for the neighbours; a geometric rule behind it needs the distances of the mixed rows,
/// in O(n^2 (n - f)), and mixed rows for a rule on columns cost O(n (n - f) d).
struct nnm {
  std::int64_t f = unset; ///< hostile rows to survive

  static constexpr const char* name = "nnm";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return field_list{field{"f", &nnm::f, unset, any_count, "hostile rows to survive"}};
  }

  errc mix(const geometry& g, arena& memory, affine_map& map) const {
    const std::size_t n = g.rows;
    if (const errc rc = detail::honest_majority(f, n); rc != errc::ok) return rc;
    const std::size_t kept = n - static_cast<std::size_t>(f);
    const double share = detail::mean_share(kept), divisor = detail::times(static_cast<double>(kept), share);
    map.start(memory, n, n, n * kept);
    map.whole = true;
    const auto others = memory.room<detail::ranked>(n);
    const auto counts = memory.room<bool>(n);
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t count = 0;
      for (std::size_t j = 0; j < n; ++j) {
        counts[j] = j == i;
        if (j != i) others[count++] = {g.square_distance(i, j), j};
      }
      detail::smallest_first(others.first(count), kept - 1);
      for (const auto& r : others.first(kept - 1)) counts[r.index] = true;
      for (std::size_t j = 0; j < n; ++j)
        if (counts[j]) map.put(j, share);
      map.end_row(divisor);
    }
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_MIXING_NNM_HPP
