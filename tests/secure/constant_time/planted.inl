// SPDX-License-Identifier: MIT
// Included by planted.hpp once per instruction set: what must not be done with secrets in lanes.

namespace constant_time {

template <>
struct planted<fedagg::impl::FEDAGG_ISA> {
  using s = fedagg::impl::simd<fedagg::impl::FEDAGG_ISA>;
  using words = fedagg::impl::vec<std::uint32_t, s::bytes / 4>;

  FEDAGG_TARGET FEDAGG_NOINLINE static void branch(const std::uint32_t* secrets) noexcept {
    const auto x = s::template load<words>(secrets);
    if (s::any((x ^ (x >> 3u)) & s::template fill<std::uint32_t, s::bytes / 4>(2))) sink = sink + 1;
  }
  FEDAGG_TARGET FEDAGG_NOINLINE static void index(const std::uint32_t* secrets) noexcept {
    static volatile unsigned table[256] = {};
    const auto x = s::template load<words>(secrets);
    const words y = x ^ (x >> 3u);
    sink = table[y[1] & 255];
  }
};

} // namespace constant_time
