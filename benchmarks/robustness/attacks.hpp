// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_ATTACKS_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_ATTACKS_HPP

#include <functional>
#include <span>

#include <nlohmann/json.hpp>

#include <fedagg/core/attack.hpp>

#include "rules.hpp"

namespace study {

/// What the server will compute from these rows, for attacks that try things out.
using trial = std::function<fedagg::errc(std::span<const std::span<const float>>, std::span<float>)>;

/// An attack that was read from JSON.
struct attack {
  /// Empty where hostile clients train like others: for "none", and for "label_flip", which acts on their labels.
  std::function<fedagg::errc(const fedagg::knowledge<float>&, std::span<float>, const trial&)> craft;
  bool flips_labels = false;
};

/// Reads `{"attack": "none"}`, one of the library's attacks with its parameters, such as `{"attack": "alie",
/// "z": 1.5}`, or `{"attack": "optimal", "base": {"attack": "alie"}, "high": 10}`. Throws fedagg::error.
attack read_attack(const nlohmann::json& j, const words& w);

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_ATTACKS_HPP
