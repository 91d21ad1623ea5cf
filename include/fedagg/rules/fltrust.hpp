// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_FLTRUST_HPP
#define FEDAGG_RULES_FLTRUST_HPP

#include <cstddef>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the updates, as long as the server's own and weighted by how far they agree with its direction (Cao et
/// al. 2021, arXiv:2012.13995). TS_i = max(0, cos(x_i, g0)), the result is sum_i TS_i (norm g0 / norm x_i) x_i / sum
/// TS. The trusted row g0 comes from data of the server, never from clients. Never longer than g0, whatever any number
/// of clients send; if none agrees it is the origin, flagged `no_trust`. Ignores weights. O(n d).
struct fltrust {
  static constexpr const char* name = "fltrust";
  static constexpr geometry_needs needs = geometry_needs::trusted;
  static constexpr bool needs_origin = true;
  static constexpr auto fields() { return field_list{}; }

  errc coefficients(const geometry& g, arena&, solution& s) const noexcept {
    if (!g.has_origin) return errc::missing_origin;
    if (!g.has_trusted) return errc::missing_trusted;
    if (g.rows == 0) return errc::too_few_clients;
    const double server = detail::square_root(g.square_norms[g.rows]);
    double sum = 0;
    for (std::size_t i = 0; i < g.rows; ++i) {
      const double norm = detail::square_root(g.square_norms[i]);
      double trust = 0, scale = 0;
      if (norm > 0 && server > 0) {
        scale = detail::quotient(server, norm);
        // In two steps: a product of two norms can leave the range of doubles.
        trust = detail::quotient(detail::quotient(g.with_trusted[i], norm), server);
        // Beyond all numbers, an update is as good as zero.
        trust = !(trust > 0) || !is_finite(scale) ? 0 : trust < 1 ? trust : 1;
      }
      s.coefficients[i] = trust > 0 ? detail::times(trust, scale) : 0;
      s.scores[i] = 1 - trust;
      sum = detail::plus(sum, trust);
    }
    s.whole = false;
    s.no_trust = !(sum > 0);
    s.divisor = s.no_trust ? 1 : sum;
    s.breakdown = g.rows;
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_FLTRUST_HPP
