// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: looks for NaN and Inf on bit patterns.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <>
struct scan_kernel<FEDAGG_ISA> {
  using s = simd<FEDAGG_ISA>;

  /// True if any of `count` elements of a floating type is NaN or Inf. All types are looked at as words of 16 bits: an
  /// exponent of all ones lies in the upper word of an element, and no other word can be equal to what is looked for.
  FEDAGG_TARGET FEDAGG_NOINLINE static bool non_finite(dtype type, const void* p, std::size_t count) noexcept {
    using words = vec<std::int16_t, s::bytes / 2>;
    constexpr std::size_t wide = s::wide;
    const std::uint64_t exponent = type == dtype::f64   ? 0x7ff0000000000000
                                   : type == dtype::f32 ? 0x7f8000007f800000
                                   : type == dtype::f16 ? 0x7c007c007c007c00
                                                        : 0x7f807f807f807f80;
    const std::uint64_t others = type == dtype::f64 ? 0x0000000100010001 : type == dtype::f32 ? 0x0000000100000001 : 0;
    const auto mask = s::template bits<words>(s::template fill<std::uint64_t, wide>(exponent));
    const auto sought = s::template bits<words>(s::template fill<std::uint64_t, wide>(exponent | others));
    const auto* from = static_cast<const std::byte*>(p);
    const std::size_t all = count * size_of(type);
    std::size_t at = 0;
    for (; at + 8 * s::bytes <= all; at += 8 * s::bytes) {
      auto bad = s::template fill<std::int16_t, s::bytes / 2>(0);
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 8; ++k) {
        FEDAGG_PREFETCH(from + at + k * s::bytes + 1024);
        bad = bad | ((s::template load<words>(from + at + k * s::bytes) & mask) == sought);
      }
      if (s::any(bad)) return true;
    }
    for (; at < all; at += s::bytes) {
      words last{};
      std::memcpy(&last, from + at, all - at < s::bytes ? all - at : s::bytes);
      if (s::any((last & mask) == sought)) return true;
    }
    return false;
  }
  template <class T>
  static bool non_finite(const T* p, std::size_t count) noexcept {
    return non_finite(dtype_of<T>, static_cast<const void*>(p), count);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
