// SPDX-License-Identifier: MIT
#include <fedagg/protocols/synchronous_round.hpp>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fedagg/rules/mean.hpp>
#include <fedagg/rules/median.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

#include "compiled/rules.hpp"
#include "support/allocations.hpp"
#include "support/round_model.hpp"

using fedagg::errc;
using fedagg::standing;
using fedagg::synchronous_round;
using round_model::content;

namespace {

constexpr float nan_of_float = std::numeric_limits<float>::quiet_NaN();

struct subject {
  std::vector<float> layout = std::vector<float>(3);
  synchronous_round round{layout};
  fedagg::workspace space;
  std::vector<std::string> known;
  std::vector<std::vector<float>> memory;

  std::size_t slot(const std::string& id) {
    for (std::size_t i = 0; i < known.size(); ++i)
      if (known[i] == id) return i;
    known.push_back(id);
    memory.emplace_back(3);
    return known.size() - 1;
  }
  std::vector<float>& values(std::size_t slot, content) { return memory[slot]; }
  errc receive(const fedagg::delivery& d, content what, std::size_t slot) {
    if (what == content::longer) {
      const std::vector<float> longer(4);
      return round.try_receive(d, longer);
    }
    if (what == content::nan) {
      const std::vector<float> bad = {1, nan_of_float, 2};
      return round.try_receive(d, bad);
    }
    return round.try_receive(d, memory[slot]);
  }
  errc finish(std::vector<float>& out, std::int64_t now) {
    return round.try_finish(fedagg::mean{}, out, space, now);
  }
  bool reload() { return false; }
};

} // namespace

TEST_CASE("a round does what the plain model of it does, whatever is called") {
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    subject s;
    // Views of the clients' memory must not move.
    s.memory.reserve(5000);
    round_model::random_calls(s, seed, 1200);
  }
}

TEST_CASE("one bad client never ends a round, and is named") {
  const std::vector<float> a = {1, 2}, b = {3, 6}, bad = {nan_of_float, 0}, shape = {1, 2, 3};
  const fedagg::tensor_view<const float> nowhere(nullptr, 2);
  std::vector<float> global(2);
  synchronous_round round(global);
  fedagg::workspace space;
  round.begin({.round = 4, .deadline = 100, .minimum = 2}, {"a", "b", "c", "d", "e", "f", "g"});
  CHECK(round.try_receive({.client = "a", .round = 4, .now = 1}, a) == errc::ok);
  CHECK(round.try_receive({.client = "c", .round = 4, .now = 2}, bad) == errc::non_finite);
  CHECK(round.try_receive({.client = "d", .round = 4, .now = 3}, shape) == errc::client_layout);
  CHECK(round.try_receive({.client = "e", .round = 4, .now = 4, .weight = -1}, a) == errc::invalid_weight);
  CHECK(round.try_receive({.client = "e", .round = 4, .now = 4, .weight = std::numeric_limits<double>::infinity()},
                          a) == errc::invalid_weight);
  CHECK(round.try_receive({.client = "f", .round = 4, .now = 5}, nowhere) == errc::null_data);
  CHECK(round.try_receive({.client = "mallory", .round = 4, .now = 6}, a) == errc::unknown_client);
  CHECK(round.try_receive({.client = "a", .round = 4, .now = 7}, b) == errc::duplicate_client);
  CHECK(round.try_receive({.client = "b", .round = 3, .now = 8}, b) == errc::stale_client);
  CHECK(round.try_receive({.client = "b", .round = 5, .now = 8}, b) == errc::value_range);
  CHECK_FALSE(round.ready(8));
  CHECK(round.try_receive({.client = "b", .round = 4, .now = 9, .weight = 3}, b) == errc::ok);
  CHECK(round.try_fail("g", errc::executor_failed, 10) == errc::ok);
  CHECK(round.ready(10));
  REQUIRE(round.try_finish(fedagg::mean{}, global, space, 11) == errc::ok);
  CHECK(global == std::vector<float>{2.5f, 5});

  const standing want[] = {standing::received, standing::received, standing::rejected, standing::rejected,
                           standing::rejected, standing::rejected, standing::failed};
  const errc why[] = {errc::ok,           errc::ok,        errc::non_finite,     errc::client_layout,
                      errc::invalid_weight, errc::null_data, errc::executor_failed};
  for (std::size_t i = 0; i < round.size(); ++i) {
    CAPTURE(i);
    CHECK(round.record(i).standing == want[i]);
    CHECK(round.record(i).reason == why[i]);
  }
  CHECK(round.record(1).weight == 3);
  CHECK(round.record(1).when == 9);
  CHECK(round.refused() == 9);
  REQUIRE(round.logged() == 9);
  CHECK(round.logged(5).id == "mallory");
  CHECK(round.logged(5).reason == errc::unknown_client);
  CHECK(round.logged(5).when == 6);
  CHECK(round.logged(7).id == "b");
  CHECK(round.logged(7).round == 3);
  // Those who come after the end are noted.
  CHECK(round.try_receive({.client = "g", .round = 4, .now = 12}, a) == errc::round_closed);
  CHECK(round.record(6).standing == standing::surplus);
  CHECK(round.try_receive({.client = "f", .round = 4, .now = 100}, a) == errc::late_client);
  CHECK(round.record(5).standing == standing::late);
  CHECK(round.try_finish(fedagg::mean{}, global, space, 101) == errc::round_closed);
  CHECK(global == std::vector<float>{2.5f, 5});
}

