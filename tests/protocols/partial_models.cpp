// SPDX-License-Identifier: MIT
#include <fedagg/protocols/partial_models.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <fedagg/rules/fltrust.hpp>
#include <fedagg/rules/geometric_median.hpp>
#include <fedagg/rules/mean.hpp>
#include <fedagg/rules/median.hpp>
#include <fedagg/rules/norm_bounding.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

#include "compiled/rules.hpp"
#include "support/allocations.hpp"
#include "support/numeric.hpp"
#include "support/rounds.hpp"

using namespace numeric;
using fedagg::bfloat16;
using fedagg::cohort;
using fedagg::errc;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::options;
using fedagg::partial_workspace;

namespace {

const double nan_value = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});

/// A model of three or four tensors; the first is a transposed matrix.
struct model {
  static constexpr const char* names[] = {"body.weight", "body.bias", "head", "count"};
  static constexpr std::size_t side = 70;
  std::vector<float> a = std::vector<float>(side * 60);
  std::vector<double> b = std::vector<double>(23);
  std::vector<bfloat16> c = std::vector<bfloat16>(300);
  std::vector<std::int32_t> k = std::vector<std::int32_t>(3);

  template <class T>
  static fedagg::tensor_view<T> turned(T* data) {
    static constexpr std::size_t shape[] = {60, side};
    static constexpr std::ptrdiff_t strides[] = {1, 60};
    return {data, shape, strides};
  }
  static model random(std::uint64_t seed) {
    std::mt19937_64 r(seed);
    model m;
    for (auto& x : m.a) x = static_cast<float>(uniform(r));
    for (auto& x : m.b) x = uniform(r);
    for (auto& x : m.c) x = stored<bfloat16>(uniform(r));
    for (auto& x : m.k) x = static_cast<std::int32_t>(r() % 2001) - 1000;
    return m;
  }
  /// The tensors of a mask's bits, in an order of the caller's.
  model_view view(unsigned mask, std::vector<int> order = {0, 1, 2, 3}) const {
    model_view v;
    for (const int t : order) {
      if (!(mask >> t & 1)) continue;
      if (t == 0) v.add(names[0], turned(a.data()));
      if (t == 1) v.add(names[1], b);
      if (t == 2) v.add(names[2], c);
      if (t == 3) v.add(names[3], k);
    }
    return v;
  }
  mutable_model_view target(unsigned mask = 15) {
    mutable_model_view v;
    if (mask & 1) v.add(names[0], turned(a.data()));
    if (mask & 2) v.add(names[1], b);
    if (mask & 4) v.add(names[2], c);
    if (mask & 8) v.add(names[3], k);
    return v;
  }
  bool same(const model& o, int t) const {
    return t == 0 ? same_bits(a, o.a) : t == 1 ? same_bits(b, o.b) : t == 2 ? same_bits(c, o.c) : k == o.k;
  }
  bool same(const model& o) const { return same(o, 0) && same(o, 1) && same(o, 2) && same(o, 3); }
};

/// A linear rule whose result may overflow.
struct twice {
  static constexpr const char* name = "twice";
  static constexpr auto fields() { return std::tuple{}; }
  errc combine(std::span<const double>, std::span<double> a, double& d) const noexcept {
    for (double& x : a) x = 2;
    d = 1;
    return errc::ok;
  }
};

/// n clients, what each of them sends, and the global model.
struct setting {
  std::deque<model> sent;
  std::vector<unsigned> masks;
  model global = model::random(99);
  cohort clients;

  setting(std::vector<unsigned> masks_, bool base = true, unsigned tensors = 15) : masks(std::move(masks_)) {
    standard_mode();
    for (std::size_t i = 0; i < masks.size(); ++i) {
      sent.push_back(model::random(i));
      std::vector<int> order{0, 1, 2, 3};
      if (i % 2) std::swap(order[0], order[2]);
      clients.add(sent[i].view(masks[i] & tensors, order), {.weight = 1 + static_cast<double>(i % 3), .id = "c"});
    }
    if (base) clients.base(global.view(tensors));
  }

  /// What aggregating tensor t alone over the clients that have it gives.
  template <class Rule>
  errc alone(const Rule& rule, int t, model& out) const {
    cohort some;
    for (std::size_t i = 0; i < masks.size(); ++i)
      if (masks[i] >> t & 1) some.add(sent[i].view(1u << t), {.weight = clients.weight(i)});
    if (clients.has_base()) some.base(global.view(1u << t));
    fedagg::workspace space;
    return fedagg::try_aggregate(rule, some, out.target(1u << t), space);
  }
};

