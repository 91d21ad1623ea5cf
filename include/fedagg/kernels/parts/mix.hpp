// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_PARTS_MIX_HPP
#define FEDAGG_KERNELS_PARTS_MIX_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Isa, class Late = void>
struct mix_kernel;

/// A map in which every client has one share or none in each mixed row. A mixed row is then a sum, over groups of four
/// clients, of the sums of one of their sixteen subsets, which are formed once for all rows.
struct mix_plan {
  static constexpr std::size_t group = 4, subsets = 16;

  std::size_t in = 0, out = 0, groups = 0;
  double* shares = nullptr;       ///< whole groups; zero for a client without any
  double* rests = nullptr;        ///< out: what a row's shares lack to its divisor
  double* by = nullptr;           ///< out: divisors, or reciprocals, see sum_target
  std::uint32_t* picks = nullptr; ///< out x groups: the subset's place among those of all groups

  /// True if it costs less than a product for each share: a group's subsets take about as long as adding one of them to
  /// fourteen rows.
  static bool pays(const affine_map& map) noexcept { return map.entries_done > groups_of(map.in) * (map.out + 14); }
  static std::size_t bytes(const affine_map& map) noexcept {
    return groups_of(map.in) * (group * sizeof(double) + map.out * sizeof(std::uint32_t)) +
           2 * map.out * sizeof(double);
  }
  /// False if a client's shares differ. `memory` has room for `bytes`.
  bool fill(const affine_map& map, bool reciprocals, void* memory) noexcept {
    in = map.in;
    out = map.out;
    groups = groups_of(in);
    shares = static_cast<double*>(memory);
    rests = shares + groups * group;
    by = rests + out;
    picks = reinterpret_cast<std::uint32_t*>(by + out);
    for (std::size_t i = 0; i < groups * group; ++i) shares[i] = 0;
    for (std::size_t k = 0; k < out; ++k) {
      std::uint32_t* const pick = picks + k * groups;
      for (std::size_t g = 0; g < groups; ++g) pick[g] = static_cast<std::uint32_t>(g * subsets);
      by[k] = reciprocals ? 1.0 / map.divisor(k) : map.divisor(k);
      rests[k] = map.divisor(k);
      for (const map_entry& e : map.row(k)) {
        if (e.share == 0) continue;
        if (shares[e.index] != 0 && shares[e.index] != e.share) return false;
        shares[e.index] = e.share;
        pick[e.index / group] |= std::uint32_t{1} << e.index % group;
        rests[k] -= e.share;
      }
    }
    return true;
  }

private:
  static std::size_t groups_of(std::size_t rows) noexcept { return (rows + group - 1) / group; }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#define FEDAGG_KERNELS <fedagg/kernels/mix.inl>
#include <fedagg/kernels/per_isa.inl>

#endif // FEDAGG_KERNELS_PARTS_MIX_HPP
