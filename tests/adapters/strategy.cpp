// SPDX-License-Identifier: MIT
#include <fedagg/adapters/strategy.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "compiled/chains.hpp"
#include "compiled/optimizers.hpp"
#include "support/catch.hpp"

using fedagg::any_chain;
using fedagg::any_mixing;
using fedagg::any_optimizer;
using fedagg::any_rule;
using fedagg::errc;
using fedagg::strategy;
using fedagg::strategy_server;

namespace {

/// Refused with this code, and the sentence names what is wrong.
void refused(const char* text, errc code, const char* named) {
  strategy s;
  s.client.epochs = 77;
  fedagg::error why(errc::ok);
  INFO(text);
  CHECK(strategy::try_parse(text, s, why) == code);
  INFO(why.what());
  CHECK(std::strstr(why.what(), named) != nullptr);
  CHECK(s.client.epochs == 77);
}

std::vector<std::vector<float>> sites(std::size_t n, std::size_t d, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<float>> x(n, std::vector<float>(d));
  for (auto& row : x)
    for (float& v : row) v = static_cast<float>(random() % 2000) / 1000 - 1;
  return x;
}

} // namespace

TEST_CASE("a strategy round-trips through its text") {
  const char* texts[] = {
      R"({"rule":{"rule":"mean"}})",
      R"({"rule":{"rule":"krum","f":1},"mixing":[{"mixing":"arc","f":1},{"mixing":"nnm","f":1}]})",
      R"({"rule":{"rule":"mean"},"weights":{"by":"claims","share":0.25},"optimizer":{"optimizer":"fed_adam","beta2":0.5},
          "schedule":{"kind":"cosine","period":50,"warmup":3},"server":{"state":"f64","send":"updates"},
          "roles":[{"tensors":"head.*","role":"keep"},{"tensors":"head.bias","role":"train"}],
          "client":{"algorithm":"fed_prox","mu":0.125,"epochs":5}})",
      R"({"rule":{"rule":"mean"},"weights":{"by":"uniform"},"server":{"clients":12},
          "optimizer":{"optimizer":"fed_dyn","alpha":0.5},"client":{"algorithm":"fed_dyn","alpha":0.5}})",
      R"({"rule":{"rule":"mean"},"secure":{"model":"semi_malicious","colluding":2,"dropouts":3,"threshold":9,"degree":4,
          "minimum_inputs":5,"bits":24,"clip":0.5,"clip_by":"range","scale":64,"max_weight":100}})",
  };
  std::vector<std::string> seen;
  for (const char* text : texts) {
    const strategy s = strategy::parse(text);
    const std::string full = s.text();
    CHECK(strategy::parse(full).text() == full);
    CHECK(std::find(seen.begin(), seen.end(), full) == seen.end());
    seen.push_back(full);
  }
  const strategy s = strategy::parse(texts[2]);
  CHECK(s.optimizer.get_if<fedagg::fed_adam>()->beta2 == 0.5);
  CHECK(s.rate.kind == fedagg::rate_decay::cosine);
  CHECK(s.client.mu == 0.125);
  CHECK(s.roles.of("head.bias", fedagg::dtype::f32) == fedagg::role::train);
  CHECK(s.roles.of("head.weight", fedagg::dtype::f32) == fedagg::role::keep);
  CHECK(s.roles.of("bn.running_var", fedagg::dtype::f32) == fedagg::role::aggregate);
}

