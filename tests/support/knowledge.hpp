// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_KNOWLEDGE_HPP
#define FEDAGG_TESTS_SUPPORT_KNOWLEDGE_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fedagg/secure/protocol/key_schedule.hpp>
#include <fedagg/secure/secure_setup.hpp>

#include "support/recording_suite.hpp"

namespace fedagg_test {

/// Everything that a server and some clients can work out together, over all rounds of a world: of all messages that
/// honest clients let go, whether they arrived or not, and all random numbers that the others drew. Shares are put
/// together and secrets agreed on by computing it; what follows from a key is what was recorded. Then the honest
/// clients' masked vectors are linear equations in their inputs and in the masks whose keys are unknown: what can be
/// combined without those masks is what leaks.
template <class Suite>
class knowledge {
public:
  knowledge(std::vector<bool> colluding, recorder& log) : colluding_(std::move(colluding)), log_(log) {}

  void begin(const fedagg::secure_setup& setup) {
    setup_ = setup;
    ++round_;
  }

  /// A secret that the server made itself.
  void give(const key32& secret) { given_.push_back(secret); }
  /// A directory that the server sent someone.
  void told(fedagg::bytes_view message) {
    fedagg::message_header h;
    if (read_header(message, h) != fedagg::errc::ok || h.kind != fedagg::secure_message::directory) return;
    if (contexts_.count(name_of(h.binding))) return;
    // What was damaged on its way says nothing.
    if (fedagg::context_of<Suite>(setup_.template hash<Suite>(), fedagg::payload(message)) != h.binding) return;
    context c;
    c.binding = h.binding;
    c.round = round_;
    c.complete = setup_.complete();
    fedagg::wire_reader r(fedagg::payload(message));
    const fedagg::digest seed = r.array<32>();
    if (c.graph.try_reset(setup_.clients(), setup_.degree(), seed) != fedagg::errc::ok) return;
    for (std::uint32_t count = r.u32(); count > 0 && r.ok(); --count) {
      fedagg::directory_entry e;
      e.read(r);
      c.entries[e.client] = e;
    }
    contexts_.emplace(name_of(h.binding), static_cast<int>(all_.size()));
    all_.push_back(std::move(c));
  }

  /// A message that an honest client let go; for a masked vector the input that is in it.
  void heard(std::uint32_t client, fedagg::bytes_view message, const std::vector<std::uint8_t>& input) {
    if (colluding_[client] || !seen_.emplace(reinterpret_cast<const char*>(message.data()), message.size()).second)
      return;
    fedagg::message_header h;
    if (read_header(message, h) != fedagg::errc::ok) return problem("an honest client's message without a header");
    if (h.kind == fedagg::secure_message::keys) return keys(client, message);
    const auto at = contexts_.find(name_of(h.binding));
    if (at == contexts_.end()) return problem("a message in a context that nobody was told");
    const int c = at->second;
    if (h.kind == fedagg::secure_message::shares) shares(client, c, fedagg::signed_payload(message));
    if (h.kind == fedagg::secure_message::masked) masked(client, c, input);
    if (h.kind == fedagg::secure_message::openings) openings(client, c, fedagg::signed_payload(message));
  }

  /// The set whose sum is to be known in a context.
  void announce(const fedagg::digest& binding, const fedagg::client_set& survivors) {
    const auto at = contexts_.find(name_of(binding));
    if (at == contexts_.end()) return problem("a sum in a context that nobody was told");
    context& c = all_[static_cast<std::size_t>(at->second)];
    if (c.announced && !(c.sum == survivors)) return problem("two sets were opened");
    for (const context& other : all_)
      if (&other != &c && other.round == c.round && other.announced) problem("sums were opened in two contexts");
    c.announced = true;
    c.sum = survivors;
  }

  /// What is wrong, in words; empty if nothing is.
  const std::vector<std::string>& problems() {
    close();
    for (const deal& d : deals_)
      if (known_.count(d.mask_secret) && known_.count(d.seed)) problem("both secrets of a client are known");
    leaks();
    return problems_;
  }
  std::string text() {
    std::string out;
    for (const auto& p : problems()) out += (out.empty() ? "" : "; ") + p;
    return out;
  }
  /// Whether a secret of this client came out: what the openings are for.
  bool knows_seed(std::uint32_t client) const {
    for (const deal& d : deals_)
      if (d.dealer == client && known_.count(d.seed)) return true;
    return false;
  }

private:
  using name = std::pair<fedagg::digest, int>;
  struct context {
    fedagg::digest binding = {};
    int round = 0;
    bool complete = false, announced = false;
    fedagg::mask_graph graph;
    std::map<std::uint32_t, fedagg::directory_entry> entries;
    fedagg::client_set sum;
  };
  using share = std::array<std::uint8_t, fedagg::shamir_share_bytes>;
  /// The two secrets that a client dealt at one time, and the shares that came out: of the seed, of the mask key.
  struct deal {
    std::uint32_t dealer;
    int context;
    fedagg::digest seed_hash = {}, own_hash = {};
    fedagg::public_key mask_public = {};
    key32 seed = {}, mask_secret = {};
    std::map<std::uint32_t, share> shares[2];
    bool changed[2] = {}, done[2] = {};
  };
  struct held {
    std::size_t deal;
    std::uint32_t holder;
    int kind;
  };
  struct row {
    std::uint32_t client;
    int context;
    std::size_t input;
    std::vector<std::pair<key32, bool>> keys;
  };
  using equation = std::map<std::size_t, std::uint64_t>; // coefficients of inputs, modulo a prime

