// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ATTACK_HPP
#define FEDAGG_CORE_ATTACK_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>

#include <fedagg/core/arena.hpp>
#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What the attacker knows when its clients send. Rows are updates: models less the model that the round began with,
/// one tensor each, or all tensors of a model end to end.
template <class T>
struct knowledge {
  static_assert(is_floating(dtype_of<T>), "attacks are on float, double, float16 or bfloat16");

  std::span<const std::span<const T>> honest = {}; ///< the honest clients' rows that it sees
  std::size_t clients = 0;           ///< of the round, hostile ones included; 0: those seen and the hostile ones
  std::size_t hostile = 0;           ///< clients that send what is crafted
  std::span<const T> direction = {}; ///< where the model goes without the attack; empty: the mean of `honest`

  std::size_t total() const noexcept { return clients != 0 ? clients : honest.size() + hostile; }
};

/// What an attack says of its last call, and its scratch memory, which it keeps.
struct attack_workspace {
  double strength = 0;         ///< the factor in effect: tau, z, gamma or lambda
  double damage = 0;           ///< of a search: how far the aggregate came from the honest mean
  std::size_t evaluations = 0; ///< of a search
  bool reversed = false;       ///< z came out negative: there are too few hostile clients to hide on that side
  bool no_direction = false;   ///< the direction is zero everywhere: what is crafted is the honest mean
  bool gave_up = false;        ///< the search met its threshold: what is crafted is its last, failed try
  arena memory = {};

  void begin() {
    memory.reset();
    strength = damage = 0;
    evaluations = 0;
    reversed = no_direction = gave_up = false;
  }
};

namespace detail {

/// The parameter type of what is crafted: a vector converts to it, because nothing is deduced from it.
template <class T>
using crafted = std::type_identity_t<std::span<T>>;

/// True if every parameter lies in the range that `fields()` gives, or is `unset` where that is allowed.
template <class A>
bool parameters_in_range(const A& attack) noexcept {
  const auto fits = [&](const auto& f) {
    if (!f.in_range(attack)) return false;
    using value = std::remove_cvref_t<decltype(attack.*f.member)>;
    if constexpr (std::is_enum_v<value>)
      return static_cast<double>(attack.*f.member) <= f.high;
    else if constexpr (std::is_same_v<value, bool>)
      return true;
    else
      return f.low != unset || attack.*f.member == unset || attack.*f.member >= 0;
  };
  return detail::with_fields([&](const auto&... f) { return (fits(f) && ...); }, A::fields());
}

/// True if two ranges share a byte.
inline bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) noexcept {
  const auto x = reinterpret_cast<std::uintptr_t>(a), y = reinterpret_cast<std::uintptr_t>(b);
  return a_bytes != 0 && b_bytes != 0 && (x < y ? y - x < a_bytes : x - y < b_bytes);
}

/// What every attack asks of what it is given before the first write: at least `least` honest rows, all as long as the
/// output and apart from it.
template <class T>
errc check_knowledge(const knowledge<T>& k, std::span<T> out, std::size_t least = 1) noexcept {
  if (least > 0 && k.honest.empty()) return errc::empty_cohort;
  if (k.honest.size() < least) return errc::too_few_clients;
  if (k.clients != 0 && (k.clients < k.honest.size() || k.clients - k.honest.size() < k.hostile))
    return errc::bad_parameter;
  if (out.data() == nullptr && !out.empty()) return errc::null_data;
  if (!k.direction.empty() && k.direction.size() != out.size()) return errc::client_layout;
  if (!k.direction.empty() && k.direction.data() == nullptr) return errc::null_data;
  if (overlap(k.direction.data(), k.direction.size_bytes(), out.data(), out.size_bytes()))
    return errc::overlapping_output;
  for (const auto& row : k.honest) {
    if (row.size() != out.size()) return errc::client_layout;
    if (row.data() == nullptr && !row.empty()) return errc::null_data;
    if (overlap(row.data(), row.size_bytes(), out.data(), out.size_bytes())) return errc::overlapping_output;
  }
  return errc::ok;
}

} // namespace detail

/// A small copyable aggregate of parameters that crafts the one row which all hostile clients send. After an error the
/// row is unspecified. Throws std::bad_alloc where it needs scratch memory.
template <class A>
concept attack = rule_value<A> &&
    requires(const A& a, const knowledge<float>& k, std::span<float> out, attack_workspace& space) {
  { a.craft(k, out, space) } -> std::same_as<errc>;
  { a.craft(k, out) } -> std::same_as<errc>;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ATTACK_HPP
