// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_COVER_SEARCH_HPP
#define FEDAGG_CORE_COVER_SEARCH_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <fedagg/core/geometry.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// Which rows to drop so that no two of the others lie further apart than a limit: vertex cover by branch and bound on
/// the pairs in conflict. Exponential only in the number of rows that may be dropped, and only where the conflicts do
/// not decide by themselves.
class cover_search {
public:
  enum class answer : unsigned char { no, yes, unknown };

  cover_search(std::size_t rows, std::size_t drop, std::size_t max_nodes, arena& memory)
      : n_(rows), words_((rows + 63) / 64), drop_(drop), max_nodes_(max_nodes),
        conflicts_(memory.room<std::uint64_t>(n_ * words_)), kept_(memory.room<std::uint64_t>((drop + 4) * words_)),
        degrees_(memory.room<std::uint32_t>((drop + 4) * n_)), levels_(memory.room<level>(drop + 4)),
        found_(memory.room<std::uint64_t>(words_)), histogram_(memory.room<std::uint32_t>(n_ + 1)) {}

  /// Every row is there, and pairs further apart than `limit` are in conflict.
  void start(const geometry& g, double limit) noexcept {
    std::memset(conflicts_.data(), 0, conflicts_.size() * sizeof(std::uint64_t));
    level& base = levels_[0] = {0, drop_, 0, false};
    for (std::size_t w = 0; w < words_; ++w) kept_[w] = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      set(kept_.data(), i);
      degrees_[i] = 0;
      for (std::size_t j = 0; j < n_; ++j)
        if (j != i && g.square_distance(i, j) > limit) {
          set(conflicts_.data() + i * words_, j);
          ++degrees_[i];
        }
      base.conflicts += degrees_[i];
    }
    base.conflicts /= 2;
  }

  /// Whether the rows may be freed of conflicts by dropping no more than are left to drop; `found` then holds the rest.
  answer run() noexcept {
    copy(0, 1);
    std::size_t at = 1;
    for (;;) {
      if (nodes_ == max_nodes_) return answer::unknown;
      ++nodes_;
      const answer a = reduce(at);
      if (a == answer::yes) {
        std::memcpy(found_.data(), kept_.data() + at * words_, words_ * sizeof(std::uint64_t));
        return a;
      }
      if (a == answer::unknown) {
        // The most conflicting row is dropped, or else all that it conflicts with.
        copy(at, at + 1);
        levels_[at].second = false;
        drop(at + 1, levels_[at].row);
        ++at;
        continue;
      }
      do {
        if (--at == 0) return answer::no;
      } while (levels_[at].second);
      levels_[at].second = true;
      copy(at, at + 1);
      drop_conflicting(at + 1, levels_[at].row);
      ++at;
    }
  }

  /// Makes `found` the first of its kind in lexicographic order. `unknown` where the nodes ran out.
  answer first_in_order() noexcept {
    const std::size_t spare = drop_ + 3;
    std::size_t wanted = n_ - drop_;
    for (std::size_t i = 0; i < n_ && wanted > 0; ++i) {
      if (!has(kept_.data(), i)) continue;
      if (has(found_.data(), i)) {
        drop_conflicting(0, i);
        --wanted;
        continue;
      }
      answer a = answer::no;
      if (degrees_[i] <= levels_[0].budget) {
        copy(0, spare);
        drop_conflicting(0, i);
        a = run();
        if (a == answer::no) copy(spare, 0);
      }
      if (a == answer::unknown) return a;
      if (a == answer::yes)
        --wanted;
      else
        drop(0, i);
    }
    return answer::yes;
  }

  bool found(std::size_t i) const noexcept { return has(found_.data(), i); }
  std::size_t nodes() const noexcept { return nodes_; }

