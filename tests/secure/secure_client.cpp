// SPDX-License-Identifier: MIT
// A server that does what it likes: what it sends is refused with a name and changes nothing, or is taken for what it
// says.
#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <fedagg/secure/secure_client.hpp>

#include "support/catch.hpp"
#include "support/secure_play.hpp"

using namespace fedagg;
using namespace fedagg_test;

// A copy would answer twice.
static_assert(!std::is_copy_constructible_v<secure_client<toy_suite>>);
static_assert(!std::is_copy_assignable_v<secure_client<toy_suite>>);

namespace {

bytes of(bytes_view v) { return {v.begin(), v.end()}; }
bool same(bytes_view a, bytes_view b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

/// A client at a stage that is sent what it must refuse; at the end it answers the right message as if nothing had been.
class attacked {
public:
  attacked(const secure_play& play, std::size_t stage)
      : play_(play), stage_(stage), client_(play.at(stage, store_)), before_(client_.stage()) {
    state_store other;
    auto control = play.at(stage, other);
    REQUIRE(control.try_receive(play.messages[stage]) == errc::ok);
    right_ = of(control.output());
  }

  errc operator()(bytes_view message) {
    const errc rc = client_.try_receive(message);
    if (rc != errc::ok) unchanged();
    return rc;
  }
  void unchanged() {
    if (client_.stage() == before_ && same(client_.output(), play_.outputs[stage_]) && store_.calls == 0) return;
    FAIL("a refused message changed the client");
  }
  void ends_well() {
    unchanged();
    REQUIRE(client_.try_receive(play_.messages[stage_]) == errc::ok);
    CHECK(same(client_.output(), right_));
    CHECK(store_.calls == 1);
  }
  secure_play::client& client() { return client_; }

private:
  const secure_play& play_;
  std::size_t stage_;
  state_store store_;
  secure_play::client client_;
  client_stage before_;
  bytes right_;
};

/// A message for the client with another payload.
bytes with_payload(bytes_view message, bytes_view payload) {
  bytes out = of(message.first(message_header_bytes));
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

client_set set_of(std::uint32_t n, std::initializer_list<std::uint32_t> members) {
  client_set s(n);
  for (const std::uint32_t i : members) s.insert(i);
  return s;
}

} // namespace

TEST_CASE("the play's stages") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    REQUIRE(p.stages() == (model == threat_model::curious ? 3 : 4));
    // What is random apart, a client that was restored says what it said.
    for (std::size_t k = 0; k < p.stages(); ++k) {
      state_store store;
      auto c = p.at(k, store);
      CHECK(same(c.output(), p.outputs[k]));
      REQUIRE(c.try_receive(p.messages[k]) == errc::ok);
      if (k != 0) CHECK(same(c.output(), p.outputs[k + 1]));
      CHECK(c.output().size() == p.outputs[k + 1].size());
      CHECK(c.bad_dealers().empty());
    }
  }
}

TEST_CASE("messages cut short or with something behind them are refused at every stage") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k < p.stages(); ++k) {
      attacked a(p, k);
      const bytes& m = p.messages[k];
      for (std::size_t size = 0; size < m.size(); ++size)
        if (a(bytes_view(m).first(size)) != errc::message_format) FAIL("cut at " << size << " in stage " << k);
      for (const std::size_t more : {1u, 132u, 208u, 68u, 100000u}) {
        bytes longer = m;
        longer.resize(m.size() + more);
        CHECK(a(longer) == errc::message_format);
      }
      a.ends_well();
    }
  }
}

TEST_CASE("another kind, recipient, version or binding") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k < p.stages(); ++k) {
      attacked a(p, k);
      for (unsigned kind = 0; kind < 256; ++kind) {
        bytes m = p.messages[k];
        if (kind == m[3]) continue;
        m[3] = static_cast<std::uint8_t>(kind);
        CHECK(a(m) == (kind >= 1 && kind <= 9 ? errc::wrong_stage : errc::message_format));
      }
      for (std::size_t byte = 0; byte < message_header_bytes; ++byte) {
        if (byte == 3) continue;
        bytes m = p.messages[k];
        m[byte] ^= 1;
        CHECK(a(m) == (byte < 3 ? errc::message_format : errc::wrong_context));
      }
      // Of other stages, and what clients send.
      for (std::size_t other = 0; other < p.stages(); ++other)
        // The last one is answered again, with the same bytes.
        if (other != k) CHECK(a(p.messages[other]) == (other + 1 == k ? errc::ok : errc::wrong_stage));
      for (const bytes& sent : p.outputs) CHECK(a(sent) == errc::wrong_stage);
      a.ends_well();
    }
  }
}

