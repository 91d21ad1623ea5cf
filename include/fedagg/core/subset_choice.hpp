// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_SUBSET_CHOICE_HPP
#define FEDAGG_CORE_SUBSET_CHOICE_HPP

#include <cstddef>

#include <fedagg/core/arena.hpp>
#include <fedagg/core/centred_products.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// The directions in which some rows are widest about their mean: eigenpairs of their scatter, the widest first, 2^e
/// times smaller than they are.
struct principal_axes {
  static constexpr std::size_t most = 8;
  slice<double> entries;       ///< axis after axis, one of each row that there is
  double widths[most] = {};    ///< the eigenvalues
  std::size_t count = 0;       ///< how many axes
  double floor = 0, noise = 0; ///< what the top eigenvalue is not below without some rows, and the error of all of them
  int exponent = 0;            ///< e
};

/// Which rows a search for subsets of a size has kept for good, dropped or not decided on, and its best subset so far.
class subset_choice {
public:
  enum state : unsigned char { open, kept, gone };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  /// Subsets of `size` of so many rows, all of them open.
  subset_choice(std::size_t rows, std::size_t size, arena& memory)
      : size_(size), states_(memory.room<state>(rows)), best_(memory.room<unsigned char>(rows)),
        order_(memory.room<ranked>(rows)) {}

  std::size_t rows() const noexcept { return states_.size(); }
  std::size_t size() const noexcept { return size_; }
  state& operator[](std::size_t i) noexcept { return states_[i]; }
  void reopen() noexcept {
    for (state& s : states_) s = open;
  }

  /// Lists the rows that are kept, and those still open; returns how many.
  std::size_t list(bool with_open, slice<std::size_t> rows) const noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < states_.size(); ++i)
      if (states_[i] == kept || (with_open && states_[i] == open)) rows[count++] = i;
    return count;
  }

  /// The open row with the largest square; of those as large the last, so that what comes first is the subset of the
  /// lowest indices. None if no row is open.
  std::size_t farthest(slice<const double> along) const noexcept {
    std::size_t row = none;
    double reach = 0;
    for (std::size_t i = states_.size(); i-- > 0;) {
      const double here = times(along[i], along[i]);
      if (states_[i] != open || (row != none && !(here > times(reach, 1 + 1e-9)))) continue;
      row = i;
      reach = here;
    }
    return row;
  }

  /// The least sum of squares about the mean that a subset's numbers can have: those of the rows kept, and a run of
  /// those still open in ascending order.
  double narrowest(slice<const double> along) noexcept {
    std::size_t free = 0, run = size_;
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i] == open) order_[free++] = {along[i], i};
      if (states_[i] != kept) continue;
      sum = plus(sum, along[i]);
      squares = plus(squares, times(along[i], along[i]));
      --run;
    }
    const auto scatter = [&] { return plus(squares, -quotient(times(sum, sum), static_cast<double>(size_))); };
    if (run == 0) return scatter();
    smallest_first(order_.first(free), free);
    double least = largest_double;
    for (std::size_t k = 0; k < free; ++k) {
      const double last = order_[k].value;
      sum = plus(sum, last);
      squares = plus(squares, times(last, last));
      if (k + 1 < run) continue;
      if (const double here = scatter(); here < least) least = here;
      const double first = order_[k + 1 - run].value;
      sum = plus(sum, -first);
      squares = plus(squares, -times(first, first));
    }
    return least;
  }

  /// What the top eigenvalue of no subset's scatter is below, given the axes of all rows that are not gone: along each
  /// axis a subset is as wide at least as the narrowest choice of rows is.
  double least_width(const principal_axes& of) noexcept {
    double most = of.floor;
    for (std::size_t k = 0; k < of.count && of.widths[k] > most; ++k) {
      const double width = times(of.widths[k], narrowest(of.entries.subspan(k * rows(), rows())));
      if (width > most) most = width;
    }
    return most > of.noise ? scaled_by(plus(most, -of.noise), of.exponent) : 0;
  }

  /// Where as many rows as a subset has lie in one place, it is the first of them that are best: true.
  bool take_copies(const geometry& g) noexcept {
    for (std::size_t i = 0; i < rows(); ++i) {
      std::size_t count = 0;
      for (std::size_t j = 0; j < rows(); ++j) {
        best_[j] = count < size_ && !(g.square_distance(i, j) > 0);
        count += best_[j];
      }
      if (count == size_) return true;
    }
    return false;
  }

  /// Whether a row is in the best subset.
  bool best(std::size_t i) const noexcept { return best_[i] != 0; }
  void set_best(slice<const std::size_t> rows) noexcept {
    for (unsigned char& b : best_) b = 0;
    for (const std::size_t i : rows) best_[i] = 1;
  }

  /// Whether the first subset that is still possible comes before the best one in lexicographic order.
  bool may_come_first() const noexcept {
    std::size_t free = size_;
    for (const state s : states_) free -= s == kept;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const bool mine = states_[i] == kept || (states_[i] == open && free > 0);
      if (states_[i] == open && mine) --free;
      if (mine != best(i)) return mine;
    }
    return false;
  }

private:
  std::size_t size_;
  slice<state> states_;
  slice<unsigned char> best_;
  slice<ranked> order_;
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_SUBSET_CHOICE_HPP
