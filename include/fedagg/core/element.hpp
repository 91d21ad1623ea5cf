// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ELEMENT_HPP
#define FEDAGG_CORE_ELEMENT_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// IEEE 754 binary16 as it is stored; arithmetic happens after widening to float, which is exact.
struct float16 {
  std::uint16_t bits;
  friend constexpr bool operator==(float16, float16) = default;
};

/// bfloat16 (the upper half of a float) as it is stored.
struct bfloat16 {
  std::uint16_t bits;
  friend constexpr bool operator==(bfloat16, bfloat16) = default;
};

/// The element type of a tensor. `other` is a type that can be carried and compared but not computed with.
enum class dtype : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean, other };

/// Bytes per element; 0 for `other`.
constexpr std::size_t size_of(dtype type) noexcept {
  switch (type) {
  case dtype::f64:
  case dtype::i64:
  case dtype::u64:
    return 8;
  case dtype::f32:
  case dtype::i32:
  case dtype::u32:
    return 4;
  case dtype::f16:
  case dtype::bf16:
  case dtype::i16:
  case dtype::u16:
    return 2;
  case dtype::i8:
  case dtype::u8:
  case dtype::boolean:
    return 1;
  case dtype::other:
    break;
  }
  return 0;
}

constexpr bool is_floating(dtype type) noexcept { return type <= dtype::bf16; }
constexpr bool is_integer(dtype type) noexcept { return type >= dtype::i64 && type <= dtype::u8; }

/// The name used in reports: "f32", "bf16", "i64" ...
constexpr const char* name_of(dtype type) noexcept {
  constexpr const char* names[] = {"f64", "f32", "f16", "bf16", "i64", "i32",  "i16",
                                   "i8",  "u64", "u32", "u16",  "u8",  "bool", "other"};
  return names[static_cast<unsigned>(type)];
}

namespace detail {

template <class T>
constexpr dtype dtype_of_v = [] {
  if constexpr (std::is_same_v<T, double>)
    return dtype::f64;
  else if constexpr (std::is_same_v<T, float>)
    return dtype::f32;
  else if constexpr (std::is_same_v<T, float16>)
    return dtype::f16;
  else if constexpr (std::is_same_v<T, bfloat16>)
    return dtype::bf16;
  else if constexpr (std::is_same_v<T, bool>)
    return dtype::boolean;
  else if constexpr (!std::is_integral_v<T>)
    return dtype::other;
  else if constexpr (sizeof(T) > 8)
    return dtype::other;
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 8 ? dtype::i64 : sizeof(T) == 4 ? dtype::i32 : sizeof(T) == 2 ? dtype::i16 : dtype::i8;
  else
    return sizeof(T) == 8 ? dtype::u64 : sizeof(T) == 4 ? dtype::u32 : sizeof(T) == 2 ? dtype::u16 : dtype::u8;
}();

} // namespace detail

/// An element type that views accept: double, float, float16, bfloat16, bool or an integer of 8 to 64 bits.
template <class T>
concept element = (detail::dtype_of_v<std::remove_cv_t<T>> != dtype::other);

template <element T>
constexpr dtype dtype_of = detail::dtype_of_v<std::remove_cv_t<T>>;

/// Widens exactly.
constexpr float to_float(bfloat16 x) noexcept { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }

/// Widens exactly, subnormal numbers, infinities and NaN included.
constexpr float to_float(float16 x) noexcept {
  const std::uint32_t sign = (std::uint32_t{x.bits} & 0x8000u) << 16;
  const std::uint32_t magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x400u) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
  if (magnitude == 0) return std::bit_cast<float>(sign);
  // Subnormal: magnitude * 2^-24, normalised by hand so that no floating-point mode can flush it.
  const int shift = std::countl_zero(magnitude) - 21;
  const std::uint32_t exponent = static_cast<std::uint32_t>(113 - shift);
  return std::bit_cast<float>(sign | exponent << 23 | ((magnitude << shift) & 0x3ffu) << 13);
}

namespace detail {

/// Rounds a double to a binary format of `fraction` fraction bits and `exponent` exponent bits: nearest, ties to even,
/// in one rounding and in integer arithmetic, so that no mode or flag of a build changes it. Overflow gives Inf.
constexpr std::uint16_t round_to_16_bits(double x, int fraction, int exponent) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const std::uint64_t sign = bits >> 63 << 15;
  const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63);
  const std::uint64_t infinity = ((std::uint64_t{1} << exponent) - 1) << fraction;
  if (magnitude > 0x7ff0000000000000u) return static_cast<std::uint16_t>(sign | infinity | 1u << (fraction - 1));
  const int bias = (1 << (exponent - 1)) - 1;
  const int e = static_cast<int>(magnitude >> 52) - 1023 + bias;
  if (e >= (1 << exponent) - 1) return static_cast<std::uint16_t>(sign | infinity);
  if (e < -fraction - 1) return static_cast<std::uint16_t>(sign);
  const std::uint64_t significand = (magnitude & 0xfffffffffffffu) | std::uint64_t{1} << 52;
  const int drop = 52 - fraction + (e < 1 ? 1 - e : 0);
  const std::uint64_t kept = significand >> drop;
  const std::uint64_t rest = significand & ((std::uint64_t{1} << drop) - 1);
  const std::uint64_t half = std::uint64_t{1} << (drop - 1);
  const std::uint64_t up = rest > half || (rest == half && (kept & 1u)) ? 1 : 0;
  // A carry out of the fraction moves into the exponent by itself; the implicit bit is taken off for normal numbers.
  const std::uint64_t lifted = e < 1 ? 0 : static_cast<std::uint64_t>(e - 1) << fraction;
  return static_cast<std::uint16_t>(sign | (lifted + kept + up));
}

} // namespace detail

/// Rounds to nearest, ties to even, once.
constexpr float16 to_float16(double x) noexcept { return {detail::round_to_16_bits(x, 10, 5)}; }
constexpr bfloat16 to_bfloat16(double x) noexcept { return {detail::round_to_16_bits(x, 7, 8)}; }

/// True unless NaN or Inf; on the bit pattern, because under -ffast-math `std::isfinite(NaN)` is true.
constexpr bool is_finite(double x) noexcept {
  return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}
constexpr bool is_finite(float x) noexcept { return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) != 0x7f800000u; }

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ELEMENT_HPP
