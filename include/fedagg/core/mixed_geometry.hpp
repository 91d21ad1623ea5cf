// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MIXED_GEOMETRY_HPP
#define FEDAGG_CORE_MIXED_GEOMETRY_HPP

#include <cstddef>
#include <span>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// A sum in double that knows how much could have been lost on the way.
struct weighed_sum {
  double value = 0, size = 0;
  void add(double x) noexcept {
    FEDAGG_FP_IN_ORDER
    value = FEDAGG_FP_KEEP(value + x);
    size = FEDAGG_FP_KEEP(size + (x < 0 ? -x : x));
  }
};

/// The squared distance of two mixed rows from the differences c of their shares: -1/2 sum_ij c_i c_j D_ij, the
/// origin's share among them, or sum_ij c_i c_j P_ij; of the two the one whose terms are smaller, because that is the
/// one that cancels less. Distances are better for rows that lie together far from the origin; products are for a row
/// from 1e30 away that was shortened, whose distances hold nothing but its length. A row of which both hold the same
/// share does not enter at all.
inline double mixed_distance(const geometry& g, bool whole, std::span<const map_entry> a, std::span<const map_entry> b,
                             std::span<map_entry> c) noexcept {
  FEDAGG_FP_IN_ORDER
  std::size_t used = 0;
  double rest = 0; // what the origin's share differs by
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    const bool left = j == b.size() || (i < a.size() && a[i].index <= b[j].index);
    const bool right = i == a.size() || (j < b.size() && b[j].index <= a[i].index);
    const map_entry e{left ? a[i].index : b[j].index, (left ? a[i].share : 0) - (right ? b[j].share : 0)};
    i += left;
    j += right;
    rest = FEDAGG_FP_KEEP(rest - e.share);
    if (e.share != 0) c[used++] = e;
  }
  weighed_sum apart, products;
  for (std::size_t i = 0; i < used; ++i) {
    const double share = c[i].share;
    for (std::size_t j = 0; j < i; ++j) {
      const double both = FEDAGG_FP_KEEP(share * c[j].share);
      apart.add(-FEDAGG_FP_KEEP(both * g.square_distance(c[i].index, c[j].index)));
      if (!whole) products.add(FEDAGG_FP_KEEP(2 * both * g.product(c[i].index, c[j].index)));
    }
    if (whole) continue;
    const double norm = g.square_norms[c[i].index];
    apart.add(-FEDAGG_FP_KEEP(FEDAGG_FP_KEEP(rest * share) * norm));
    products.add(FEDAGG_FP_KEEP(FEDAGG_FP_KEEP(share * share) * norm));
  }
  const weighed_sum& best = whole || apart.size < products.size ? apart : products;
  // Beyond the range of doubles they are apart in any case.
  if (!is_finite(best.size)) return 0x1p1023;
  return best.value > 0 ? best.value : 0;
}

/// sum_i share_i of(i) over a mixed row.
template <class F>
double along(std::span<const map_entry> row, const F& of) noexcept {
  double sum = 0;
  for (const map_entry& e : row) sum = plus(sum, times(e.share, of(e.index)));
  return sum;
}

