// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_SECURE_SIMULATION_HPP
#define FEDAGG_TESTS_SUPPORT_SECURE_SIMULATION_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "support/secure_parties.hpp"

namespace fedagg_test {

/// What a hostile client does, once.
enum class lie : std::uint8_t {
  none,
  same_key,         ///< one key for both purposes
  low_order,        ///< a key that makes every agreement zero
  no_signature,     ///< its keys are signed by nobody
  stolen_keys,      ///< another client's keys, signed by itself
  wrong_count,      ///< shares for too few
  sealed_rubbish,   ///< shares that do not open
  wrong_polynomial, ///< shares that give no secret
  wrong_seed_hash,  ///< a promise that its seed does not keep
  shifted_vector,   ///< another vector than the one it should have masked
  stray_bits,       ///< bits beyond the elements
  other_consent,    ///< a signature on something else
  wrong_share,      ///< a share that was not dealt
  wrong_kind,       ///< a share of the other secret
  no_share,         ///< says that nothing opened
};
inline constexpr int lies = 15;

struct tally {
  std::uint64_t schedules = 0, rounds = 0, sums = 0, incomplete = 0, bad_dealers = 0, hostile = 0, openings = 0;
};

/// A round with a server that keeps to the protocol, over a network that does not, with clients that may lie.
template <class Base>
class faulty_round {
  using world = secure_parties<Base>;
  using suite = typename world::suite;
  using errc = fedagg::errc;
  using server_stage = fedagg::server_stage;
  using client_stage = fedagg::client_stage;

public:
  faulty_round(world& w, tally& count) : w_(w), random_(w.random(), "faults"), count_(count), server_(w.quiet()) {
    for (auto* rate : {&drop_, &late_, &twice_, &corrupt_, &replay_, &crash_, &full_})
      *rate = random_.below(2) ? 0 : random_.below(random_.below(2) ? 40 : 200);
    // Those that lose a client are worth few, or nothing would be summed: of many clients about a third of what their
    // dropouts allow for, of each kind some.
    drop_ /= 2, late_ /= 3;
    if (large()) {
      for (auto* rate : {&drop_, &late_, &twice_, &corrupt_, &crash_, &full_})
        *rate = std::max<std::uint64_t>(*rate, 10);
      const std::uint64_t lost = w.n() * (10 * drop_ + 5 * late_ + 2 * corrupt_) / 1000;
      rarer_ = 1 + 3 * lost / (1 + w.setup.parameters.dropouts);
    }
    lies_.resize(w.n());
    lost_.resize(w.n());
    fooled_.resize(w.n());
    gone_.resize(w.n());
    reached_.resize(w.n());
    if (large()) {
      // A few liars; now and then one that deals what yields no secret, at which no sum comes out.
      const bool deals = random_.below(4) == 0;
      std::uint32_t left = 6;
      for (std::uint32_t i = 0; i < w.n() && left > 0; ++i) {
        if (w.honest(i)) continue;
        const lie l = static_cast<lie>(random_.below(lies));
        if (!deals && l >= lie::sealed_rubbish && l <= lie::wrong_seed_hash) continue;
        lies_[i] = l;
        --left;
      }
    } else if (random_.below(3) == 0) {
      for (std::uint32_t i = 0; i < w.n(); ++i)
        if (!w.honest(i)) lies_[i] = static_cast<lie>(random_.below(lies));
    }
  }

  enum fault { drop, late, twice, corrupt, crash, full, kinds_of_faults };
  std::array<std::uint64_t, kinds_of_faults> faults{}; ///< how many happened, by kind
  /// Kinds of which several happened.
  std::size_t kinds() const {
    return static_cast<std::size_t>(
        std::count_if(faults.begin(), faults.end(), [](std::uint64_t f) { return f >= 3; }));
  }

  /// Nothing that a passive server may see was changed on its way to an honest client.
  bool passive() const { return !fooled_survivors_; }

