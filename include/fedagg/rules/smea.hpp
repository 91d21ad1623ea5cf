// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_SMEA_HPP
#define FEDAGG_RULES_SMEA_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>

#include <fedagg/core/centred_products.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {
namespace detail {

/// Branch and bound for the subset whose scatter has the least top eigenvalue: the row that reaches farthest along the
/// top eigenvector is dropped, or else kept for good.
class scatter_search {
public:
  enum class answer : unsigned char { done, out_of_nodes, failed };

  scatter_search(const geometry& g, std::size_t size, arena& memory)
      : g_(g), size_(size), products_(g, memory), state_(memory.take<unsigned char>(g.rows)),
        rows_(memory.take<std::size_t>(g.rows)), best_(memory.take<unsigned char>(g.rows)),
        order_(memory.take<ranked>(g.rows)), stack_(memory.take<choice>(g.rows + 1)) {}

  answer run(std::size_t max_nodes) {
    std::size_t depth = 0, dropped = 0, fixed = 0;
    const std::size_t drop = g_.rows - size_;
    for (;;) {
      // The first subset is reached at any price: there must be one.
      if (nodes_ >= max_nodes && found_) {
        proven_ = least_;
        for (std::size_t k = 0; k < depth; ++k)
          if (!stack_[k].second && stack_[k].bound < proven_) proven_ = stack_[k].bound;
        if (depth > 0 && stack_[depth - 1].bound < proven_) proven_ = stack_[depth - 1].bound;
        return answer::out_of_nodes;
      }
      ++nodes_;
      const std::size_t row = visit(drop - dropped, fixed);
      if (failed_) return answer::failed;
      if (row != none) {
        stack_[depth++] = {row, bound_, false};
        state_[row] = gone;
        ++dropped;
        continue;
      }
      while (depth > 0 && stack_[depth - 1].second) {
        state_[stack_[--depth].row] = open;
        --fixed;
      }
      if (depth == 0) {
        proven_ = least_;
        return answer::done;
      }
      stack_[depth - 1].second = true;
      state_[stack_[depth - 1].row] = kept;
      --dropped;
      ++fixed;
    }
  }

  bool found(std::size_t i) const noexcept { return best_[i] != 0; }
  std::size_t nodes() const noexcept { return nodes_; }
  /// The least top eigenvalue found of a subset's scatter, and what no subset is below.
  double least() const noexcept { return least_; }
  double proven() const noexcept { return proven_; }

private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  /// Eigenvalues that differ by no more than this share are the same.
  static constexpr double same = 0x1p-40;
  enum : unsigned char { open, kept, gone };

  struct choice {
    std::size_t row;
    double bound; ///< no subset of this node or below it has less
    bool second;  ///< the row is kept, not dropped
  };

  /// The row to branch on; none if nothing below this node can be the best.
  std::size_t visit(std::size_t droppable, std::size_t fixed) {
    const double limit = beatable();
    if (found_ && fixed > 1) {
      collect(false);
      if (!below(limit)) return none;
    }
    const std::size_t count = collect(fixed < size_);
    if (droppable == 0 || fixed == size_) {
      if (!found_ || below(limit)) take(count);
      return none;
    }
    decompose(count);
    if (failed_) return none;
    bound_ = lower_bound(count, droppable, fixed);
    if (found_ && !(bound_ <= limit)) return none;
    // Of rows that reach as far, the last: what comes first is the subset of the lowest indices.
    const auto top = solver_.eigenvectors().col(as_index(count) - 1);
    std::size_t row = none;
    double reach = 0;
    for (std::size_t k = count; k-- > 0;) {
      if (state_[rows_[k]] != open) continue;
      const double here = top[as_index(k)] * top[as_index(k)];
      if (row != none && (products_.single_point() || !(here > reach * (1 + 1e-9)))) continue;
      row = rows_[k];
      reach = here;
    }
    return row;
  }

  /// The largest eigenvalue with which a subset below this node would replace the best: that of an equal one, if the
  /// node's first subset in lexicographic order comes before it.
  double beatable() const noexcept {
    if (!found_) return largest_double;
    std::size_t free = size_;
    for (std::size_t i = 0; i < g_.rows; ++i) free -= state_[i] == kept;
    for (std::size_t i = 0; i < g_.rows; ++i) {
      const bool mine = state_[i] == kept || (state_[i] == open && free > 0);
      if (state_[i] == open && mine) --free;
      if (mine != (best_[i] != 0)) {
        if (mine) return times(least_, 1 + same);
        break;
      }
    }
    return least_ > 0 ? times(least_, 1 - same) : -1;
  }

