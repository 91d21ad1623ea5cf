// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_KRUM_HPP
#define FEDAGG_RULES_KRUM_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/krum_scores.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The one client that is closest to its nearest neighbours (Blanchard et al. 2017, arXiv:1703.02757).
/// Row i scores the sum of D_ij^(power / 2) over its nearest others; the lowest score wins, of equal ones the lowest
/// index. Survives f hostile clients of n >= 2f + 3; ignores weights. O(n^2 d), O(n^2 log n) beyond the distances.
/// By default as in the paper; the presets are what published codes do instead.
struct krum {
  std::int64_t f = unset;              ///< hostile clients to survive
  nearest neighbours = nearest::n_f_2; ///< how many of the others count
  std::int64_t power = 2;              ///< of the distances that are summed: 1 to 4

  static constexpr krum blanchard(std::int64_t f) noexcept { return {.f = f}; }
  static constexpr krum byzfl(std::int64_t f) noexcept { return {.f = f, .neighbours = nearest::n_f_1}; }
  static constexpr krum flower(std::int64_t f) noexcept { return {.f = f, .neighbours = nearest::n_f_2_or_1}; }
  static constexpr krum fedlib(std::int64_t f) noexcept { return {.f = f, .power = 4}; }
  static constexpr krum fedml(std::int64_t f) noexcept { return {.f = f, .neighbours = nearest::n_f, .power = 1}; }

  static constexpr const char* name = "krum";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return field_list{field{"f", &krum::f, unset, any_count, "hostile clients to survive"},
                      field{"neighbours", &krum::neighbours, 0, 3, "how many of the nearest others count"},
                      field{"power", &krum::power, 1, 4, "power of the distances that are summed"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    std::size_t count = 0;
    if (const errc rc = detail::krum_neighbours({f, neighbours, power}, g.rows, count, s.breakdown); rc != errc::ok)
      return rc;
    detail::krum_scores(g, count, power, memory.room<detail::ranked>(g.rows), s.scores);
    std::size_t best = 0;
    for (std::size_t i = 1; i < g.rows; ++i)
      if (s.scores[i] < s.scores[best]) best = i;
    s.coefficients[best] = 1;
    s.divisor = 1;
    s.whole = true;
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_KRUM_HPP