  void run() {
    ++count_.rounds;
    old_ = w_.past.size();
    w_.begin();
    w_.expect(server_.try_begin(w_.setup) == errc::ok, "a server that does not begin");
    (void)delta_.try_reset(w_.setup.layout);
    while (server_.stage() < server_stage::done && w_.trouble.empty()) {
      collect();
      errc rc = server_.try_advance();
      if (rc == errc::round_incomplete && !delayed_.empty()) {
        // The caller waits for those that are late.
        for (const letter& l : delayed_) (void)server_.try_receive(l.text);
        delayed_.clear();
        rc = server_.try_advance();
      }
      if (rc == errc::round_incomplete) {
        ++count_.incomplete;
        w_.expect(!must_end() || dealt_wrong(), "a round within its limits did not end");
        break;
      }
      if (rc == errc::bad_dealer) {
        ++count_.bad_dealers;
        const std::uint32_t who = server_.culprit();
        w_.expect(server_.stage() == server_stage::failed && who < w_.n() && deals_wrong(who) &&
                      server_.report(who).fault == errc::bad_dealer,
                  "an innocent dealer is named");
        break;
      }
      w_.expect(rc == errc::ok, "a stage that does not end");
      if (server_.stage() != server_stage::done) hand_out();
    }
    finish();
  }

private:
  struct letter {
    std::uint32_t from = 0;
    enum { right, broken, replayed } kind = right;
    bytes text;
  };

  bool large() const { return w_.n() > 64; }
  /// Whether a fault happens, and that it did; one that can lose a client is rarer among many.
  bool happens(fault kind, std::uint64_t per_mille, std::uint64_t rarer = 1) {
    const bool yes = random_.below(1000 * rarer) < per_mille;
    faults[kind] += yes;
    return yes;
  }

  std::uint32_t lost() const {
    std::uint32_t count = 0;
    for (const bool l : lost_) count += l;
    return count;
  }
  bool must_end() const { return lost() <= w_.setup.parameters.dropouts; }
  bool deals_wrong(std::uint32_t i) const {
    return reached_[i] &&
           (lies_[i] == lie::wrong_polynomial || lies_[i] == lie::wrong_seed_hash || lies_[i] == lie::sealed_rubbish);
  }
  bool dealt_wrong() const {
    for (std::uint32_t i = 0; i < w_.n(); ++i)
      if (deals_wrong(i)) return true;
    return false;
  }

  // From the clients.

  void collect() {
    std::vector<letter> inbox;
    for (const letter& l : delayed_) inbox.push_back({l.from, letter::replayed, l.text});
    delayed_.clear();
    std::vector<bool> sent(w_.n());
    for (std::uint32_t i = 0; i < w_.n(); ++i) {
      if (!server_.expects(i) || server_.report(i).fault != errc::ok) continue;
      if (happens(crash, crash_)) w_.restart(i);
      if (gone_[i] || w_.parties[i].machine.stage() != answer_of(server_.stage())) {
        lost_[i] = true;
        continue;
      }
      const auto out = w_.parties[i].machine.output();
      const bytes text = w_.honest(i) ? bytes(out.begin(), out.end()) : lied(i, bytes(out.begin(), out.end()));
      if (happens(corrupt, corrupt_)) inbox.push_back({i, letter::broken, broken(text)});
      if (happens(drop, drop_, rarer_)) {
        lost_[i] = true;
        // Often for good.
        gone_[i] = random_.below(2);
        continue;
      }
      if (happens(late, late_, rarer_)) {
        lost_[i] = true;
        delayed_.push_back({i, letter::right, text});
        continue;
      }
      sent[i] = true;
      inbox.push_back({i, letter::right, text});
      if (happens(twice, twice_)) inbox.push_back({i, letter::right, text});
      if (happens(corrupt, corrupt_)) inbox.push_back({i, letter::broken, broken(text)});
    }
    while (old_ > 0 && random_.below(1000) < replay_)
      inbox.push_back({0, letter::replayed, w_.past[random_.below(old_)]});
    for (std::size_t k = inbox.size(); k > 1; --k) std::swap(inbox[k - 1], inbox[random_.below(k)]);
    for (const letter& l : inbox) post(l);
    for (std::uint32_t i = 0; i < w_.n(); ++i) {
      if (!sent[i]) continue;
      const bool fine = w_.honest(i) || expected_fault(i) == errc::ok;
      if (fooled_[i]) {
        if (!server_.answered(i)) lost_[i] = true;
      } else if (fine) {
        w_.expect(server_.answered(i) || unsigned_[i], "a message got lost");
      } else {
        w_.expect(!server_.answered(i) && server_.report(i).fault == expected_fault(i), "a liar is not named");
      }
      if (!server_.answered(i) || (lies_[i] == lie::no_share && reached_[i])) lost_[i] = true;
    }
  }

