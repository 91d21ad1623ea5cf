// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_ROBUST_LEARNING_RATE_HPP
#define FEDAGG_RULES_ROBUST_LEARNING_RATE_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the updates, turned around in every coordinate where too few signs agree (Ozdayi, Kantarcioglu, Gel
/// 2021, arXiv:2007.03767). mean x_i times +1 where abs(sum_i sign x_i) >= threshold, else -1, with sign 0 = 0. Needs
/// an origin. It is made against backdoors that few clients push for; it bounds no value, so that one hostile client
/// can move the mean at will (clip or bound norms first). Ignores weights, by which the authors' code averages: they
/// are claims. O(n d) reads, one pass.
struct robust_learning_rate {
  std::int64_t threshold = unset; ///< the margin of signs from which on a coordinate is trusted; 0: all are

  static constexpr const char* name = "robust_learning_rate";
  static constexpr bool needs_origin = true;
  static constexpr auto fields() {
    return field_list{field{"threshold", &robust_learning_rate::threshold, unset, any_count,
                            "margin of signs from which on a coordinate is trusted"}};
  }

  /// A threshold above the clients that are left would turn the whole model around.
  errc check(std::size_t, std::size_t present) const noexcept {
    if (threshold < 0) return errc::bad_parameter;
    return present == 0 || static_cast<std::uint64_t>(threshold) > present ? errc::too_few_clients : errc::ok;
  }

  template <class Column, class Lanes>
  void operator()(Column x, Lanes& out) const {
    using T = typename Lanes::value_type;
    const Lanes none = T(0), one = T(1), n = static_cast<T>(x.size());
    Lanes largest = none, votes = none;
    for (const Lanes& v : x) {
      const auto size = abs(v);
      largest = where_less(largest, size, size, largest);
      votes += where_less(none, v, one, where_less(v, none, -one, none));
    }
    // Huge values are made smaller first, so that no sum and no product below overflows; tiny ones would lose bits.
    T part = 1;
    while (part * static_cast<T>(x.size()) > T(1)) part /= 2;
    const T safe = part * static_cast<T>(sizeof(T) == 8 ? 0x1p990 : 0x1p100);
    const Lanes share = where_less(safe, largest, part * T(0x1p-28), one);
    // What an addition rounds off is added up too (Knuth's two-sum), because the lanes have no wider type.
    Lanes sum = none, rest = none;
    for (const Lanes& v : x) {
      const Lanes value = v * share, next = sum + value, taken = next - sum;
      rest += (sum - (next - taken)) + (value - taken);
      sum = next;
    }
    const Lanes total = sum + rest, tail = rest - (total - sum);
    // The quotient's own rounding is taken back from its remainder, whose products are exact: the quotient is split in
    // two halves of its digits (Dekker).
    const Lanes quotient = total / n, wide = quotient * static_cast<T>(sizeof(T) == 8 ? 0x1p27 + 1 : 0x1p12 + 1);
    const Lanes high = wide - (wide - quotient), low = quotient - high;
    const Lanes mean = (quotient + (((total - high * n) - low * n) + tail) / n) / share;
    const Lanes turned = where_less(abs(votes), static_cast<T>(threshold), -mean, mean);
    // Zeros come out positive.
    out = where_less(none, abs(turned), turned, none);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_ROBUST_LEARNING_RATE_HPP
