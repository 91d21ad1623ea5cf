// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_MEDIAN_HPP
#define FEDAGG_RULES_MEDIAN_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/rule.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Which of the two middle values an even number of clients gives.
enum class middle : std::uint8_t {
  midpoint, ///< their mean, as NumPy's median
  lower,    ///< the lower one, as torch.median
};

inline constexpr const char* middle_names[] = {"midpoint", "lower"};
constexpr name_list value_names(middle) noexcept { return {middle_names, 2}; }

/// Coordinate-wise median (Yin et al. 2018, arXiv:1803.01498).
/// Breaks down at ceil(n / 2) hostile clients. Ignores weights unless trusted: then the value at which half the weight
/// is reached (lower), or the mean with the next value where exactly half is reached (midpoint). O(n d) reads, one
/// pass.
struct median {
  middle even = middle::midpoint;
  weights weighting = weights::ignored;
  double weight_cap = 0; ///< trusted weights above it count as this much; 0: no cap

  static constexpr const char* name = "median";
  static constexpr auto fields() {
    return field_list{field{"even", &median::even, 0, 1, "an even number of clients gives the midpoint or the lower"},
                      field{"weighting", &median::weighting, 0, 1, "ignore the clients' weights or trust them"},
                      field{"weight_cap", &median::weight_cap, 0, any_count, "trusted weights are cut here, 0: never"}};
  }

  errc window(std::size_t, std::size_t present, order_window& w) const noexcept {
    if (present == 0) return errc::too_few_clients;
    w = {(present - 1) / 2, (even == middle::lower ? (present - 1) / 2 : present / 2) + 1};
    return errc::ok;
  }

  errc weigh_check(std::span<const double> ascending, order_window, std::size_t& clients, double& mass) const noexcept {
    mass = 0.5;
    return detail::heaviest_below_half(ascending, 1, clients);
  }

  double weigh(const weighted_column& c, order_window) const noexcept {
    const double half = c.total / 2;
    double reached = 0;
    for (std::size_t i = 0; i + 1 < c.values.size(); ++i) {
      reached += c.weights[i];
      if (reached < half) continue;
      if (even == middle::lower || reached > half) return c.values[i];
      // Clients without weight lie between nothing.
      std::size_t next = i + 1;
      while (next + 1 < c.values.size() && c.weights[next] == 0) ++next;
      return detail::midpoint(c.values[i], c.values[next]);
    }
    return c.values.back();
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_MEDIAN_HPP
