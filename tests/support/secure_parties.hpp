// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_SECURE_PARTIES_HPP
#define FEDAGG_TESTS_SUPPORT_SECURE_PARTIES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <fedagg/core/random.hpp>
#include <fedagg/secure/secure_client.hpp>
#include <fedagg/secure/secure_server.hpp>

#include "support/knowledge.hpp"
#include "support/secure_round.hpp"

namespace fedagg_test {

/// What a schedule is about: who, under which parameters, and who works together.
struct shape {
  std::uint32_t clients = 0;
  fedagg::secure_parameters parameters;
  std::vector<fedagg::ring_segment> segments;
  std::vector<bool> colluding;

  fedagg::secure_setup setup() const {
    fedagg::secure_setup s;
    s.parameters = parameters;
    s.roster.resize(clients);
    for (std::uint32_t i = 0; i < clients; ++i) std::memcpy(s.roster[i].data(), &i, sizeof i);
    for (const auto& segment : segments) (void)s.layout.try_add(segment.bits, segment.count);
    return s;
  }

  /// A shape that a setup takes, n = 3 to 16, d <= 64.
  static shape draw(fedagg::random_stream& random) {
    using fedagg::threat_model;
    const auto between = [&](std::uint64_t low, std::uint64_t high) {
      return static_cast<std::uint32_t>(low + random.below(high - low + 1));
    };
    for (;;) {
      shape s;
      const std::uint32_t n = s.clients = between(3, 16);
      auto& p = s.parameters;
      p.model = static_cast<threat_model>(random.below(3));
      p.colluding = between(0, random.below(2) ? 1 : n / 2);
      if (p.model != threat_model::malicious && n >= 6 && random.below(2)) p.degree = 2 * between(1, (n - 2) / 2);
      const std::uint32_t k = p.degree == 0 ? n : p.degree;
      const std::uint32_t low = p.model == threat_model::curious ? p.colluding + 1 : (k + p.colluding) / 2 + 1;
      if (low > k) continue;
      // The lowest threshold is where attacks come closest.
      p.threshold = random.below(3) ? low : between(low, k);
      p.dropouts = between(0, k - p.threshold);
      if (random.below(4) == 0) p.minimum_inputs = between(p.colluding + 2, std::max(n - p.dropouts, p.colluding + 2));
      const std::uint32_t words = between(1, 3);
      for (std::uint32_t i = 0; i < words; ++i) s.segments.push_back({between(8, 64), between(i == 0, 64 / words)});
      if (s.setup().check() != fedagg::errc::ok) continue;
      s.colluding.resize(n);
      for (std::uint32_t left = p.colluding; left > 0;) {
        const std::uint32_t i = between(0, n - 1);
        if (!s.colluding[i]) s.colluding[i] = true, --left;
      }
      return s;
    }
  }
};

/// Clients with disks, what they know together, and all that was ever said.
template <class Base>
class secure_parties {
public:
  using suite = recording_suite<Base>;
  using client = fedagg::secure_client<suite, recording_masks>;
  using server = fedagg::secure_server<suite>;

  struct disk {
    std::vector<bytes> states;
    bool full = false;
    bool operator()(fedagg::bytes_view state) {
      if (full) return full = false;
      states.emplace_back(state.begin(), state.end());
      return true;
    }
  };
  struct party {
    client machine;
    disk saved;
    fedagg::ring_vector input;
    bytes packed_input;
  };

  shape what;
  std::uint64_t seed;
  fedagg::random_stream random;
  recorder log;
  knowledge<suite> tracker;
  fedagg::secure_setup setup;
  fedagg::digest setup_hash = {};
  std::vector<fedagg::signing_key> identities;
  std::deque<party> parties;
  fedagg::secret_key disk_key;
  std::vector<bytes> past; ///< every message so far, where there are few clients
  std::string trouble;

  secure_parties(const shape& s, std::uint64_t seed_)
      : what(s), seed(seed_), random(seed_, "parties"), tracker(s.colluding, log), setup(s.setup()) {
    suite make = quiet();
    for (auto& key : setup.roster) {
      fedagg::secret_key k;
      (void)make.random(k.bytes());
      make.signing_keys(k, identities.emplace_back(), key);
    }
    (void)make.random(setup.session);
    (void)make.random(disk_key.bytes());
    setup.round = seed;
    setup.description = {7};
  }
  secure_parties(const secure_parties&) = delete;

