// SPDX-License-Identifier: MIT
#include <fedagg/protocols/streaming_round.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fedagg/passes/accumulator.hpp>

#include "support/allocations.hpp"
#include "support/whole_sum.hpp"
#include "support/memory_archive.hpp"
#include "support/round_model.hpp"

using fedagg::errc;
using fedagg::mean_accumulator;
using fedagg::standing;
using fedagg::streaming_round;
using round_model::content;

namespace {

constexpr float nan_of_float = std::numeric_limits<float>::quiet_NaN();

template <class Accumulator>
struct subject {
  std::vector<float> layout = std::vector<float>(3);
  streaming_round<Accumulator> round{Accumulator(layout)};
  std::vector<float> sent = std::vector<float>(3);

  std::size_t slot(const std::string&) { return 0; }
  std::vector<float>& values(std::size_t, content) { return sent; }
  errc receive(const fedagg::delivery& d, content what, std::size_t) {
    std::vector<float> model(sent);
    if (what == content::longer) model.push_back(0);
    if (what == content::nan) model[1] = nan_of_float;
    const errc rc = round.try_receive(d, model);
    // Nothing is read later.
    for (float& x : model) x = nan_of_float;
    return rc;
  }
  errc finish(std::vector<float>& out, std::int64_t now) { return round.try_finish(out, now); }
  bool reload() {
    if constexpr (requires(fedagg_test::memory_archive & a) { round.sum().clients(), Accumulator(layout).archive(a); }) {
      fedagg_test::memory_archive a;
      CHECK(a.save(round) == errc::ok);
      CHECK(a.twice.empty());
      const std::size_t logged = round.logged();
      streaming_round<Accumulator> fresh{Accumulator(layout)};
      CHECK(a.load(fresh) == errc::ok);
      bool same = fresh.logged() == logged;
      for (std::size_t i = 0; same && i < logged; ++i) {
        const auto x = fresh.logged(i), y = round.logged(i);
        same = x.id == y.id && x.reason == y.reason && x.when == y.when && x.round == y.round;
      }
      CHECK(same);
      round = std::move(fresh);
      fedagg_test::memory_archive again;
      CHECK(again.save(round) == errc::ok);
      CHECK(again.items == a.items);
      return true;
    }
    return false;
  }
};

/// A round of one edge: clients named `prefix`0.. with these values and weights.
template <class Accumulator>
void fill(streaming_round<Accumulator>& edge, std::uint64_t number, const std::vector<float>& values,
          const std::vector<double>& weights) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < values.size(); ++i) ids.push_back(std::to_string(i));
  REQUIRE(edge.try_begin({.round = number}, ids) == errc::ok);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::vector<float> x = {values[i], -values[i], 1};
    REQUIRE(edge.try_receive({.client = ids[i], .round = number, .weight = weights[i]}, x) == errc::ok);
  }
}

} // namespace

TEST_CASE("a streaming round does what the plain model of it does, whatever is called") {
  for (std::uint64_t seed = 100; seed < 112; ++seed) {
    SECTION("plain mean " + std::to_string(seed)) {
      subject<mean_accumulator> s;
      round_model::random_calls(s, seed, 1200);
    }
    SECTION("an accumulator of one's own, saved and loaded " + std::to_string(seed)) {
      subject<whole_sum> s;
      round_model::random_calls(s, seed, 1200);
    }
  }
}

