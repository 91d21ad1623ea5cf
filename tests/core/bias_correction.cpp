// SPDX-License-Identifier: MIT
#include <fedagg/core/bias_correction.hpp>

#include "support/catch.hpp"

using fedagg::bias_correction;
using fedagg::detail::factors_of;

TEST_CASE("bias corrections count steps from one") {
  CHECK(factors_of(bias_correction::none, 0.5, 0.75, 3).rate == 1);
  CHECK(factors_of(bias_correction::none, 0.5, 0.75, 3).second == 1);
  CHECK(factors_of(bias_correction::adam, 0.5, 0.75, 0).rate == 2);
  CHECK(factors_of(bias_correction::adam, 0.5, 0.75, 0).second == 4);
  CHECK(factors_of(bias_correction::adam, 0.5, 0.75, 1).rate == 1 / 0.75);
  // sqrt(1 - 0.75^2) / (1 - 0.5^2) in the first step
  const double flower = factors_of(bias_correction::flower, 0.5, 0.75, 0).rate;
  CHECK(flower * flower == Approx(0.4375 / 0.5625).epsilon(1e-15));
  CHECK(factors_of(bias_correction::flower, 0.5, 0.75, 0).second == 1);
  CHECK(factors_of(bias_correction::adam, 0, 0, 7).rate == 1);
  CHECK(factors_of(bias_correction::adam, 0.9, 0.99, UINT64_MAX).rate == 1);
}
