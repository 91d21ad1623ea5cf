// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: sum_i a_i x_i in double, client by client in long bursts.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <>
struct sum_kernel<FEDAGG_ISA> {
  using s = simd<FEDAGG_ISA>;
  using c = convert_kernel<FEDAGG_ISA>;
  static constexpr std::size_t wide = s::wide;
  static constexpr std::size_t step = 16;
  static constexpr std::size_t parts = step / wide;
  using wide_f64 = vec<double, wide>;

  /// acc[0..count) (from zero if Fresh) += a_0 x_0 + ... for `group` clients, in this order, each product rounded
  /// before it is added. acc has room for whole steps.
  template <bool Fresh, class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void add(const T* const* rows, const double* a, std::size_t group,
                                                std::size_t begin, std::size_t count, double* acc) noexcept {
    FEDAGG_FP_IN_ORDER
    const std::size_t whole = count - count % step;
    for (std::size_t j = 0; j < whole; j += step) {
      wide_f64 sum[parts] = {};
      if constexpr (!Fresh) {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts; ++k) sum[k] = s::template load<wide_f64>(acc + j + k * wide);
      }
      for (std::size_t g = 0; g < group; ++g) {
        const T* x = rows[g] + begin + j;
        const auto factor = s::template fill<double, wide>(a[g]);
        if (j * sizeof(T) % 64 == 0) FEDAGG_PREFETCH(x + sum_ahead);
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts; ++k)
          sum[k] = FEDAGG_FP_KEEP(sum[k] + FEDAGG_FP_KEEP(factor * c::load_wide(x + k * wide)));
      }
#pragma GCC unroll 8
      for (std::size_t k = 0; k < parts; ++k) s::store(acc + j + k * wide, sum[k]);
    }
    for (std::size_t j = whole; j < count; j += wide) {
      const std::size_t lanes = count - j < wide ? count - j : wide;
      wide_f64 sum{};
      if constexpr (!Fresh) sum = s::template load<wide_f64>(acc + j);
      for (std::size_t g = 0; g < group; ++g) {
        const wide_f64 x = c::load_some(rows[g] + begin + j, lanes);
        sum = FEDAGG_FP_KEEP(sum + FEDAGG_FP_KEEP(s::template fill<double, wide>(a[g]) * x));
      }
      s::store(acc + j, sum);
    }
  }

  /// result[0..count) = acc / divisor, rounded once more to T; a whole step may be written. Doubles are divided; for
  /// the shorter types a reciprocal is exact enough (2^-29 of a float's last place) and division would cost more than
  /// the sum of a few clients.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void finish(const double* acc, double divisor, std::size_t count,
                                                   T* result) noexcept {
    FEDAGG_FP_IN_ORDER
    auto by = s::template fill<double, wide>(sizeof(T) == 8 ? divisor : 1.0 / divisor);
    for (std::size_t j = 0; j < count; j += wide) {
      FEDAGG_FP_HIDE(by);
      const wide_f64 sum = s::template load<wide_f64>(acc + j);
      if constexpr (sizeof(T) == 8)
        c::store_wide(result + j, FEDAGG_FP_KEEP(sum / by));
      else
        c::store_wide(result + j, FEDAGG_FP_KEEP(sum * by));
    }
  }

  /// Doubles of scratch that `run` needs: sums, and results of at most their size.
  static constexpr std::size_t scratch_doubles = 2 * (sum_block + step);

  /// out[begin..end) = sum_i a_i x_i / divisor, rounded once; null `out` only looks. The sums alone tell of NaN and
  /// Inf, because the a_i are scaled so that finite values cannot overflow them, and NaN or Inf never leaves a sum
  /// finite.
  template <class T>
  FEDAGG_TARGET static unsigned run(const T* const* rows, const double* a, std::size_t n, double divisor,
                                    std::size_t begin, std::size_t end, T* out, bool past_cache,
                                    void* scratch) noexcept {
    // Few clients are as many streams as a machine's prefetchers follow by themselves: all of them at once, in short
    // blocks. Many come four at a time in long bursts.
    const std::size_t group = n <= sum_streams ? n : 4;
    const std::size_t block = n <= sum_streams ? 128 : sum_block;
    auto* acc = static_cast<double*>(scratch);
    auto* result = reinterpret_cast<T*>(acc + sum_block + step);
    unsigned seen = 0;
    for (std::size_t at = begin; at < end; at += block) {
      const std::size_t count = end - at < block ? end - at : block;
      add<true>(rows, a, group, at, count, acc);
      for (std::size_t i = group; i < n; i += group)
        add<false>(rows + i, a + i, n - i < group ? n - i : group, at, count, acc);
      finish(acc, divisor, count, result);
      // Nothing finite comes of a sum that is not, so that one look tells whether to look twice.
      if (scan_kernel<FEDAGG_ISA>::non_finite(result, count))
        seen |= scan_kernel<FEDAGG_ISA>::non_finite(acc, count) ? saw_non_finite : saw_overflow;
      if (out) s::copy(out + at, result, count * sizeof(T), past_cache);
    }
    if (past_cache) s::fence();
    return seen;
  }

  /// acc[0..count) += a x[0..count), the streaming form; acc has room for a whole step at its end.
  template <class T>
  FEDAGG_TARGET static void absorb(const T* row, double a, std::size_t count, double* acc) noexcept {
    add<false>(&row, &a, 1, 0, count, acc);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