/// Called in the worst floating-point mode.
template <class Rule>
errc run(const Rule& rule, const cohort& clients, const mutable_model_view& out, partial_workspace& space,
         const fedagg::partial_models& settings = {}, const options& how = {}) {
  const mode callers(worst);
  return fedagg::try_aggregate_partial(rule, clients, out, space, settings, how);
}

const std::vector<unsigned> everything(7, 15u), mixed{15, 3, 12, 7, 15, 1, 15, 9, 3};

} // namespace

static_assert(fedagg::rule_value<fedagg::partial_models>);

TEMPLATE_TEST_CASE("a denominator for each tensor: every tensor is that of the clients that have it", "", fedagg::mean, fedagg::median) {
  const setting s(mixed);
  for (const bool atomic : {false, true}) {
    model out = model::random(5);
    partial_workspace space;
    options how;
    how.write = atomic ? fedagg::write::atomic : fedagg::write::direct;
    const threads pool{3};
    if (atomic) how.executor = pool;
    REQUIRE(run(TestType{}, s.clients, out.target(), space, {}, how) == errc::ok);
    REQUIRE(space.tensors().size() == 4);
    for (int t = 0; t < 4; ++t) {
      model want;
      REQUIRE(s.alone(TestType{}, t, want) == errc::ok);
      INFO("tensor " << t << (atomic ? ", atomic" : ""));
      CHECK(out.same(want, t));
      const auto& o = space.tensors()[static_cast<std::size_t>(t)];
      const auto has = static_cast<std::size_t>(std::count_if(mixed.begin(), mixed.end(), [&](unsigned m) { return m >> t & 1; }));
      CHECK(o.name == model::names[t]);
      CHECK(o.tensor == static_cast<std::size_t>(t));
      CHECK(o.sent == has);
      CHECK(o.used == has);
      CHECK(o.aggregated);
      CHECK(o.reason == errc::ok);
    }
    CHECK(space.result().used == mixed.size());
    CHECK(space.result().rejected.empty());
    CHECK(space.result().state == fedagg::output::written);
  }
}

TEST_CASE("the mean of those that sent a coordinate, in quadruple precision") {
  const setting s(mixed);
  model out;
  partial_workspace space;
  REQUIRE(run(fedagg::mean{}, s.clients, out.target(), space) == errc::ok);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < out.a.size(); ++j) {
    std::vector<double> x, w;
    for (std::size_t i = 0; i < mixed.size(); ++i)
      if (mixed[i] & 1) {
        x.push_back(value(s.sent[i].a[j]));
        w.push_back(1 + static_cast<double>(i % 3));
      }
    const auto want = weighted_mean(x, w);
    wrong += !rounds_to<float>(out.a[j], want.exact, want.error);
  }
  CHECK(wrong == 0);
  // Shares: tensor after tensor, one for each client.
  const auto& a = space.result().coefficients;
  REQUIRE(a.size() == 4 * mixed.size());
  for (std::size_t t = 0; t < 4; ++t) {
    double sum = 0;
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      CHECK((a[t * mixed.size() + i] > 0) == (mixed[i] >> t & 1));
      sum += a[t * mixed.size() + i];
    }
    CHECK(sum == Approx(1));
  }
}

