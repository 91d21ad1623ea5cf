// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_RULE_HPP
#define FEDAGG_CORE_RULE_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// One hyper-parameter of a rule: its JSON key, the member, the closed range of its values and a sentence about it.
/// `unset` marks the value below `low` that means "not given" (trimmed_mean needs one of three).
template <class R, class T>
struct field {
  const char* name;
  T R::*member;
  double low;
  double high;
  const char* about = "";

  bool in_range(const R& rule) const noexcept {
    if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
      return true;
    } else {
      const auto value = static_cast<double>(rule.*member);
      return is_finite(value) && value >= low && value <= high;
    }
  }
};
template <class R, class T>
field(const char*, T R::*, double, double) -> field<R, T>;
template <class R, class T>
field(const char*, T R::*, double, double, const char*) -> field<R, T>;

/// What `fields()` returns: `field_list{field{...}, ...}`, or a std::tuple of them, which takes longer to compile.
template <class... Fields>
struct field_list {};
template <class First, class... Rest>
struct field_list<First, Rest...> {
  First first;
  field_list<Rest...> rest;

  constexpr field_list(const First& one, const Rest&... others) noexcept : first(one), rest{others...} {}
};
template <class... Fields>
field_list(const Fields&...) -> field_list<Fields...>;

namespace detail {

/// f(field, ...) of what `fields()` returned.
template <class F, class... Done>
constexpr auto with_fields(const F& f, const field_list<>&, const Done&... done) {
  return f(done...);
}
template <class F, class First, class... Rest, class... Done>
constexpr auto with_fields(const F& f, const field_list<First, Rest...>& fields, const Done&... done) {
  return with_fields(f, fields.rest, done..., fields.first);
}
template <class T>
concept tuple_like = requires {
  std::tuple_size<T>::value;
};
template <class F, tuple_like Tuple>
constexpr auto with_fields(const F& f, const Tuple& fields) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return f(get<I>(fields)...); }
  (std::make_index_sequence<std::tuple_size_v<Tuple>>{});
}

template <class T>
inline constexpr bool lists_fields = tuple_like<T>;
template <class... Fields>
inline constexpr bool lists_fields<field_list<Fields...>> = true;

} // namespace detail

/// The value of a numeric hyper-parameter that was not given.
inline constexpr int unset = -1;

/// The largest count that a hyper-parameter may hold.
inline constexpr double any_count = 9007199254740992.0;

/// How a robust rule treats the clients' weights, which are only claims.
enum class weights : std::uint8_t { ignored, trusted };

/// The names of an enumeration's values, in order: what JSON and the command line call them.
struct name_list {
  const char* const* names;
  std::size_t count;
};

inline constexpr const char* weights_names[] = {"ignored", "trusted"};
/// Found by argument-dependent look-up, so that a user's enumeration can have one too.
constexpr name_list value_names(weights) noexcept { return {weights_names, 2}; }

/// A small copyable aggregate whose members are hyper-parameters, with `name` and `fields()`.
template <class R>
concept rule_value = std::is_aggregate_v<R> && std::copyable<R> && requires {
  { R::name } -> std::convertible_to<const char*>;      // JSON key, test name, docs stem
  requires detail::lists_fields<decltype(R::fields())>; // {name, member, low, high, about} ...
};

/// The result is sum_i a_i x_i / divisor, with a from the weights alone.
/// `combine(weights, a, divisor)` fills one coefficient per client; all spans have the same length.
template <class R>
concept linear_rule = rule_value<R> && requires(const R& r, std::span<const double> w, std::span<double> a, double& d) {
  { r.combine(w, a, d) }
  noexcept->std::same_as<errc>;
};

/// Positions [first, last) of a sorted column, last > first.
struct order_window {
  std::size_t first = 0;
  std::size_t last = 0;
};

/// The result is the mean of a window of each sorted column. `window(declared, present, w)` is given the clients of
/// the cohort and those left after rejection; it returns `too_few_clients` where the rule's condition fails.
template <class R>
concept ordered_rule = rule_value<R> && requires(const R& r, std::size_t n, order_window& w) {
  { r.window(n, n, w) }
  noexcept->std::same_as<errc>;
};

/// All values of a sorted column but `dropped`: those nearest to the mean of the positions `centre`. Of two that are
/// equally far from it the lower one is nearer. dropped < the number of values.
struct nearest_values {
  order_window centre;
  std::size_t dropped = 0;
};

/// The result is the mean of those values of each column that are nearest a centre. `nearest(declared, present, v)` is
/// given what `window` of an ordered rule is.
template <class R>
concept nearest_rule = rule_value<R> && requires(const R& r, std::size_t n, nearest_values& v) {
  { r.nearest(n, n, v) }
  noexcept->std::same_as<errc>;
};

/// One coordinate's values in ascending order with the weights that belong to them (equal values: by weight).
struct weighted_column {
  std::span<const double> values;
  std::span<const double> weights;
  double total = 0;
};

/// An ordered rule that can also weigh: asked only if `weighting` is `trusted` and the weights differ.
/// `weigh_check(sorted_weights, w)` says whether the weights leave the rule its breakdown (ascending weights, the
/// window from `window`) and fills the breakdown in clients and in mass.
template <class R>
concept weighable_rule = ordered_rule<R> && requires(const R& r, const weighted_column& c, order_window w, double& m,
                                                     std::span<const double> s, std::size_t& k) {
  { r.weighting } -> std::convertible_to<weights>;
  { r.weight_cap } -> std::convertible_to<double>;
  { r.weigh_check(s, w, k, m) }
  noexcept->std::same_as<errc>;
  { r.weigh(c, w) }
  noexcept->std::same_as<double>;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_RULE_HPP
