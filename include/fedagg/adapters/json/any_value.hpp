// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_ANY_VALUE_HPP
#define FEDAGG_ADAPTERS_JSON_ANY_VALUE_HPP

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

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

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

/// Runs what may throw, bad_alloc first of all.
template <class Body>
errc guarded(error& why, Body&& body) noexcept {
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

/// One of a list of values with a name and hyper-parameters, chosen at run time. `Kind` has the list, the first of it
/// that stands where nothing was read, the key that JSON has the name under, an example of a name, and the code for
/// names that are not in the list. `Derived` is the class that users see.
template <class Derived, class Kind>
class any_value {
  using list = typename Kind::list;

public:
  using value_type = typename variant_of<list>::type;

  any_value() = default;
  template <rule_value R>
    requires variant_of<list>::template has<R>
  any_value(const R& value) noexcept : value_(value) {}

  /// Calls f with the value itself.
  template <class F>
  decltype(auto) visit(F&& f) const {
    return std::visit(static_cast<F&&>(f), value_);
  }

  /// Reads a JSON text. `value` is untouched unless the result is `ok`; else `why` names it and the key.
  /// The list's code for unknown names; `json_type` (not JSON, no name, a key unknown or twice, a value of the wrong
  /// type); `bad_parameter` (outside its range); `out_of_memory`.
  [[nodiscard]] static errc try_parse(std::string_view text, Derived& value, error& why) noexcept {
    return guarded(why, [&] {
      nlohmann::json j;
      error result = read_text(text, j);
      return result.code() == errc::ok ? read(j, value) : result;
    });
  }
  /// The same from a value that was parsed already (keys that occur twice are lost by then).
  template <class Json>
    requires requires(const Json& value) { value.is_discarded(), value.is_object(); }
  [[nodiscard]] static errc try_parse(const Json& j, Derived& value, error& why) noexcept {
    return guarded(why, [&] { return read(j, value); });
  }
  /// Throws `fedagg::error` with that text.
  static Derived parse(std::string_view text) {
    Derived value;
    error why(errc::ok);
    if (try_parse(text, value, why) != errc::ok) raise(why);
    return value;
  }

  /// As a JSON text that `parse` reads.
  std::string text() const { return nlohmann::ordered_json(static_cast<const Derived&>(*this)).dump(); }

  const char* name() const noexcept {
    return visit([]<class R>(const R&) noexcept -> const char* { return R::name; });
  }

  /// The value if it is an R, else null.
  template <rule_value R>
  const R* get_if() const noexcept {
    return std::get_if<R>(&value_);
  }

  template <class Json>
  friend void to_json(Json& j, const Derived& value) {
    value.visit([&](const auto& v) { write_parameters(j, Kind::key, v); });
  }
  template <class Json>
  friend void from_json(const Json& j, Derived& value) {
    error why(errc::ok);
    if (Derived::try_parse(j, value, why) != errc::ok) raise(why);
  }

protected:
  /// Every value that can be chosen.
  static std::vector<rule_description> descriptions() {
    std::vector<rule_description> all;
    [&]<class... R>(std::tuple<R...>*) { (all.push_back(describe_rule<R>()), ...); }(static_cast<list*>(nullptr));
    return all;
  }

private:
  template <class Json>
  static error read(const Json& j, Derived& value) {
    error why(errc::ok);
    const auto* const name = name_under(Kind::key, Kind::example, j, why);
    if (name == nullptr) return why;
    std::string known;
    const auto match = [&]<class R>(R candidate) {
      known.append(known.empty() ? "" : ", ").append(R::name);
      if (*name != static_cast<const char*>(R::name)) return false;
      why = read_parameters(j, Kind::key, candidate);
      if (why.code() == errc::ok) value = candidate;
      return true;
    };
    const bool found = [&]<class... R>(std::tuple<R...>*) { return (match(R{}) || ...); }(static_cast<list*>(nullptr));
    return found ? why : error(Kind::unknown, quoted(j[Kind::key]) + ", known are " + known);
  }

  value_type value_{typename Kind::standard{}};
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_ADAPTERS_JSON_ANY_VALUE_HPP
