// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_EXACT_SUM_HPP
#define FEDAGG_CORE_EXACT_SUM_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/power.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// The exact sum of finite doubles and of products of two, in integers: no order and no flag changes a bit of it, and
/// it is rounded once, when it is read. Holds 2^63 terms. 544 bytes; for numbers of clients, not of coordinates.
class exact_sum {
public:
  constexpr void add(double x) noexcept { add_product(x, 1); }

  constexpr void add_product(double a, double b) noexcept {
    const part x = part_of(a), y = part_of(b);
    if (x.significand == 0 || y.significand == 0) return;
    const std::uint64_t low = x.significand * y.significand, high = high_product(x.significand, y.significand);
    const auto place = static_cast<std::size_t>(x.place + y.place);
    const std::size_t shift = place % 64;
    const std::uint64_t words[] = {low << shift, shift == 0 ? high : high << shift | low >> (64 - shift),
                                   shift == 0 ? 0 : high >> (64 - shift)};
    if (x.negative != y.negative)
      subtract(words, place / 64);
    else
      add(words, place / 64);
  }

  constexpr void merge(const exact_sum& other) noexcept {
    bool carry = false;
    for (std::size_t k = 0; k < size; ++k) words_[k] = plus(words_[k], other.words_[k], carry);
  }

  /// The sum in two's complement, lowest word first: what there is to keep of it.
  static constexpr std::size_t size = 68; // products from 2^-2148 to 2^2048, a sign, and digits for the carries
  constexpr std::span<std::uint64_t, size> words() noexcept { return words_; }
  constexpr std::span<const std::uint64_t, size> words() const noexcept { return words_; }

  /// significand 2^exponent with 1 <= |significand| < 2, or 0: the sum rounded to nearest, whatever its size.
  struct rounded {
    double significand = 0;
    int exponent = 0;
  };
  constexpr rounded value() const noexcept {
    const bool negative = words_[size - 1] >> 63;
    std::uint64_t w[size] = {};
    bool borrow = false;
    std::size_t top = size;
    for (std::size_t k = 0; k < size; ++k) {
      w[k] = negative ? minus(0, words_[k], borrow) : words_[k];
      if (w[k] != 0) top = k;
    }
    if (top == size) return {};
    const int zeros = std::countl_zero(w[top]);
    std::uint64_t lead = w[top] << zeros;
    if (zeros > 0 && top > 0) lead |= w[top - 1] >> (64 - zeros);
    bool rest = zeros > 0 && top > 0 && (w[top - 1] << zeros) != 0;
    for (std::size_t k = 0; k + (zeros > 0 ? 1 : 0) < top; ++k) rest = rest || w[k] != 0;
    // 53 digits of 64, ties to even.
    std::uint64_t kept = lead >> 11;
    const std::uint64_t cut = lead & 0x7ffu;
    kept += cut > 0x400u || (cut == 0x400u && (rest || (kept & 1))) ? 1 : 0;
    int e = static_cast<int>(64 * top) + 63 - zeros - 2 * bias;
    if (kept >> 53) {
      kept >>= 1;
      ++e;
    }
    const std::uint64_t sign = negative ? std::uint64_t{1} << 63 : 0;
    return {std::bit_cast<double>(sign | std::uint64_t{1023} << 52 | (kept & 0xfffffffffffffu)), e};
  }

  /// The sum as a double; the largest one beyond it.
  double nearest() const noexcept {
    const rounded x = value();
    return shifted(x.significand, x.exponent);
  }

  /// a / b of two sums, b not zero: off by at most 1.5 units in the last place, the largest double beyond it.
  static double ratio(const exact_sum& a, const exact_sum& b) noexcept {
    const rounded x = a.value(), y = b.value();
    return shifted(quotient(x.significand, y.significand), x.exponent - y.exponent);
  }

  /// x 2^e of an x of a few binary digits before the point; the largest double where it overflows.
  static double shifted(double x, int e) noexcept {
    if (x == 0 || e < -1080) return 0;
    const double most = x < 0 ? -largest_double : largest_double;
    if (e > 1030) return most;
    // In three steps, so that only the last one rounds.
    const double r = times(times(times(x, power_of_two(e / 3)), power_of_two(e / 3)), power_of_two(e - e / 3 * 2));
    return is_finite(r) ? r : most;
  }

private:
  static constexpr int bias = 1074; // a significand's last digit is at least 2^-1074

  struct part {
    std::uint64_t significand;
    int place; ///< of the last digit, above 2^-1074
    bool negative;
  };
  static constexpr part part_of(double x) noexcept {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const int e = static_cast<int>(bits >> 52 & 0x7ffu);
    const std::uint64_t fraction = bits & 0xfffffffffffffu;
    return {e == 0 ? fraction : fraction | std::uint64_t{1} << 52, e == 0 ? 0 : e - 1, bits >> 63 != 0};
  }

  static constexpr std::uint64_t plus(std::uint64_t a, std::uint64_t b, bool& carry) noexcept {
    const std::uint64_t s = a + b, t = s + (carry ? 1 : 0);
    carry = s < a || t < s;
    return t;
  }
  static constexpr std::uint64_t minus(std::uint64_t a, std::uint64_t b, bool& borrow) noexcept {
    const std::uint64_t d = a - b, t = d - (borrow ? 1 : 0);
    borrow = a < b || d < t;
    return t;
  }
  constexpr void add(const std::uint64_t (&words)[3], std::size_t at) noexcept {
    bool carry = false;
    for (std::size_t k = 0; k < 3; ++k) words_[at + k] = plus(words_[at + k], words[k], carry);
    for (std::size_t k = at + 3; carry && k < size; ++k) words_[k] = plus(words_[k], 0, carry);
  }
  constexpr void subtract(const std::uint64_t (&words)[3], std::size_t at) noexcept {
    bool borrow = false;
    for (std::size_t k = 0; k < 3; ++k) words_[at + k] = minus(words_[at + k], words[k], borrow);
    for (std::size_t k = at + 3; borrow && k < size; ++k) words_[k] = minus(words_[k], 0, borrow);
  }

  std::uint64_t words_[size] = {};
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_EXACT_SUM_HPP
