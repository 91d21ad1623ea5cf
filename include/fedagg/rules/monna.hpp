// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_MONNA_HPP
#define FEDAGG_RULES_MONNA_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The mean of the n - f rows nearest to one that is trusted, itself included (Farhadkhani et al. 2023,
/// arXiv:2209.10931). The trusted row is the server's own and counts among the n, or the client of index `pivot`.
/// Equal distances go by the lowest index. Survives f hostile clients, 2f < n, while the trusted one is honest; ignores
/// weights. O(n^2 d).
struct monna {
  std::int64_t f = unset;     ///< hostile clients to survive
  std::int64_t pivot = unset; ///< index of the trusted client in the cohort; not given: the trusted row

  static constexpr const char* name = "monna";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return field_list{
        field{"f", &monna::f, unset, any_count, "hostile clients to survive"},
        field{"pivot", &monna::pivot, unset, any_count, "index of the trusted client, the trusted row if not given"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (f < 0 || pivot < unset) return errc::bad_parameter;
    if (pivot == unset && !g.has_trusted) return errc::missing_trusted;
    const std::size_t n = pivot == unset ? g.order() : g.rows;
    std::size_t centre = g.rows;
    if (pivot != unset) {
      for (centre = 0; centre < g.rows; ++centre)
        if (g.client(centre) == static_cast<std::uint64_t>(pivot)) break;
      // A client that was rejected can be trusted no more.
      if (centre == g.rows) return errc::missing_trusted;
    }
    if (const errc rc = detail::honest_majority(f, n); rc != errc::ok) return rc;
    const std::size_t kept = n - static_cast<std::size_t>(f);
    auto others = memory.room<detail::ranked>(n);
    std::size_t count = 0;
    for (std::size_t i = 0; i < g.rows; ++i) {
      s.scores[i] = g.square_distance(centre, i);
      if (i != centre) others[count++] = {s.scores[i], i};
    }
    others = others.first(count);
    detail::smallest_first(others, kept - 1);
    s.coefficients[centre] = 1;
    for (const auto& r : others.first(kept - 1)) s.coefficients[r.index] = 1;
    s.divisor = static_cast<double>(kept);
    s.whole = true;
    s.breakdown = static_cast<std::size_t>(f);
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_MONNA_HPP