template <class Rule>
void check_whole(const Rule& rule, unsigned tensors = 15) {
  // All well; a NaN in one tensor; an impossible weight.
  for (const int trouble : {0, 1, 2}) {
    setting s(everything, true, tensors);
    if (trouble == 1) s.sent[2].b[7] = nan_value;
    if (trouble == 2) {
      std::vector<double> w;
      for (std::size_t i = 0; i < everything.size(); ++i) w.push_back(i == 5 ? -1 : s.clients.weight(i));
      s.clients.weights(w);
    }
    // In the model's own order, as a plain round wants it.
    cohort plain;
    for (std::size_t i = 0; i < everything.size(); ++i) plain.add(s.sent[i].view(tensors), {.weight = s.clients.weight(i)});
    plain.base(s.global.view(tensors));
    model want, got;
    fedagg::workspace space;
    options each;
    each.where = fedagg::scope::each_tensor();
    const errc rc = fedagg::try_aggregate(rule, plain, want.target(tensors), space, each);
    partial_workspace mine;
    INFO(Rule::name << " trouble " << trouble);
    REQUIRE(rc == errc::ok);
    REQUIRE(run(rule, s.clients, got.target(tensors), mine) == rc);
    CHECK(got.same(want));
    CHECK(mine.result().used == space.result().used);
    CHECK(mine.result().breakdown == space.result().breakdown);
    CHECK(mine.result().weights_used == space.result().weights_used);
    // A linear rule's shares are the same for all tensors, and said once by a plain round.
    const auto &all = mine.result().coefficients, &few = space.result().coefficients;
    CHECK(all.size() >= few.size());
    CHECK(std::equal(few.begin(), few.end(), all.begin()));
    REQUIRE(mine.result().rejected.size() == space.result().rejected.size());
    if (trouble) {
      CHECK(mine.result().rejected[0].client == space.result().rejected[0].client);
      CHECK(mine.result().rejected[0].reason == space.result().rejected[0].reason);
      CHECK(mine.result().rejected[0].tensor_name == space.result().rejected[0].tensor_name);
    }
  }
}

TEST_CASE("where everybody sends everything it is the plain aggregate of each tensor, bit for bit") {
  check_whole(fedagg::mean{});
  check_whole(fedagg::median{});
  check_whole(fedagg::trimmed_mean{.trim = 2});
  check_whole(fedagg::trimmed_mean{.fraction = 0.3});
  check_whole(fedagg::median{.weighting = fedagg::weights::trusted});
  check_whole(fedagg::geometric_median{}, 7);
  check_whole(fedagg::norm_bounding{.bound = 3}, 7);
}

TEST_CASE("geometric rules see each tensor by itself, of the clients that have it") {
  const std::vector<unsigned> masks{7, 3, 5, 7, 7, 1, 6};
  const setting s(masks, true, 7);
  model out = s.global;
  partial_workspace space;
  // Over the base.
  cohort clients;
  for (std::size_t i = 0; i < masks.size(); ++i) clients.add(s.sent[i].view(masks[i]));
  clients.base(out.view(7));
  const fedagg::norm_bounding rule{.bound = 2};
  REQUIRE(run(rule, clients, out.target(7), space) == errc::ok);
  for (int t = 0; t < 3; ++t) {
    model want;
    REQUIRE(s.alone(rule, t, want) == errc::ok);
    CHECK(out.same(want, t));
  }
  // A trusted row, tensor by tensor.
  clients.trusted(s.sent[0].view(7));
  const fedagg::fltrust near;
  model got;
  REQUIRE(run(near, clients, got.target(7), space) == errc::ok);
  cohort some;
  for (std::size_t i = 0; i < masks.size(); ++i)
    if (masks[i] & 2) some.add(s.sent[i].view(2));
  some.base(out.view(2)).trusted(s.sent[0].view(2));
  model want;
  fedagg::workspace plain;
  REQUIRE(fedagg::try_aggregate(near, some, want.target(2), plain) == errc::ok);
  CHECK(got.same(want, 1));
  clients.trusted(s.sent[0].view(3));
  CHECK(run(near, clients, got.target(7), space) == errc::layout_mismatch);
  CHECK(space.result().tensor_name == "head");
}

TEST_CASE("a tensor that nobody sends keeps the global value") {
  const std::vector<unsigned> masks{1, 1, 3};
  // The base's, zero for updates, else what the output holds.
  for (const int origin : {0, 1, 2}) {
    setting s(masks, origin == 0);
    if (origin == 1) s.clients.updates();
    model out = model::random(5);
    const model before = out;
    partial_workspace space;
    REQUIRE(run(fedagg::mean{}, s.clients, out.target(), space) == errc::ok);
    CHECK(space.tensors()[0].aggregated);
    CHECK(space.tensors()[1].used == 1);
    CHECK_FALSE(space.tensors()[2].aggregated);
    CHECK(space.tensors()[2].sent == 0);
    CHECK(space.tensors()[2].reason == errc::ok);
    model zero;
    CHECK(out.same(origin == 0 ? s.global : origin == 1 ? zero : before, 2));
    CHECK(out.same(origin == 0 ? s.global : origin == 1 ? zero : before, 3));
    CHECK(out.same(s.sent[2], 1));
  }
  // In place nothing is written.
  setting s(masks);
  model out = s.global;
  cohort clients;
  for (std::size_t i = 0; i < masks.size(); ++i) clients.add(s.sent[i].view(masks[i]));
  clients.base(out.view(15));
  partial_workspace space;
  REQUIRE(run(fedagg::mean{}, clients, out.target(), space) == errc::ok);
  CHECK(out.same(s.global, 2));
  CHECK_FALSE(out.same(s.global, 0));
}

