// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_GEOMETRIC_MEDIAN_HPP
#define FEDAGG_RULES_GEOMETRIC_MEDIAN_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/median_search.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The point whose distances to the clients have the least sum (Weber 1909; RFA: Pillutla, Kakade, Harchaoui 2022,
/// arXiv:1912.13445). To a stationarity gap that the outcome tells, usually 1e-14, also where it is a client's point
/// (Vardi and Zhang 2000, doi:10.1073/pnas.97.4.1423); of several medians the midpoint. Always between the clients.
/// Breaks down at ceil(n / 2) hostile clients. Ignores weights unless trusted. O(n^2 d) once, then O(n^2) per
/// iteration.
struct geometric_median {
  weights weighting = weights::ignored;
  double weight_cap = 0;              ///< trusted weights above it count as this much; 0: no cap
  std::int64_t max_iterations = 1000; ///< then it stops where it is, and `gap` tells how good that is

  static constexpr const char* name = "geometric_median";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    using r = geometric_median;
    return field_list{field{"weighting", &r::weighting, 0, 1, "ignore the clients' weights or trust them"},
                      field{"weight_cap", &r::weight_cap, 0, any_count, "trusted weights are cut here, 0: never"},
                      field{"max_iterations", &r::max_iterations, 1, 100000, "iterations before it stops"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (max_iterations < 1 || !is_finite(weight_cap) || !(weight_cap >= 0)) return errc::bad_parameter;
    const std::size_t n = g.rows;
    if (n == 0) return errc::too_few_clients;
    const auto w = memory.room<double>(n);
    if (const errc rc = weigh(g, memory, w, s); rc != errc::ok) return rc;
    detail::median_search search(g, w, memory);
    s.iterations = search.run(static_cast<std::size_t>(max_iterations), s.coefficients, s.divisor, s.gap);
    s.whole = true;
    return errc::ok;
  }

private:
  errc weigh(const geometry& g, arena& memory, detail::slice<double> w, solution& s) const {
    const std::size_t n = w.size();
    for (double& x : w) x = 1;
    s.breakdown = (n - 1) / 2;
    if (weighting == weights::ignored) return errc::ok;
    if (g.weights.size() != n) return errc::weight_count;
    const auto order = memory.room<detail::ranked>(n);
    const auto claims = memory.room<double>(n), ascending = memory.room<double>(n);
    bool equal = true;
    for (std::size_t i = 0; i < n; ++i) {
      claims[i] = weight_cap > 0 && g.weights[i] > weight_cap ? weight_cap : g.weights[i];
      equal = equal && claims[i] == claims[0];
    }
    double total = 0;
    if (const errc rc = detail::scale_weights(claims, w, total); rc != errc::ok) return rc;
    if (equal) {
      for (double& x : w) x = 1;
      s.breakdown_mass = static_cast<double>(s.breakdown) / static_cast<double>(n);
      return errc::ok;
    }
    for (std::size_t i = 0; i < n; ++i) order[i] = {w[i], i};
    detail::smallest_first(order, n);
    for (std::size_t i = 0; i < n; ++i) ascending[i] = order[i].value;
    s.breakdown_mass = 0.5;
    return detail::heaviest_below_half(ascending, 1, s.breakdown);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_GEOMETRIC_MEDIAN_HPP