  void post(const letter& l) {
    std::vector<bool> before(w_.n());
    for (std::uint32_t i = 0; i < w_.n(); ++i) before[i] = server_.answered(i);
    const errc rc = server_.try_receive(l.text);
    if (l.kind == letter::right) {
      if (!fooled_[l.from] && w_.honest(l.from)) w_.expect(rc == errc::ok, "a right message was refused");
      return;
    }
    for (std::uint32_t i = 0; i < w_.n(); ++i)
      if (before[i] != server_.answered(i))
        w_.complain("a wrong message was taken " + std::to_string(int(l.kind)) + " stage " +
                    std::to_string(int(server_.stage())) + " client " + std::to_string(i) + " lie " +
                    std::to_string(int(lies_[i])));
    // What is equal but for its signature came before.
    if (rc == errc::ok) w_.expect(answered_somewhere(before), "a wrong message was welcome");
  }
  static bool answered_somewhere(const std::vector<bool>& answered) {
    return std::find(answered.begin(), answered.end(), true) != answered.end();
  }

  static client_stage answer_of(server_stage s) {
    switch (s) {
    case server_stage::keys:
      return client_stage::sent_keys;
    case server_stage::shares:
      return client_stage::sent_shares;
    case server_stage::inputs:
      return client_stage::sent_input;
    case server_stage::consents:
      return client_stage::sent_consent;
    default:
      return client_stage::sent_openings;
    }
  }

  bytes broken(bytes text) {
    switch (random_.below(4)) {
    case 0:
      text.resize(random_.below(text.size()));
      break;
    case 1:
      text.insert(text.begin() + static_cast<std::ptrdiff_t>(random_.below(text.size() + 1)),
                  static_cast<std::uint8_t>(random_()));
      break;
    case 2:
      for (std::uint64_t k = 1 + random_.below(8); k > 0; --k)
        text[random_.below(text.size())] ^= static_cast<std::uint8_t>(1 + random_.below(255));
      break;
    default:
      text[random_.below(text.size())] ^= static_cast<std::uint8_t>(1u << random_.below(8));
    }
    return text;
  }

  // Lies.

  errc expected_fault(std::uint32_t i) const {
    const server_stage s = server_.stage();
    switch (lies_[i]) {
    case lie::same_key:
    case lie::low_order:
      return s == server_stage::keys ? errc::bad_key : errc::ok;
    case lie::wrong_count:
      return s == server_stage::shares ? errc::message_format : errc::ok;
    case lie::stray_bits:
      return s == server_stage::inputs && reached_[i] ? errc::message_format : errc::ok;
    case lie::other_consent:
      return s == server_stage::consents ? errc::wrong_context : errc::ok;
    case lie::wrong_share:
    case lie::wrong_kind:
      return s == server_stage::openings && reached_[i] ? errc::bad_share : errc::ok;
    default:
      return errc::ok;
    }
  }

