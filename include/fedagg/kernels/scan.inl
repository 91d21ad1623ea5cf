// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: looks for NaN and Inf on bit patterns.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct scan_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;

  /// True if any of `count` elements of a floating type is NaN or Inf. Elements of all types are looked at as words of
  /// 16 bits: the exponent is in the first of them.
  FEDAGG_TARGET FEDAGG_NOINLINE static bool non_finite(dtype type, const void* p, std::size_t count) noexcept {
    constexpr std::size_t width = s::bytes / 2, step = 4 * s::bytes, block = 16384;
    using words = vec<std::uint16_t, width>;
    const std::uint64_t exponent = type == dtype::f64   ? 0x7ff0000000000000
                                   : type == dtype::f32 ? 0x7f8000007f800000
                                   : type == dtype::f16 ? 0x7c007c007c007c00
                                                        : 0x7f807f807f807f80;
    // Its last bit: an exponent of all ones carries into the sign.
    const std::uint64_t last = type == dtype::f64   ? 0x0010000000000000
                               : type == dtype::f16 ? 0x0400040004000400
                                                    : exponent & 0x0080008000800080;
    const auto mask = s::template bits<words>(s::template fill<std::uint64_t, s::wide>(exponent));
    const auto carry = s::template bits<words>(s::template fill<std::uint64_t, s::wide>(last));
    const auto* from = static_cast<const std::byte*>(p);
    const std::size_t all = count * size_of(type);
    std::size_t at = 0;
    while (at < all) {
      words seen[4];
      for (auto& v : seen) v = s::template fill<std::uint16_t, width>(0);
      const std::size_t end = all - at < block ? all : at + block;
      for (; at + step <= end; at += step) {
#pragma GCC unroll 4
        for (std::size_t k = 0; k < 4; ++k) {
          FEDAGG_PREFETCH(from + at + k * s::bytes + 1024);
          seen[k] = seen[k] | ((s::template load<words>(from + at + k * s::bytes) & mask) + carry);
        }
      }
      for (; at < end; at += s::bytes) {
        words rest{};
        std::memcpy(&rest, from + at, end - at < s::bytes ? end - at : s::bytes);
        seen[0] = seen[0] | ((rest & mask) + carry);
      }
      if (s::any(((seen[0] | seen[1]) | (seen[2] | seen[3])) & std::uint16_t{0x8000})) return true;
    }
    return false;
  }
  template <class T>
  static bool non_finite(const T* p, std::size_t count) noexcept {
    return non_finite(dtype_of<T>, static_cast<const void*>(p), count);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
