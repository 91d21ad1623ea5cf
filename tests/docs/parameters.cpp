// SPDX-License-Identifier: MIT
// Prints the rows of the parameter table that the page of each rule, mixing stage, attack and optimizer must hold, made
// from its fields(). A line without a row names each page.
#include <cstdio>
#include <string>
#include <tuple>

#include <fedagg/adapters/json.hpp>
#include <fedagg/attacks/alie.hpp>
#include <fedagg/attacks/fang.hpp>
#include <fedagg/attacks/gaussian.hpp>
#include <fedagg/attacks/inner_product.hpp>
#include <fedagg/attacks/label_flip.hpp>
#include <fedagg/attacks/mimic.hpp>
#include <fedagg/attacks/min_max.hpp>
#include <fedagg/attacks/min_sum.hpp>
#include <fedagg/attacks/non_finite.hpp>
#include <fedagg/attacks/optimal.hpp>
#include <fedagg/attacks/sign_flip.hpp>
#include <fedagg/fedagg.hpp>
#include <fedagg/optimizers.hpp>
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
  if (p.low <= -fedagg::any_count && p.high >= fedagg::any_count) return kind + "any";
  return kind + (p.high >= fedagg::any_count ? "from " + low : low + " to " + number(p.high));
}

std::string standard(const fedagg::rule_parameter& p) {
  if (p.optional) return "not given";
  if (p.standard.is_boolean()) return p.standard.get<bool>() ? "`true`" : "`false`";
  return "`" + (p.standard.is_string() ? p.standard.get<std::string>() : number(p.standard.get<double>())) + "`";
}

template <class... R>
void print(const char* folder, std::tuple<R...>*) {
  for (const fedagg::rule_description& described : {fedagg::describe_rule<R>()...}) {
    std::printf("docs/%s/%s.md\t\n", folder, described.name);
    for (const auto& p : described.parameters)
      std::printf("docs/%s/%s.md\t| `%s` | %s | %s | %s |\n", folder, described.name, p.name, values(p).c_str(),
                  standard(p).c_str(), p.about);
  }
}

template <class List>
constexpr List* all = nullptr;

} // namespace

int main() {
  using namespace fedagg;
  print("rules", all<rule_list>);
  print("rules", all<spectral_rule_list>);
  print("optimizers", all<optimizer_list>);
  print("mixing", all<std::tuple<arc, bucketing, nnm, static_clipping>>);
  print("attacks", all<std::tuple<alie, fang, gaussian, inner_product, label_flip, mimic, min_max, min_sum, non_finite,
                                  optimal<alie>, sign_flip>>);
}
