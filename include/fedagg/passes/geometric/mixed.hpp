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
      : uses_base(kernel.uses_base || !map.whole), kernel_(kernel), map_(map) {
    for (std::size_t k = 0; k < map.out; ++k) {
      double rest = map.divisor(k);
      for (const map_entry& e : map.row(k)) {
        exact_ = exact_ && sum_kernel<on_baseline>::exact(e.share);
        rest -= e.share;
      }
      exact_ = exact_ && (map.whole || sum_kernel<on_baseline>::exact(rest));
    }
  }

  const bool uses_base;

  std::size_t scratch_bytes() const noexcept {
    return round_up(kernel_.scratch_bytes) + (map_.out + map_.in + 1) * tile_bytes + map_.out * sizeof(void*) +
           (map_.in + 1) * sizeof(map_entry) + 128;
  }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T* base, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const {
    using kernel = sum_kernel<Isa>;
    auto* at = static_cast<std::byte*>(scratch);
    void* inner = at;
    auto* doubles = reinterpret_cast<double*>(at += round_up(kernel_.scratch_bytes));
    auto* tiles = reinterpret_cast<T*>(at += (map_.in + 1) * tile_bytes);
    auto** mixed = reinterpret_cast<const T**>(at += map_.out * tile_bytes);
    auto* with_rest = reinterpret_cast<map_entry*>(at + map_.out * sizeof(void*));
    const bool with_base = !map_.whole && base;
    unsigned seen = 0;
    mode.past_cache = false;
    for (std::size_t j = begin; j < end; j += tile) {
      const std::size_t count = end - j < tile ? end - j : tile;
      // Each row is converted once, and then read for all that are mixed from it.
      for (std::size_t i = 0; i < map_.in; ++i)
        convert_kernel<Isa>::to_doubles(rows[i] + j, count, doubles + i * tile, kernel::mixed_burst);
      if (with_base) convert_kernel<Isa>::to_doubles(base + j, count, doubles + map_.in * tile, kernel::mixed_burst);
      for (std::size_t k = 0; k < map_.out; ++k) {
        const double divisor = map_.divisor(k);
        detail::slice<const map_entry> row = map_.row(k);
        T* const to = tiles + k * (tile_bytes / sizeof(T));
        mixed[k] = to;
        if (with_base) {
          double rest = divisor;
          std::size_t used = 0;
          for (const map_entry& e : row) {
            with_rest[used++] = e;
            rest -= e.share;
          }
          with_rest[used++] = {map_.in, rest};
          row = {with_rest, used};
        } else if (row.size() == 1 && row[0].share == divisor) {
          mixed[k] = rows[row[0].index] + j;
          continue;
        }
        seen |= kernel::mix(doubles, row, divisor, exact_, count, to);
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
  static constexpr std::size_t tile = sum_kernel<on_baseline>::mixed_tile;
  static constexpr std::size_t tile_bytes = tile * sizeof(double);

  tile_kernel kernel_;
  const affine_map& map_;
  bool exact_ = true; ///< all shares' products with floats
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GEOMETRIC_MIXED_HPP
