// SPDX-License-Identifier: MIT
#include <fedagg/protocols/buffered_async.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fedagg/passes/accumulator.hpp>

#include "support/allocations.hpp"
#include "support/async_model.hpp"
#include "support/numeric.hpp"

using fedagg::buffered_async;
using fedagg::aging;
using fedagg::errc;
using fedagg::fedbuff;
using fedagg::mean_accumulator;

namespace {

using server = buffered_async<mean_accumulator>;

struct subject {
  std::vector<float> delta = {1, -2};
  fedbuff how;
  buffered_async<mean_accumulator> server;

  explicit subject(const fedbuff& h, std::uint64_t first) : how(h), server(mean_accumulator(delta), h, first) {}
  errc receive(const std::string& id, std::uint64_t from, bool usable) {
    const std::vector<float> bad = {1, std::numeric_limits<float>::quiet_NaN()};
    return server.try_receive(id, from, usable ? delta : bad);
  }
  errc flush() {
    std::vector<float> out(2, 7.0f);
    const errc rc = server.try_flush(out);
    CHECK((rc == errc::ok) == (out != std::vector<float>(2, 7.0f)));
    return rc;
  }
  void reload(std::uint64_t bound) {
    fedagg_test::memory_archive a;
    REQUIRE(a.save(server) == errc::ok);
    how.max_staleness = bound;
    buffered_async<mean_accumulator> fresh{mean_accumulator(delta), how, 99};
    REQUIRE(a.load(fresh) == errc::ok);
    REQUIRE(fresh.received() == server.received());
    server = std::move(fresh);
  }
};

/// s of the paper's definitions, in higher precision.
numeric::quad root(numeric::quad x) {
  numeric::quad r = __builtin_sqrt(static_cast<double>(x));
  for (int i = 0; i < 3; ++i) r = numeric::divide(numeric::add(r, numeric::divide(x, r)), 2);
  return r;
}

} // namespace

TEST_CASE("a server takes what the plain model of it takes, whatever is called") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const std::uint64_t bound = seed % 4, first = seed % 3 == 0 ? 0 : 5;
    const std::size_t k = 1 + seed % 3;
    subject s({.buffer = k, .max_staleness = bound}, first);
    async_model::random_calls(s, k, true, bound, seed, 1500);
  }
}

TEST_CASE("FedBuff, step by step, with clients of different ages") {
  constexpr std::size_t d = 70, clients = 9, k = 4;
  constexpr double eta = 0.7;
  std::mt19937_64 random(11);
  for (const bool equal_ages : {false, true}) {
    std::vector<double> model(d, 0.5), step(d), delta(d);
    std::vector<numeric::quad> reference(d, numeric::quad(0.5)), sum(d, numeric::quad(0));
    server buffer{mean_accumulator(delta), {.buffer = k, .max_staleness = 6}};
    // Each client trains on the version that it was last sent; three of nine are in no hurry.
    std::vector<std::uint64_t> has(clients, 0);
    std::set<std::pair<std::size_t, std::uint64_t>> answered;
    std::size_t flushed = 0, in = 0;
    std::uint64_t version = 0, oldest_seen = 0;
    while (flushed < 12) {
      const std::size_t others = random() % 4 == 0 ? clients : clients - 3;
      const std::size_t who = random() % others;
      if (equal_ages) has[who] = version;
      const std::uint64_t age = version - has[who];
      for (auto& x : delta) x = numeric::uniform(random);
      const errc rc = buffer.try_receive(std::to_string(who), has[who], delta);
      if (age > 6) {
        REQUIRE(rc == errc::stale_client);
        has[who] = version;
        continue;
      }
      if (rc == errc::duplicate_client) {
        // It has answered this version already, and fetches the next one.
        REQUIRE(answered.count({who, has[who]}) == 1);
        has[who] = version;
        continue;
      }
      REQUIRE(rc == errc::ok);
      oldest_seen = std::max(oldest_seen, age);
      for (std::size_t j = 0; j < d; ++j)
        sum[j] = numeric::add(sum[j], numeric::divide(delta[j], root(numeric::quad(1 + age))));
      answered.insert({who, has[who]});
      if (++in < k) {
        CHECK_FALSE(buffer.ready());
        continue;
      }
      REQUIRE(buffer.ready());
      CHECK(buffer.try_receive("another", version, delta) == errc::round_closed);
      REQUIRE(buffer.try_flush(step) == errc::ok);
      in = 0;
      ++flushed;
      ++version;
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < d; ++j) {
        const numeric::quad exact = numeric::divide(sum[j], numeric::quad(k));
        // A rounding of s and one of each product and sum of values below one, then the quotient.
        wrong += numeric::magnitude(numeric::quad(step[j]) - exact) > numeric::quad(4 * k) * numeric::unit;
        model[j] += eta * step[j];
        reference[j] = numeric::add(reference[j], numeric::multiply(eta, exact));
        sum[j] = 0;
      }
      CHECK(wrong == 0);
    }
    double worst = 0;
    for (std::size_t j = 0; j < d; ++j)
      worst = std::max(worst, static_cast<double>(numeric::magnitude(numeric::quad(model[j]) - reference[j])));
    CHECK(worst < 1e-13);
    CHECK(buffer.model_version() == 12);
    CHECK((oldest_seen > 2) == !equal_ages);
  }
}

