// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_DNC_HPP
#define FEDAGG_RULES_DNC_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <Eigen/Eigenvalues>

#include <fedagg/core/centred_products.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/subset_choice.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the clients that never stand out along the direction in which they differ most, on random samples of
/// the coordinates: divide and conquer (Shejwalkar, Houmansadr 2021, doi:10.14722/ndss.2021.24498). `iterations` times,
/// on `coordinates` of them: centred on the mean, with the top right singular vector v, the floor(c f) clients with the
/// largest ((x_i - mu) v)^2 are dropped, of equal ones (to 1e-9) the last. Whoever is left in all of them is averaged.
/// The seed must be new in every round and unknown to the clients. Promises no breakdown point: a client that is far
/// away only where no sample looks stays in, and several of very different lengths hide behind the longest, so that
/// coordinates should be clipped or bounded before. Where a sample has all coordinates, one hostile client however far
/// away is dropped. Ignores weights. Reads the samples and then the clients that are left: O(iterations n^2 coordinates
/// + n d), and O(n^3) per iteration. Scores: how often a client was dropped.
struct dnc {
  std::int64_t f = unset;           ///< hostile clients to survive
  double c = 1;                     ///< clients dropped in an iteration, in f
  std::int64_t iterations = 1;      ///< samples
  std::int64_t coordinates = 10000; ///< of a sample; all of them if there are no more
  std::int64_t seed = unset;        ///< of this round's samples

  static constexpr const char* name = "dnc";
  static constexpr geometry_needs needs = geometry_needs::nothing;
  static constexpr auto fields() {
    return field_list{field{"f", &dnc::f, unset, any_count, "hostile clients to survive"},
                      field{"c", &dnc::c, 0, any_count, "clients dropped in an iteration, in f"},
                      field{"iterations", &dnc::iterations, 1, 1000, "samples"},
                      field{"coordinates", &dnc::coordinates, 1, any_count, "of a sample"},
                      field{"seed", &dnc::seed, unset, any_count, "seed of this round's samples"}};
  }

  std::size_t samples() const noexcept { return in_range() ? static_cast<std::size_t>(iterations) : 0; }

  /// Without replacement, every subset as likely as the others (Floyd's algorithm).
  std::span<const std::size_t> sample(std::size_t k, std::size_t all, arena& memory) const {
    if (!in_range() || static_cast<std::uint64_t>(coordinates) >= all) return {};
    const auto count = static_cast<std::size_t>(coordinates);
    random_stream seeds(static_cast<std::uint64_t>(seed), name);
    std::uint64_t mine = seeds();
    for (std::size_t i = 0; i < k; ++i) mine = seeds();
    random_stream stream(mine, name);
    std::size_t places = 2;
    while (places < 2 * count) places *= 2;
    const auto taken = memory.take<std::size_t>(places); // 0: free
    const auto insert = [&](std::size_t x) {
      std::size_t at = static_cast<std::size_t>(x * 0x9e3779b97f4a7c15u >> 20) & (places - 1);
      for (; taken[at] != 0; at = (at + 1) & (places - 1))
        if (taken[at] == x + 1) return false;
      taken[at] = x + 1;
      return true;
    };
    const auto order = memory.take<detail::ranked>(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t last = all - count + i;
      std::size_t x = static_cast<std::size_t>(stream.below(last + 1));
      if (!insert(x)) insert(x = last);
      order[i] = {static_cast<double>(x), x};
    }
    detail::smallest_first(order, count);
    const auto chosen = memory.take<std::size_t>(count);
    for (std::size_t i = 0; i < count; ++i) chosen[i] = order[i].index;
    return chosen;
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (!in_range()) return errc::bad_parameter;
    const std::size_t n = g.rows, count = samples();
    if (const errc rc = detail::honest_majority(f, n); rc != errc::ok) return rc;
    // As decimal as the factor was meant: 0.29 of 100 are 29.
    const double wanted = detail::times(detail::times(c, static_cast<double>(f)), 1 + 0x1p-40);
    if (wanted >= static_cast<double>(n)) return errc::too_few_clients;
    const auto dropped = static_cast<std::size_t>(wanted);
    if (g.sampled.size() != count * n * n) return errc::rule_failed;
    const auto all = memory.take<std::size_t>(n);
    const auto along = memory.take<double>(n), room = memory.take<double>(n * n);
    for (std::size_t i = 0; i < n; ++i) all[i] = i;
    detail::subset_choice choice(n, n - dropped, memory);
    eigensolver solver(static_cast<Eigen::Index>(n));
    for (std::size_t k = 0; k < count && dropped > 0; ++k) {
      geometry part;
      part.rows = n;
      part.distances = g.sampled.subspan(k * n * n, n * n);
      if (!project(solver, room, part, all, along, memory)) return errc::rule_failed;
      choice.reopen();
      for (std::size_t i = 0; i < dropped; ++i) {
        const std::size_t row = choice.farthest(along);
        choice[row] = detail::subset_choice::gone;
        s.scores[row] += 1;
      }
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < n; ++i) {
      s.coefficients[i] = s.scores[i] == 0 ? 1 : 0;
      kept += s.scores[i] == 0;
    }
    s.iterations = count;
    s.whole = true;
    if (kept == 0) return errc::no_client_selected;
    s.divisor = static_cast<double>(kept);
    return errc::ok;
  }

private:
  bool in_range() const noexcept {
    return f >= 0 && is_finite(c) && c >= 0 && iterations >= 1 && coordinates >= 1 && seed >= 0;
  }

  using eigensolver = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>;

  /// Each row's part along the top singular vector, but for a factor.
  static bool project(eigensolver& solver, std::span<double> room, const geometry& g, std::span<const std::size_t> rows,
                      std::span<double> along, arena& memory) {
    const std::size_t n = rows.size();
    const auto at = [](std::size_t i) { return static_cast<Eigen::Index>(i); };
    detail::centred_products products(g, memory);
    products.about(rows);
    for (double& x : along) x = 0;
    if (products.single_point()) return true;
    Eigen::Map<Eigen::MatrixXd> matrix(room.data(), at(n), at(n));
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j <= i; ++j) matrix(at(i), at(j)) = products(i, j);
    solver.compute(matrix); // reads the lower half
    if (solver.info() != Eigen::Success) return false;
    const auto top = solver.eigenvectors().col(at(n - 1));
    for (std::size_t i = 0; i < n; ++i) along[i] = top[at(i)];
    return true;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_DNC_HPP
