// SPDX-License-Identifier: MIT
#include <fedagg/passes/server_step.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::optimizer_state;
using fedagg::pseudo_gradient;
using fedagg::role;

namespace elsewhere {

/// An optimizer of a user's own: heavy ball.
struct heavy_ball {
  double beta = 0.5;
  static constexpr const char* name = "heavy_ball";
  static constexpr std::size_t slots = 1;
  static constexpr auto fields() { return std::tuple{fedagg::field{"beta", &heavy_ball::beta, 0, 1, "kept"}}; }
  double initial(std::size_t) const noexcept { return 0.25; }
  struct at_coordinate {
    double beta;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      s[0] = L(beta) * s[0] + in[0];
      x += s[0];
    }
  };
  at_coordinate step(const fedagg::server_round&) const noexcept { return {beta}; }
};

struct other_ball : heavy_ball {
  static constexpr const char* name = "other_ball";
};

} // namespace elsewhere

namespace {

using elsewhere::heavy_ball;

static_assert(fedagg::server_optimizer<heavy_ball>);
static_assert(!fedagg::server_optimizer<int>);

/// A small network's tensors.
struct network {
  std::vector<float> weight{1, 2, 3}, mean{4, 4}, variance{1, 1}, head{7};
  std::vector<std::int64_t> counter{10};
  mutable_model_view out() {
    mutable_model_view m;
    m.add("fc.weight", weight).add("bn.running_mean", mean).add("bn.running_var", variance).add("head", head);
    m.add("bn.num_batches_tracked", counter);
    return m;
  }
  model_view in() const {
    model_view m;
    m.add("fc.weight", weight).add("bn.running_mean", mean).add("bn.running_var", variance).add("head", head);
    m.add("bn.num_batches_tracked", counter);
    return m;
  }
  friend bool operator==(const network&, const network&) = default;
};

network clients() { return {{2, 2, 5}, {6, 5}, {0.5f, 3}, {9}, {13}}; }

} // namespace

TEST_CASE("trained tensors step, statistics and counters take the aggregate, the rest is kept") {
  network x;
  const network mean = clients();
  optimizer_state state;
  CHECK(state.optimizer().empty());
  const mutable_model_view model = x.out();
  const model_view aggregate = mean.in();
  fedagg::server_step_options how;
  how.roles.set("head", role::keep);
  REQUIRE(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::model(aggregate), state, how) == errc::ok);
  // s = 0.125 + delta
  CHECK(x.weight == std::vector<float>{2.125f, 2.125f, 5.125f});
  CHECK(x.mean == mean.mean);
  CHECK(x.variance == mean.variance);
  CHECK(x.head == std::vector<float>{7});
  CHECK(x.counter == std::vector<std::int64_t>{13});
  CHECK(state.round() == 1);
  CHECK(state.optimizer() == "heavy_ball");
  REQUIRE(state.slots().size() == 1);
  REQUIRE(state.slots()[0].size() == 1);
  CHECK(state.slots()[0].layout().name(0) == "fc.weight");
  CHECK(state.slots()[0].values<float>(0)[2] == 2.125f);
}

TEST_CASE("an aggregate of updates moves statistics and counters by what it says") {
  network x;
  const network update{{1, 1, 1}, {-1, 0.5f}, {0.25f, 0}, {1}, {-3}};
  optimizer_state state(fedagg::precision::f64);
  const mutable_model_view model = x.out();
  const model_view aggregate = update.in();
  REQUIRE(fedagg::try_step(heavy_ball{.beta = 0}, model, pseudo_gradient::delta(aggregate), state) == errc::ok);
  CHECK(x.weight == std::vector<float>{2, 3, 4});
  CHECK(x.mean == std::vector<float>{3, 4.5f});
  CHECK(x.variance == std::vector<float>{1.25f, 1});
  CHECK(x.head == std::vector<float>{8});
  CHECK(x.counter == std::vector<std::int64_t>{7});
  // The state keeps what was trained: head now is.
  CHECK(state.slots()[0].size() == 2);
}