TEST_CASE("a round asks more than it needs and takes the first") {
  const std::vector<float> x = {1};
  std::vector<float> global(1);
  synchronous_round round(global);
  fedagg::workspace space;
  round.begin({.round = 1, .needed = 2, .minimum = 1}, {"a", "b", "c"});
  CHECK(round.plan().needed == 2);
  CHECK(round.try_receive({.client = "c", .round = 1}, x) == errc::ok);
  // One would do, but there is time to wait for another.
  CHECK(round.try_finish(fedagg::mean{}, global, space, 5) == errc::round_incomplete);
  CHECK(round.try_receive({.client = "a", .round = 1}, x) == errc::ok);
  CHECK(round.ready(5));
  CHECK(round.try_receive({.client = "b", .round = 1}, x) == errc::round_closed);
  CHECK(round.record(1).standing == standing::surplus);
  CHECK(round.try_finish(fedagg::mean{}, global, space, 5) == errc::ok);
  CHECK(global[0] == 1);
}

TEST_CASE("too few clients: a round is extended, closed or given up") {
  const std::vector<float> x = {3};
  std::vector<float> global(1);
  synchronous_round round(global);
  fedagg::workspace space;
  round.begin({.round = 1, .deadline = 10, .minimum = 2}, {"a", "b", "c"});
  CHECK(round.try_receive({.client = "a", .round = 1, .now = 9}, x) == errc::ok);
  CHECK(round.try_receive({.client = "b", .round = 1, .now = 10}, x) == errc::late_client);
  CHECK(round.ready(10));
  CHECK(round.try_finish(fedagg::mean{}, global, space, 10) == errc::round_incomplete);
  CHECK(global[0] == 0);
  CHECK(round.try_extend(10) == errc::bad_parameter);
  CHECK(round.try_extend(20) == errc::ok);
  CHECK_FALSE(round.ready(10));
  // Who was late is welcome again; a clock that runs back opens nothing.
  CHECK(round.try_receive({.client = "b", .round = 1, .now = 11}, x) == errc::ok);
  CHECK(round.try_close() == errc::ok);
  CHECK(round.try_receive({.client = "c", .round = 1, .now = 12}, x) == errc::round_closed);
  CHECK(round.try_finish(fedagg::mean{}, global, space, 12) == errc::ok);
  CHECK(global[0] == 3);

  CHECK(round.try_begin({.round = 2}, {"a"}) == errc::ok);
  CHECK(round.try_begin({.round = 3}, {"a"}) == errc::round_incomplete);
  round.abandon();
  CHECK(round.phase() == fedagg::round_phase::abandoned);
  CHECK(round.try_finish(fedagg::mean{}, global, space, 12) == errc::round_closed);
  CHECK(round.try_extend(100) == errc::round_closed);
  CHECK(round.try_begin({.round = 2}, {"a"}) == errc::bad_parameter);
  CHECK(round.try_begin({.round = 3}, {"a"}) == errc::ok);
}