TEST_CASE("the rule's condition and the least number of clients hold for each tensor") {
  // Seven have the body's weight, five its bias, two the head.
  const std::vector<unsigned> masks{3, 3, 3, 3, 7, 1, 5};
  const setting s(masks, true, 7);
  model out;
  partial_workspace space;
  REQUIRE(run(fedagg::trimmed_mean{.trim = 2}, s.clients, out.target(7), space) == errc::ok);
  CHECK(space.tensors()[0].aggregated);
  CHECK(space.tensors()[1].aggregated);
  CHECK_FALSE(space.tensors()[2].aggregated);
  CHECK(space.tensors()[2].reason == errc::too_few_clients);
  CHECK(space.tensors()[2].sent == 2);
  CHECK(space.tensors()[2].used == 0);
  CHECK(out.same(s.global, 2));
  CHECK(space.result().breakdown == 2);
  model want;
  REQUIRE(s.alone(fedagg::trimmed_mean{.trim = 2}, 1, want) == errc::ok);
  CHECK(out.same(want, 1));

  for (const std::int64_t least : {3, 6, 7}) {
    REQUIRE(run(fedagg::mean{}, s.clients, out.target(7), space, {.min_clients = least}) == errc::ok);
    CHECK(space.tensors()[0].aggregated);
    CHECK(space.tensors()[1].aggregated == (least == 3));
    CHECK_FALSE(space.tensors()[2].aggregated);
    CHECK(space.tensors()[2].reason == errc::too_few_clients);
  }
  // Nothing at all can be aggregated: the round is refused and nothing was written.
  model same = model::random(5);
  CHECK(run(fedagg::mean{}, s.clients, same.target(7), space, {.min_clients = 8}) == errc::too_few_clients);
  CHECK(run(fedagg::trimmed_mean{.trim = 4}, s.clients, same.target(7), space) == errc::too_few_clients);
  CHECK(same.same(model::random(5)));
  CHECK(space.result().state == fedagg::output::untouched);
  CHECK(run(fedagg::mean{}, s.clients, same.target(7), space, {.min_clients = 0}) == errc::bad_parameter);
}

TEST_CASE("a bad client is left out of every tensor, and named") {
  for (const int trouble : {0, 1, 2, 3, 4, 5}) {
    setting s(mixed);
    model_view odd;
    const std::vector<double> other(5);
    const std::vector<float> not_double(23);
    errc reason = errc::client_layout;
    std::string_view tensor;
    odd.add(model::names[0], model::turned(s.sent[4].a.data()));
    if (trouble == 0) {
      odd.add("body.bias", other); // another shape
      tensor = "body.bias";
    }
    if (trouble == 1) {
      odd.add("tail", other); // nobody knows it
      tensor = "tail";
    }
    if (trouble == 2) {
      odd.add("body.weight", model::turned(s.sent[4].a.data())); // twice
      tensor = "body.weight";
    }
    if (trouble == 3) {
      odd.add("body.bias", not_double);
      tensor = "body.bias";
    }
    if (trouble == 4) {
      s.sent[4].b[22] = nan_value;
      odd.add("body.bias", s.sent[4].b);
      tensor = "body.bias";
      reason = errc::non_finite;
    }
    if (trouble == 5) reason = errc::invalid_weight;
    cohort clients, without;
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      clients.add(i == 4 ? odd : s.sent[i].view(mixed[i]), {.weight = trouble == 5 && i == 4 ? nan_value : 1, .id = i == 4 ? "odd" : ""});
      if (i != 4) without.add(s.sent[i].view(mixed[i]));
    }
    model got, want;
    partial_workspace space, plain;
    INFO("trouble " << trouble);
    REQUIRE(run(fedagg::mean{}, clients, got.target(), space) == errc::ok);
    REQUIRE(run(fedagg::mean{}, without, want.target(), plain) == errc::ok);
    CHECK(got.same(want));
    REQUIRE(space.result().rejected.size() == 1);
    CHECK(space.result().rejected[0].client == 4);
    CHECK(space.result().rejected[0].id == "odd");
    CHECK(space.result().rejected[0].reason == reason);
    CHECK(space.result().rejected[0].tensor_name == tensor);
    CHECK(space.result().used == mixed.size() - 1);
    CHECK(space.tensors()[0].sent == plain.tensors()[0].sent + 1);
    CHECK(space.tensors()[0].used == plain.tensors()[0].used);

    options strict;
    strict.on_bad_client = fedagg::bad_client::fail;
    model same = model::random(5);
    CHECK(run(fedagg::mean{}, clients, same.target(), space, {}, strict) == reason);
    CHECK(same.same(model::random(5)));
    CHECK(space.result().rejected.size() == 1);
    CHECK(space.result().state == fedagg::output::untouched);
  }
}

