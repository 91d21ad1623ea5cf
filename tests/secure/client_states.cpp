// SPDX-License-Identifier: MIT
// What a client saves, and what it is after a crash; what happens where saving, randomness or memory fail.
#include <algorithm>
#include <cstdint>
#include <vector>

#include <fedagg/secure/secure_client.hpp>

#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/secure_play.hpp"

using namespace fedagg;
using namespace fedagg_test;

namespace {

bytes of(bytes_view v) { return {v.begin(), v.end()}; }
bool same(bytes_view a, bytes_view b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
bool holds(bytes_view in, bytes_view what) {
  return std::search(in.begin(), in.end(), what.begin(), what.end()) != in.end();
}

detail::client_state state_of(const secure_play& p, std::size_t k) {
  const bytes plain = p.plain(p.states[k]);
  detail::client_state s;
  wire_reader r(plain);
  REQUIRE(s.read(r, p.setup().clients()) == errc::ok);
  return s;
}

/// A suite whose randomness ends after so many calls, in all copies of it.
struct failing_suite : toy_suite {
  int* left = nullptr;
  bool random(bytes_span out) noexcept {
    if (left != nullptr && --*left < 0) return false;
    return toy_suite::random(out);
  }
};
static_assert(crypto_suite<failing_suite>);

} // namespace

TEST_CASE("restored at any stage a client ends the round with the same bytes") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k <= p.stages(); ++k) {
      // Crashes again after every message.
      bytes state = p.states[k];
      for (std::size_t step = k;; ++step) {
        state_store store;
        secure_play::client c;
        c.keep(p.state_key, store);
        REQUIRE(c.try_restore(p.setup(), p.identity(0), state) == errc::ok);
        CHECK(c.index() == 0);
        CHECK(static_cast<std::size_t>(c.stage()) == (step + 1 + (step == 3 && p.stages() == 3 ? 1 : 0)));
        if (k != 0) CHECK(same(c.output(), p.outputs[step])); // from the start it deals other shares
        if (step == p.stages()) break;
        // The message before, again: the same answer, nothing new to save.
        if (step > 0) CHECK(c.try_receive(p.messages[step - 1]) == errc::ok);
        CHECK(store.calls == 0);
        // What is not masked yet is in no state.
        if (step == 1) REQUIRE(c.try_receive(p.messages[step]) == errc::bad_parameter);
        if (step < 2) REQUIRE(c.try_input(p.input()) == errc::ok);
        REQUIRE(c.try_receive(p.messages[step]) == errc::ok);
        REQUIRE(store.calls == 1);
        state = store.last;
        // Kept before it could leave, and with it what leaves.
        CHECK(holds(p.plain(state), c.output()));
      }
    }
  }
}

TEST_CASE("a client that was restored never answers a second message of a stage") {
  const secure_play p = play_of(threat_model::curious);
  state_store store;
  auto c = p.at(2, store);
  client_set some(5);
  for (const std::uint32_t i : {0u, 1u, 2u, 3u}) some.insert(i);
  bytes other = of(bytes_view(p.messages[2]).first(message_header_bytes));
  wire_writer(other).bytes(some.bytes());
  REQUIRE(c.try_receive(other) == errc::ok);
  const bytes answer = of(c.output());
  auto after = p.at(2, store);
  REQUIRE(after.try_restore(p.setup(), p.identity(0), store.last) == errc::ok);
  CHECK(after.try_receive(p.messages[2]) == errc::wrong_stage);
  CHECK(same(after.output(), answer));
  // From an older state it does: then the server has both secrets of client 4. No code can prevent that.
  REQUIRE(after.try_restore(p.setup(), p.identity(0), p.states[2]) == errc::ok);
  CHECK(after.try_receive(p.messages[2]) == errc::ok);
  CHECK_FALSE(same(after.output(), answer));
}

TEST_CASE("states of another key, client, round or roster, cut short or changed anywhere") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k <= p.stages(); ++k) {
      state_store store;
      secure_play::client c;
      c.keep(p.state_key, store);
      REQUIRE(c.try_restore(p.setup(), p.identity(0), p.states[0]) == errc::ok);
      const auto refused = [&](const secure_setup& setup, std::uint32_t client, bytes_view state) {
        return c.try_restore(setup, p.identity(client), state) == errc::state_mismatch &&
               same(c.output(), p.outputs[0]) && c.stage() == client_stage::sent_keys;
      };
      const bytes& state = p.states[k];
      CHECK(refused(p.setup(), 1, state));
      secure_setup other = p.setup();
      ++other.round;
      CHECK(refused(other, 0, state));
      other = p.setup();
      other.session[0] ^= 1;
      CHECK(refused(other, 0, state));
      other = p.setup();
      std::swap(other.roster[1], other.roster[2]);
      CHECK(refused(other, 0, state));
      for (std::size_t size = 0; size < state.size(); ++size)
        if (!refused(p.setup(), 0, bytes_view(state).first(size))) FAIL("cut at " << size);
      for (std::size_t at = 0; at < state.size(); ++at) {
        bytes changed = state;
        changed[at] ^= 0x10;
        if (!refused(p.setup(), 0, changed)) FAIL("byte " << at);
      }
      bytes longer = state;
      longer.push_back(0);
      CHECK(refused(p.setup(), 0, longer));
      secret_key key = p.state_key;
      key.data()[31] ^= 1;
      c.keep(key, store);
      CHECK(refused(p.setup(), 0, state));
      // Without a place for new states there is no way on from an old one.
      secure_play::client careless;
      CHECK(careless.try_restore(p.setup(), p.identity(0), state) == errc::bad_parameter);
      CHECK(store.calls == 0);
    }
  }
}

