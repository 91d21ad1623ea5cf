// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_SIGN_CLUSTERS_HPP
#define FEDAGG_CORE_SIGN_CLUSTERS_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How SignGuard finds the rows whose signs are ordinary.
enum class sign_clustering : std::uint8_t {
  two_means,  ///< 2-means, from the two rows that differ most
  mean_shift, ///< mean shift, as the paper
};

inline constexpr const char* sign_clustering_names[] = {"2-means", "mean-shift"};
constexpr name_list value_names(sign_clustering) noexcept { return {sign_clustering_names, 2}; }

namespace detail {

inline double square_distance(const row_signs& a, const row_signs& b) noexcept {
  const double p = plus(a.positive, -b.positive), q = plus(a.negative, -b.negative), z = plus(a.zero, -b.zero);
  return plus(plus(times(p, p), times(q, q)), times(z, z));
}

/// The sum of rows and their mean.
struct signs_mean {
  row_signs sum = {};
  std::size_t count = 0;
  void add(const row_signs& x) noexcept {
    sum = {plus(sum.positive, x.positive), plus(sum.negative, x.negative), plus(sum.zero, x.zero)};
    ++count;
  }
  row_signs mean() const noexcept {
    const auto n = static_cast<double>(count);
    return {quotient(sum.positive, n), quotient(sum.negative, n), quotient(sum.zero, n)};
  }
};

/// Marks the rows of the larger of two clusters, of equal ones that of the first row; all where their signs are the
/// same. O(n^2).
inline void larger_of_two_means(detail::slice<const row_signs> signs, arena& memory,
                                detail::slice<unsigned char> mark) {
  const std::size_t n = signs.size();
  row_signs centre[2] = {signs[0], signs[0]};
  double farthest = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j)
      if (const double d = square_distance(signs[i], signs[j]); d > farthest) {
        farthest = d;
        centre[0] = signs[i];
        centre[1] = signs[j];
      }
  const auto second = memory.room<unsigned char>(n);
  std::size_t size[2] = {n, 0};
  // It ends by itself, since no assignment comes twice; rounding must not keep it going either.
  bool changed = farthest > 0;
  for (std::size_t step = 0; changed && step < 1000; ++step) {
    changed = false;
    signs_mean mean[2];
    for (std::size_t i = 0; i < n; ++i) {
      const bool now = square_distance(signs[i], centre[1]) < square_distance(signs[i], centre[0]);
      changed = changed || step == 0 || now != (second[i] != 0);
      second[i] = now;
      mean[now].add(signs[i]);
    }
    for (int k = 0; k < 2; ++k) size[k] = mean[k].count;
    if (size[0] == 0 || size[1] == 0) break;
    for (int k = 0; k < 2; ++k) centre[k] = mean[k].mean();
  }
  const bool wanted = size[0] == size[1] ? second[0] != 0 : size[1] > size[0];
  for (std::size_t i = 0; i < n; ++i) mark[i] = (second[i] != 0) == wanted;
}

/// The mean over the rows of the distance to the one that ends the nearest half, the row itself among it.
inline double sign_bandwidth(detail::slice<const row_signs> signs, arena& memory) {
  const std::size_t n = signs.size(), half = n < 4 ? (n < 2 ? n : 2) : n / 2;
  const auto order = memory.room<ranked>(n);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) order[j] = {square_distance(signs[i], signs[j]), j};
    smallest_first(order, half);
    sum = plus(sum, square_root(order[half - 1].value));
  }
  return quotient(sum, static_cast<double>(n));
}

/// Marks the rows of the largest cluster that mean shift finds with a flat kernel, of equal ones that of the first row.
/// Each row moves to the mean of those within the bandwidth until it stays; of places within the bandwidth of each
/// other the one with the most rows around it is a centre. A row belongs to the nearest centre, or to none beyond the
/// bandwidth. O(n^2) per step, 300 at most.
inline void largest_of_mean_shift(detail::slice<const row_signs> signs, arena& memory,
                                  detail::slice<unsigned char> mark) {
  const std::size_t n = signs.size();
  // Shares are at most one: what rounding does to a row on the rim.
  const double reach = plus(sign_bandwidth(signs, memory), 1e-12), square = times(reach, reach);
  const auto place = memory.room<row_signs>(n);
  const auto order = memory.room<ranked>(n);
  for (std::size_t i = 0; i < n; ++i) {
    place[i] = signs[i];
    signs_mean around;
    for (int step = 0; step < 300; ++step) {
      around = {};
      for (const row_signs& x : signs)
        if (square_distance(x, place[i]) <= square) around.add(x);
      const row_signs next = around.mean();
      const bool stays = square_distance(next, place[i]) <= 1e-24;
      place[i] = next;
      if (stays) break;
    }
    order[i] = {-static_cast<double>(around.count), i};
  }
  smallest_first(order, n);
  const auto centres = memory.room<std::size_t>(n), size = memory.room<std::size_t>(n),
             of = memory.room<std::size_t>(n);
  std::size_t count = 0;
  for (const ranked& r : order) {
    bool apart = true;
    for (const std::size_t c : centres.first(count))
      apart = apart && square_distance(place[c], place[r.index]) > square;
    if (apart) centres[count++] = r.index;
  }
  std::size_t best = count;
  for (std::size_t i = 0; i < n; ++i) {
    double nearest = square;
    of[i] = count;
    for (std::size_t c = 0; c < count; ++c)
      if (const double d = square_distance(signs[i], place[centres[c]]);
          d < nearest || (of[i] == count && d == nearest)) {
        nearest = d;
        of[i] = c;
      }
    if (of[i] < count) ++size[of[i]];
  }
  for (std::size_t i = 0; i < n; ++i)
    if (of[i] < count && (best == count || size[of[i]] > size[best])) best = of[i];
  for (std::size_t i = 0; i < n; ++i) mark[i] = of[i] == best && best < count;
}

} // namespace detail

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_SIGN_CLUSTERS_HPP
