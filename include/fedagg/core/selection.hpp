// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_SELECTION_HPP
#define FEDAGG_CORE_SELECTION_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <fedagg/core/arena.hpp>
#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// The largest finite double.
inline constexpr double largest_double = 1.7976931348623157e308;

/// a + b, a b and a / b, each rounded once and where the source says so, whatever the build's flags. Products are
/// hidden as well: g++ 12 at -O3 forgets that they were to be kept where it vectorises a loop around them.
inline double plus(double a, double b) noexcept {
  FEDAGG_FP_IN_ORDER
  return FEDAGG_FP_KEEP(a + b);
}
inline double times(double a, double b) noexcept {
  FEDAGG_FP_IN_ORDER
  double product = FEDAGG_FP_KEEP(a * b);
  FEDAGG_FP_HIDE(product);
  return product;
}
inline double quotient(double a, double b) noexcept {
  FEDAGG_FP_HIDE(b);
  return FEDAGG_FP_KEEP(a / b);
}

/// a + b for numbers that are not negative, the largest double where it overflows.
inline double saturating_plus(double a, double b) noexcept {
  const double sum = plus(a, b);
  return is_finite(sum) ? sum : largest_double;
}

/// The square root of a finite number, rounded to nearest; 0 for what is not positive. In integer arithmetic, so that
/// no flag replaces it by an estimate and no header has to be included for it.
constexpr double square_root(double x) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  if (bits >> 63 || bits == 0) return 0;
  int e = static_cast<int>(bits >> 52);
  std::uint64_t significand = bits & 0xfffffffffffffu;
  if (e == 0) {
    const int shift = std::countl_zero(significand) - 11;
    significand <<= shift;
    e = 1 - shift;
  } else {
    significand |= std::uint64_t{1} << 52;
  }
  // x = significand 2^(e - 1075); an even power of two goes in front of the root.
  int power = e - 1075;
  if (power & 1) {
    significand <<= 1;
    --power;
  }
  // The 54 digits of the root of significand 2^54; the last one decides the rounding.
  std::uint64_t root = 0, rest = 0;
  for (int digit = 53; digit >= 0; --digit) {
    rest = rest << 2 | (digit >= 27 ? significand >> (2 * digit - 54) & 3 : 0);
    const std::uint64_t trial = root << 2 | 1;
    const bool one = rest >= trial;
    rest -= one ? trial : 0;
    root = root << 1 | (one ? 1 : 0);
  }
  // Never a tie: an odd root of 54 digits has a square of more digits than x.
  const std::uint64_t rounded = (root + 1) >> 1;
  const int exponent = (power - 54) / 2 + 1 + 52 + 1023;
  return std::bit_cast<double>((static_cast<std::uint64_t>(exponent) << 52) + (rounded - (std::uint64_t{1} << 52)));
}

/// Something with an index, ordered by value, then index: no order is left to chance.
struct ranked {
  double value;
  std::size_t index;
  friend constexpr bool operator<(const ranked& a, const ranked& b) noexcept {
    return a.value < b.value || (!(b.value < a.value) && a.index < b.index);
  }
};

namespace selection {

/// Restores the heap below `at`, the largest on top.
constexpr void sink(slice<ranked> heap, std::size_t at) noexcept {
  for (std::size_t child; (child = 2 * at + 1) < heap.size(); at = child) {
    if (child + 1 < heap.size() && heap[child] < heap[child + 1]) ++child;
    if (!(heap[at] < heap[child])) return;
    std::swap(heap[at], heap[child]);
  }
}

} // namespace selection

/// Moves the `count` smallest to the front, in ascending order; the rest is left in any order. O(n log count).
constexpr void smallest_first(slice<ranked> all, std::size_t count) noexcept {
  if (count > all.size()) count = all.size();
  if (count == 0) return;
  const auto heap = all.first(count);
  for (std::size_t i = count / 2; i-- > 0;) selection::sink(heap, i);
  for (std::size_t i = count; i < all.size(); ++i)
    if (all[i] < heap[0]) {
      std::swap(all[i], heap[0]);
      selection::sink(heap, 0);
    }
  for (std::size_t left = count; left-- > 1;) {
    std::swap(heap[0], heap[left]);
    selection::sink(heap.first(left), 0);
  }
}

/// Whether n rows, f of them hostile, leave an honest majority: `bad_parameter` for an f that was not given.
constexpr errc honest_majority(std::int64_t f, std::size_t n) noexcept {
  if (f < 0) return errc::bad_parameter;
  const auto hostile = static_cast<std::uint64_t>(f);
  return n == 0 || hostile >= n || hostile >= n - hostile ? errc::too_few_clients : errc::ok;
}

/// min(1, bound / norm) for a row of this squared norm; a row of norm 0 is never cut.
inline double clip_factor(double square_norm, double bound) noexcept {
  const double norm = square_root(square_norm);
  return norm > bound ? quotient(bound, norm) : 1.0;
}

/// What each of `count` rows has of their mean: a power of two, so that the sum of finite rows is exact where theirs is
/// and overflows only where the mean does. The divisor is count times as much.
inline double mean_share(std::size_t count) noexcept { return power_of_two(-static_cast<int>(std::bit_width(count))); }

/// The mixing that shortens every row to `bound`.
inline errc clip_rows(slice<const double> square_norms, double bound, arena& memory, affine_map& map) {
  const std::size_t n = square_norms.size();
  if (n == 0) return errc::too_few_clients;
  map.start(memory, n, n, n);
  map.whole = true;
  for (std::size_t i = 0; i < n; ++i) {
    const double share = clip_factor(square_norms[i], bound);
    if (share < 1) map.whole = false;
    map.put(i, share);
    map.end_row();
  }
  return errc::ok;
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_SELECTION_HPP
