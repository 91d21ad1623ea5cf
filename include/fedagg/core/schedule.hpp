// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_SCHEDULE_HPP
#define FEDAGG_CORE_SCHEDULE_HPP

#include <cmath>
#include <cstdint>
#include <tuple>

#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How a learning rate changes from round to round.
enum class rate_decay : std::uint8_t {
  constant,
  step,         ///< times `factor` after every `period` rounds
  exponential,  ///< factor^(round / period)
  inverse,      ///< 1 / (1 + round / period)
  inverse_root, ///< 1 / sqrt(1 + round / period)
  cosine,       ///< from 1 to `factor` along half a wave in `period` rounds, `factor` from then on
};

inline constexpr const char* rate_decay_names[] = {"constant", "step", "exponential", "inverse", "inverse_root", "cosine"};
constexpr name_list value_names(rate_decay) noexcept { return {rate_decay_names, 6}; }

/// What an optimizer's learning rate is multiplied by in a round: a linear warm-up, then a decay. Without memory: the
/// factor is a function of the round alone, which the optimizer's state counts and saves.
struct schedule {
  rate_decay kind = rate_decay::constant;
  double factor = 0.1;
  std::int64_t period = 100; ///< rounds
  std::int64_t warmup = 0;   ///< rounds before the decay begins: the k-th of them, from 1, takes k / (warmup + 1)

  static constexpr const char* name = "schedule";
  static constexpr auto fields() {
    return std::tuple{field{"kind", &schedule::kind, 0, 5, "how the rate falls after the warm-up"},
                      field{"factor", &schedule::factor, 0, 1, "of step and exponential; where cosine ends"},
                      field{"period", &schedule::period, 1, any_count, "rounds that the decay is measured in"},
                      field{"warmup", &schedule::warmup, 0, any_count, "rounds in which the rate rises"}};
  }

  /// Rounds count from 0. Parameters in range.
  double operator()(std::uint64_t round) const noexcept {
    const auto rise = static_cast<std::uint64_t>(warmup);
    if (round < rise) return static_cast<double>(round + 1) / (static_cast<double>(rise) + 1);
    const std::uint64_t after = round - rise, whole = static_cast<std::uint64_t>(period);
    const double share = static_cast<double>(after) / static_cast<double>(whole);
    switch (kind) {
    case rate_decay::constant:
      break;
    case rate_decay::step:
      return std::pow(factor, static_cast<double>(after / whole));
    case rate_decay::exponential:
      return std::pow(factor, share);
    case rate_decay::inverse:
      return 1 / (1 + share);
    case rate_decay::inverse_root:
      return 1 / std::sqrt(1 + share);
    case rate_decay::cosine:
      if (after >= whole) return factor;
      return factor + (1 - factor) * (1 + std::cos(3.14159265358979323846 * share)) / 2;
    }
    return 1;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_SCHEDULE_HPP
