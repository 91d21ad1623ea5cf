// SPDX-License-Identifier: MIT
// Every object that a server keeps between rounds, in the middle of its life: it is saved to a file, loaded into a
// fresh one and into a used one, and is the same. Damaged files leave it as it was.
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include <fedagg/core/id_table.hpp>
#include <fedagg/core/model_buffer.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/optimizers/fed_yogi.hpp>
#include <fedagg/passes/accumulator.hpp>
#include <fedagg/passes/binned_accumulator.hpp>
#include <fedagg/passes/fixed_point_accumulator.hpp>
#include <fedagg/protocols/afl.hpp>
#include <fedagg/protocols/buffered_async.hpp>
#include <fedagg/protocols/client_history.hpp>
#include <fedagg/protocols/fedasync.hpp>
#include <fedagg/protocols/metrics.hpp>
#include <fedagg/protocols/streaming_round.hpp>

#include "strategies/survives.hpp"

using namespace states;

namespace {

template <class Accumulator>
Accumulator after(Accumulator sum, std::initializer_list<const model_view*> clients) {
  for (const model_view* client : clients) sum.absorb(*client, 2);
  return sum;
}

} // namespace

TEST_CASE("accumulators") {
  const auto all = [](const auto& fresh) {
    survives(after(fresh, {&global, &near_global}), fresh, after(fresh, {&far_global}));
  };
  all(fedagg::mean_accumulator(global));
  all(fedagg::fixed_point_accumulator(global, fedagg::fixed_point::finest(100, 4, 9)));
  all(fedagg::binned_accumulator(global));
}

TEST_CASE("optimizers, and what a server keeps of its clients") {
  const auto stepped = [](int steps) {
    std::vector<float> model = x;
    fedagg::optimizer_state state;
    for (int k = 0; k < steps; ++k)
      fedagg::step(fedagg::fed_yogi{}, mutable_model_view(model), fedagg::pseudo_gradient::delta(near_global), state);
    return state;
  };
  survives(stepped(3), fedagg::optimizer_state(), stepped(1));

  const auto filled = [](double value) {
    fedagg::model_buffer buffer{model_layout(global)};
    buffer.fill(value);
    return buffer;
  };
  survives(filled(0.1), filled(0), filled(2));
  survives(model_layout(near_global), model_layout(), model_layout(model_view(std::span<const float>(x).first(2))));

  const auto declared = [](std::initializer_list<std::string_view> ids) {
    fedagg::id_table table;
    for (const auto id : ids) REQUIRE(table.add(id) == errc::ok);
    return table;
  };
  survives(declared({"ann", "bob"}), declared({}), declared({"cleo"}));

  const auto remembered = [](std::initializer_list<const model_view*> updates) {
    fedagg::client_history history{model_layout(global)};
    history.declare("ann");
    history.declare("bob");
    for (const model_view* update : updates) {
      fedagg::cohort round;
      history.absorb(round.add(*update, {.id = "bob"}).updates());
    }
    return history;
  };
  survives(remembered({&near_global, &global}), remembered({}), remembered({&far_global}));

  const auto weighed = [](int rounds) {
    fedagg::afl_state state(3);
    for (int k = 0; k < rounds; ++k) state.update({.step = 0.1}, std::vector<double>{0.1, 0.5, 0.3});
    return state;
  };
  survives(weighed(2), weighed(0), weighed(1));

  const auto measured = [](std::initializer_list<double> values) {
    fedagg::metric_means means;
    for (const double value : values) means.add("ann", std::vector<fedagg::metric>{{"loss", value, 10}});
    return means;
  };
  survives(measured({0.5, 0.25}), measured({}), measured({2}));
}

TEST_CASE("rounds that are half over") {
  const auto round = [](const model_view* sent) {
    fedagg::streaming_round r{fedagg::mean_accumulator(global)};
    if (sent == nullptr) return r;
    r.begin({.round = 3}, {"ann", "bob"});
    REQUIRE(r.try_receive({.client = "bob", .round = 3, .weight = 2}, *sent) == errc::ok);
    return r;
  };
  survives(round(&near_global), round(nullptr), round(&far_global));

  const auto buffered = [](const model_view* sent) {
    fedagg::buffered_async server{fedagg::mean_accumulator(global), {.buffer = 2, .max_staleness = 5}};
    if (sent != nullptr) REQUIRE(server.try_receive("ann", 0, *sent) == errc::ok);
    return server;
  };
  survives(buffered(&near_global), buffered(nullptr), buffered(&far_global));

  const auto async = [](std::initializer_list<std::string_view> clients) {
    std::vector<float> model = x;
    fedagg::fully_async server(global, {.alpha = 0.5, .max_staleness = 2});
    for (const auto id : clients)
      REQUIRE(server.try_receive(id, 0, near_global, mutable_model_view(model)) == errc::ok);
    return server;
  };
  survives(async({"ann", "bob"}), async({}), async({"cleo"}));
}