  bytes resigned(std::uint32_t i, bytes text) {
    text.resize(text.size() - fedagg::message_signature_bytes);
    w_.sign(i, text);
    return text;
  }
  /// What a client sends instead.
  bytes lied(std::uint32_t i, bytes text) {
    constexpr std::size_t at = fedagg::message_header_bytes;
    std::uint8_t* const payload = text.data() + at;
    const server_stage s = server_.stage();
    const auto is = [&](lie l, server_stage when) { return lies_[i] == l && s == when; };
    if (is(lie::same_key, server_stage::keys))
      std::memcpy(payload + 32, payload, 32);
    else if (is(lie::low_order, server_stage::keys))
      std::memset(payload + 32 * random_.below(2), 0, 32);
    else if (is(lie::no_signature, server_stage::keys)) {
      unsigned_[i] = true;
      text.back() ^= 1;
      return text;
    } else if (is(lie::stolen_keys, server_stage::keys)) {
      const auto other = w_.parties[(i + 1) % w_.n()].machine.output();
      if (other.size() != text.size()) return text;
      std::memcpy(payload, other.data() + at, 64);
      gone_[i] = true;
    } else if (is(lie::wrong_count, server_stage::shares))
      ++payload[32 + (w_.setup.complete() ? 32 : 0)];
    else if (s == server_stage::shares)
      return dealt(i, std::move(text));
    else if (is(lie::shifted_vector, server_stage::inputs))
      return shifted(i, std::move(text));
    else if (is(lie::stray_bits, server_stage::inputs)) {
      const auto& layout = w_.setup.layout;
      for (std::size_t k = 0; k < layout.size(); ++k) {
        const auto segment = layout.segment(k);
        if (segment.bits * segment.count % 8 == 0) continue;
        payload[layout.packed_offset(k) + segment.bits * segment.count / 8] |= 0x80;
        reached_[i] = true;
      }
    } else if (is(lie::other_consent, server_stage::consents))
      payload[random_.below(32)] ^= 4;
    else if (s == server_stage::openings && lies_[i] >= lie::wrong_share) {
      const std::size_t first = 32 + (w_.setup.complete() ? 36 : 0) + 4;
      for (std::size_t k = first; k + 37 + 64 <= text.size() - at; k += 37) {
        if (payload[k] == 0) continue;
        reached_[i] = true;
        if (lies_[i] == lie::wrong_share) payload[k + 1 + random_.below(36)] ^= 1;
        if (lies_[i] == lie::wrong_kind) payload[k] = static_cast<std::uint8_t>(3 - payload[k]);
        if (lies_[i] == lie::no_share)
          std::memset(payload + k, 0, 37);
        else
          break;
      }
    } else
      return text;
    return resigned(i, std::move(text));
  }

  /// Another vector: what it is off by is in the sum.
  bytes shifted(std::uint32_t i, bytes text) {
    const std::size_t size = w_.setup.layout.packed_bytes();
    const auto vector = [&](fedagg::ring_vector& out) {
      (void)out.try_reset(w_.setup.layout);
      (void)fedagg::try_unpack(fedagg::bytes_view(text).subspan(fedagg::message_header_bytes, size), out);
    };
    fedagg::ring_vector before, after;
    vector(before);
    text[fedagg::message_header_bytes] ^= static_cast<std::uint8_t>(1 + random_.below(255));
    vector(after);
    // delta += after - before
    for (std::size_t k = 0; k < before.size(); ++k)
      before.visit(k, [](auto words) {
        for (auto& word : words) word = static_cast<std::remove_reference_t<decltype(word)>>(0 - word);
      });
    (void)fedagg::try_add(after, before);
    shifts_.emplace_back(i, std::move(after));
    return resigned(i, std::move(text));
  }

