// SPDX-License-Identifier: MIT
#include <cmath>
#include <string>
#include <tuple>

#include <fedagg/mixing/arc.hpp>
#include <fedagg/mixing/bucketing.hpp>
#include <fedagg/mixing/nnm.hpp>
#include <fedagg/mixing/static_clipping.hpp>
#include <fedagg/passes/geometric.hpp>
#include <fedagg/rules.hpp>

#include "compiled/rules.hpp"
#include "support/allocations.hpp"
#include "support/geometry.hpp"
#include "support/rounds.hpp"

using namespace fedagg;
using rounds::guarded;
using shapes::exact;
using shapes::real;

namespace elsewhere {

/// The middle of the two clients that are closest to each other: all that a geometric rule of one's own needs.
struct closest_pair {
  static constexpr const char* name = "closest_pair";
  static constexpr geometry_needs needs = geometry_needs::distances;
  static constexpr auto fields() { return std::tuple{}; }
  errc coefficients(const geometry& g, arena&, solution& s) const noexcept {
    if (g.rows < 2) return errc::too_few_clients;
    std::size_t a = 0, b = 1;
    for (std::size_t i = 0; i < g.rows; ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (g.square_distance(i, j) < g.square_distance(a, b)) a = j, b = i;
    s.coefficients[a] = s.coefficients[b] = 1;
    s.divisor = 2;
    return errc::ok;
  }
};

/// A stage of one's own: every row halfway to the origin.
struct halved {
  static constexpr const char* name = "halved";
  static constexpr geometry_needs needs = geometry_needs::nothing;
  static constexpr bool needs_origin = true;
  static constexpr bool scales_rows = true;
  static constexpr auto fields() { return std::tuple{}; }
  errc mix(const geometry& g, arena& memory, affine_map& map) const {
    map.start(memory, g.rows, g.rows, g.rows);
    map.whole = false;
    for (std::size_t i = 0; i < g.rows; ++i) {
      map.put(i, 0.5);
      map.end_row();
    }
    return errc::ok;
  }
};

/// Claims that its coefficients need an origin, and does not ask for one.
struct half_of_the_first {
  static constexpr const char* name = "half_of_the_first";
  static constexpr geometry_needs needs = geometry_needs::nothing;
  static constexpr auto fields() { return std::tuple{}; }
  errc coefficients(const geometry&, arena&, solution& s) const noexcept {
    s.coefficients[0] = 0.5;
    s.whole = false;
    return errc::ok;
  }
};

} // namespace elsewhere

namespace {

enum class as { models, based, updates };
const char* name_of(as way) { return way == as::models ? "models" : way == as::based ? "with a base" : "updates"; }

/// n clients of four tensors: f32 transposed, f64, bf16 and counters.
struct model {
  static constexpr std::size_t sizes[] = {60, 23, 17, 3};
  static constexpr const char* names[] = {"body.weight", "body.bias", "head.weight", "count"};
  std::size_t n;
  numeric::matrix<float> a;
  numeric::matrix<double> b;
  numeric::matrix<bfloat16> c;
  numeric::matrix<std::int32_t> k;
  std::vector<float> out_a = std::vector<float>(60);
  std::vector<double> out_b = std::vector<double>(23);
  std::vector<bfloat16> out_c = std::vector<bfloat16>(17);
  std::vector<std::int32_t> out_k = std::vector<std::int32_t>(3);
  cohort clients;
  mutable_model_view out;
  bool counters;
  as way;

  /// Rows n and n + 1 are the base and the trusted row.
  model(std::size_t clients_, as way_, std::uint64_t seed, bool counters_ = true, bool trusted = false)
      : n(clients_), a(numeric::sample<float>(numeric::kind::normal, n + 2, 60, seed)),
        b(numeric::sample<double>(numeric::kind::normal, n + 2, 23, seed + 1)),
        c(numeric::sample<bfloat16>(numeric::kind::normal, n + 2, 17, seed + 2)), k(n + 2, 3), counters(counters_),
        way(way_) {
    std::mt19937_64 random(seed);
    for (auto& x : k.data) x = static_cast<std::int32_t>(random() % 2001) - 1000;
    for (std::size_t i = 0; i < n; ++i) clients.add(view_of(i), {.weight = 1 + static_cast<double>(i % 3)});
    if (way == as::based) clients.base(view_of(n));
    if (way == as::updates) clients.updates();
    if (trusted) clients.trusted(view_of(n + 1));
    out.add(names[0], strided(out_a.data())).add(names[1], out_b).add(names[2], out_c);
    if (counters) out.add(names[3], out_k);
  }
  template <class T>
  static tensor_view<T> strided(T* data) {
    static constexpr std::size_t shape[] = {6, 10};
    static constexpr std::ptrdiff_t strides[] = {1, 6};
    return {data, shape, strides};
  }
  model_view view_of(std::size_t i) const {
    model_view m;
    m.add(names[0], strided(a.row(i).data())).add(names[1], b.row(i)).add(names[2], c.row(i));
    if (counters) m.add(names[3], k.row(i));
    return m;
  }
  /// Coordinates of some tensors, in the order of memory.
  shapes::vector row(std::size_t i, const std::vector<int>& tensors) const {
    shapes::vector x;
    for (const int t : tensors) {
      if (t == 0) x.insert(x.end(), a.row(i).begin(), a.row(i).end());
      if (t == 1) x.insert(x.end(), b.row(i).begin(), b.row(i).end());
      if (t == 2)
        for (const bfloat16 v : c.row(i)) x.push_back(numeric::value(v));
      if (t == 3) x.insert(x.end(), k.row(i).begin(), k.row(i).end());
    }
    return x;
  }
  shapes::vector result(int t) const {
    if (t == 0) return {out_a.begin(), out_a.end()};
    if (t == 1) return out_b;
    if (t == 3) return {out_k.begin(), out_k.end()};
    shapes::vector x;
    for (const bfloat16 v : out_c) x.push_back(numeric::value(v));
    return x;
  }
};

/// Rows as the geometry sees them, and with the counters that it does not see.
struct explicit_rows {
  std::vector<exact> seen, all;
  exact seen_base, all_base, seen_trusted, all_trusted;
  bool origin = false;
  std::vector<real> weights;

