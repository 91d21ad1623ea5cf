// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_KRUM_SCORES_HPP
#define FEDAGG_CORE_KRUM_SCORES_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How many of the other rows a row's Krum score sums over. Published codes disagree.
enum class nearest : std::uint8_t {
  n_f_2,      ///< n - f - 2 (Blanchard et al. 2017), which needs n >= 2f + 3
  n_f_2_or_1, ///< the same, but at least one
  n_f_1,      ///< n - f - 1
  n_f,        ///< n - f, all the others if there are fewer
};

inline constexpr const char* nearest_names[] = {"n-f-2", "n-f-2-or-1", "n-f-1", "n-f"};
constexpr name_list value_names(nearest) noexcept { return {nearest_names, 4}; }

namespace detail {

/// The parameters that Krum's relatives share.
struct krum_parameters {
  std::int64_t f;
  nearest neighbours;
  std::int64_t power;
};

/// How many neighbours count among n rows, and how many hostile rows that stands up to: a hostile row wins without an
/// honest neighbour where more than `count` are hostile, an honest one loses its neighbours where fewer are honest.
inline errc krum_neighbours(const krum_parameters& p, std::size_t n, std::size_t& count,
                            std::size_t& breakdown) noexcept {
  if (p.power < 1 || p.power > 4 || p.neighbours > nearest::n_f) return errc::bad_parameter;
  if (const errc rc = honest_majority(p.f, n); rc != errc::ok) return rc;
  const auto f = static_cast<std::size_t>(p.f);
  const std::size_t kept = n - f;
  if (p.neighbours == nearest::n_f_2 && kept < f + 3) return errc::too_few_clients;
  count = p.neighbours == nearest::n_f ? kept : p.neighbours == nearest::n_f_1 ? kept - 1 : kept > 2 ? kept - 2 : 1;
  if (count > n - 1) count = n - 1;
  breakdown = f < count ? f : count;
  if (n - 1 - count < breakdown) breakdown = n - 1 - count;
  return errc::ok;
}

/// A distance to the power `power`, from its square; the largest double where that overflows.
inline double distance_power(double square, std::int64_t power) noexcept {
  double term = power == 1 || power == 3 ? square_root(square) : square;
  if (power > 2) term = times(term, square);
  return is_finite(term) ? term : largest_double;
}

/// scores[i] = the sum of the `count` smallest distances from row i to others, each to the power `power`, summed in
/// ascending order; the largest double where that overflows. `scratch` has room for `rows` entries.
inline void krum_scores(const geometry& g, std::size_t count, std::int64_t power, detail::slice<ranked> scratch,
                        slice<double> scores) noexcept {
  for (std::size_t i = 0; i < g.rows; ++i) {
    std::size_t others = 0;
    for (std::size_t j = 0; j < g.rows; ++j)
      if (j != i) scratch[others++] = {g.square_distance(i, j), j};
    smallest_first(scratch.first(others), count);
    double sum = 0;
    for (const ranked& r : scratch.first(count)) sum = saturating_plus(sum, distance_power(r.value, power));
    scores[i] = sum;
  }
}

} // namespace detail

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_KRUM_SCORES_HPP
