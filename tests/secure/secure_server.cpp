// SPDX-License-Identifier: MIT
#include <cstdint>
#include <vector>

#include <fedagg/secure/secure_server.hpp>

#include "support/catch.hpp"
#include "support/secure_round.hpp"

using fedagg::errc;
using fedagg::secure_parameters;
using fedagg::server_stage;
using fedagg::threat_model;
using fedagg_test::toy_suite;
using a_round = fedagg_test::secure_round<toy_suite>;

namespace {

secure_parameters small(threat_model model) {
  return {.model = model, .colluding = 1, .dropouts = 2, .threshold = model == threat_model::curious ? 3u : 5u};
}
constexpr threat_model models[] = {threat_model::curious, threat_model::semi_malicious, threat_model::malicious};

} // namespace

TEST_CASE("the sum of all, in every threat model") {
  for (const threat_model model : models) {
    a_round r(7, small(model), {{32, 100}, {64, 3}, {17, 5}});
    REQUIRE(r.run() == errc::ok);
    CHECK(r.aggregator.survivors().size() == 7);
    CHECK(r.taken() == r.expected());
  }
}

TEST_CASE("clients that stop at any stage leave the exact sum of those whose vector came in") {
  for (const threat_model model : models) {
    const unsigned stages = model == threat_model::curious ? 4 : 5;
    for (unsigned first = 0; first < stages; ++first)
      for (unsigned second = 0; second < stages; ++second) {
        INFO(static_cast<int>(model) << " " << first << " " << second);
        a_round r(7, small(model), {{20, 9}, {64, 2}});
        r.answers[2] = first;
        r.answers[6] = second;
        REQUIRE(r.run() == errc::ok);
        CHECK(r.aggregator.survivors().contains(2) == (first >= 3));
        CHECK(r.aggregator.survivors().contains(6) == (second >= 3));
        const auto sum = r.taken();
        CHECK(sum == r.expected());
        CHECK(sum.size() == r.world.setup.layout.packed_bytes());
      }
  }
}

TEST_CASE("with more dropouts than are tolerated the round does not end, and says so") {
  for (const threat_model model : models)
    for (unsigned stage = 0; stage < (model == threat_model::curious ? 4u : 5u); ++stage) {
      a_round r(7, small(model), {{32, 4}});
      // One more than a threshold of shares can do without.
      const std::size_t gone = model == threat_model::curious ? 5 : 3;
      for (std::size_t i = 0; i < gone; ++i) r.answers[i] = stage;
      CHECK(r.run() == errc::round_incomplete);
      CHECK(r.aggregator.stage() != server_stage::done);
      CHECK(r.taken().empty());
    }
}