  shapes::shape shape() const {
    shapes::extras e;
    e.origin = origin;
    e.base.assign(seen_base.begin(), seen_base.end());
    e.trusted.assign(seen_trusted.begin(), seen_trusted.end());
    shapes::matrix x;
    for (const exact& r : seen) x.emplace_back(r.begin(), r.end());
    return shapes::shape(x, e);
  }
};

/// base + sum_i a_i (row_i - base), in long double.
exact affine(const real* share, const std::vector<exact>& x, const exact& base) {
  exact y(base);
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < y.size(); ++j) y[j] += share[i] * (x[i][j] - base[j]);
  return y;
}

/// The rows that a stage makes, explicitly.
template <class Stage>
errc apply(const Stage& stage, explicit_rows& r) {
  const shapes::mixed m = shapes::mix(stage, r.shape());
  if (m.code != errc::ok) return m.code;
  explicit_rows next = r;
  next.seen.clear();
  next.all.clear();
  for (std::size_t k = 0; k < m.map.out; ++k) {
    std::vector<real> share(m.entries.begin() + static_cast<std::ptrdiff_t>(k * m.map.in),
                            m.entries.begin() + static_cast<std::ptrdiff_t>((k + 1) * m.map.in));
    // What sums to one in the rule's arithmetic does so here, too.
    real sum = 0;
    for (const real s : share) sum += s;
    if (m.map.whole)
      for (real& s : share) s /= sum;
    next.seen.push_back(affine(share.data(), r.seen, r.seen_base));
    next.all.push_back(affine(share.data(), r.all, r.all_base));
  }
  if constexpr (!requires { requires Stage::scales_rows; }) next.weights.assign(next.all.size(), 1);
  r = next;
  return errc::ok;
}

/// The rule on explicit rows.
template <class Rule>
errc finish(const Rule& rule, const explicit_rows& r, exact& want) {
  if constexpr (geometric_rule<Rule>) {
    const shapes::answer a = shapes::solve(rule, r.shape());
    if (a.code != errc::ok) return a.code;
    std::vector<exact> all = r.all;
    if (!r.all_trusted.empty()) all.push_back(r.all_trusted);
    std::vector<real> share(a.coefficients.begin(), a.coefficients.end());
    for (real& s : share) s /= real(a.s.divisor);
    want = affine(share.data(), all, r.all_base);
  } else if constexpr (linear_rule<Rule>) {
    std::vector<real> share(r.weights);
    real sum = 0;
    for (const real w : share) sum += w;
    for (real& w : share) w /= sum;
    want = affine(share.data(), r.all, r.all_base);
  } else {
    std::size_t first = (r.all.size() - 1) / 2, last = r.all.size() / 2 + 1;
    if constexpr (requires { rule.trim; }) {
      first = static_cast<std::size_t>(rule.trim);
      last = r.all.size() - first;
    }
    want.assign(r.all_base.size(), 0);
    for (std::size_t j = 0; j < want.size(); ++j) {
      exact column;
      for (const exact& x : r.all) column.push_back(x[j]);
      std::sort(column.begin(), column.end());
      for (std::size_t i = first; i < last; ++i) want[j] += column[i] / real(last - first);
    }
  }
  return errc::ok;
}

template <class... Parts>
errc by_hand(const chained<Parts...>& chain, explicit_rows r, exact& want) {
  constexpr std::size_t stages = sizeof...(Parts) - 1;
  const std::tuple parts = fedagg::detail::with_fields([](const auto&... p) { return std::tuple(p...); }, chain.parts);
  errc rc = errc::ok;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    static_cast<void>((((rc = apply(std::get<I>(parts), r)) == errc::ok) && ...));
  }
  (std::make_index_sequence<stages>{});
  return rc == errc::ok ? finish(std::get<stages>(parts), r, want) : rc;
}
template <class Rule>
errc by_hand(const Rule& rule, const explicit_rows& r, exact& want) {
  return finish(rule, r, want);
}