  /// The shares that a client dealt, dealt wrongly.
  bytes dealt(std::uint32_t i, bytes text) {
    if (lies_[i] < lie::sealed_rubbish || lies_[i] > lie::wrong_seed_hash) return text;
    reached_[i] = true;
    gone_[i] = random_.below(2);
    const suite make = w_.quiet();
    suite random = make;
    const auto state = w_.state_of(i);
    const fedagg::key_schedule<suite> keys(make, state.context);
    const std::size_t around = fedagg::message_header_bytes + 32 + (w_.setup.complete() ? 32 : 0) + 4;
    fedagg::digest seed_hash;
    if (lies_[i] == lie::wrong_seed_hash) text[fedagg::message_header_bytes] ^= 1;
    std::memcpy(seed_hash.data(), text.data() + fedagg::message_header_bytes, 32);
    // Shares of nothing, or of two other secrets.
    bytes others;
    std::size_t place = 0;
    if (random_.below(2)) {
      std::vector<std::uint32_t> points;
      for (const auto& n : state.neighbours) points.push_back(fedagg::shamir_x(n.client));
      for (int kind = 0; kind < 2; ++kind) {
        fedagg::secret_key secret;
        (void)random.random(secret.bytes());
        bytes out(36 * points.size());
        if (fedagg::shamir_share(
                secret, std::min<std::uint32_t>(w_.setup.threshold(), static_cast<std::uint32_t>(points.size())),
                points, [&](fedagg::bytes_span to) { return random.random(to); }, out) == errc::ok)
          others.insert(others.end(), out.begin(), out.end());
      }
    }
    bytes sealed;
    for (const auto& n : state.neighbours) {
      fedagg::wire_reader r(fedagg::bytes_view(text).subspan(around + sealed.size()));
      fedagg::sealed_shares s;
      s.read(r);
      fedagg::secret_bytes<fedagg::sealed_shares::plain_bytes> plain;
      fedagg::secret_key to, from;
      (void)keys.share_keys(state.share_key, n.share_key, i, n.client, to, from);
      fedagg::digest old;
      std::memcpy(old.data(), w_.parties[i].machine.output().data() + fedagg::message_header_bytes, 32);
      const auto binding = keys.share_binding(i, n.client, old, s.self_hash, s.mask_hash);
      w_.expect(make.open(to, s.nonce, s.sealed, binding, plain.bytes()), "own shares that do not open");
      if (lies_[i] == lie::wrong_polynomial && others.empty()) {
        (void)random.random(plain.bytes());
        for (std::size_t k = 0; k < plain.size(); k += 4) plain.data()[k] &= 0x7f;
      } else if (lies_[i] == lie::wrong_polynomial) {
        std::memcpy(plain.data(), others.data() + 36 * place, 36);
        std::memcpy(plain.data() + 36, others.data() + 36 * (state.neighbours.size() + place), 36);
        ++place;
      }
      using fedagg::share_of;
      s.self_hash = keys.share_hash(share_of::self_mask, i, n.client, plain.bytes().template first<36>());
      s.mask_hash = keys.share_hash(share_of::mask_key, i, n.client, plain.bytes().template subspan<36>());
      // Some do not open, some are not what the server has the hash of.
      const bool rubbish = lies_[i] == lie::sealed_rubbish && random_.below(3) > 0, hash = random_.below(2);
      if (rubbish && hash) s.mask_hash[random_.below(32)] ^= 1;
      make.seal(to, s.nonce, plain.bytes(), keys.share_binding(i, n.client, seed_hash, s.self_hash, s.mask_hash),
                s.sealed);
      if (rubbish && !hash) s.sealed[random_.below(s.sealed.size())] ^= 1;
      fedagg::wire_writer(sealed).bytes(s.self_hash).bytes(s.mask_hash).bytes(s.nonce).bytes(s.sealed);
    }
    text.resize(around);
    text.insert(text.end(), sealed.begin(), sealed.end());
    w_.sign(i, text);
    return text;
  }

  // To the clients.

  /// Some message of an earlier stage; if possible one that was for this client.
  std::size_t an_old_one_for(std::uint32_t i) {
    std::size_t at = 0;
    for (int tries = 0; tries < 50; ++tries) {
      at = random_.below(old_);
      fedagg::message_header h;
      if (read_header(w_.past[at], h) == errc::ok && h.client == i && h.kind == next_for(w_.parties[i].machine.stage()))
        break;
    }
    return at;
  }
  static fedagg::secure_message next_for(client_stage s) {
    using fedagg::secure_message;
    return s == client_stage::sent_keys     ? secure_message::directory
           : s == client_stage::sent_shares ? secure_message::deliveries
           : s == client_stage::sent_input  ? secure_message::survivors
                                            : secure_message::consents;
  }

