// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_MIN_SUM_HPP
#define FEDAGG_ATTACKS_MIN_SUM_HPP

#include <cstddef>
#include <cstdint>
#include <tuple>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/perturbation.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Which honest row's sum of squared distances to the others bounds min-sum.
enum class min_sum_bound : std::uint8_t {
  least,    ///< the most central row's, as the authors' code
  greatest, ///< the outermost row's, as the paper
};

inline constexpr const char* min_sum_bound_names[] = {"least", "greatest"};
constexpr name_list value_names(min_sum_bound) noexcept { return {min_sum_bound_names, 2}; }

/// The honest mean, moved along a direction p as far as the squared distances to the honest rows sum up to no more than
/// those of an honest row (Shejwalkar, Houmansadr, NDSS 2021, doi:10.14722/ndss.2021.24498).
/// The factor gamma is the closed form, not the published search. The sum of row i's is n |x_i - mean|^2 + S and that
/// of the crafted row n gamma^2 |p|^2 + S, so that gamma = |x_i - mean| / |p|. Needs to know the honest rows. O(n d),
/// two passes, memory of O(n).
struct min_sum {
  perturbation along = perturbation::unit_vector; ///< the direction p
  min_sum_bound bound = min_sum_bound::least;     ///< the honest row that bounds

  static constexpr const char* name = "min_sum";
  static constexpr auto fields() {
    return std::tuple{field{"along", &min_sum::along, 0, 2, "the direction in which the mean is moved"},
                      field{"bound", &min_sum::bound, 0, 1, "the honest row whose sum bounds"}};
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this)) return errc::bad_parameter;
    const std::size_t least = along == perturbation::deviation ? 2 : 1;
    if (const errc rc = detail::check_knowledge<T>(k, out, least); rc != errc::ok) return rc;
    detail::perturbed_rows seen;
    if (const errc rc = detail::look_along<T>(along, k.honest, out.size(), space.memory, seen, nullptr); rc != errc::ok)
      return rc;
    double square = seen.square[0];
    for (const double s : seen.square)
      if (bound == min_sum_bound::least ? s < square : s > square) square = s;
    const double length = detail::square_root(seen.direction_square);
    space.no_direction = !seen.direction;
    // A direction whose square is 0 belongs to rows whose distances are.
    if (!(length > 0)) return detail::move_along<T>(along, k.honest, 0, out);
    const double gamma = detail::square_root(square), factor = detail::quotient(gamma, length);
    space.strength = along == perturbation::unit_vector ? gamma : factor;
    return detail::move_along<T>(along, k.honest, factor, out);
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_MIN_SUM_HPP
