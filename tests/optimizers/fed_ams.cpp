// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/fed_ams.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;

TEST_CASE("fed_ams: the divisor never shrinks") {
  for (const double epsilon : {1e-3, 0.5}) {
    const fedagg::fed_ams o{.epsilon = epsilon};
    follows_everywhere(o, [&](auto& s, quad delta, quad, quad& x, int) {
      s[0] = add(multiply(o.beta1, s[0]), multiply(1 - quad(o.beta1), delta));
      s[1] = add(multiply(o.beta2, s[1]), multiply(1 - quad(o.beta2), multiply(delta, delta)));
      if (s[1] > s[2]) s[2] = s[1];
      if (epsilon > s[2]) s[2] = epsilon;
      x = add(x, divide(multiply(o.learning_rate, s[0]), root(s[2])));
    });
  }
}

TEST_CASE("fed_ams refuses bad parameters") { refuses_bad_parameters<fedagg::fed_ams>(); }
