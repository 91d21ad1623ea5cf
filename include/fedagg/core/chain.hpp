// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_CHAIN_HPP
#define FEDAGG_CORE_CHAIN_HPP

#include <cstddef>
#include <type_traits>

#include <fedagg/core/geometry.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Mixing stages and, last, a rule; the stages work from left to right.
template <class... Parts>
struct chained {
  field_list<Parts...> parts;

  static constexpr const char* name = "chain";
  static constexpr auto fields() { return field_list<>{}; }
};

namespace detail {

template <class T>
inline constexpr bool is_chained = false;
template <class... Parts>
inline constexpr bool is_chained<chained<Parts...>> = true;

template <class... Parts>
constexpr const field_list<Parts...>& parts_of(const chained<Parts...>& c) {
  return c.parts;
}
template <class Part>
constexpr field_list<Part> parts_of(const Part& p) {
  return {p};
}

template <class... Parts>
constexpr chained<Parts...> chain_of(const Parts&... parts) {
  return {{parts...}};
}

template <class T>
inline constexpr bool only_mixes = mixing<T>;
template <class... Parts>
inline constexpr bool only_mixes<chained<Parts...>> = (mixing<Parts> && ...);

} // namespace detail

/// What can stand before a `|`: a mixing stage, or several.
template <class T>
concept mixing_stages = detail::only_mixes<T>;

/// What can stand behind a `|`: not a rule on signs, on samples of coordinates or on a history, because those are the
/// clients' and not those of the rows that the stages make of them.
template <class T>
concept follows_mixing = rule_value<T> && !sampling_rule<T> && !requires { requires bool(T::needs_signs); } &&
                         !requires { requires bool(T::on_history); };

/// A chain that ends in a rule.
template <class T>
concept chained_rule = detail::is_chained<T> && !mixing_stages<T>;

/// `nnm{.f = 2} | krum{.f = 2}`: the rule on what the stages make of the clients.
template <mixing_stages First, follows_mixing Second>
constexpr auto operator|(const First& first, const Second& second) {
  return detail::with_fields(
      [&](const auto&... before) {
        return detail::with_fields([&](const auto&... behind) { return detail::chain_of(before..., behind...); },
                                   detail::parts_of(second));
      },
      detail::parts_of(first));
}

/// The same as a function: `chain(arc{.f = 2}, nnm{.f = 2}, krum{.f = 2})`.
template <mixing_stages First, follows_mixing... Rest>
constexpr auto chain(const First& first, const Rest&... rest) {
  return (first | ... | rest);
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_CHAIN_HPP
