// SPDX-License-Identifier: MIT
#include <fedagg/optimizers/fed_yogi.hpp>

#include "support/server_steps.hpp"

using namespace server_steps;
using fedagg::fed_yogi;

namespace {

void check(const fed_yogi& o) {
  follows_everywhere(o, [&](auto& s, quad delta, quad, quad& x, int steps_before) {
    const quad b1 = o.beta1, rest = 1 - quad(o.beta2), square = multiply(delta, delta);
    s[0] = add(multiply(b1, s[0]), multiply(1 - b1, delta));
    const int sign = s[1] > square ? 1 : s[1] < square ? -1 : 0;
    s[1] = add(s[1], -multiply(rest, multiply(square, sign)));
    quad m = s[0], v = s[1];
    if (o.correction == fedagg::bias_correction::adam) {
      m = divide(m, 1 - power_of(b1, steps_before + 1));
      v = divide(v, 1 - power_of(o.beta2, steps_before + 1));
    }
    x = add(x, divide(multiply(o.learning_rate, m), add(root(v), o.tau)));
  });
}

} // namespace

TEST_CASE("fed_yogi: the paper's, and its presets") {
  check({});
  check(fed_yogi::flower());
  check({.learning_rate = 0.1, .initial_v = 0.5, .correction = fedagg::bias_correction::adam});
}

TEST_CASE("fed_yogi refuses bad parameters") { refuses_bad_parameters<fed_yogi>(); }
