// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_TRIMMED_MEAN_HPP
#define FEDAGG_RULES_TRIMMED_MEAN_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/rule.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Coordinate-wise mean after dropping the smallest and the largest values (Yin et al. 2018, arXiv:1803.01498).
/// Breaks down at trim + 1 hostile clients. Exactly one of `trim`, `fraction` and `mass` must be given. Ignores weights
/// unless trusted: then `trim` and `fraction` still drop clients and the rest is averaged by weight, `mass` drops that
/// share of the weight from each end (a client on the edge counts in part). O(n d) reads, one pass.
struct trimmed_mean {
  std::int64_t trim = unset; ///< clients dropped from each end of a column, 2 trim < n
  double fraction = unset;   ///< floor(fraction n) clients from each end, in [0, 0.5)
  double mass = unset;       ///< share of the weight dropped from each end, in [0, 0.5); trusted weights only
  weights weighting = weights::ignored;
  double weight_cap = 0; ///< trusted weights above it count as this much; 0: no cap

  static constexpr const char* name = "trimmed_mean";
  static constexpr auto fields() {
    using r = trimmed_mean;
    return field_list{
        field{"trim", &r::trim, unset, any_count, "clients dropped from each end"},
        field{"fraction", &r::fraction, unset, 0.5, "share of the clients dropped from each end, below 0.5"},
        field{"mass", &r::mass, unset, 0.5, "share of the trusted weight dropped from each end, below 0.5"},
        field{"weighting", &r::weighting, 0, 1, "ignore the clients' weights or trust them"},
        field{"weight_cap", &r::weight_cap, 0, any_count, "trusted weights are cut here, 0: never"}};
  }

  errc window(std::size_t declared, std::size_t present, order_window& w) const noexcept {
    const int given = (trim >= 0) + (fraction >= 0) + (mass >= 0);
    const bool between =
        (trim < 0 && trim != unset) || (fraction < 0 && fraction != unset) || (mass < 0 && mass != unset);
    if (given != 1 || between || fraction >= 0.5 || mass >= 0.5) return errc::bad_parameter;
    if (mass >= 0 && weighting != weights::trusted) return errc::bad_parameter;
    // The budget is what was declared: a client that gets itself rejected must not lower it.
    const std::size_t dropped = trim >= 0       ? static_cast<std::size_t>(trim)
                                : fraction >= 0 ? static_cast<std::size_t>(fraction * static_cast<double>(declared))
                                                : 0;
    if (present == 0 || dropped >= present || 2 * dropped >= present) return errc::too_few_clients;
    w = {dropped, present - dropped};
    return errc::ok;
  }

  /// 2 trim < n decides how many clients a round may lose; a share of the weight does not.
  bool has_budget() const noexcept { return mass < 0; }

  /// Dropping weight splits clients, so that even equal weights need the weighted form.
  bool always_weighed() const noexcept { return mass >= 0; }

  errc weigh_check(std::span<const double> ascending, order_window w, std::size_t& clients,
                   double& share) const noexcept {
    std::size_t most = 0;
    const errc rc = detail::heaviest_below_half(ascending, mass >= 0 ? 0 : w.first, most);
    clients = w.first;
    share = mass;
    if (mass < 0) {
      share = detail::share_of_heaviest(ascending, w.first);
      return rc;
    }
    clients = 0;
    while (clients < ascending.size() && !(detail::share_of_heaviest(ascending, clients + 1) > mass)) ++clients;
    return errc::ok;
  }

  double weigh(const weighted_column& c, order_window w) const noexcept {
    double sum = 0, kept = 0, reached = 0;
    std::size_t first = w.last, last = w.first;
    const double low = mass >= 0 ? mass * c.total : 0, high = c.total - low;
    for (std::size_t i = w.first; i < w.last; ++i) {
      // The part of the client's stretch of weight that lies between the two cuts.
      const double from = reached, to = reached + c.weights[i];
      reached = to;
      const double share = mass >= 0 ? (to < high ? to : high) - (from > low ? from : low) : c.weights[i];
      if (!(share > 0)) continue;
      if (first == w.last) first = i;
      last = i;
      kept += share;
      sum += share / c.total * c.values[i];
    }
    if (!(kept > 0)) return detail::midpoint(c.values[w.first], c.values[w.last - 1]);
    // Rounding may lead out of the values' range, for huge ones to Inf.
    const double mean = sum / (kept / c.total);
    return mean < c.values[first] ? c.values[first] : mean > c.values[last] ? c.values[last] : mean;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_TRIMMED_MEAN_HPP
