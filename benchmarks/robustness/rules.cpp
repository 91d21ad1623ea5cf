// SPDX-License-Identifier: MIT
#include "rules.hpp"

#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <fedagg/adapters/json.hpp>
#include <fedagg/fedagg.hpp>

namespace study {
namespace {

using nlohmann::json;

/// A mixing stage chosen at run time, so that chains are instantiated once per rule and not once per stage and rule.
struct any_stage {
  std::variant<fedagg::nnm, fedagg::bucketing, fedagg::arc, fedagg::static_clipping> stage;

  static constexpr const char* name = "any_stage";
  static constexpr auto needs = fedagg::geometry_needs::distances;
  static constexpr auto fields() { return std::tuple{}; }

  fedagg::errc mix(const fedagg::geometry& g, fedagg::arena& memory, fedagg::affine_map& map) const {
    return std::visit([&](const auto& s) { return s.mix(g, memory, map); }, stage);
  }
};

any_stage read_stage(const json& j) {
  const std::string name = j.is_object() ? j.value("rule", "") : "";
  any_stage read;
  const auto match = [&]<class S>(S) {
    if (name != S::name) return false;
    read.stage = j.get<S>();
    return true;
  };
  if (!match(fedagg::nnm{}) && !match(fedagg::bucketing{}) && !match(fedagg::arc{}) &&
      !match(fedagg::static_clipping{}))
    throw fedagg::error(fedagg::errc::unknown_rule,
                        j.dump() + " is no stage, known are nnm, bucketing, arc, static_clipping");
  return read;
}

template <class Rule>
aggregation bind(const Rule& rule) {
  return [rule](const fedagg::cohort& clients, const fedagg::mutable_model_view& out, fedagg::workspace& space) {
    return fedagg::try_aggregate(rule, clients, out, space);
  };
}

/// Stages and, last, any rule that can follow them.
template <class... Stages>
aggregation bind_chain(const fedagg::any_rule& last, const Stages&... stages) {
  return last.visit([&]<class Rule>(const Rule& rule) -> aggregation {
    if constexpr (fedagg::follows_mixing<Rule>)
      return bind(fedagg::chain(stages..., rule));
    else
      throw fedagg::error(fedagg::errc::bad_parameter, std::string(Rule::name) + " cannot follow a mixing stage");
  });
}

} // namespace

json resolved(json j, const words& w) {
  if (j.is_structured())
    for (auto& value : j) value = resolved(std::move(value), w);
  else if (j == "declared")
    j = w.declared;
  else if (j == "round")
    j = w.round;
  else if (j == "seed")
    j = w.seed;
  return j;
}

aggregation read_rule(const json& given, const words& w) {
  json j = resolved(given, w);
  if (j.is_object()) j.erase("label");
  if (!j.is_object() || !j.contains("chain")) return bind(fedagg::any_rule::parse(j.dump()));
  const json& parts = j["chain"];
  if (!parts.is_array() || parts.size() < 2 || parts.size() > 3)
    throw fedagg::error(fedagg::errc::json_type, "a chain is one or two stages and a rule, this is " + parts.dump());
  const any_stage first = read_stage(parts[0]);
  const fedagg::any_rule last = fedagg::any_rule::parse(parts.back().dump());
  if (parts.size() == 2) return bind_chain(last, first);
  return bind_chain(last, first, read_stage(parts[1]));
}

std::string label_of(const json& j) {
  if (j.contains("label")) return j["label"].get<std::string>();
  if (j.contains("chain")) {
    std::string text;
    for (const auto& part : j["chain"]) text += (text.empty() ? "" : " | ") + part.value("rule", "?");
    return text;
  }
  if (j.contains("base")) return label_of(j["base"]) + " (" + j.value("attack", "?") + ")";
  return j.contains("rule") ? j.value("rule", "?") : j.value("attack", "?");
}

} // namespace study
