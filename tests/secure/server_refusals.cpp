// SPDX-License-Identifier: MIT
// Clients, and others, that send a server what they like: it is refused and means nothing, or is its sender's fault and
// costs it its place in the round.
#include <algorithm>
#include <cstdint>
#include <vector>

#include <fedagg/secure/secure_server.hpp>

#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/secure_play.hpp"

using namespace fedagg;
using namespace fedagg_test;

namespace {

using a_round = secure_round<toy_suite>;

secure_parameters parameters_of(threat_model model) {
  if (model == threat_model::semi_malicious) // on a sparse graph, whose clients all have to stay
    return {.model = model, .colluding = 0, .dropouts = 0, .threshold = 3, .degree = 4};
  return {.model = model, .colluding = 1, .dropouts = 2, .threshold = model == threat_model::curious ? 3u : 5u};
}
a_round round_of(threat_model model) { return {7, parameters_of(model), {{13, 5}, {64, 2}}}; }

bytes of(bytes_view v) { return {v.begin(), v.end()}; }

/// Goes on until a stage is open and none of its messages have come.
void play_to(a_round& r, server_stage stage) {
  if (r.aggregator.stage() == server_stage::idle) REQUIRE(r.begin() == errc::ok);
  while (r.aggregator.stage() != stage) REQUIRE(r.step() == errc::ok);
}

/// To the end, without those whose messages are refused.
errc finish(a_round& r) {
  bytes message;
  while (r.aggregator.stage() != server_stage::done) {
    for (std::uint32_t i = 0; i < r.clients.size(); ++i)
      if (r.aggregator.expects(i) && !r.aggregator.answered(i)) (void)r.aggregator.try_receive(r.clients[i].output());
    if (!r.aggregator.complete()) return errc::late_client;
    if (const errc rc = r.aggregator.try_advance(); rc != errc::ok) return rc;
    for (std::uint32_t i = 0; i < r.clients.size(); ++i)
      if (r.aggregator.try_message(i, message) == errc::ok) REQUIRE(r.clients[i].try_receive(message) == errc::ok);
  }
  return errc::ok;
}

std::vector<server_stage> stages_of(threat_model model) {
  if (model == threat_model::curious)
    return {server_stage::keys, server_stage::shares, server_stage::inputs, server_stage::openings};
  return {server_stage::keys, server_stage::shares, server_stage::inputs, server_stage::consents,
          server_stage::openings};
}

/// A message with another payload, signed by its client.
bytes signed_again(const a_round& r, std::uint32_t client, bytes message, std::size_t size) {
  message.resize(size);
  sign_message(toy_suite(), r.world.identities[client], message);
  return message;
}
bytes signed_again(const a_round& r, std::uint32_t client, bytes message) {
  const std::size_t size = message.size() - message_signature_bytes;
  return signed_again(r, client, std::move(message), size);
}

constexpr std::uint32_t hostile = 1;

} // namespace

TEST_CASE("what its sender did not sign means nothing") {
  for (const threat_model model : all_models)
    for (const server_stage stage : stages_of(model)) {
      a_round r = round_of(model);
      play_to(r, stage);
      auto& server = r.aggregator;
      const bytes right = of(r.clients[hostile].output());
      const auto means_nothing = [&](bytes_view message, errc expected) {
        const std::size_t before = allocations::count;
        return server.try_receive(message) == expected && !server.answered(hostile) && server.answers() == 0 &&
               server.report(hostile).fault == errc::ok && allocations::count == before;
      };
      for (std::size_t size = 0; size < right.size(); ++size) {
        const bytes_view cut = bytes_view(right).first(size);
        if (!means_nothing(cut, size < 104 ? errc::message_format : errc::bad_signature)) FAIL("cut at " << size);
      }
      for (std::size_t at = message_header_bytes; at < right.size(); ++at)
        for (const unsigned flip : {1u, 0x80u}) {
          bytes m = right;
          m[at] = static_cast<std::uint8_t>(m[at] ^ flip);
          if (!means_nothing(m, errc::bad_signature)) FAIL("byte " << at);
        }
      for (std::size_t at = 0; at < message_header_bytes; ++at) {
        bytes m = right;
        m[at] ^= 0x20;
        const errc expected = at < 4 ? errc::message_format : at < 8 ? errc::unknown_client : errc::wrong_context;
        if (!means_nothing(m, expected)) FAIL("byte " << at);
      }
      for (unsigned kind = 1; kind <= 9; ++kind) {
        bytes m = right;
        m[3] = static_cast<std::uint8_t>(kind);
        if (kind != right[3]) CHECK(means_nothing(m, errc::wrong_stage));
      }
      bytes m = right;
      m[4] = hostile + 1; // as if it were from another one
      CHECK(means_nothing(m, errc::bad_signature));
      for (const std::size_t more : {1u, 64u, 100000u}) {
        m = right;
        m.resize(right.size() + more);
        CHECK(means_nothing(m, errc::message_format));
        CHECK(means_nothing(signed_again(r, hostile, m, right.size() - 64 + more), errc::message_format));
      }
      m.clear();
      m.resize(1 << 20, 0xff);
      CHECK(means_nothing(m, errc::message_format));
      CHECK(finish(r) == errc::ok);
      CHECK(r.aggregator.survivors().size() == 7);
      CHECK((r.taken() == r.expected()));
    }
}

