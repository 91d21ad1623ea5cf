// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_BIAS_CORRECTION_HPP
#define FEDAGG_CORE_BIAS_CORRECTION_HPP

#include <cmath>
#include <cstdint>

#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What is done about moments that start at zero; t counts steps from 1.
enum class bias_correction : std::uint8_t {
  none,   ///< nothing, as Reddi et al. 2021
  adam,   ///< m / (1 - beta1^t) and v / (1 - beta2^t) (Kingma, Ba 2015, arXiv:1412.6980)
  flower, ///< the learning rate times sqrt(1 - beta2^(t+1)) / (1 - beta1^(t+1)), as Flower 1.28's FedAdam
};

inline constexpr const char* bias_correction_names[] = {"none", "adam", "flower"};
constexpr name_list value_names(bias_correction) noexcept { return {bias_correction_names, 3}; }

namespace detail {

/// What a correction comes to in one step: factors on the learning rate and on the second moment.
struct moment_factors {
  double rate = 1;
  double second = 1;
};

inline moment_factors factors_of(bias_correction how, double beta1, double beta2, std::uint64_t steps_before) noexcept {
  const double t = static_cast<double>(steps_before) + 1;
  switch (how) {
  case bias_correction::none:
    break;
  case bias_correction::adam:
    return {1 / (1 - std::pow(beta1, t)), 1 / (1 - std::pow(beta2, t))};
  case bias_correction::flower:
    return {std::sqrt(1 - std::pow(beta2, t + 1)) / (1 - std::pow(beta1, t + 1)), 1};
  }
  return {};
}

} // namespace detail
} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_BIAS_CORRECTION_HPP