TEST_CASE("plans that cannot be fulfilled are refused, and the last round's report stays") {
  const std::vector<float> layout(1);
  synchronous_round round(layout);
  CHECK(round.try_receive({.client = "a"}, layout) == errc::round_closed);
  CHECK(round.try_fail("a", errc::late_client, 0) == errc::round_closed);
  CHECK_FALSE(round.ready(1000));
  round.begin({.round = 7}, {"a", "b"});
  round.abandon();
  const std::vector<std::string> none;
  CHECK(round.try_begin({.round = 8}, none) == errc::empty_cohort);
  CHECK(round.try_begin({.round = 8}, {"a", "c", "a"}) == errc::duplicate_client);
  CHECK(round.try_begin({.round = 8, .needed = 3}, {"a", "b"}) == errc::bad_parameter);
  CHECK(round.try_begin({.round = 8, .needed = 0}, {"a", "b"}) == errc::bad_parameter);
  CHECK(round.try_begin({.round = 8, .minimum = 0}, {"a", "b"}) == errc::bad_parameter);
  CHECK(round.try_begin({.round = 8, .needed = 1, .minimum = 2}, {"a", "b"}) == errc::bad_parameter);
  CHECK(round.number() == 7);
  CHECK(round.size() == 2);
  CHECK(round.find("b") == 1);
  CHECK(round.find("c") == 2);

  const std::size_t impossible[] = {static_cast<std::size_t>(-1), 4};
  const fedagg::tensor_view<const float> huge(layout.data(), impossible);
  CHECK(synchronous_round(huge).try_begin({}, {"a"}) == errc::size_overflow);
}

TEST_CASE("what the aggregation rejects is in the report, and the minimum is kept") {
  std::vector<float> a = {1}, b = {2}, c = {3}, d = {4};
  std::vector<float> global(1, 9.0f);
  fedagg::workspace space;
  const auto fill = [&](synchronous_round& round, std::size_t minimum) {
    a[0] = 1, c[0] = 3;
    round.begin({.round = 1, .deadline = 10, .needed = 4, .minimum = minimum}, {"z", "a", "b", "c", "d"});
    // Neither the order of arrival nor who is missing confuses rows and clients.
    CHECK(round.try_receive({.client = "d", .round = 1}, d) == errc::ok);
    CHECK(round.try_receive({.client = "c", .round = 1}, c) == errc::ok);
    CHECK(round.try_receive({.client = "a", .round = 1}, a) == errc::ok);
    CHECK(round.try_receive({.client = "b", .round = 1}, b) == errc::ok);
    // A buffer that changes after it was looked at.
    a[0] = c[0] = nan_of_float;
  };
  synchronous_round round(global);
  fill(round, 2);
  REQUIRE(round.try_finish(fedagg::mean{}, global, space, 10) == errc::ok);
  CHECK(global[0] == 3);
  const standing want[] = {standing::missing, standing::rejected, standing::received, standing::rejected,
                           standing::received};
  for (std::size_t i = 0; i < 5; ++i) CHECK(round.record(i).standing == want[i]);
  CHECK(round.record(3).reason == errc::non_finite);
  CHECK(round.record(3).weight == 0);

  // With a minimum of three there is no result, but the round goes on and both may send again.
  synchronous_round strict(global);
  fill(strict, 3);
  global[0] = 9;
  REQUIRE(strict.try_finish(fedagg::mean{}, global, space, 10, {.write = fedagg::write::atomic}) ==
          errc::too_many_rejected);
  CHECK(global[0] == 9);
  CHECK(strict.received() == 2);
  CHECK(strict.phase() == fedagg::round_phase::open);
  CHECK(strict.try_finish(fedagg::mean{}, global, space, 10) == errc::round_incomplete);
  CHECK(strict.try_extend(20) == errc::ok);
  a[0] = 6;
  CHECK(strict.try_receive({.client = "a", .round = 1, .now = 11}, a) == errc::ok);
  CHECK(strict.try_close() == errc::ok);
  REQUIRE(strict.try_finish(fedagg::mean{}, global, space, 12) == errc::ok);
  CHECK(global[0] == 4);
}

