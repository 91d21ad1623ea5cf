// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_POWER_HPP
#define FEDAGG_CORE_POWER_HPP

#include <bit>
#include <cstdint>

#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

// Exponentials in integer arithmetic: the same bits on every machine and whatever the build's flags, without <cmath>.

/// A number that is not negative: whole + part / 2^64.
struct fixed_point {
  std::uint64_t whole = 0;
  std::uint64_t part = 0;
};

/// floor(a b / 2^64).
constexpr std::uint64_t high_product(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t half = 0xffffffffu, a1 = a >> 32, a0 = a & half, b1 = b >> 32, b0 = b & half;
  const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & half);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

/// significand 2^exponent of a finite positive number, the significand in [2^52, 2^53).
struct binary {
  std::uint64_t significand = 0;
  int exponent = 0;
};
constexpr binary take_apart(double x) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const int e = static_cast<int>(bits >> 52 & 0x7ffu);
  const std::uint64_t fraction = bits & 0xfffffffffffffu;
  if (e != 0) return {fraction | std::uint64_t{1} << 52, e - 1075};
  const int shift = std::countl_zero(fraction) - 11;
  return {fraction << shift, -1074 - shift};
}

/// x f for a finite x > 0, off by less than 2^-64; beyond 2^63 a whole part of 2^63. f.whole < 2^11.
constexpr fixed_point scaled(double x, fixed_point f) noexcept {
  constexpr fixed_point beyond{std::uint64_t{1} << 63, 0};
  const auto [m, e] = take_apart(x);
  fixed_point p{m * f.whole, m * f.part};
  const std::uint64_t carry = high_product(m, f.part);
  p.whole += carry;
  if (e <= -128) return {};
  if (e <= -64) return {0, e == -64 ? p.whole : p.whole >> (-64 - e)};
  if (e < 0) return {p.whole >> -e, p.whole << (64 + e) | p.part >> -e};
  if (e == 0) return p.whole >> 63 ? beyond : p;
  if (p.whole == 0 && p.part == 0) return {};
  if (e >= 64 || std::countl_zero(p.whole) <= e) return beyond;
  return {p.whole << e | p.part >> (64 - e), p.part << e};
}

/// 2^y or 2^-y, rounded once from a value that is right to 2^-59 of itself; the largest double beyond it.
constexpr double exponential_of_two(fixed_point y, bool negative) noexcept {
  if (y.whole > 1100) return negative ? 0.0 : largest_double;
  int e = static_cast<int>(y.whole);
  std::uint64_t part = y.part;
  if (negative) {
    // -(w + p) = (-w - 1) + (1 - p).
    e = part == 0 ? -e : -e - 1;
    part = 0 - part;
  }
  // 2^part = exp(part log 2) = 1 + t (1 + t/2 (1 + t/3 (...))), in units of 2^-63.
  const std::uint64_t t = high_product(part, 0xb17217f7d1cf79abu), one = std::uint64_t{1} << 63;
  std::uint64_t m = one;
  for (std::uint64_t k = 20; k > 0; --k) m = one + high_product(m, t) / k;
  // 53 digits of the 64 are kept, fewer below the normal numbers.
  const int drop = e >= -1022 ? 11 : 11 - 1022 - e;
  if (drop > 64) return 0;
  const std::uint64_t kept = drop == 64 ? 0 : m >> drop;
  const std::uint64_t rest = m << (64 - drop), tie = std::uint64_t{1} << 63;
  const std::uint64_t up = rest > tie || (rest == tie && (kept & 1)) ? 1 : 0;
  if (e < -1022) return std::bit_cast<double>(kept + up);
  const auto biased = static_cast<std::uint64_t>(e + 1022);
  const std::uint64_t bits = e > 1023 ? std::uint64_t{0x7ff} << 52 : (biased << 52) + kept + up;
  return bits >> 52 >= 0x7ff ? largest_double : std::bit_cast<double>(bits);
}

/// The magnitude of log2 x for a finite x > 0, off by less than 2^-61, and its sign.
struct binary_logarithm {
  fixed_point size;
  bool negative = false;
};
constexpr binary_logarithm log_of_two(double x) noexcept {
  const auto [significand, exponent] = take_apart(x);
  const int e = exponent + 52;
  // Digit by digit: the logarithm's is one where the square reaches 2.
  std::uint64_t m = significand << 11, part = 0;
  for (int digit = 0; digit < 64 && m != std::uint64_t{1} << 63; ++digit) {
    const std::uint64_t square = high_product(m, m), low = m * m;
    const bool two = square >> 63;
    m = two ? square : square << 1 | low >> 63;
    if (two) part |= std::uint64_t{1} << (63 - digit);
  }
  if (e >= 0) return {{static_cast<std::uint64_t>(e), part}, false};
  return {{static_cast<std::uint64_t>(part == 0 ? -e : -e - 1), 0 - part}, true};
}

/// e^x of a finite x, off by at most 0.65 units in the last place; the largest double where it overflows.
constexpr double exponential(double x) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  if (bits << 1 == 0) return 1;
  // log2 e.
  return exponential_of_two(scaled(std::bit_cast<double>(bits & ~(std::uint64_t{1} << 63)), {1, 0x71547652b82fe177u}),
                            bits >> 63);
}

/// x^a of finite numbers, x not negative, off by at most 0.6 units in the last place for |a| <= 16 and by 1 + |a| / 64
/// for others; exact where the result is 1 or x, rounded to nearest where it is a square root or 1 / x. 0^0 = 1; the
/// largest double where it overflows, which 0^a does for a negative a.
constexpr double power(double x, double a) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(a);
  const bool negative = bits >> 63 && bits << 1 != 0;
  if (bits << 1 == 0) return 1;
  if (!(std::bit_cast<std::uint64_t>(x) << 1)) return negative ? largest_double : 0;
  if (a == 1) return x;
  if (a == 0.5) return square_root(x);
  const binary_logarithm l = log_of_two(x);
  return exponential_of_two(scaled(negative ? -a : a, l.size), l.negative != negative);
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_POWER_HPP
