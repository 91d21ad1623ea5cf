// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/fed_avgm.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;

TEST_CASE("fed_avgm: v = beta v + delta, x += eta v") {
  follows_everywhere(fedagg::fed_avgm{.learning_rate = 0.7, .momentum = 0.9}, [](auto& s, quad delta, quad, quad& x, int) {
    s[0] = add(multiply(0.9, s[0]), delta);
    x = add(x, multiply(0.7, s[0]));
  });
}

TEST_CASE("fed_avgm with Nesterov's look ahead: x += eta (delta + beta v)") {
  follows_everywhere(fedagg::fed_avgm{.learning_rate = 0.7, .momentum = 0.9, .nesterov = true},
                     [](auto& s, quad delta, quad, quad& x, int) {
                       s[0] = add(multiply(0.9, s[0]), delta);
                       x = add(x, multiply(0.7, add(delta, multiply(0.9, s[0]))));
                     });
}

TEST_CASE("fed_avgm refuses bad parameters") { refuses_bad_parameters<fedagg::fed_avgm>(); }
