// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_RULES_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_RULES_HPP

#include <cstdint>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/workspace.hpp>

namespace study {

/// A rule or chain that was read from JSON.
using aggregation =
    std::function<fedagg::errc(const fedagg::cohort&, const fedagg::mutable_model_view&, fedagg::workspace&)>;

/// What the words "declared", "round" and "seed" in a rule's or attack's JSON stand for.
struct words {
  std::int64_t declared = 0;
  std::int64_t round = 0;
  std::int64_t seed = 0;
};

/// The same JSON with numbers for words.
nlohmann::json resolved(nlohmann::json j, const words& w);

/// Reads `{"rule": "median"}`, or `{"chain": [stage..., rule]}` with one or two stages such as `{"rule": "nnm", "f":
/// 2}`. Rules are those of fedagg.hpp and spectral.hpp. The key "label" is for readers. Throws fedagg::error.
aggregation read_rule(const nlohmann::json& j, const words& w);

/// The same rule or chain with each of its parameters, given or not: what does the same is the same JSON. Throws
/// fedagg::error.
nlohmann::json canonical(const nlohmann::json& j, const words& w);

/// The name of a rule, chain or attack for people: its label, else what it is made of.
std::string label_of(const nlohmann::json& j);

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_RULES_HPP
