// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_NEAREST_HPP
#define FEDAGG_TESTS_SUPPORT_NEAREST_HPP

#include <fedagg/core/rule.hpp>

#include "numeric.hpp"

/// References for the mean of the values nearest a centre.
namespace numeric {

/// Twice the centre.
inline quad twice_centre(const std::vector<double>& sorted, fedagg::order_window w) {
  quad sum = 0;
  for (std::size_t i = w.first; i < w.last; ++i) sum = add(sum, sorted[i]);
  return divide(2 * sum, quad(w.last - w.first));
}

/// The definition: values by their distance from the centre, the lower of two at the same distance first.
inline std::vector<double> nearest_by_distance(std::vector<double> x, const fedagg::nearest_values& v) {
  std::sort(x.begin(), x.end());
  const quad twice = twice_centre(x, v.centre);
  const auto distance = [&](double a) { return magnitude(2 * quad(a) - twice); };
  std::stable_sort(x.begin(), x.end(), [&](double a, double b) { return distance(a) < distance(b); });
  x.resize(x.size() - v.dropped);
  return x;
}

/// True if `got` is the mean of the values nearest the centre; where distances are the same but for the rounding of a
/// sum of doubles, either value may be taken.
template <class T>
bool is_nearest_mean(T got, std::vector<double> x, const fedagg::nearest_values& v) {
  std::sort(x.begin(), x.end());
  const std::size_t kept = x.size() - v.dropped, count = v.centre.last - v.centre.first;
  const quad twice = twice_centre(x, v.centre);
  // One rounding per addition, one for the quotient; a sum of two values has one.
  quad size = 0;
  for (std::size_t i = v.centre.first; i < v.centre.last; ++i) size = add(size, magnitude(x[i]));
  const quad centre_error = quad(2 * count) * unit * divide(2 * size, quad(count)) + quad(power(-1074));
  for (std::size_t first = 0; first <= v.dropped; ++first) {
    bool possible = true;
    for (std::size_t i = 0; i < v.dropped && possible; ++i) {
      const quad pair = add(x[i], x[i + kept]), error = centre_error + 2 * unit * magnitude(pair);
      possible = i < first ? pair < twice + error : pair >= twice - error;
    }
    if (!possible) continue;
    const reference r = window_mean(x, first, first + kept);
    if (rounds_to<T>(got, r.exact, r.error)) return true;
  }
  return false;
}

} // namespace numeric

#endif // FEDAGG_TESTS_SUPPORT_NEAREST_HPP
