// SPDX-License-Identifier: MIT
// What a client keeps between rounds, and the server of it.
#include <initializer_list>
#include <vector>

#include <fedagg/client/ditto.hpp>
#include <fedagg/client/feddyn.hpp>
#include <fedagg/client/mime.hpp>
#include <fedagg/client/proximal.hpp>
#include <fedagg/client/scaffold.hpp>

#include "strategies/survives.hpp"

using namespace states;

TEST_CASE("control variates and personal models") {
  const auto drifted = [](const model_view* local) {
    fedagg::scaffold_client client{model_layout(global)};
    std::vector<double> zero(3), change(3);
    if (local != nullptr) client.renew(model_view(zero), global, *local, 2, 0.5, mutable_model_view(change));
    return client;
  };
  survives(drifted(&near_global), drifted(nullptr), drifted(&far_global));

  const auto dynamic = [](const model_view* local) {
    fedagg::feddyn_client client{model_layout(global)};
    if (local != nullptr) client.renew(0.1, *local, global);
    return client;
  };
  survives(dynamic(&near_global), dynamic(nullptr), dynamic(&far_global));

  const auto momentum = [](const model_view* gradient) {
    fedagg::mime_state state{model_layout(global)};
    if (gradient != nullptr) fedagg::mime{.beta = 0.5}.renew(*gradient, state);
    return state;
  };
  survives(momentum(&near_global), momentum(nullptr), momentum(&far_global));

  const auto personal = [](const model_view* start) {
    fedagg::ditto model{model_layout(global)};
    if (start != nullptr) model.start(*start);
    return model;
  };
  survives(personal(&near_global), personal(nullptr), personal(&far_global));

  const auto adapted = [](std::initializer_list<double> losses) {
    fedagg::adaptive_mu mu({.start = 1});
    for (const double loss : losses) mu.report(loss);
    return mu;
  };
  survives(adapted({0.7, 0.75}), adapted({}), adapted({0.5}));
}
