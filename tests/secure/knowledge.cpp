// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/hostile_server.hpp"

using namespace fedagg_test;
using fedagg::errc;
using fedagg::threat_model;
using world = secure_parties<toy_suite>;
using attack = hostile_round<toy_suite>;

namespace {

/// The first `colluding` clients work together.
shape with(std::uint32_t n, std::uint32_t colluding, std::uint32_t threshold,
           threat_model model = threat_model::malicious) {
  shape s;
  s.clients = n;
  s.parameters = {.model = model, .colluding = colluding, .dropouts = n - threshold, .threshold = threshold};
  s.segments = {{20, 3}, {64, 2}};
  s.colluding.resize(n);
  for (std::uint32_t i = 0; i < colluding; ++i) s.colluding[i] = true;
  return s;
}

bool has(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }

struct planting {
  explicit planting(const planted_faults& f) { planted = f; }
  ~planting() { planted = {}; }
};

struct against {
  int strategy;
  std::uint32_t victim = 4;
};

/// What the tracker says after rounds of these strategies with 7 clients, of whom client 0 colludes.
std::string after(std::initializer_list<against> rounds, const planted_faults& faults, std::uint64_t seed = 1) {
  const planting p(faults);
  world w(with(7, 1, 5), seed);
  attack::signatures kept;
  for (const auto& [strategy, victim] : rounds) {
    attack a(w);
    a.victim = victim;
    a.run(strategy, &kept);
  }
  return w.tracker.text();
}

/// A client that opens the share of either secret of everyone.
void open_the_others(world& w, std::uint32_t i) {
  const auto state = w.state_of(i, 1);
  bytes m;
  fedagg::begin_message({fedagg::secure_message::openings, i, state.context}, m);
  fedagg::wire_writer writer(m);
  writer.bytes(fedagg::digest{})
      .bytes(state.own_share.bytes())
      .u32(static_cast<std::uint32_t>(state.neighbours.size()));
  for (const auto& n : state.neighbours) {
    const bool summed = state.survivors.contains(n.client);
    fedagg::opened_share opened;
    opened.kind = summed ? fedagg::share_of::mask_key : fedagg::share_of::self_mask;
    std::memcpy(opened.share.data(), n.shares.data() + (summed ? 36 : 0), 36);
    opened.write(writer);
  }
  w.sign(i, m);
  w.tracker.heard(i, m, {});
}

} // namespace

TEST_CASE("a server and its friends learn the sum of those that were summed, and nothing else") {
  CHECK(after({{attack::plain}}, {}) == "");
  CHECK(after({{attack::left_out}}, {}) == "");
  CHECK(after({{attack::plain}, {attack::left_out}, {attack::split_survivors}}, {}) == "");
  world w(with(7, 1, 5), 3);
  attack a(w);
  a.victim = 4;
  a.run(attack::left_out);
  CHECK(a.openings == 5);
  CHECK(w.tracker.text() == "");
  CHECK(w.tracker.knows_seed(3));
  CHECK_FALSE(w.tracker.knows_seed(4));
}

TEST_CASE("sets that are filled up with clients that are not there open nothing") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    // A threshold of 6, and no sum of fewer than 7.
    shape s = with(9, 1, 6);
    s.parameters.dropouts = 2;
    s.parameters.minimum_inputs = 7;
    world w(s, seed);
    attack a(w);
    a.run(attack::filled_up);
    CHECK(w.tracker.text() == "");
  }
}

TEST_CASE("no self mask") { CHECK(has(after({{attack::left_out}}, {.no_self_mask = true}), "an input is known")); }

TEST_CASE("a seed that serves two rounds") {
  const std::string text = after({{attack::plain}, {attack::left_out}}, {.reused_seed = true});
  CHECK(has(text, "a seed serves two rounds"));
  CHECK(has(text, "both secrets"));
  CHECK(has(text, "an input is known"));
}

TEST_CASE("keys that serve two rounds") {
  const std::string text = after({{attack::left_out}, {attack::plain}}, {.reused_keys = true});
  CHECK(has(text, "a key serves two rounds"));
  CHECK(has(text, "both secrets"));
  CHECK(has(text, "an input is known"));
}

TEST_CASE("one key pair for both purposes") {
  const std::string text = after({{attack::left_out}}, {.one_pair = true});
  CHECK(has(text, "both secrets"));
  CHECK(has(text, "an input is known"));
}

TEST_CASE("shares of fewer than the threshold") {
  CHECK(after({{attack::plain}}, {.low_degree = 3}) == "");
  const std::string text = after({{attack::plain}}, {.low_degree = 4});
  CHECK(has(text, "both secrets"));
  CHECK(has(text, "an input is known"));
}