/// Rounded once to the tensor's type after sums in double; counters to the nearest integer.
void check_tensor(const model& m, int t, const exact& want) {
  const auto got = m.result(t);
  REQUIRE(got.size() == want.size());
  std::size_t wrong = 0;
  double most = 0;
  for (std::size_t j = 0; j < got.size(); ++j) {
    most = std::max(most, static_cast<double>(std::abs(real(got[j]) - want[j])));
    const real slack = 1e-7L * (1 + std::abs(want[j])), error = std::abs(real(got[j]) - want[j]);
    // Differences from a base are rounded to f32 before they are multiplied, mixed rows before they are sorted.
    const real unit = t == 0 ? 0x1p-23L : t == 1 ? 0x1p-51L : t == 2 ? 0x1.02p-8L : 0;
    wrong += !(error <= (t == 3 ? 0.5L + 1e-4L : unit * 2) + slack);
  }
  INFO("tensor " << model::names[t] << ", off by " << most);
  CHECK(wrong == 0);
}

enum class where { whole, each, pattern };

template <class Rule>
void check_against_hand(const Rule& rule, as way, where at, std::size_t n, std::uint64_t seed, bool trusted = false) {
  // Counters alone have no geometry.
  model m(n, way, seed, at != where::each, trusted);
  options how;
  how.where = at == where::whole  ? scope::whole_model()
              : at == where::each ? scope::each_tensor()
                                  : scope::matching("*o*.weight");
  INFO(name_of(way) << ", scope " << static_cast<int>(at) << ", n=" << n << " seed " << seed);
  std::vector<std::vector<int>> problems{{0, 1, 2, 3}};
  if (at == where::each) problems = {{0}, {1}, {2}};
  if (at == where::pattern) problems = {{0}};
  workspace space;
  for (const fedagg::write write : {fedagg::write::direct, fedagg::write::atomic}) {
    how.write = write;
    const errc rc = try_aggregate(rule, m.clients, m.out, space, how);
    INFO(message(rc));
    REQUIRE(rc == errc::ok);
    CHECK(space.result().state == output::written);
    for (const auto& tensors : problems) {
      explicit_rows r;
      r.origin = way != as::models;
      const auto fill = [&](std::size_t i, exact& seen, exact& all) {
        std::vector<int> floats(tensors);
        if (floats.back() == 3) floats.pop_back();
        seen = shapes::widen(m.row(i, floats));
        all = shapes::widen(m.row(i, tensors));
      };
      r.seen.resize(n);
      r.all.resize(n);
      for (std::size_t i = 0; i < n; ++i) r.weights.push_back(m.clients.weight(i));
      for (std::size_t i = 0; i < n; ++i) fill(i, r.seen[i], r.all[i]);
      fill(n, r.seen_base, r.all_base);
      if (way != as::based) {
        r.seen_base.assign(r.seen_base.size(), 0);
        r.all_base.assign(r.all_base.size(), 0);
      }
      if (trusted) fill(n + 1, r.seen_trusted, r.all_trusted);
      exact want;
      REQUIRE(by_hand(rule, r, want) == errc::ok);
      std::size_t from = 0;
      for (const int t : tensors) {
        const auto size = static_cast<std::ptrdiff_t>(model::sizes[t]);
        check_tensor(m, t,
                     exact(want.begin() + static_cast<std::ptrdiff_t>(from),
                           want.begin() + static_cast<std::ptrdiff_t>(from) + size));
        from += model::sizes[t];
      }
    }
  }
}

template <class Rule>
void check_everywhere(const Rule& rule, bool needs_origin, bool trusted = false, int line = __builtin_LINE()) {
  INFO("called in line " << line);
  for (const as way : {as::models, as::based, as::updates}) {
    if (needs_origin && way == as::models) continue;
    for (const where at : {where::whole, where::each, where::pattern})
      for (const std::size_t n : {std::size_t{7}, std::size_t{12}})
        check_against_hand(rule, way, at, n, n * 31, trusted);
  }
}

} // namespace

TEST_CASE("geometric rules equal what long double says, in every scope") {
  check_everywhere(krum{.f = 1}, false);
  check_everywhere(multi_krum{.f = 2}, false);
  check_everywhere(mda{.f = 2}, false);
  check_everywhere(monna{.f = 2}, false, true);
  check_everywhere(geometric_median{}, false);
  check_everywhere(cge{.f = 2}, true);
  check_everywhere(centered_clipping{.tau = 1, .iterations = 4}, true);
  check_everywhere(centered_clipping{.tau = 1, .iterations = 4}, true, true);
  check_everywhere(fltrust{}, true, true);
  check_everywhere(norm_bounding{.bound = 1}, true);
}