TEST_CASE("any rule, with whatever it needs besides the clients") {
  const std::vector<double> base = {10, 10}, a = {11, 12}, b = {12, 9}, c = {1e30, -1e30};
  std::vector<double> out(2);
  fedagg::workspace space;
  synchronous_round round(base);
  round.begin({.round = 1}, {"a", "b", "c"});
  for (const auto& [id, x] : {std::pair{"c", &c}, std::pair{"a", &a}, std::pair{"b", &b}})
    REQUIRE(round.try_receive({.client = id, .round = 1}, *x) == errc::ok);
  // The caller's errors leave the round as it is.
  CHECK(round.try_finish(fedagg::trimmed_mean{.trim = 2}, out, space, 0) == errc::too_few_clients);
  std::vector<double> longer(3);
  CHECK(round.try_finish(fedagg::median{}, longer, space, 0) == errc::layout_mismatch);
  CHECK(longer == std::vector<double>(3));
  REQUIRE(round.received() == 3);
  std::string order;
  REQUIRE(round.try_finish(fedagg::median{}, out, space, 0, {}, [&](fedagg::cohort& clients) {
    clients.base(base);
    for (std::size_t i = 0; i < clients.size(); ++i) order += clients.id(i);
  }) == errc::ok);
  CHECK(order == "abc");
  CHECK(out == std::vector<double>{12, 9});
}

TEST_CASE("the result does not depend on the order of arrival") {
  std::vector<std::vector<float>> x(6, std::vector<float>(40));
  std::mt19937_64 random(5);
  for (auto& row : x)
    for (auto& v : row) v = static_cast<float>(random() % 1000003) * 1e-3f;
  const std::string ids = "abcdef";
  std::vector<float> first;
  for (int turn = 0; turn < 5; ++turn) {
    std::vector<std::size_t> order = {0, 1, 2, 3, 4, 5};
    std::shuffle(order.begin(), order.end(), random);
    std::vector<float> out(40);
    synchronous_round round(out);
    fedagg::workspace space;
    round.begin({}, std::vector<std::string>{"a", "b", "c", "d", "e", "f"});
    for (const std::size_t i : order)
      REQUIRE(round.try_receive({.client = std::string_view(ids).substr(i, 1), .weight = 0.1 * static_cast<double>(i + 1)},
                                x[i]) == errc::ok);
    round.finish(fedagg::mean{}, out, space, 0);
    if (first.empty()) first = out;
    CHECK(out == first);
  }
}

