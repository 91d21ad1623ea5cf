// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_SIGN_FLIP_HPP
#define FEDAGG_ATTACKS_SIGN_FLIP_HPP

#include <cstddef>
#include <span>
#include <tuple>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The opposite of the honest clients' mean (Allen-Zhu et al. 2020, arXiv:2012.14368).
/// Needs to know the honest rows; inner_product with tau = 1. O(n d), one pass, no memory.
struct sign_flip {
  static constexpr const char* name = "sign_flip";
  static constexpr auto fields() { return std::tuple{}; }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (const errc rc = detail::check_knowledge<T>(k, out); rc != errc::ok) return rc;
    space.strength = 1;
    return detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> mean) {
      double row[detail::moments_tile];
      for (std::size_t j = 0; j < mean.size(); ++j) row[j] = -mean[j];
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

#endif // FEDAGG_ATTACKS_SIGN_FLIP_HPP
