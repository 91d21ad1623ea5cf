// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/scaffold_server.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;

TEST_CASE("scaffold_server: x += eta_g delta, c += |S| / N delta_c") {
  for (const double share : {1.0, 0.2}) {
    follows_everywhere(
        fedagg::scaffold_server{.learning_rate = 0.6},
        [&](auto& s, quad delta, quad delta_c, quad& x, int) {
          x = add(x, multiply(0.6, delta));
          s[0] = add(s[0], multiply(share, delta_c));
        },
        share);
    std::vector<double> x{0, 0}, c{1, -2};
    const fedagg::mutable_model_view model(x);
    const fedagg::model_view delta(c);
    fedagg::optimizer_state state(fedagg::precision::f64);
    for (int round = 1; round <= 3; ++round) {
      fedagg::step(fedagg::scaffold_server{}, model, fedagg::pseudo_gradient::delta(delta), state,
                   {.participation = share}, {&delta});
      CHECK(rounds_to<double>(state.slots()[0].values<double>(0)[1], multiply(-2 * round, share), unit * 12));
    }
  }
}

TEST_CASE("scaffold_server: the controls may have the trained tensors alone") {
  std::vector<float> w{1, 2}, mean{5}, new_w{2, 2}, new_mean{6}, control{0.5f, 0.25f};
  fedagg::mutable_model_view x;
  fedagg::model_view aggregate, trained, renamed;
  x.add("running_mean", mean).add("w", w);
  aggregate.add("running_mean", new_mean).add("w", new_w);
  trained.add("w", control);
  renamed.add("v", control);
  fedagg::optimizer_state state;
  const auto step = [&](const fedagg::model_view& c) {
    return fedagg::try_step(fedagg::scaffold_server{}, x, fedagg::pseudo_gradient::model(aggregate), state, {}, {&c});
  };
  CHECK(step(renamed) == errc::layout_mismatch);
  CHECK(w[0] == 1);
  CHECK(step(trained) == errc::ok);
  CHECK(w == std::vector<float>{2, 2});
  CHECK(mean[0] == 6);
  REQUIRE(state.slots()[0].size() == 1);
  CHECK(state.slots()[0].values<float>(0)[1] == 0.25f);
}

TEST_CASE("scaffold_server refuses bad parameters") { refuses_bad_parameters<fedagg::scaffold_server>(); }