TEST_CASE("what is no strategy is refused with its name") {
  refused("[]", errc::json_type, "object");
  refused("{}", errc::json_type, "rule");
  refused("{\"rule\":", errc::json_type, "JSON");
  refused(R"({"rule":{"rule":"mean"},"rule":{"rule":"median"}})", errc::json_type, "twice");
  refused(R"({"rule":{"rule":"mean"},"learning_rate":1})", errc::json_type, "learning_rate");
  refused(R"({"rule":{"rule":"average"}})", errc::unknown_rule, "average");
  refused(R"({"rule":{"rule":"mean"},"optimizer":{"optimizer":"adam"}})", errc::unknown_optimizer, "fed_adam");
  refused(R"({"rule":{"rule":"mean"},"optimizer":{"rule":"fed_adam"}})", errc::json_type, "optimizer");
  refused(R"({"rule":{"rule":"mean"},"optimizer":{"optimizer":"fed_adam","beta1":1}})", errc::bad_parameter, "beta1");
  refused(R"({"rule":{"rule":"mean"},"optimizer":{"optimizer":"fed_adam","beta":0.5}})", errc::json_type, "beta");
  refused(R"({"rule":{"rule":"mean"},"mixing":{"mixing":"nnm","f":1}})", errc::json_type, "list");
  refused(R"({"rule":{"rule":"mean"},"mixing":[{"mixing":"krum","f":1}]})", errc::unknown_mixing, "krum");
  refused(R"({"rule":{"rule":"sign_guard"},"mixing":[{"mixing":"nnm","f":1}]})", errc::bad_parameter, "behind");
  refused(R"({"rule":{"rule":"mean"},"schedule":{"kind":"linear"}})", errc::bad_parameter, "linear");
  refused(R"({"rule":{"rule":"mean"},"schedule":5})", errc::json_type, "schedule");
  refused(R"({"rule":{"rule":"mean"},"roles":[{"tensors":"a","role":"train","x":1}]})", errc::json_type, "roles");
  refused(R"({"rule":{"rule":"mean"},"roles":[{"tensors":"a","role":"learn"}]})", errc::json_type, "learn");
  refused(R"({"rule":{"rule":"mean"},"weights":{"share":0}})", errc::bad_parameter, "share");
  refused(R"({"rule":{"rule":"mean"},"server":{"clients":0.5}})", errc::json_type, "clients");
  refused(R"({"rule":{"rule":"mean"},"client":{"algorithm":"fed_prox"}})", errc::bad_parameter, "mu");
  refused(R"({"rule":{"rule":"mean"},"client":{"mu":1}})", errc::bad_parameter, "mu");
  refused(R"({"rule":{"rule":"mean"},"client":{"algorithm":"scaffold"}})", errc::bad_parameter, "scaffold");
  refused(R"({"rule":{"rule":"mean"},"optimizer":{"optimizer":"fed_dyn"}})", errc::bad_parameter, "fed_dyn");
  refused(R"({"rule":{"rule":"mean"},"weights":{"by":"uniform"},"server":{"clients":12},
      "optimizer":{"optimizer":"fed_dyn","alpha":0.5},"client":{"algorithm":"fed_dyn","alpha":0.25}})",
          errc::bad_parameter, "alpha");
  refused(R"({"rule":{"rule":"mean"},"server":{"clients":12},
      "optimizer":{"optimizer":"fed_dyn","alpha":0.5},"client":{"algorithm":"fed_dyn","alpha":0.5}})",
          errc::bad_parameter, "uniform");
}

TEST_CASE("chains chosen at run time give the bits of those of types") {
  const auto x = sites(9, 50, 1);
  fedagg::cohort clients;
  for (const auto& row : x) clients.add(row);
  clients.updates();
  const auto same = [&](const any_chain& chosen, const auto& typed) {
    std::vector<float> a(50), b(50);
    fedagg::workspace space;
    REQUIRE(chosen.check() == errc::ok);
    REQUIRE(try_aggregate(chosen, clients, a, space) == errc::ok);
    const std::size_t passes = space.result().passes;
    REQUIRE(fedagg::try_aggregate(typed, clients, b, space) == errc::ok);
    CHECK(a == b);
    CHECK(space.result().passes == passes);
  };
  const fedagg::nnm near{.f = 2};
  const fedagg::arc clip{.f = 2};
  const fedagg::bucketing buckets{.size = 2, .seed = 5};
  const fedagg::static_clipping fixed{.threshold = 2};
  same({{}, fedagg::median{}}, fedagg::median{});
  same({{near}, fedagg::median{}}, near | fedagg::median{});
  same({{near}, fedagg::mean{}}, near | fedagg::mean{});
  same({{clip}, fedagg::mean{}}, clip | fedagg::mean{});
  same({{clip, near}, fedagg::krum{.f = 2}}, clip | near | fedagg::krum{.f = 2});
  same({{fixed, clip}, fedagg::cge{.f = 1}}, fixed | clip | fedagg::cge{.f = 1});
  same({{buckets}, fedagg::cge{.f = 1}}, buckets | fedagg::cge{.f = 1});
  same({{buckets}, fedagg::geometric_median{}}, buckets | fedagg::geometric_median{});
  same({{near}, fedagg::trimmed_mean{.trim = 2}}, near | fedagg::trimmed_mean{.trim = 2});
  fedagg::workspace space;
  std::vector<float> out(50, 3);
  const any_chain impossible{{near}, fedagg::sign_guard{}};
  CHECK(impossible.check() == errc::bad_parameter);
  CHECK(try_aggregate(impossible, clients, out, space) == errc::bad_parameter);
  CHECK(try_aggregate(any_chain{{fedagg::nnm{.f = 5}}, fedagg::median{}}, clients, out, space) != errc::ok);
  CHECK(out == std::vector<float>(50, 3));
}