/// What a rule knows of the rows after a mixing stage, in n dimensions: nothing is read again.
inline geometry mix_geometry(const geometry& g, const affine_map& map, arena& memory) {
  geometry m;
  m.rows = map.out;
  m.has_origin = g.has_origin;
  m.has_trusted = g.has_trusted;
  m.known = g.known;
  const std::size_t order = m.order(), last = map.out;
  // The trusted row is not mixed.
  const map_entry trusted{g.rows, 1};
  const auto unmixed = [&](std::size_t k) { return g.has_trusted && k == last; };
  const auto row_of = [&](std::size_t k) { return unmixed(k) ? std::span(&trusted, 1) : map.row(k); };
  if (g.known == geometry_needs::distances) {
    const auto distances = memory.take<double>(order * order);
    const auto difference = memory.take<map_entry>(g.order());
    for (std::size_t k = 0; k < order; ++k)
      for (std::size_t l = 0; l < k; ++l)
        distances[k * order + l] = distances[l * order + k] =
            mixed_distance(g, map.whole, row_of(k), row_of(l), difference);
    m.distances = distances;
    if (g.has_origin) {
      const auto half = memory.take<double>(order * g.order()), products = memory.take<double>(order * order);
      for (std::size_t k = 0; k < order; ++k)
        for (std::size_t j = 0; j < g.order(); ++j)
          half[k * g.order() + j] = along(row_of(k), [&](std::size_t i) { return g.product(i, j); });
      for (std::size_t k = 0; k < order; ++k)
        for (std::size_t l = 0; l <= k; ++l) {
          const double* row = half.data() + k * g.order();
          products[k * order + l] = products[l * order + k] = along(row_of(l), [&](std::size_t i) { return row[i]; });
        }
      m.products = products;
    }
  }
  if (g.has_origin && g.known >= geometry_needs::norms) {
    const auto norms = memory.take<double>(order);
    for (std::size_t k = 0; k < order; ++k) {
      // Without products only rows that were scaled by themselves have a known norm.
      if (g.known == geometry_needs::distances)
        norms[k] = m.products[k * order + k];
      else if (unmixed(k))
        norms[k] = g.square_norms[g.rows];
      else
        norms[k] = times(times(map.row(k)[0].share, map.row(k)[0].share), g.square_norms[map.row(k)[0].index]);
    }
    m.square_norms = norms;
    if (g.has_trusted && g.known >= geometry_needs::trusted) {
      const auto with = memory.take<double>(order);
      for (std::size_t k = 0; k < order; ++k)
        with[k] = along(row_of(k), [&](std::size_t i) { return g.with_trusted[i]; });
      m.with_trusted = with;
    }
  }
  return m;
}

/// first, then second: rows of rows.
inline affine_map compose(const affine_map& second, const affine_map& first, arena& memory) {
  affine_map both;
  std::size_t entries = 0;
  for (std::size_t k = 0; k < second.out; ++k)
    for (const map_entry& e : second.row(k)) entries += first.row(e.index).size();
  if (second.out != 0 && entries / second.out > first.in) entries = second.out * first.in;
  both.start(memory, second.out, first.in, entries);
  both.whole = first.whole && second.whole;
  const auto sum = memory.take<double>(first.in);
  const auto touched = memory.take<std::size_t>(first.in);
  const auto seen = memory.take<unsigned char>(first.in);
  for (std::size_t k = 0; k < second.out; ++k) {
    std::size_t count = 0;
    for (const map_entry& outer : second.row(k))
      for (const map_entry& inner : first.row(outer.index)) {
        if (!seen[inner.index]) {
          seen[inner.index] = 1;
          sum[inner.index] = 0;
          touched[count++] = inner.index;
        }
        sum[inner.index] = plus(sum[inner.index], times(outer.share, inner.share));
      }
    // Ascending, by insertion: shares are summed in the order of the clients.
    for (std::size_t i = 1; i < count; ++i)
      for (std::size_t j = i; j > 0 && touched[j] < touched[j - 1]; --j) {
        const std::size_t t = touched[j];
        touched[j] = touched[j - 1];
        touched[j - 1] = t;
      }
    for (std::size_t i = 0; i < count; ++i) {
      both.put(touched[i], sum[touched[i]]);
      seen[touched[i]] = 0;
    }
    both.end_row();
  }
  return both;
}

/// The rows of a map whose mark is not zero.
inline affine_map rows_of(const affine_map& map, std::span<const double> marks, arena& memory) {
  affine_map some;
  std::size_t rows = 0;
  for (std::size_t k = 0; k < map.out; ++k) rows += marks[k] != 0;
  some.start(memory, rows, map.in, map.entries_done);
  some.whole = map.whole;
  for (std::size_t k = 0; k < map.out; ++k) {
    if (marks[k] == 0) continue;
    for (const map_entry& e : map.row(k)) some.put(e.index, e.share);
    some.end_row();
  }
  return some;
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_MIXED_GEOMETRY_HPP