TEST_CASE("a chain is the rule on explicitly mixed rows, in every scope") {
  check_everywhere(nnm{.f = 2} | krum{.f = 2}, false);
  check_everywhere(nnm{.f = 2} | mean{}, false);
  check_everywhere(nnm{.f = 1} | trimmed_mean{.trim = 2}, false);
  check_everywhere(bucketing{.size = 2, .seed = 5} | median{}, false);
  check_everywhere(bucketing{.size = 2, .seed = 6} | geometric_median{}, false);
  check_everywhere(static_clipping{.threshold = 2} | mean{}, true);
  check_everywhere(static_clipping{.threshold = 2} | nnm{.f = 1} | multi_krum{.f = 1}, true);
  check_everywhere(arc{.f = 2} | nnm{.f = 2} | trimmed_mean{.trim = 1}, true);
  check_everywhere(arc{.f = 2} | nnm{.f = 2} | krum{.f = 2}, true);
  check_everywhere(nnm{.f = 2} | arc{.f = 1} | bucketing{.size = 2, .seed = 1} | cge{.f = 1}, true);
  check_everywhere(arc{.f = 2} | fltrust{}, true, true);
  check_everywhere(arc{.f = 1} | nnm{.f = 1} | centered_clipping{.tau = 0.5, .iterations = 3}, true, true);
  check_everywhere(nnm{.f = 2} | monna{.f = 2}, false, true);
  check_everywhere(arc{.f = 2} | monna{.f = 2}, true, true);
}

TEST_CASE("rules and stages of the user's own work alone and in chains") {
  check_everywhere(elsewhere::closest_pair{}, false);
  check_everywhere(nnm{.f = 1} | elsewhere::closest_pair{}, false);
  check_everywhere(chain(elsewhere::halved{}, elsewhere::closest_pair{}), true);
  check_everywhere(elsewhere::halved{} | median{}, true);
}

TEST_CASE("a chain costs one measurement and one sweep") {
  model m(9, as::updates, 3);
  // Far from zero and from each other: no pair has to be measured again.
  workspace space;
  REQUIRE(try_aggregate(arc{.f = 2} | nnm{.f = 2} | krum{.f = 1}, m.clients, m.out, space) == errc::ok);
  CHECK(space.result().passes == 2);
  REQUIRE(try_aggregate(arc{.f = 2} | trimmed_mean{.trim = 2}, m.clients, m.out, space) == errc::ok);
  CHECK(space.result().passes == 2);
  REQUIRE(try_aggregate(bucketing{.size = 2, .seed = 1} | median{}, m.clients, m.out, space) == errc::ok);
  CHECK(space.result().passes == 1);
  options how;
  how.write = fedagg::write::atomic;
  REQUIRE(try_aggregate(arc{.f = 2} | nnm{.f = 2} | krum{.f = 1}, m.clients, m.out, space, how) == errc::ok);
  CHECK(space.result().passes == 3);
  // Tensors by themselves are parts of the same memory.
  model floats(9, as::updates, 3, false);
  how = {};
  how.where = scope::each_tensor();
  REQUIRE(try_aggregate(nnm{.f = 2} | krum{.f = 1}, floats.clients, floats.out, space, how) == errc::ok);
  CHECK(space.result().passes == 2);
}

TEST_CASE("the outcome tells every client's share") {
  model m(9, as::updates, 4);
  rounds::spoil(m.a.at(2, 17), 0);
  rounds::spoil(m.b.at(6, 3), 1);
  workspace space;
  const auto check = [&](const auto& rule, bool whole) {
    REQUIRE(try_aggregate(rule, m.clients, m.out, space) == errc::ok);
    const outcome& o = space.result();
    REQUIRE(o.coefficients.size() == 9);
    CHECK(o.used == 7);
    REQUIRE(o.rejected.size() == 2);
    CHECK((o.rejected[0].client == 2 && o.rejected[0].reason == errc::non_finite && o.rejected[0].tensor == 0));
    CHECK((o.rejected[1].client == 6 && o.rejected[1].tensor_name == "body.bias"));
    CHECK((o.coefficients[2] == 0 && o.coefficients[6] == 0));
    double sum = 0;
    for (const double a : o.coefficients) {
      CHECK(a >= 0);
      sum += a;
    }
    if (whole)
      CHECK(std::abs(sum - 1) <= 1e-12);
    else
      CHECK(sum < 1);
  };
  check(krum{.f = 1}, true);
  check(nnm{.f = 2} | multi_krum{.f = 1}, true);
  check(nnm{.f = 1} | mean{}, true);
  check(geometric_median{}, true);
  check(arc{.f = 2} | mean{}, false);
  check(static_clipping{.threshold = 0.5} | krum{.f = 1}, false);
  check(norm_bounding{.bound = 0.5}, false);
  // One block of shares and scores for each tensor.
  model floats(9, as::updates, 4, false);
  options each;
  each.where = scope::each_tensor();
  REQUIRE(try_aggregate(krum{.f = 1}, floats.clients, floats.out, space, each) == errc::ok);
  CHECK(space.result().coefficients.size() == 27);
  CHECK(space.result().scores.size() == 27);
}

