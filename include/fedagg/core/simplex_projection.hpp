// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_SIMPLEX_PROJECTION_HPP
#define FEDAGG_CORE_SIMPLEX_PROJECTION_HPP

#include <cstddef>
#include <span>

#include <fedagg/core/exact_sum.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// Replaces finite values by the nearest point of the probability simplex, max(v_i - theta, 0) with a sum of one
/// (Duchi et al. 2008, doi:10.1145/1390156.1390191): exact by sorting, not an iteration. Each is off by at most 2^-52,
/// from sums without rounding, so that equal values stay equal and no order of theirs matters. `order` is scratch of
/// the same size; nothing happens to no values. O(n log n).
inline void project_onto_simplex(std::span<double> v, std::span<ranked> order) noexcept {
  if (v.empty()) return;
  double largest = v[0];
  for (const double x : v) largest = x > largest ? x : largest;
  // The projection does not change where all values are shifted. What is one below the largest is out.
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double x = plus(v[i], -largest);
    v[i] = x > -1 ? x : -1;
    order[i] = {-v[i], i};
  }
  smallest_first(order, order.size());
  // theta of the j largest is (their sum - 1) / j; the last j whose smallest value is above it counts.
  exact_sum sum, count;
  sum.add(-1);
  double theta = -1;
  for (const ranked& next : order) {
    exact_sum with = sum, among = count;
    with.add(-next.value);
    among.add(1);
    const double t = exact_sum::ratio(with, among);
    if (!(-next.value > t)) break;
    theta = t;
    sum = with;
    count = among;
  }
  for (double& x : v) x = x > theta ? plus(x, -theta) : 0;
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_SIMPLEX_PROJECTION_HPP