TEST_CASE("no byte of a directory can change, nor of consents") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (const std::size_t k : {std::size_t{0}, std::size_t{3}}) {
      if (k >= p.stages()) continue;
      attacked a(p, k);
      for (std::size_t at = 0; at < p.messages[k].size(); ++at)
        for (const unsigned flip : {1u, 0x80u, 0xffu}) {
          bytes m = p.messages[k];
          m[at] = static_cast<std::uint8_t>(m[at] ^ flip);
          if (a(m) == errc::ok) FAIL("byte " << at << " in stage " << k);
        }
      a.ends_well();
    }
  }
}

TEST_CASE("shares that do not open are their dealer's fault, all other changes of deliveries are refused") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    const std::size_t n = p.setup().clients(), first = message_header_bytes + client_set::bytes_for(p.setup().clients());
    for (std::size_t at = 0; at < p.messages[1].size(); ++at) {
      bytes m = p.messages[1];
      m[at] ^= 4;
      attacked a(p, 1);
      const errc rc = a(m);
      if (at >= first) {
        if (rc != errc::ok || a.client().bad_dealers().size() != 1) FAIL("byte " << at);
        // It masks as it would have: whether a dealer can be opened is for the end.
        if (!same(a.client().output(), p.outputs[2])) FAIL("another vector");
      } else if (rc == errc::ok) {
        // A sparse graph has clients that do not matter to this one, but in the end to what it consents to.
        CHECK(p.setup().degree() + 1 < n);
      } else {
        a.ends_well();
      }
    }
  }
}

TEST_CASE("a directory of the server's own making") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model, 1);
    const auto entries = directory_entries(p.messages[0]);
    const digest seed = wire_reader(payload(p.messages[0])).array<32>();
    const mask_graph graph(p.setup().clients(), p.setup().degree(), seed);
    const std::uint32_t peer = graph.neighbours(1)[0];
    attacked a(p, 0);
    const auto sent = [&](auto change) {
      auto changed = entries;
      change(changed);
      return a(directory_message(p, seed, changed));
    };

    INFO("own keys");
    CHECK(sent([](auto& e) { e.erase(e.begin() + 1); }) == errc::bad_key);
    CHECK(sent([](auto& e) { e[1].share_key[0] ^= 1; }) == errc::bad_key);
    CHECK(sent([](auto& e) { e[1].mask_key[31] ^= 1; }) == errc::bad_key);
    CHECK(sent([](auto& e) { std::swap(e[1].share_key, e[1].mask_key); }) == errc::bad_key);
    // Those of another time, rightly signed: a replay.
    secure_play::client again(toy_suite(5, 5));
    REQUIRE(again.try_begin(p.setup(), p.identity(1)) == errc::ok);
    CHECK(sent([&](auto& e) {
            wire_reader r(payload(again.output()));
            e[1].share_key = r.array<32>();
            e[1].mask_key = r.array<32>();
            e[1].signed_by = r.array<64>();
          }) == errc::bad_key);

    INFO("a neighbour's");
    CHECK(sent([&](auto& e) { e[peer].signed_by[0] ^= 1; }) == errc::bad_signature);
    CHECK(sent([&](auto& e) { e[peer].share_key[0] ^= 1; }) == errc::bad_signature);
    CHECK(sent([&](auto& e) { e[peer].mask_key[0] ^= 1; }) == errc::bad_signature);
    CHECK(sent([&](auto& e) { std::swap(e[peer].signed_by, e[1].signed_by); }) == errc::bad_signature);
    CHECK(sent([&](auto& e) {
            e[peer].mask_key = e[peer].share_key;
            sign_entry(p, e[peer]);
          }) == errc::bad_key);
    // Signed for another round, and for another place in the roster.
    secure_setup other = p.setup();
    ++other.round;
    REQUIRE(again.try_begin(other, p.identity(peer)) == errc::ok);
    const auto taken = [&](auto& e) {
      wire_reader r(payload(again.output()));
      e[peer].share_key = r.array<32>();
      e[peer].mask_key = r.array<32>();
      e[peer].signed_by = r.array<64>();
    };
    CHECK(sent(taken) == errc::bad_signature);
    CHECK(sent([&](auto& e) {
            e[peer].client = 1;
            sign_entry(p, e[peer]);
            e[peer].client = peer;
          }) == errc::bad_signature);

    INFO("their order and number");
    CHECK(sent([](auto& e) { std::swap(e[2], e[3]); }) == errc::message_format);
    CHECK(sent([](auto& e) { e[3] = e[2]; }) == errc::message_format);
    CHECK(sent([](auto& e) { e.back().client = static_cast<std::uint32_t>(e.size()); }) == errc::message_format);
    CHECK(sent([](auto& e) { e.back().client = ~0u; }) == errc::message_format);
    CHECK(sent([](auto& e) { e.push_back(e.back()); }) == errc::message_format);
    CHECK(sent([](auto& e) { e.clear(); }) == errc::bad_key);
    const std::size_t least = p.setup().least();
    CHECK(sent([&](auto& e) {
            while (e.size() >= least) e.erase(e.end() - (e.back().client == 1 ? 2 : 1));
          }) == errc::bad_survivors);
    a.ends_well();

    // Of low order: found out when shares are dealt, so that the right directory gets others.
    auto changed = entries;
    changed[peer].share_key = {};
    sign_entry(p, changed[peer]);
    attacked b(p, 0);
    CHECK(b(directory_message(p, seed, changed)) == errc::bad_key);
    CHECK(b(p.messages[0]) == errc::ok);
  }
}

