// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_SERIALIZER_HPP
#define FEDAGG_ADAPTERS_JSON_SERIALIZER_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include <fedagg/adapters/json/parameters.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Keeps functions of units built with other flags apart where the namespace is not the library's.
struct json_unit {};

/// Throws it as it is; under -fno-exceptions prints its sentence and aborts.
[[noreturn]] FEDAGG_COLD inline void raise(const error& why) {
#if FEDAGG_EXCEPTIONS
  throw why;
#else
  std::fprintf(stderr, "fedagg: %s\n", why.what());
  std::abort();
#endif
}

/// Its hyper-parameters, behind its name under `key` if that is not null.
template <class Json, class R>
void write_parameters(Json& j, const char* key, const R& rule) {
  j = Json::object();
  if (key) j[key] = static_cast<const char*>(R::name);
  const auto write = [&](const auto& f) {
    if constexpr (requires { static_cast<double>(rule.*f.member); })
      if (is_optional(f) && static_cast<double>(rule.*f.member) == double(unset)) return;
    j[f.name] = write_field<Json>(f, rule);
  };
  detail::with_fields([&](const auto&... f) { (write(f), ...); }, R::fields());
}

/// A value as it stands in a message.
template <class Json>
std::string quoted(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text.replace(57, std::string::npos, "...");
  return text;
}

/// Integers in any JSON notation, 2 and 2.0 alike; false for what does not fit T, or a double, in which ranges are
/// kept.
template <class T, class Json>
bool read_integer(const Json& value, T& out) {
  if (value.is_number_unsigned()) {
    const auto x = value.template get<std::uint64_t>();
    out = static_cast<T>(x);
    return std::in_range<T>(x) && x <= static_cast<std::uint64_t>(any_count);
  }
  if (value.is_number_integer()) {
    const auto x = value.template get<std::int64_t>();
    out = static_cast<T>(x);
    return std::in_range<T>(x) && x >= -static_cast<std::int64_t>(any_count) &&
           x <= static_cast<std::int64_t>(any_count);
  }
  const double x = value.template get<double>();
  if (!(x >= -any_count && x <= any_count)) return false;
  const auto whole = static_cast<std::int64_t>(x);
  out = static_cast<T>(whole);
  return std::in_range<T>(whole);
}

template <class R, class T, class Json>
error read_field(const field<R, T>& f, const Json& value, R& rule) {
  const rule_parameter p = describe_field(f);
  const auto refuse = [&](errc code) {
    return error(code,
                 std::string(R::name) + ": \"" + f.name + "\" is " + quoted(value) + ", must be " + values_text(p));
  };
  if constexpr (std::is_enum_v<T>) {
    if (!value.is_string()) return refuse(errc::json_type);
    const auto& text = value.template get_ref<const typename Json::string_t&>();
    for (std::size_t k = 0; k < p.choices.count; ++k)
      if (text == p.choices.names[k]) {
        rule.*f.member = static_cast<T>(k);
        return error(errc::ok);
      }
    return refuse(errc::bad_parameter);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) return refuse(errc::json_type);
    rule.*f.member = value.template get<bool>();
    return error(errc::ok);
  } else {
    if (!value.is_number()) return refuse(errc::json_type);
    const double number = value.template get<double>();
    T read{};
    if constexpr (std::is_integral_v<T>) {
      if (value.is_number_float() && number >= -any_count && number <= any_count &&
          static_cast<double>(static_cast<std::int64_t>(number)) != number)
        return refuse(errc::json_type);
      if (!read_integer(value, read)) return refuse(errc::bad_parameter);
    } else {
      read = static_cast<T>(number);
    }
    R with = rule;
    with.*f.member = read;
    if (!is_finite(number) || number < p.low || number > p.high || !f.in_range(with))
      return refuse(errc::bad_parameter);
    rule.*f.member = read;
    return error(errc::ok);
  }
}

/// The text under `key`, or null and why not.
template <class Json>
const typename Json::string_t* name_under(const char* key, const char* example, const Json& j, error& why) {
  const std::string name = std::string("\"") + key + "\"";
  if (!j.is_object()) {
    const std::string article = std::string("aeiou").find(key[0]) == std::string::npos ? "a " : "an ";
    why = error(errc::json_type, article + key + " is an object such as {" + name + ": \"" + example + "\"}, this is " + quoted(j));
    return nullptr;
  }
  const auto found = j.find(key);
  if (found == j.end()) {
    why = error(errc::json_type, "the key " + name + " is missing");
    return nullptr;
  }
  if (!found->is_string()) {
    why = error(errc::json_type, name + " is " + quoted(*found) + ", must be the name of a " + key);
    return nullptr;
  }
  return &found->template get_ref<const typename Json::string_t&>();
}

/// Reads the hyper-parameters that an object has beside `key`; `rule` is untouched unless the result's code is `ok`.
template <class R, class Json>
error read_parameters(const Json& j, std::string_view key, R& rule) {
  error why(errc::ok);
  if (!j.is_object()) return error(errc::json_type, std::string(R::name) + " is an object, this is " + quoted(j));
  R read{};
  for (auto entry = j.begin(); entry != j.end(); ++entry) {
    if (entry.key() == key) continue;
    bool known = false;
    const auto visit = [&](const auto& f) {
      if (known || entry.key() != f.name) return;
      known = true;
      why = read_field(f, entry.value(), read);
    };
    detail::with_fields([&](const auto&... f) { (visit(f), ...); }, R::fields());
    if (!known) why = error(errc::json_type, std::string(R::name) + " has no parameter " + quoted(Json(entry.key())));
    if (why.code() != errc::ok) return why;
  }
  rule = read;
  return why;
}

/// Reads a rule of known type; `rule` is untouched unless the result's code is `ok`.
template <class R, class Json>
error read_rule(const Json& j, R& rule) {
  error why(errc::ok);
  const auto* const name = name_under("rule", "mean", j, why);
  if (name == nullptr) return why;
  if (*name != static_cast<const char*>(R::name))
    return error(errc::unknown_rule, quoted(j["rule"]) + " where \"" + R::name + "\" is read");
  return read_parameters(j, "rule", rule);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

/// Every rule both ways, also a user's: on the concept, because argument-dependent look-up ends at the namespace.
template <fedagg::rule_value R>
struct nlohmann::adl_serializer<R> {
  template <class Json, class = fedagg::impl::json_unit>
  static void to_json(Json& j, const R& rule) {
    fedagg::impl::write_parameters(j, "rule", rule);
  }
  /// Throws `fedagg::error`; `rule` is then untouched.
  template <class Json, class = fedagg::impl::json_unit>
  static void from_json(const Json& j, R& rule) {
    const fedagg::error why = fedagg::impl::read_rule(j, rule);
    if (why.code() != fedagg::errc::ok) fedagg::impl::raise(why);
  }
};

#endif // FEDAGG_ADAPTERS_JSON_SERIALIZER_HPP
