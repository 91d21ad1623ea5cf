// SPDX-License-Identifier: MIT
#include <cstdio>

#include <fedagg/adapters/json.hpp>

#include "common.hpp"
#include "report.hpp"

namespace cli {
namespace {

nlohmann::ordered_json described(const fedagg::rule_parameter& p) {
  constexpr const char* kinds[] = {"number", "integer", "boolean", "choice"};
  nlohmann::ordered_json j = {{"name", p.name}, {"type", kinds[static_cast<std::size_t>(p.kind)]}};
  if (p.kind == fedagg::parameter_kind::choice) {
    j["values"] = nlohmann::ordered_json::array();
    for (std::size_t k = 0; k < p.choices.count; ++k) j["values"].push_back(p.choices.names[k]);
  } else if (p.kind != fedagg::parameter_kind::boolean) {
    j["low"] = p.low;
    j["high"] = p.high >= fedagg::any_count ? nlohmann::ordered_json() : nlohmann::ordered_json(p.high);
  }
  j["default"] = p.standard;
  j["about"] = p.about;
  return j;
}

} // namespace

void list_rules(bool json) {
  const auto rules = fedagg::any_rule::rules();
  if (json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& rule : rules) {
      nlohmann::ordered_json j = {{"rule", rule.name}, {"parameters", nlohmann::ordered_json::array()}};
      for (const auto& p : rule.parameters) j["parameters"].push_back(described(p));
      list.push_back(std::move(j));
    }
    std::fputs(dump(list).c_str(), stdout);
    return;
  }
  for (const auto& rule : rules) {
    std::printf("%s\n", rule.name);
    if (rule.parameters.empty()) std::printf("  no parameters\n");
    for (const auto& p : rule.parameters) {
      std::string option = std::string("--") + p.name;
      for (char& c : option)
        if (c == '_') c = '-';
      const std::string standard = p.optional             ? "not given"
                                   : p.standard.is_string() ? p.standard.get<std::string>()
                                                            : p.standard.dump();
      std::printf("  %-14s %s\n  %-14s %s; default: %s\n", option.c_str(), p.about, "",
                  fedagg::impl::values_text(p).c_str(), standard.c_str());
    }
  }
}

} // namespace cli