TEST_CASE("on a sparse graph a client asks for a threshold of holders") {
  const secure_play p = play_of(threat_model::semi_malicious, 2);
  const auto entries = directory_entries(p.messages[0]);
  const digest seed = wire_reader(payload(p.messages[0])).array<32>();
  const auto near = mask_graph(8, 6, seed).neighbours(2);
  // 6 neighbours, of whom 4 are needed.
  for (const std::size_t missing : {1u, 2u, 3u}) {
    const auto gone = [&](std::uint32_t client) {
      return std::find(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(missing), client) !=
             near.begin() + static_cast<std::ptrdiff_t>(missing);
    };
    attacked a(p, 0);
    auto changed = entries;
    std::erase_if(changed, [&](const auto& e) { return gone(e.client); });
    REQUIRE(changed.size() == 8 - missing);
    CHECK(a(directory_message(p, seed, changed)) == (missing < 3 ? errc::ok : errc::bad_survivors));

    attacked b(p, 1);
    client_set dealers(8);
    for (std::uint32_t i = 0; i < 8; ++i)
      if (!gone(i)) dealers.insert(i);
    bytes in = of(dealers.bytes());
    const bytes_view shares = payload(p.messages[1]).subspan(1 + missing * (32 + sealed_shares::bytes));
    in.insert(in.end(), shares.begin(), shares.end());
    CHECK(b(with_payload(p.messages[1], in)) == (missing < 3 ? errc::ok : errc::bad_survivors));
  }
}

