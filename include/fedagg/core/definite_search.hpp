// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_DEFINITE_SEARCH_HPP
#define FEDAGG_CORE_DEFINITE_SEARCH_HPP

#include <cstddef>
#include <span>

#include <fedagg/core/arena.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// Which few rows of a symmetric matrix to drop, with their columns, so that the rest is positive definite. It is where
/// the dropped rows' block of the inverse has all of the negative eigenvalues that the matrix has (Haynsworth 1968), so
/// that a row is dropped by one step of elimination in the inverse: O(n^drop) for all sets of `drop` rows together.
class definite_search {
public:
  static constexpr std::size_t most_dropped = 5;

  /// Memory for matrices of up to `rows` rows.
  definite_search(std::size_t rows, arena& memory)
      : rows_(rows), inverses_(memory.take<double>((most_dropped - 1) * rows * rows)) {}

  /// The most rows to drop of so many for which a search takes no more than `limit` steps.
  static std::size_t affordable(std::size_t size, double limit) noexcept {
    double steps = static_cast<double>(size);
    std::size_t drop = 1;
    for (; drop < most_dropped; ++drop) {
      steps *= static_cast<double>(size) / static_cast<double>(drop + 1);
      if (steps > limit) break;
    }
    return drop;
  }

  /// Entry i, j of the inverse, j <= i.
  double& inverse(std::size_t i, std::size_t j) noexcept { return inverses_[i * rows_ + j]; }

  /// Calls found(dropped) for each set of `drop` of the first `size` rows that leaves a definite rest, given the number
  /// of negative eigenvalues; `drop` is 1 to most_dropped. Sets that are not told apart are left to undecided(dropped,
  /// first): those of these rows and any others from `first` on, because all of them will do or because the inverse of
  /// what is left has an entry beyond `largest`, so that rounding might decide. Returns how many entries
  /// were computed or looked at.
  template <class Found, class Undecided>
  std::size_t run(std::size_t size, std::size_t drop, std::size_t negative, double largest, const Found& found,
                  const Undecided& undecided) {
    size_ = size;
    largest_ = largest;
    work_ = 0;
    step(0, 0, drop, negative, found, undecided);
    return work_;
  }

private:
  template <class Found, class Undecided>
  void step(std::size_t depth, std::size_t first, std::size_t drop, std::size_t negative, const Found& found,
            const Undecided& undecided) {
    if (negative > drop) return;
    if (negative == 0) return undecided(std::span<const std::size_t>(dropped_, depth), first);
    const double* q = inverses_.data() + depth * rows_ * rows_;
    work_ += size_ - first;
    for (std::size_t i = first; i + drop <= size_; ++i) {
      dropped_[depth] = i;
      const double pivot = q[i * rows_ + i];
      if (drop == 1) {
        if (pivot < 0) found(std::span<const std::size_t>(dropped_, depth + 1));
      } else if (drop == 2) {
        work_ += size_ - i;
        for (std::size_t j = i + 1; j < size_; ++j) {
          const double other = q[j * rows_ + j], both = q[j * rows_ + i];
          const bool opposed = pivot * other < both * both;
          if (negative == 1 ? !(opposed || pivot < 0 || other < 0) : !(pivot < 0 && !opposed)) continue;
          dropped_[depth + 1] = j;
          found(std::span<const std::size_t>(dropped_, depth + 2));
        }
      } else {
        const std::size_t left = negative - (pivot < 0 ? 1 : 0);
        if (left > drop - 1) continue;
        if (left > 0 && eliminate(depth, i))
          step(depth + 1, i + 1, drop - 1, left, found, undecided);
        else
          undecided(std::span<const std::size_t>(dropped_, depth + 1), i + 1);
      }
    }
  }

  /// The inverse without row i, as far as the rows behind it; false where it grows too large.
  bool eliminate(std::size_t depth, std::size_t i) noexcept {
    const double* q = inverses_.data() + depth * rows_ * rows_;
    double* next = inverses_.data() + (depth + 1) * rows_ * rows_;
    if (q[i * rows_ + i] == 0) return false;
    work_ += (size_ - i) * (size_ - i) / 2;
    bool small = true;
    for (std::size_t j = i + 1; j < size_; ++j) {
      const double factor = q[j * rows_ + i] / q[i * rows_ + i];
      for (std::size_t k = i + 1; k <= j; ++k) {
        const double rest = q[j * rows_ + k] - factor * q[k * rows_ + i];
        next[j * rows_ + k] = rest;
        small = small && rest <= largest_ && rest >= -largest_;
      }
    }
    return small;
  }

  std::size_t rows_, size_ = 0, work_ = 0;
  double largest_ = 0;
  std::span<double> inverses_;
  std::size_t dropped_[most_dropped] = {};
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_DEFINITE_SEARCH_HPP
