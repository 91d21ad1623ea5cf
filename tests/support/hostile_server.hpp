// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_HOSTILE_SERVER_HPP
#define FEDAGG_TESTS_SUPPORT_HOSTILE_SERVER_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/secure_parties.hpp"

namespace fedagg_test {

/// What a server tells one client: who sent keys, who dealt shares, whose vectors it has.
struct view {
  fedagg::client_set listed, dealers, survivors;
  fedagg::digest graph = {};
};

/// A round with a server that does as it likes, and with all that colluding clients can give it: they sign anything,
/// deal in every context, and hand over their secrets. Which clients are told what is a strategy; everything that
/// follows is done for as long as clients answer.
template <class Base>
class hostile_round {
  using world = secure_parties<Base>;
  using suite = typename world::suite;
  using errc = fedagg::errc;
  using set = fedagg::client_set;
  using client_stage = fedagg::client_stage;

public:
  explicit hostile_round(world& w) : w_(w), random_(w.random(), "hostile"), views_(w.n()), second_(w.n()) {
    honest_graph = some_digest();
  }

  std::uint64_t openings = 0;
  fedagg::digest honest_graph = {};
  fedagg::client_set missing; ///< whom the strategy `claims` leaves out of the sum
  std::uint32_t victim = ~0u; ///< whom a strategy is about; any honest client if it is none
  /// Clients that are restored from an older state, after what they said first.
  std::vector<std::uint32_t> rolled_back;
  /// Consents of rounds before, by what was signed: a server keeps them.
  using signatures = std::map<std::pair<fedagg::digest, fedagg::digest>, std::map<std::uint32_t, fedagg::signature>>;

  void run(int strategy, signatures* consents = nullptr) {
    signatures own;
    consents_ = consents ? consents : &own;
    w_.begin();
    for (std::uint32_t i = 0; i < w_.n(); ++i) {
      entries_.push_back(entry_of(i, w_.parties[i].machine.output()));
      if (!w_.honest(i)) collusion_[i] = w_.state_of(i);
    }
    plan(strategy);
    directories();
    deliveries();
    if (w_.setup.consistent()) {
      for (std::uint32_t i = 0; i < w_.n(); ++i)
        if (w_.honest(i)) survivors(i, views_[i].survivors);
      open();
      for (const std::uint32_t i : rolled_back) {
        // It forgets what it said, and says something else.
        const auto stage = w_.parties[i].machine.stage();
        if (stage < client_stage::sent_consent) continue;
        w_.restart(i, stage == client_stage::sent_openings ? 2 : 1);
        survivors(i, second_[i].survivors);
      }
      if (!rolled_back.empty()) open();
    }
  }

  static constexpr int strategies = 10, split_survivors = 0, filled_up = 5, left_out = 7, thirds = 8, impostors = 9,
                       plain = 10, claims = 11;

private:
  // Plans.

  set all() const {
    set s(w_.n());
    for (std::uint32_t i = 0; i < w_.n(); ++i) s.insert(i);
    return s;
  }
  set colluders() const {
    set s(w_.n());
    for (std::uint32_t i = 0; i < w_.n(); ++i)
      if (!w_.honest(i)) s.insert(i);
    return s;
  }
  std::vector<std::uint32_t> honest_in_random_order() {
    std::vector<std::uint32_t> h;
    for (std::uint32_t i = 0; i < w_.n(); ++i)
      if (w_.honest(i)) h.push_back(i);
    for (std::size_t k = h.size(); k > 1; --k) std::swap(h[k - 1], h[random_.below(k)]);
    return h;
  }
  set random_subset(const set& of, std::uint64_t per_mille) {
    set s(w_.n());
    for (std::uint32_t i = 0; i < w_.n(); ++i)
      if (of.contains(i) && random_.below(1000) < per_mille) s.insert(i);
    return s;
  }
  static set joined(const set& a, const set& b) {
    set s = a;
    for (std::uint32_t i = 0; i < a.roster(); ++i)
      if (b.contains(i)) s.insert(i);
    return s;
  }
  static set without(const set& a, const set& b) {
    set s = a;
    for (std::uint32_t i = 0; i < a.roster(); ++i)
      if (b.contains(i)) s.erase(i);
    return s;
  }
  set padded(set s, const set& from, std::uint32_t size) {
    for (std::uint32_t i = 0; i < w_.n() && s.size() < size; ++i)
      if (from.contains(i)) s.insert(i);
    return s;
  }
  fedagg::digest some_digest() {
    fedagg::digest d;
    for (auto& b : d) b = static_cast<std::uint8_t>(random_());
    return d;
  }

