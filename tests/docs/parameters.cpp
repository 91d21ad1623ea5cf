// SPDX-License-Identifier: MIT
// Prints the rows of the parameter table that each rule's page must hold, made from its fields().
#include <cstdio>
#include <string>

#include <fedagg/adapters/json.hpp>
#include <fedagg/spectral.hpp>

namespace {

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", x);
  return text;
}

std::string values(const fedagg::rule_parameter& p) {
  if (p.kind == fedagg::parameter_kind::boolean) return "`true`, `false`";
  if (p.kind == fedagg::parameter_kind::choice) {
    std::string text;
    for (std::size_t k = 0; k < p.choices.count; ++k)
      text.append(k ? ", `" : "`").append(p.choices.names[k]).append("`");
    return text;
  }
  const std::string low = number(p.low);
  const std::string kind = p.kind == fedagg::parameter_kind::integer ? "whole, " : "";
  return kind + (p.high >= fedagg::any_count ? "from " + low : low + " to " + number(p.high));
}

std::string standard(const fedagg::rule_parameter& p) {
  if (p.optional) return "not given";
  return "`" + (p.standard.is_string() ? p.standard.get<std::string>() : number(p.standard.get<double>())) + "`";
}

} // namespace

int main() {
  auto rules = fedagg::any_rule::rules();
  [&]<class... R>(std::tuple<R...>*) {
    (rules.push_back(fedagg::describe_rule<R>()), ...);
  }(static_cast<fedagg::spectral_rule_list*>(nullptr));
  for (const auto& rule : rules)
    for (const auto& p : rule.parameters)
      std::printf("%s\t| `%s` | %s | %s | %s |\n", rule.name, p.name, values(p).c_str(), standard(p).c_str(), p.about);
}