TEST_CASE("a strategy's rounds are its parts by hand") {
  const auto s = strategy::parse(R"({"rule":{"rule":"trimmed_mean","trim":1},"mixing":[{"mixing":"nnm","f":1}],
      "optimizer":{"optimizer":"fed_adam","learning_rate":0.05},"schedule":{"kind":"step","period":2,"factor":0.5}})");
  strategy_server server(s);
  std::vector<float> model(33, 0.5f), by_hand = model;
  fedagg::optimizer_state state;
  for (unsigned round = 0; round < 4; ++round) {
    const auto x = sites(6, 33, round);
    fedagg::cohort clients;
    for (const auto& row : x) clients.add(row);
    const fedagg::mutable_model_view view(model);
    REQUIRE(server.try_round(clients, view) == errc::ok);
    CHECK(server.state().round() == round + 1);

    std::vector<float> mean(33);
    clients.base(fedagg::model_view(by_hand));
    fedagg::aggregate(fedagg::nnm{.f = 1} | fedagg::trimmed_mean{.trim = 1}, clients, mean);
    const fedagg::mutable_model_view hand(by_hand);
    const fedagg::model_view aggregate(mean);
    fedagg::step(fedagg::fed_adam{.learning_rate = 0.05}, hand, fedagg::pseudo_gradient::model(aggregate), state,
                 {.rate = {.kind = fedagg::rate_decay::step, .factor = 0.5, .period = 2}});
    CHECK(model == by_hand);
  }
}

TEST_CASE("weights, updates and participation reach where they belong") {
  const std::vector<float> a{1, 0}, b{4, 2};
  std::vector<float> x{10, 10};
  const fedagg::mutable_model_view model(x);
  fedagg::cohort clients;
  clients.add(a, {.weight = 3}).add(b, {.weight = 1});
  SECTION("claims") {
    strategy_server server(strategy::parse(R"({"rule":{"rule":"mean"},"server":{"send":"updates"}})"));
    REQUIRE(server.try_round(clients, model) == errc::ok);
    CHECK(x == std::vector<float>{11.75f, 10.5f});
  }
  SECTION("a capped share") {
    strategy_server server(
        strategy::parse(R"({"rule":{"rule":"mean"},"server":{"send":"updates"},"weights":{"share":0.5}})"));
    REQUIRE(server.try_round(clients, model) == errc::ok);
    CHECK(x == std::vector<float>{12.5f, 11});
  }
  SECTION("all alike") {
    strategy_server server(
        strategy::parse(R"({"rule":{"rule":"mean"},"server":{"send":"updates"},"weights":{"by":"uniform"}})"));
    REQUIRE(server.try_round(clients, model) == errc::ok);
    CHECK(x == std::vector<float>{12.5f, 11});
  }
  SECTION("SCAFFOLD's controls move by |S| / N") {
    strategy_server server(strategy::parse(R"({"rule":{"rule":"mean"},"weights":{"by":"uniform"},
        "server":{"send":"updates","clients":8,"state":"f64"},"optimizer":{"optimizer":"scaffold_server"},
        "client":{"algorithm":"scaffold"}})"));
    const std::vector<float> north{3, -3}, south{-1, 1};
    fedagg::cohort changes;
    changes.add(north);
    CHECK(server.try_round(clients, model) == errc::bad_parameter);
    CHECK(server.try_round(clients, model, {.control_changes = &changes}) == errc::bad_parameter);
    CHECK(x == std::vector<float>{10, 10});
    changes.add(south);
    REQUIRE(server.try_round(clients, model, {.control_changes = &changes}) == errc::ok);
    CHECK(x == std::vector<float>{12.5f, 11});
    CHECK(server.state().slots()[0].values<double>(0)[0] == 0.25);
    CHECK(server.state().slots()[0].values<double>(0)[1] == -0.25);
  }
  SECTION("more clients than there are") {
    strategy_server server(strategy::parse(R"({"rule":{"rule":"mean"},"server":{"clients":1}})"));
    CHECK(server.try_round(clients, model) == errc::bad_parameter);
    CHECK(x == std::vector<float>{10, 10});
  }
}

TEST_CASE("a refused round leaves the model and the state") {
  const auto s = strategy::parse(R"({"rule":{"rule":"median"},"optimizer":{"optimizer":"fed_avgm"},
      "server":{"on_bad_client":"fail"}})");
  strategy_server server(s);
  std::vector<float> x{1, 1}, a{2, 2}, bad{2, std::numeric_limits<float>::infinity()};
  std::uint32_t bits = 0x7f800000u;
  std::memcpy(&bad[1], &bits, sizeof bits);
  const fedagg::mutable_model_view model(x);
  fedagg::cohort clients;
  clients.add(a).add(bad).add(a);
  CHECK(server.try_round(clients, model) == errc::non_finite);
  CHECK(server.result().rejected.size() == 1);
  CHECK(server.state().round() == 0);
  CHECK(x == std::vector<float>{1, 1});
  CHECK(server.try_round(fedagg::cohort(), model) == errc::empty_cohort);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(server.round_or_raise(clients, model), fedagg::error);
