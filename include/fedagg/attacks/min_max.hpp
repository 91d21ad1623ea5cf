// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_MIN_MAX_HPP
#define FEDAGG_ATTACKS_MIN_MAX_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/perturbation.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The honest mean, moved along a direction p as far as no honest row is then further away than the two most distant
/// honest rows are from each other (Shejwalkar, Houmansadr, NDSS 2021, doi:10.14722/ndss.2021.24498).
/// The factor gamma is the closed form, not the published search: the least positive root over i of
/// |mean + gamma p - x_i|^2 = max D. Needs to know the honest rows. O(n^2 d), two passes, memory of O(n^2 + 256 n).
struct min_max {
  perturbation along = perturbation::unit_vector; ///< the direction p

  static constexpr const char* name = "min_max";
  static constexpr auto fields() {
    return std::tuple{field{"along", &min_max::along, 0, 2, "the direction in which the mean is moved"}};
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this)) return errc::bad_parameter;
    const std::size_t least = along == perturbation::deviation ? 2 : 1;
    if (const errc rc = detail::check_knowledge<T>(k, out, least); rc != errc::ok) return rc;
    const std::size_t n = k.honest.size();
    detail::tile_distances distances(n, space.memory);
    detail::perturbed_rows seen;
    if (const errc rc = detail::look_along<T>(along, k.honest, out.size(), space.memory, seen, &distances);
        rc != errc::ok)
      return rc;
    double bound = 0;
    for (std::size_t i = 1; i < n; ++i)
      for (std::size_t j = 0; j < i; ++j) bound = distances(i, j) > bound ? distances(i, j) : bound;
    if (!is_finite(bound)) return errc::overflow;
    const double length = detail::square_root(seen.direction_square);
    space.no_direction = !seen.direction;
    // A direction whose square is 0 belongs to rows whose distances are.
    if (!(length > 0)) return detail::move_along<T>(along, k.honest, 0, out);
    double gamma = detail::largest_double; // in units of a direction of length 1
    for (std::size_t i = 0; i < n; ++i) {
      const double root = reach(detail::quotient(seen.along[i], length), detail::plus(bound, -seen.square[i]));
      if (root < gamma) gamma = root;
    }
    space.strength = along == perturbation::unit_vector ? gamma : detail::quotient(gamma, length);
    return detail::move_along<T>(along, k.honest, detail::quotient(gamma, length), out);
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }

private:
  /// The positive root of g^2 - 2 along g - room, without the difference of what nearly cancels.
  static double reach(double along, double room) noexcept {
    if (!(room > 0)) room = 0;
    const double root = detail::square_root(detail::plus(detail::times(along, along), room));
    if (along >= 0) return detail::plus(along, root);
    return detail::quotient(room, detail::plus(root, -along));
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_MIN_MAX_HPP