TEST_CASE("a message that came before is nothing new, a second one is refused") {
  for (const threat_model model : all_models)
    for (const server_stage stage : stages_of(model)) {
      a_round r = round_of(model);
      play_to(r, stage);
      auto& server = r.aggregator;
      const bytes right = of(r.clients[hostile].output());
      REQUIRE(server.try_receive(right) == errc::ok);
      CHECK(server.try_receive(right) == errc::ok);
      CHECK(server.answers() == 1);
      bytes other = right;
      other[message_header_bytes] ^= 1;
      CHECK(server.try_receive(other) == errc::wrong_stage);
      CHECK(server.try_receive(signed_again(r, hostile, other)) == errc::wrong_stage);
      CHECK(server.report(hostile).fault == errc::ok);
      CHECK(finish(r) == errc::ok);
      CHECK((r.taken() == r.expected()));
      // Late is a message of another stage.
      CHECK(server.try_receive(right) == errc::wrong_stage);
    }
}

TEST_CASE("what is signed and wrong costs its sender its place") {
  // On the sparse graph nobody may leave.
  for (const threat_model model : {threat_model::curious, threat_model::malicious})
    for (const server_stage stage : stages_of(model)) {
      struct fault {
        bytes message;
        errc expected;
      };
      std::vector<fault> faults;
      {
        a_round r = round_of(model);
        play_to(r, stage);
        const bytes right = of(r.clients[hostile].output());
        const std::size_t size = right.size() - message_signature_bytes;
        const auto changed = [&](errc expected, auto change) {
          bytes m = right;
          change(m.data() + message_header_bytes);
          faults.push_back({signed_again(r, hostile, m), expected});
        };
        for (const std::size_t cut : {std::size_t{40}, std::size_t{41}, (size + 40) / 2, size - 1})
          faults.push_back({signed_again(r, hostile, right, cut), errc::message_format});
        switch (stage) {
        case server_stage::keys:
          changed(errc::bad_key, [](std::uint8_t* p) { std::copy(p, p + 32, p + 32); });
          changed(errc::bad_key, [](std::uint8_t* p) { std::fill(p, p + 32, std::uint8_t{0}); });
          changed(errc::bad_key, [](std::uint8_t* p) { std::fill(p + 32, p + 64, std::uint8_t{0}); });
          break;
        case server_stage::shares:
          for (int byte = 0; byte < 4; ++byte)
            changed(errc::message_format, [&](std::uint8_t* p) { p[64 + byte] ^= 0xff; });
          break;
        case server_stage::inputs: // 5 elements of 13 bits leave 7 bits of the ninth byte
          for (int bit = 1; bit < 8; ++bit)
            changed(errc::message_format, [&](std::uint8_t* p) { p[8] = static_cast<std::uint8_t>(p[8] | 1 << bit); });
          break;
        case server_stage::consents:
          changed(errc::wrong_context, [](std::uint8_t* p) { p[31] ^= 1; });
          break;
        default:
          changed(errc::wrong_context, [](std::uint8_t* p) { p[31] ^= 1; });
          changed(errc::bad_share, [](std::uint8_t* p) { p[32] ^= 1; });                            // its own
          changed(errc::message_format, [](std::uint8_t* p) { p[32 + shamir_share_bytes] ^= 1; });  // how many
          changed(errc::bad_share, [](std::uint8_t* p) { p[32 + shamir_share_bytes + 4] ^= 3; });   // of another secret
          changed(errc::bad_share, [](std::uint8_t* p) { p[32 + shamir_share_bytes + 4] = 0x80; }); // of none
          changed(errc::bad_share, [](std::uint8_t* p) { p[32 + shamir_share_bytes + 40] ^= 0x80; }); // another share
        }
      }
      for (const fault& f : faults) {
        a_round r = round_of(model);
        play_to(r, stage);
        auto& server = r.aggregator;
        CHECK(server.try_receive(f.message) == f.expected);
        CHECK(server.report(hostile).fault == f.expected);
        CHECK(server.report(hostile).stage == stage);
        CHECK_FALSE(server.answered(hostile));
        // Neither again nor better.
        CHECK(server.try_receive(f.message) == errc::wrong_stage);
        CHECK(server.try_receive(r.clients[hostile].output()) == errc::wrong_stage);
        CHECK(finish(r) == errc::ok);
        CHECK(server.survivors().contains(hostile) == (stage > server_stage::inputs));
        CHECK((r.taken() == r.expected()));
        for (std::uint32_t i = 0; i < 7; ++i) {
          if (i != hostile) CHECK(server.report(i).fault == errc::ok);
          CHECK(server.report(i).complaints == 0);
        }
        CHECK(server.culprit() == 7);
      }
    }
}