  void plan(int strategy) {
    const std::uint32_t n = w_.n(), least = w_.setup.least();
    const bool chooses = w_.setup.parameters.model == fedagg::threat_model::malicious;
    for (view& v : views_) v = {all(), all(), all(), honest_graph};
    second_ = views_;
    const auto h = honest_in_random_order();
    if (h.size() < 2) return;
    if (victim >= n) victim = h[0];
    set alone(n);
    alone.insert(victim);
    switch (strategy) {
    case 0: { // Half of the clients are told that the victim is gone, the others that it is not.
      const std::size_t half = random_.below(3) ? h.size() / 2 : random_.below(h.size());
      for (std::size_t k = 0; k < h.size(); ++k)
        if (k > half && h[k] != victim) views_[h[k]].survivors = without(all(), alone);
      for (std::uint32_t i = 0; i < n; ++i)
        second_[i].survivors = views_[i].survivors.contains(victim) ? without(all(), alone) : all();
      break;
    }
    case 1: { // The victim masks with colluders and with those alone that the others are told are gone.
      const std::uint32_t t = w_.setup.threshold();
      std::uint32_t gone = 0;
      set r(n);
      if (w_.setup.complete()) {
        gone = n > t ? static_cast<std::uint32_t>(random_.below(n - t + 1)) : 0;
        for (std::size_t k = 0; k < h.size() && gone > 0; ++k)
          if (h[k] != victim) r.insert(h[k]), --gone;
        views_[victim].dealers = joined(joined(alone, colluders()), r);
      } else {
        // Its neighbours besides.
        const fedagg::mask_graph graph(n, w_.setup.degree(), honest_graph);
        set near(n);
        for (const std::uint32_t j : graph.neighbours(victim)) near.insert(j);
        gone = static_cast<std::uint32_t>(random_.below(w_.setup.degree() - t + 1));
        for (std::size_t k = 0; k < h.size() && gone > 0; ++k)
          if (near.contains(h[k])) r.insert(h[k]), --gone;
        views_[victim].dealers = joined(without(all(), near), joined(r, colluders()));
      }
      if (random_.below(2)) views_[victim].dealers = padded(views_[victim].dealers, all(), least);
      for (view& v : views_) v.survivors = without(all(), r);
      break;
    }
    case 2:   // Two groups of dealers.
    case 3: { // Two directories.
      set a = colluders(), b = colluders();
      for (std::size_t k = 0; k < h.size(); ++k) (k % 2 ? a : b).insert(h[k]);
      const bool padding = random_.below(2);
      for (std::uint32_t i = 0; i < n; ++i) {
        const set own = padding ? padded(a.contains(i) ? a : b, all(), least) : a.contains(i) ? a : b;
        views_[i].dealers = views_[i].survivors = own;
        if (strategy == 3 && chooses) views_[i].listed = own;
        if (random_.below(2)) views_[i].survivors = padded(own, all(), least); // with those that are in no sum
      }
      break;
    }
    case 4: { // A sum of as few as can be.
      set few = colluders();
      few.insert(h[0]);
      few.insert(h[1]);
      if (random_.below(2)) few = padded(few, all(), least - static_cast<std::uint32_t>(random_.below(2)));
      for (view& v : views_) v.survivors = few;
      if (random_.below(2))
        for (view& v : views_) v.dealers = few;
      break;
    }
    case filled_up: { // Those who are in no directory, or dealt nothing, make a set look large enough.
      set real(n), few(n);
      std::vector<std::uint32_t> order(h);
      for (std::uint32_t i = 0; i < n; ++i)
        if (!w_.honest(i)) order.insert(order.begin(), i);
      for (const std::uint32_t i : order) {
        if (real.size() < least) real.insert(i);
        if (few.size() < w_.setup.quorum()) few.insert(i);
      }
      const bool all_listed = random_.below(2);
      for (view& v : views_) {
        if (!all_listed) v.listed = real;
        v.dealers = all_listed ? real : joined(few, without(all(), real));
        v.survivors = joined(few, without(all(), real));
      }
      break;
    }
    case 6: { // Sets at random, from a few.
      view some[3];
      for (view& v : some) {
        v = views_[0];
        if (chooses && random_.below(3) == 0)
          v.listed = random_subset(all(), 600 + random_.below(400)), v.graph = some_digest();
        v.dealers = random_subset(v.listed, 600 + random_.below(400));
        v.survivors = random_subset(v.dealers, 600 + random_.below(400));
      }
      for (view& v : views_) v = some[random_.below(3)];
      for (std::uint32_t i = 0; i < n; ++i) second_[i] = some[random_.below(3)];
      break;
    }
    case thirds: { // Each third hears that another one is gone, and all are there in most views.
      std::uint32_t three[3], i = victim;
      for (auto& m : three) {
        while (!w_.honest(i)) i = (i + 1) % n;
        m = i;
        i = (i + 1) % n;
      }
      for (std::uint32_t k = 0; k < n; ++k) {
        const std::uint32_t at = k % 3;
        views_[k].survivors.erase(three[three[at] == k ? (at + 1) % 3 : at]);
      }
      break;
    }
    case impostors: // The victim is told keys of the server's in everyone's name.
      impostor_ = chooses;
      break;
    case plain:
      return;
    case claims:
      for (view& v : views_) v.survivors = without(all(), missing);
      return;
    default: { // One is left out of the sum.
      for (view& v : views_) v.survivors = without(all(), alone);
      views_[victim].survivors = all();
      break;
    }
    }
    // Most clients give up at once where they are not in a set.
    for (std::uint32_t i = 0; i < n; ++i)
      if (random_.below(4)) views_[i].listed.insert(i), views_[i].dealers.insert(i);
  }

