// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/sgd.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;

TEST_CASE("sgd: x + eta delta") {
  for (const double eta : {1.0, 0.3, 0.0})
    follows_everywhere(fedagg::sgd{.learning_rate = eta},
                       [&](auto&, quad delta, quad, quad& x, int) { x = add(x, multiply(eta, delta)); });
}

TEST_CASE("sgd follows its schedule") {
  std::vector<double> x{0};
  const std::vector<double> one{1};
  const fedagg::mutable_model_view model(x);
  const fedagg::model_view delta(one);
  fedagg::optimizer_state state;
  const fedagg::server_step_options how{.rate = {.kind = fedagg::rate_decay::step, .factor = 0.5, .period = 2}};
  for (const double want : {1.0, 2.0, 2.5, 3.0, 3.25}) {
    fedagg::step(fedagg::sgd{}, model, fedagg::pseudo_gradient::delta(delta), state, how);
    CHECK(x[0] == want);
  }
}

TEST_CASE("sgd refuses bad parameters") { refuses_bad_parameters<fedagg::sgd>(); }
