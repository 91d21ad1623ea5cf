// SPDX-License-Identifier: MIT
#include "rules.hpp"

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <fedagg/adapters/json.hpp>
#include <fedagg/fedagg.hpp>
#include <fedagg/spectral.hpp>

#include "compiled/spectral.hpp"

namespace study {
namespace {

using nlohmann::json;

using every_rule = decltype(std::tuple_cat(fedagg::rule_list{}, fedagg::spectral_rule_list{}));
using every_stage = std::tuple<fedagg::nnm, fedagg::bucketing, fedagg::arc, fedagg::static_clipping>;

/// Calls f with the member of the list that the JSON names.
template <class... R, class F>
auto with_named(const std::tuple<R...>&, const json& j, const F& f) {
  if (!j.is_object() || !j.contains("rule") || !j["rule"].is_string())
    throw fedagg::error(fedagg::errc::json_type,
                        "a rule is an object such as {\"rule\": \"mean\"}, this is " + j.dump());
  const auto name = j["rule"].get<std::string>();
  std::optional<std::common_type_t<std::invoke_result_t<F, R>...>> made;
  std::string known;
  const auto match = [&]<class S>(std::type_identity<S>) {
    known.append(known.empty() ? "" : ", ").append(S::name);
    if (name != S::name) return false;
    made.emplace(f(j.get<S>()));
    return true;
  };
  if (!(match(std::type_identity<R>{}) || ...))
    throw fedagg::error(fedagg::errc::unknown_rule, "\"" + name + "\" here, where known are " + known);
  return *std::move(made);
}

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
  return with_named(every_stage{}, j, [](const auto& stage) { return any_stage{stage}; });
}

template <class Rule>
aggregation bind(const Rule& rule) {
  return [rule](const fedagg::cohort& clients, const fedagg::mutable_model_view& out, fedagg::workspace& space) {
    return fedagg::try_aggregate(rule, clients, out, space);
  };
}

/// Stages and, last, any rule that can follow them.
template <class... Stages>
aggregation bind_chain(const json& last, const Stages&... stages) {
  return with_named(every_rule{}, last, [&]<class Rule>(const Rule& rule) -> aggregation {
    if constexpr (fedagg::follows_mixing<Rule>)
      return bind(fedagg::chain(stages..., rule));
    else
      throw fedagg::error(fedagg::errc::bad_parameter, std::string(Rule::name) + " cannot follow a mixing stage");
  });
}

/// The parts of a chain, or the rule alone.
std::vector<json> parts_of(const json& given, const words& w) {
  json j = resolved(given, w);
  if (j.is_object()) j.erase("label");
  if (!j.is_object() || !j.contains("chain")) return {j};
  const json& parts = j["chain"];
  if (!parts.is_array() || parts.size() < 2 || parts.size() > 3 || j.size() != 1)
    throw fedagg::error(fedagg::errc::json_type, "a chain is one or two stages and a rule, this is " + j.dump());
  return parts;
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

aggregation read_rule(const json& j, const words& w) {
  const std::vector<json> parts = parts_of(j, w);
  if (parts.size() == 1) return with_named(every_rule{}, parts[0], [](const auto& rule) { return bind(rule); });
  if (parts.size() == 2) return bind_chain(parts[1], read_stage(parts[0]));
  return bind_chain(parts[2], read_stage(parts[0]), read_stage(parts[1]));
}

json canonical(const json& j, const words& w) {
  const auto written = [](const auto& rule) { return json(rule); };
  json parts = json::array();
  const std::vector<json> given = parts_of(j, w);
  for (std::size_t k = 0; k + 1 < given.size(); ++k) parts.push_back(with_named(every_stage{}, given[k], written));
  parts.push_back(with_named(every_rule{}, given.back(), written));
  return parts.size() == 1 ? parts[0] : json{{"chain", parts}};
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