TEST_CASE("a client that is refused leaves no trace in the sum, and may try again") {
  const std::vector<float> good = {1, 2, 3}, bad = {5, 5, nan_of_float};
  std::vector<float> out(3);
  streaming_round round{mean_accumulator(out)};
  round.begin({.round = 1, .deadline = 10}, {"a", "b"});
  CHECK(round.try_receive({.client = "a", .round = 1}, bad) == errc::non_finite);
  CHECK(round.clients() == 0);
  CHECK(round.record(0).standing == standing::rejected);
  CHECK(round.try_receive({.client = "a", .round = 1, .now = 1}, good) == errc::ok);
  CHECK(round.record(0).standing == standing::received);
  CHECK(round.record(0).reason == errc::ok);
  CHECK(round.record(0).refused == 1);
  CHECK(round.try_receive({.client = "a", .round = 1, .now = 2}, good) == errc::duplicate_client);
  CHECK(round.try_receive({.client = "b", .round = 0, .now = 2}, good) == errc::stale_client);
  CHECK(round.try_finish(out, 10) == errc::round_incomplete);
  CHECK(round.try_extend(20) == errc::ok);
  CHECK(round.try_receive({.client = "b", .round = 1, .now = 11}, good) == errc::ok);
  std::vector<float> longer(4);
  CHECK(round.try_finish(longer, 11) == errc::layout_mismatch);
  CHECK(round.phase() == fedagg::round_phase::open);
  CHECK(round.try_finish(out, 11) == errc::ok);
  CHECK(out == good);
  // The next round starts from nothing.
  round.begin({.round = 2}, {"a"});
  CHECK(round.clients() == 0);
  round.abandon();
}

TEST_CASE("edges hand up what they have summed: the root's result is the flat one, bit for bit with exact sums") {
  std::mt19937_64 random(3);
  for (int turn = 0; turn < 40; ++turn) {
    // Four edges below two inner nodes below the root, and two clients of the root's own.
    std::vector<float> flat_out(3), out(3);
    streaming_round flat{whole_sum(out)}, root{whole_sum(out)}, left{whole_sum(out)}, right{whole_sum(out)};
    std::vector<streaming_round<whole_sum>> edges(4, streaming_round<whole_sum>{whole_sum(out)});
    std::vector<std::string> everybody;
    std::vector<std::vector<float>> values(5);
    std::vector<std::vector<double>> weights(5);
    for (std::size_t e = 0; e < 5; ++e)
      for (std::size_t i = 0; i < (e == 4 ? 2 : 1 + random() % 5); ++i) {
        values[e].push_back(static_cast<float>(random() % 2001) - 1000);
        weights[e].push_back(static_cast<double>(random() % 100 + 1));
        everybody.push_back(std::to_string(e) + "/" + std::to_string(i));
      }
    REQUIRE(flat.try_begin({.round = 9}, everybody) == errc::ok);
    std::size_t next = 0;
    for (std::size_t e = 0; e < 5; ++e)
      for (std::size_t i = 0; i < values[e].size(); ++i) {
        const std::vector<float> x = {values[e][i], -values[e][i], 1};
        REQUIRE(flat.try_receive({.client = everybody[next++], .round = 9, .weight = weights[e][i]}, x) == errc::ok);
      }
    REQUIRE(flat.try_finish(flat_out, 0) == errc::ok);

    for (std::size_t e = 0; e < 4; ++e) fill(edges[e], 9, values[e], weights[e]);
    left.begin({.round = 9}, {"e0", "e1"});
    right.begin({.round = 9}, {"e2", "e3"});
    root.begin({.round = 9}, {"left", "right", "c0", "c1"});
    // An edge that still waits has nothing to hand up.
    CHECK(left.try_receive({.client = "e0"}, edges[0]) == errc::round_incomplete);
    for (auto& edge : edges) REQUIRE(edge.try_finish(5) == errc::ok);
    CHECK(right.try_receive({.client = "e3"}, edges[3]) == errc::ok);
    CHECK(right.try_receive({.client = "e2"}, edges[2]) == errc::ok);
    CHECK(left.try_receive({.client = "e1"}, edges[1]) == errc::ok);
    CHECK(left.try_receive({.client = "e0"}, edges[0]) == errc::ok);
    CHECK(left.try_receive({.client = "e1"}, edges[1]) == errc::duplicate_client);
    REQUIRE(left.try_finish(6) == errc::ok);
    REQUIRE(right.try_finish(6) == errc::ok);
    for (std::size_t i = 0; i < 2; ++i) {
      const std::vector<float> x = {values[4][i], -values[4][i], 1};
      REQUIRE(root.try_receive({.client = i == 0 ? "c0" : "c1", .round = 9, .weight = weights[4][i]}, x) == errc::ok);
    }
    CHECK(root.try_receive({.client = "right"}, right) == errc::ok);
    CHECK(root.try_receive({.client = "left", .round = 9}, left.sum()) == errc::ok);
    REQUIRE(root.try_finish(out, 7) == errc::ok);
    CHECK(out == flat_out);
    CHECK(root.clients() == everybody.size());
    CHECK(root.sum().sums() == flat.sum().sums());
    CHECK(root.record(root.find("right")).weight == right.sum().weight());
  }
}

