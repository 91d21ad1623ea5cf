// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_INNER_PRODUCT_HPP
#define FEDAGG_ATTACKS_INNER_PRODUCT_HPP

#include <cstddef>
#include <span>
#include <tuple>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The honest clients' mean times -tau, so that the aggregate points away from it (Xie, Koyejo, Gupta 2019,
/// arXiv:1903.03936). A small tau hides between honest rows, a large one drags a mean. Needs to know the honest rows.
/// O(n d), one pass, no memory.
struct inner_product {
  double tau = unset; ///< the mean is multiplied by -tau

  static constexpr const char* name = "inner_product";
  /// What a search may vary: see optimal.
  static constexpr auto searched() { return &inner_product::tau; }
  static constexpr auto fields() {
    return std::tuple{
        field{"tau", &inner_product::tau, unset, detail::largest_double, "the mean is multiplied by -tau"}};
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this) || tau < 0) return errc::bad_parameter;
    if (const errc rc = detail::check_knowledge<T>(k, out); rc != errc::ok) return rc;
    space.strength = tau;
    return detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> mean) {
      double row[detail::moments_tile];
      for (std::size_t j = 0; j < mean.size(); ++j) row[j] = -detail::times(tau, mean[j]);
      return detail::round_tile<T>({row, mean.size()}, out.subspan(first, mean.size()));
    });
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_INNER_PRODUCT_HPP