TEST_CASE("a stage that ends too early can go on") {
  for (const threat_model model : all_models) {
    a_round r = round_of(model);
    const std::uint32_t least = r.world.setup.least(), quorum = r.world.setup.quorum();
    REQUIRE(r.begin() == errc::ok);
    auto& server = r.aggregator;
    bytes message;
    for (const server_stage stage : stages_of(model)) {
      REQUIRE(server.stage() == stage);
      const std::uint32_t enough = stage == server_stage::consents   ? quorum
                                   : stage == server_stage::openings ? r.world.setup.threshold()
                                                                     : least;
      CHECK(server.try_advance() == errc::round_incomplete);
      for (std::uint32_t i = 0; i < 7; ++i) {
        CHECK_FALSE(server.complete());
        if (i + 1 < enough) CHECK(server.try_advance() == errc::round_incomplete);
        CHECK(server.expects(i));
        REQUIRE(server.try_receive(r.clients[i].output()) == errc::ok);
        CHECK(server.answers() == i + 1);
      }
      CHECK(server.stage() == stage);
      CHECK(server.complete());
      CHECK_FALSE(server.expects(7));
      ring_vector sum;
      CHECK(server.try_take_sum(sum) == errc::wrong_stage);
      CHECK(server.try_message(7, message) == errc::unknown_client);
      CHECK(server.try_message(0, message) == (stage == server_stage::keys ? errc::unknown_client : errc::ok));
      REQUIRE(server.try_advance() == errc::ok);
      for (std::uint32_t i = 0; i < 7 && server.stage() != server_stage::done; ++i) {
        REQUIRE(server.try_message(i, message) == errc::ok);
        REQUIRE(r.clients[i].try_receive(message) == errc::ok);
      }
    }
    CHECK(server.try_advance() == errc::wrong_stage);
    CHECK(server.try_message(0, message) == errc::unknown_client);
    CHECK((r.taken() == r.expected()));
    ring_vector sum;
    CHECK(server.try_take_sum(sum) == errc::wrong_stage);
    CHECK(server.try_advance() == errc::wrong_stage);
  }
}

TEST_CASE("no sum of fewer inputs than are asked for") {
  secure_parameters p = parameters_of(threat_model::curious);
  p.minimum_inputs = 5;
  a_round r(7, p, {{32, 3}});
  r.answers[0] = r.answers[1] = 2;
  r.answers[2] = 2;
  REQUIRE(r.begin() == errc::ok);
  REQUIRE(r.step() == errc::ok);
  REQUIRE(r.step() == errc::ok);
  CHECK(r.step() == errc::round_incomplete);
  CHECK(r.aggregator.stage() == server_stage::inputs);
  CHECK(r.aggregator.answers() == 4); // a threshold, but that is not all
}