private:
  struct level {
    std::size_t conflicts; ///< between the rows that are kept
    std::size_t budget;    ///< how many more may be dropped
    std::size_t row;       ///< the one to branch on
    bool second;           ///< in its second branch
  };

  static void set(std::uint64_t* bits, std::size_t i) noexcept { bits[i / 64] |= std::uint64_t{1} << i % 64; }
  static bool has(const std::uint64_t* bits, std::size_t i) noexcept { return bits[i / 64] >> i % 64 & 1; }

  void copy(std::size_t from, std::size_t to) noexcept {
    std::memcpy(kept_.data() + to * words_, kept_.data() + from * words_, words_ * sizeof(std::uint64_t));
    std::memcpy(degrees_.data() + to * n_, degrees_.data() + from * n_, n_ * sizeof(std::uint32_t));
    levels_[to] = levels_[from];
  }

  /// Calls f with each kept row that conflicts with `row`.
  template <class F>
  void each_conflict(std::size_t at, std::size_t row, const F& f) noexcept {
    for (std::size_t w = 0; w < words_; ++w)
      for (std::uint64_t bits = conflicts_[row * words_ + w] & kept_[at * words_ + w]; bits != 0; bits &= bits - 1)
        if (!f(w * 64 + static_cast<std::size_t>(std::countr_zero(bits)))) return;
  }

  void drop(std::size_t at, std::size_t row) noexcept {
    std::uint32_t* degrees = degrees_.data() + at * n_;
    each_conflict(at, row, [&](std::size_t other) {
      --degrees[other];
      return true;
    });
    levels_[at].conflicts -= degrees[row];
    degrees[row] = 0;
    kept_[at * words_ + row / 64] &= ~(std::uint64_t{1} << row % 64);
    --levels_[at].budget;
  }

  void drop_conflicting(std::size_t at, std::size_t row) noexcept {
    // Copied word by word before the rows of the word are dropped.
    each_conflict(at, row, [&](std::size_t other) {
      drop(at, other);
      return true;
    });
  }

  /// Drops what every small enough solution drops. yes: no conflict is left; no: too many are; unknown: branch on
  /// `row`.
  answer reduce(std::size_t at) noexcept {
    level& here = levels_[at];
    const std::uint32_t* degrees = degrees_.data() + at * n_;
    for (;;) {
      if (here.conflicts == 0) return answer::yes;
      if (here.budget == 0) return answer::no;
      std::size_t most = 0, single = n_;
      for (std::size_t i = 0; i < n_; ++i) {
        if (degrees[i] > degrees[most]) most = i;
        if (degrees[i] == 1 && single == n_) single = i;
      }
      // Keeping it would drop too many; the partner of a row's only conflict; where only rings are left, any of a ring.
      std::size_t forced = n_;
      if (degrees[most] > here.budget)
        forced = most;
      else if (single != n_)
        each_conflict(at, single, [&](std::size_t other) {
          forced = other;
          return false;
        });
      else if (degrees[most] == 2)
        forced = most;
      if (forced != n_) {
        drop(at, forced);
        continue;
      }
      here.row = most;
      return coverable(degrees, degrees[most], here) ? answer::unknown : answer::no;
    }
  }

  /// Whether the `budget` most conflicting rows have as many conflicts as there are.
  bool coverable(const std::uint32_t* degrees, std::size_t most, const level& here) noexcept {
    for (std::size_t k = 0; k <= most; ++k) histogram_[k] = 0;
    for (std::size_t i = 0; i < n_; ++i) ++histogram_[degrees[i]];
    std::size_t left = here.budget, reached = 0;
    for (std::size_t k = most; k > 0 && left > 0; --k) {
      const std::size_t count = histogram_[k] < left ? histogram_[k] : left;
      reached += count * k;
      left -= count;
    }
    return reached >= here.conflicts;
  }

  std::size_t n_, words_, drop_, max_nodes_, nodes_ = 0;
  slice<std::uint64_t> conflicts_, kept_;
  slice<std::uint32_t> degrees_;
  slice<level> levels_;
  slice<std::uint64_t> found_;
  slice<std::uint32_t> histogram_;
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_COVER_SEARCH_HPP
