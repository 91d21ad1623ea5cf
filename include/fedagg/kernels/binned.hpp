// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_BINNED_HPP
#define FEDAGG_KERNELS_BINNED_HPP

#include <bit>
#include <cstddef>
#include <cstdint>

#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A double, written as digits of base 2^40 between -2^39 and 2^39 at places that are the same for all doubles: each
/// digit is what is left of the higher ones rounded half to even, so that it depends on the number alone. Digit 0 of
/// level b counts 2^(40 b - 1014): level 0 ends below the smallest subnormal number, level 50 holds the largest.
inline constexpr unsigned bin_bits = 40;
inline constexpr unsigned bin_words = 3;
inline constexpr unsigned bin_top = 50;
inline constexpr int bin_lowest = -1014;
/// How many numbers add up without an overflow of a word.
inline constexpr std::uint64_t bin_terms = (std::uint64_t{1} << 24) - 1;
/// The largest digit, and what numbers are rounded with: adding 1.5 2^52 leaves the integer in the last bits.
inline constexpr double bin_limit = 0x1p+39;
inline constexpr double bin_magic = 0x1.8p+52;
inline constexpr std::uint64_t bin_magic_bits = 0x4338000000000000;

/// The lowest level whose digit 0 is the number's first digit.
constexpr unsigned bin_level(double x) noexcept {
  const std::uint64_t magnitude = std::bit_cast<std::uint64_t>(x) & static_cast<std::uint64_t>(INT64_MAX);
  const std::uint64_t exponent = (magnitude + 0xfffffffffffff) >> 52; // of the next power of two
  return exponent < 9 ? 0 : static_cast<unsigned>((exponent - 9) / bin_bits);
}

/// 1 over what digit 0 counts.
constexpr double bin_scale(unsigned level) noexcept {
  return std::bit_cast<double>(std::uint64_t{2037 - bin_bits * level} << 52);
}

/// value 2^exponent, where doubles do not reach.
struct scaled_double {
  double value = 0;
  int exponent = 0;
};

/// A number as it may divide any of them.
inline scaled_double scaled(double x) noexcept {
  if (x < 0x1p-800 && x > -0x1p-800) return {x * 0x1p+200, -200};
  return {x, 0};
}

/// a / b, rounded once unless it is subnormal; Inf beyond the doubles.
inline double quotient(scaled_double a, scaled_double b) noexcept {
  double by = b.value;
  FEDAGG_FP_HIDE(by);
  double q = a.value / by;
  int e = a.exponent - b.exponent;
  if (q == 0) return q;
  e = e < -2044 ? -2044 : e > 2044 ? 2044 : e;
  // In two steps, of which only the second can leave the doubles.
  q *= detail::power_of_two(e / 2);
  FEDAGG_FP_HIDE(q);
  return q * detail::power_of_two(e - e / 2);
}

/// The sum of up to `bin_terms` finite doubles, in the three highest digits of the largest of them. Each is rounded to
/// a multiple of the third digit, less than 2^-79 of the largest; beyond that the sum is exact, and so it is the same
/// in whatever order and grouping (after Ahrens, Demmel and Nguyen 2020, doi:10.1145/3389360, with integers for
/// digits).
struct binned_sum {
  std::int64_t word[bin_words] = {};
  unsigned level = 0;

  void raise(unsigned to) noexcept {
    for (; level < to; ++level) {
      word[2] = word[1];
      word[1] = word[0];
      word[0] = 0;
    }
  }

  void add(double x) noexcept {
    FEDAGG_FP_IN_ORDER
    raise(bin_level(x));
    double rest = FEDAGG_FP_KEEP(x * bin_scale(level));
    for (std::int64_t& w : word) {
      const double lifted = FEDAGG_FP_KEEP(rest + bin_magic);
      w += static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(lifted) - bin_magic_bits);
      rest = FEDAGG_FP_KEEP(rest - FEDAGG_FP_KEEP(lifted - bin_magic)) * 0x1p+40;
    }
  }

  void add(binned_sum other) noexcept {
    raise(other.level);
    other.raise(level);
    for (std::size_t k = 0; k < bin_words; ++k) word[k] += other.word[k];
  }

  /// The sum rounded once to double.
  scaled_double value() const noexcept {
    constexpr std::int64_t mask = (std::int64_t{1} << bin_bits) - 1;
    std::int64_t w[bin_words] = {word[0], word[1], word[2]};
    const auto carry = [&w] {
      w[1] += w[2] >> bin_bits;
      w[2] &= mask;
      w[0] += w[1] >> bin_bits;
      w[1] &= mask;
    };
    carry();
    const bool negative = w[0] < 0;
    if (negative) {
      for (std::int64_t& x : w) x = -x;
      carry();
    }
    // One number of 144 bits, its 63 first bits, and whether any is set behind them.
    const std::uint64_t a = static_cast<std::uint64_t>(w[0]), b = static_cast<std::uint64_t>(w[1]),
                        c = static_cast<std::uint64_t>(w[2]);
    const std::uint64_t limb[] = {0, b << 40 | c, a << 16 | b >> 24, a >> 48};
    std::size_t top = 3;
    while (top > 0 && limb[top] == 0) --top;
    if (top == 0) return {};
    const int shift = std::countl_zero(limb[top]);
    std::uint64_t first = limb[top] << shift;
    if (shift != 0) first |= limb[top - 1] >> (64 - shift);
    bool more = (first & 1) != 0 || limb[top - 1] << shift != 0;
    for (std::size_t k = 1; k + 1 < top; ++k) more = more || limb[k] != 0;
    const auto magnitude = static_cast<double>(static_cast<std::int64_t>(first >> 1 | std::uint64_t{more}));
    const int exponent = 64 * static_cast<int>(top - 1) - shift + 1 + bin_lowest +
                         static_cast<int>(bin_bits) * (static_cast<int>(level) - 2);
    return {negative ? -magnitude : magnitude, exponent};
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#define FEDAGG_KERNELS <fedagg/kernels/fixed.inl>
#include <fedagg/kernels/per_isa.inl>
#define FEDAGG_KERNELS <fedagg/kernels/binned.inl>
#include <fedagg/kernels/per_isa.inl>

#endif // FEDAGG_KERNELS_BINNED_HPP