TEST_CASE("dealers that are not what they can be") {
  for (const threat_model model : {threat_model::curious, threat_model::malicious}) {
    const secure_play p = play_of(model, 1);
    const std::uint32_t n = p.setup().clients(), least = p.setup().least();
    const bytes_view shares = payload(p.messages[1]).subspan(1);
    attacked a(p, 1);
    const auto sent = [&](const client_set& who, std::size_t dealing) {
      bytes in = of(who.bytes());
      for (std::size_t k = 0; k < dealing * (32 + sealed_shares::bytes); ++k) in.push_back(shares[k % shares.size()]);
      return a(with_payload(p.messages[1], in));
    };
    // Without itself, too few, one more or less than there are shares.
    CHECK(sent(set_of(n, {0, 2, 3, 4}), 4) == errc::bad_survivors);
    client_set few = set_of(n, {1});
    for (std::uint32_t i = 0; few.size() + 1 < least; ++i) few.insert(i);
    CHECK(sent(few, few.size() - 1) == errc::bad_survivors);
    CHECK(sent(set_of(n, {0, 1, 2, 3, 4}), 3) == errc::message_format);
    CHECK(sent(set_of(n, {0, 1, 2, 3, 4}), 5) == errc::message_format);
    CHECK(sent(set_of(n, {0, 1, 2, 3}), 4) == errc::message_format);
    // Bits beyond the roster.
    bytes in = of(payload(p.messages[1]));
    in[0] |= 0x80;
    CHECK(a(with_payload(p.messages[1], in)) == errc::message_format);
    a.ends_well();

    // A client that was not in the directory.
    auto entries = directory_entries(p.messages[0]);
    entries.pop_back();
    const bytes fewer = directory_message(p, {}, entries);
    state_store store;
    auto c = p.at(0, store);
    REQUIRE(c.try_receive(fewer) == errc::ok);
    bytes deliveries;
    begin_message({secure_message::deliveries, 1, wire_reader(bytes_view(fewer).subspan(8)).array<32>()}, deliveries);
    wire_writer w(deliveries);
    w.bytes(set_of(n, {0, 1, 2, 3, 4}).bytes()).bytes(shares);
    CHECK(c.try_receive(deliveries) == errc::bad_survivors);
    deliveries.resize(message_header_bytes);
    w.bytes(set_of(n, {0, 1, 2, 3}).bytes()).bytes(shares.first(3 * (32 + sealed_shares::bytes)));
    CHECK(c.try_receive(deliveries) == errc::ok);
    CHECK(c.bad_dealers() == std::vector<std::uint32_t>{0, 2, 3}); // theirs are of another context
  }
}

TEST_CASE("survivors that are not what they can be") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model, 1);
    const std::uint32_t n = p.setup().clients();
    for (unsigned bits = 0; bits < 256; ++bits) {
      attacked a(p, 2);
      const std::uint8_t in[] = {static_cast<std::uint8_t>(bits)};
      const errc rc = a(with_payload(p.messages[2], in));
      client_set who;
      const errc format = client_set::from_bytes(n, in, who);
      const bool fine = format == errc::ok && who.contains(1) && who.size() >= p.setup().least();
      if (rc != (format != errc::ok ? errc::message_format : fine ? errc::ok : errc::bad_survivors)) FAIL(bits);
      if (!fine) a.ends_well();
    }
    // Whoever dealt no shares has no vector that could be summed.
    if (p.setup().degree() + 1 < n) continue;
    state_store store;
    auto c = p.at(1, store);
    client_set dealers = set_of(n, {0, 1, 2, 3});
    bytes in = of(dealers.bytes());
    const bytes_view shares = payload(p.messages[1]).subspan(1, 3 * (32 + sealed_shares::bytes));
    in.insert(in.end(), shares.begin(), shares.end());
    REQUIRE(c.try_receive(with_payload(p.messages[1], in)) == errc::ok);
    CHECK(c.try_receive(p.messages[2]) == errc::bad_survivors);
    CHECK(c.try_receive(with_payload(p.messages[2], dealers.bytes())) == errc::ok);
  }
}