TEST_CASE("what a caller gets wrong is refused before anything is written") {
  const auto check = [](const auto& rule, const cohort& clients, errc want, const options& how = {}) {
    guarded<float> out(3);
    workspace space;
    const errc rc = try_aggregate(rule, clients, out.data, space, how);
    INFO(message(rc) << " for " << message(want));
    CHECK(rc == want);
    CHECK(space.result().code == want);
    CHECK(space.result().state == output::untouched);
    CHECK(out.untouched());
  };
  const auto x = numeric::sample<float>(numeric::kind::normal, 6, 3, 9);
  const std::vector<float> root{1, 2, 3}, longer{1, 2, 3, 4};
  const auto cohort_of = [&](std::size_t n) {
    cohort c;
    for (std::size_t i = 0; i < n; ++i) c.add(x.row(i));
    return c;
  };
  cohort raw = cohort_of(6), none;
  check(krum{.f = 1}, none, errc::empty_cohort);
  check(krum{}, raw, errc::bad_parameter);
  check(krum{.f = 1, .power = 7}, raw, errc::bad_parameter);
  check(nnm{} | mean{}, raw, errc::bad_parameter);
  check(bucketing{.size = 0, .seed = 1} | mean{}, raw, errc::bad_parameter);
  check(krum{.f = 2}, raw, errc::too_few_clients);
  check(nnm{.f = 3} | mean{}, raw, errc::too_few_clients);
  check(mda{.f = 3}, raw, errc::too_few_clients);
  check(bucketing{.size = 3, .seed = 1} | krum{.f = 1}, raw, errc::too_few_clients);
  check(bucketing{.size = 3, .seed = 1} | trimmed_mean{.trim = 1}, raw, errc::too_few_clients);
  for (const auto when : {fedagg::write::direct, fedagg::write::atomic}) {
    options how;
    how.write = when;
    check(cge{.f = 1}, raw, errc::missing_origin, how);
    check(arc{.f = 1} | mean{}, raw, errc::missing_origin, how);
    check(nnm{.f = 1} | static_clipping{.threshold = 1} | median{}, raw, errc::missing_origin, how);
    check(nnm{.f = 1} | sign_majority{}, raw, errc::missing_origin, how);
    check(elsewhere::half_of_the_first{}, raw, errc::missing_origin, how);
    check(monna{.f = 1}, raw, errc::missing_trusted, how);
    check(monna{.f = 1, .pivot = 6}, raw, errc::missing_trusted, how);
  }
  options how;
  how.on_bad_client = bad_client::propagate;
  check(krum{.f = 1}, raw, errc::bad_parameter, how);
  check(nnm{.f = 1} | mean{}, raw, errc::bad_parameter, how);
  how = {};
  how.where = scope::matching("nothing");
  check(krum{.f = 1}, raw, errc::empty_scope, how);

  cohort updates = cohort_of(6);
  updates.updates();
  check(fltrust{}, updates, errc::missing_trusted);
  updates.trusted(longer);
  check(fltrust{}, updates, errc::layout_mismatch);
  check(krum{.f = 1}, updates, errc::layout_mismatch);
  std::vector<float> bad = root;
  rounds::spoil(bad[1], 2);
  updates.trusted(bad);
  check(fltrust{}, updates, errc::non_finite);
  check(centered_clipping{.tau = 1}, updates, errc::non_finite);

  // Claims of clients are worth nothing where several of them make up a row, and mixed columns are not weighed.
  cohort claims = cohort_of(6);
  claims.updates();
  const double weights[] = {1, 2, 3, 2, 1, 2};
  claims.weights(weights);
  check(nnm{.f = 1} | geometric_median{.weighting = weights::trusted}, claims, errc::bad_parameter);
  check(nnm{.f = 1} | median{.weighting = weights::trusted}, claims, errc::bad_parameter);
  check(arc{.f = 1} | median{.weighting = weights::trusted}, claims, errc::bad_parameter);
  std::vector<float> out(3);
  workspace space;
  REQUIRE(try_aggregate(arc{.f = 1} | geometric_median{.weighting = weights::trusted}, claims, out, space) == errc::ok);
  CHECK(space.result().weights_used);
  // A trusted client is not to be found among rows that several make up.
  check(nnm{.f = 1} | monna{.f = 1, .pivot = 2}, claims, errc::missing_trusted);
}

TEST_CASE("clients whose squares leave the range of doubles are rejected by that name") {
  auto x = numeric::sample<double>(numeric::kind::normal, 9, 40, 3);
  x.at(4, 7) = -1e200;
  // Each square is finite, their sum is not.
  for (std::size_t j = 0; j < 40; ++j) x.at(6, j) = 5e153;
  std::vector<double> out(40), server(40, 1.0);
  cohort c;
  for (std::size_t i = 0; i < 9; ++i) c.add(x.row(i));
  c.updates().trusted(server);
  workspace space;
  const auto check = [&](const auto& rule) {
    REQUIRE(try_aggregate(rule, c, out, space) == errc::ok);
    const auto& left_out = space.result().rejected;
    REQUIRE(left_out.size() == 2);
    CHECK((left_out[0].client == 4 && left_out[0].reason == errc::client_range && left_out[0].tensor == 0));
    CHECK((left_out[1].client == 6 && left_out[1].reason == errc::client_range));
    options how;
    how.on_bad_client = bad_client::fail;
    CHECK(try_aggregate(rule, c, out, space, how) == errc::client_range);
  };
  check(krum{.f = 1});
  check(cge{.f = 1});
  check(fltrust{});
  check(arc{.f = 1} | median{});
  check(nnm{.f = 1} | mean{});
  // The server's own row.
  cohort own;
  for (std::size_t i = 0; i < 3; ++i) own.add(x.row(i));
  own.updates().trusted(x.row(4));
  CHECK(try_aggregate(fltrust{}, own, out, space) == errc::client_range);
  CHECK(try_aggregate(centered_clipping{.tau = 1}, own, out, space) == errc::client_range);
  // Rules that measure nothing have no such limit.
  CHECK(try_aggregate(median{}, c, out, space) == errc::ok);
  CHECK(space.result().rejected.empty());
}

