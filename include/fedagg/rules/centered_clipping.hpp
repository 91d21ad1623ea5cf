// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_CENTERED_CLIPPING_HPP
#define FEDAGG_RULES_CENTERED_CLIPPING_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/directions.hpp>
#include <fedagg/core/geometry.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The last round's result, moved towards each client by at most `tau` (Karimireddy, He, Jaggi 2021, arXiv:2012.10333).
/// v += mean of (x_i - v) min(1, tau / norm(x_i - v)), `iterations` times; v starts at the trusted row, which is where
/// the caller puts the state he keeps, or at the origin. Whatever any number of clients send, the result lies within
/// iterations tau of the start. Ignores weights. O(n^2 d) once, then O(n^2) per iteration.
struct centered_clipping {
  double tau = unset;          ///< how far one client may pull in one iteration
  std::int64_t iterations = 1; ///< L of the paper

  static constexpr const char* name = "centered_clipping";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr bool needs_origin = true;
  static constexpr auto fields() {
    using r = centered_clipping;
    return field_list{
        field{"tau", &r::tau, unset, detail::largest_double, "how far a client may pull in one iteration"},
        field{"iterations", &r::iterations, 1, 10000, "how often the clients pull"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (!is_finite(tau) || !(tau > 0) || iterations < 1 || iterations > 10000) return errc::bad_parameter;
    if (!g.has_origin) return errc::missing_origin;
    const std::size_t n = g.rows;
    if (n == 0) return errc::too_few_clients;
    detail::directions from(n, memory);
    from.look(g, g.has_trusted ? n : detail::directions::origin);
    const auto b = memory.room<double>(n), projections = memory.room<double>(n);
    const detail::slice<double> a = detail::slice<double>(s.coefficients).first(n), distances = s.scores;
    const auto clients = static_cast<double>(n);
    for (std::int64_t k = 0; k < iterations; ++k) {
      // v = start + sum_i a_i (x_i - start) = start + sum_i b_i (direction of i)
      for (std::size_t i = 0; i < n; ++i) b[i] = detail::times(a[i], from.radius(i));
      from.project(b, projections);
      from.distances(b, projections, distances);
      double pull = 0;
      for (const double d : distances) pull = detail::plus(pull, d > tau ? detail::quotient(tau, d) : 1);
      const double kept = 1 - detail::quotient(pull, clients);
      for (std::size_t i = 0; i < n; ++i) {
        const double factor = distances[i] > tau ? detail::quotient(tau, distances[i]) : 1;
        a[i] = detail::plus(detail::times(a[i], kept), detail::quotient(factor, clients));
      }
    }
    double sum = 0;
    for (const double x : a) sum = detail::plus(sum, x);
    if (g.has_trusted) s.coefficients[n] = 1 - sum;
    s.divisor = 1;
    s.whole = g.has_trusted;
    s.iterations = static_cast<std::size_t>(iterations);
    s.breakdown = n;
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_CENTERED_CLIPPING_HPP