TEST_CASE("consents: a quorum of different survivors' signatures on the same sets") {
  for (const threat_model model : {threat_model::semi_malicious, threat_model::malicious}) {
    const secure_play p = play_of(model, 1);
    const std::uint32_t n = p.setup().clients(), quorum = p.setup().quorum();
    const digest context = wire_reader(bytes_view(p.messages[3]).subspan(8)).array<32>();
    const auto consent = [&](std::uint32_t client, const client_set& survivors, const client_set& dealers) {
      bytes m;
      begin_message({secure_message::consent, client, context}, m);
      const toy_suite suite;
      wire_writer(m).bytes(key_schedule<toy_suite>(suite, context).survivors(dealers.bytes(), survivors.bytes()));
      sign_message(toy_suite(), p.identity(client), m);
      return bytes(m.end() - 64, m.end());
    };
    client_set all(n);
    for (std::uint32_t i = 0; i < n; ++i) all.insert(i);
    client_set fewer = all;
    fewer.erase(0);
    struct one {
      std::uint32_t client;
      bytes signed_by;
    };
    std::vector<one> right;
    for (std::uint32_t i = 0; i < n; ++i) right.push_back({i, consent(i, all, all)});
    const auto message = [&](const std::vector<one>& list) {
      bytes in;
      wire_writer w(in);
      w.u32(static_cast<std::uint32_t>(list.size()));
      for (const one& o : list) w.u32(o.client).bytes(o.signed_by);
      return with_payload(p.messages[3], in);
    };
    const auto first = [&](std::size_t count) {
      return std::vector<one>(right.begin(), right.begin() + static_cast<std::ptrdiff_t>(count));
    };
    attacked a(p, 3);
    for (std::size_t count = 0; count < quorum; ++count) CHECK(a(message(first(count))) == errc::bad_survivors);
    auto changed = first(quorum);
    changed[2] = changed[1];
    CHECK(a(message(changed)) == errc::message_format);
    std::swap(changed[0], changed[1]);
    CHECK(a(message(changed)) == errc::message_format);
    for (std::size_t k = 0; k < quorum; ++k) {
      changed = first(quorum);
      changed[k].signed_by = consent(static_cast<std::uint32_t>(k), fewer, all); // to another sum
      CHECK(a(message(changed)) == errc::bad_signature);
      changed[k].signed_by = consent(static_cast<std::uint32_t>(k), all, fewer); // to other dealers
      CHECK(a(message(changed)) == errc::bad_signature);
      changed[k].signed_by = consent(static_cast<std::uint32_t>((k + 1) % n), all, all); // another one's
      CHECK(a(message(changed)) == errc::bad_signature);
    }
    changed = first(quorum);
    changed.back().client = n;
    CHECK(a(message(changed)) == errc::message_format);
    changed = right;
    changed.push_back(right.back());
    CHECK(a(message(changed)) == errc::message_format);
    a.ends_well();
    // Any quorum will do, and more than one.
    for (const auto& list : {right, first(quorum), std::vector<one>(right.end() - quorum, right.end())}) {
      attacked b(p, 3);
      CHECK(b(message(list)) == errc::ok);
      CHECK(same(b.client().output(), p.outputs[4]));
    }

    // Who is not in the sum has nothing to consent to.
    state_store store;
    auto c = p.at(2, store);
    client_set some = all;
    some.erase(n - 1);
    REQUIRE(c.try_receive(with_payload(p.messages[2], some.bytes())) == errc::ok);
    std::vector<one> list;
    for (std::uint32_t i = n - quorum; i < n; ++i) list.push_back({i, consent(i, some, all)});
    CHECK(c.try_receive(message(list)) == errc::bad_survivors);
    list.clear();
    for (std::uint32_t i = 0; i < quorum; ++i) list.push_back({i, consent(i, some, all)});
    CHECK(c.try_receive(message(list)) == errc::ok);
    // Of the one that is not in it the mask key is opened: once, and never again.
    CHECK(c.try_receive(message(first(quorum))) == errc::wrong_stage);
    CHECK(c.try_receive(p.messages[2]) == errc::wrong_stage);
  }
}

TEST_CASE("of each dealer one share, by whether its vector is summed") {
  const secure_play p = play_of(threat_model::curious, 1);
  state_store store;
  auto c = p.at(2, store);
  client_set some = set_of(5, {0, 1, 3});
  REQUIRE(c.try_receive(with_payload(p.messages[2], some.bytes())) == errc::ok);
  wire_reader r(signed_payload(c.output()));
  r.bytes(32 + shamir_share_bytes);
  REQUIRE(r.u32() == 4);
  for (const std::uint32_t dealer : {0u, 2u, 3u, 4u}) {
    opened_share o;
    o.read(r);
    CHECK(o.kind == (some.contains(dealer) ? share_of::self_mask : share_of::mask_key));
  }
  CHECK(r.done());
  // A second announcement is refused, the first is answered with the same bytes.
  const bytes first = of(c.output());
  CHECK(c.try_receive(p.messages[2]) == errc::wrong_stage);
  CHECK(c.try_receive(with_payload(p.messages[2], some.bytes())) == errc::ok);
  CHECK(same(c.output(), first));
}

