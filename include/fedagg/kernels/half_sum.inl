// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: sum_i a_i x_i of f16 and bf16 at the speed of memory.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A vector of halves is seen as quartets in lanes of 64 bits, and each of the four is moved to where a double has its
/// sign, exponent and fraction: a double whose exponent is too small by a constant, which the coefficient makes good.
/// That is exact for all finite halves, subnormal ones too, and takes three instructions instead of two conversions.
/// What is not finite would look so, and is told by its bits.
template <class Late>
struct half_sum_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  static constexpr std::size_t unit = 4 * wide;
  using wide_f64 = vec<double, wide>;
  using wide_i64 = vec<std::int64_t, wide>;
  using wide_u64 = vec<std::uint64_t, wide>;
  using words = vec<std::int16_t, unit>;

  template <class T>
  static constexpr bool is_f16 = std::is_same_v<T, float16>;

  /// What the coefficients are multiplied by, 2^(1023 - bias), and the coefficients that bear it.
  template <class T>
  static constexpr double scale = is_f16<T> ? 0x1p+1008 : 0x1p+896;
  static bool bears(double a) noexcept { return a < 0x1p+14 && a > -0x1p+14; }

  /// True for coefficients whose products with halves are exact: then a fused multiply-add rounds as two steps do, and
  /// no bit depends on which of them a machine has. Sample counts are of this kind.
  static bool exact(double a) noexcept {
    std::uint64_t word;
    std::memcpy(&word, &a, sizeof word);
    return (word & 0x7ff) == 0;
  }

  /// Element K of each quartet, as double times 1 / scale.
  template <class T, int K>
  FEDAGG_TARGET static inline wide_f64 element(const wide_i64& quartets) noexcept {
    constexpr int shift = is_f16<T> ? 6 : 3;
    const wide_i64 top = quartets << (48 - 16 * K);
    if constexpr (s::bytes == 64) {
      constexpr auto mask = static_cast<std::int64_t>(is_f16<T> ? 0x81fffc0000000000u : 0x8fffe00000000000u);
      return s::template bits<wide_f64>((top >> shift) & mask);
    } else {
      // Only AVX-512 shifts such lanes with their sign.
      const auto magnitude = s::template bits<wide_u64>(top & 0x7fff000000000000) >> shift;
      return s::template bits<wide_f64>(s::template bits<wide_i64>(magnitude) | (top & INT64_MIN));
    }
  }

  /// Keeps the largest magnitudes, as integers.
  FEDAGG_TARGET static inline void note(words& largest, const words& w) noexcept {
    words magnitude = w & static_cast<std::int16_t>(0x7fff);
    s::exchange(magnitude, largest);
  }
  template <class T>
  FEDAGG_TARGET static inline bool non_finite(const words& largest) noexcept {
    return s::any(largest > static_cast<std::int16_t>(is_f16<T> ? 0x7bff : 0x7f7f));
  }

  template <int K, class T>
  FEDAGG_TARGET static inline void place(wide_u64& all, const wide_f64& sum, const wide_f64& by) noexcept {
    FEDAGG_FP_IN_ORDER
    T mean[wide];
    c::store_wide(mean, FEDAGG_FP_KEEP(sum * by));
    all = all | (s::template convert<wide_u64>(s::template load<vec<std::uint16_t, wide>>(mean)) << (16 * K));
  }

  /// See `sum_call`, with the four elements of a quartet in four vectors of acc; `count` is a multiple of `unit`, and
  /// the coefficients are such as `bears` them. What is not finite is told from the inputs.
  template <class T, bool Fused>
  FEDAGG_TARGET FEDAGG_NOINLINE static unsigned add(sum_step which, const void* const* rows, const double* a,
                                                    std::size_t group, std::size_t begin, std::size_t count,
                                                    double* acc, const sum_target& into) noexcept {
    auto largest_input = s::template fill<std::int16_t, unit>(0), largest_mean = largest_input;
    double factors[sum_streams_few];
    for (std::size_t g = 0; g < group; ++g) factors[g] = a[g] * scale<T>;
    T* const out = static_cast<T*>(into.out);
    const auto by = s::template fill<double, wide>(into.by);
    const bool past_cache = into.past_cache;
    for (std::size_t j = 0; j < count; j += unit) {
      wide_f64 sum[4] = {};
      if (!which.first) {
#pragma GCC unroll 4
        for (std::size_t k = 0; k < 4; ++k) sum[k] = s::template load<wide_f64>(acc + j + k * wide);
      }
      for (std::size_t g = 0; g < group; ++g) {
        const T* x = static_cast<const T*>(rows[g]) + begin + j;
        if (unit == 32 || j % 32 == 0) FEDAGG_PREFETCH_ONCE(x + sum_ahead / sizeof(T));
        const auto factor = s::template fill<double, wide>(factors[g]);
        const auto quartets = s::template load<wide_i64>(x);
        note(largest_input, s::template bits<words>(quartets));
        s::template multiply_add<Fused>(sum[0], factor, element<T, 0>(quartets));
        s::template multiply_add<Fused>(sum[1], factor, element<T, 1>(quartets));
        s::template multiply_add<Fused>(sum[2], factor, element<T, 2>(quartets));
        s::template multiply_add<Fused>(sum[3], factor, element<T, 3>(quartets));
      }
      if (which.last) {
        wide_u64 all = s::template fill<std::uint64_t, wide>(0);
        place<0, T>(all, sum[0], by);
        place<1, T>(all, sum[1], by);
        place<2, T>(all, sum[2], by);
        place<3, T>(all, sum[3], by);
        note(largest_mean, s::template bits<words>(all));
        if (out && past_cache)
          s::stream(out + begin + j, all);
        else if (out)
          s::store(out + begin + j, all);
      } else {
#pragma GCC unroll 4
        for (std::size_t k = 0; k < 4; ++k) s::store(acc + j + k * wide, sum[k]);
      }
    }
    return non_finite<T>(largest_input) ? saw_non_finite : non_finite<T>(largest_mean) ? saw_overflow : 0;
  }

  template <class Void = void>
  static sum_call adder(dtype type, [[maybe_unused]] bool exact) noexcept {
    if constexpr (s::bytes > 16)
      if (exact) return type == dtype::f16 ? add<float16, true> : add<bfloat16, true>;
    return type == dtype::f16 ? add<float16, false> : add<bfloat16, false>;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