TEST_CASE("both secrets opened") {
  world w(with(7, 1, 5), 1);
  attack a(w);
  a.run(attack::plain);
  // With the colluding client's share that makes four, and five.
  for (std::uint32_t i = 1; i < 4; ++i) open_the_others(w, i);
  CHECK(w.tracker.text() == "");
  open_the_others(w, 4);
  CHECK(has(w.tracker.text(), "both secrets"));
  CHECK(has(w.tracker.text(), "an input is known"));
}

TEST_CASE("a client that is restored from an older state") {
  unsigned found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const bool older : {false, true}) {
      // 2 t = n + c + 1: one client that signs twice is enough.
      world w(with(7, 0, 4), seed);
      attack a(w);
      a.victim = 4;
      if (older) a.rolled_back = {2};
      a.run(attack::split_survivors);
      const std::string text = w.tracker.text();
      if (!older) CHECK(text == "");
      found += has(text, "both secrets") && has(text, "an input is known") && has(text, "two sets were opened");
    }
  CHECK(found > 0);
}

TEST_CASE("nothing that is bound to the round") {
  // Consents of three rounds open in a fourth what nobody has consented to.
  const std::initializer_list<against> rounds = {
      {attack::left_out, 4}, {attack::left_out, 5}, {attack::left_out, 6}, {attack::thirds, 4}};
  unsigned found = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CHECK(after(rounds, {}, seed) == "");
    const std::string text = after(rounds, {.no_context = true}, seed);
    found += has(text, "two sets were opened") && has(text, "a sum is known that was not announced");
  }
  CHECK(found > 0);
}

TEST_CASE("an input that is masked twice") {
  // The second time with another vector: their difference is known.
  world w(with(7, 1, 5), 1);
  attack a(w);
  a.run(attack::plain);
  const auto state = w.state_of(3, 3);
  REQUIRE(state.stage == fedagg::client_stage::sent_shares);
  auto& p = w.parties[3];
  bytes deliveries;
  for (const bytes& m : w.past) {
    fedagg::message_header h;
    if (read_header(m, h) == errc::ok && h.kind == fedagg::secure_message::deliveries && h.client == 3) deliveries = m;
  }
  REQUIRE(!deliveries.empty());
  p.input.words<std::uint64_t>(1)[0] += 1;
  p.packed_input = packed(p.input);
  w.restart(3, 3);
  REQUIRE(w.give(3, deliveries) == errc::ok);
  CHECK(has(w.tracker.text(), "a sum is known that was not announced"));
}

namespace {

/// The clients of a sparse graph, as they sit on its circle.
std::vector<std::uint32_t> circle_of(const fedagg::mask_graph& graph) {
  std::vector<std::uint32_t> circle = {0};
  std::vector<bool> seen(graph.clients());
  seen[0] = true;
  while (circle.size() < graph.clients()) {
    // Those who sit side by side have the most neighbours in common.
    std::uint32_t next = 0;
    long most = -1;
    const auto near = graph.neighbours(circle.back());
    for (const std::uint32_t i : near)
      if (!seen[i]) {
        const long common = std::count_if(near.begin(), near.end(), [&](auto j) { return graph.are_neighbours(i, j); });
        if (common > most) most = common, next = i;
      }
    circle.push_back(next);
    seen[next] = true;
  }
  return circle;
}

} // namespace

namespace {

/// What comes out where so many colluding clients sit in each of two runs of half a degree, and the server says that
/// the rest of both are gone.
std::string split(std::uint32_t colluding) {
  constexpr std::uint32_t n = 600, half = 25;
  shape s;
  s.clients = n;
  s.parameters = {
      .model = threat_model::semi_malicious, .colluding = 26, .dropouts = 30, .threshold = 36, .degree = 2 * half};
  s.segments = {{32, 2}};
  s.colluding.resize(n);
  CHECK(s.setup().check() == errc::ok);
  const fedagg::digest seed = {5};
  const auto circle = circle_of(fedagg::mask_graph(n, 2 * half, seed));
  fedagg::client_set gone(n);
  for (const std::size_t first : {std::size_t{50}, std::size_t{250}})
    for (std::size_t k = 0; k < half; ++k) {
      if (k < colluding)
        s.colluding[circle[first + k * 7 % half]] = true;
      else
        gone.insert(circle[first + k * 7 % half]);
    }
  CHECK(gone.size() <= 30);
  world w(s, 1);
  attack a(w);
  a.honest_graph = seed;
  a.missing = gone;
  a.run(attack::claims);
  return w.tracker.text();
}

} // namespace

// With a probability below 2^-40 they sit like that: where they do, the tracker sees what comes of it.
TEST_CASE("a sparse graph splits only where many colluding clients sit in two runs of it", "[.][large]") {
  CHECK(split(10) == "");
  CHECK(split(11) == "a sum is known that was not announced");
}
