// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/fed_dyn.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;

TEST_CASE("fed_dyn: h -= alpha |S| / N delta, theta = mean - h / alpha") {
  for (const double share : {1.0, 0.3})
    follows_everywhere(
        fedagg::fed_dyn{.alpha = 0.25},
        [&](auto& s, quad delta, quad, quad& x, int) {
          s[0] = add(s[0], -multiply(multiply(0.25, share), delta));
          x = add(add(x, delta), -divide(s[0], 0.25));
        },
        share);
}

TEST_CASE("fed_dyn refuses bad parameters") { refuses_bad_parameters<fedagg::fed_dyn>(); }