TEST_CASE("what came before is answered with the same bytes, another one not") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k < p.stages(); ++k) {
      state_store store;
      auto c = p.at(k, store);
      REQUIRE(c.try_receive(p.messages[k]) == errc::ok);
      const bytes answer = of(c.output());
      CHECK(c.try_receive(p.messages[k]) == errc::ok);
      CHECK(c.try_receive(p.messages[k]) == errc::ok);
      CHECK(same(c.output(), answer));
      CHECK(store.calls == 1);
      bytes other = p.messages[k];
      other.back() ^= 1;
      CHECK(c.try_receive(other) == errc::wrong_stage);
      CHECK(same(c.output(), answer));
    }
  }
}

TEST_CASE("an input that is late, missing, of another layout, or replaced in time") {
  const secure_play p = play_of(threat_model::malicious);
  ring_layout narrow;
  REQUIRE(narrow.try_add(32, 4) == errc::ok);
  ring_vector wrong, none;
  REQUIRE(wrong.try_reset(narrow) == errc::ok);

  secure_play::client fresh;
  CHECK(fresh.try_input(p.input()) == errc::wrong_stage);
  REQUIRE(fresh.try_begin(p.setup(), p.identity(0)) == errc::ok);
  CHECK(fresh.try_input(std::move(wrong)) == errc::layout_mismatch);
  CHECK(wrong.size() == 1); // still the caller's
  CHECK(fresh.try_input(std::move(none)) == errc::layout_mismatch);

  secure_play::client c;
  state_store store;
  c.keep(p.state_key, store);
  REQUIRE(c.try_restore(p.setup(), p.identity(0), p.states[1]) == errc::ok);
  CHECK(c.try_receive(p.messages[1]) == errc::bad_parameter);
  CHECK(same(c.output(), p.outputs[1]));
  ring_vector other;
  REQUIRE(other.try_reset(p.setup().layout) == errc::ok);
  CHECK(c.try_input(std::move(other)) == errc::ok);
  CHECK(c.try_input(p.input()) == errc::ok); // the last one counts
  CHECK(c.try_receive(p.messages[1]) == errc::ok);
  CHECK(same(c.output(), p.outputs[2]));
  for (std::size_t k = 2; k <= p.stages(); ++k) {
    CHECK(c.try_input(p.input()) == errc::wrong_stage);
    if (k < p.stages()) REQUIRE(c.try_receive(p.messages[k]) == errc::ok);
  }
}

TEST_CASE("a hostile neighbour's mask key of low order is refused before an input is spent") {
  const secure_play p = play_of(threat_model::malicious, 1);
  auto entries = directory_entries(p.messages[0]);
  entries[3].mask_key = {};
  sign_entry(p, entries[3]);
  const bytes directory = directory_message(p, {}, entries);
  state_store store;
  auto c = p.at(0, store);
  REQUIRE(c.try_receive(directory) == errc::ok); // found out where it is used
  bytes deliveries = p.messages[1];
  std::copy(directory.begin() + 8, directory.begin() + 40, deliveries.begin() + 8);
  CHECK(c.try_receive(deliveries) == errc::bad_key);
  CHECK(c.stage() == client_stage::sent_shares);
}