TEST_CASE("outputs that overlap the trusted row are refused") {
  const auto x = numeric::sample<float>(numeric::kind::normal, 6, 3, 9);
  guarded<float> out(5);
  cohort c;
  for (std::size_t i = 0; i < 6; ++i) c.add(x.row(i));
  c.updates().trusted(std::span<const float>(out.data).subspan(2));
  workspace space;
  CHECK(try_aggregate(fltrust{}, c, std::span<float>(out.data).first(3), space) == errc::overlapping_output);
  CHECK(out.untouched());
}

TEST_CASE("a pivot stays the same client when others are rejected") {
  numeric::matrix<float> x(7, 2);
  for (std::size_t i = 0; i < 7; ++i) x.at(i, 0) = i < 4 ? 1 + float(i) / 8 : 9 + float(i) / 8;
  rounds::spoil(x.at(0, 1), 0);
  cohort c;
  for (std::size_t i = 0; i < 7; ++i) c.add(x.row(i));
  std::vector<float> out(2);
  workspace space;
  REQUIRE(try_aggregate(monna{.f = 2, .pivot = 3}, c, out, space) == errc::ok);
  CHECK(space.result().coefficients[3] == 0.25);
  CHECK(space.result().coefficients[1] == 0.25);
  c.updates();
  REQUIRE(try_aggregate(arc{.f = 0} | monna{.f = 2, .pivot = 3}, c, out, space) == errc::ok);
  CHECK(space.result().coefficients[3] == 0.25);
  CHECK(space.result().coefficients[1] == 0.25);
  CHECK(try_aggregate(monna{.f = 2, .pivot = 0}, c, out, space) == errc::missing_trusted);
}

TEST_CASE("a client from far away that was shortened keeps its distances") {
  // Its own distances hold nothing but its length: 1e60 with 16 digits.
  const auto honest = numeric::sample<float>(numeric::kind::normal, 8, 12, 5);
  for (const double scale : {1e3, 1e10, 1e20, 1e30, 1e37})
    for (const std::size_t at : {std::size_t{0}, std::size_t{3}, std::size_t{7}}) {
      numeric::matrix<float> x(8, 12);
      for (std::size_t i = 0; i < 8; ++i)
        for (std::size_t j = 0; j < 12; ++j)
          x.at(i, j) = i == at ? static_cast<float>(scale * (j % 2 ? 1 : -0.3)) : honest.at(i, j);
      explicit_rows r;
      for (std::size_t i = 0; i < 8; ++i) {
        r.seen.emplace_back(x.row(i).begin(), x.row(i).end());
        r.weights.push_back(1);
      }
      r.all = r.seen;
      r.seen_base.assign(12, 0);
      r.all_base = r.seen_base;
      r.seen_trusted = r.all_trusted = r.seen[at == 0 ? 1 : 0];
      r.origin = true;
      REQUIRE(apply(arc{.f = 1}, r) == errc::ok);
      const shapes::answer krum_answer = shapes::solve(krum{.f = 1}, r.shape());
      const shapes::answer monna_answer = shapes::solve(monna{.f = 1}, r.shape());
      cohort c;
      for (std::size_t i = 0; i < 8; ++i) c.add(x.row(i));
      c.updates().trusted(x.row(at == 0 ? 1 : 0));
      std::vector<float> out(12);
      workspace space;
      INFO("scale " << scale << " at " << at);
      const auto near = [&](const shapes::answer& a) {
        const auto& got = space.result().scores;
        REQUIRE(got.size() == a.scores.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
          INFO("row " << i << ": " << got[i] << " for " << a.scores[i]);
          CHECK(std::abs(got[i] - a.scores[i]) <= 1e-5 * a.scores[i]);
        }
      };
      REQUIRE(try_aggregate(arc{.f = 1} | krum{.f = 1}, c, out, space) == errc::ok);
      near(krum_answer);
      REQUIRE(try_aggregate(arc{.f = 1} | monna{.f = 1}, c, out, space) == errc::ok);
      near(monna_answer);
    }
}

