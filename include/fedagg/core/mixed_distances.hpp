// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MIXED_DISTANCES_HPP
#define FEDAGG_CORE_MIXED_DISTANCES_HPP

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

/// What a mixed row is made of.
struct mixed_row {
  slice<const map_entry> entries;
  double divisor;
};

/// The rows of a map and behind them the trusted row, where there is one, which is not mixed; and sums over two of
/// them.
class mixed_rows {
public:
  mixed_rows(const geometry& g, const affine_map& map, arena& memory)
      : map_(map), order_(g.order()), trusted_{g.rows, 1}, has_trusted_(g.has_trusted),
        sums_(memory.room<double>(order_)), part_(memory.room<double>(order_)) {}

  std::size_t size() const noexcept { return map_.out + (has_trusted_ ? 1 : 0); }
  mixed_row operator[](std::size_t k) const noexcept {
    if (k == map_.out) return {{&trusted_, 1}, 1};
    return {map_.row(k), map_.divisor(k)};
  }

  /// out_l = sum_ij a_ki a_lj M_ij for the first rows l, the shares being a and M a matrix of the rows before mixing.
  /// In blocks, because a sum of that many terms is known to that many roundings. Returns the terms.
  std::size_t sum_up(std::size_t k, slice<const double> matrix, slice<double> out) noexcept {
    const mixed_row mine = (*this)[k];
    for (double& x : sums_) x = 0;
    for (std::size_t first = 0; first < mine.entries.size(); first += block) {
      for (double& x : part_) x = 0;
      for (std::size_t i = first; i < mine.entries.size() && i < first + block; ++i) {
        const double share = mine.entries[i].share;
        const double* row = matrix.data() + mine.entries[i].index * order_;
        for (std::size_t j = 0; j < order_; ++j) part_[j] = plus(part_[j], times(share, row[j]));
      }
      for (std::size_t j = 0; j < order_; ++j) sums_[j] = plus(sums_[j], part_[j]);
    }
    std::size_t terms = mine.entries.size() * order_;
    for (std::size_t l = 0; l < out.size(); ++l) {
      const mixed_row other = (*this)[l];
      double sum = 0;
      for (std::size_t first = 0; first < other.entries.size(); first += block) {
        double part = 0;
        for (std::size_t i = first; i < other.entries.size() && i < first + block; ++i)
          part = plus(part, times(other.entries[i].share, sums_[other.entries[i].index]));
        sum = plus(sum, part);
      }
      out[l] = quotient(quotient(sum, mine.divisor), other.divisor);
      terms += other.entries.size();
    }
    return terms;
  }

  /// How far a sum may be off, relative to that of its terms' sizes, where no row has more than `longest` shares: two
  /// sums in blocks, and the roundings of shares, products and quotients.
  static double noise(std::size_t longest) noexcept {
    return times(static_cast<double>(2 * (block + longest / block) + 16), 0x1p-53);
  }

private:
  static constexpr std::size_t block = 32;

  const affine_map& map_;
  std::size_t order_;
  map_entry trusted_;
  bool has_trusted_;
  slice<double> sums_, part_;
};

/// The squared distances between mixed rows. With E_kl = sum_ij a_ki a_lj D_ij, whose shares a_k sum to one, a distance
/// is E_kl - (E_kk + E_ll) / 2: O(n) for each share of the map. Where that cancels to less than 1e-7 certain, because
/// rows lie close together or hold shares of one that is far away, the pair is computed from the differences of its
/// shares, term by term, as are rows of a few shares and those that hold some of the origin.
class mixed_distances {
public:
  mixed_distances(const geometry& g, const affine_map& map, arena& memory)
      : g_(g), whole_(map.whole), summed_(map.whole), rows_(g, map, memory),
        difference_(memory.room<map_entry>(g.order())) {
    std::size_t longest = 0;
    for (std::size_t k = 0; k < map.out; ++k) {
      if (map.row(k).size() > longest) longest = map.row(k).size();
      for (const map_entry& e : map.row(k)) summed_ = summed_ && e.share >= 0 && map.divisor(k) > 0;
    }
    summed_ = summed_ && longest > few;
    noise_ = mixed_rows::noise(longest);
  }

