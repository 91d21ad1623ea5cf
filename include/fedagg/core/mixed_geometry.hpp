// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MIXED_GEOMETRY_HPP
#define FEDAGG_CORE_MIXED_GEOMETRY_HPP

#include <cstddef>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/mixed_distances.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// sum_i share_i x_i over a mixed row.
inline double along(const mixed_row& row, slice<const double> x) noexcept {
  double sum = 0;
  for (const map_entry& e : row.entries) sum = plus(sum, times(e.share, x[e.index]));
  return quotient(sum, row.divisor);
}

/// What a rule knows of the rows after a mixing stage, in n dimensions: nothing is read again.
template <class Void = void>
geometry mix_geometry(const geometry& g, const affine_map& map, arena& memory) {
  geometry m;
  m.rows = map.out;
  m.has_origin = g.has_origin;
  m.has_trusted = g.has_trusted;
  m.known = g.known;
  const std::size_t order = m.order();
  mixed_rows rows(g, map, memory);
  if (g.known == geometry_needs::distances) {
    const auto distances = memory.room<double>(order * order);
    mixed_distances(g, map, memory).fill(distances);
    m.distances = span_of(distances.data(), distances.size());
    if (g.has_origin) {
      const auto products = memory.room<double>(order * order);
      for (std::size_t k = 0; k < order; ++k) {
        rows.sum_up(k, g.products, products.subspan(k * order, k + 1));
        for (std::size_t l = 0; l < k; ++l) products[l * order + k] = products[k * order + l];
      }
      m.products = span_of(products.data(), products.size());
    }
  }
  if (g.has_origin && g.known >= geometry_needs::norms) {
    const auto norms = memory.room<double>(order);
    for (std::size_t k = 0; k < order; ++k) {
      // Without products only rows that were scaled by themselves have a known norm.
      const mixed_row row = rows[k];
      const double share = quotient(row.entries[0].share, row.divisor);
      norms[k] = g.known == geometry_needs::distances
                     ? m.products[k * order + k]
                     : times(times(share, share), g.square_norms[row.entries[0].index]);
    }
    m.square_norms = span_of(norms.data(), norms.size());
    if (g.has_trusted && g.known >= geometry_needs::trusted) {
      const auto with = memory.room<double>(order);
      for (std::size_t k = 0; k < order; ++k) with[k] = along(rows[k], g.with_trusted);
      m.with_trusted = span_of(with.data(), with.size());
    }
  }
  return m;
}

/// first, then second: rows of rows.
inline affine_map compose(const affine_map& second, const affine_map& first, arena& memory) {
  affine_map both;
  std::size_t entries = 0;
  bool alike = true; // all rows of `first` have one divisor, which need not be divided by yet
  for (std::size_t k = 0; k < second.out; ++k)
    for (const map_entry& e : second.row(k)) entries += first.row(e.index).size();
  for (std::size_t k = 0; k < first.out; ++k) alike = alike && first.divisor(k) == first.divisor(0);
  if (second.out != 0 && entries / second.out > first.in) entries = second.out * first.in;
  both.start(memory, second.out, first.in, entries);
  both.whole = first.whole && second.whole;
  const auto sum = memory.room<double>(first.in);
  const auto touched = memory.room<std::size_t>(first.in);
  const auto seen = memory.room<unsigned char>(first.in);
  for (std::size_t k = 0; k < second.out; ++k) {
    std::size_t count = 0;
    for (const map_entry& outer : second.row(k)) {
      const double share = alike ? outer.share : quotient(outer.share, first.divisor(outer.index));
      for (const map_entry& inner : first.row(outer.index)) {
        if (!seen[inner.index]) {
          seen[inner.index] = 1;
          sum[inner.index] = 0;
          touched[count++] = inner.index;
        }
        sum[inner.index] = plus(sum[inner.index], times(share, inner.share));
      }
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
    both.end_row(alike && first.out > 0 ? times(second.divisor(k), first.divisor(0)) : second.divisor(k));
  }
  return both;
}

/// The rows of a map whose mark is not zero.
inline affine_map rows_of(const affine_map& map, slice<const double> marks, arena& memory) {
  affine_map some;
  std::size_t rows = 0;
  for (std::size_t k = 0; k < map.out; ++k) rows += marks[k] != 0;
  some.start(memory, rows, map.in, map.entries_done);
  some.whole = map.whole;
  for (std::size_t k = 0; k < map.out; ++k) {
    if (marks[k] == 0) continue;
    for (const map_entry& e : map.row(k)) some.put(e.index, e.share);
    some.end_row(map.divisor(k));
  }
  return some;
}

/// shares_i = sum_k c_k a_ki, from coefficients of a map's rows to those of the rows that it maps; behind them that of
/// the trusted row. Returns what they are to be divided by besides.
inline double spread(const affine_map& map, slice<const double> c, slice<double> shares) noexcept {
  double divisor = 0;
  bool alike = true;
  for (std::size_t k = 0; k < map.out; ++k) {
    if (c[k] == 0) continue;
    alike = alike && (divisor == 0 || map.divisor(k) == divisor);
    divisor = map.divisor(k);
  }
  if (divisor == 0 || !alike) divisor = 1;
  for (std::size_t k = 0; k < map.out; ++k) {
    if (c[k] == 0) continue;
    const double each = alike ? c[k] : quotient(c[k], map.divisor(k));
    for (const map_entry& e : map.row(k)) shares[e.index] = plus(shares[e.index], times(each, e.share));
  }
  if (c.size() > map.out) shares[map.in] = times(c[map.out], divisor);
  return divisor;
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_MIXED_GEOMETRY_HPP
