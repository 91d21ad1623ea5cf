// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_PARAMETERS_HPP
#define FEDAGG_ADAPTERS_JSON_PARAMETERS_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a hyper-parameter takes.
enum class parameter_kind : std::uint8_t { number, integer, boolean, choice };

/// One hyper-parameter, for listings and command lines.
struct rule_parameter {
  const char* name = "";
  const char* about = "";
  parameter_kind kind = parameter_kind::number;
  double low = 0; ///< of a number or an integer; the range is closed
  double high = 0;
  bool optional = false;   ///< without a value unless one is given
  name_list choices = {};  ///< the values of a choice
  nlohmann::json standard; ///< the value it has if none is given; null if it is optional
};

/// A rule's name and its hyper-parameters in order.
struct rule_description {
  const char* name = "";
  std::vector<rule_parameter> parameters;
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// A hyper-parameter's value without its type: `real` of a number, else `whole`, which for a choice is its index.
struct parameter_value {
  double real = 0;
  std::int64_t whole = 0; ///< the bits, where the type is unsigned
};

/// One hyper-parameter of one rule without the types of both, so that JSON is read and written by one function for all.
struct parameter_slot {
  const char* name;
  const char* about;
  parameter_kind kind;
  double low; ///< of what may be given
  double high;
  bool optional;
  bool is_signed;
  name_list choices;
  void* at; ///< the member
  parameter_value (*load)(const void* at) noexcept;
  bool (*store)(void* at, const parameter_value& value) noexcept; ///< false for what the type does not hold
};

template <class T>
parameter_value load_parameter(const void* at) noexcept {
  const T x = *static_cast<const T*>(at);
  if constexpr (std::is_floating_point_v<T>)
    return {static_cast<double>(x), 0};
  else
    return {0, static_cast<std::int64_t>(x)};
}

template <class T>
bool store_parameter(void* at, const parameter_value& value) noexcept {
  T& x = *static_cast<T*>(at);
  if constexpr (std::is_floating_point_v<T>) {
    x = static_cast<T>(value.real);
  } else {
    if constexpr (!std::is_enum_v<T> && !std::is_same_v<T, bool>)
      if (!std::in_range<T>(value.whole)) return false;
    x = static_cast<T>(value.whole);
  }
  return true;
}

template <class R, class T>
parameter_slot slot_of(const field<R, T>& f, R& rule, const R& fresh) {
  parameter_slot p{f.name, f.about, parameter_kind::number, f.low, f.high, false, std::is_signed_v<T>, {},
                   &(rule.*f.member), load_parameter<T>, store_parameter<T>};
  if constexpr (std::is_enum_v<T>) {
    p.kind = parameter_kind::choice;
    p.choices = value_names(T{});
  } else if constexpr (std::is_same_v<T, bool>) {
    p.kind = parameter_kind::boolean;
  } else {
    if constexpr (std::is_integral_v<T>) p.kind = parameter_kind::integer;
    // A range that starts at `unset`, which is the default: none until it is given.
    p.optional = f.low == double(unset) && static_cast<double>(fresh.*f.member) == double(unset);
    if (p.optional) p.low = 0;
  }
  return p;
}

/// A rule's hyper-parameters in order; they point into `rule`.
template <class R>
std::vector<parameter_slot> slots_of(R& rule) {
  const R fresh{};
  return detail::with_fields(
      [&](const auto&... f) { return std::vector<parameter_slot>{slot_of(f, rule, fresh)...}; }, R::fields());
}

/// The value that a slot's member has.
template <class Json>
Json write_slot(const parameter_slot& p) {
  const parameter_value value = p.load(p.at);
  const auto index = static_cast<std::size_t>(value.whole);
  switch (p.kind) {
  case parameter_kind::number:
    return Json(value.real);
  case parameter_kind::boolean:
    return Json(value.whole != 0);
  case parameter_kind::choice:
    return index < p.choices.count ? Json(p.choices.names[index]) : Json(index);
  case parameter_kind::integer:
    break;
  }
  return p.is_signed ? Json(value.whole) : Json(static_cast<std::uint64_t>(value.whole));
}

inline std::string number_text(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", x);
  return text;
}

/// The values a parameter takes, in words: "a whole number from 0 to 100".
inline std::string values_text(const rule_parameter& p) {
  switch (p.kind) {
  case parameter_kind::boolean:
    return "true or false";
  case parameter_kind::choice: {
    std::string text = "one of";
    for (std::size_t k = 0; k < p.choices.count; ++k) text.append(k ? ", " : " ").append(p.choices.names[k]);
    return text;
  }
  default:
    break;
  }
  std::string text = p.kind == parameter_kind::integer ? "a whole number from " : "a number from ";
  text += number_text(p.low);
  return p.high >= any_count ? text + " up" : text + " to " + number_text(p.high);
}

inline rule_parameter describe_slot(const parameter_slot& p) {
  return {p.name, p.about, p.kind, p.low, p.high, p.optional, p.choices,
          p.optional ? nlohmann::json() : write_slot<nlohmann::json>(p)};
}

} // namespace impl

/// A rule's hyper-parameters with their ranges, defaults and sentences.
template <rule_value R>
rule_description describe_rule() {
  rule_description d{R::name, {}};
  R fresh{};
  for (const impl::parameter_slot& p : impl::slots_of(fresh)) d.parameters.push_back(impl::describe_slot(p));
  return d;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_JSON_PARAMETERS_HPP