TEST_CASE("what is sealed rightly but is no state") {
  const secure_play p = play_of(threat_model::malicious);
  for (std::size_t k = 0; k <= p.stages(); ++k) {
    const bytes plain = p.plain(p.states[k]);
    state_store store;
    secure_play::client c;
    c.keep(p.state_key, store);
    const auto restored = [&](const bytes& other) {
      return c.try_restore(p.setup(), p.identity(0), p.sealed(other));
    };
    REQUIRE(restored(plain) == errc::ok);
    for (std::size_t size = 0; size < plain.size(); ++size)
      if (restored(of(bytes_view(plain).first(size))) != errc::state_mismatch) FAIL("cut at " << size);
    bytes other = plain;
    other.push_back(0);
    CHECK(restored(other) == errc::state_mismatch);
    other = plain;
    other[0] = 6;
    CHECK(restored(other) == errc::state_mismatch);
    // The number of neighbours: none may be more than there are others.
    bytes empty;
    wire_writer w(empty);
    detail::client_state().write(w);
    const std::size_t count = empty.size() - 4 - 3 * 4 - 32 - 8; // then sets, a hash, the output's length
    for (const std::uint8_t number : {std::uint8_t{5}, std::uint8_t{255}}) {
      other = plain;
      other[count] = number;
      CHECK(restored(other) == errc::state_mismatch);
      other = plain;
      other[count + 3] = number;
      CHECK(restored(other) == errc::state_mismatch);
    }
    if (k > 0) {
      other = plain;
      other[count + 4] = 4; // not ascending
      CHECK(restored(other) == errc::state_mismatch);
    }
    // The length of the output.
    other = plain;
    const std::size_t length = plain.size() - p.outputs[k].size() - 8;
    CHECK(other[length] == (p.outputs[k].size() & 255));
    for (std::size_t byte = 0; byte < 8; ++byte) {
      other = plain;
      other[length + byte] ^= 0x80;
      CHECK(restored(other) == errc::state_mismatch);
    }
  }
}

TEST_CASE("nothing leaves that could not be saved") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k < p.stages(); ++k) {
      state_store store;
      auto c = p.at(k, store);
      store.works = false;
      CHECK(c.try_receive(p.messages[k]) == errc::state_not_saved);
      CHECK(store.calls == 1);
      CHECK(same(c.output(), p.outputs[k]));
      store.works = true;
      if (k == 1) {
        CHECK(c.try_receive(p.messages[k]) == errc::bad_parameter); // the input has to be given again
        REQUIRE(c.try_input(p.input()) == errc::ok);
      }
      CHECK(c.try_receive(p.messages[k]) == errc::ok);
      if (k != 0) CHECK(same(c.output(), p.outputs[k + 1]));
      CHECK(holds(p.plain(store.last), c.output()));
    }
    secure_play::client fresh;
    state_store store;
    store.works = false;
    fresh.keep(p.state_key, store);
    CHECK(fresh.try_begin(p.setup(), p.identity(0)) == errc::state_not_saved);
    CHECK(fresh.stage() == client_stage::idle);
    CHECK(fresh.output().empty());
    store.works = true;
    CHECK(fresh.try_begin(p.setup(), p.identity(0)) == errc::ok);
    // A round that is under way goes on.
    const bytes before = of(fresh.output());
    store.works = false;
    CHECK(fresh.try_begin(p.setup(), p.identity(0)) == errc::state_not_saved);
    CHECK(same(fresh.output(), before));
  }
}