  /// out = the squared distances of all rows, the trusted one among them, zeros on the diagonal.
  void fill(slice<double> out) noexcept {
    const std::size_t order = rows_.size();
    for (std::size_t k = 0; k < order; ++k) {
      if (summed_) terms_ += rows_.sum_up(k, g_.distances, out.subspan(k * order, k + 1));
      for (std::size_t l = 0; l < k; ++l) {
        double& d = out[k * order + l];
        if (!summed_ || !from_sums(d, out[k * order + k], out[l * order + l], d)) d = term_by_term(rows_[k], rows_[l]);
        out[l * order + k] = d;
      }
    }
    for (std::size_t k = 0; k < order; ++k) out[k * order + k] = 0;
  }

  /// Distances that were added up so far: what all of it has cost.
  std::size_t terms() const noexcept { return terms_; }

private:
  static constexpr std::size_t few = 16;

  bool from_sums(double between, double own, double others, double& distance) const noexcept {
    const double within = plus(own / 2, others / 2), value = plus(between, -within), size = plus(between, within);
    if (!is_finite(size)) return false;
    // What is lost where products are subnormal.
    const double lost = size > 0 ? plus(times(noise_, size), 0x1p-1000) : 0;
    if (!(lost <= times(1e-7, value))) return false;
    distance = value;
    return true;
  }

  /// From the differences c of two rows' shares: -1/2 sum_ij c_i c_j D_ij, the origin's share among them, or
  /// sum_ij c_i c_j P_ij; of the two the one whose terms are smaller, because that is the one that cancels less.
  /// Distances are better for rows that lie together far from the origin; products are for a row from 1e30 away that
  /// was shortened, whose distances hold nothing but its length. A row of which both hold the same share does not enter
  /// at all.
  double term_by_term(const mixed_row& a, const mixed_row& b) noexcept {
    FEDAGG_FP_IN_ORDER
    const bool alike = a.divisor == b.divisor;
    const double divisor = alike ? times(a.divisor, a.divisor) : 1;
    const auto share_of = [&](const mixed_row& r, std::size_t i) {
      return alike ? r.entries[i].share : quotient(r.entries[i].share, r.divisor);
    };
    const slice<map_entry> c = difference_;
    std::size_t used = 0;
    double rest = 0; // what the origin's share differs by
    for (std::size_t i = 0, j = 0; i < a.entries.size() || j < b.entries.size();) {
      const bool left = j == b.entries.size() || (i < a.entries.size() && a.entries[i].index <= b.entries[j].index);
      const bool right = i == a.entries.size() || (j < b.entries.size() && b.entries[j].index <= a.entries[i].index);
      const std::size_t index = left ? a.entries[i].index : b.entries[j].index;
      const double share = plus(left ? share_of(a, i) : 0, -(right ? share_of(b, j) : 0));
      i += left;
      j += right;
      rest = plus(rest, -share);
      if (share != 0) c[used++] = {index, share};
    }
    terms_ += used * (used + 1) / 2;
    weighed_sum apart, products;
    for (std::size_t i = 0; i < used; ++i) {
      const double share = c[i].share;
      for (std::size_t j = 0; j < i; ++j) {
        const double both = FEDAGG_FP_KEEP(share * c[j].share);
        apart.add(-FEDAGG_FP_KEEP(both * g_.square_distance(c[i].index, c[j].index)));
        if (!whole_) products.add(FEDAGG_FP_KEEP(2 * both * g_.product(c[i].index, c[j].index)));
      }
      if (whole_) continue;
      const double norm = g_.square_norms[c[i].index];
      apart.add(-FEDAGG_FP_KEEP(FEDAGG_FP_KEEP(rest * share) * norm));
      products.add(FEDAGG_FP_KEEP(FEDAGG_FP_KEEP(share * share) * norm));
    }
    const weighed_sum& best = whole_ || apart.size < products.size ? apart : products;
    const double distance = best.value > 0 ? quotient(best.value, divisor) : 0;
    // Beyond the range of doubles they are apart in any case.
    return is_finite(best.size) && is_finite(distance) ? distance : 0x1p1023;
  }

  const geometry& g_;
  bool whole_, summed_;
  mixed_rows rows_;
  slice<map_entry> difference_;
  double noise_ = 0;
  std::size_t terms_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_MIXED_DISTANCES_HPP