TEST_CASE("the only sender of a tensor is bad: the tensor keeps its value and the round goes on") {
  setting s({1, 1, 1, 5});
  s.sent[3].a[0] = static_cast<float>(0);
  rounds::spoil(s.sent[3].a[17], 1);
  model out;
  partial_workspace space;
  REQUIRE(run(fedagg::mean{}, s.clients, out.target(), space) == errc::ok);
  CHECK(space.tensors()[0].used == 3);
  CHECK(space.tensors()[2].sent == 1);
  CHECK_FALSE(space.tensors()[2].aggregated);
  CHECK(space.tensors()[2].reason == errc::too_few_clients);
  CHECK(out.same(s.global, 2));
  // Half of a tensor's senders are more than a round may lose.
  setting half({3, 3, 1, 1, 1, 1});
  half.sent[1].a[5] = std::bit_cast<float>(0x7fc00000u);
  REQUIRE(run(fedagg::mean{}, half.clients, out.target(), space) == errc::ok);
  CHECK(space.tensors()[0].aggregated);
  CHECK(space.tensors()[1].reason == errc::too_many_rejected);
}

TEST_CASE("a norm that cannot be measured leaves its client out of that tensor alone") {
  const std::vector<unsigned> masks(5, 3u);
  setting s(masks, true, 3);
  for (double& x : s.sent[1].b) x = 1e200;
  model out, want;
  partial_workspace space;
  REQUIRE(run(fedagg::norm_bounding{.bound = 1}, s.clients, out.target(3), space) == errc::ok);
  CHECK(space.tensors()[0].used == 5);
  CHECK(space.tensors()[1].used == 4);
  REQUIRE(space.result().rejected.size() == 1);
  CHECK(space.result().rejected[0].reason == errc::client_range);
  CHECK(space.result().rejected[0].client == 1);
  CHECK(space.result().rejected[0].tensor_name == "body.bias");
  REQUIRE(s.alone(fedagg::norm_bounding{.bound = 1}, 0, want) == errc::ok);
  CHECK(out.same(want, 0));
}

TEST_CASE("counters are averaged, or kept and not looked at") {
  const setting s({15, 15, 7, 15});
  model out;
  mutable_model_view target;
  target.add(model::names[0], model::turned(out.a.data())).add(model::names[1], out.b).add(model::names[2], out.c);
  target.add(model::names[3], out.k, fedagg::integers::keep);
  partial_workspace space;
  REQUIRE(run(fedagg::mean{}, s.clients, target, space) == errc::ok);
  CHECK(out.k == s.global.k);
  CHECK_FALSE(space.tensors()[3].aggregated);
  CHECK(space.tensors()[3].sent == 3);
  CHECK(space.tensors()[3].reason == errc::ok);
}

TEST_CASE("only the tensors in scope are looked at") {
  setting s(mixed);
  s.sent[0].b[0] = nan_value;
  model out = model::random(5);
  partial_workspace space;
  options how;
  how.where = fedagg::scope::matching("*ea*");
  REQUIRE(run(fedagg::mean{}, s.clients, out.target(), space, {}, how) == errc::ok);
  CHECK(space.tensors().size() == 1);
  CHECK(space.tensors()[0].name == "head");
  CHECK(space.tensors()[0].tensor == 2);
  CHECK(space.result().rejected.empty());
  model want;
  REQUIRE(s.alone(fedagg::mean{}, 2, want) == errc::ok);
  CHECK(out.same(want, 2));
  for (const int t : {0, 1, 3}) CHECK(out.same(model::random(5), t));
  how.where = fedagg::scope::matching("none");
  CHECK(run(fedagg::mean{}, s.clients, out.target(), space, {}, how) == errc::empty_scope);
}

