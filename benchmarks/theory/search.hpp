// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_THEORY_SEARCH_HPP
#define FEDAGG_BENCHMARKS_THEORY_SEARCH_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/core/workspace.hpp>

#include "robustness/rules.hpp"

namespace theory {

/// Looks for the arrangement of n rows and the subset S of n - f of them that make the ratio of a rule largest, at
/// random and uphill from there.
class search {
public:
  search(const nlohmann::json& rule, std::size_t n, std::size_t f, std::uint64_t seed);

  /// The largest ratio in so many aggregations; 0 if none was accepted, infinite if a result was not finite.
  double run(std::size_t tries);

  std::size_t accepted() const { return accepted_; }
  /// The last refusal, `ok` if there was none.
  fedagg::errc refused() const { return refused_; }

private:
  /// n rows of d numbers, the last f of `order_` hostile.
  struct point {
    std::size_t n = 0, d = 0;
    std::vector<double> x;
    std::span<double> row(std::size_t i) { return std::span(x).subspan(i * d, d); }
    std::span<const double> row(std::size_t i) const { return std::span(x).subspan(i * d, d); }
  };

  double uniform();
  double normal();
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(draws_.below(bound)); }
  std::span<const std::size_t> honest() const { return std::span(order_).first(n_ - f_); }
  std::span<const std::size_t> hostile() const { return std::span(order_).last(f_); }

  point random_point(std::size_t start);
  void move(point& p);
  bool settle(point& p) const;
  bool aggregate(const point& p);
  double ratio_of(const point& p, std::span<const std::size_t> subset);
  double ratio(const point& p);
  double over_all_subsets(const point& p);

  study::aggregation rule_;
  std::size_t n_, f_, evaluations_ = 0, accepted_ = 0;
  fedagg::random_stream draws_;
  std::vector<std::size_t> order_;
  std::vector<double> out_, mean_;
  fedagg::cohort clients_;
  fedagg::workspace space_;
  fedagg::errc refused_ = fedagg::errc::ok;
};

} // namespace theory

#endif // FEDAGG_BENCHMARKS_THEORY_SEARCH_HPP