TEST_CASE("dealers whose shares do not open are named by their holders") {
  a_round r = round_of(threat_model::malicious);
  play_to(r, server_stage::shares);
  for (const auto& c : r.clients) REQUIRE(r.aggregator.try_receive(c.output()) == errc::ok);
  REQUIRE(r.aggregator.try_advance() == errc::ok);
  bytes m;
  for (std::uint32_t i = 0; i < 7; ++i) {
    REQUIRE(r.aggregator.try_message(i, m) == errc::ok);
    // To clients 5 and 6 the first dealer, 0, has sealed something else.
    if (i >= 5) m[message_header_bytes + 1 + 32 + 64] ^= 1;
    REQUIRE(r.clients[i].try_receive(m) == errc::ok);
    CHECK((r.clients[i].bad_dealers() == (i >= 5 ? std::vector<std::uint32_t>{0} : std::vector<std::uint32_t>{})));
  }
  REQUIRE(finish(r) == errc::ok);
  CHECK((r.taken() == r.expected()));
  for (std::uint32_t i = 0; i < 7; ++i) CHECK(r.aggregator.report(i).complaints == (i == 0 ? 2u : 0u));
}

TEST_CASE("holders that open what they like do not change the sum") {
  // The two lowest say of every second dealer, each of another one, that its share did not open.
  a_round r = round_of(threat_model::malicious);
  play_to(r, server_stage::openings);
  const std::size_t first = message_header_bytes + 32 + shamir_share_bytes + 4;
  for (std::uint32_t i = 0; i < 7; ++i) {
    bytes m = of(r.clients[i].output());
    if (i < 2) {
      for (std::size_t k = i; k < 6; k += 2)
        std::fill_n(m.begin() + static_cast<std::ptrdiff_t>(first + 37 * k), 37, std::uint8_t{0});
      m = signed_again(r, i, m);
    }
    CHECK_FALSE(r.aggregator.complete());
    REQUIRE(r.aggregator.try_receive(m) == errc::ok);
  }
  CHECK(r.aggregator.complete());
  REQUIRE(r.aggregator.try_advance() == errc::ok);
  CHECK((r.taken() == r.expected()));
  std::uint32_t complaints = 0;
  for (std::uint32_t i = 0; i < 7; ++i) {
    complaints += r.aggregator.report(i).complaints;
    CHECK(r.aggregator.report(i).fault == errc::ok);
  }
  CHECK(complaints == 6);
}

namespace {

/// The shares of a dealer that deals what it likes: of one seed while it promises another, or of another mask key.
bytes dealt(const a_round& r, std::uint32_t self, bytes_view directory, const detail::client_state& keys,
            const secret_key& seed, const secret_key& promised, const secret_key& mask) {
  const digest context = wire_reader(directory.subspan(8)).array<32>();
  const toy_suite suite;
  toy_suite random(99, self);
  const key_schedule<toy_suite> schedule(suite, context);
  std::vector<std::uint32_t> points;
  for (std::uint32_t i = 0; i < r.clients.size(); ++i) points.push_back(shamir_x(i));
  bytes of_seed(points.size() * shamir_share_bytes), of_mask = of_seed, out;
  const auto draw = [&](bytes_span to) { return random.random(to); };
  REQUIRE(shamir_share(seed, r.world.setup.threshold(), points, draw, of_seed) == errc::ok);
  REQUIRE(shamir_share(mask, r.world.setup.threshold(), points, draw, of_mask) == errc::ok);
  const digest seed_hash = schedule.seed_hash(promised, self);
  begin_message({secure_message::shares, self, context}, out);
  wire_writer w(out);
  const auto share = [](const bytes& all, std::size_t i) { return bytes_view(all).subspan(i * 36, 36); };
  w.bytes(seed_hash).bytes(schedule.share_hash(share_of::self_mask, self, self, share(of_seed, self)));
  w.u32(static_cast<std::uint32_t>(points.size() - 1));
  for (const directory_entry& e : directory_entries(directory)) {
    if (e.client == self) continue;
    bytes plain = of(share(of_seed, e.client));
    plain.insert(plain.end(), of_mask.begin() + 36 * e.client, of_mask.begin() + 36 * e.client + 36);
    sealed_shares s;
    s.self_hash = schedule.share_hash(share_of::self_mask, self, e.client, share(of_seed, e.client));
    s.mask_hash = schedule.share_hash(share_of::mask_key, self, e.client, share(of_mask, e.client));
    secret_key to_peer, from_peer;
    REQUIRE(schedule.share_keys(keys.share_key, e.share_key, self, e.client, to_peer, from_peer));
    suite.seal(to_peer, s.nonce, plain, schedule.share_binding(self, e.client, seed_hash, s.self_hash, s.mask_hash),
               s.sealed);
    s.write(w);
  }
  sign_message(suite, r.world.identities[self], out);
  return out;
}

} // namespace