TEST_CASE("a flood of refusals takes no memory, and a steady state takes none at all") {
  const std::vector<float> x = {1, 2, 3};
  std::vector<float> out(3);
  synchronous_round round(out);
  fedagg::workspace space;
  const std::vector<std::string> ids = {"a", "b", std::string(300, 'x')};
  std::size_t before = 0;
  const std::string stranger(200, 's');
  std::vector<fedagg::model_view> views(3, fedagg::model_view(x));
  const fedagg::mutable_model_view target(out);
  for (std::uint64_t k = 1; k <= 4; ++k) {
    if (k == 3) before = allocations::count;
    bool good = round.try_begin({.round = k}, ids) == errc::ok;
    for (std::size_t i = 0; i < 3; ++i) good = good && round.try_receive({.client = ids[i], .round = k}, views[i]) == errc::ok;
    for (int flood = 0; flood < 300; ++flood) {
      good = good && round.try_receive({.client = stranger, .round = k}, views[0]) == errc::unknown_client;
      good = good && round.try_receive({.client = "a", .round = k}, views[0]) == errc::duplicate_client;
    }
    good = good && round.try_finish(fedagg::mean{}, target, space, 0) == errc::ok;
    if (!good) FAIL("a round failed");
  }
  CHECK(allocations::count == before);
  CHECK(round.refused() == 600);
  CHECK(round.record(0).refused == 300);
  CHECK(round.logged() == 3 + 64);
  CHECK(round.logged(0).id == std::string(64, 's'));
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("without memory a call changes nothing") {
  const std::vector<float> x = {1, 2, 3};
  std::vector<float> out(3);
  const fedagg::model_view view(x);
  const std::vector<std::string> ids = {"a", "b"};
  for (std::size_t left = 0; left < 40; ++left) {
    synchronous_round round(view);
    errc rc = errc::ok;
    {
      const allocations::limit none(left);
      rc = round.try_begin({.round = 1}, ids);
    }
    if (rc != errc::ok) {
      REQUIRE(rc == errc::out_of_memory);
      REQUIRE(round.phase() == fedagg::round_phase::idle);
      REQUIRE(round.try_begin({.round = 1}, ids) == errc::ok);
    }
    {
      const allocations::limit none(0);
      rc = round.try_receive({.client = "a", .round = 1}, view);
    }
    REQUIRE(rc == errc::out_of_memory);
    // The machine's fault is not the client's.
    REQUIRE(round.record(0).standing == standing::missing);
    REQUIRE(round.record(0).reason == errc::out_of_memory);
    REQUIRE(round.try_receive({.client = "a", .round = 1}, view) == errc::ok);
    REQUIRE(round.try_receive({.client = "b", .round = 1}, view) == errc::ok);
    fedagg::workspace space;
    const fedagg::mutable_model_view target(out);
    {
      const allocations::limit none(0);
      rc = round.try_finish(fedagg::mean{}, target, space, 0);
    }
    REQUIRE(rc == errc::out_of_memory);
    REQUIRE(round.try_finish(fedagg::mean{}, target, space, 0) == errc::ok);
    CHECK(out == x);
  }
}

TEST_CASE("the throwing calls tell the code") {
  std::vector<float> x = {1};
  synchronous_round round(x);
  fedagg::workspace space;
  const auto code_of = [](const auto& call) {
    try {
      call();
    } catch (const fedagg::error& e) {
      return e.code();
    }
    return errc::ok;
  };
  CHECK(code_of([&] { round.begin({.minimum = 0}, {"a"}); }) == errc::bad_parameter);
  CHECK(code_of([&] { round.begin({}, {"a"}); }) == errc::ok);
  CHECK(code_of([&] { round.finish(fedagg::mean{}, x, space, 0); }) == errc::round_incomplete);
}
#endif

TEST_CASE("a share of the clients, as it is written") {
  // Under -ffast-math the test's own quotients would be products with reciprocals.
  const auto quotient = [](std::size_t a, std::size_t b) {
    volatile double x = static_cast<double>(a), y = static_cast<double>(b);
    return x / y;
  };
  for (std::size_t n = 1; n <= 1000; ++n) {
    std::size_t wrong = 0;
    for (std::size_t m = 1; m <= n; ++m) {
      // m / n, and just above and below it.
      const double rate = quotient(m, n);
      wrong += fedagg::completion(rate, n) != m;
      wrong += fedagg::completion(rate * (1 + 1e-12), n) != (m < n ? m + 1 : n);
      wrong += fedagg::completion(rate * (1 - 1e-12), n) != m;
    }
    REQUIRE(wrong == 0);
    for (std::size_t percent = 1; percent <= 100; ++percent)
      wrong += fedagg::completion(quotient(percent, 100), n) != (percent * n + 99) / 100;
    REQUIRE(wrong == 0);
  }
  CHECK(fedagg::completion(0, 5) == 1);
  CHECK(fedagg::completion(-3, 5) == 1);
  CHECK(fedagg::completion(2, 5) == 5);
  CHECK(fedagg::completion(std::numeric_limits<double>::quiet_NaN(), 5) == 5);
  CHECK(fedagg::completion(0.5, 0) == 0);
}
