// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_LAWS_INSTANCES_HPP
#define FEDAGG_TESTS_LAWS_INSTANCES_HPP

#include <tuple>
#include <type_traits>
#include <vector>

#include <fedagg/mixing/arc.hpp>
#include <fedagg/mixing/bucketing.hpp>
#include <fedagg/mixing/nnm.hpp>
#include <fedagg/mixing/static_clipping.hpp>
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
  } else if constexpr (fedagg::nearest_rule<R>) {
    const auto most = static_cast<std::int64_t>((n - 1) / 2);
    return {{.f = 0}, {.f = most / 2}, {.f = most}};
  } else if constexpr (std::is_same_v<R, fedagg::sign_majority>) {
    static_cast<void>(n);
    return {{}, {.scale = 0.25}};
  } else if constexpr (std::is_same_v<R, fedagg::robust_learning_rate>) {
    const auto all = static_cast<std::int64_t>(n);
    return {{.threshold = 0}, {.threshold = (all + 1) / 2}, {.threshold = all}};
  } else if constexpr (std::is_same_v<R, fedagg::krum> || std::is_same_v<R, fedagg::multi_krum>) {
    const auto most = n < 3 ? 0 : static_cast<std::int64_t>((n - 3) / 2);
    if (n < 3) return {R::byzfl(0), R::fedml(0)};
    if constexpr (std::is_same_v<R, fedagg::multi_krum>) return {{.f = 0}, {.f = most, .select = 1}, R::byzfl(most)};
    else return {{.f = 0}, {.f = most}, R::fedlib(most / 2), R::flower(most)};
  } else if constexpr (std::is_same_v<R, fedagg::mda>) {
    // The search takes exponential time in f.
    const auto most = static_cast<std::int64_t>((n - 1) / 2);
    return {{.f = 0}, {.f = most < 3 ? most : 3}};
  } else if constexpr (std::is_same_v<R, fedagg::monna> || std::is_same_v<R, fedagg::cge>) {
    const auto most = static_cast<std::int64_t>((n - 1) / 2);
    return {{.f = 0}, {.f = most / 2}, {.f = most}};
  } else if constexpr (std::is_same_v<R, fedagg::centered_clipping>) {
    static_cast<void>(n);
    return {{.tau = 2}, {.tau = 0.5, .iterations = 4}};
  } else if constexpr (std::is_same_v<R, fedagg::norm_bounding>) {
    static_cast<void>(n);
    return {{.bound = 2}, {.bound = 1e200}};
  } else if constexpr (std::is_same_v<R, fedagg::geometric_median>) {
    static_cast<void>(n);
    return {{}};
  } else if constexpr (std::is_same_v<R, fedagg::bulyan>) {
    if (n < 3) return {};
    const auto most = static_cast<std::int64_t>((n - 3) / 4);
    return {{.f = 0}, {.f = most}, R::flower(most)};
  } else if constexpr (std::is_same_v<R, fedagg::sign_guard>) {
    static_cast<void>(n);
    return {{}, {.low = 0, .high = 1e9}};
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
  if constexpr (std::is_same_v<R, fedagg::geometric_median>) all.push_back({.weighting = fedagg::weights::trusted});
  return all;
}

/// The mean of some of the clients, whom their distances or norms choose; of equals the first.
template <class R>
constexpr bool selects = std::is_same_v<R, fedagg::krum> || std::is_same_v<R, fedagg::multi_krum> ||
                         std::is_same_v<R, fedagg::mda> || std::is_same_v<R, fedagg::monna> ||
                         std::is_same_v<R, fedagg::cge> || std::is_same_v<R, fedagg::bulyan>;

/// Clients that are alike count less, by what they have sent so far.
template <class R>
constexpr bool on_history = requires { R::on_history; };

/// How many hostile clients of n cannot move the result beyond the honest ones.
template <class R>
std::size_t budget(const R& rule, std::size_t n) {
  if constexpr (std::is_same_v<R, fedagg::median>) return (n - 1) / 2;
  else if constexpr (std::is_same_v<R, fedagg::trimmed_mean>)
    return rule.trim >= 0 ? static_cast<std::size_t>(rule.trim) : static_cast<std::size_t>(rule.fraction * static_cast<double>(n));
  else if constexpr (fedagg::nearest_rule<R> || selects<R>) return static_cast<std::size_t>(rule.f);
  else return 0;
}

/// A factor of all clients scales the result: signs know no sizes.
template <class R>
constexpr bool scales = !std::is_same_v<R, fedagg::sign_majority>;

/// Sums in the order of the clients, so that another order may round in another way.
template <class R>
constexpr bool sums_in_order = fedagg::linear_rule<R> || fedagg::geometric_rule<R> || std::is_same_v<R, fedagg::robust_learning_rate>;

/// An iteration that comes as near as it can, or bounds that are lengths.
template <class R>
constexpr bool iterates = std::is_same_v<R, fedagg::geometric_median> || std::is_same_v<R, fedagg::centered_clipping>;

