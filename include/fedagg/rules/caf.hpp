// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_CAF_HPP
#define FEDAGG_RULES_CAF_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <Eigen/Eigenvalues>

#include <fedagg/core/centred_products.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of clients that count less the farther they reach along the direction in which they differ most: the
/// covariance-bound agnostic filter (Allouah, Guerraoui, Stephan 2025, arXiv:2505.01874). From c_i = 1, as long as
/// sum c > n - 2f: the top eigenpair of the weighted covariance, tau_i the squared projection of x_i from the weighted
/// mean, c_i *= 1 - tau_i / max tau; the result is the mean with the least top eigenvalue met. The maximum is over all
/// clients; where that would take less than 1/32 of one client's weight, because one that no longer counts lies far
/// away, over those that still count: so at most 64 f + n iterations, whatever anybody sends. Survives f hostile
/// clients, 2f < n; ignores weights. O(n^2 d), then O(n^3) per iteration. Scores: 1 - c_i of the result.
struct caf {
  std::int64_t f = unset; ///< hostile clients to survive

  static constexpr const char* name = "caf";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return field_list{field{"f", &caf::f, unset, any_count, "hostile clients to survive"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    const std::size_t n = g.rows;
    if (const errc rc = detail::honest_majority(f, n); rc != errc::ok) return rc;
    s.whole = true;
    s.breakdown = static_cast<std::size_t>(f);
    s.divisor = static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) s.coefficients[i] = 1;
    if (f == 0) return errc::ok;
    const double enough = static_cast<double>(n - 2 * static_cast<std::size_t>(f));
    const auto c = memory.take<double>(n), some = memory.take<double>(n), tau = memory.take<double>(n);
    const auto rows = memory.take<std::size_t>(n);
    for (double& x : c) x = 1;
    const auto room = memory.take<double>(n * n + n);
    detail::centred_products products(g, memory);
    eigensolver solver(static_cast<Eigen::Index>(n));
    double least = 0;
    for (;; ++s.iterations) {
      double total = 0;
      std::size_t count = 0;
      for (std::size_t i = 0; i < n; ++i) {
        if (!(c[i] > 0)) continue;
        total = detail::plus(total, c[i]);
        some[count] = c[i];
        rows[count++] = i;
      }
      if (!(total > enough)) break;
      products.about(rows.first(count), some.first(count));
      double top = 0;
      if (!products.single_point() && !project(solver, room, products, rows.first(count), some.first(count), top, tau))
        return errc::rule_failed;
      top = detail::scaled_by(detail::quotient(top, total), products.exponent());
      if (s.iterations == 0 || top < least) {
        least = top;
        s.divisor = total;
        for (std::size_t i = 0; i < n; ++i) s.coefficients[i] = c[i];
      }
      if (products.single_point() || !shrink(c, tau)) {
        ++s.iterations;
        break;
      }
    }
    for (std::size_t i = 0; i < n; ++i) s.scores[i] = 1 - s.coefficients[i];
    return errc::ok;
  }

private:
  using eigensolver = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>;

  /// The top eigenvalue of the weighted scatter of some rows, and the square of each row's part along its direction,
  /// but for a factor. False if there is no such pair. The matrix has a row for everybody, zeros for those who do not
  /// count, because a solver that is used again for the same size does not allocate its results again.
  static bool project(eigensolver& solver, std::span<double> room, const detail::centred_products& products,
                      std::span<const std::size_t> rows, std::span<const double> weights, double& top,
                      std::span<double> tau) {
    const auto at = [](std::size_t i) { return static_cast<Eigen::Index>(i); };
    const std::size_t n = tau.size(), count = rows.size();
    Eigen::Map<Eigen::MatrixXd> matrix(room.data(), at(n), at(n));
    const auto roots = room.subspan(n * n);
    matrix.setZero();
    for (std::size_t i = 0; i < count; ++i) roots[i] = detail::square_root(weights[i]);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        matrix(at(rows[i]), at(rows[j])) = roots[i] * roots[j] * products(rows[i], rows[j]);
    solver.compute(matrix); // reads the lower half
    if (solver.info() != Eigen::Success) return false;
    top = solver.eigenvalues()[at(n - 1)];
    if (!(top > 0)) top = 0;
    const auto direction = solver.eigenvectors().col(at(n - 1));
    for (std::size_t i = 0; i < n; ++i) {
      double part = 0;
      for (std::size_t j = 0; j < count; ++j)
        part = detail::plus(part, detail::times(products(i, rows[j]), roots[j] * direction[at(rows[j])]));
      tau[i] = detail::times(part, part);
    }
    return true;
  }

  /// Takes weight from the rows that reach far; false if there is nothing to take.
  static bool shrink(std::span<double> c, std::span<const double> tau) noexcept {
    double among_all = 0, among_some = 0;
    for (std::size_t i = 0; i < c.size(); ++i) {
      // Beyond all numbers counts as the largest: such a row has no weight any more.
      const double t = is_finite(tau[i]) ? tau[i] : detail::largest_double;
      if (t > among_all) among_all = t;
      if (c[i] > 0 && t > among_some) among_some = t;
    }
    if (!(among_some > 0)) return false;
    double taken = 0;
    for (std::size_t i = 0; i < c.size(); ++i)
      if (c[i] > 0) taken = detail::plus(taken, detail::times(c[i], detail::quotient(tau[i], among_all)));
    const double most = taken < 0.03125 ? among_some : among_all;
    for (std::size_t i = 0; i < c.size(); ++i)
      if (c[i] > 0) c[i] = tau[i] < most ? detail::times(c[i], 1 - detail::quotient(tau[i], most)) : 0;
    return true;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_CAF_HPP
