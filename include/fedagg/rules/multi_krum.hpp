// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_MULTI_KRUM_HPP
#define FEDAGG_RULES_MULTI_KRUM_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/krum_scores.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the `select` clients with the lowest Krum scores (Blanchard et al. 2017, arXiv:1703.02757).
/// n - f of them if `select` is not given, never more; equal scores go by the lowest index. Survives f hostile clients
/// of n >= 2f + 3; ignores weights. O(n^2 d), O(n^2 log n) beyond the distances. Scores and presets as in krum.
struct multi_krum {
  std::int64_t f = unset;              ///< hostile clients to survive
  std::int64_t select = unset;         ///< how many clients are averaged; not given: n - f
  nearest neighbours = nearest::n_f_2; ///< how many of the others count
  std::int64_t power = 2;              ///< of the distances that are summed: 1 to 4

  static constexpr multi_krum blanchard(std::int64_t f, std::int64_t select = unset) noexcept {
    return {.f = f, .select = select};
  }
  static constexpr multi_krum byzfl(std::int64_t f, std::int64_t select = unset) noexcept {
    return {.f = f, .select = select, .neighbours = nearest::n_f_1};
  }
  static constexpr multi_krum flower(std::int64_t f, std::int64_t select) noexcept {
    return {.f = f, .select = select, .neighbours = nearest::n_f_2_or_1};
  }
  static constexpr multi_krum fedlib(std::int64_t f, std::int64_t select) noexcept {
    return {.f = f, .select = select, .power = 4};
  }
  static constexpr multi_krum fedml(std::int64_t f) noexcept {
    return {.f = f, .neighbours = nearest::n_f, .power = 1};
  }

  static constexpr const char* name = "multi_krum";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    using r = multi_krum;
    return field_list{field{"f", &r::f, unset, any_count, "hostile clients to survive"},
                      field{"select", &r::select, unset, any_count, "clients that are averaged, n - f if not given"},
                      field{"neighbours", &r::neighbours, 0, 3, "how many of the nearest others count"},
                      field{"power", &r::power, 1, 4, "power of the distances that are summed"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (select == 0 || (select < 0 && select != unset)) return errc::bad_parameter;
    std::size_t count = 0;
    if (const errc rc = detail::krum_neighbours({f, neighbours, power}, g.rows, count, s.breakdown); rc != errc::ok)
      return rc;
    const std::size_t kept = g.rows - static_cast<std::size_t>(f);
    if (select > 0 && static_cast<std::uint64_t>(select) > kept) return errc::too_few_clients;
    const std::size_t selected = select > 0 ? static_cast<std::size_t>(select) : kept;
    const auto order = memory.room<detail::ranked>(g.rows);
    detail::krum_scores(g, count, power, order, s.scores);
    for (std::size_t i = 0; i < g.rows; ++i) order[i] = {s.scores[i], i};
    detail::smallest_first(order, selected);
    for (const auto& r : order.first(selected)) s.coefficients[r.index] = 1;
    s.divisor = static_cast<double>(selected);
    s.whole = true;
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_MULTI_KRUM_HPP
