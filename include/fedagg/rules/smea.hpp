// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_SMEA_HPP
#define FEDAGG_RULES_SMEA_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>

#include <fedagg/core/centred_products.hpp>
#include <fedagg/core/definite_search.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/subset_choice.hpp>

namespace fedagg::inline FEDAGG_ABI {
namespace detail {

/// Branch and bound for the subset whose scatter has the least top eigenvalue: the row that reaches farthest along the
/// top eigenvector is dropped, or else kept for good; the last few rows to drop are found all at once.
class scatter_search {
public:
  enum class answer : unsigned char { done, out_of_nodes, failed };

  scatter_search(const geometry& g, std::size_t size, arena& memory)
      : g_(g), size_(size), choice_(g.rows, size, memory), products_(g, memory),
        rows_(memory.take<std::size_t>(g.rows)), open_(memory.take<std::size_t>(g.rows)),
        undo_(memory.take<std::size_t>(g.rows)), matrix_(memory.take<double>(g.rows * g.rows)),
        shifted_(memory.take<double>(g.rows * g.rows)),
        axes_(memory.take<double>((g.rows - size) * principal_axes::most * g.rows)), drops_(g.rows, memory) {}

  answer run(std::size_t max_nodes) {
    max_nodes_ = max_nodes;
    if (!choice_.take_copies(g_)) {
      descend();
      const std::size_t count = collect(true);
      decompose(count);
      if (failed_) return answer::failed;
      const double bound = choice_.least_width(remember(count, g_.rows - size_));
      polish(bound);
      explore(g_.rows - size_, 0, bound);
    }
    if (failed_) return answer::failed;
    if (!stopped_) proven_ = least_;
    return stopped_ ? answer::out_of_nodes : answer::done;
  }

  bool found(std::size_t i) const noexcept { return choice_.best(i); }
  std::size_t nodes() const noexcept { return nodes_; }
  /// The least top eigenvalue found of a subset's scatter, and what no subset is below.
  double least() const noexcept { return least_; }
  double proven() const noexcept { return proven_; }

private:
  /// Eigenvalues that differ by no more than this share are the same.
  static constexpr double same = 0x1p-40;

  using matrix = Eigen::Map<Eigen::MatrixXd>;
  static Eigen::Index as_index(std::size_t i) noexcept { return static_cast<Eigen::Index>(i); }
  static matrix square(std::span<double> memory, std::size_t count) {
    return matrix(memory.data(), as_index(count), as_index(count));
  }

  /// A first subset: the row that reaches farthest is dropped, again and again. Some steps of a power iteration tell
  /// well enough which it is.
  void descend() {
    const auto reach = axes_.first(g_.rows);
    for (std::size_t dropped = 0; g_.rows - dropped > size_; ++dropped) {
      const std::size_t count = collect(true);
      const matrix k = square(matrix_, count);
      Eigen::Map<Eigen::VectorXd> along(shifted_.data(), as_index(count)),
          next(shifted_.data() + count, as_index(count));
      Eigen::Index widest = 0;
      k.diagonal().maxCoeff(&widest);
      along = k.col(widest);
      for (int step = 0; step < 30; ++step) {
        next.noalias() = k * along;
        const double length = next.norm();
        if (!(length > 0)) break;
        along = next / length;
      }
      for (std::size_t i = 0; i < count; ++i) reach[rows_[i]] = along[as_index(i)];
      choice_[choice_.farthest(reach)] = subset_choice::gone;
    }
    least_ = largest_double;
    take(collect(true));
    choice_.reopen();
  }

  /// Exchanges a row for another as long as that makes the subset narrower.
  void polish(double bound) {
    for (std::size_t i = 0; i < g_.rows && nodes_ < max_nodes_ && !failed_;) {
      const double before = least_;
      if (!choice_.best(i)) {
        for (std::size_t j = 0; j < g_.rows; ++j)
          choice_[j] = choice_.best(j) || j == i ? subset_choice::open : subset_choice::gone;
        const std::size_t count = collect(true);
        decompose(count);
        if (!failed_) sift(count, 1, 0, beatable(), bound);
      }
      i = least_ < before ? 0 : i + 1;
    }
    choice_.reopen();
  }

  /// Whether the search is over; if it ends here, nothing that it has not seen yet is below `above`.
  bool over(double above) noexcept {
    if (nodes_ >= max_nodes_) {
      if (!stopped_) proven_ = least_;
      stopped_ = true;
      if (above < proven_) proven_ = above;
    }
    return stopped_ || failed_;
  }