TEST_CASE("a refused atomic round leaves the output untouched, a direct one says that it does not") {
  setting s({3, 3, 3});
  // The bias, the second tensor, overflows.
  for (auto& m : s.sent)
    for (double& x : m.b) x = 1.7e308;
  for (const bool atomic : {false, true}) {
    model out = model::random(5);
    partial_workspace space;
    options how;
    how.write = atomic ? fedagg::write::atomic : fedagg::write::direct;
    CHECK(run(twice{}, s.clients, out.target(), space, {}, how) == errc::overflow);
    CHECK(space.result().tensor_name == "body.bias");
    CHECK((space.result().state == fedagg::output::untouched) == atomic);
    CHECK(out.same(model::random(5)) == atomic);
  }
}

TEST_CASE("NaN flows through where a linear rule is told so") {
  setting s({3, 3, 1});
  s.sent[0].b[3] = nan_value;
  options how;
  how.on_bad_client = fedagg::bad_client::propagate;
  model out;
  partial_workspace space;
  REQUIRE(run(fedagg::mean{}, s.clients, out.target(), space, {}, how) == errc::ok);
  CHECK_FALSE(fedagg::is_finite(out.b[3]));
  CHECK(fedagg::is_finite(out.b[2]));
  CHECK(run(fedagg::median{}, s.clients, out.target(), space, {}, how) == errc::bad_parameter);
}

TEST_CASE("what a caller can do wrong comes before the first write") {
  const setting s(mixed);
  model out = model::random(5);
  partial_workspace space;
  const auto code = [&](const cohort& clients, const mutable_model_view& target, const options& how = {}) {
    const errc rc = run(fedagg::mean{}, clients, target, space, {}, how);
    CHECK(space.result().code == rc);
    CHECK(out.same(model::random(5)));
    return rc;
  };
  CHECK(code({}, out.target()) == errc::empty_cohort);
  mutable_model_view same_name = out.target();
  std::vector<double> more(2);
  same_name.add("body.bias", more);
  cohort models;
  for (const auto& m : s.sent) models.add(m.view(15));
  CHECK(code(models, same_name) == errc::layout_mismatch);
  CHECK(code(s.clients, out.target(7)) == errc::layout_mismatch); // not the base's
  cohort null;
  null.add(s.sent[0].view(15));
  model_view nowhere;
  nowhere.add("body.bias", std::span<const double>(static_cast<const double*>(nullptr), 23));
  null.add(nowhere);
  CHECK(code(null, out.target()) == errc::null_data);
  cohort over;
  over.add(s.sent[0].view(15)).add(out.view(2));
  CHECK(code(over, out.target()) == errc::overlapping_output);
  cohort nothing;
  nothing.add(model_view()).add(model_view());
  CHECK(code(nothing, out.target()) == errc::too_few_clients);
  const auto lazy = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 1; i < count; ++i) t(i);
  };
  options how;
  how.executor = lazy;
  CHECK(code(s.clients, out.target(), how) == errc::executor_failed);
  cohort raw;
  for (const auto& m : s.sent) raw.add(m.view(7));
  CHECK(run(fedagg::norm_bounding{.bound = 1}, raw, out.target(7), space) == errc::missing_origin);
  CHECK(out.same(model::random(5)));
}

TEST_CASE("a steady state allocates nothing") {
  setting s(mixed);
  s.sent[0].b[0] = nan_value;
  model out;
  const mutable_model_view target = out.target();
  partial_workspace space;
  options how;
  how.write = fedagg::write::atomic;
  for (int round = 0; round < 3; ++round) REQUIRE(fedagg::try_aggregate_partial(fedagg::mean{}, s.clients, target, space, {}, how) == errc::ok);
  const std::size_t before = allocations::count;
  const errc rc = fedagg::try_aggregate_partial(fedagg::mean{}, s.clients, target, space, {}, how);
  CHECK(allocations::count == before);
  CHECK(rc == errc::ok);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("the owning call returns its outcomes, or throws the code") {
  const setting s(mixed);
  model out;
  const partial_workspace done = fedagg::aggregate_partial(fedagg::mean{}, s.clients, out.target());
  CHECK(done.tensors().size() == 4);
  CHECK(done.result().used == mixed.size());
  bool thrown = false;
  try {
    fedagg::aggregate_partial(fedagg::mean{}, cohort{}, out.target());
  } catch (const fedagg::error& e) {
    thrown = e.code() == errc::empty_cohort;
  }
  CHECK(thrown);
}
#endif