TEST_CASE("it is divided by K and not by the weights, and a fresh update counts one") {
  const std::vector<float> delta = {8, -8};
  std::vector<float> out(2);
  server buffer{mean_accumulator(delta), {.buffer = 2}, 3};
  REQUIRE(buffer.try_receive("a", 3, delta) == errc::ok);
  REQUIRE(buffer.try_receive("b", 3, delta) == errc::ok);
  buffer.flush(out);
  CHECK(out == delta);
  // Age 3: 1 / sqrt(4).
  for (int i = 0; i < 2; ++i) {
    REQUIRE(buffer.try_receive("a", buffer.model_version(), delta) == errc::ok);
    REQUIRE(buffer.try_receive("b", buffer.model_version(), delta) == errc::ok);
    buffer.flush(out);
  }
  CHECK(buffer.weight(3) == 0.5);
  REQUIRE(buffer.try_receive("c", 3, delta) == errc::ok);
  REQUIRE(buffer.try_receive("d", 3, delta) == errc::ok);
  buffer.flush(out);
  CHECK(out == std::vector<float>{4, -4});
  CHECK(buffer.weight(8) == 0);
  CHECK(buffer.weight(2) == 0);
}

TEST_CASE("other staleness functions") {
  const std::vector<double> delta = {16};
  std::vector<double> out(1);
  const auto weight_at_six = [&](const fedagg::staleness& s) {
    server buffer{mean_accumulator(delta), {.buffer = 1, .staleness = s}};
    for (std::uint64_t v = 0; v < 6; ++v) {
      REQUIRE(buffer.try_receive("a", v, delta) == errc::ok);
      buffer.flush(out);
      CHECK(out[0] == 16);
    }
    REQUIRE(buffer.try_receive("late", 0, delta) == errc::ok);
    buffer.flush(out);
    return out[0] / 16;
  };
  CHECK(weight_at_six({.kind = aging::constant}) == 1);
  CHECK(weight_at_six({.kind = aging::polynomial, .a = 1}) == 1.0 / 7);
  CHECK(weight_at_six({.kind = aging::hinge, .a = 0.5, .b = 4}) == 0.5);
}

TEST_CASE("parameters that are impossible") {
  std::vector<float> x = {1};
  CHECK(server(mean_accumulator(x), {.buffer = 0}).try_receive("a", 0, x) == errc::bad_parameter);
  CHECK(server(mean_accumulator(x), {.buffer = 0}).try_flush(x) == errc::bad_parameter);
  CHECK(server(mean_accumulator(x), {.staleness = {.kind = aging::hinge}}).status() == errc::bad_parameter);
  CHECK(server(mean_accumulator(x), {.max_staleness = 0}).try_receive("a", 0, x) == errc::ok);
}

TEST_CASE("nothing is lost by a refusal, and what is refused may be sent again") {
  const std::vector<float> good = {4, 2}, bad = {1, std::numeric_limits<float>::infinity()}, longer(3);
  std::vector<float> out(2), wrong(3, 5.0f);
  server buffer{mean_accumulator(out), {.buffer = 2, .max_staleness = 1}, 10};
  CHECK(buffer.try_receive("a", 10, bad) == errc::non_finite);
  CHECK(buffer.try_receive("a", 10, longer) == errc::client_layout);
  CHECK(buffer.try_receive("a", 11, good) == errc::value_range);
  // What came before the first version was never ours.
  CHECK(buffer.try_receive("a", 9, good) == errc::stale_client);
  CHECK(buffer.try_receive(std::string(1025, 'a'), 10, good) == errc::unknown_client);
  CHECK(buffer.received() == 0);
  CHECK(buffer.try_receive("a", 10, good) == errc::ok);
  CHECK(buffer.try_receive("a", 10, good) == errc::duplicate_client);
  CHECK(buffer.try_flush(out) == errc::round_incomplete);
  CHECK(buffer.try_receive(std::string(1024, 'a'), 10, good) == errc::ok);
  CHECK(buffer.try_flush(wrong) == errc::layout_mismatch);
  CHECK(wrong == std::vector<float>(3, 5.0f));
  CHECK(buffer.received() == 2);
  CHECK(buffer.model_version() == 10);
  CHECK(buffer.try_flush(out) == errc::ok);
  CHECK(out == good);
  // A replay from before the flush.
  CHECK(buffer.try_receive("a", 10, good) == errc::duplicate_client);
  CHECK(buffer.try_receive("a", 11, good) == errc::ok);
  CHECK(buffer.try_receive("b", 10, good) == errc::ok);
  CHECK(buffer.try_flush(out) == errc::ok);
  CHECK(buffer.try_receive("a", 10, good) == errc::stale_client);
  CHECK(buffer.taken() == 4);
}