TEST_CASE("an edge is counted once, in its own round, and a missing one is named") {
  std::vector<float> out(3);
  const std::vector<float> longer(4);
  streaming_round root{whole_sum(out)}, old{whole_sum(out)}, edge{whole_sum(out)}, odd{whole_sum(longer)};
  fill(old, 3, {7, 9}, {1, 1});
  fill(edge, 4, {1, 3}, {1, 1});
  odd.begin({.round = 4}, {"x"});
  REQUIRE(odd.try_receive({.client = "x", .round = 4}, longer) == errc::ok);
  for (auto* e : {&old, &edge, &odd}) REQUIRE(e->try_finish(0) == errc::ok);
  root.begin({.round = 4, .deadline = 50, .minimum = 1}, {"east", "west", "north"});
  CHECK(root.try_receive({.client = "east", .now = 1}, old) == errc::stale_client);
  CHECK(root.try_receive({.client = "south", .now = 2}, edge) == errc::unknown_client);
  CHECK(root.try_receive({.client = "west", .now = 3}, odd) == errc::client_layout);
  CHECK(root.try_receive({.client = "west", .round = 4, .now = 4}, whole_sum(out)) == errc::empty_cohort);
  CHECK(root.try_receive({.client = "east", .now = 5}, edge) == errc::ok);
  CHECK(root.try_receive({.client = "east", .now = 6}, edge) == errc::duplicate_client);
  CHECK(root.clients() == 2);
  REQUIRE(root.try_finish(out, 50) == errc::ok);
  CHECK(out == std::vector<float>{2, -2, 1});
  CHECK(root.record(2).id == "north");
  CHECK(root.record(2).standing == standing::missing);
  CHECK(root.record(1).reason == errc::empty_cohort);
}