  // Stages.

  fedagg::directory_entry entry_of(std::uint32_t i, fedagg::bytes_view keys) const {
    fedagg::directory_entry e;
    e.client = i;
    fedagg::wire_reader r(fedagg::payload(keys));
    e.share_key = r.array<32>();
    e.mask_key = r.array<32>();
    e.signed_by = r.array<64>();
    return e;
  }
  bytes message(fedagg::secure_message kind, std::uint32_t i, const fedagg::digest& binding) const {
    bytes out;
    fedagg::begin_message({kind, i, binding}, out);
    return out;
  }

  /// Signed by the client, long ago.
  fedagg::directory_entry impostor(std::uint32_t j) {
    if (!own_) own_ = suite(random_(), w_.n(), &w_.log);
    fedagg::directory_entry e = entries_[j];
    for (auto* key : {&e.share_key, &e.mask_key}) {
      fedagg::secret_key secret;
      (void)own_->random(secret.bytes());
      own_->agreement_public(secret, *key);
      w_.tracker.give(as_key(secret));
    }
    return e;
  }

  void directories() {
    context_.resize(w_.n());
    for (std::uint32_t i = 0; i < w_.n(); ++i) {
      const view& v = views_[i];
      bytes list;
      fedagg::wire_writer w(list);
      w.bytes(v.graph).u32(v.listed.size());
      for (std::uint32_t j = 0; j < w_.n(); ++j)
        if (v.listed.contains(j)) (impostor_ && i == victim && j != i ? impostor(j) : entries_[j]).write(w);
      context_[i] = fedagg::context_of<suite>(w_.setup_hash, list);
      bytes m = message(fedagg::secure_message::directory, i, context_[i]);
      m.insert(m.end(), list.begin(), list.end());
      if (w_.honest(i)) {
        stale(i);
        if (w_.give(i, m) == errc::ok) dealt(i, i, w_.parties[i].machine.output());
      }
      // Those who collude deal in every context.
      for (auto& [j, state] : collusion_) {
        if (!v.listed.contains(j) || dealt_.count({context_[i], j})) continue;
        fedagg::detail::client_state next = state;
        suite s = w_.quiet();
        fedagg::impl::client_steps<suite, recording_masks> steps(s, w_.setup, w_.setup_hash, w_.identities[j], j);
        bytes theirs = m;
        const fedagg::message_header h{fedagg::secure_message::directory, j, context_[i]};
        if (steps.on_directory(h, theirs, next) == errc::ok) dealt(i, j, next.output);
      }
    }
  }
  /// What a client sent in the context of another.
  void dealt(std::uint32_t i, std::uint32_t dealer, fedagg::bytes_view text) {
    dealt_[{context_[i], dealer}] = {text.begin(), text.end()};
  }