  name name_of(const fedagg::digest& binding) const { return {binding, planted.no_context ? round_ : 0}; }
  void problem(const std::string& p) {
    if (std::find(problems_.begin(), problems_.end(), p) == problems_.end()) problems_.push_back(p);
  }

  void keys(std::uint32_t client, fedagg::bytes_view message) {
    fedagg::wire_reader r(fedagg::payload(message));
    for (int k = 0; k < 2; ++k) {
      const auto key = r.array<32>();
      const auto [at, fresh] = publics_.emplace(key, std::pair(client, round_));
      if (!fresh && at->second.second != round_) problem("a key serves two rounds");
    }
  }

  void shares(std::uint32_t client, int c, fedagg::bytes_view in) {
    const context& where = all_[static_cast<std::size_t>(c)];
    deal d;
    d.dealer = client;
    d.context = c;
    d.mask_public = where.entries.at(client).mask_key;
    d.mask_secret = log_.secret_of.at(d.mask_public);
    fedagg::wire_reader r(in);
    d.seed_hash = r.array<32>();
    if (where.complete) d.own_hash = r.array<32>();
    const fedagg::key_schedule<Suite> schedule(suite_, where.binding);
    for (auto draw = log_.draws[client].rbegin(); draw != log_.draws[client].rend(); ++draw)
      if (schedule.seed_hash(as_secret(*draw), client) == d.seed_hash) {
        d.seed = *draw;
        break;
      }
    const auto [used, fresh] = seeds_.emplace(d.seed, where.round);
    if (!fresh && used->second != where.round) problem("a seed serves two rounds");
    const std::size_t index = deals_.size();
    std::uint32_t count = r.u32();
    for (const auto& [holder, entry] : where.entries) {
      if (!where.graph.are_neighbours(client, holder)) continue;
      fedagg::sealed_shares s;
      s.read(r);
      --count;
      const auto box = log_.boxes.find(Suite::tag_of(s.sealed));
      if (box == log_.boxes.end()) return problem("sealed shares that nobody sealed");
      boxes_[box->second.key].emplace_back(held{index, holder, 0}, box->second.plain);
      for (int kind = 0; kind < 2; ++kind) {
        share plain;
        std::memcpy(plain.data(), box->second.plain.data() + 36 * kind, plain.size());
        by_share_[text_of(plain)].push_back({index, holder, kind});
      }
    }
    if (count != 0 || !r.done()) problem("a dealer's message that the tracker cannot read");
    deals_.push_back(std::move(d));
  }

  void masked(std::uint32_t client, int c, const std::vector<std::uint8_t>& input) {
    row r{client, c, 0, log_.masks};
    r.input = inputs_.emplace(std::pair(std::pair(client, round_), input), inputs_.size()).first->second;
    for (const auto& [key, subtract] : r.keys) {
      const auto [at, fresh] = mask_rounds_.emplace(key, round_);
      if (!fresh && at->second != round_) problem("a mask serves two rounds");
    }
    rows_.push_back(std::move(r));
  }

  void openings(std::uint32_t client, int c, fedagg::bytes_view in) {
    const context& where = all_[static_cast<std::size_t>(c)];
    fedagg::wire_reader r(in);
    (void)r.array<32>();
    if (where.complete) {
      const auto own = r.array<36>();
      const fedagg::key_schedule<Suite> schedule(suite_, where.binding);
      for (deal& d : deals_)
        if (d.dealer == client && d.context == c &&
            schedule.share_hash(fedagg::share_of::self_mask, client, client, own) == d.own_hash)
          take(d, 0, client, own);
    }
    for (std::uint32_t count = r.u32(); count > 0 && r.ok(); --count) {
      fedagg::opened_share opened;
      opened.read(r);
      if (opened.kind == fedagg::share_of::none) continue;
      for (const held& h : by_share_[text_of(opened.share)]) take(deals_[h.deal], h.kind, h.holder, opened.share);
    }
  }