TEST_CASE("hostile files, and one of a larger buffer") {
  const std::vector<float> x = {1, 2};
  std::vector<float> out(2);
  server buffer{mean_accumulator(x), {.buffer = 3, .max_staleness = 2}};
  for (int flush = 0; flush < 4; ++flush) {
    for (const char* id : {"a", "bb", "ccc"})
      REQUIRE(buffer.try_receive(id, buffer.model_version(), x) == errc::ok);
    REQUIRE(buffer.try_flush(out) == errc::ok);
  }
  REQUIRE(buffer.try_receive("bb", 4, x) == errc::ok);
  REQUIRE(buffer.try_receive("a", 4, x) == errc::ok);
  fedagg_test::memory_archive saved;
  REQUIRE(saved.save(buffer) == errc::ok);
  CHECK(async_model::remembered(buffer) == 8);
  const auto of = [&](std::size_t k) { return server{mean_accumulator(x), {.buffer = k, .max_staleness = 2}}; };
  fedagg_test::memory_archive own;
  // The accumulator's items are its own affair.
  for (const auto& item : saved.items)
    if (item.first.find("sum.") != 0) own.items.insert(item);
  const auto load = [&](std::size_t k) {
    auto fresh = of(k);
    auto copy = saved;
    return copy.load(fresh);
  };
  CHECK(load(2) == errc::ok);
  CHECK(load(1) == errc::state_mismatch);
  struct with_sum {
    server inner;
    const fedagg_test::memory_archive& all;
    errc archive(fedagg_test::memory_archive& a) {
      for (const auto& item : all.items)
        if (item.first.find("sum.") == 0) a.items.insert(item);
      return inner.archive(a);
    }
  };
  async_model::hostile_files(own, [&] { return with_sum{of(3), saved}; });
  // More in the buffer than was ever taken.
  auto a = saved;
  const std::uint64_t one = 1;
  std::memcpy(a.items.at("taken").bytes.data(), &one, 8);
  auto fresh = of(3);
  CHECK(a.load(fresh) == errc::file_format);
}

TEST_CASE("a steady state takes no memory") {
  const std::vector<float> x = {1, 2, 3};
  std::vector<float> out(3);
  server buffer{mean_accumulator(x), {.buffer = 3, .max_staleness = 4}};
  const std::vector<std::string> ids = {"a", "b", std::string(300, 'x'), "c"};
  const fedagg::model_view view(x);
  const fedagg::mutable_model_view target(out);
  std::size_t before = 0, refused = 0;
  for (std::uint64_t k = 0; k < 60; ++k) {
    if (k == 30) before = allocations::count;
    for (const auto& id : ids) refused += buffer.try_receive(id, k - k % 2, view) != errc::ok;
    if (buffer.ready()) refused += buffer.try_flush(target) != errc::ok;
    for (const auto& id : ids) refused += buffer.try_receive(id, k, view) != errc::ok;
    if (buffer.ready()) refused += buffer.try_flush(target) != errc::ok;
  }
  CHECK(allocations::count == before);
  CHECK(buffer.model_version() > 30);
  CHECK(refused > 0);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("without memory nothing is counted") {
  const std::vector<float> x = {1};
  std::vector<float> out(1);
  server buffer{mean_accumulator(x), {.buffer = 1}};
  const fedagg::model_view view(x);
  errc rc = errc::ok;
  {
    const allocations::limit none(0);
    rc = buffer.try_receive("a", 0, view);
  }
  CHECK(rc == errc::out_of_memory);
  CHECK(buffer.received() == 0);
  CHECK(buffer.try_receive("a", 0, view) == errc::ok);
  try {
    buffer.flush(out);
    buffer.flush(out);
    FAIL("an empty buffer has been flushed");
  } catch (const fedagg::error& e) {
    CHECK(e.code() == errc::round_incomplete);
  }
}
#endif