  std::uint32_t n() const { return what.clients; }
  bool honest(std::uint32_t i) const { return !what.colluding[i]; }
  suite quiet() { return suite(seed + 77 * ++made_, 0xffff); }
  void complain(const std::string& t) {
    if (trouble.empty()) trouble = t;
  }
  void expect(bool fine, const char* t) {
    if (!fine) complain(t);
  }

  /// A new round: fresh clients with fresh inputs.
  void begin() {
    recording_masks::log = &log;
    ++setup.round;
    setup_hash = setup.template hash<suite>();
    tracker.begin(setup);
    parties.clear();
    for (std::uint32_t i = 0; i < n(); ++i) {
      party& p = parties.emplace_back();
      p.machine = fresh(i);
      (void)p.input.try_reset(setup.layout);
      fill(p.input, random);
      p.packed_input = packed(p.input);
      p.machine.keep(disk_key, p.saved);
      expect(p.machine.try_begin(setup, identities[i]) == fedagg::errc::ok, "a client that does not begin");
      put_in(i);
      hear(i);
    }
  }
  client fresh(std::uint32_t i) { return client(suite(seed + 1009 * ++made_, i, &log)); }
  void put_in(std::uint32_t i) {
    fedagg::ring_vector x;
    (void)x.try_copy(parties[i].input);
    (void)parties[i].machine.try_input(std::move(x));
  }
  void hear(std::uint32_t i) {
    const auto out = parties[i].machine.output();
    if (honest(i)) tracker.heard(i, out, parties[i].packed_input);
    remember(out);
  }
  void remember(fedagg::bytes_view message) {
    if (n() <= 64) past.emplace_back(message.begin(), message.end());
  }
  /// A message for a client. What it lets go is heard.
  fedagg::errc give(std::uint32_t i, bytes message) {
    party& p = parties[i];
    remember(message);
    tracker.told(message);
    const auto stage = p.machine.stage();
    const auto before = p.machine.output();
    const bytes old(before.begin(), before.end());
    const auto rc = p.machine.try_receive(message);
    const auto after = p.machine.output();
    const bool same = stage == p.machine.stage() && bytes(after.begin(), after.end()) == old;
    if (rc != fedagg::errc::ok) expect(same, "a refused message changed a client");
    if (!same) hear(i);
    return rc;
  }

  fedagg::digest state_binding(std::uint32_t i) const {
    return fedagg::transcript<suite>("fedagg client state 1").bytes(setup_hash).number(i).finish();
  }
  /// The state that a client saved last, or before that.
  fedagg::detail::client_state state_of(std::uint32_t i, std::size_t back = 0) {
    const auto& states = parties[i].saved.states;
    const bytes& sealed = states[states.size() - 1 - back];
    fedagg::detail::client_state s;
    fedagg::secret_buffer plain(sealed.size() - 40);
    const fedagg::bytes_view all(sealed);
    const bool opened = quiet().open(disk_key, all.template first<24>(), all.subspan(24), state_binding(i),
                                     {plain.data(), plain.size()});
    fedagg::wire_reader r({plain.data(), plain.size()});
    expect(opened && s.read(r, n()) == fedagg::errc::ok, "a state that cannot be read");
    return s;
  }
  /// A client crashes and goes on from a saved state: its last one, or `back` before that.
  void restart(std::uint32_t i, std::size_t back = 0) {
    party& p = parties[i];
    const auto out = p.machine.output();
    const bytes before(out.begin(), out.end());
    const bytes state = p.saved.states[p.saved.states.size() - 1 - back];
    p.machine = fresh(i);
    p.machine.keep(disk_key, p.saved);
    expect(p.machine.try_restore(setup, identities[i], state) == fedagg::errc::ok, "a client that is not restored");
    const auto again = p.machine.output();
    if (back == 0) expect(bytes(again.begin(), again.end()) == before, "a restored client has other bytes to send");
    put_in(i);
  }

  void sign(std::uint32_t i, bytes& unsigned_message) { sign_message(quiet(), identities[i], unsigned_message); }

private:
  std::uint64_t made_ = 0;
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_SECURE_PARTIES_HPP
