// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_RING_PARAMETERS_HPP
#define FEDAGG_SECURE_RING_PARAMETERS_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/power.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How a client's values are brought within `clip`, C below.
enum class ring_clip : unsigned char {
  range, ///< each value into [-C, C]
  norm,  ///< all floating tensors times min(1, C / norm)
};

/// What clients encode, and so what the decoded mean is to a server optimizer.
enum class ring_content : unsigned char {
  updates, ///< local - global
  models,
};

/// A count or a metric whose sum over the clients is wanted. A client's value is at most `largest` in magnitude, and is
/// summed in multiples of 1 / scale; a scale of 1 is exact for counts.
struct ring_extra {
  std::string_view name; ///< borrowed until a codec is made of it
  double largest = 0;
  double scale = 1;
};

/// A client's value of an extra.
struct ring_value {
  std::string_view name;
  double value = 0;

  template <class T>
  requires std::is_arithmetic_v<T>
  constexpr ring_value(std::string_view what, T x) noexcept : name(what), value(static_cast<double>(x)) {}
};

/// The sum of an extra over the clients; `steps` is the same in multiples of 1 / scale, exactly.
struct ring_total {
  std::string_view name; ///< borrowed from the codec
  double value = 0;
  std::int64_t steps = 0;
};

namespace detail {

/// The bits of a ring in which the sum of n numbers cannot wrap around, each a w C s rounded up or down: the least b
/// with n (w C s + 1) <= 2^(b-1) - 1. In integers, exact; capped at 255. C and s are positive and within 2^-400 and
/// 2^400.
constexpr unsigned ring_bits_needed(std::uint64_t n, std::uint64_t w, double c, double s) noexcept {
  const binary clip = take_apart(c), scale = take_apart(s);
  // n w C s = product 2^exponent, the product below 2^(64 + 64 + 53 + 53).
  std::uint32_t limb[10] = {1};
  const auto multiply = [&limb](std::uint64_t by) {
    const std::uint64_t low = by & 0xffffffffu, high = by >> 32;
    std::uint32_t result[10] = {};
    for (int half = 0; half < 2; ++half) {
      std::uint64_t carry = 0;
      for (int k = 0; k + half < 10; ++k) {
        carry += std::uint64_t{result[k + half]} + limb[k] * (half == 0 ? low : high);
        result[k + half] = static_cast<std::uint32_t>(carry);
        carry >>= 32;
      }
    }
    for (int k = 0; k < 10; ++k) limb[k] = result[k];
  };
  multiply(n);
  multiply(w);
  multiply(clip.significand);
  multiply(scale.significand);
  int top = 9;
  while (top > 0 && limb[top] == 0) --top;
  const int width = limb[top] == 0 ? 0 : 32 * top + static_cast<int>(std::bit_width(limb[top]));
  const int exponent = clip.exponent + scale.exponent;
  if (width + exponent > 120) return width + exponent > 254 ? 255u : static_cast<unsigned>(width + exponent + 1);
  // ceil(n w C s) in 128 bits.
  std::uint64_t low = 0, high = 0;
  bool rest = false;
  for (int k = 0; k <= top; ++k)
    for (int bit = 0; bit < 32; ++bit) {
      if ((limb[k] >> bit & 1u) == 0) continue;
      const int at = 32 * k + bit + exponent;
      if (at < 0)
        rest = true;
      else if (at < 64)
        low |= std::uint64_t{1} << at;
      else
        high |= std::uint64_t{1} << (at - 64);
    }
  if (rest && ++low == 0) ++high;
  // The least b with this + n < 2^(b-1).
  const std::uint64_t sum = low + n;
  high += sum < low ? 1 : 0;
  return 1 + static_cast<unsigned>(high != 0 ? 64 + std::bit_width(high) : std::bit_width(sum));
}

/// The largest double s with which n (w C s + 1) <= 2^(bits-1) - 1; 0 if there is none.
constexpr double ring_safe_scale(unsigned bits, std::uint64_t n, std::uint64_t w, double c) noexcept {
  // Positive doubles are ordered as their bits are.
  auto low = std::bit_cast<std::uint64_t>(0x1p-400), high = std::bit_cast<std::uint64_t>(0x1p+400);
  if (ring_bits_needed(n, w, c, 0x1p-400) > bits) return 0;
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (ring_bits_needed(n, w, c, std::bit_cast<double>(middle)) <= bits)
      low = middle;
    else
      high = middle;
  }
  return std::bit_cast<double>(low);
}

