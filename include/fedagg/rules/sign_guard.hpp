// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_SIGN_GUARD_HPP
#define FEDAGG_RULES_SIGN_GUARD_HPP

#include <cstddef>
#include <span>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/sign_clusters.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of updates with ordinary lengths and ordinary signs, none longer than the median: SignGuard (Xu, Huang,
/// Song, Lan 2021, arXiv:2109.05872). M is the median norm; kept are the clients with low M <= norm <= high M whose
/// shares of positive, negative and zero coordinates lie in the larger of two clusters (2-means from the two clients
/// that differ most) or in the largest that mean shift finds, of the same size the one with the first client, each cut
/// to M. Never longer than M, an honest client's norm at most while fewer than half are hostile. Ignores weights.
/// O(n d). Scores: 0 for the clients kept; 1 for a norm, 2 for signs, 3 for both out of order.
struct sign_guard {
  double low = 0.1;                                        ///< the least norm kept, in median norms
  double high = 3.0;                                       ///< the largest
  sign_clustering clustering = sign_clustering::two_means; ///< of the shares of signs

  static constexpr const char* name = "sign_guard";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr bool needs_origin = true;
  static constexpr bool needs_signs = true;
  static constexpr auto fields() {
    return field_list{field{"low", &sign_guard::low, 0, any_count, "the least norm kept, in median norms"},
                      field{"high", &sign_guard::high, 0, any_count, "the largest norm kept, in median norms"},
                      field{"clustering", &sign_guard::clustering, 0, 1, "how ordinary signs are found"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (!is_finite(low) || !is_finite(high) || !(low >= 0) || !(low <= high)) return errc::bad_parameter;
    if (clustering > sign_clustering::mean_shift) return errc::bad_parameter;
    if (!g.has_origin) return errc::missing_origin;
    const std::size_t n = g.rows;
    if (n == 0) return errc::too_few_clients;
    if (g.signs.size() != n) return errc::rule_failed;
    const auto order = memory.room<detail::ranked>(n);
    for (std::size_t i = 0; i < n; ++i) order[i] = {detail::square_root(g.square_norms[i]), i};
    detail::smallest_first(order, n / 2 + 1);
    const double median = detail::midpoint(order[(n - 1) / 2].value, order[n / 2].value);
    const auto ordinary = memory.room<unsigned char>(n);
    if (clustering == sign_clustering::two_means)
      detail::larger_of_two_means(g.signs, memory, ordinary);
    else
      detail::largest_of_mean_shift(g.signs, memory, ordinary);
    std::size_t kept = 0;
    s.whole = true;
    s.breakdown = (n - 1) / 2;
    for (std::size_t i = 0; i < n; ++i) {
      const double norm = detail::square_root(g.square_norms[i]);
      const bool fits = norm >= detail::times(low, median) && norm <= detail::times(high, median);
      s.scores[i] = (fits ? 0 : 1) + (ordinary[i] ? 0 : 2);
      if (!fits || !ordinary[i]) continue;
      s.coefficients[i] = detail::clip_factor(g.square_norms[i], median);
      if (s.coefficients[i] < 1) s.whole = false;
      ++kept;
    }
    if (kept == 0) return errc::no_client_selected;
    s.divisor = static_cast<double>(kept);
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_SIGN_GUARD_HPP