  static std::string text_of(const share& s) { return {reinterpret_cast<const char*>(s.data()), s.size()}; }
  static void take(deal& d, int kind, std::uint32_t holder, const share& s) {
    if (d.shares[kind].emplace(holder, s).second) d.changed[kind] = true;
  }

  // What follows from what.

  void learn(const key32& k) {
    if (known_.insert(k).second) fresh_.push_back(k);
  }
  void close() {
    for (std::size_t i = 0; i < colluding_.size(); ++i)
      if (colluding_[i] && i < log_.draws.size())
        for (const key32& k : log_.draws[i]) learn(k);
    for (const key32& k : given_) learn(k);
    // A key that was known before something was made with it.
    std::vector<key32> again(known_.begin(), known_.end());
    fresh_ = std::move(again);
    for (bool more = true; more;) {
      while (!fresh_.empty()) {
        const key32 k = fresh_.back();
        fresh_.pop_back();
        follow(k);
      }
      more = false;
      for (deal& d : deals_)
        for (int kind = 0; kind < 2; ++kind)
          if (d.changed[kind] && !d.done[kind]) {
            d.changed[kind] = false;
            d.done[kind] = reconstruct(d, kind);
            more = more || d.done[kind];
          }
    }
  }
  void follow(const key32& k) {
    if (const auto at = log_.derived.find(k); at != log_.derived.end())
      for (const key32& out : at->second) learn(out);
    if (const auto at = boxes_.find(k); at != boxes_.end())
      for (const auto& [h, plain] : at->second)
        for (int kind = 0; kind < 2; ++kind) {
          share s;
          std::memcpy(s.data(), plain.data() + 36 * kind, s.size());
          take(deals_[h.deal], kind, h.holder, s);
        }
    fedagg::public_key own;
    suite_.agreement_public(as_secret(k), own);
    if (!log_.secret_of.count(own)) return;
    for (const auto& [peer, secret] : log_.secret_of) {
      fedagg::secret_key shared;
      if (suite_.agree(as_secret(k), peer, shared) && log_.derived.count(as_key(shared))) learn(as_key(shared));
    }
  }
  /// With however few shares it takes.
  bool reconstruct(const deal& d, int kind) {
    const fedagg::digest& binding = all_[static_cast<std::size_t>(d.context)].binding;
    std::vector<std::uint32_t> points;
    std::vector<std::uint8_t> bytes;
    for (const auto& [holder, s] : d.shares[kind]) {
      points.push_back(fedagg::shamir_x(holder));
      bytes.insert(bytes.end(), s.begin(), s.end());
      fedagg::shamir_weights weights;
      fedagg::secret_key secret;
      if (weights.try_reset(points) != fedagg::errc::ok || weights.reconstruct(bytes, secret) != fedagg::errc::ok)
        continue;
      fedagg::public_key own;
      if (kind == 1) suite_.agreement_public(secret, own);
      const bool right = kind == 0
                             ? fedagg::key_schedule<Suite>(suite_, binding).seed_hash(secret, d.dealer) == d.seed_hash
                             : own == d.mask_public;
      if (right) return learn(as_key(secret)), true;
    }
    return false;
  }

  // Which sums come out.

  static constexpr std::uint64_t prime = (std::uint64_t{1} << 61) - 1;
  __extension__ typedef unsigned __int128 wide;
  static std::uint64_t times(std::uint64_t a, std::uint64_t b) {
    return static_cast<std::uint64_t>(static_cast<wide>(a) * b % prime);
  }
  static std::uint64_t inverse(std::uint64_t a) {
    std::uint64_t result = 1;
    for (std::uint64_t e = prime - 2; e != 0; e >>= 1, a = times(a, a))
      if (e & 1) result = times(result, a);
    return result;
  }
  /// a - f b.
  static void subtract(equation& a, const equation& b, std::uint64_t f) {
    for (const auto& [at, x] : b) {
      std::uint64_t& y = a[at];
      y = (y + prime - times(f, x)) % prime;
      if (y == 0) a.erase(at);
    }
  }

  void leaks() {
    std::vector<equation> allowed;
    for (std::size_t c = 0; c < all_.size(); ++c) {
      if (!all_[c].announced) continue;
      equation sum;
      std::vector<bool> in(colluding_.size());
      for (const row& r : rows_)
        if (r.context == static_cast<int>(c) && all_[c].sum.contains(r.client) && !in[r.client]) {
          in[r.client] = true;
          sum[r.input] = 1;
        }
      allowed.push_back(std::move(sum));
    }
    std::vector<equation> out;
    if (!by_components(out)) {
      out.clear();
      by_elimination(out);
    }
    for (const equation& e : out) {
      if (e.empty()) continue;
      const auto theirs = static_cast<std::size_t>(std::count(colluding_.begin(), colluding_.end(), true));
      if (e.size() + theirs < setup_.minimum_inputs()) problem("a sum of too few inputs is known");
      bool fine = false;
      for (const equation& a : allowed) fine = fine || a == e;
      if (!fine && !within(e, allowed))
        problem(e.size() == 1 ? "an input is known" : "a sum is known that was not announced");
    }
  }