  void deliveries() {
    for (std::uint32_t i = 0; i < w_.n(); ++i) {
      if (!w_.honest(i)) continue;
      stale(i);
      const view& v = views_[i];
      fedagg::mask_graph graph;
      (void)graph.try_reset(w_.n(), w_.setup.degree(), v.graph);
      bytes m = message(fedagg::secure_message::deliveries, i, context_[i]);
      fedagg::wire_writer w(m);
      w.bytes(v.dealers.bytes());
      for (std::uint32_t j = 0; j < w_.n(); ++j)
        if (j != i && graph.are_neighbours(i, j) && v.listed.contains(j) && v.dealers.contains(j))
          sealed_by(j, i, graph, v, w);
      (void)w_.give(i, m);
      (void)w_.give(i, m);
    }
  }
  void sealed_by(std::uint32_t dealer, std::uint32_t holder, const fedagg::mask_graph& graph, const view& v,
                 fedagg::wire_writer<bytes>& w) {
    const auto at = dealt_.find({context_[holder], dealer});
    // Nothing was dealt to a client that stands in no directory.
    if (at == dealt_.end() || !v.listed.contains(holder)) {
      w.bytes(some_digest());
      for (std::size_t k = 0; k < fedagg::sealed_shares::bytes; ++k) w.u8(static_cast<std::uint8_t>(random_()));
      return;
    }
    std::size_t place = 0;
    for (std::uint32_t j = 0; j < holder; ++j) place += v.listed.contains(j) && graph.are_neighbours(dealer, j);
    const fedagg::bytes_view text = fedagg::payload(at->second);
    w.bytes(text.first(32));
    w.bytes(text.subspan(32 + (w_.setup.complete() ? 32 : 0) + 4 + place * fedagg::sealed_shares::bytes,
                         fedagg::sealed_shares::bytes));
  }

  fedagg::digest consent_hash(std::uint32_t i, const set& survivors) const {
    return fedagg::key_schedule<suite>(suite_, context_[i]).survivors(views_[i].dealers.bytes(), survivors.bytes());
  }

  void survivors(std::uint32_t i, const set& told) {
    auto& p = w_.parties[i];
    stale(i);
    bytes m = message(fedagg::secure_message::survivors, i, context_[i]);
    fedagg::wire_writer(m).bytes(told.bytes());
    if (w_.give(i, m) != errc::ok) return;
    // Another set is too late.
    bytes other = message(fedagg::secure_message::survivors, i, context_[i]);
    fedagg::wire_writer(other).bytes(without(told, random_subset(told, 300)).bytes());
    if (other != m) w_.expect(w_.give(i, other) != errc::ok, "a client took a second set");
    if (p.machine.stage() != client_stage::sent_consent) return;
    const fedagg::bytes_view text = fedagg::payload(p.machine.output());
    fedagg::wire_reader r(text);
    const fedagg::digest hash = r.array<32>();
    (*consents_)[{context_[i], hash}][i] = r.array<64>();
    if (hash == consent_hash(i, told)) sums_.emplace(std::pair(context_[i], hash), std::pair(i, told));
  }