TEST_CASE("secrets are gone as soon as they are of no use, from the saved state too") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    const auto dealt = state_of(p, 1), masked = state_of(p, 2);
    REQUIRE(dealt.neighbours.size() == p.setup().degree());
    for (std::size_t k = 1; k <= p.stages(); ++k) {
      const bytes plain = p.plain(p.states[k]);
      const auto has = [&](bytes_view secret) { return holds(plain, secret); };
      // Its own, with which its vector could be opened.
      CHECK(has(dealt.share_key.bytes()) == (k == 1));
      CHECK(has(dealt.mask_key.bytes()) == (k == 1));
      CHECK(has(dealt.seed.bytes()) == (k == 1));
      const bool opened = k == p.stages();
      for (const auto& n : dealt.neighbours) CHECK(has(n.opens.bytes()) == (k == 1));
      // Others': of those that it opened the output has one of two.
      for (const auto& n : masked.neighbours) {
        CHECK(has(n.shares.bytes()) == (k >= 2 && !opened));
        CHECK(has(n.shares.bytes().subspan(shamir_share_bytes)) == (k >= 2 && !opened));
        CHECK(has(n.shares.bytes().first(shamir_share_bytes)) == (k >= 2));
      }
      // Never the key of its long-term identity.
      CHECK_FALSE(has(p.identity(0).bytes().first(32)));
    }
  }
}

TEST_CASE("no secret serves two rounds") {
  const secure_play p = play_of(threat_model::malicious);
  secure_play::client c(toy_suite(3, 3));
  state_store store;
  c.keep(p.state_key, store);
  std::vector<bytes> seen;
  for (int round = 0; round < 20; ++round) {
    REQUIRE(c.try_begin(p.setup(), p.identity(0)) == errc::ok);
    const bytes plain = p.plain(store.last);
    for (const std::size_t at : {1u, 33u}) seen.emplace_back(plain.begin() + static_cast<std::ptrdiff_t>(at), plain.begin() + static_cast<std::ptrdiff_t>(at) + 32);
    auto entries = directory_entries(p.messages[0]);
    wire_reader r(payload(c.output()));
    entries[0].share_key = r.array<32>();
    entries[0].mask_key = r.array<32>();
    entries[0].signed_by = r.array<64>();
    REQUIRE(c.try_receive(directory_message(p, {}, entries)) == errc::ok);
    const bytes dealt = p.plain(store.last);
    seen.emplace_back(dealt.begin() + 65, dealt.begin() + 97);
  }
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
}

TEST_CASE("randomness that fails at any call") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k <= p.stages(); ++k)
      for (int calls = 0;; ++calls) {
        int left = 1 << 30;
        failing_suite suite;
        suite.left = &left;
        state_store store;
        secure_client<failing_suite> c(suite);
        c.keep(p.state_key, store);
        // The last of all stages is the first: a round that begins.
        if (k < p.stages()) c = p.at(k, store, suite);
        left = calls;
        const auto act = [&] {
          return k < p.stages() ? c.try_receive(p.messages[k]) : c.try_begin(p.setup(), p.identity(0));
        };
        const errc rc = act();
        if (rc == errc::ok) {
          // Two keys; a seed, two polynomials' words and a nonce each; a nonce for the state.
          CHECK(calls >= (k == p.stages() ? 3 : k == 0 ? 6 : 1));
          CHECK(left == 0);
          break;
        }
        REQUIRE(rc == errc::no_randomness);
        CHECK(store.calls == 0);
        CHECK((k < p.stages() ? same(c.output(), p.outputs[k]) : c.output().empty()));
        left = 1 << 30;
        if (k == 1) REQUIRE(c.try_input(p.input()) == errc::ok);
        CHECK(act() == errc::ok);
      }
  }
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("memory that fails at any allocation changes nothing") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    for (std::size_t k = 0; k <= p.stages(); ++k)
      for (std::size_t more = 0;; ++more) {
        struct silent {
          std::size_t calls = 0;
          bool operator()(bytes_view) { return ++calls > 0; }
        } keep;
        secure_play::client c;
        if (k < p.stages()) {
          state_store store;
          c = p.at(k, store);
        }
        c.keep(p.state_key, keep);
        const auto act = [&] {
          return k < p.stages() ? c.try_receive(p.messages[k]) : c.try_begin(p.setup(), p.identity(0));
        };
        errc rc;
        {
          const allocations::limit limit(more);
          rc = act();
        }
        if (rc == errc::ok) {
          CHECK(more > 2);
          break;
        }
        REQUIRE(rc == errc::out_of_memory);
        CHECK((k < p.stages() ? same(c.output(), p.outputs[k]) : c.output().empty()));
        if (k == 1) REQUIRE(c.try_input(p.input()) == errc::ok);
        CHECK(act() == errc::ok);
        if (k != 0 && k < p.stages()) CHECK(same(c.output(), p.outputs[k + 1]));
      }
    for (std::size_t more = 0;; ++more) {
      state_store store;
      auto c = p.at(0, store);
      errc rc;
      {
        const allocations::limit limit(more);
        rc = c.try_restore(p.setup(), p.identity(0), p.states.back());
      }
      if (rc == errc::ok) break;
      REQUIRE(rc == errc::out_of_memory);
      CHECK(same(c.output(), p.outputs[0]));
    }
  }
}
#endif