TEST_CASE("a dealer whose shares yield another secret than it promised fails the round and is named") {
  // 0: as it should be; 1: another seed; 2: another mask key.
  for (int lie = 0; lie < 3; ++lie)
    for (const bool drops_out : {false, true}) {
      INFO(lie << " " << drops_out);
      a_round r = round_of(threat_model::malicious);
      state_store store;
      const secret_key state_key;
      r.clients[hostile].keep(state_key, store);
      play_to(r, server_stage::keys);
      const digest binding = transcript<toy_suite>("fedagg client state 1")
                                 .bytes(r.world.setup.hash<toy_suite>())
                                 .number(hostile)
                                 .finish();
      const auto state = [&] {
        bytes plain(store.last.size() - 40);
        REQUIRE(toy_suite().open(state_key, bytes_view(store.last).first<24>(), bytes_view(store.last).subspan(24),
                                 binding, plain));
        detail::client_state s;
        wire_reader in(plain);
        REQUIRE(s.read(in, 7) == errc::ok);
        return s;
      };
      for (const auto& c : r.clients) REQUIRE(r.aggregator.try_receive(c.output()) == errc::ok);
      REQUIRE(r.aggregator.try_advance() == errc::ok);
      bytes m;
      for (std::uint32_t i = 0; i < 7; ++i) {
        REQUIRE(r.aggregator.try_message(i, m) == errc::ok);
        REQUIRE(r.clients[i].try_receive(m) == errc::ok);
      }
      const auto own = state();
      secret_key another;
      another.data()[5] = 5;
      const bytes shares =
          dealt(r, hostile, m, own, lie == 1 ? another : own.seed, own.seed, lie == 2 ? another : own.mask_key);
      for (std::uint32_t i = 0; i < 7; ++i)
        REQUIRE(r.aggregator.try_receive(i == hostile ? bytes_view(shares) : r.clients[i].output()) == errc::ok);
      REQUIRE(r.aggregator.try_advance() == errc::ok);
      for (std::uint32_t i = 0; i < 7; ++i) {
        REQUIRE(r.aggregator.try_message(i, m) == errc::ok);
        REQUIRE(r.clients[i].try_receive(m) == errc::ok);
        CHECK(r.clients[i].bad_dealers().empty()); // what was dealt is what was promised, share by share
        if (i != hostile || !drops_out) REQUIRE(r.aggregator.try_receive(r.clients[i].output()) == errc::ok);
      }
      REQUIRE(r.aggregator.try_advance() == errc::ok);
      while (r.aggregator.stage() != server_stage::openings) {
        for (std::uint32_t i = 0; i < 7; ++i)
          if (r.aggregator.try_message(i, m) == errc::ok) {
            REQUIRE(r.clients[i].try_receive(m) == errc::ok);
            REQUIRE(r.aggregator.try_receive(r.clients[i].output()) == errc::ok);
          }
        REQUIRE(r.aggregator.try_advance() == errc::ok);
      }
      for (std::uint32_t i = 0; i < 7; ++i)
        if (r.aggregator.try_message(i, m) == errc::ok) {
          REQUIRE(r.clients[i].try_receive(m) == errc::ok);
          // Its own share of its own seed is one it has not dealt itself.
          (void)r.aggregator.try_receive(r.clients[i].output());
        }
      const bool found = drops_out ? lie == 2 : lie == 1;
      const errc rc = r.aggregator.try_advance();
      if (!found) {
        CHECK(rc == errc::ok);
        CHECK((r.taken() == r.expected()));
        continue;
      }
      CHECK(rc == errc::bad_dealer);
      CHECK(r.aggregator.stage() == server_stage::failed);
      CHECK(r.aggregator.culprit() == hostile);
      CHECK(r.aggregator.report(hostile).fault != errc::ok);
      CHECK(r.taken().empty());
      CHECK(r.aggregator.try_advance() == errc::wrong_stage);
      // The next round without it, or with it.
      CHECK(r.aggregator.try_begin(r.world.setup) == errc::ok);
      CHECK(r.aggregator.report(hostile).fault == errc::ok);
    }
}