  /// Lists the rows that are kept for good, and those still open.
  std::size_t collect(bool with_open) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < g_.rows; ++i)
      if (state_[i] == kept || (with_open && state_[i] == open)) rows_[count++] = i;
    products_.about(rows_.first(count));
    matrix_.resize(as_index(count), as_index(count));
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        matrix_(as_index(i), as_index(j)) = matrix_(as_index(j), as_index(i)) = products_(rows_[i], rows_[j]);
    return count;
  }

  /// Whether the top eigenvalue of the rows collected lies below the limit: if the limit less the matrix is positive
  /// definite. It only grows with more rows.
  bool below(double limit) {
    if (products_.single_point()) return limit >= 0;
    if (limit == largest_double) return true;
    const double scaled = scaled_by(limit, -products_.exponent());
    if (!(scaled > 0)) return false;
    shifted_ = -matrix_;
    shifted_.diagonal().array() += scaled;
    cholesky_.compute(shifted_);
    return cholesky_.info() == Eigen::Success;
  }

  void decompose(std::size_t count) {
    solver_.compute(matrix_);
    failed_ = solver_.info() != Eigen::Success;
    const double top = failed_ ? 0 : solver_.eigenvalues()[as_index(count) - 1];
    top_ = top > 0 ? scaled_by(top, products_.exponent()) : 0;
  }

  void take(std::size_t count) {
    decompose(count);
    if (failed_) return;
    if (found_ && top_ > times(least_, 1 + same)) return;
    if (!found_ || top_ < least_) least_ = top_;
    found_ = true;
    for (unsigned char& b : best_) b = 0;
    for (const std::size_t i : rows_.first(count)) best_[i] = 1;
  }

  /// What no subset here is below: dropping a row lowers each eigenvalue no further than to the next one, and along
  /// each eigenvector the subset is as wide at least as the narrowest choice of rows is.
  double lower_bound(std::size_t count, std::size_t droppable, std::size_t fixed) {
    const auto& values = solver_.eigenvalues();
    // What the rounding of the matrix and of the eigenvectors may pretend.
    const double noise = static_cast<double>(count) * 0x1p-46 * (1 + values[as_index(count) - 1]);
    double most = count > droppable ? values[as_index(count - 1 - droppable)] : 0;
    for (std::size_t v = count; v-- > 0 && values[as_index(v)] > most;) {
      const double width = values[as_index(v)] * narrowest(solver_.eigenvectors().col(as_index(v)), count, fixed);
      if (width > most) most = width;
    }
    return most > noise ? scaled_by(most - noise, products_.exponent()) : 0;
  }

  /// The least scatter of `size` of some numbers, those of the rows kept among them: of the open ones a run is taken.
  template <class Vector>
  double narrowest(const Vector& along, std::size_t count, std::size_t fixed) {
    std::size_t free = 0;
    double own = 0;
    for (std::size_t k = 0; k < count; ++k) {
      if (state_[rows_[k]] == open)
        order_[free++] = {along[as_index(k)], k};
      else
        own += along[as_index(k)];
    }
    smallest_first(order_.first(free), free);
    const std::size_t run = size_ - fixed;
    double least = 2; // of a unit vector it is one at most
    for (std::size_t first = 0; first + run <= free; ++first) {
      double sum = own;
      for (std::size_t k = 0; k < run; ++k) sum += order_[first + k].value;
      const double mean = sum / static_cast<double>(size_);
      double scatter = 0;
      for (std::size_t k = 0; k < run; ++k) {
        const double away = order_[first + k].value - mean;
        scatter += away * away;
      }
      for (std::size_t k = 0; k < count; ++k)
        if (state_[rows_[k]] != open) scatter += (along[as_index(k)] - mean) * (along[as_index(k)] - mean);
      if (scatter < least) least = scatter;
    }
    return least;
  }

  static Eigen::Index as_index(std::size_t i) noexcept { return static_cast<Eigen::Index>(i); }

  const geometry& g_;
  const std::size_t size_;
  centred_products products_;
  std::span<unsigned char> state_;
  std::span<std::size_t> rows_;
  std::span<unsigned char> best_;
  std::span<ranked> order_;
  std::span<choice> stack_;
  Eigen::MatrixXd matrix_, shifted_;
  Eigen::LLT<Eigen::MatrixXd> cholesky_;
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver_;
  double least_ = 0, proven_ = 0, bound_ = 0, top_ = 0;
  std::size_t nodes_ = 0;
  bool found_ = false, failed_ = false;
};

} // namespace detail

/// The mean of the n - f clients whose covariance has the least top eigenvalue: smallest maximum eigenvalue averaging
/// (Allouah, Guerraoui, Gupta, Pinot, Stephan 2023, arXiv:2302.04787). Exact, by branch and bound with exact
/// eigenpairs in n dimensions; of subsets whose eigenvalues agree to 1e-12 the first in lexicographic order. Survives f
/// hostile clients, 2f < n; ignores weights. O(n^2 d), then O(n^3) per node of a search that may take exponential time
/// in f: past `max_nodes` it stops with `search_limit`, the best subset so far, and in `gap` the share by which its
/// eigenvalue may exceed the least one.
struct smea {
  std::int64_t f = unset;          ///< hostile clients to survive
  std::int64_t max_nodes = 100000; ///< of the search

  static constexpr const char* name = "smea";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return std::tuple{field{"f", &smea::f, unset, any_count, "hostile clients to survive"},
                      field{"max_nodes", &smea::max_nodes, 1, any_count, "nodes of the search before it gives up"}};
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (max_nodes < 1) return errc::bad_parameter;
    const std::size_t n = g.rows;
    if (const errc rc = detail::honest_majority(f, n); rc != errc::ok) return rc;
    const std::size_t kept = n - static_cast<std::size_t>(f);
    s.divisor = static_cast<double>(kept);
    s.whole = true;
    s.breakdown = static_cast<std::size_t>(f);
    for (std::size_t i = 0; i < n; ++i) s.coefficients[i] = 1;
    if (f == 0) return errc::ok;
    using search_type = detail::scatter_search;
    search_type search(g, kept, memory);
    const auto answer = search.run(static_cast<std::size_t>(max_nodes));
    if (answer == search_type::answer::failed) return errc::rule_failed;
    for (std::size_t i = 0; i < n; ++i) s.coefficients[i] = search.found(i) ? 1 : 0;
    s.iterations = search.nodes();
    if (answer == search_type::answer::done) return errc::ok;
    const double gap = search.least() > 0 ? detail::quotient(search.least() - search.proven(), search.least()) : 0;
    s.gap = gap > 0 ? gap : 0;
    return errc::search_limit;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_SMEA_HPP