  /// The usual case: every unknown mask is in one row, or in two with opposite signs. Rows that hang together by such
  /// pairs can only be added up.
  bool by_components(std::vector<equation>& out) const {
    std::unordered_map<key32, std::vector<std::pair<std::size_t, bool>>, key_hash> columns;
    for (std::size_t r = 0; r < rows_.size(); ++r)
      for (const auto& [key, sign] : rows_[r].keys)
        if (!known_.count(key)) columns[key].emplace_back(r, sign);
    std::vector<std::size_t> root(rows_.size());
    for (std::size_t r = 0; r < root.size(); ++r) root[r] = r;
    const auto find = [&](std::size_t r) {
      while (root[r] != r) r = root[r] = root[root[r]];
      return r;
    };
    std::vector<bool> dead(rows_.size());
    for (const auto& [key, where] : columns) {
      if (where.size() > 2 || (where.size() == 2 && where[0].second == where[1].second)) return false;
      if (where.size() == 2) root[find(where[0].first)] = find(where[1].first);
    }
    for (const auto& [key, where] : columns)
      if (where.size() == 1) dead[find(where[0].first)] = true;
    std::map<std::size_t, equation> sums;
    for (std::size_t r = 0; r < rows_.size(); ++r)
      if (!dead[find(r)]) subtract(sums[find(r)], {{rows_[r].input, 1}}, prime - 1);
    for (auto& [r, sum] : sums) out.push_back(std::move(sum));
    return true;
  }

  /// Any case: masks are eliminated one by one.
  void by_elimination(std::vector<equation>& out) const {
    std::vector<std::pair<std::map<key32, std::uint64_t>, equation>> left;
    for (const row& r : rows_) {
      left.emplace_back().second[r.input] = 1;
      for (const auto& [key, sign] : r.keys) {
        if (known_.count(key)) continue;
        std::uint64_t& x = left.back().first[key];
        x = (x + (sign ? prime - 1 : 1)) % prime;
        if (x == 0) left.back().first.erase(key);
      }
    }
    while (!left.empty()) {
      auto pivot = std::move(left.back());
      left.pop_back();
      if (pivot.first.empty()) {
        out.push_back(std::move(pivot.second));
        continue;
      }
      const auto [key, value] = *pivot.first.begin();
      for (auto& other : left) {
        const auto at = other.first.find(key);
        if (at == other.first.end()) continue;
        const std::uint64_t f = times(at->second, inverse(value));
        for (const auto& [k, x] : pivot.first) {
          std::uint64_t& y = other.first[k];
          y = (y + prime - times(f, x)) % prime;
          if (y == 0) other.first.erase(k);
        }
        subtract(other.second, pivot.second, f);
      }
    }
  }

  /// Whether an equation follows from others.
  static bool within(equation e, std::vector<equation> others) {
    while (!others.empty()) {
      equation pivot = std::move(others.back());
      others.pop_back();
      if (pivot.empty()) continue;
      const auto [at, value] = *pivot.begin();
      const std::uint64_t over = inverse(value);
      for (equation& o : others)
        if (const auto x = o.find(at); x != o.end()) subtract(o, pivot, times(x->second, over));
      if (const auto x = e.find(at); x != e.end()) subtract(e, pivot, times(x->second, over));
    }
    return e.empty();
  }

  std::vector<bool> colluding_;
  recorder& log_;
  Suite suite_;
  fedagg::secure_setup setup_;
  int round_ = 0;
  std::map<name, int> contexts_;
  std::vector<context> all_;
  std::unordered_set<std::string> seen_;
  std::map<fedagg::public_key, std::pair<std::uint32_t, int>> publics_;
  std::map<key32, int> seeds_;
  std::unordered_map<key32, int, key_hash> mask_rounds_;
  std::vector<deal> deals_;
  std::unordered_map<key32, std::vector<std::pair<held, recorder::shares>>, key_hash> boxes_;
  std::unordered_map<std::string, std::vector<held>> by_share_;
  std::map<std::pair<std::pair<std::uint32_t, int>, std::vector<std::uint8_t>>, std::size_t> inputs_;
  std::vector<row> rows_;
  std::unordered_set<key32, key_hash> known_;
  std::vector<key32> fresh_, given_;
  std::vector<std::string> problems_;
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_KNOWLEDGE_HPP
