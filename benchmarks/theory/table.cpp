// SPDX-License-Identifier: MIT
#include "table.hpp"

#include <array>
#include <cstdio>
#include <optional>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/adapters/json.hpp>
#include <fedagg/adapters/threads.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/fedagg.hpp>
#include <fedagg/spectral.hpp>

#include "bounds.hpp"
#include "robustness/rules.hpp"
#include "search.hpp"

namespace theory {
namespace {

using nlohmann::json;

constexpr std::size_t measured_n = 11, measured_f = 2;

template <class R>
bool has_parameter(const std::string& name) {
  return fedagg::detail::with_fields([&](const auto&... f) { return ((name == f.name) || ...); }, R::fields());
}

/// The rule with a value for each parameter that must have one.
template <class R>
json with_standard_parameters() {
  json rule = {{"rule", R::name}};
  for (const char* name : {"f", "trim", "threshold"})
    if (has_parameter<R>(name)) rule[name] = "declared";
  for (const char* name : {"tau", "bound"})
    if (has_parameter<R>(name)) rule[name] = 1;
  if (has_parameter<R>("seed")) rule["seed"] = "seed";
  return rule;
}

/// What a round may give a rule besides the clients.
struct given {
  bool origin = true, trusted = true, history = true;
};

fedagg::errc ask(const json& standard, std::size_t n, std::size_t f, given all, fedagg::workspace& space) {
  constexpr std::size_t d = 64;
  std::vector<double> x((n + 1) * d), out(d);
  fedagg::random_stream draws(1, "table");
  for (double& v : x) v = static_cast<double>(draws() >> 12) * 0x1p-52 - 0.4;
  const std::span<const double> rows(x);
  fedagg::cohort clients, history;
  for (std::size_t i = 0; i < n; ++i) clients.add(rows.subspan(i * d, d));
  history = clients;
  history.updates();
  if (all.origin) clients.updates();
  const std::span<const double> last = rows.last(d);
  if (all.trusted) clients.trusted(fedagg::model_view(last));
  if (all.history) clients.history(history);
  const study::aggregation rule = study::read_rule(standard, {static_cast<std::int64_t>(f), 0, 1});
  return rule(clients, std::span<double>(out), space);
}

void append(std::string& list, const char* text) { list += (list.empty() ? "" : ", ") + std::string(text); }

template <class R>
std::string needs_of() {
  std::string text;
  if constexpr (fedagg::geometric_rule<R>) {
    if (R::needs == fedagg::geometry_needs::norms) append(text, "norms");
    if (R::needs == fedagg::geometry_needs::distances) append(text, "distances");
  }
  if constexpr (fedagg::sampling_rule<R>) append(text, "samples");
  if constexpr (requires { requires bool(R::needs_signs); }) append(text, "signs");
  fedagg::workspace space;
  const json rule = with_standard_parameters<R>();
  const auto refused = [&](given all) { return ask(rule, measured_n, measured_f, all, space) != fedagg::errc::ok; };
  if (refused({.history = false})) append(text, "history");
  if (refused({.trusted = false})) append(text, has_parameter<R>("pivot") ? "trusted row or client" : "trusted row");
  if (refused({.origin = false})) append(text, "base");
  return text.empty() ? "nothing" : text;
}

/// The least number of clients that is accepted, as "2f + 1".
template <class R>
std::string least_clients() {
  fedagg::workspace space;
  const json rule = with_standard_parameters<R>();
  std::array<std::size_t, 3> least{};
  for (std::size_t f = 1; f <= least.size(); ++f) {
    std::size_t n = 1;
    while (ask(rule, n, f, {}, space) != fedagg::errc::ok)
      if (++n > 100) throw std::runtime_error(std::string(R::name) + " accepts no number of clients");
    least[f - 1] = n;
  }
  const std::size_t slope = least[1] - least[0];
  if (least[2] - least[1] != slope) throw std::runtime_error(std::string(R::name) + ": least number of clients?");
  const std::size_t rest = least[0] - slope;
  if (slope == 0) return std::to_string(rest);
  return std::to_string(slope) + "f" + (rest == 0 ? "" : " + " + std::to_string(rest));
}

/// What the outcome calls the breakdown, as a formula that holds for several sizes.
template <class R>
std::string covered() {
  bool none = true, one = true, declared = true, minority = true, all = true;
  fedagg::workspace space;
  for (const auto& [n, f] : {std::pair<std::size_t, std::size_t>{11, 2}, {15, 3}, {20, 4}, {24, 3}}) {
    if (const fedagg::errc rc = ask(with_standard_parameters<R>(), n, f, {}, space); rc != fedagg::errc::ok)
      throw std::runtime_error(std::string(R::name) + ": " + fedagg::message(rc));
    const std::size_t breakdown = space.result().breakdown;
    none = none && breakdown == 0;
    one = one && breakdown == 1;
    declared = declared && breakdown == f;
    minority = minority && breakdown == (n - 1) / 2;
    all = all && breakdown == n;
  }
  if (none) return "none";
  if (minority) return "a minority";
  if (all) return "all, in length";
  if (!one && !declared) throw std::runtime_error(std::string(R::name) + ": breakdown?");
  return (one ? "1 of n >= " : "f of n >= ") + least_clients<R>();
}

template <class R>
std::string cost() {
  fedagg::workspace space;
  (void)ask(with_standard_parameters<R>(), measured_n, measured_f, {}, space);
  std::string text = "n d";
  if constexpr (fedagg::geometric_rule<R>)
    if (R::needs == fedagg::geometry_needs::distances) text = "n^2 d";
  if constexpr (fedagg::sampling_rule<R>) text = "n^2 sample + n d";
  if (fedagg::ordered_rule<R> || fedagg::nearest_rule<R> || fedagg::selecting_rule<R>) append(text, "columns sorted");
  if (has_parameter<R>("max_nodes"))
    append(text, "a search");
  else if (space.result().iterations > 0)
    append(text, "iterations");
  const std::size_t passes = space.result().passes;
  return text + ", " + std::to_string(passes) + (passes == 1 ? " pass" : " passes");
}

template <class R>
std::string weights() {
  if (fedagg::linear_rule<R>) return "used";
  return has_parameter<R>("weighting") ? "ignored unless trusted" : "ignored";
}

/// "1.23 | 4.56": the worst ratio found and the bound.
std::string measured(const json& rule, std::size_t tries, std::uint64_t seed) {
  const json full = study::canonical(rule, {static_cast<std::int64_t>(measured_f), 0, static_cast<std::int64_t>(seed)});
  const auto number = [](double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", x);
    return x > 1000 ? "> 1000" : std::string(text);
  };
  search s(rule, measured_n, measured_f, seed);
  const double worst = s.run(tries);
  const auto bound = proven_bound(full, measured_n, measured_f);
  return (s.accepted() == 0 ? "-" : number(worst)) + " | " + (bound ? number(*bound) : "-");
}

} // namespace

std::string table(std::size_t tries, std::uint64_t seed, std::size_t threads) {
  std::vector<std::string> lines, ratios;
  std::vector<json> searched;
  [&]<class... R>(std::tuple<R...>*) {
    const auto line = [&]<class S>(std::type_identity<S>) {
      const std::string name = S::name;
      lines.push_back("| [" + name + "](rules/" + name + ".md) | " + needs_of<S>() + " | " + covered<S>() + " | " +
                      weights<S>() + " | " + cost<S>() + " | ");
      const json alone = with_standard_parameters<S>(), mix = {{"rule", "nnm"}, {"f", "declared"}};
      searched.push_back(alone);
      searched.push_back(fedagg::follows_mixing<S> ? json{{"chain", json::array({mix, alone})}} : json());
    };
    (line(std::type_identity<R>{}), ...);
  }(static_cast<decltype(std::tuple_cat(fedagg::rule_list{}, fedagg::spectral_rule_list{}))*>(nullptr));
  ratios.resize(searched.size(), "- | -");
  fedagg::thread_pool pool(threads);
  pool(searched.size(), [&](std::size_t k) {
    if (!searched[k].is_null()) ratios[k] = measured(searched[k], tries, seed);
  });
  char measures[160];
  std::snprintf(measures, sizeof measures,
                "Measured with n = %zu and f = %zu, where no rule stays below f / (n - 2f) = %.3g.\n"
                "%zu aggregations for each rule and chain, seed %llu.\n\n",
                measured_n, measured_f, least_ratio(measured_n, measured_f), tries,
                static_cast<unsigned long long>(seed));
  std::string text = measures;
  text += "| rule | needs | hostile clients covered | weights | cost | found | proven | found behind nnm | "
          "proven behind nnm |\n|---|---|---|---|---|---|---|---|---|\n";
  for (std::size_t k = 0; k < lines.size(); ++k) text += lines[k] + ratios[2 * k] + " | " + ratios[2 * k + 1] + " |\n";
  return text;
}

} // namespace theory
