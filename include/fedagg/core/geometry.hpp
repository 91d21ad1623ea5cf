// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_GEOMETRY_HPP
#define FEDAGG_CORE_GEOMETRY_HPP

#include <concepts>
#include <cstddef>
#include <span>

#include <fedagg/core/arena.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How much of the clients' geometry a rule needs; each includes what stands before it.
enum class geometry_needs : unsigned char {
  nothing,   ///< their number
  norms,     ///< squared norms about the origin: O(n d)
  trusted,   ///< inner products with the trusted row: O(n d)
  distances, ///< all squared distances, and all inner products where there is an origin: O(n^2 d)
};

/// The shares of a row's coordinates that are positive, negative and zero, about the origin.
struct row_signs {
  double positive = 0;
  double negative = 0;
  double zero = 0;
};

/// What a rule knows of n rows in d dimensions without their coordinates. Rows are the clients that are left (or what
/// mixing made of them) in ascending order; the trusted row, if there is one, comes last, at index `rows`. The origin
/// is the cohort's base, or zero for updates. Distances are right to 1e-5 of themselves whatever any row holds;
/// inner products to 1e-6 of the two norms' product. Everything is finite.
struct geometry {
  std::size_t rows = 0;
  bool has_origin = false;
  bool has_trusted = false;
  geometry_needs known = geometry_needs::norms;
  std::span<const double> square_norms = {}; ///< order(): about the origin; empty without one
  std::span<const double> with_trusted = {}; ///< order(): inner products with the trusted row about the origin
  std::span<const double> distances = {};    ///< order() x order(), symmetric, zeros on the diagonal
  std::span<const double> products = {};     ///< order() x order(), about the origin; empty without one
  std::span<const double> weights = {};      ///< rows: the clients' claims, for rules that were told to trust them
  detail::slice<const row_signs> signs = {}; ///< rows, for rules that ask for `needs_signs`
  std::span<const double> sampled = {};      ///< rows x rows distances of each sample of a sampling rule, one by one
  std::span<const std::size_t> clients = {}; ///< rows: whose row it is; empty where row i is client i

  /// Rows and the trusted row.
  std::size_t order() const noexcept { return rows + (has_trusted ? 1 : 0); }
  double square_distance(std::size_t i, std::size_t j) const noexcept { return distances[i * order() + j]; }
  double product(std::size_t i, std::size_t j) const noexcept { return products[i * order() + j]; }
  /// The index in the cohort of row i's client.
  std::size_t client(std::size_t i) const noexcept { return clients.empty() ? i : clients[i]; }
};

/// What a geometric rule answers: the result is origin + sum_i (coefficients[i] / divisor) (x_i - origin).
struct solution {
  std::span<double> coefficients; ///< order(), zeros at first; the trusted row's comes last
  double divisor = 1;             ///< so that a mean of k rows has ones and k, and rounds once
  bool whole = true;              ///< coefficients sum to the divisor by construction: no origin is needed
  std::span<double> scores = {};  ///< rows: whatever the rule ranks rows by (smaller is better), zeros at first
  std::size_t iterations = 0;     ///< of an iterative rule, nodes of a search
  double gap = 0;                 ///< how far an iterative rule or a search may be from its optimum
  std::size_t breakdown = 0;      ///< the most hostile rows that cannot move the result at will
  double breakdown_mass = 0;      ///< the same as a share of the weight, of a rule that trusts weights
  bool no_trust = false;          ///< no row was trusted and the result is the origin
};

/// A row's share in a mixed row, in parts of the mixed row's divisor.
struct map_entry {
  std::size_t index = 0;
  double share = 0;
};

/// An affine map of rows: row k of the result is sum_e (e.share / divisor(k)) x_(e.index) over its entries e, in
/// ascending order of the index, and what its shares lack to the divisor of the origin unless `whole`. Filled row by
/// row. Shares that a double holds, such as powers of two, and one division keep a mean as exact as it can be.
struct affine_map {
  std::size_t out = 0; ///< rows of the result
  std::size_t in = 0;
  bool whole = true; ///< the shares of each row sum to its divisor by construction
  detail::slice<map_entry> entries = {};
  detail::slice<std::size_t> ends = {};
  detail::slice<double> divisors = {};
  std::size_t rows_done = 0, entries_done = 0;

  /// Makes room for `to` rows with at most `shares` entries in all, of `from` rows.
  void start(arena& memory, std::size_t to, std::size_t from, std::size_t shares) {
    out = to;
    in = from;
    entries = memory.room<map_entry>(shares);
    ends = memory.room<std::size_t>(to);
    divisors = memory.room<double>(to);
    rows_done = entries_done = 0;
  }
  void put(std::size_t index, double share) noexcept { entries[entries_done++] = {index, share}; }
  void end_row(double divisor = 1) noexcept {
    divisors[rows_done] = divisor;
    ends[rows_done++] = entries_done;
  }
  detail::slice<const map_entry> row(std::size_t k) const noexcept {
    const std::size_t first = k == 0 ? 0 : ends[k - 1];
    return entries.subspan(first, ends[k] - first);
  }
  double divisor(std::size_t k) const noexcept { return divisors[k]; }
};

/// The result is a sum of the rows with coefficients that depend on their geometry alone.
template <class R>
concept geometric_rule = rule_value<R> && requires(const R& r, const geometry& g, arena& memory, solution& s) {
  { R::needs } -> std::convertible_to<geometry_needs>;
  { r.coefficients(g, memory, s) } -> std::same_as<errc>;
};

/// A geometric rule that only selects rows: `second(selected, v)` says which values of each of their columns are
/// averaged (Bulyan's second half).
template <class R>
concept selecting_rule = geometric_rule<R> && requires(const R& r, std::size_t n, nearest_values& v) {
  { r.second(n, v) } -> std::same_as<errc>;
};

/// A geometric rule that looks at samples of the coordinates, `samples()` of them (none where a parameter is bad):
/// `sample(k, coordinates, memory)` is the k-th, ascending; all of them where it is empty. Besides those it may need
/// nothing. Like one that asks for `needs_signs`, or for `on_history` (the geometry is that of the cohort's history),
/// it cannot follow a mixing stage.
template <class R>
concept sampling_rule = geometric_rule<R> &&
                        R::needs == geometry_needs::nothing&& requires(const R& r, std::size_t n, arena& memory) {
  { r.samples() } -> std::same_as<std::size_t>;
  { r.sample(n, n, memory) } -> std::same_as<std::span<const std::size_t>>;
};

/// A stage before a rule that replaces the rows by affine combinations of them.
template <class M>
concept mixing = rule_value<M> && requires(const M& m, const geometry& g, arena& memory, affine_map& map) {
  { M::needs } -> std::convertible_to<geometry_needs>;
  { m.mix(g, memory, map) } -> std::same_as<errc>;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_GEOMETRY_HPP
