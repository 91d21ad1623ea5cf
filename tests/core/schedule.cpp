// SPDX-License-Identifier: MIT
#include <fedagg/core/schedule.hpp>

#include <cmath>

#include "support/catch.hpp"

using fedagg::rate_decay;
using fedagg::schedule;

namespace {

bool near(double a, double b) { return std::abs(a - b) <= 4e-16 * (1 + std::abs(b)); }

} // namespace

TEST_CASE("each decay at its own points") {
  for (const std::uint64_t k : {0u, 1u, 1000000u}) CHECK(schedule{}(k) == 1);
  const schedule step{.kind = rate_decay::step, .factor = 0.5, .period = 3};
  CHECK(step(0) == 1);
  CHECK(step(2) == 1);
  CHECK(step(3) == 0.5);
  CHECK(step(8) == 0.25);
  const schedule exponential{.kind = rate_decay::exponential, .factor = 0.25, .period = 2};
  CHECK(near(exponential(1), 0.5));
  CHECK(near(exponential(4), 0.0625));
  const schedule inverse{.kind = rate_decay::inverse, .period = 4};
  CHECK(near(inverse(4), 0.5));
  CHECK(near(inverse(12), 0.25));
  const schedule root{.kind = rate_decay::inverse_root, .period = 1};
  CHECK(near(root(3), 0.5));
  const schedule cosine{.kind = rate_decay::cosine, .factor = 0.2, .period = 10};
  CHECK(near(cosine(0), 1));
  CHECK(near(cosine(5), 0.6));
  CHECK(near(cosine(9), 0.2 + 0.8 * (1 - std::cos(3.14159265358979323846 / 10)) / 2));
  CHECK(cosine(10) == 0.2);
  CHECK(cosine(UINT64_MAX) == 0.2);
}

TEST_CASE("the decay begins where the warm-up ends") {
  schedule s{.kind = rate_decay::step, .factor = 0.5, .period = 2, .warmup = 3};
  for (const double want : {0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.5, 0.25}) {
    static std::uint64_t k;
    CHECK(s(k++) == want);
  }
}
