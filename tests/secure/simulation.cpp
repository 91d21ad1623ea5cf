// SPDX-License-Identifier: MIT
#include <cstdint>

#include "support/catch.hpp"
#include "support/secure_schedules.hpp"

using namespace fedagg_test;

// FEDAGG_FIRST_SCHEDULE=n FEDAGG_SCHEDULES=1 runs one again.

TEST_CASE("schedules of faults and attacks: the exact sum or a typed failure, and nothing else comes out") {
  const std::uint64_t first = setting("FEDAGG_FIRST_SCHEDULE", 1), many = setting("FEDAGG_SCHEDULES", 1500);
  tally count;
  for (std::uint64_t seed = first; seed < first + many; ++seed) {
    INFO("schedule " << seed);
    REQUIRE(run_schedule<toy_suite>(seed, count) == "");
  }
  WARN(count.schedules << " schedules, " << count.rounds << " rounds with " << count.sums << " sums, "
                       << count.incomplete << " incomplete, " << count.bad_dealers << " bad dealers; " << count.hostile
                       << " hostile servers, " << count.openings << " clients opened");
  if (many >= 1000) {
    CHECK(count.sums > many / 4);
    CHECK(count.incomplete > 0);
    CHECK(count.bad_dealers > 0);
    CHECK(count.openings > many / 4);
  }
}

TEST_CASE("many clients on a sparse graph") {
  const std::uint64_t many = setting("FEDAGG_LARGE_ROUNDS", 0);
  tally count;
  for (std::uint64_t seed = 1; seed <= many; ++seed) {
    INFO("round " << seed);
    REQUIRE(run_large<toy_suite>(1000 + static_cast<std::uint32_t>(seed * 10), seed, count) == "");
  }
  REQUIRE(run_large<toy_suite>(150, 1, count) == "");
  WARN(count.schedules << " rounds, " << count.sums << " sums, " << count.incomplete << " incomplete, "
                       << count.bad_dealers << " bad dealers");
  if (many >= 10) CHECK(3 * count.sums >= 2 * count.schedules);
}
