// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_ALIE_HPP
#define FEDAGG_ATTACKS_ALIE_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/core/normal_quantile.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// On which side of the mean ALIE's row lies.
enum class alie_side : std::uint8_t {
  below, ///< mean - z deviation, as the paper
  above, ///< mean + z deviation, as some codes
};

inline constexpr const char* alie_side_names[] = {"below", "above"};
constexpr name_list value_names(alie_side) noexcept { return {alie_side_names, 2}; }

/// A little is enough: the honest mean, moved by z standard deviations in every coordinate (Baruch, Baruch, Goldberg
/// 2019, arXiv:1902.06156). Without a z, the largest with which enough honest clients lie further out than the hostile
/// ones to make them a majority: Phi^-1((n - m - s) / (n - m)), s = floor(n / 2) + 1 - m, for m hostile of n clients.
/// Needs to know honest rows, and n and m for that z. O(n d), one pass, no memory.
struct alie {
  double z = unset;                  ///< standard deviations; not given: computed from the clients
  alie_side side = alie_side::below; ///< of the mean
  std::int64_t ddof = 1;             ///< 1: the squares are divided by the rows less one; 0: by the rows

  static constexpr const char* name = "alie";
  /// What a search may vary: see optimal.
  static constexpr auto searched() { return &alie::z; }
  static constexpr auto fields() {
    return std::tuple{
        field{"z", &alie::z, unset, detail::largest_double, "standard deviations from the mean, else computed"},
        field{"side", &alie::side, 0, 1, "below or above the mean"},
        field{"ddof", &alie::ddof, 0, 1, "subtracted from the rows under the deviation"}};
  }

  /// The z of the paper. Negative where the hostile clients need more than half of the honest ones for a majority: the
  /// row then lies on the other side. `bad_parameter` for hostile >= clients, `too_few_clients` where no z is finite.
  static errc largest_z(std::size_t clients, std::size_t hostile, double& z) noexcept {
    const impl::fp_guard guard;
    if (hostile >= clients) return errc::bad_parameter;
    const std::size_t majority = clients / 2 + 1, honest = clients - hostile;
    if (hostile >= majority || clients == majority) return errc::too_few_clients;
    // n - m - s = n - (floor(n / 2) + 1)
    z = detail::normal_quantile(detail::quotient(static_cast<double>(clients - majority), static_cast<double>(honest)));
    return errc::ok;
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this)) return errc::bad_parameter;
    const auto less = static_cast<std::size_t>(ddof);
    if (const errc rc = detail::check_knowledge<T>(k, out, 1 + less); rc != errc::ok) return rc;
    double factor = z;
    if (z < 0)
      if (const errc rc = largest_z(k.total(), k.hostile, factor); rc != errc::ok) return rc;
    space.strength = factor;
    space.reversed = factor < 0;
    if (side == alie_side::below) factor = -factor;
    const auto divisor = static_cast<double>(k.honest.size() - less);
    return detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> mean) {
      double room[detail::moments_tile];
      const std::span<double> row(room, mean.size());
      if (const errc rc = detail::tile_deviation<T>(k.honest, first, mean, divisor, row); rc != errc::ok) return rc;
      for (std::size_t j = 0; j < row.size(); ++j) row[j] = detail::plus(mean[j], detail::times(factor, row[j]));
      return detail::round_tile<T>(row, out.subspan(first, row.size()));
    });
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_ALIE_HPP
