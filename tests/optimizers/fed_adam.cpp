// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/fed_adam.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;
using fedagg::bias_correction;
using fedagg::fed_adam;

namespace {

void check(const fed_adam& o) {
  follows_everywhere(o, [&](auto& s, quad delta, quad, quad& x, int steps_before) {
    const quad b1 = o.beta1, b2 = o.beta2;
    s[0] = add(multiply(b1, s[0]), multiply(1 - b1, delta));
    s[1] = add(multiply(b2, s[1]), multiply(1 - b2, multiply(delta, delta)));
    const int t = steps_before + 1;
    quad eta = o.learning_rate, m = s[0], v = s[1];
    if (o.correction == bias_correction::adam) {
      m = divide(m, 1 - power_of(b1, t));
      v = divide(v, 1 - power_of(b2, t));
    }
    if (o.correction == bias_correction::flower)
      eta = divide(multiply(eta, root(1 - power_of(b2, t + 1))), 1 - power_of(b1, t + 1));
    // The decay takes the learning rate as it is given.
    x = add(multiply(1 - multiply(o.learning_rate, o.weight_decay), x), divide(multiply(eta, m), add(root(v), o.tau)));
  });
}

} // namespace

TEST_CASE("fed_adam: the paper's, and its presets") {
  check({});
  check(fed_adam::flower());
  check(fed_adam::corrected());
  check({.learning_rate = 0.5, .beta1 = 0, .beta2 = 0, .tau = 1});
}

TEST_CASE("fed_adam: decoupled decay") { check({.weight_decay = 0.3}); }

TEST_CASE("fed_adam refuses bad parameters") { refuses_bad_parameters<fed_adam>(); }
