// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_FP_GUARD_HPP
#define FEDAGG_KERNELS_FP_GUARD_HPP

#include <cstdint>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Round to nearest, no flush-to-zero, no traps while it lives; the caller's mode afterwards. A link with -ffast-math
/// alone turns flush-to-zero on for every thread, and a result must not depend on that.
class fp_guard {
public:
  fp_guard() noexcept : saved_(get()) { set(standard); }
  ~fp_guard() { set(saved_); }
  fp_guard(const fp_guard&) = delete;
  fp_guard& operator=(const fp_guard&) = delete;

private:
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  using word = unsigned;
  static constexpr word standard = 0x1f80;
  static word get() noexcept { return __builtin_ia32_stmxcsr(); }
  static void set(word value) noexcept { __builtin_ia32_ldmxcsr(value); }
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
  using word = std::uint64_t;
  static constexpr word standard = 0;
  static word get() noexcept {
    word value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set(word value) noexcept { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
  using word = int;
  static constexpr word standard = 0;
  static word get() noexcept { return 0; }
  static void set(word) noexcept {}
#endif

  word saved_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_KERNELS_FP_GUARD_HPP