  using signed_by = std::pair<std::uint32_t, fedagg::signature>;
  bytes consents_message(std::uint32_t i, const fedagg::digest& context, const std::vector<signed_by>& list) const {
    bytes m = message(fedagg::secure_message::consents, i, context);
    fedagg::wire_writer w(m);
    w.u32(static_cast<std::uint32_t>(list.size()));
    for (const auto& [j, s] : list) w.u32(j).bytes(s);
    return m;
  }

  void open() {
    // Every set that a client signed is offered to every client; those who collude sign them all.
    for (const auto& [key, where] : sums_) {
      const auto& [context, hash] = key;
      auto& given = (*consents_)[key];
      for (const auto& [j, state] : collusion_) {
        bytes m = message(fedagg::secure_message::consent, j, context);
        fedagg::wire_writer(m).bytes(hash);
        w_.sign(j, m);
        std::memcpy(given[j].data(), m.data() + m.size() - 64, 64);
      }
      for (std::uint32_t i = 0; i < w_.n(); ++i) {
        if (!w_.honest(i) || context_[i] != context || w_.parties[i].machine.stage() != client_stage::sent_consent)
          continue;
        // Signatures made up, then the same one again and again, then those that there are.
        const set& summed = where.second;
        std::map<std::uint32_t, fedagg::signature> forged = given;
        for (std::uint32_t j = 0; j < w_.n(); ++j)
          if (summed.contains(j) && !given.count(j))
            for (auto& b : forged[j]) b = static_cast<std::uint8_t>(random_());
        std::vector<signed_by> made, again, right;
        for (const auto& [j, s] : forged)
          if (summed.contains(j)) made.emplace_back(j, s);
        for (const auto& [j, s] : given)
          if (summed.contains(j)) {
            right.emplace_back(j, s);
            again.insert(again.end(), w_.n() / std::max(1u, std::min(w_.n(), static_cast<std::uint32_t>(given.size()))),
                         {j, s});
          }
        errc rc = errc::bad_signature;
        if (w_.n() > 64) made.clear(), again.clear();
        for (const auto* list : {&made, &again, &right})
          if (rc != errc::ok && !list->empty()) rc = w_.give(i, consents_message(i, context, *list));
        if (rc != errc::ok) continue;
        ++openings;
        w_.tracker.announce(context, where.second);
      }
    }
  }

  /// A message of an earlier time, or another's.
  void stale(std::uint32_t i) {
    for (std::uint64_t k = random_.below(3); k > 0 && !w_.past.empty(); --k) {
      bytes m = w_.past[random_.below(w_.past.size())];
      if (random_.below(2) && m.size() >= 40) {
        std::memcpy(m.data() + 4, &i, 4);
        if (random_.below(2) && i < context_.size()) std::memcpy(m.data() + 8, context_[i].data(), 32);
      }
      (void)w_.give(i, m);
    }
  }

  world& w_;
  fedagg::random_stream random_;
  suite suite_;
  std::optional<suite> own_; ///< of keys that the server makes
  bool impostor_ = false;
  std::vector<view> views_, second_;
  std::vector<fedagg::directory_entry> entries_;
  std::map<std::uint32_t, fedagg::detail::client_state> collusion_;
  std::vector<fedagg::digest> context_;
  std::map<std::pair<fedagg::digest, std::uint32_t>, bytes> dealt_;
  signatures* consents_ = nullptr;
  std::map<std::pair<fedagg::digest, fedagg::digest>, std::pair<std::uint32_t, set>> sums_;
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_HOSTILE_SERVER_HPP
