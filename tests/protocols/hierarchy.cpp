// SPDX-License-Identifier: MIT
// Trees of servers: what docs/hierarchy.md promises.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <fedagg/passes/accumulator.hpp>
#include <fedagg/passes/binned_accumulator.hpp>
#include <fedagg/passes/fixed_point_accumulator.hpp>
#include <fedagg/protocols/buffered_async.hpp>
#include <fedagg/protocols/streaming_round.hpp>

#include "support/memory_archive.hpp"
#include "support/numeric.hpp"

using fedagg::errc;
using fedagg::standing;
using fedagg::streaming_round;

namespace {

constexpr std::size_t d = 130;
constexpr std::uint64_t number = 12;

struct federation {
  std::vector<std::vector<float>> updates;
  std::vector<double> weights;
  std::vector<std::string> ids;

  federation(std::size_t n, std::mt19937_64& random) {
    for (std::size_t i = 0; i < n; ++i) {
      updates.emplace_back(d);
      for (auto& x : updates.back()) x = static_cast<float>(numeric::uniform(random) * 30);
      weights.push_back(static_cast<double>(random() % 500 + 1));
      ids.push_back("client " + std::to_string(i));
    }
  }
};

template <class Accumulator>
using rounds = streaming_round<Accumulator>;

/// A server for these clients: with few of them it asks them itself, else other servers. Half of the servers below hand
/// themselves up, the others are saved, sent and loaded.
template <class Accumulator>
rounds<Accumulator> server(const Accumulator& empty, const federation& f, std::vector<std::size_t> clients,
                           std::mt19937_64& random) {
  rounds<Accumulator> own(empty);
  if (clients.size() <= 3 || random() % 8 == 0) {
    std::vector<std::string> ids;
    for (const std::size_t i : clients) ids.push_back(f.ids[i]);
    REQUIRE(own.try_begin({.round = number}, ids) == errc::ok);
    std::shuffle(clients.begin(), clients.end(), random);
    for (const std::size_t i : clients)
      REQUIRE(own.try_receive({.client = f.ids[i], .round = number, .weight = f.weights[i]}, f.updates[i]) == errc::ok);
  } else {
    std::vector<std::vector<std::size_t>> parts(2 + random() % 3);
    std::shuffle(clients.begin(), clients.end(), random);
    for (std::size_t i = 0; i < clients.size(); ++i)
      parts[i < parts.size() ? i : random() % parts.size()].push_back(clients[i]);
    if (clients.size() < parts.size()) parts.resize(clients.size());
    std::vector<std::string> ids;
    for (std::size_t k = 0; k < parts.size(); ++k) ids.push_back("edge " + std::to_string(k));
    REQUIRE(own.try_begin({.round = number, .deadline = 100}, ids) == errc::ok);
    for (std::size_t k = parts.size(); k-- > 0;) {
      auto below = server(empty, f, parts[k], random);
      if (random() % 2) {
        fedagg_test::memory_archive sent;
        REQUIRE(sent.save(below) == errc::ok);
        rounds<Accumulator> loaded(empty);
        REQUIRE(sent.load(loaded) == errc::ok);
        below = std::move(loaded);
      }
      REQUIRE(own.try_receive({.client = ids[k], .now = 5}, below) == errc::ok);
      REQUIRE(own.try_receive({.client = ids[k], .now = 6}, below) == errc::duplicate_client);
    }
  }
  REQUIRE(own.try_finish(50) == errc::ok);
  return own;
}

/// The results of a flat round and of trees.
template <class Accumulator>
std::vector<std::vector<float>> results(const Accumulator& empty, const federation& f, std::mt19937_64& random) {
  std::vector<std::vector<float>> found;
  std::vector<std::size_t> everybody;
  for (std::size_t i = 0; i < f.ids.size(); ++i) everybody.push_back(i);
  for (int turn = 0; turn < 8; ++turn) {
    std::vector<float> out(d);
    if (turn == 0) {
      rounds<Accumulator> flat(empty);
      REQUIRE(flat.try_begin({.round = number}, f.ids) == errc::ok);
      for (const std::size_t i : everybody)
        REQUIRE(flat.try_receive({.client = f.ids[i], .round = number, .weight = f.weights[i]}, f.updates[i]) == errc::ok);
      REQUIRE(flat.try_finish(out, 0) == errc::ok);
    } else {
      const auto root = server(empty, f, everybody, random);
      CHECK(root.clients() == f.ids.size());
      REQUIRE(root.sum().try_finish(out) == errc::ok);
    }
    found.push_back(out);
  }
  return found;
}

} // namespace

