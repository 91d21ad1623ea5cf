// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_MDA_HPP
#define FEDAGG_RULES_MDA_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/cover_search.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the n - f clients that lie closest together: minimum diameter averaging (El Mhamdi, Guerraoui, Rouault
/// 2018, arXiv:1802.07927; Rousseeuw 1985). Exact: of all subsets of n - f clients the one whose two most distant
/// clients are nearest, of equal ones the first in lexicographic order. Survives f hostile clients, 2f < n; ignores
/// weights. O(n^2 d), then a search that may take exponential time in f: past `max_nodes` it stops with `search_limit`,
/// the best subset so far, and in `gap` the share by which its diameter may exceed the least one.
struct mda {
  std::int64_t f = unset;            ///< hostile clients to survive
  std::int64_t max_nodes = 10000000; ///< of the search

  static constexpr const char* name = "mda";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return field_list{field{"f", &mda::f, unset, any_count, "hostile clients to survive"},
                      field{"max_nodes", &mda::max_nodes, 1, any_count, "nodes of the search before it gives up"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (max_nodes < 1) return errc::bad_parameter;
    const std::size_t n = g.rows;
    if (const errc rc = detail::honest_majority(f, n); rc != errc::ok) return rc;
    const auto dropped = static_cast<std::size_t>(f);
    s.divisor = static_cast<double>(n - dropped);
    s.whole = true;
    s.breakdown = dropped;
    for (std::size_t i = 0; i < n; ++i) s.coefficients[i] = 1;
    if (dropped == 0) return errc::ok;

    const auto order = memory.room<detail::ranked>(n);
    double best = diameter_about_a_row(g, n - dropped, order, s);
    // Each row of a subset has another one at least as far as its score, so no subset is narrower than this.
    for (std::size_t i = 0; i < n; ++i) order[i] = {s.scores[i], i};
    detail::smallest_first(order, n - dropped);
    const double least = order[n - dropped - 1].value;
    const auto candidates = memory.room<detail::ranked>(n * (n - 1) / 2);
    std::size_t count = 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (const double d = g.square_distance(i, j); d >= least && d <= best) candidates[count++] = {d, i * n + j};
    detail::smallest_first(candidates.first(count), count);
    std::size_t low = 0, high = 0;
    for (std::size_t k = 1; k < count; ++k)
      if (candidates[k].value != candidates[high].value) candidates[++high] = candidates[k];

    detail::cover_search search(n, dropped, static_cast<std::size_t>(max_nodes), memory);
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      search.start(g, candidates[middle].value);
      const auto answer = search.run();
      s.iterations = search.nodes();
      if (answer == detail::cover_search::answer::unknown) return give_up(best, candidates[low].value, s);
      if (answer == detail::cover_search::answer::yes) {
        high = middle;
        best = candidates[high].value;
        select(search, n - dropped, s);
      } else {
        low = middle + 1;
      }
    }
    // Of several subsets of this diameter the first one.
    best = candidates[high].value;
    search.start(g, best);
    if (search.run() == detail::cover_search::answer::unknown) return give_up(best, best, s);
    const auto answer = search.first_in_order();
    s.iterations = search.nodes();
    select(search, n - dropped, s);
    return answer == detail::cover_search::answer::unknown ? errc::search_limit : errc::ok;
  }

private:
  /// The diameter of the best of the sets that each row makes with its nearest others; a row scores how far they lie.
  static double diameter_about_a_row(const geometry& g, std::size_t size, detail::slice<detail::ranked> order,
                                     solution& s) noexcept {
    double best = detail::largest_double;
    for (std::size_t i = 0; i < g.rows; ++i) {
      for (std::size_t j = 0; j < g.rows; ++j) order[j] = {g.square_distance(i, j), j};
      detail::smallest_first(order, size);
      s.scores[i] = order[size - 1].value;
      double widest = 0;
      for (std::size_t a = 0; a < size && widest < best; ++a)
        for (std::size_t b = 0; b < a; ++b)
          if (const double d = g.square_distance(order[a].index, order[b].index); d > widest) widest = d;
      if (!(widest < best) && i > 0) continue;
      best = widest;
      for (std::size_t j = 0; j < g.rows; ++j) s.coefficients[order[j].index] = j < size ? 1 : 0;
    }
    return best;
  }

  static void select(const detail::cover_search& search, std::size_t size, solution& s) noexcept {
    for (double& a : s.coefficients) a = 0;
    for (std::size_t i = 0; size > 0; ++i)
      if (search.found(i)) {
        s.coefficients[i] = 1;
        --size;
      }
  }

  static errc give_up(double best, double proven, solution& s) noexcept {
    const double reached = detail::square_root(best);
    s.gap = reached > 0 ? detail::quotient(reached - detail::square_root(proven), reached) : 0;
    return errc::search_limit;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_MDA_HPP
