// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: squares and inner products of rows. The arithmetic is defined,
// not tuned: products rounded to double, sixteen lane sums for each block, added up in one fixed order.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct square_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  static constexpr std::size_t parts = row_lanes / wide;
  using wide_f64 = vec<double, wide>;
  using wide_i64 = vec<std::int64_t, wide>;

  struct lane_sums {
    wide_f64 part[parts];
  };

  /// Lane l plus lane l + 8, then 4, 2, 1: the same tree whatever the vectors' width.
  FEDAGG_TARGET static inline double total(const lane_sums& sums) noexcept {
    FEDAGG_FP_IN_ORDER
    double lane[row_lanes];
    std::memcpy(lane, &sums, sizeof lane);
    for (std::size_t half = row_lanes / 2; half > 0; half /= 2)
      for (std::size_t l = 0; l < half; ++l) lane[l] = FEDAGG_FP_KEEP(lane[l] + lane[l + half]);
    return lane[0];
  }

  /// Elements of x - base at `at`; beyond count they are zero.
  template <bool Whole, class T>
  FEDAGG_TARGET static inline wide_f64 difference(const T* x, const T* base, std::size_t at,
                                                  std::size_t count) noexcept {
    FEDAGG_FP_IN_ORDER
    const std::size_t rest = at < count ? count - at : 0;
    if constexpr (Whole) {
      const wide_f64 d = c::load_wide(x + at);
      return base ? FEDAGG_FP_KEEP(d - c::load_wide(base + at)) : d;
    } else {
      if (rest >= wide) return difference<true>(x, base, at, count);
      const wide_f64 d = c::load_some(x + (rest ? at : 0), rest);
      return base ? FEDAGG_FP_KEEP(d - c::load_some(base + (rest ? at : 0), rest)) : d;
    }
  }

  struct counters {
    wide_i64 positive, negative, bad;
  };

  template <bool Whole, bool Counts, class T>
  FEDAGG_TARGET FEDAGG_INLINE static void step(const T* x, const T* base, std::size_t j, std::size_t count,
                                               lane_sums& sums, counters& seen) noexcept {
    FEDAGG_FP_IN_ORDER
    constexpr std::int64_t exponent = 0x7ff0000000000000;
#pragma GCC unroll 8
    for (std::size_t k = 0; k < parts; ++k) {
      const wide_f64 d = difference<Whole>(x, base, j + k * wide, count);
      sums.part[k] = FEDAGG_FP_KEEP(sums.part[k] + FEDAGG_FP_KEEP(d * d));
      if constexpr (Counts) {
        // Signs from the bits: comparisons of floats may not be trusted with NaN in every build.
        const auto word = s::template bits<wide_i64>(d);
        const wide_i64 broken = (word & exponent) == exponent;
        const wide_i64 sound = broken == std::int64_t{0};
        seen.bad = seen.bad - broken;
        seen.positive = seen.positive - ((word > std::int64_t{0}) & sound);
        seen.negative = seen.negative - ((word < std::int64_t{0}) & ((word & INT64_MAX) != std::int64_t{0}) & sound);
      }
    }
  }

  /// Of x - base (base may be null) over at most row_block elements: the sum of squares, and with Counts how many are
  /// positive, negative, and NaN or Inf.
  template <bool Counts, class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void squares(const T* x, const T* base, std::size_t count,
                                                    row_partial& into) noexcept {
    FEDAGG_FP_IN_ORDER
    lane_sums sums{};
    counters seen{};
    const std::size_t whole = count - count % row_lanes;
    if (base) {
      for (std::size_t j = 0; j < whole; j += row_lanes) step<true, Counts>(x, base, j, count, sums, seen);
    } else {
      for (std::size_t j = 0; j < whole; j += row_lanes) {
        FEDAGG_PREFETCH_ONCE(x + j + 8192 / sizeof(T));
        step<true, Counts>(x, static_cast<const T*>(nullptr), j, count, sums, seen);
      }
    }
    if (whole < count) step<false, Counts>(x, base, whole, count, sums, seen);
    into.square = FEDAGG_FP_KEEP(into.square + total(sums));
    if constexpr (Counts) {
      for (std::size_t l = 0; l < wide; ++l) {
        into.positive += static_cast<std::uint32_t>(seen.positive[l]);
        into.negative += static_cast<std::uint32_t>(seen.negative[l]);
        into.non_finite += static_cast<std::uint32_t>(seen.bad[l]);
      }
    }
  }

  /// The inner product of x - base and y - base over at most row_block elements.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static double inner(const T* x, const T* y, const T* base, std::size_t count) noexcept {
    FEDAGG_FP_IN_ORDER
    lane_sums sums{};
    const std::size_t whole = count - count % row_lanes;
    for (std::size_t j = 0; j < count; j += row_lanes)
#pragma GCC unroll 8
      for (std::size_t k = 0; k < parts; ++k) {
        const std::size_t at = j + k * wide;
        const wide_f64 p = j < whole ? difference<true>(x, base, at, count) : difference<false>(x, base, at, count);
        const wide_f64 q = j < whole ? difference<true>(y, base, at, count) : difference<false>(y, base, at, count);
        sums.part[k] = FEDAGG_FP_KEEP(sums.part[k] + FEDAGG_FP_KEEP(p * q));
      }
    return total(sums);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