/// Positive and within the range in which scales and bounds may lie.
constexpr bool ring_unit(double x) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  return bits >= std::bit_cast<std::uint64_t>(0x1p-300) && bits <= std::bit_cast<std::uint64_t>(0x1p+300);
}

} // namespace detail

/// What a sum has to hold, agreed on by all clients and the server before the round. Nothing is assumed about the
/// clients that will answer: `max_clients` is the whole roster.
struct ring_parameters {
  std::uint32_t max_clients = 0; ///< n, everyone who might be in the sum
  std::uint64_t max_weight = 1;  ///< of a client: the most samples, or 1 for all alike
  unsigned bits = 32;            ///< of the ring that floating tensors ride in, 8 to 64
  double clip = 1;               ///< C
  ring_clip clip_by = ring_clip::range;
  /// A value x of a client of weight w is sent as w x scale, rounded. 0: the largest that is safe.
  double scale = 0;
  /// Of the magnitude of integers in the model. 0: the largest that is safe.
  std::uint64_t max_integer = 0;
  ring_content content = ring_content::updates;
  std::vector<ring_extra> extras = {};

  /// `bad_parameter` for values that mean nothing: no clients, a weight of 0, bits beyond 8 to 64, a C, scale or
  /// extra's bound that is not positive and between 2^-300 and 2^300, an extra without a name or with another's.
  errc status() const noexcept {
    if (max_clients == 0 || max_weight == 0 || bits < 8 || bits > 64) return errc::bad_parameter;
    if (!detail::ring_unit(clip) || !(std::bit_cast<std::uint64_t>(scale) << 1 == 0 || detail::ring_unit(scale)))
      return errc::bad_parameter;
    for (std::size_t k = 0; k < extras.size(); ++k) {
      if (!detail::ring_unit(extras[k].largest) || !detail::ring_unit(extras[k].scale) || extras[k].name.empty())
        return errc::bad_parameter;
      for (std::size_t i = 0; i < k; ++i)
        if (extras[i].name == extras[k].name) return errc::bad_parameter;
    }
    return errc::ok;
  }

  /// The least `bits` with which no sum of floating values can wrap around: n (max_weight C scale + 1) <= 2^(bits-1)
  /// - 1. Where the scale is to be chosen, the least for which there is one at all, n + 1 <= 2^(bits-1) - 1, which
  /// leaves no room for precision. More than 64 where no ring is wide enough. Of parameters whose `status()` is `ok`.
  unsigned needed_bits() const noexcept {
    return detail::ring_bits_needed(max_clients, max_weight, clip,
                                    std::bit_cast<std::uint64_t>(scale) << 1 == 0 ? 0x1p-400 : scale);
  }
  /// What an extra needs of the 64 bits that it has.
  unsigned needed_bits(const ring_extra& extra) const noexcept {
    return detail::ring_bits_needed(max_clients, 1, extra.largest, extra.scale);
  }
  /// What weights, and integers up to `largest` where there are some, need of the 64 bits that they have.
  unsigned needed_integer_bits(std::uint64_t largest = 1) const noexcept {
    // n w times the largest, in words from the lowest.
    const std::uint64_t low = max_weight * max_clients, high = detail::high_product(max_weight, max_clients);
    const std::uint64_t carry = detail::high_product(low, largest), middle = carry + high * largest;
    const std::uint64_t top = detail::high_product(high, largest) + (middle < carry ? 1 : 0);
    return 1 + static_cast<unsigned>(top != 0      ? 128 + std::bit_width(top)
                                     : middle != 0 ? 64 + std::bit_width(middle)
                                                   : std::bit_width(low * largest));
  }
  /// The largest scale that is safe with these bits; 0 if none is.
  double safe_scale() const noexcept { return detail::ring_safe_scale(bits, max_clients, max_weight, clip); }
  /// The largest magnitude of integers that is safe; 0 if none is.
  std::uint64_t safe_integer() const noexcept {
    return static_cast<std::uint64_t>(INT64_MAX) / max_clients / max_weight;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_RING_PARAMETERS_HPP
