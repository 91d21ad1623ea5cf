// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_SERIALIZER_HPP
#define FEDAGG_ADAPTERS_JSON_SERIALIZER_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

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

/// Hyper-parameters that have a value.
template <class Json>
void write_slots(Json& j, const std::vector<parameter_slot>& slots) {
  for (const parameter_slot& p : slots) {
    if (p.optional) {
      const parameter_value value = p.load(p.at);
      if (p.kind == parameter_kind::integer ? value.whole == unset : value.real == double(unset)) continue;
    }
    j[p.name] = write_slot<Json>(p);
  }
}

/// Its hyper-parameters, behind its name under `key` if that is not null.
template <class Json, class R>
void write_parameters(Json& j, const char* key, R rule) {
  j = Json::object();
  if (key) j[key] = static_cast<const char*>(R::name);
  write_slots(j, slots_of(rule));
}

/// A value as it stands in a message.
template <class Json>
std::string quoted(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text.replace(57, std::string::npos, "...");
  return text;
}

/// Integers in any JSON notation, 2 and 2.0 alike; false for what does not fit a double, in which ranges are kept.
template <class Json>
bool read_integer(const Json& value, std::int64_t& out) {
  if (value.is_number_unsigned()) {
    const auto x = value.template get<std::uint64_t>();
    out = static_cast<std::int64_t>(x);
    return x <= static_cast<std::uint64_t>(any_count);
  }
  if (value.is_number_integer()) {
    out = value.template get<std::int64_t>();
    return out >= -static_cast<std::int64_t>(any_count) && out <= static_cast<std::int64_t>(any_count);
  }
  const double x = value.template get<double>();
  if (!(x >= -any_count && x <= any_count)) return false;
  out = static_cast<std::int64_t>(x);
  return true;
}

/// Reads a value into a slot's member, which is unspecified where it is refused; `owner` is the rule's name.
template <class Json>
error read_slot(const Json& value, const char* owner, const parameter_slot& p) {
  const auto refuse = [&](errc code) {
    return error(code, std::string(owner) + ": \"" + p.name + "\" is " + quoted(value) + ", must be " +
                           values_text(describe_slot(p)));
  };
  parameter_value read;
  if (p.kind == parameter_kind::choice) {
    if (!value.is_string()) return refuse(errc::json_type);
    const auto& text = value.template get_ref<const typename Json::string_t&>();
    std::size_t k = 0;
    while (k < p.choices.count && text != p.choices.names[k]) ++k;
    if (k == p.choices.count) return refuse(errc::bad_parameter);
    read.whole = static_cast<std::int64_t>(k);
    p.store(p.at, read);
  } else if (p.kind == parameter_kind::boolean) {
    if (!value.is_boolean()) return refuse(errc::json_type);
    read.whole = value.template get<bool>();
    p.store(p.at, read);
  } else {
    if (!value.is_number()) return refuse(errc::json_type);
    read.real = value.template get<double>();
    const auto in_range = [&](double x) { return is_finite(x) && x >= p.low && x <= p.high; };
    if (p.kind == parameter_kind::integer) {
      if (value.is_number_float() && read.real >= -any_count && read.real <= any_count &&
          static_cast<double>(static_cast<std::int64_t>(read.real)) != read.real)
        return refuse(errc::json_type);
      if (!read_integer(value, read.whole)) return refuse(errc::bad_parameter);
    }
    // A float may round to what is outside.
    if (!in_range(read.real) || !p.store(p.at, read) ||
        (p.kind == parameter_kind::number && !in_range(p.load(p.at).real)))
      return refuse(errc::bad_parameter);
  }
  return error(errc::ok);
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

/// Reads what an object has beside `key` into slots.
template <class Json>
error read_slots(const Json& j, std::string_view key, const char* owner, const std::vector<parameter_slot>& slots) {
  if (!j.is_object()) return error(errc::json_type, std::string(owner) + " is an object, this is " + quoted(j));
  for (auto entry = j.begin(); entry != j.end(); ++entry) {
    if (entry.key() == key) continue;
    std::size_t k = 0;
    while (k < slots.size() && entry.key() != slots[k].name) ++k;
    const error why = k < slots.size() ? read_slot(entry.value(), owner, slots[k])
                                       : error(errc::json_type, std::string(owner) + " has no parameter " +
                                                                    quoted(Json(entry.key())));
    if (why.code() != errc::ok) return why;
  }
  return error(errc::ok);
}

/// Reads the hyper-parameters that an object has beside `key`; `rule` is untouched unless the result's code is `ok`.
template <class R, class Json>
error read_parameters(const Json& j, std::string_view key, R& rule) {
  R read{};
  const error why = read_slots(j, key, R::name, slots_of(read));
  if (why.code() == errc::ok) rule = read;
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
