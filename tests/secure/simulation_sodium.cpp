// SPDX-License-Identifier: MIT
#ifdef FEDAGG_TESTS_SODIUM
#include <cstdint>

#include <fedagg/adapters/sodium.hpp>

#include "support/catch.hpp"
#include "support/secure_schedules.hpp"

using namespace fedagg_test;

TEST_CASE("schedules of faults and attacks with real primitives") {
  const std::uint64_t first = setting("FEDAGG_FIRST_SCHEDULE", 1), many = setting("FEDAGG_SODIUM_SCHEDULES", 60);
  tally count;
  for (std::uint64_t seed = first; seed < first + many; ++seed) {
    INFO("schedule " << seed);
    REQUIRE(run_schedule<fedagg::sodium_suite>(seed, count) == "");
  }
  WARN(count.schedules << " schedules, " << count.sums << " sums, " << count.openings << " clients opened");
}
#else
#include "support/catch.hpp"

TEST_CASE("schedules of faults and attacks with real primitives", "[!mayfail]") { WARN("libsodium is not installed"); }
#endif
