// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: looks for NaN and Inf on bit patterns.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <>
struct scan_kernel<FEDAGG_ISA> {
  using s = simd<FEDAGG_ISA>;

  /// True if any of `count` elements is NaN or Inf.
  template <class T>
  FEDAGG_TARGET static bool non_finite(const T* p, std::size_t count) noexcept {
    using word = std::conditional_t<sizeof(T) == 8, std::int64_t,
                                    std::conditional_t<sizeof(T) == 4, std::int32_t, std::int16_t>>;
    constexpr word exponent = std::is_same_v<T, double>    ? static_cast<word>(0x7ff0000000000000)
                              : std::is_same_v<T, float16> ? static_cast<word>(0x7c00)
                              : sizeof(T) == 4             ? static_cast<word>(0x7f800000)
                                                           : static_cast<word>(0x7f80);
    constexpr std::size_t width = s::template width<T>;
    using unsigned_word = std::make_unsigned_t<word>;
    using words = vec<unsigned_word, width>;
    constexpr auto mask = static_cast<unsigned_word>(exponent);
    // An exponent of all ones carries into the sign.
    constexpr auto carry = static_cast<unsigned_word>(exponent & -exponent);
    constexpr std::size_t step = 4 * width, block = 4096 / step * step;
    std::size_t j = 0;
    while (j + step <= count) {
      words seen[4];
      for (auto& v : seen) v = s::template fill<unsigned_word, width>(0);
      for (const std::size_t end = count - j < block ? count : j + block; j + step <= end; j += step) {
#pragma GCC unroll 4
        for (std::size_t k = 0; k < 4; ++k) {
          FEDAGG_PREFETCH(p + j + k * width + 1024 / sizeof(T));
          seen[k] = seen[k] | ((s::template load<words>(p + j + k * width) & mask) + carry);
        }
      }
      const words all = (seen[0] | seen[1]) | (seen[2] | seen[3]);
      if (s::any(all & static_cast<unsigned_word>(unsigned_word{1} << (sizeof(T) * 8 - 1)))) return true;
    }
    for (; j < count; ++j) {
      word w;
      std::memcpy(&w, p + j, sizeof w);
      if ((w & exponent) == exponent) return true;
    }
    return false;
  }

  /// The same for a floating type known at run time.
  static bool non_finite(dtype type, const void* p, std::size_t count) noexcept {
    switch (type) {
    case dtype::f64:
      return non_finite(static_cast<const double*>(p), count);
    case dtype::f32:
      return non_finite(static_cast<const float*>(p), count);
    case dtype::f16:
      return non_finite(static_cast<const float16*>(p), count);
    default:
      return non_finite(static_cast<const bfloat16*>(p), count);
    }
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
