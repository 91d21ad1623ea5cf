// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GEOMETRIC_MIXED_HPP
#define FEDAGG_PASSES_GEOMETRIC_MIXED_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/coordinate_pass.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A kernel on mixed rows: a tile of them at a time is formed in the cache, summed in double in the order of the
/// clients and rounded once, so that there is never a second copy of the cohort.
class mixed_pass {
public:
  static constexpr bool portable = false;
  static constexpr bool native_halves = false;

  mixed_pass(const tile_kernel& kernel, const affine_map& map) noexcept
      : uses_base(kernel.uses_base || !map.whole), kernel_(kernel), map_(map) {}

  const bool uses_base;

  std::size_t scratch_bytes() const noexcept {
    return sums_bytes + round_up(kernel_.scratch_bytes) + map_.out * (tile_bytes + sizeof(void*)) +
           (map_.in + 1) * (sizeof(void*) + sizeof(double)) + 128;
  }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T* base, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const {
    auto* at = static_cast<std::byte*>(scratch);
    void* sums = at;
    void* inner = at += sums_bytes;
    auto* tiles = reinterpret_cast<T*>(at += round_up(kernel_.scratch_bytes));
    auto** mixed = reinterpret_cast<const T**>(at += map_.out * tile_bytes);
    auto** from = reinterpret_cast<const T**>(at += map_.out * sizeof(void*));
    auto* shares = reinterpret_cast<double*>(at + (map_.in + 1) * sizeof(void*));
    constexpr std::size_t tile = tile_bytes / sizeof(T);
    unsigned seen = 0;
    mode.past_cache = false;
    for (std::size_t j = begin; j < end; j += tile) {
      const std::size_t count = end - j < tile ? end - j : tile;
      for (std::size_t k = 0; k < map_.out; ++k) {
        const double divisor = map_.divisor(k);
        double rest = divisor;
        std::size_t used = 0;
        for (const map_entry& e : map_.row(k)) {
          from[used] = rows[e.index] + j;
          shares[used++] = e.share;
          rest -= e.share;
        }
        if (!map_.whole && base) {
          from[used] = base + j;
          shares[used++] = rest;
        }
        const bool as_it_is = used == 1 && shares[0] == divisor;
        mixed[k] = as_it_is ? from[0] : tiles + k * tile;
        if (as_it_is) continue;
        seen |= sum_kernel<Isa>::run(static_cast<const T* const*>(from), shares, used, divisor, 0, count,
                                     tiles + k * tile, false, sums);
      }
      // A base is zero for what the stages made of updates.
      seen |=
          kernel_.run(kernel_.self, dtype_of<T>, reinterpret_cast<const void* const*>(mixed),
                      kernel_.uses_base && base ? base + j : nullptr, 0, count, out ? out + j : nullptr, mode, inner);
    }
    return seen;
  }

private:
  static constexpr std::size_t round_up(std::size_t bytes) noexcept { return (bytes + 63) / 64 * 64; }
  static constexpr std::size_t tile_bytes = 2048;
  static constexpr std::size_t sums_bytes = (sum_kernel<on_baseline>::scratch_doubles * sizeof(double) + 63) / 64 * 64;

  tile_kernel kernel_;
  const affine_map& map_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GEOMETRIC_MIXED_HPP
