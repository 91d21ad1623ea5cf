// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_FOOLSGOLD_HPP
#define FEDAGG_RULES_FOOLSGOLD_HPP

#include <cstddef>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/normal_quantile.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of clients that count less the more alike they have been so far: FoolsGold (Fung, Yoon, Beschastnikh 2018,
/// arXiv:1808.04866). From the cosines of the clients' histories (`cohort::history`; 0 for a zero one):
/// v_i = max(0, max_j cs_ij); where v_j > v_i, cs_ij *= v_i / v_j; a_i = 1 - max(0, max_j cs_ij), 0 below 1e-6, divided
/// by the largest, 1 -> 0.99, ln(a / (1 - a)) + 0.5 cut to [0, 1]. The result is sum_i a_i x_i / sum a. Against many
/// clients of one attacker; a single one that is unlike all others has full weight, so no client count is survived.
/// Ignores weights. O(n^2 d); the history, n x d, is the caller's. Scores: 1 - a_i.
struct foolsgold {
  static constexpr const char* name = "foolsgold";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr bool on_history = true;
  static constexpr auto fields() { return field_list{}; }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (!g.has_origin) return errc::missing_origin;
    const std::size_t n = g.rows;
    if (n == 0) return errc::too_few_clients;
    const auto alike = memory.room<double>(n * n);
    const auto most = memory.room<double>(n);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j)
        if (const double cosine = i == j ? 0 : cosine_of(g, i, j); cosine > 0) {
          alike[i * n + j] = cosine;
          if (cosine > most[i]) most[i] = cosine;
        }
    double largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      // An honest client is pardoned for being like those that are more alike among themselves.
      double closest = 0;
      for (std::size_t j = 0; j < n; ++j) {
        double x = alike[i * n + j];
        if (most[j] > most[i]) x = detail::quotient(detail::times(x, most[i]), most[j]);
        if (x > closest) closest = x;
      }
      // Cosines are known to 1e-6: what is left of a smaller share is their rounding.
      const double share = 1 - closest;
      s.coefficients[i] = share > 1e-6 ? share : 0;
      if (s.coefficients[i] > largest) largest = s.coefficients[i];
    }
    s.whole = true;
    s.breakdown = 0;
    for (std::size_t i = 0; i < n; ++i) s.scores[i] = 1;
    if (!(largest > 0)) return errc::no_client_selected;
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      s.coefficients[i] = logit(detail::quotient(s.coefficients[i], largest));
      s.scores[i] = 1 - s.coefficients[i];
      sum = detail::plus(sum, s.coefficients[i]);
    }
    s.divisor = sum;
    return errc::ok;
  }

private:
  static double cosine_of(const geometry& g, std::size_t i, std::size_t j) noexcept {
    const double a = detail::square_root(g.square_norms[i]), b = detail::square_root(g.square_norms[j]);
    if (!(a > 0) || !(b > 0)) return 0;
    // In two steps: a product of two norms can leave the range of doubles.
    const double cosine = detail::quotient(detail::quotient(g.product(i, j), a), b);
    return cosine < 1 ? cosine : 1;
  }

  /// ln(a / (1 - a)) + 0.5 cut to [0, 1]; of 1 as if it were 0.99.
  static double logit(double a) noexcept {
    if (!(a > 0)) return 0;
    if (!(a < 1)) return 1;
    const double value = detail::plus(detail::natural_log(detail::quotient(a, 1 - a)), 0.5);
    return value < 0 ? 0 : value > 1 ? 1 : value;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_FOOLSGOLD_HPP