  /// Goes through the subsets with the rows that are kept and without those that are gone; none is below `above`.
  void explore(std::size_t droppable, std::size_t fixed, double above) {
    if (over(above)) return;
    if (droppable == 0 || fixed == size_) return judge(droppable == 0);
    const std::size_t count = collect(true);
    decompose(count);
    if (failed_) return;
    const principal_axes here = remember(count, droppable);
    std::size_t mine = 0;
    for (bool first = true;; first = false) {
      const double limit = beatable(), bound = choice_.least_width(here);
      if (bound > above) above = bound;
      if (!(above <= limit)) break;
      if (fixed + mine == size_) {
        judge(false);
        break;
      }
      if (first && sift(count, droppable, fixed, limit, above)) break;
      const std::size_t row = choice_.farthest(here.entries);
      choice_[row] = subset_choice::gone;
      explore(droppable - 1, fixed + mine, above);
      if (over(above)) return;
      choice_[row] = subset_choice::kept;
      undo_[fixed + mine++] = row;
      if (fixed + mine < 2) continue;
      const std::size_t both = collect(false);
      if (!below(both, beatable())) break;
    }
    while (mine > 0) choice_[undo_[fixed + --mine]] = subset_choice::open;
  }

  /// What is needed of a node while those below it are explored.
  principal_axes remember(std::size_t count, std::size_t droppable) noexcept {
    principal_axes here;
    here.entries = axes_.subspan((g_.rows - size_ - droppable) * principal_axes::most * g_.rows);
    here.exponent = products_.exponent();
    const auto& values = solver_.eigenvalues();
    here.floor = count - 1 > droppable ? values[as_index(count - 1 - droppable)] : 0;
    // What the rounding of the matrix and of the eigenvectors may pretend.
    here.noise = static_cast<double>(count) * 0x1p-46 * (1 + values[as_index(count) - 1]);
    for (; here.count < principal_axes::most && here.count < droppable; ++here.count) {
      const auto v = as_index(count - 1 - here.count);
      here.widths[here.count] = values[v];
      for (std::size_t k = 0; k < count; ++k)
        here.entries[here.count * g_.rows + rows_[k]] = solver_.eigenvectors()(as_index(k), v);
    }
    return here;
  }

  /// Finds all that is wanted below a node at once, where the next rows to drop are few and the limit is told from the
  /// eigenvalues; false where that is not so. The rest of the rows is below a limit if the limit less their products
  /// is positive definite.
  bool sift(std::size_t count, std::size_t droppable, std::size_t fixed, double limit, double above) {
    const auto& values = solver_.eigenvalues();
    double shift = scaled_by(limit, -products_.exponent()) * (1 + 0x1p-18);
    const double node = static_cast<double>(count) * static_cast<double>(count) * static_cast<double>(count);
    if (droppable > definite_search::affordable(count, 32 * node) || sifting_ || !(shift > 0)) return false;
    if (!(values[as_index(count) - 1] < 4 * shift)) return false;
    // Rounding must not decide, and a limit that is a little higher excludes nothing that it should not.
    const double apart = shift * 0x1p-16;
    std::size_t negative = 0;
    for (std::size_t v = 1; v < count; ++v) {
      const double value = values[as_index(v)];
      if (value > shift - apart && value < shift + apart) shift = value + apart;
    }
    for (std::size_t v = 1; v < count; ++v) negative += values[as_index(v)] > shift;
    if (negative == 0) return false;
    if (negative > droppable) return true;
    std::size_t size = 0;
    for (std::size_t k = 0; k < count; ++k)
      if (choice_[rows_[k]] == subset_choice::open) open_[size++] = k;
    // Without the first eigenvector: no subset's products about its own mean have a part along the vector of ones.
    const auto& vectors = solver_.eigenvectors();
    matrix scaled = square(shifted_, count);
    for (std::size_t v = 1; v < count; ++v)
      scaled.col(as_index(v)) = vectors.col(as_index(v)) / (shift - values[as_index(v)]);
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        drops_.inverse(i, j) = vectors.row(as_index(open_[i]))
                                   .tail(as_index(count) - 1)
                                   .dot(scaled.row(as_index(open_[j])).tail(as_index(count) - 1));
    for (std::size_t i = 0; i < size; ++i) open_[i] = rows_[open_[i]];
    sifting_ = true;
    const std::size_t work = drops_.run(
        size, droppable, negative, 0x1p20 / shift,
        [&](std::span<const std::size_t> dropped) {
          if (over(above)) return;
          for (const std::size_t k : dropped) choice_[open_[k]] = subset_choice::gone;
          judge(true);
          for (const std::size_t k : dropped) choice_[open_[k]] = subset_choice::open;
        },
        [&](std::span<const std::size_t> dropped, std::size_t first) {
          for (std::size_t k = 0; k < first; ++k) choice_[open_[k]] = subset_choice::kept;
          for (const std::size_t k : dropped) choice_[open_[k]] = subset_choice::gone;
          explore(droppable - dropped.size(), fixed + first - dropped.size(), above);
          for (std::size_t k = 0; k < size; ++k) choice_[open_[k]] = subset_choice::open;
        });
    sifting_ = false;
    nodes_ += static_cast<std::size_t>(static_cast<double>(work) / node);
    return true;
  }

