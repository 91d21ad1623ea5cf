// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_WEIGHTING_HPP
#define FEDAGG_CORE_WEIGHTING_HPP

#include <bit>
#include <cstddef>
#include <cstdint>

#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/list.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// True for a weight a client may claim: finite and not negative (-0 is 0).
constexpr bool valid_weight(double w) noexcept { return is_finite(w) && !(w < 0); }

/// 2^e for -1022 <= e <= 1023.
constexpr double power_of_two(int e) noexcept {
  return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52);
}

/// The exponent of a finite positive number, -1022 for subnormal ones.
constexpr int exponent_of(double x) noexcept {
  const int e = static_cast<int>(std::bit_cast<std::uint64_t>(x) >> 52 & 0x7ffu);
  return (e == 0 ? 1 : e) - 1023;
}

/// a_i = w_i 2^-k and their sum, with k chosen so that the sum is near one: sum_i a_i x_i cannot overflow where the
/// mean does not, and a power of two changes no bit of the quotient. Equal weights become equal powers of two, so that
/// they give the unweighted result bit for bit.
inline errc scale_weights(slice<const double> w, slice<double> a, double& sum) noexcept {
  FEDAGG_FP_IN_ORDER
  double largest = 0;
  bool equal = true;
  for (const double x : w) {
    if (!valid_weight(x)) return errc::invalid_weight;
    if (x > largest) largest = x;
    equal = equal && x == w[0];
  }
  sum = 0;
  if (!(largest > 0)) return errc::zero_weight_sum;
  const int clients = static_cast<int>(std::bit_width(w.size()));
  // In two steps, because 2^-k itself can be out of range for the smallest and the largest weights.
  // Below 2^-clients each, so that the sum stays below one: a sum near two could overflow where the mean does not.
  const int k = equal ? 0 : exponent_of(largest) + 1;
  const double first = power_of_two(-(k / 2)), second = power_of_two(-(k - k / 2) - clients);
  for (std::size_t i = 0; i < w.size(); ++i) {
    a[i] = FEDAGG_FP_KEEP((equal ? 1.0 : w[i]) * first) * second;
    sum += a[i];
  }
  return errc::ok;
}

/// The most clients that together hold less than half of the weight, whichever they are; `weight_majority` if even
/// `budget` clients can hold half of it. Weights ascending, with a positive sum.
inline errc heaviest_below_half(slice<const double> ascending, std::size_t budget, std::size_t& clients) noexcept {
  double total = 0;
  for (const double w : ascending) total += w;
  double held = 0;
  clients = 0;
  for (std::size_t i = ascending.size(); i-- > 0;) {
    held += ascending[i];
    if (!(held < total / 2)) break;
    ++clients;
  }
  return clients < budget ? errc::weight_majority : errc::ok;
}

/// The share of the weight that the `count` heaviest clients hold; 1 beyond the end.
inline double share_of_heaviest(slice<const double> ascending, std::size_t count) noexcept {
  double total = 0, held = 0;
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    total += ascending[i];
    if (i + count >= ascending.size()) held += ascending[i];
  }
  return count >= ascending.size() ? 1 : held / total;
}

/// (a + b) / 2 without overflow, exact wherever a / 2 + b / 2 would lose a subnormal bit.
inline double midpoint(double a, double b) noexcept {
  FEDAGG_FP_IN_ORDER
  const double sum = a + b;
  return is_finite(sum) ? sum / 2 : FEDAGG_FP_KEEP(a / 2) + FEDAGG_FP_KEEP(b / 2);
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_WEIGHTING_HPP
