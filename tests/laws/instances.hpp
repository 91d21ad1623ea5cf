// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_LAWS_INSTANCES_HPP
#define FEDAGG_TESTS_LAWS_INSTANCES_HPP

#include <tuple>
#include <type_traits>
#include <vector>

#include <fedagg/rules.hpp>

#include "support/numeric.hpp"

namespace laws {

/// Rules with parameters that are legal for n clients; a rule without parameters needs nothing here.
template <class R>
std::vector<R> instances(std::size_t n) {
  if constexpr (std::is_same_v<R, fedagg::median>) {
    static_cast<void>(n);
    return {{}, {.even = fedagg::middle::lower}};
  } else if constexpr (std::is_same_v<R, fedagg::trimmed_mean>) {
    const auto most = static_cast<std::int64_t>((n - 1) / 2);
    return {{.trim = 0}, {.trim = most / 2}, {.trim = most}, {.fraction = 0.2}};
  } else {
    static_assert(std::tuple_size_v<decltype(R::fields())> == 0, "a rule with parameters needs legal ones here");
    return {R{}};
  }
}

/// The same with trusted weights, where the rule has such a form.
template <class R>
std::vector<R> trusting(std::size_t n) {
  std::vector<R> all;
  if constexpr (fedagg::weighable_rule<R>) {
    for (R r : instances<R>(n)) {
      r.weighting = fedagg::weights::trusted;
      all.push_back(r);
    }
    if constexpr (requires { R::mass; }) all.push_back(R{.mass = 0.2, .weighting = fedagg::weights::trusted});
  }
  return all;
}

/// How many hostile clients of n cannot move the result beyond the honest ones.
template <class R>
std::size_t budget(const R& rule, std::size_t n) {
  if constexpr (std::is_same_v<R, fedagg::median>) return (n - 1) / 2;
  else if constexpr (std::is_same_v<R, fedagg::trimmed_mean>)
    return rule.trim >= 0 ? static_cast<std::size_t>(rule.trim) : static_cast<std::size_t>(rule.fraction * static_cast<double>(n));
  else return 0;
}

/// A bound of a coordinate's error before its rounding to the element type: twice a rounding of every client's part.
inline numeric::quad slack(const std::vector<double>& column) {
  double most = 0;
  for (const double x : column) most = std::max(most, x < 0 ? -x : x);
  return numeric::quad(2 * column.size()) * numeric::unit * numeric::quad(most);
}

template <class F>
void for_each_rule(F&& f) {
  std::apply([&](const auto&... rule) { (f(rule), ...); }, fedagg::rule_list{});
}

} // namespace laws

#endif // FEDAGG_TESTS_LAWS_INSTANCES_HPP