/// A coordinate's result depends on that coordinate alone.
template <class R>
constexpr bool is_local = !fedagg::geometric_rule<R>;

/// The negated clients give the negated result: not where the lower of two values is preferred.
template <class R>
bool has_no_lower_side(const R& rule) {
  if constexpr (std::is_same_v<R, fedagg::median>) return rule.even != fedagg::middle::lower;
  else return !fedagg::nearest_rule<R> && !fedagg::selecting_rule<R>;
}

/// The clients twice give the same result, with twice the budget: not where neighbours are counted, or one row of the
/// server's counts as a client.
template <class R>
constexpr bool doubles = !on_history<R> && (!selects<R> || std::is_same_v<R, fedagg::cge>);

/// The same rule for a cohort in which each of n clients stands twice.
template <class R>
R doubled(R rule, std::size_t n) {
  if constexpr (std::is_same_v<R, fedagg::trimmed_mean>) {
    rule.trim = 2 * static_cast<std::int64_t>(budget(rule, n));
    rule.fraction = fedagg::unset;
  } else if constexpr (fedagg::nearest_rule<R> || selects<R>) {
    rule.f *= 2;
  } else if constexpr (std::is_same_v<R, fedagg::robust_learning_rate>) {
    rule.threshold *= 2;
  }
  static_cast<void>(n);
  return rule;
}

/// The same rule for clients of `factor` times the size.
template <class R>
R scaled(R rule, double factor) {
  if constexpr (requires { rule.tau; }) rule.tau *= factor;
  if constexpr (requires { rule.bound; }) rule.bound *= factor;
  static_cast<void>(factor);
  return rule;
}

/// What a rule may be given besides the clients: the model they started from, and a row of the server's own.
template <class T>
struct setting {
  std::vector<T> base, trusted;
};

/// A fixed row for rules that need a trusted one.
template <class T>
std::vector<T> some_root(std::size_t d) {
  return numeric::sample<T>(numeric::kind::normal, 1, d, 99).data;
}

/// What the clients send now, as their history, for rules that ask for one.
template <class R>
void remember(fedagg::cohort& clients, fedagg::cohort& sums) {
  if constexpr (on_history<R>) {
    sums = clients;
    sums.updates();
    clients.history(sums);
  } else {
    static_cast<void>(clients);
    static_cast<void>(sums);
  }
}

/// The aggregate, or an empty vector where the round was refused. Rows are updates where the rule needs an origin and
/// there is no base.
template <class T, class R>
std::vector<T> result(const R& rule, const numeric::matrix<T>& x, std::span<const double> weights = {},
                      const fedagg::options& how = {}, fedagg::errc* code = nullptr, const setting<T>& more = {}) {
  fedagg::cohort clients, sums;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  remember<R>(clients, sums);
  if (!more.base.empty()) clients.base(more.base);
  else if constexpr (fedagg::chained_rule<R> || on_history<R> || requires { R::needs_origin; }) clients.updates();
  if (!weights.empty()) clients.weights(weights);
  const std::vector<T> root = more.trusted.empty() ? some_root<T>(x.d) : more.trusted;
  if constexpr (std::is_same_v<R, fedagg::fltrust> || std::is_same_v<R, fedagg::monna>) clients.trusted(root);
  else if (!more.trusted.empty()) clients.trusted(root);
  std::vector<T> out(x.d);
  fedagg::workspace space;
  const fedagg::errc rc = [&] {
    const numeric::mode callers(numeric::worst);
    return fedagg::try_aggregate(rule, clients, out, space, how);
  }();
  if (code) *code = rc;
  if (rc != fedagg::errc::ok) out.clear();
  return out;
}

/// A bound of a coordinate's error before its rounding to the element type: twice a rounding of every client's part.
inline numeric::quad slack(const std::vector<double>& column) {
  double most = 0;
  for (const double x : column) most = std::max(most, x < 0 ? -x : x);
  return numeric::quad(2 * column.size()) * numeric::unit * numeric::quad(most);
}

/// Chains that are legal for five clients or more.
template <class F>
void for_each_chain(F&& f) {
  using namespace fedagg;
  f("nnm | krum", nnm{.f = 1} | krum{.f = 1});
  f("arc | nnm | trimmed_mean", arc{.f = 2} | nnm{.f = 2} | trimmed_mean{.trim = 1});
  f("bucketing | median", bucketing{.size = 2, .seed = 7} | median{});
  f("static_clipping | mean", static_clipping{.threshold = 1.5} | mean{});
  f("nnm | mean", nnm{.f = 1} | mean{});
  f("bucketing | arc | geometric_median", bucketing{.size = 2, .seed = 8} | arc{.f = 1} | geometric_median{});
}

template <class F>
void for_each_rule(F&& f) {
  std::apply([&](const auto&... rule) { (f(rule), ...); }, fedagg::rule_list{});
}

} // namespace laws

#endif // FEDAGG_TESTS_LAWS_INSTANCES_HPP
