// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_ANY_RULE_HPP
#define FEDAGG_ADAPTERS_JSON_ANY_RULE_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <vector>

#include <fedagg/adapters/json/any_value.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

struct rule_kind {
  using list = rule_list;
  using standard = mean;
  static constexpr const char *key = "rule", *example = "mean";
  static constexpr errc unknown = errc::unknown_rule;
};

} // namespace impl

/// A rule chosen at run time: one of `rule_list`, by name and JSON, `{"rule": "trimmed_mean", "trim": 1}`.
/// A small value like the rules themselves; it works wherever they do.
class any_rule : public impl::any_value<any_rule, impl::rule_kind> {
public:
  using any_value::any_value;

  /// `bad_parameter` if the parameters are impossible for every number of clients, alone or together.
  errc check() const noexcept {
    return visit([](const auto& rule) noexcept {
      constexpr std::size_t many = SIZE_MAX / 4;
      errc code = impl::parameters_in_range(rule) ? errc::ok : errc::bad_parameter;
      if constexpr (ordered_rule<std::remove_cvref_t<decltype(rule)>>) {
        order_window w;
        if (code == errc::ok && rule.window(many, many, w) == errc::bad_parameter) code = errc::bad_parameter;
      }
      return code;
    });
  }

  /// Every rule that can be chosen.
  static std::vector<rule_description> rules() { return descriptions(); }
};

/// As for the rule it holds. A template, so that a program that never runs one does not compile all rules.
template <std::same_as<any_rule> Rule>
[[nodiscard]] errc try_aggregate(const Rule& rule, const cohort& clients, const mutable_model_view& out,
                                 workspace& space, const options& how = {}) noexcept {
  return rule.visit([&](const auto& r) noexcept { return try_aggregate(r, clients, out, space, how); });
}

/// As for the rule it holds.
template <std::same_as<any_rule> Rule>
outcome aggregate(const Rule& rule, const cohort& clients, const mutable_model_view& out, const options& how = {}) {
  return rule.visit([&](const auto& r) { return aggregate(r, clients, out, how); });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_JSON_ANY_RULE_HPP
