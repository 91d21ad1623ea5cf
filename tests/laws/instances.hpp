// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_LAWS_INSTANCES_HPP
#define FEDAGG_TESTS_LAWS_INSTANCES_HPP

#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include <fedagg/rules.hpp>

#include "laws/subject.hpp"

namespace laws {

/// By name, so that Eigen is included by one unit only.
template <class R>
constexpr bool is_named(std::string_view name) {
  if constexpr (requires { R::name; }) return R::name == name;
  else return false;
}
template <class R>
constexpr bool is_smea = is_named<R>("smea");
template <class R>
constexpr bool is_caf = is_named<R>("caf");
template <class R>
constexpr bool is_dnc = is_named<R>("dnc");

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
  } else if constexpr (is_smea<R>) {
    // The search takes exponential time in f.
    const auto most = static_cast<std::int64_t>((n - 1) / 2);
    return {{.f = 0}, {.f = most < 2 ? most : 2, .max_nodes = 3000}};
  } else if constexpr (is_caf<R>) {
    // An eigenproblem per iteration, and more iterations the larger f is.
    const auto most = static_cast<std::int64_t>((n < 70 ? n - 1 : 20) / 2);
    return {{.f = 0}, {.f = most / 2}, {.f = most}};
  } else if constexpr (is_dnc<R>) {
    const auto most = static_cast<std::int64_t>((n - 1) / 2);
    return {{.f = 0, .seed = 1}, {.f = most, .seed = 2}, {.f = most / 2, .iterations = 2, .coordinates = 10, .seed = 3}};
  } else {
    static_assert(std::is_same_v<decltype(R::fields()), fedagg::field_list<>>, "a rule with parameters needs legal ones here");
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
                         std::is_same_v<R, fedagg::cge> || std::is_same_v<R, fedagg::bulyan> || is_smea<R> || is_dnc<R>;

template <class R>
constexpr bool needs_origin = requires { R::needs_origin; };

template <class R>
inline constexpr nature nature_of{
    .name = R::name,
    .linear = fedagg::linear_rule<R>,
    .geometric = fedagg::geometric_rule<R>,
    .selecting = fedagg::selecting_rule<R>,
    .selects = selects<R>,
    .on_history = requires { R::on_history; },
    .spectral = is_smea<R> || is_caf<R> || is_dnc<R>,
    .searches = std::is_same_v<R, fedagg::mda> || is_smea<R>,
    .iterates = std::is_same_v<R, fedagg::geometric_median> || std::is_same_v<R, fedagg::centered_clipping> || is_caf<R>,
    // Signs know no sizes.
    .scales = !std::is_same_v<R, fedagg::sign_majority>,
    .sums_in_order = fedagg::linear_rule<R> || fedagg::geometric_rule<R> || std::is_same_v<R, fedagg::robust_learning_rate>,
    // Not where neighbours are counted, where the best subset may take one of two copies, where one row of the
    // server's counts as a client, or where clients that are alike count less.
    .doubles = !requires { R::on_history; } && (!selects<R> || std::is_same_v<R, fedagg::cge> || is_dnc<R>),
    .boxed = !std::is_same_v<R, fedagg::sign_majority> && !std::is_same_v<R, fedagg::robust_learning_rate> &&
             !std::is_same_v<R, fedagg::fltrust>,
    .moves_alone = !needs_origin<R>,
    .updates = needs_origin<R> || requires { R::on_history; },
    .wants_root = std::is_same_v<R, fedagg::fltrust> || std::is_same_v<R, fedagg::monna>,
    .root_counts = std::is_same_v<R, fedagg::monna>,
    .has_f = requires(R r) { r.f; },
};

template <class R>
class subject_of final : public subject {
public:
  explicit subject_of(R rule, const nature& n = nature_of<R>) : subject(n), rule_(std::move(rule)) {}

  fedagg::errc aggregate(const fedagg::cohort& clients, const fedagg::mutable_model_view& out, fedagg::workspace& space,
                         const fedagg::options& how) const noexcept override {
    return fedagg::try_aggregate(rule_, clients, out, space, how);
  }

  std::size_t budget(std::size_t n) const override {
    if constexpr (std::is_same_v<R, fedagg::median>) return (n - 1) / 2;
    else if constexpr (std::is_same_v<R, fedagg::trimmed_mean>)
      return rule_.trim >= 0 ? static_cast<std::size_t>(rule_.trim) : static_cast<std::size_t>(rule_.fraction * static_cast<double>(n));
    else if constexpr (is_dnc<R>) return rule_.f > 0 && reads_all() ? 1 : 0;
    else if constexpr (fedagg::nearest_rule<R> || selects<R> || is_caf<R>) return static_cast<std::size_t>(rule_.f);
    else return 0;
  }

  bool by_fraction() const override {
    if constexpr (requires { rule_.fraction; }) return rule_.fraction >= 0;
    else return false;
  }

  bool reads_all() const override {
    if constexpr (is_dnc<R>) return rule_.coordinates >= 10000;
    else return true;
  }

  bool permutes() const override {
    if constexpr (std::is_same_v<R, fedagg::bulyan>) return rule_.f == 0;
    else return true;
  }

  bool has_no_lower_side() const override {
    if constexpr (std::is_same_v<R, fedagg::median>) return rule_.even != fedagg::middle::lower;
    else return !fedagg::nearest_rule<R> && !fedagg::selecting_rule<R>;
  }

  std::shared_ptr<const subject> doubled(std::size_t n) const override {
    R rule = rule_;
    static_cast<void>(n);
    if constexpr (std::is_same_v<R, fedagg::trimmed_mean>) {
      rule.trim = 2 * static_cast<std::int64_t>(budget(n));
      rule.fraction = fedagg::unset;
    } else if constexpr (requires { rule.f; }) {
      rule.f *= 2;
    } else if constexpr (std::is_same_v<R, fedagg::robust_learning_rate>) {
      rule.threshold *= 2;
    }
    return same_kind(rule);
  }

  std::shared_ptr<const subject> scaled(double factor) const override {
    R rule = rule_;
    if constexpr (requires { rule.tau; }) rule.tau *= factor;
    if constexpr (requires { rule.bound; }) rule.bound *= factor;
    static_cast<void>(factor);
    return same_kind(rule);
  }

  std::shared_ptr<const subject> boundless() const override {
    R rule = rule_;
    if constexpr (requires { rule.tau; }) rule.tau = 1e200;
    if constexpr (requires { rule.bound; }) rule.bound = 1e200;
    return same_kind(rule);
  }

  std::shared_ptr<const subject> with_f(std::int64_t f) const override {
    R rule = rule_;
    if constexpr (requires { rule.f; }) rule.f = f;
    static_cast<void>(f);
    return same_kind(rule);
  }

private:
  std::shared_ptr<const subject> same_kind(const R& rule) const { return std::make_shared<subject_of>(rule, is); }

  R rule_;
};

template <class R>
subjects wrapped(const std::vector<R>& rules) {
  subjects all;
  for (const R& rule : rules) all.push_back(std::make_shared<subject_of<R>>(rule));
  return all;
}

template <class R>
family family_of(R rule) {
  if constexpr (is_dnc<R>) rule.seed = 1;
  return {&nature_of<R>, [](std::size_t n) { return wrapped(instances<R>(n)); },
          [](std::size_t n) { return wrapped(trusting<R>(n)); }, std::make_shared<subject_of<R>>(rule)};
}

template <class... R>
std::vector<family> families_of(const std::tuple<R...>& list) {
  return std::apply([](const auto&... rule) { return std::vector<family>{family_of(rule)...}; }, list);
}

/// Those of `spectral_rule_list`; none without Eigen.
std::vector<family> spectral_families();

/// The same for a rule whose type is known.
template <class T, fedagg::rule_value R>
std::vector<T> result(const R& rule, const numeric::matrix<T>& x, std::span<const double> weights = {},
                      const fedagg::options& how = {}, fedagg::errc* code = nullptr, const setting<T>& more = {}) {
  return result<T>(subject_of<R>(rule), x, weights, how, code, more);
}

} // namespace laws

#endif // FEDAGG_TESTS_LAWS_INSTANCES_HPP
