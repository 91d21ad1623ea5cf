// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GEOMETRIC_MIXED_HPP
#define FEDAGG_PASSES_GEOMETRIC_MIXED_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/kernels/parts/mix.hpp>
#include <fedagg/passes/coordinate_pass.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A kernel on mixed rows: a tile of them at a time is formed in the cache, summed in double and rounded once, so that
/// there is never a second copy of the cohort.
class mixed_pass {
public:
  static constexpr bool portable = false;
  static constexpr bool native_halves = false;

  mixed_pass(const tile_kernel& kernel, const affine_map& map) noexcept
      : uses_base(kernel.uses_base || !map.whole), kernel_(kernel), map_(map) {}

  const bool uses_base;

  std::size_t scratch_bytes() const noexcept {
    return round_up(kernel_.scratch_bytes) + (map_.out + map_.in + 1) * tile_bytes + map_.out * sizeof(void*) +
           round_up((map_.in + 1) * sizeof(map_entry)) + mix_plan::bytes(map_) + 128;
  }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T* base, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const {
    auto* at = static_cast<std::byte*>(scratch);
    void* inner = at;
    auto* doubles = reinterpret_cast<double*>(at += round_up(kernel_.scratch_bytes));
    auto* tiles = reinterpret_cast<T*>(at += (map_.in + 1) * tile_bytes);
    auto** mixed = reinterpret_cast<const T**>(at += map_.out * tile_bytes);
    auto* with_rest = reinterpret_cast<map_entry*>(at += map_.out * sizeof(void*));
    at += round_up((map_.in + 1) * sizeof(map_entry));
    const T* const origin = map_.whole ? nullptr : base;
    mix_plan plan;
    const bool subsets = mix_plan::pays(map_) && plan.fill(map_, sizeof(T) < 8, at);
    unsigned seen = 0;
    mode.past_cache = false;
    for (std::size_t j = begin; j < end; j += tile) {
      const std::size_t count = end - j < tile ? end - j : tile;
      for (std::size_t k = 0; k < map_.out; ++k) mixed[k] = tiles + k * row_stride<T>;
      seen |= subsets ? mix_kernel<Isa>::mix_subsets(plan, rows, origin, j, count, doubles, tiles)
                      : mix_each<Isa>(rows, origin, j, count, doubles, with_rest, tiles, mixed);
      // A base is zero for what the stages made of updates.
      seen |=
          kernel_.run(kernel_.self, dtype_of<T>, reinterpret_cast<const void* const*>(mixed),
                      kernel_.uses_base && base ? base + j : nullptr, 0, count, out ? out + j : nullptr, mode, inner);
    }
    return seen;
  }

private:
  /// One mixed row after the other: each client's is converted once, and then read for all that are mixed from it.
  template <class Isa, class T>
  unsigned mix_each(const T* const* rows, const T* origin, std::size_t begin, std::size_t count, double* doubles,
                    map_entry* with_rest, T* tiles, const T** mixed) const noexcept {
    using kernel = mix_kernel<Isa>;
    for (std::size_t i = 0; i < map_.in; ++i)
      convert_kernel<Isa>::to_doubles(rows[i] + begin, count, doubles + i * tile, kernel::mixed_burst);
    if (origin) convert_kernel<Isa>::to_doubles(origin + begin, count, doubles + map_.in * tile, kernel::mixed_burst);
    unsigned seen = 0;
    for (std::size_t k = 0; k < map_.out; ++k) {
      const double divisor = map_.divisor(k);
      detail::slice<const map_entry> row = map_.row(k);
      if (origin) {
        double rest = divisor;
        std::size_t used = 0;
        for (const map_entry& e : row) {
          with_rest[used++] = e;
          rest -= e.share;
        }
        with_rest[used++] = {map_.in, rest};
        row = {with_rest, used};
      } else if (row.size() == 1 && row[0].share == divisor) {
        mixed[k] = rows[row[0].index] + begin;
        continue;
      }
      seen |= kernel::mix(doubles, row, divisor, count, tiles + k * row_stride<T>);
    }
    return seen;
  }

  static constexpr std::size_t round_up(std::size_t bytes) noexcept { return (bytes + 63) / 64 * 64; }
  static constexpr std::size_t tile = mix_kernel<on_baseline>::mixed_tile;
  static constexpr std::size_t tile_bytes = tile * sizeof(double);
  template <class T>
  static constexpr std::size_t row_stride = tile_bytes / sizeof(T);

  tile_kernel kernel_;
  const affine_map& map_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GEOMETRIC_MIXED_HPP
