// SPDX-License-Identifier: MIT
#include <cstdint>
#include <cstdlib>
#include <string>

#include "support/catch.hpp"
#include "support/hostile_server.hpp"
#include "support/secure_simulation.hpp"

using namespace fedagg_test;

namespace {

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

template <class Base>
std::string simulate(std::uint64_t seed, tally& count) {
  fedagg::random_stream random(seed, "schedule");
  secure_parties<Base> w(shape::draw(random), seed);
  ++count.schedules;
  for (std::uint64_t rounds = 1 + (random.below(4) == 0); rounds > 0; --rounds) {
    faulty_round<Base> r(w, count);
    r.run();
    if (!w.trouble.empty()) return w.trouble;
    if (w.setup.parameters.model == fedagg::threat_model::curious && !r.passive()) return {};
    if (const std::string leak = w.tracker.text(); !leak.empty()) return leak;
  }
  return {};
}

} // namespace

namespace {

template <class Base>
std::string attack(std::uint64_t seed, tally& count) {
  fedagg::random_stream random(seed, "attack");
  shape s = shape::draw(random);
  if (s.parameters.model == fedagg::threat_model::curious) return {};
  secure_parties<Base> w(s, seed);
  ++count.hostile;
  for (std::uint64_t rounds = 1 + (random.below(4) == 0); rounds > 0; --rounds) {
    hostile_round<Base> r(w);
    r.run(static_cast<int>(random.below(r.strategies)));
    count.openings += r.openings;
    if (!w.trouble.empty()) return w.trouble;
    if (const std::string leak = w.tracker.text(); !leak.empty()) return leak;
  }
  return {};
}

} // namespace

TEST_CASE("servers that do as they like") {
  const std::uint64_t first = number("FEDAGG_FIRST_SCHEDULE", 1), many = number("FEDAGG_SCHEDULES", 1500);
  tally count;
  for (std::uint64_t seed = first; seed < first + many; ++seed) {
    INFO("attack " << seed);
    REQUIRE(attack<toy_suite>(seed, count) == "");
  }
  WARN(count.hostile << " attacks, " << count.openings << " openings");
}

TEST_CASE("schedules of faults") {
  const std::uint64_t first = number("FEDAGG_FIRST_SCHEDULE", 1), many = number("FEDAGG_SCHEDULES", 1500);
  tally count;
  for (std::uint64_t seed = first; seed < first + many; ++seed) {
    INFO("schedule " << seed);
    REQUIRE(simulate<toy_suite>(seed, count) == "");
  }
  WARN(count.schedules << " schedules, " << count.rounds << " rounds, " << count.sums << " sums, " << count.incomplete
       << " incomplete, " << count.bad_dealers << " bad dealers");
}