TEST_CASE("the output may be the base, also where a counter is found at fault on the way") {
  for (const bool bad : {false, true}) {
    const std::size_t d = 70000;
    const auto x = numeric::sample<float>(numeric::kind::normal, 5, d, 11);
    numeric::matrix<std::int64_t> k(6, 1);
    for (std::size_t i = 0; i < 6; ++i) k.at(i, 0) = 10 + static_cast<std::int64_t>(i);
    if (bad) k.at(4, 0) = std::int64_t{1} << 60;
    std::vector<float> base(d, 0.25f), out(d);
    std::vector<std::int64_t> base_k{3}, out_k(1);
    cohort c;
    for (std::size_t i = 0; i < 5; ++i) c.add(model_view().add("a", x.row(i)).add("k", k.row(i)));
    c.base(model_view().add("a", base).add("k", base_k));
    const auto check = [&](const auto& rule) {
      workspace space;
      REQUIRE(try_aggregate(rule, c, mutable_model_view().add("a", out).add("k", out_k), space) == errc::ok);
      CHECK(space.result().rejected.size() == (bad ? 1 : 0));
      const auto kept = base;
      REQUIRE(try_aggregate(rule, c, mutable_model_view().add("a", base).add("k", base_k), space) == errc::ok);
      CHECK(numeric::same_bits(out, base));
      CHECK(out_k == base_k);
      base = kept;
      base_k[0] = 3;
    };
    check(cge{.f = 1});
    check(arc{.f = 1} | mean{});
    check(arc{.f = 1} | median{});
    check(nnm{.f = 1} | krum{.f = 0});
    check(bucketing{.size = 2, .seed = 1} | mean{});
    check(bucketing{.size = 2, .seed = 1} | sign_majority{});
  }
}

TEST_CASE("integers of the trusted row that no double holds end the round") {
  const std::vector<float> x{1, 2}, root{9, 9};
  std::vector<std::int64_t> k{5}, wide{std::int64_t{1} << 60}, out_k(1);
  std::vector<float> out(2);
  cohort c;
  for (int i = 0; i < 4; ++i) c.add(model_view().add("a", x).add("k", k));
  c.updates().trusted(model_view().add("a", root).add("k", wide));
  workspace space;
  CHECK(try_aggregate(centered_clipping{.tau = 1}, c, mutable_model_view().add("a", out).add("k", out_k), space) ==
        errc::integer_range);
  CHECK(space.result().tensor_name == "k");
}

TEST_CASE("counters by themselves have no geometry") {
  model m(7, as::updates, 8);
  options how;
  how.where = scope::each_tensor();
  workspace space;
  CHECK(try_aggregate(krum{.f = 1}, m.clients, m.out, space, how) == errc::unsupported_element);
  CHECK(space.result().tensor_name == "count");
  CHECK(space.result().state == output::untouched);
  // Chains that ask nothing of it take them.
  CHECK(try_aggregate(bucketing{.size = 2, .seed = 1} | median{}, m.clients, m.out, space, how) == errc::ok);
}

TEST_CASE("refused rounds leave the output untouched under atomic") {
  const auto spoiled = [](std::size_t bad) {
    model m(7, as::updates, 21);
    for (std::size_t i = 0; i < bad; ++i) rounds::spoil(m.b.at(6 - i, i), i);
    std::memset(m.out_a.data(), 0xa5, m.out_a.size() * sizeof(float));
    return m;
  };
  workspace space;
  for (const auto when : {fedagg::write::direct, fedagg::write::atomic}) {
    options how;
    how.write = when;
    const auto refused = [&](const auto& rule, std::size_t bad, errc want) {
      model m = spoiled(bad);
      cohort c;
      for (std::size_t i = 0; i < m.n; ++i) c.add(m.view_of(i));
      c.updates();
      const auto before = m.out_a;
      mutable_model_view out;
      out.add(model::names[0], model::strided(m.out_a.data()))
          .add(model::names[1], m.out_b)
          .add(model::names[2], m.out_c)
          .add(model::names[3], m.out_k);
      const errc rc = try_aggregate(rule, c, out, space, how);
      INFO(message(rc));
      CHECK(rc == want);
      if (when == fedagg::write::atomic || space.result().state == output::untouched) {
        CHECK(space.result().state == output::untouched);
        CHECK(numeric::same_bits(before, m.out_a));
      }
    };
    // Whoever is left is too few for the rule's own condition.
    refused(krum{.f = 2}, 1, errc::too_few_clients);
    refused(nnm{.f = 3} | mean{}, 1, errc::too_few_clients);
    refused(arc{.f = 2} | trimmed_mean{.trim = 2}, 3, errc::too_few_clients);
    refused(mda{.f = 1}, 5, errc::too_few_clients);
    refused(geometric_median{}, 4, errc::too_many_rejected);
    refused(bucketing{.size = 2, .seed = 3} | median{}, 4, errc::too_many_rejected);
    refused(bucketing{.size = 2, .seed = 3} | trimmed_mean{.trim = 1}, 3, errc::too_few_clients);
  }
}

TEST_CASE("clients that agree get what they agree on, bit for bit, through every stage") {
  // As exact as their sums are: a third of each would not be.
  for (const std::size_t n : {3u, 5u, 6u, 7u, 11u, 12u, 20u, 21u, 45u}) {
    std::vector<double> x;
    for (int j = 0; j < 40; ++j) x.push_back(static_cast<double>(static_cast<float>(std::sin(j + 1.7))));
    std::vector<double> out(x.size());
    cohort c;
    for (std::size_t i = 0; i < n; ++i) c.add(x);
    workspace space;
    const auto check = [&](const auto& rule) {
      INFO("n=" << n);
      REQUIRE(try_aggregate(rule, c, out, space) == errc::ok);
      CHECK(numeric::same_bits(out, x));
    };
    check(nnm{.f = 1} | mean{});
    check(nnm{.f = 1} | median{});
    check(nnm{.f = 1} | trimmed_mean{.trim = 1});
    check(nnm{.f = 1} | krum{.f = 0});
    check(nnm{.f = 1} | geometric_median{});
    if (n > 6) check(nnm{.f = 1} | bulyan{.f = 1});
    check(nnm{.f = 0} | nnm{.f = 1} | mean{});
    check(bucketing{.size = 3, .seed = 1} | median{});
    // A mean of buckets of different size divides by both.
    if (n % 3 == 0) check(bucketing{.size = 3, .seed = 1} | mean{});
    if (n % 3 == 0) check(bucketing{.size = 3, .seed = 1} | nnm{.f = 0} | mean{});
  }
}