TEST_CASE("a server that has not begun") {
  secure_server<toy_suite> server;
  bytes m;
  CHECK(server.stage() == server_stage::idle);
  CHECK(server.try_receive({}) == errc::message_format);
  a_round r = round_of(threat_model::malicious);
  REQUIRE(r.begin() == errc::ok);
  CHECK(server.try_receive(r.clients[0].output()) == errc::unknown_client);
  CHECK(server.try_advance() == errc::wrong_stage);
  CHECK(server.try_message(0, m) == errc::unknown_client);
  secure_setup weak = r.world.setup;
  weak.parameters.threshold = 2;
  CHECK(server.try_begin(weak) == errc::insecure_parameters);
  CHECK(server.stage() == server_stage::idle);
  // No mask is long enough for it, nor memory.
  secure_setup large = r.world.setup;
  REQUIRE(large.layout.try_add(8, (std::uint64_t{1} << 37) + 1) == errc::ok);
  CHECK(server.try_begin(large) == errc::size_overflow);
  CHECK(secure_client<toy_suite>().try_begin(large, r.world.identities[0]) == errc::size_overflow);
  // Messages of a round before, and of clients with other parameters.
  REQUIRE(server.try_begin(r.world.setup) == errc::ok);
  weak = r.world.setup;
  weak.parameters.threshold = 6;
  weak.parameters.dropouts = 1;
  REQUIRE(r.clients[0].try_begin(weak, r.world.identities[0]) == errc::ok);
  CHECK(server.try_receive(r.clients[0].output()) == errc::wrong_context);
  CHECK(server.report(0).fault == errc::ok);
}

TEST_CASE(
    "keys of a round that was begun twice under one setup: whoever sends the old ones again costs a client its place") {
  a_round r = round_of(threat_model::malicious);
  REQUIRE(r.begin() == errc::ok);
  const bytes old = of(r.clients[hostile].output());
  REQUIRE(r.begin() == errc::ok);
  CHECK(r.aggregator.try_receive(old) == errc::ok);
  for (std::uint32_t i = 0; i < 7; ++i)
    CHECK(r.aggregator.try_receive(r.clients[i].output()) == (i == hostile ? errc::wrong_stage : errc::ok));
  REQUIRE(r.aggregator.try_advance() == errc::ok);
  bytes m;
  REQUIRE(r.aggregator.try_message(hostile, m) == errc::ok);
  CHECK(r.clients[hostile].try_receive(m) == errc::bad_key); // it gives nothing to a round that is not its own
  // Under another number they mean nothing.
  ++r.world.setup.round;
  REQUIRE(r.begin() == errc::ok);
  CHECK(r.aggregator.try_receive(old) == errc::wrong_context);
}

TEST_CASE("an executor that fails when masks come off fails the round") {
  a_round r = round_of(threat_model::malicious);
  play_to(r, server_stage::openings);
  for (const auto& c : r.clients) REQUIRE(r.aggregator.try_receive(c.output()) == errc::ok);
  auto nothing = [](std::size_t, task) {};
  CHECK(r.aggregator.try_advance(nothing) == errc::executor_failed);
  CHECK(r.aggregator.stage() == server_stage::failed);
  CHECK(r.aggregator.culprit() == 7);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("a server whose memory fails at any allocation goes on where it was") {
  for (const threat_model model : all_models) {
    a_round r = round_of(model);
    REQUIRE(r.begin() == errc::ok);
    auto& server = r.aggregator;
    const auto until_it_works = [](auto act) {
      for (std::size_t more = 0;; ++more) {
        errc rc;
        {
          const allocations::limit limit(more);
          rc = act();
        }
        if (rc == errc::ok) return;
        REQUIRE(rc == errc::out_of_memory);
      }
    };
    bytes m;
    while (server.stage() != server_stage::done) {
      for (const auto& c : r.clients) until_it_works([&] { return server.try_receive(c.output()); });
      until_it_works([&] { return server.try_advance(); });
      for (std::uint32_t i = 0; i < 7 && server.stage() != server_stage::done; ++i) {
        until_it_works([&] { return server.try_message(i, m); });
        REQUIRE(r.clients[i].try_receive(m) == errc::ok);
      }
    }
    CHECK((r.taken() == r.expected()));
    until_it_works([&] { return server.try_begin(r.world.setup); });
  }
}
#endif
