// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_NON_FINITE_HPP
#define FEDAGG_ATTACKS_NON_FINITE_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What non_finite sends.
enum class non_finite_value : std::uint8_t { infinity, negative_infinity, nan };

inline constexpr const char* non_finite_value_names[] = {"infinity", "negative_infinity", "nan"};
constexpr name_list value_names(non_finite_value) noexcept { return {non_finite_value_names, 3}; }

/// Inf or NaN, everywhere or in one coordinate of an otherwise honest mean: what one broken client sends too.
/// Needs to know nothing, or the honest rows for a single coordinate. O(d), or O(n d) in one pass; no memory.
struct non_finite {
  non_finite_value value = non_finite_value::infinity;
  std::int64_t coordinate = unset; ///< the only one that is not finite; not given: all

  static constexpr const char* name = "non_finite";
  static constexpr auto fields() {
    return std::tuple{
        field{"value", &non_finite::value, 0, 2, "what is sent"},
        field{"coordinate", &non_finite::coordinate, unset, any_count, "the only coordinate that is not finite"}};
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this)) return errc::bad_parameter;
    if (const errc rc = detail::check_knowledge<T>(k, out, coordinate < 0 ? 0 : 1); rc != errc::ok) return rc;
    if (coordinate < 0) {
      for (T& x : out) x = bits<T>();
      return errc::ok;
    }
    if (static_cast<std::uint64_t>(coordinate) >= out.size()) return errc::bad_parameter;
    const errc rc =
        detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> mean) {
          return detail::round_tile<T>(mean, out.subspan(first, mean.size()));
        });
    out[static_cast<std::size_t>(coordinate)] = bits<T>();
    return rc;
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }

private:
  /// From its bits, because a build with -ffast-math knows no NaN.
  template <class T>
  T bits() const noexcept {
    using word = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                    std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>;
    constexpr int fraction = sizeof(T) == 8 ? 52 : sizeof(T) == 4 ? 23 : std::is_same_v<T, float16> ? 10 : 7;
    constexpr auto sign = static_cast<word>(word{1} << (sizeof(T) * 8 - 1));
    constexpr auto infinity = static_cast<word>(sign - (word{1} << fraction));
    const auto extra = value == non_finite_value::nan                 ? static_cast<word>(word{1} << (fraction - 1))
                       : value == non_finite_value::negative_infinity ? sign
                                                                      : word{0};
    return std::bit_cast<T>(static_cast<word>(infinity | extra));
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_NON_FINITE_HPP