TEST_CASE("whatever the tree and the order of arrival, the root's result is the flat one") {
  numeric::standard_mode();
  std::mt19937_64 random(17);
  for (const std::size_t n : {1u, 2u, 9u, 40u}) {
    const federation f(n, random);
    const std::vector<float> layout(d);
    INFO("clients " << n);
    {
      const fedagg::fixed_point_accumulator empty(layout, fedagg::fixed_point::finest(32, 500, 100));
      const auto all = results(empty, f, random);
      for (const auto& r : all) CHECK(numeric::same_bits(r, all[0]));
    }
    {
      const fedagg::binned_accumulator empty(layout);
      const auto all = results(empty, f, random);
      for (const auto& r : all) CHECK(numeric::same_bits(r, all[0]));
    }
    {
      const fedagg::mean_accumulator empty(layout);
      for (const auto& r : results(empty, f, random)) {
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < d; ++j) {
          std::vector<double> column(n);
          for (std::size_t i = 0; i < n; ++i) column[i] = static_cast<double>(f.updates[i][j]);
          const auto reference = numeric::weighted_mean(column, f.weights);
          wrong += !numeric::rounds_to<float>(r[j], reference.exact, reference.error);
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("a client that a fixed-point round refuses leaves no bit behind") {
  const std::vector<float> a = {1, 2}, b = {3, 5}, far = {4, 100};
  std::vector<float> out(2), want(2);
  const auto how = fedagg::fixed_point::finest(10, 8, 4);
  streaming_round round{fedagg::fixed_point_accumulator(out, how)}, plain{fedagg::fixed_point_accumulator(out, how)};
  round.begin({.round = 1, .needed = 2}, {"a", "b", "far", "heavy"});
  plain.begin({.round = 1}, {"a", "b"});
  CHECK(round.try_receive({.client = "far", .round = 1}, far) == errc::value_range);
  CHECK(round.try_receive({.client = "heavy", .round = 1, .weight = 9}, a) == errc::value_range);
  CHECK(round.try_receive({.client = "heavy", .round = 1, .weight = 0.5}, a) == errc::value_range);
  for (auto* r : {&round, &plain}) {
    CHECK(r->try_receive({.client = "b", .round = 1, .weight = 3}, b) == errc::ok);
    CHECK(r->try_receive({.client = "a", .round = 1, .weight = 2}, a) == errc::ok);
  }
  round.finish(out, 0);
  plain.finish(want, 0);
  CHECK(numeric::same_bits(out, want));
  CHECK(round.record(2).standing == standing::rejected);
  CHECK(round.record(3).reason == errc::value_range);
  CHECK(round.record(3).refused == 2);

  // An edge of other settings is no edge of this tree.
  streaming_round other{fedagg::fixed_point_accumulator(out, fedagg::fixed_point::finest(20, 8, 4))};
  other.begin({.round = 2}, {"a"});
  REQUIRE(other.try_receive({.client = "a", .round = 2}, a) == errc::ok);
  REQUIRE(other.try_finish(0) == errc::ok);
  round.begin({.round = 2}, {"edge"});
  CHECK(round.try_receive({.client = "edge"}, other) == errc::state_mismatch);
  CHECK(round.record(0).standing == standing::rejected);
  CHECK(round.clients() == 0);
}

TEST_CASE("FedBuff over sums of fixed point: any order of arrival, the same bits") {
  std::mt19937_64 random(5);
  const federation f(6, random);
  const std::vector<float> layout(d);
  const auto how = fedagg::fixed_point::finest(32, 1, 10, 0x1p-20);
  const std::vector<std::uint64_t> from = {0, 3, 2, 3, 1, 0};
  std::vector<float> first;
  for (int turn = 0; turn < 6; ++turn) {
    fedagg::buffered_async buffer{fedagg::fixed_point_accumulator(layout, how), fedagg::fedbuff{.buffer = 6}, 0};
    std::vector<float> out(d);
    // Three versions, so that ages differ.
    for (std::uint64_t v = 0; v < 3; ++v) {
      for (int i = 0; i < 6; ++i) REQUIRE(buffer.try_receive("old" + std::to_string(i), v, f.updates[0]) == errc::ok);
      REQUIRE(buffer.try_flush(out) == errc::ok);
      CHECK(numeric::same_bits(out, f.updates[0]));
    }
    std::vector<std::size_t> order = {0, 1, 2, 3, 4, 5};
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t i : order) REQUIRE(buffer.try_receive(f.ids[i], from[i], f.updates[i]) == errc::ok);
    REQUIRE(buffer.try_flush(out) == errc::ok);
    if (first.empty()) first = out;
    CHECK(numeric::same_bits(out, first));
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < d; ++j) {
      double exact = 0;
      for (std::size_t i = 0; i < 6; ++i)
        exact += static_cast<double>(f.updates[i][j]) / __builtin_sqrt(static_cast<double>(4 - from[i]));
      // Weights to 2^-21, values up to 30.
      wrong += !(std::abs(static_cast<double>(out[j]) - exact / 6) < 30 * 0x1p-21 + 4e-6);
    }
    CHECK(wrong == 0);
  }
}