#endif
}

TEST_CASE("what secure aggregation cannot be combined with is refused with the reason") {
  const char* why = "secure aggregation opens the sum alone";
  refused(R"({"rule":{"rule":"krum","f":1},"secure":{"clip":1}})", errc::bad_parameter, why);
  refused(R"({"rule":{"rule":"median"},"secure":{"clip":1}})", errc::bad_parameter, why);
  refused(R"({"rule":{"rule":"mean"},"mixing":[{"mixing":"nnm","f":1}],"secure":{"clip":1}})", errc::bad_parameter, why);
  refused(R"({"rule":{"rule":"mean"},"weights":{"share":0.5},"secure":{"clip":1}})", errc::bad_parameter, "share");
  refused(R"({"rule":{"rule":"mean"},"weights":{"by":"uniform"},"server":{"clients":8},"optimizer":{"optimizer":"scaffold_server"},
              "client":{"algorithm":"scaffold"},"secure":{"clip":1}})", errc::bad_parameter, "one mean");
  refused(R"({"rule":{"rule":"mean"},"secure":{}})", errc::bad_parameter, "clip");
  refused(R"({"rule":{"rule":"mean"},"secure":{"clip":1,"bits":65}})", errc::bad_parameter, "bits");
  refused(R"({"rule":{"rule":"mean"},"secure":{"clip":1,"model":"evil"}})", errc::bad_parameter, "model");
}

TEST_CASE("a secure round steps the model as a plain one does, within the codec's bound") {
  const std::size_t n = 4, d = 40;
  for (const bool updates : {false, true}) {
    const auto how = strategy::parse(std::string(R"({"rule":{"rule":"mean"},"optimizer":{"optimizer":"sgd","learning_rate":0.5},
        "secure":{"clip":4,"clip_by":"range","max_weight":10,"bits":40},"server":{"send":")") +
                                     (updates ? "updates" : "models") + "\"}}");
    REQUIRE(how.secure);
    auto x = sites(n, d, 3);
    std::vector<std::int64_t> steps{7};
    std::vector<float> plain(d, 1), secured(d, 1);
    fedagg::mutable_model_view model;
    model.add("w", secured).add("steps", steps, fedagg::integers::keep);
    const auto codec = [&] {
      return fedagg::ring_codec(how.secure->ring(n, updates ? fedagg::ring_content::updates : fedagg::ring_content::models),
                                fedagg::model_layout(model));
    }();
    fedagg::ring_vector sum;
    REQUIRE(sum.try_reset(codec.layout()) == errc::ok);
    fedagg::cohort clients;
    std::uint64_t weight = 0;
    std::mt19937 random(4);
    struct {
      std::mt19937& from;
      void fill(std::span<std::uint32_t> out) {
        for (auto& w : out) w = static_cast<std::uint32_t>(from());
      }
    } words{random};
    for (std::size_t i = 0; i < n; ++i) {
      std::int64_t none = 0;
      fedagg::model_view one;
      one.add("w", x[i]).add("steps", std::span<const std::int64_t>(&none, 1), fedagg::integers::keep);
      fedagg::ring_vector own;
      REQUIRE(codec.try_encode(one, i + 1, {}, words, own) == errc::ok);
      REQUIRE(fedagg::try_add(sum, own) == errc::ok);
      clients.add(x[i], {.weight = static_cast<double>(i + 1)});
      weight += i + 1;
    }
    strategy without = how;
    without.secure.reset();
    strategy_server in_the_clear(without), server(how);
    REQUIRE(in_the_clear.try_round(clients, fedagg::mutable_model_view(plain)) == errc::ok);
    fedagg::ring_totals totals;
    REQUIRE(server.try_secure_round(codec, sum, n, model, totals) == errc::ok);
    CHECK(totals.weight == weight);
    CHECK(steps[0] == 7);
    // Half of the aggregate's error, and two roundings to float.
    const double bound = 0.5 * codec.error_bound(weight, n) + 4 * 0x1p-22;
    for (std::size_t j = 0; j < d; ++j) CHECK(std::abs(double{plain[j]} - double{secured[j]}) <= bound);
    const auto before = secured;
    CHECK(server.try_secure_round(codec, sum, n - 1, model, totals) == errc::bad_sum);
    CHECK(in_the_clear.try_secure_round(codec, sum, n, model, totals) == errc::bad_parameter);
    CHECK(secured == before);
  }
}