  /// The largest eigenvalue with which a subset below this node would replace the best: that of an equal one, if the
  /// node's first subset in lexicographic order comes before it.
  double beatable() const noexcept {
    if (choice_.may_come_first()) return times(least_, 1 + same);
    return least_ > 0 ? times(least_, 1 - same) : -1;
  }

  /// Lists the rows that are kept for good, and those still open, and their products about their mean.
  std::size_t collect(bool with_open) noexcept {
    const std::size_t count = choice_.list(with_open, rows_);
    products_.about(rows_.first(count));
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        matrix_[i * count + j] = matrix_[j * count + i] = products_(rows_[i], rows_[j]);
    return count;
  }

  /// Whether the top eigenvalue of the rows collected lies below the limit. It only grows with more rows.
  bool below(std::size_t count, double limit) {
    if (products_.single_point()) return limit >= 0;
    const double scaled = scaled_by(limit, -products_.exponent());
    if (!(scaled > 0)) return false;
    matrix shifted = square(shifted_, count);
    shifted = -square(matrix_, count);
    shifted.diagonal().array() += scaled;
    return Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>>(shifted).info() == Eigen::Success;
  }

  /// Eigenpairs of the rows collected, but for the vector of ones: its eigenvalue becomes the least, -1.
  void decompose(std::size_t count) {
    ++nodes_;
    matrix shifted = square(shifted_, count);
    shifted = square(matrix_, count).array() - 1 / static_cast<double>(count);
    solver_.compute(shifted);
    failed_ = failed_ || solver_.info() != Eigen::Success;
  }

  /// A subset replaces the best one if it is better.
  void judge(bool with_open) {
    ++nodes_;
    const std::size_t count = collect(with_open);
    if (below(count, beatable())) take(count);
  }

  void take(std::size_t count) {
    decompose(count);
    if (failed_) return;
    const double top = solver_.eigenvalues()[as_index(count) - 1];
    const double value = top > 0 ? scaled_by(top, products_.exponent()) : 0;
    if (value > times(least_, 1 + same)) return;
    if (value < least_) least_ = value;
    choice_.set_best(rows_.first(count));
  }

  const geometry& g_;
  const std::size_t size_;
  subset_choice choice_;
  centred_products products_;
  std::span<std::size_t> rows_, open_, undo_;
  std::span<double> matrix_, shifted_, axes_;
  definite_search drops_;
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver_;
  double least_ = 0, proven_ = 0;
  std::size_t nodes_ = 0, max_nodes_ = 0;
  bool failed_ = false, stopped_ = false, sifting_ = false;
};

} // namespace detail

/// The mean of the n - f clients whose covariance has the least top eigenvalue: smallest maximum eigenvalue averaging
/// (Allouah, Guerraoui, Gupta, Pinot, Stephan 2023, arXiv:2302.04787). Exact, by branch and bound with exact
/// eigenpairs in n dimensions; of subsets whose eigenvalues agree to 1e-12 the first in lexicographic order. Survives f
/// hostile clients, 2f < n; ignores weights. O(n^2 d), then O(n^3) per node of a search that may take exponential time
/// in f: past `max_nodes`, by default some seconds, it stops with `search_limit`, the best subset so far, and in `gap`
/// the share by which its eigenvalue may exceed the least one.
struct smea {
  std::int64_t f = unset;     ///< hostile clients to survive
  std::int64_t max_nodes = 0; ///< of the search; 0: default_nodes(n)

  static constexpr const char* name = "smea";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() {
    return field_list{
        field{"f", &smea::f, unset, any_count, "hostile clients to survive"},
        field{"max_nodes", &smea::max_nodes, 0, any_count, "nodes of the search before it gives up, 0: by n"}};
  }

  /// As many as take some seconds, since a node takes some n^3 nanoseconds at most.
  static constexpr std::size_t default_nodes(std::size_t n) noexcept {
    constexpr std::uint64_t all = std::uint64_t{1} << 33;
    return n < 2048 ? static_cast<std::size_t>(all / (std::uint64_t{n} * n * n + 1)) + 1 : 1;
  }

  errc coefficients(const geometry& g, arena& memory, solution& s) const {
    if (max_nodes < 0) return errc::bad_parameter;
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
    const auto answer = search.run(max_nodes == 0 ? default_nodes(n) : static_cast<std::size_t>(max_nodes));
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
