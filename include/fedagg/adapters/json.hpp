// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_HPP
#define FEDAGG_ADAPTERS_JSON_HPP

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/adapters/json/parameters.hpp>
#include <fedagg/adapters/json/serializer.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// Parses an object and refuses keys that occur twice, of which a JSON value would keep one.
inline error read_text(std::string_view text, nlohmann::json& j) {
  using nlohmann::json;
  std::set<std::string> keys;
  std::string twice;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second && twice.empty())
      twice = quoted(parsed);
    return true;
  };
  // The parser takes a null byte for the end and would not look at what follows.
  if (text.find('\0') == std::string_view::npos) j = json::parse(text.begin(), text.end(), watch, false);
  else j = json(json::value_t::discarded);
  if (j.is_discarded()) return error(errc::json_type, "not valid JSON");
  if (!twice.empty()) return error(errc::json_type, "the key " + twice + " occurs twice");
  return error(errc::ok);
}

template <class List>
struct variant_of;
template <class... R>
struct variant_of<std::tuple<R...>> {
  using type = std::variant<R...>;
  template <class X>
  static constexpr bool has = (std::is_same_v<X, R> || ...);
};

} // namespace impl

/// A rule chosen at run time: one of `rule_list`, by name and JSON, `{"rule": "trimmed_mean", "trim": 1}`.
/// A small value like the rules themselves; it works wherever they do.
class any_rule {
public:
  using value_type = impl::variant_of<rule_list>::type;

  any_rule() = default;
  template <rule_value R>
    requires impl::variant_of<rule_list>::has<R>
  any_rule(const R& rule) noexcept : value_(rule) {}

  /// Calls f with the rule itself.
  template <class F>
  decltype(auto) visit(F&& f) const {
    return std::visit(static_cast<F&&>(f), value_);
  }

  /// Reads a JSON text. `rule` is untouched unless the result is `ok`; else `why` names the rule and the key.
  /// `unknown_rule`; `json_type` (not JSON, no "rule", a key unknown or twice, a value of the wrong type);
  /// `bad_parameter` (outside its range); `out_of_memory`.
  [[nodiscard]] static errc try_parse(std::string_view text, any_rule& rule, error& why) noexcept {
    return guarded(why, [&] {
      nlohmann::json j;
      error result = impl::read_text(text, j);
      return result.code() == errc::ok ? read(j, rule) : result;
    });
  }
  /// The same from a value that was parsed already (keys that occur twice are lost by then).
  template <class Json>
    requires requires(const Json& value) { value.is_discarded(), value.is_object(); }
  [[nodiscard]] static errc try_parse(const Json& j, any_rule& rule, error& why) noexcept {
    return guarded(why, [&] { return read(j, rule); });
  }
  /// Throws `fedagg::error` with that text.
  static any_rule parse(std::string_view text) {
    any_rule rule;
    error why(errc::ok);
    if (try_parse(text, rule, why) != errc::ok) impl::raise(why);
    return rule;
  }

  /// The rule as a JSON text that `parse` reads.
  std::string text() const { return nlohmann::ordered_json(*this).dump(); }

  const char* name() const noexcept {
    return visit([]<class R>(const R&) noexcept -> const char* { return R::name; });
  }

  /// The rule if it is an R, else null.
  template <rule_value R>
  const R* get_if() const noexcept {
    return std::get_if<R>(&value_);
  }

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
  static std::vector<rule_description> rules() {
    std::vector<rule_description> all;
    [&]<class... R>(std::tuple<R...>*) { (all.push_back(describe_rule<R>()), ...); }(static_cast<rule_list*>(nullptr));
    return all;
  }

  template <class Json>
  friend void to_json(Json& j, const any_rule& rule) {
    rule.visit([&](const auto& r) { impl::write_rule(j, r); });
  }
  template <class Json>
  friend void from_json(const Json& j, any_rule& rule) {
    error why(errc::ok);
    if (try_parse(j, rule, why) != errc::ok) impl::raise(why);
  }

private:
  template <class Json>
  static error read(const Json& j, any_rule& rule) {
    error why(errc::ok);
    const auto* const name = impl::rule_name(j, why);
    if (name == nullptr) return why;
    std::string known;
    const auto match = [&]<class R>(R candidate) {
      known.append(known.empty() ? "" : ", ").append(R::name);
      if (*name != static_cast<const char*>(R::name)) return false;
      why = impl::read_rule(j, candidate);
      if (why.code() == errc::ok) rule = candidate;
      return true;
    };
    const bool found = [&]<class... R>(std::tuple<R...>*) { return (match(R{}) || ...); }(static_cast<rule_list*>(nullptr));
    return found ? why : error(errc::unknown_rule, impl::quoted(j["rule"]) + ", known are " + known);
  }

  template <class Body>
  static errc guarded(error& why, Body&& body) noexcept {
#if FEDAGG_EXCEPTIONS
    try {
      why = body();
    } catch (...) {
      why = error(errc::out_of_memory);
    }
#else
    why = body();
#endif
    return why.code();
  }

  value_type value_{mean{}};
};

/// As for the rule it holds.
[[nodiscard]] inline errc try_aggregate(const any_rule& rule, const cohort& clients, const mutable_model_view& out,
                                        workspace& space, const options& how = {}) noexcept {
  return rule.visit([&](const auto& r) noexcept { return try_aggregate(r, clients, out, space, how); });
}

/// As for the rule it holds.
inline outcome aggregate(const any_rule& rule, const cohort& clients, const mutable_model_view& out,
                         const options& how = {}) {
  return rule.visit([&](const auto& r) { return aggregate(r, clients, out, how); });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_JSON_HPP
