// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/fed_adagrad.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;

TEST_CASE("fed_adagrad: v += delta^2, x += eta m / (sqrt v + tau)") {
  for (const double v0 : {-1.0, 0.0, 0.25}) {
    const fedagg::fed_adagrad o{.learning_rate = 0.2, .beta1 = 0.5, .tau = 0.01, .initial_v = v0};
    CHECK(o.initial(1) == (v0 == -1.0 ? 0.01 * 0.01 : v0));
    follows_everywhere(o, [](auto& s, quad delta, quad, quad& x, int) {
      s[0] = add(multiply(0.5, s[0]), multiply(0.5, delta));
      s[1] = add(s[1], multiply(delta, delta));
      x = add(x, divide(multiply(0.2, s[0]), add(root(s[1]), 0.01)));
    });
  }
}

TEST_CASE("fed_adagrad refuses bad parameters") { refuses_bad_parameters<fedagg::fed_adagrad>(); }
