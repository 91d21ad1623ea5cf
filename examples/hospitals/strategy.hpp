// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_STRATEGY_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_STRATEGY_HPP

#include <array>
#include <string>

namespace hospitals {

/// What the server makes of the hospitals' models.
enum class rule { mean, median, trimmed_mean };

/// What else happens: in the hospitals (FedProx), at the server (FedAdam), or in both (SCAFFOLD).
enum class method { plain, fedprox, fedadam, scaffold };

struct strategy {
  rule how = rule::mean;
  method with = method::plain;

  friend bool operator==(const strategy&, const strategy&) = default;
};

inline constexpr std::array strategies{
    strategy{rule::mean, method::plain},           strategy{rule::mean, method::fedprox},
    strategy{rule::mean, method::fedadam},         strategy{rule::mean, method::scaffold},
    strategy{rule::median, method::plain},         strategy{rule::trimmed_mean, method::plain},
    strategy{rule::trimmed_mean, method::fedprox}, strategy{rule::trimmed_mean, method::fedadam},
    strategy{rule::trimmed_mean, method::scaffold}};

/// "FedAvg", "trimmed mean", "trimmed mean + FedAdam"
std::string name_of(const strategy& s);

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_STRATEGY_HPP