  void hand_out() {
    old_ = w_.past.size();
    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < w_.n(); ++i)
      if (server_.expects(i)) order.push_back(i);
    for (std::size_t k = order.size(); k > 1; --k) std::swap(order[k - 1], order[random_.below(k)]);
    for (const std::uint32_t i : order) {
      auto& p = w_.parties[i];
      bytes message;
      w_.expect(server_.try_message(i, message) == errc::ok, "a server with nothing to say");
      fedagg::message_header h;
      w_.expect(read_header(message, h) == errc::ok && h.client == i, "a message for another");
      context_ = h.binding;
      while (old_ > 0 && random_.below(1000) < replay_) (void)w_.give(i, w_.past[an_old_one_for(i)]);
      if (gone_[i]) continue;
      if (happens(corrupt, corrupt_, rarer_) && w_.give(i, broken(message)) == errc::ok) {
        fooled_[i] = lost_[i] = true;
        fooled_survivors_ = fooled_survivors_ || p.machine.stage() >= client_stage::sent_consent;
      }
      if (happens(drop, drop_, rarer_)) {
        lost_[i] = true;
        gone_[i] = random_.below(2);
        continue;
      }
      const client_stage before = p.machine.stage();
      if (happens(full, full_)) {
        p.saved.full = true;
        const errc rc = w_.give(i, message);
        const bool saved = !p.saved.full;
        p.saved.full = false;
        if (saved) {
          w_.expect(rc == errc::state_not_saved && p.machine.stage() == before,
                    "a state that was not kept is gone on from");
          if (before == client_stage::sent_shares) w_.put_in(i);
        }
      }
      const errc rc = w_.give(i, message);
      if (rc != errc::ok) {
        w_.expect(lost_[i] || !w_.honest(i) || !must_end(), "an honest client refused a right message");
        lost_[i] = true;
      }
      if (happens(twice, twice_)) w_.expect(w_.give(i, message) == rc || rc != errc::ok, "sent twice, answered once");
      if (happens(crash, crash_)) w_.restart(i);
    }
  }

  void finish() {
    const auto& survivors = server_.survivors();
    if (survivors.roster() > 0 && server_.stage() > server_stage::inputs) w_.tracker.announce(context_, survivors);
    bool complaints = false;
    for (std::uint32_t i = 0; i < w_.n(); ++i) complaints = complaints || fooled_[i] || lies_[i] == lie::no_share;
    for (std::uint32_t i = 0; i < w_.n(); ++i) {
      const auto& report = server_.report(i);
      if (w_.honest(i) && !fooled_[i]) {
        w_.expect(report.fault == errc::ok, "an honest client is blamed");
        w_.expect(complaints || report.complaints == 0, "an honest dealer is complained about");
      }
    }
    if (server_.stage() != server_stage::done) return;
    ++count_.sums;
    fedagg::ring_vector sum, right;
    w_.expect(server_.try_take_sum(sum) == errc::ok, "no sum");
    (void)right.try_reset(w_.setup.layout);
    for (std::uint32_t i = 0; i < w_.n(); ++i)
      if (survivors.contains(i)) (void)fedagg::try_add(right, w_.parties[i].input);
    for (const auto& [i, shift] : shifts_)
      if (survivors.contains(i)) (void)fedagg::try_add(right, shift);
    w_.expect(packed(sum) == packed(right), "a wrong sum");
    w_.expect(survivors.size() >= w_.setup.least(), "a sum of too few");
    if (w_.setup.complete() && w_.setup.threshold() > 1)
      for (std::uint32_t i = 0; i < w_.n(); ++i)
        if (survivors.contains(i) && (lies_[i] == lie::wrong_polynomial || lies_[i] == lie::wrong_seed_hash))
          w_.complain("a dealer's lie went unseen");
  }
  world& w_;
  fedagg::random_stream random_;
  tally& count_;
  typename world::server server_;
  std::uint64_t drop_, late_, twice_, corrupt_, replay_, crash_, full_; ///< per mille
  std::uint64_t rarer_ = 1;
  std::vector<lie> lies_;
  std::vector<bool> lost_, fooled_, gone_, reached_;
  std::vector<bool> unsigned_ = std::vector<bool>(w_.n());
  bool fooled_survivors_ = false;
  std::size_t old_ = 0; ///< messages of stages before this one
  std::vector<letter> delayed_;
  fedagg::digest context_ = {};
  fedagg::ring_vector delta_;
  std::vector<std::pair<std::uint32_t, fedagg::ring_vector>> shifts_;
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_SECURE_SIMULATION_HPP