TEST_CASE("a client that has not begun, or is none of the roster") {
  const secure_play p = play_of(threat_model::malicious);
  secure_play::client c;
  CHECK(c.stage() == client_stage::idle);
  CHECK(c.output().empty());
  for (const bytes& m : p.messages) CHECK(c.try_receive(m) == errc::wrong_stage);
  CHECK(c.try_receive({}) == errc::message_format);
  signing_key stranger;
  CHECK(c.try_begin(p.setup(), stranger) == errc::unknown_client);
  secure_setup weak = p.setup();
  weak.parameters.threshold = 2;
  CHECK(c.try_begin(weak, p.identity(0)) == errc::insecure_parameters);
  CHECK(c.stage() == client_stage::idle);
  // A round that is under way goes on where another one cannot begin.
  REQUIRE(c.try_begin(p.setup(), p.identity(2)) == errc::ok);
  const bytes before = of(c.output());
  CHECK(c.index() == 2);
  CHECK(c.try_begin(weak, p.identity(2)) == errc::insecure_parameters);
  CHECK(c.try_begin(p.setup(), stranger) == errc::unknown_client);
  CHECK(same(c.output(), before));
  // Another round has keys of its own.
  REQUIRE(c.try_begin(p.setup(), p.identity(2)) == errc::ok);
  CHECK_FALSE(same(c.output(), before));
}

TEST_CASE("an executor that fails takes the input with it, not the round") {
  const secure_play p = play_of(threat_model::malicious);
  state_store store;
  auto c = p.at(1, store);
  auto nothing = [](std::size_t, task) {};
  CHECK(c.try_receive(p.messages[1], nothing) == errc::executor_failed);
  CHECK(same(c.output(), p.outputs[1]));
  CHECK(c.try_receive(p.messages[1]) == errc::bad_parameter);
  REQUIRE(c.try_input(p.input()) == errc::ok);
  CHECK(c.try_receive(p.messages[1]) == errc::ok);
  CHECK(same(c.output(), p.outputs[2]));
}

TEST_CASE("survivors that cut a sparse graph are refused, though no more are missing than may be") {
  const std::uint32_t n = 300;
  secure_parameters p = {.model = threat_model::semi_malicious, .dropouts = 60};
  REQUIRE(try_choose_graph(n, p) == errc::ok);
  REQUIRE(p.degree <= p.dropouts);
  secure_round<toy_suite> r(n, p, {{32, 1}});
  REQUIRE(r.begin() == errc::ok);
  REQUIRE(r.step() == errc::ok);
  bytes directory, survivors;
  REQUIRE(r.aggregator.try_message(0, directory) == errc::ok);
  REQUIRE(r.step() == errc::ok);
  for (const auto& c : r.clients) REQUIRE(r.aggregator.try_receive(c.output()) == errc::ok);
  REQUIRE(r.aggregator.try_advance() == errc::ok);
  REQUIRE(r.aggregator.try_message(0, survivors) == errc::ok);

  // Round the circle: who sits next has most neighbours in common.
  digest seed;
  std::copy_n(payload(directory).begin(), seed.size(), seed.begin());
  mask_graph graph;
  REQUIRE(graph.try_reset(n, p.degree, seed) == errc::ok);
  std::vector<std::uint32_t> circle = {0};
  client_set seated = set_of(n, {0});
  while (circle.size() < n) {
    std::uint32_t next = n, most = 0;
    for (const std::uint32_t j : graph.neighbours(circle.back())) {
      if (seated.contains(j)) continue;
      std::uint32_t common = 1;
      for (std::uint32_t i = 0; i < n; ++i) common += graph.are_neighbours(i, j) && graph.are_neighbours(i, circle.back());
      if (common > most) most = common, next = j;
    }
    REQUIRE(next < n);
    circle.push_back(next);
    seated.insert(next);
  }
  // Two runs of half the degree are missing; or as many, and nobody is cut off.
  client_set cut(n), whole(n);
  const std::uint32_t half = p.degree / 2;
  for (std::uint32_t k = 0; k < n; ++k) {
    if (k % (n / 2) > half || k % (n / 2) == 0) cut.insert(circle[k]);
    if (k % (n / p.dropouts) != 1) whole.insert(circle[k]);
  }
  REQUIRE(cut.size() >= r.world.setup.least());
  REQUIRE(whole.size() >= r.world.setup.least());
  REQUIRE(cut.contains(0));
  REQUIRE(whole.contains(0));
  CHECK(r.clients[0].try_receive(with_payload(survivors, cut.bytes())) == errc::bad_survivors);
  CHECK(r.clients[0].stage() == client_stage::sent_input);
  CHECK(r.clients[0].try_receive(with_payload(survivors, whole.bytes())) == errc::ok);
}
