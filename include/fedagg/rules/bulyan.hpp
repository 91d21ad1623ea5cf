// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_BULYAN_HPP
#define FEDAGG_RULES_BULYAN_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/krum_scores.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How Bulyan picks its clients: Krum run again on the rest after each pick (the paper), or once for all of them.
enum class krum_runs : std::uint8_t { iterated, one_shot };

inline constexpr const char* krum_runs_names[] = {"iterated", "one-shot"};
constexpr name_list value_names(krum_runs) noexcept { return {krum_runs_names, 2}; }

/// Krum picks theta = n - 2f clients, then each coordinate is the mean of their theta - 2f values nearest the median:
/// Bulyan (El Mhamdi, Guerraoui, Rouault 2018, arXiv:1802.07927). After each pick Krum is run again on the rest, on m
/// of them with max(1, m - f - 2) neighbours; the last one is taken as it is. Survives f hostile clients of
/// n >= 4f + 3, coordinate by coordinate; ignores weights. O(n^2 d), O(n^3) beyond the distances. Scores: the rows'
/// places in the order of the picks, theta for those left over; of a one-shot run their Krum scores. By default as in
/// the paper; the presets are what published codes do, their defects included.
struct bulyan {
  std::int64_t f = unset;                    ///< hostile clients to survive
  krum_runs selection = krum_runs::iterated; ///< how clients are picked
  nearest neighbours = nearest::n_f_2;       ///< of the rows that are left, at least one counts
  std::int64_t power = 2;                    ///< of the distances that Krum sums: 1 to 4
  std::int64_t short_by = 0;                 ///< values of each coordinate that are averaged, fewer than theta - 2f

  static constexpr bulyan el_mhamdi(std::int64_t f) noexcept { return {.f = f}; }
  static constexpr bulyan flower(std::int64_t f) noexcept { return {.f = f, .selection = krum_runs::one_shot}; }
  static constexpr bulyan flower_legacy(std::int64_t f) noexcept { return {.f = f}; }
  static constexpr bulyan fedml(std::int64_t f) noexcept {
    return {.f = f, .neighbours = nearest::n_f, .power = 1, .short_by = 1};
  }

  static constexpr const char* name = "bulyan";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return field_list{field{"f", &bulyan::f, unset, any_count, "hostile clients to survive"},
                      field{"selection", &bulyan::selection, 0, 1, "Krum is run again after each pick, or once"},
                      field{"neighbours", &bulyan::neighbours, 0, 3, "how many of the nearest others count in Krum"},
                      field{"power", &bulyan::power, 1, 4, "power of the distances that Krum sums"},
                      field{"short_by", &bulyan::short_by, 0, any_count, "values averaged, fewer than theta - 2f"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    const std::size_t n = g.rows;
    if (f < 0 || short_by < 0 || selection > krum_runs::one_shot || neighbours > nearest::n_f || power < 1 || power > 4)
      return errc::bad_parameter;
    if (n < 3 || static_cast<std::uint64_t>(f) > (n - 3) / 4) return errc::too_few_clients;
    if (static_cast<std::uint64_t>(short_by) >= n - 4 * static_cast<std::size_t>(f)) return errc::too_few_clients;
    const auto hostile = static_cast<std::size_t>(f);
    const std::size_t picks = n - 2 * hostile;
    s.divisor = static_cast<double>(picks);
    s.whole = true;
    s.breakdown = hostile;
    if (selection == krum_runs::iterated) {
      pick_one_by_one(g, hostile, picks, memory, s);
      return errc::ok;
    }
    const auto order = memory.room<detail::ranked>(n);
    detail::krum_scores(g, counted(n, hostile), power, order, s.scores);
    for (std::size_t i = 0; i < n; ++i) order[i] = {s.scores[i], i};
    detail::smallest_first(order, picks);
    for (const auto& r : order.first(picks)) s.coefficients[r.index] = 1;
    return errc::ok;
  }

  /// Of each column of the picked rows, 2f values are dropped: those farthest from the median, the midpoint of two.
  errc second(std::size_t selected, nearest_values& v) const noexcept {
    if (f < 0 || short_by < 0) return errc::bad_parameter;
    if (selected == 0 || static_cast<std::uint64_t>(f) > (selected - 1) / 2) return errc::too_few_clients;
    const std::size_t dropped = 2 * static_cast<std::size_t>(f);
    if (static_cast<std::uint64_t>(short_by) >= selected - dropped) return errc::too_few_clients;
    v = {{(selected - 1) / 2, selected / 2 + 1}, dropped + static_cast<std::size_t>(short_by)};
    return errc::ok;
  }

private:
  /// How many others count for each of `left` rows.
  std::size_t counted(std::size_t left, std::size_t hostile) const noexcept {
    if (left < 2) return 0;
    const std::size_t less = hostile + (neighbours == nearest::n_f ? 0 : neighbours == nearest::n_f_1 ? 1 : 2);
    const std::size_t count = left > less + 1 ? left - less : 1;
    return count < left ? count : left - 1;
  }

  void pick_one_by_one(const geometry& g, std::size_t hostile, std::size_t picks, arena& memory, solution& s) const {
    const std::size_t n = g.rows;
    // Each row's others, sorted once; whoever is picked is taken out of the lists when they are next walked.
    const auto others = memory.room<detail::ranked>(n * (n - 1));
    for (std::size_t i = 0; i < n; ++i) {
      const auto mine = others.subspan(i * (n - 1), n - 1);
      for (std::size_t j = 0, k = 0; j < n; ++j)
        if (j != i) mine[k++] = {detail::distance_power(g.square_distance(i, j), power), j};
      detail::smallest_first(mine, n - 1);
      s.scores[i] = static_cast<double>(picks);
    }
    std::size_t last = n;
    for (std::size_t pick = 0; pick < picks; ++pick) {
      const std::size_t left = n - pick;
      const std::size_t count = counted(left, hostile);
      detail::ranked best{0, n};
      for (std::size_t i = 0; i < n; ++i) {
        if (s.coefficients[i] != 0) continue;
        const std::size_t listed = pick == 0 ? left - 1 : left; // with the last one picked
        const double score = krum_score(others.subspan(i * (n - 1), listed), last, count);
        if (best.index == n || score < best.value) best = {score, i};
      }
      last = best.index;
      s.coefficients[last] = 1;
      s.scores[last] = static_cast<double>(pick);
    }
  }

  /// The sum over the first `count` of a row's others but `gone`, which leaves the list.
  static double krum_score(detail::slice<detail::ranked> others, std::size_t gone, std::size_t count) noexcept {
    std::size_t kept = 0;
    double sum = 0;
    for (const detail::ranked& r : others) {
      if (r.index == gone) continue;
      if (kept < count) sum = detail::saturating_plus(sum, r.value);
      others[kept++] = r;
    }
    return sum;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_BULYAN_HPP
