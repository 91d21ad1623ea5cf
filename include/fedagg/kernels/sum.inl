// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: sum_i a_i x_i in double, client by client in long bursts.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct sum_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;
  using halves = half_sum_kernel<FEDAGG_ISA, Late>;

  /// Elements of each client that are summed in registers: a line of memory, where the registers reach.
  template <class T>
  static constexpr std::size_t burst = sizeof(T) == 8                    ? 8
                                       : sizeof(T) == 2 && s::bytes > 16 ? 32
                                                                         : 16;
  template <class T>
  static constexpr std::size_t parts = burst<T> / wide;

  /// What becomes of the sums: divided, rounded once to T, looked at, stored.
  template <class T>
  struct target {
    using word = typename integer_of<sizeof(T)>::type;
    static constexpr word exponent =
        sizeof(T) == 8 ? static_cast<word>(0x7ff0000000000000) : static_cast<word>(0x7f800000);
    T* out;
    double by;
    bool past_cache;
    static constexpr std::size_t lanes = sizeof(T) == 8 ? wide : 2 * wide;
    using words = vec<word, lanes>;
    using unsigned_word = std::make_unsigned_t<word>;
    using unsigned_words = vec<unsigned_word, lanes>;
    /// Lanes with their first bit set where a result was not finite.
    unsigned_words seen = s::template fill<unsigned_word, lanes>(0);
  };
  template <class T>
  FEDAGG_TARGET static inline bool non_finite(const target<T>& to) noexcept {
    return s::any(to.seen >> static_cast<typename target<T>::unsigned_word>(sizeof(T) * 8 - 1));
  }

  /// What is beyond `lanes` is not stored.
  template <class T>
  FEDAGG_TARGET static inline void finish(target<T>& to, const wide_f64* sum, std::size_t at,
                                          std::size_t lanes) noexcept {
    FEDAGG_FP_IN_ORDER
    using words = typename target<T>::words;
    auto by = s::template fill<double, wide>(to.by);
    FEDAGG_FP_HIDE(by);
    words result;
    if constexpr (sizeof(T) == 8) {
      result = s::template bits<words>(FEDAGG_FP_KEEP(sum[0] / by));
    } else {
      const auto low = s::template convert<vec<float, wide>>(FEDAGG_FP_KEEP(sum[0] * by));
      const auto high = s::template convert<vec<float, wide>>(FEDAGG_FP_KEEP(sum[1] * by));
      result = s::template bits<words>(s::join(low, high));
    }
    // An exponent of all ones carries into the sign.
    to.seen = to.seen | (s::template bits<typename target<T>::unsigned_words>(result & target<T>::exponent) +
                         static_cast<typename target<T>::unsigned_word>(target<T>::exponent & -target<T>::exponent));
    if (!to.out) return;
    if (lanes < target<T>::lanes) {
      T some[target<T>::lanes]; // the result itself stays in its register
      s::store(some, result);
      std::memcpy(to.out + at, some, lanes * sizeof(T));
    } else if (to.past_cache) {
      s::stream(to.out + at, result);
    } else {
      s::store(to.out + at, result);
    }
  }

  /// See `sum_call`; into acc, which has room for whole bursts, or if last into the output. A result that is not finite
  /// may have been so or have overflowed.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static unsigned add(sum_step which, const void* const* rows, const double* a,
                                                    std::size_t group, std::size_t begin, std::size_t count,
                                                    double* acc, const sum_target& into) noexcept {
    FEDAGG_FP_IN_ORDER
    target<T> to{static_cast<T*>(into.out), into.by, into.past_cache};
    const std::size_t whole = count - count % burst<T>;
    for (std::size_t j = 0; j < whole; j += burst<T>) {
      wide_f64 sum[parts<T>] = {};
      if (!which.first) {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; ++k) sum[k] = s::template load<wide_f64>(acc + j + k * wide);
      }
      for (std::size_t g = 0; g < group; ++g) {
        const T* x = static_cast<const T*>(rows[g]) + begin + j;
        const auto factor = s::template fill<double, wide>(a[g]);
        FEDAGG_PREFETCH_ONCE(x + sum_ahead / sizeof(T));
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; ++k)
          sum[k] = FEDAGG_FP_KEEP(sum[k] + FEDAGG_FP_KEEP(factor * c::load_wide(x + k * wide)));
      }
      if (which.last) {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; k += target<T>::lanes / wide)
          finish(to, sum + k, begin + j + k * wide, target<T>::lanes);
      } else {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; ++k) s::store(acc + j + k * wide, sum[k]);
      }
    }
    for (std::size_t j = whole; j < count; j += target<T>::lanes) {
      const std::size_t lanes = count - j < target<T>::lanes ? count - j : target<T>::lanes;
      wide_f64 sum[2] = {};
      for (std::size_t k = 0; k * wide < lanes; ++k) {
        const std::size_t at = j + k * wide, left = lanes - k * wide < wide ? lanes - k * wide : wide;
        if (!which.first) sum[k] = s::template load<wide_f64>(acc + at);
        for (std::size_t g = 0; g < group; ++g) {
          const wide_f64 x = c::load_some(static_cast<const T*>(rows[g]) + begin + at, left);
          sum[k] = FEDAGG_FP_KEEP(sum[k] + FEDAGG_FP_KEEP(s::template fill<double, wide>(a[g]) * x));
        }
        if (!which.last) s::store(acc + at, sum[k]);
      }
      if (which.last) finish(to, sum, begin + j, lanes);
    }
    return which.last && non_finite(to) ? saw_non_finite | saw_overflow : 0;
  }

  /// The sums of an element type; those of halves are exact and known to be finite, see half_sum_kernel.
  template <class Void = void>
  static sum_call adder(dtype type, bool exact) noexcept {
    switch (type) {
    case dtype::f64:
      return add<double>;
    case dtype::f32:
      return add<float>;
    default:
      return halves::template adder<Void>(type, exact);
    }
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