TEST_CASE("rounds of geometric rules allocate nothing once they have run") {
  model m(9, as::based, 6, true, true);
  model bad(9, as::based, 6, true, true);
  rounds::spoil(bad.a.at(4, 1), 0);
  const auto check = [&](const auto& rule) {
    workspace space;
    for (int i = 0; i < 3; ++i) {
      REQUIRE(try_aggregate(rule, bad.clients, bad.out, space) == errc::ok);
      REQUIRE(try_aggregate(rule, m.clients, m.out, space) == errc::ok);
    }
    const std::size_t before = allocations::count;
    const errc first = try_aggregate(rule, m.clients, m.out, space);
    const errc second = try_aggregate(rule, bad.clients, bad.out, space);
    const std::size_t after = allocations::count;
    CHECK((first == errc::ok && second == errc::ok));
    CHECK(after == before);
  };
  check(krum{.f = 1});
  check(multi_krum{.f = 1});
  check(bulyan{.f = 1});
  check(mda{.f = 2});
  check(monna{.f = 2});
  check(cge{.f = 2});
  check(norm_bounding{.bound = 1});
  check(sign_guard{.low = 0, .high = 1e6});
  model earlier(9, as::updates, 16);
  m.clients.history(earlier.clients);
  bad.clients.history(earlier.clients);
  check(foolsgold{});
  check(fltrust{});
  check(geometric_median{});
  check(centered_clipping{.tau = 1, .iterations = 3});
  check(arc{.f = 2} | nnm{.f = 2} | krum{.f = 1});
  check(arc{.f = 2} | trimmed_mean{.trim = 2});
  check(bucketing{.size = 2, .seed = 4} | median{});
}

TEST_CASE("every allocation of a round may fail") {
  model m(6, as::updates, 6);
  const auto rule = arc{.f = 1} | nnm{.f = 1} | krum{.f = 1};
  std::size_t needed = 0;
  {
    workspace space;
    const std::size_t before = allocations::count;
    REQUIRE(try_aggregate(rule, m.clients, m.out, space) == errc::ok);
    needed = allocations::count - before;
  }
  REQUIRE(needed > 5);
#if FEDAGG_EXCEPTIONS
  std::size_t wrong = 0;
  for (std::size_t left = 0; left < needed; ++left) {
    workspace space;
    errc rc = errc::ok;
    {
      const allocations::limit limit(left);
      rc = try_aggregate(rule, m.clients, m.out, space);
    }
    wrong += rc != errc::out_of_memory || space.result().state == output::written;
    // The same workspace goes on.
    wrong += try_aggregate(rule, m.clients, m.out, space) != errc::ok;
  }
  CHECK(wrong == 0);
#endif
}

TEST_CASE("search rules end within their limit") {
  const auto x = numeric::sample<float>(numeric::kind::normal, 200, 5, 1);
  cohort c;
  for (std::size_t i = 0; i < x.n; ++i) c.add(x.row(i));
  std::vector<float> out(5);
  workspace space;
  const errc rc = try_aggregate(mda{.f = 80, .max_nodes = 2000}, c, out, space);
  CHECK(space.result().iterations <= 2001);
  CHECK((rc == errc::ok || rc == errc::search_limit));
  if (rc == errc::search_limit) {
    // The best subset so far.
    CHECK(space.result().coefficients.size() == 200);
    double sum = 0;
    for (const double a : space.result().coefficients) sum += a;
    CHECK(std::abs(sum - 1) <= 1e-12);
    CHECK((space.result().gap > 0 && space.result().gap < 1));
    CHECK(space.result().state == output::untouched);
  }
  REQUIRE(try_aggregate(geometric_median{.max_iterations = 50}, c, out, space) == errc::ok);
  CHECK(space.result().iterations <= 50);
  REQUIRE(try_aggregate(nnm{.f = 60} | krum{.f = 60}, c, out, space) == errc::ok);
}

TEST_CASE("models without a coordinate are rounds like others") {
  const std::vector<float> none;
  std::vector<float> out;
  cohort c;
  for (int i = 0; i < 5; ++i) c.add(none);
  c.updates();
  workspace space;
  CHECK(try_aggregate(krum{.f = 1}, c, out, space) == errc::ok);
  CHECK(try_aggregate(arc{.f = 1} | nnm{.f = 1} | median{}, c, out, space) == errc::ok);
  CHECK(try_aggregate(geometric_median{}, c, out, space) == errc::ok);
}