TEST_CASE("a step that is refused has changed nothing") {
  const float nan = std::bit_cast<float>(0x7fc00000u);
  for (int fault = 0; fault < 9; ++fault) {
    network x, mean = clients();
    optimizer_state state;
    mutable_model_view model = x.out();
    model_view aggregate = mean.in();
    fedagg::server_step_options how;
    fedagg::stream_fault where;
    how.fault = &where;
    const bool begun = fault % 2 == 0;
    if (begun) {
      REQUIRE(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::model(aggregate), state, how) == errc::ok);
    }
    const network before = x;
    const auto slots = std::vector<fedagg::model_buffer>(state.slots().begin(), state.slots().end());
    errc want = errc::ok;
    std::string_view at = "";
    std::vector<float> longer(4, 1), huge{3e38f, 3e38f, 3e38f};
    std::vector<std::int32_t> narrow{1};
    switch (fault) {
    case 0: mean.weight[2] = nan, want = errc::non_finite, at = "fc.weight"; break;
    case 1: mean.variance[1] = nan, want = errc::non_finite, at = "bn.running_var"; break;
    case 2:
    case 3:
      aggregate.clear();
      aggregate.add("fc.weight", fault == 2 ? longer : huge);
      for (std::size_t k = 1; k < 5; ++k) aggregate.add(mean.in().entries()[k].name, mean.in().entries()[k].tensor);
      want = fault == 2 ? errc::layout_mismatch : errc::ok;
      at = fault == 2 ? "fc.weight" : "";
      break;
    case 4: how.participation = 0, want = errc::bad_parameter; break;
    case 5: how.rate.period = 0, want = errc::bad_parameter; break;
    case 6:
      aggregate.clear();
      for (std::size_t k = 0; k < 4; ++k) aggregate.add(mean.in().entries()[k].name, mean.in().entries()[k].tensor);
      aggregate.add("bn.num_batches_tracked", narrow);
      want = errc::layout_mismatch;
      at = "bn.num_batches_tracked";
      break;
    case 7: how.roles.set("*", role::keep), want = errc::empty_scope; break;
    default: aggregate = x.in(), want = errc::overlapping_output; break;
    }
    INFO("fault " << fault);
    if (want == errc::ok) {
      // Finite in double, beyond the model's own type.
      x.weight = {3e38f, 3e38f, 3e38f};
      const network large = x;
      std::vector<float> same{2e38f, 2e38f, 2e38f};
      model_view delta;
      delta.add("fc.weight", same);
      for (std::size_t k = 1; k < 5; ++k) delta.add(mean.in().entries()[k].name, mean.in().entries()[k].tensor);
      CHECK(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::delta(delta), state, how) == errc::overflow);
      CHECK(where.name == "fc.weight");
      CHECK(x == large);
    } else {
      CHECK(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::model(aggregate), state, how) == want);
      CHECK(where.name == at);
      CHECK(x == before);
    }
    CHECK(state.round() == (begun ? 1u : 0u));
    CHECK(state.status() == errc::ok);
    CHECK(std::equal(slots.begin(), slots.end(), state.slots().begin(), state.slots().end()));
  }
}

TEST_CASE("a state belongs to its optimizer and its model") {
  network x, mean = clients();
  optimizer_state state;
  const mutable_model_view model = x.out();
  const model_view aggregate = mean.in();
  const auto g = pseudo_gradient::model(aggregate);
  REQUIRE(fedagg::try_step(heavy_ball{}, model, g, state) == errc::ok);
  const network before = x;
  CHECK(fedagg::try_step(elsewhere::other_ball{}, model, g, state) == errc::state_mismatch);
  fedagg::server_step_options how;
  how.roles.set("head", role::keep);
  CHECK(fedagg::try_step(heavy_ball{}, model, g, state, how) == errc::state_mismatch);
  std::vector<float> w(5), m(5);
  const mutable_model_view smaller(w);
  const model_view from(m);
  CHECK(fedagg::try_step(heavy_ball{}, smaller, pseudo_gradient::model(from), state) == errc::state_mismatch);
  CHECK(x == before);
  CHECK(state.round() == 1);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(fedagg::step(elsewhere::other_ball{}, model, g, state), fedagg::error);
#endif
}

TEST_CASE("direct steps that fail leave a state that says so") {
  std::vector<float> w(10, 1), bad(10, 1);
  bad[9] = std::bit_cast<float>(0x7f800000u);
  const mutable_model_view model(w);
  const model_view aggregate(bad);
  optimizer_state state;
  const fedagg::server_step_options how{.write = fedagg::write::direct};
  CHECK(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::model(aggregate), state, how) == errc::non_finite);
  CHECK(state.status() == errc::non_finite);
  bad[9] = 1;
  CHECK(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::model(aggregate), state, how) == errc::non_finite);
}

TEST_CASE("an executor that loses work, an empty model, an aggregate of other floating types") {
  std::vector<float> w(10, 1);
  std::vector<double> mean(10, 3);
  const mutable_model_view model(w);
  const model_view aggregate(mean);
  const auto lazy = [](std::size_t, fedagg::task) {};
  optimizer_state state;
  CHECK(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::model(aggregate), state, {.executor = lazy}) ==
        errc::executor_failed);
  CHECK(w == std::vector<float>(10, 1));
  CHECK(state.status() == errc::ok);
  CHECK(fedagg::try_step(heavy_ball{}, model, pseudo_gradient::model(aggregate), state) == errc::ok);
  CHECK(w == std::vector<float>(10, 3.125f));
  const mutable_model_view nothing;
  const model_view none;
  optimizer_state fresh;
  CHECK(fedagg::try_step(heavy_ball{}, nothing, pseudo_gradient::model(none), fresh) == errc::ok);
}
