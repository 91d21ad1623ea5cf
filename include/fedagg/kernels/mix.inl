// SPDX-License-Identifier: MIT
// Included by kernels/parts/mix.hpp once per instruction set: tiles of mixed rows, sum_i a_i x_i / divisor, each summed
// in double and rounded once.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct mix_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  using sums = sum_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;
  template <class T>
  using target = typename sums::template target<T>;

  /// Doubles of a row in a tile of rows that are mixed, and how many of them are summed in registers: the rows are
  /// filled up with zeros to a multiple of that.
  static constexpr std::size_t mixed_tile = 128;
  static constexpr std::size_t mixed_burst = (s::bytes > 16 ? 8 : 4) * wide;

  /// out[0..count) = sum_i a_i x_i / divisor, rounded once, of a tile's rows.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static unsigned mix(const double* tile, detail::slice<const map_entry> row,
                                                    double divisor, std::size_t count, T* out) noexcept {
    FEDAGG_FP_IN_ORDER
    target<T> to{out, sizeof(T) == 8 ? divisor : 1.0 / divisor, false};
    constexpr std::size_t vectors = mixed_burst / wide;
    for (std::size_t j = 0; j < count; j += mixed_burst) {
      wide_f64 sum[vectors] = {};
      for (const map_entry& e : row) {
        const double* x = tile + e.index * mixed_tile + j;
        const auto factor = s::template fill<double, wide>(e.share);
#pragma GCC unroll 8
        for (std::size_t k = 0; k < vectors; ++k)
          sum[k] = FEDAGG_FP_KEEP(sum[k] + FEDAGG_FP_KEEP(factor * s::template load<wide_f64>(x + k * wide)));
      }
#pragma GCC unroll 8
      for (std::size_t k = 0; k < vectors; k += target<T>::lanes / wide) {
        const std::size_t at = j + k * wide;
        if (at < count) sums::finish(to, sum + k, at, count - at < target<T>::lanes ? count - at : target<T>::lanes);
      }
    }
    if (!sums::non_finite(to)) return 0;
    for (const map_entry& e : row)
      if (scan_kernel<FEDAGG_ISA, Late>::non_finite(tile + e.index * mixed_tile, count)) return saw_non_finite;
    return saw_overflow;
  }

  /// Doubles of one subset's sums, see mix_plan. Those of four clients fit where two clients' tiles would be, so that
  /// the table of n clients fits the tiles of n + 1.
  static constexpr std::size_t subset_lanes = 2 * wide;
  static_assert(mix_plan::subsets * subset_lanes <= 2 * mixed_tile);

  /// The sums of all subsets of four clients but the empty one.
  template <class T>
  FEDAGG_TARGET FEDAGG_INLINE static void add_subsets(const T* const* from, const double* shares, double* to) noexcept {
    FEDAGG_FP_IN_ORDER
    for (std::size_t at = 0; at < subset_lanes; at += wide, to += wide) {
      wide_f64 sum[mix_plan::subsets];
#pragma GCC unroll 4
      for (std::size_t bit = 0; bit < mix_plan::group; ++bit) {
        const std::size_t alone = std::size_t{1} << bit;
        sum[alone] = FEDAGG_FP_KEEP(s::template fill<double, wide>(shares[bit]) * c::load_wide(from[bit] + at));
        s::store(to + alone * subset_lanes, sum[alone]);
#pragma GCC unroll 8
        for (std::size_t k = 1; k < alone; ++k) {
          sum[k | alone] = FEDAGG_FP_KEEP(sum[k] + sum[alone]);
          s::store(to + (k | alone) * subset_lanes, sum[k | alone]);
        }
      }
    }
  }

  /// Elements [begin, begin + count) of all mixed rows, which are `mixed_tile` doubles apart. `table` has room for the
  /// subsets of all groups.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static unsigned mix_subsets(const mix_plan& plan, const T* const* rows, const T* base,
                                                            std::size_t begin, std::size_t count, double* table,
                                                            T* out) noexcept {
    FEDAGG_FP_IN_ORDER
    constexpr std::size_t lanes = subset_lanes, vectors = lanes / wide, group = mix_plan::group;
    target<T> to{nullptr, 1, false};
    for (std::size_t g = 0; g < plan.groups; ++g) std::memset(table + g * mix_plan::subsets * lanes, 0, lanes * 8);
    for (std::size_t j = 0; j < count; j += lanes) {
      const std::size_t left = count - j < lanes ? count - j : lanes;
      T last[group][lanes] = {};
      const auto at = [&](const T* row, T* copy) {
        const T* const from = row + begin + j;
        if (left == lanes) return from;
        std::memcpy(copy, from, left * sizeof(T));
        return static_cast<const T*>(copy);
      };
      for (std::size_t g = 0; g < plan.groups; ++g) {
        const T* from[group];
        for (std::size_t k = 0; k < group; ++k) {
          const std::size_t i = g * group + k;
          from[k] = at(rows[i < plan.in ? i : 0], last[k]);
          for (std::size_t b = 0; b < lanes * sizeof(T); b += 64) FEDAGG_PREFETCH(from[k] + (1024 + b) / sizeof(T));
        }
        add_subsets(from, plan.shares + g * group, table + g * mix_plan::subsets * lanes);
      }
      const T* const origin = base ? at(base, last[0]) : nullptr;
      for (std::size_t k = 0; k < plan.out; ++k) {
        const std::uint32_t* const pick = plan.picks + k * plan.groups;
        wide_f64 sum[vectors] = {};
        for (std::size_t g = 0; g < plan.groups; ++g) {
          const double* const part = table + pick[g] * lanes;
#pragma GCC unroll 4
          for (std::size_t v = 0; v < vectors; ++v)
            sum[v] = FEDAGG_FP_KEEP(sum[v] + s::template load<wide_f64>(part + v * wide));
        }
        if (origin) {
          const auto rest = s::template fill<double, wide>(plan.rests[k]);
#pragma GCC unroll 4
          for (std::size_t v = 0; v < vectors; ++v)
            sum[v] = FEDAGG_FP_KEEP(sum[v] + FEDAGG_FP_KEEP(rest * c::load_wide(origin + v * wide)));
        }
        to.out = out + k * (mixed_tile * sizeof(double) / sizeof(T));
        to.by = plan.by[k];
#pragma GCC unroll 4
        for (std::size_t v = 0; v < vectors; v += target<T>::lanes / wide)
          if (v * wide < left)
            sums::finish(to, sum + v, j + v * wide,
                         left - v * wide < target<T>::lanes ? left - v * wide : target<T>::lanes);
      }
    }
    if (!sums::non_finite(to)) return 0;
    for (std::size_t i = 0; i < plan.in; ++i)
      if (plan.shares[i] != 0 && scan_kernel<FEDAGG_ISA, Late>::non_finite(rows[i] + begin, count))
        return saw_non_finite;
    return base && scan_kernel<FEDAGG_ISA, Late>::non_finite(base + begin, count) ? saw_non_finite : saw_overflow;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
