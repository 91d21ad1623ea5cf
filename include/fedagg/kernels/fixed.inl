// SPDX-License-Identifier: MIT
// Included by kernels/binned.hpp once per instruction set: sums of products that are rounded to integers.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Rounding by adding 1.5 2^52, which is what all instruction sets have in common: right up to 2^51 and half to even.
/// Beyond that the integers are wrong but a function of the operands, so that what was added can be taken back.
template <class Late>
struct fixed_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;
  using wide_u64 = vec<std::uint64_t, wide>;

  static constexpr std::size_t burst = 16;

  template <bool TakeBack>
  FEDAGG_TARGET FEDAGG_INLINE static void step(const wide_f64& x, const wide_f64& factor, std::uint64_t room,
                                               std::uint64_t* acc, wide_u64& seen) noexcept {
    FEDAGG_FP_IN_ORDER
    constexpr double magic = 0x1.8p+52;
    constexpr std::uint64_t magic_bits = 0x4338000000000000;
    const wide_f64 product = FEDAGG_FP_KEEP(factor * x);
    // A magnitude above the limit carries into the sign; so do those of NaN and Inf.
    seen = seen | ((s::template bits<wide_u64>(product) & static_cast<std::uint64_t>(INT64_MAX)) + room);
    const wide_f64 lifted = FEDAGG_FP_KEEP(product + s::template fill<double, wide>(magic));
    const wide_u64 integer = s::template bits<wide_u64>(lifted) - magic_bits;
    const auto sum = s::template load<wide_u64>(acc);
    if constexpr (TakeBack)
      s::store(acc, sum - integer);
    else
      s::store(acc, sum + integer);
  }

  /// acc[0..count) += factor x rounded half to even, or -= the same; acc has room for a whole vector at its end. True
  /// if some |factor x|, itself rounded to double, is above `limit` <= 2^51, NaN or Inf: then the call with TakeBack
  /// and the same operands puts back what was there.
  template <bool TakeBack, class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static bool absorb(const T* x, double factor, double limit, std::size_t count,
                                                   std::uint64_t* acc) noexcept {
    std::uint64_t largest;
    std::memcpy(&largest, &limit, sizeof largest);
    const std::uint64_t room = static_cast<std::uint64_t>(INT64_MAX) - largest;
    const auto factors = s::template fill<double, wide>(factor);
    auto seen = s::template fill<std::uint64_t, wide>(0);
    std::size_t j = 0;
    for (; j + burst <= count; j += burst)
#pragma GCC unroll 8
      for (std::size_t k = 0; k < burst; k += wide)
        step<TakeBack>(c::load_wide(x + j + k), factors, room, acc + j + k, seen);
    for (; j < count; j += wide)
      step<TakeBack>(c::load_some(x + j, count - j < wide ? count - j : wide), factors, room, acc + j, seen);
    return s::any(seen >> 63);
  }

  /// True if some |factor x|, itself rounded to double, is above `limit`, NaN or Inf.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static bool beyond(const T* x, double factor, double limit,
                                                   std::size_t count) noexcept {
    FEDAGG_FP_IN_ORDER
    std::uint64_t largest;
    std::memcpy(&largest, &limit, sizeof largest);
    const std::uint64_t room = static_cast<std::uint64_t>(INT64_MAX) - largest;
    const auto factors = s::template fill<double, wide>(factor);
    auto seen = s::template fill<std::uint64_t, wide>(0);
    for (std::size_t j = 0; j < count; j += wide) {
      const std::size_t lanes = count - j < wide ? count - j : wide;
      if (j * sizeof(T) % 64 == 0) FEDAGG_PREFETCH(x + j + 1024 / sizeof(T));
      const wide_f64 product =
          FEDAGG_FP_KEEP(factors * (lanes == wide ? c::load_wide(x + j) : c::load_some(x + j, lanes)));
      seen = seen | ((s::template bits<wide_u64>(product) & static_cast<std::uint64_t>(INT64_MAX)) + room);
    }
    return s::any(seen >> 63);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
