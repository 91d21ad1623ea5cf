// SPDX-License-Identifier: MIT
// Rounds of SCAFFOLD: what each client's control changed by goes with its model.
#include <fedagg/adapters/strategy.hpp>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "compiled/chains.hpp"
#include "compiled/optimizers.hpp"
#include "support/catch.hpp"

using fedagg::errc;
using fedagg::strategy;
using fedagg::strategy_server;

TEST_CASE("a client whose model or control is refused is left out of both") {
  const bool fails = GENERATE(false, true);
  strategy_server server(strategy::parse(std::string(R"({"rule":{"rule":"mean"},"weights":{"by":"uniform"},
      "server":{"send":"updates","clients":6,"state":"f64","on_bad_client":")") + (fails ? "fail" : "reject") + R"("},
      "optimizer":{"optimizer":"scaffold_server"},"client":{"algorithm":"scaffold"}})"));
  float nan = 0;
  const std::uint32_t bits = 0x7fc00000u;
  std::memcpy(&nan, &bits, sizeof bits);
  std::vector<float> x{1, 1}, steps{7, 8};
  std::vector<std::vector<float>> rows{{2, 0}, {nan, 1}, {4, 2}, {100, 100}, {3, 1}},
      moved{{1, 1}, {50, 50}, {3, -1}, {0, nan}, {2, 0}};
  fedagg::mutable_model_view model;
  model.add("w", x).add("bn.running_mean", steps);
  fedagg::cohort clients, changes;
  for (std::size_t i = 0; i < 5; ++i) {
    fedagg::model_view update, change;
    update.add("w", rows[i]).add("bn.running_mean", rows[i == 1 ? 0 : i]);
    change.add("w", moved[i]);
    clients.add(update, {.id = i == 1 ? "liar" : i == 3 ? "broken" : ""});
    changes.add(change);
  }
  if (fails) {
    CHECK(server.try_round(clients, model, {.control_changes = &changes}) == errc::non_finite);
    CHECK(x == std::vector<float>{1, 1});
    CHECK(server.state().round() == 0);
#if FEDAGG_EXCEPTIONS
    CHECK_THROWS_AS(server.round_or_raise(clients, model, {.control_changes = &changes}), fedagg::error);
#endif
    return;
  }
  REQUIRE(server.try_round(clients, model, {.control_changes = &changes}) == errc::ok);
  CHECK(x == std::vector<float>{4, 2});     // 1 + mean(2, 4, 3), 1 + mean(0, 2, 1)
  CHECK(steps == std::vector<float>{10, 9}); // what is not trained has no control
  CHECK(server.state().slots()[0].values<double>(0)[0] == 1); // 3 / 6 of mean(1, 3, 2)
  CHECK(server.state().slots()[0].values<double>(0)[1] == 0);
  REQUIRE(server.result().rejected.size() == 2);
  CHECK(server.result().used == 3);
  CHECK(server.result().rejected[0].reason == errc::non_finite);
  CHECK(server.result().rejected[0].id == "liar");
  CHECK(server.result().rejected[1].reason == errc::non_finite);
  CHECK(server.result().rejected[1].client == 3);
  REQUIRE(server.control_result().rejected.size() == 2);
  CHECK(server.control_result().rejected[0].reason == errc::invalid_weight);
  CHECK(server.control_result().rejected[1].reason == errc::non_finite);
  CHECK(server.control_result().rejected[1].tensor_name == "w");
}

TEST_CASE("controls go through the rule of the models, and whoever has none is refused") {
  strategy_server server(strategy::parse(R"({"rule":{"rule":"median"},"weights":{"by":"uniform"},
      "server":{"send":"updates","clients":3,"state":"f64"},"optimizer":{"optimizer":"scaffold_server"},
      "client":{"algorithm":"scaffold"}})"));
  std::vector<float> x{0};
  const std::vector<float> a{1}, b{2}, hostile{1e30f}, longer{1, 1};
  const fedagg::mutable_model_view model(x);
  fedagg::cohort clients, changes, wrong;
  clients.add(a).add(b).add(hostile);
  changes.add(b).add(a).add(hostile);
  REQUIRE(server.try_round(clients, model, {.control_changes = &changes}) == errc::ok);
  CHECK(x == std::vector<float>{2});
  CHECK(server.state().slots()[0].values<double>(0)[0] == 2);
  wrong.add(b).add(longer).add(a);
  REQUIRE(server.try_round(clients, model, {.control_changes = &wrong}) == errc::ok);
  CHECK(server.control_result().rejected.at(0).reason == errc::client_layout);
  CHECK(server.result().used == 2);

  strategy_server plain(strategy::parse(R"({"rule":{"rule":"mean"}})"));
  CHECK(plain.try_round(clients, model, {.control_changes = &changes}) == errc::bad_parameter);
}
