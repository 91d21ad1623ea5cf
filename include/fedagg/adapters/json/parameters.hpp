// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_PARAMETERS_HPP
#define FEDAGG_ADAPTERS_JSON_PARAMETERS_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <tuple>
#include <type_traits>
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

/// A parameter whose range starts at `unset`, and which has that value by default, has none until it is given one.
template <class R, class T>
bool is_optional(const field<R, T>& f) {
  if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>)
    return false;
  else
    return f.low == double(unset) && static_cast<double>(R{}.*f.member) == double(unset);
}

template <class Json, class R, class T>
Json write_field(const field<R, T>& f, const R& rule) {
  const T value = rule.*f.member;
  if constexpr (std::is_enum_v<T>) {
    const name_list choices = value_names(value);
    const auto index = static_cast<std::size_t>(value);
    return index < choices.count ? Json(choices.names[index]) : Json(index);
  } else {
    return Json(value);
  }
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

template <class R, class T>
rule_parameter describe_field(const field<R, T>& f) {
  rule_parameter p{f.name, f.about, parameter_kind::number, f.low, f.high, is_optional(f), {}, {}};
  if constexpr (std::is_enum_v<T>) {
    p.kind = parameter_kind::choice;
    p.choices = value_names(T{});
  } else if constexpr (std::is_same_v<T, bool>) {
    p.kind = parameter_kind::boolean;
  } else if constexpr (std::is_integral_v<T>) {
    p.kind = parameter_kind::integer;
  }
  if (p.optional)
    p.low = 0;
  else
    p.standard = write_field<nlohmann::json>(f, R{});
  return p;
}

} // namespace impl

/// A rule's hyper-parameters with their ranges, defaults and sentences.
template <rule_value R>
rule_description describe_rule() {
  rule_description d{R::name, {}};
  detail::with_fields([&](const auto&... f) { (d.parameters.push_back(impl::describe_field(f)), ...); }, R::fields());
  return d;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_JSON_PARAMETERS_HPP