TEST_CASE("a hostile file is refused") {
  std::vector<float> out(3);
  const std::vector<float> x = {1, 2, 3};
  streaming_round round{whole_sum(out)};
  round.begin({.round = 5, .deadline = 20, .needed = 3, .minimum = 2}, {"a", "bb", "", "dddd"});
  REQUIRE(round.try_receive({.client = "bb", .round = 5}, x) == errc::ok);
  REQUIRE(round.try_receive({.client = "who", .round = 5}, x) == errc::unknown_client);
  REQUIRE(round.try_fail("a", errc::late_client, 3) == errc::ok);
  fedagg_test::memory_archive saved;
  REQUIRE(saved.save(round) == errc::ok);
  const auto load = [&](const fedagg_test::memory_archive& a) {
    streaming_round fresh{whole_sum(out)};
    fedagg_test::memory_archive copy = a;
    return copy.load(fresh);
  };
  CHECK(load(saved) == errc::ok);

  SECTION("every item shortened, lengthened or missing") {
    for (const auto& [name, item] : saved.items) {
      if (name.find("round.") != 0) continue;
      CAPTURE(name);
      auto a = saved;
      a.items.erase(name);
      CHECK(load(a) == errc::file_format);
      // No element more or less goes unseen.
      a = saved;
      auto& bytes = a.items[name].bytes;
      bytes.resize(bytes.size() + 8);
      CHECK(load(a) == errc::file_format);
      if (item.bytes.size() >= 8) {
        a = saved;
        a.items[name].bytes.resize(item.bytes.size() - 8);
        CHECK(load(a) == errc::file_format);
      }
    }
  }
  SECTION("values out of range") {
    const auto spoil = [&](const char* name, std::size_t at, auto value) {
      auto a = saved;
      auto& bytes = a.items.at(name).bytes;
      REQUIRE((at + 1) * sizeof value <= bytes.size());
      std::memcpy(bytes.data() + at * sizeof value, &value, sizeof value);
      return load(a);
    };
    CHECK(spoil("round.needed", 0, std::uint64_t{5}) == errc::file_format);
    CHECK(spoil("round.minimum", 0, std::uint64_t{0}) == errc::file_format);
    CHECK(spoil("round.minimum", 0, std::uint64_t{4}) == errc::file_format);
    CHECK(spoil("round.phase", 0, std::uint64_t{4}) == errc::file_format);
    CHECK(spoil("round.phase", 0, std::uint64_t{0}) == errc::file_format);
    CHECK(spoil("round.standing", 0, std::uint8_t{6}) == errc::file_format);
    CHECK(spoil("round.reasons", 3, std::uint32_t{5000}) == errc::file_format);
    CHECK(spoil("round.reasons", 3, std::uint32_t{0xffffffff}) == errc::file_format);
    CHECK(spoil("round.weights", 1, -1.0) == errc::file_format);
    CHECK(spoil("round.weights", 1, std::bit_cast<double>(0x7ff8000000000000u)) == errc::file_format);
    CHECK(spoil("round.clients.id_sizes", 3, std::uint64_t{5}) == errc::file_format);
    CHECK(spoil("round.clients.id_sizes", 0, ~std::uint64_t{0}) == errc::file_format);
    CHECK(spoil("round.log_clients", 0, std::uint64_t{5}) == errc::file_format);
    CHECK(spoil("round.log_sizes", 0, ~std::uint64_t{0}) == errc::file_format);
    // More are received than are needed.
    auto a = saved;
    for (auto& b : a.items.at("round.standing").bytes) b = std::byte{1};
    CHECK(load(a) == errc::file_format);
    // Who is received is in the sum, and nobody else.
    CHECK(spoil("sum.clients", 0, std::uint64_t{0}) == errc::file_format);
    a = saved;
    a.items.at("round.standing").bytes[1] = std::byte{0};
    CHECK(load(a) == errc::file_format);
    // One id twice.
    a = saved;
    const std::uint64_t sizes[] = {1, 1, 1, 4};
    std::memcpy(a.items.at("round.clients.id_sizes").bytes.data(), sizes, sizeof sizes);
    CHECK(load(a) == errc::file_format);
  }
  SECTION("after a restart the clock starts anew") {
    streaming_round fresh{whole_sum(out)};
    REQUIRE(saved.load(fresh) == errc::ok);
    CHECK(fresh.try_receive({.client = "bb", .round = 5, .now = -1000}, x) == errc::duplicate_client);
    CHECK(fresh.try_extend(-900) == errc::ok);
    CHECK(fresh.try_receive({.client = "dddd", .round = 5, .now = -950}, x) == errc::ok);
    CHECK(fresh.try_finish(out, -900) == errc::ok);
    CHECK(out == x);
  }
}

TEST_CASE("a steady state takes no memory") {
  const std::vector<float> x = {1, 2, 3};
  std::vector<float> out(3);
  streaming_round round{mean_accumulator(out)};
  const std::vector<std::string> ids = {"a", "b", std::string(300, 'x')};
  const fedagg::model_view view(x);
  const fedagg::mutable_model_view target(out);
  std::size_t before = 0;
  for (std::uint64_t k = 1; k <= 4; ++k) {
    if (k == 3) before = allocations::count;
    bool good = round.try_begin({.round = k}, ids) == errc::ok;
    for (const auto& id : ids) good = good && round.try_receive({.client = id, .round = k}, view) == errc::ok;
    good = good && round.try_receive({.client = "stranger", .round = k}, view) == errc::unknown_client;
    good = good && round.try_finish(target, 0) == errc::ok;
    if (!good) FAIL("a round failed");
  }
  CHECK(allocations::count == before);
}
