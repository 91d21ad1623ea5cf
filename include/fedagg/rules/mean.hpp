// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_MEAN_HPP
#define FEDAGG_RULES_MEAN_HPP

#include <cstddef>
#include <span>

#include <fedagg/core/rule.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Mean of the clients, weighted by their weights: FedAvg (McMahan et al. 2017, arXiv:1602.05629).
/// Breaks down at one hostile client. Uses weights; a zero weight is allowed, a zero total is not. O(n d), one pass,
/// sums in double: exact products of float values and weights below 2^29, divided once.
struct mean {
  static constexpr const char* name = "mean";
  static constexpr auto fields() { return field_list{}; }

  errc combine(std::span<const double> weights, std::span<double> a, double& divisor) const noexcept {
    return detail::scale_weights(weights, a, divisor);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_MEAN_HPP
