// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_SERVER_BOOK_HPP
#define FEDAGG_SECURE_PROTOCOL_SERVER_BOOK_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/secure/mask_graph.hpp>
#include <fedagg/secure/protocol/client_set.hpp>
#include <fedagg/secure/protocol/key_schedule.hpp>
#include <fedagg/secure/protocol/messages.hpp>
#include <fedagg/secure/protocol/opened_shares.hpp>
#include <fedagg/secure/secure_setup.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// What a server of secure aggregation waits for.
enum class server_stage : std::uint8_t { idle, keys, shares, inputs, consents, openings, done, failed };

/// What became of a client in a round.
struct client_report {
  errc fault = errc::ok;                   ///< the first thing that was wrong with what it sent, signed by it
  server_stage stage = server_stage::idle; ///< of that
  std::uint32_t complaints = 0;            ///< holders that say that the shares it dealt them do not open
};

namespace impl {

/// What a server knows of its clients in one round: who sent what, what each is sent in turn, and in the end the keys
/// of the masks that come off the sum. Messages that get here bear their sender's signature.
template <crypto_suite S>
class server_book {
public:
  struct peer;

  explicit server_book(const S& suite) : suite_(suite) {}

  /// With a setup that was checked. Throws std::bad_alloc.
  errc begin(const secure_setup& setup, const digest& setup_hash) {
    setup_ = setup;
    setup_hash_ = setup_hash;
    peers_.resize(setup.clients());
    opened_ = opened_shares(setup.clients());
    for (client_set* set : {&listed_, &dealers_, &survivors_, &consented_}) *set = client_set(setup.clients());
    if (!suite_.random(probe_.bytes()) || !suite_.random(graph_seed_)) return errc::no_randomness;
    return graph_.try_reset(setup.clients(), setup.degree(), graph_seed_);
  }

  const S& suite() const noexcept { return suite_; }
  const secure_setup& setup() const noexcept { return setup_; }
  /// What messages of a stage are bound to.
  const digest& binding(server_stage stage) const noexcept {
    return stage == server_stage::keys ? setup_hash_ : context_;
  }
  peer& operator[](std::uint32_t client) noexcept { return peers_[client]; }
  const peer& operator[](std::uint32_t client) const noexcept { return peers_[client]; }
  const client_set& survivors() const noexcept { return survivors_; }
  /// The clients of whom something is expected in a stage.
  bool expects(server_stage stage, std::uint32_t client) const noexcept {
    switch (stage) {
    case server_stage::keys:
      return client < setup_.clients();
    case server_stage::shares:
      return listed_.contains(client);
    case server_stage::inputs:
      return dealers_.contains(client);
    case server_stage::consents:
    case server_stage::openings:
      return survivors_.contains(client);
    default:
      return false;
    }
  }

  /// Whether the sum of these clients can be opened: each has as many neighbours among them as open a secret.
  bool supports(const client_set& survivors) const noexcept {
    return graph_.supports(setup_.threshold(), [&](std::uint32_t i) { return survivors.contains(i); });
  }
  /// The end of a stage: who answered is who goes on. Throws std::bad_alloc.
  void close(server_stage stage, const client_set& answered) {
    if (stage == server_stage::keys) list(answered);
    if (stage == server_stage::shares) {
      dealers_ = answered;
      for (peer& p : peers_)
        p.dealers = static_cast<std::size_t>(std::count_if(p.neighbours.begin(), p.neighbours.end(),
                                                           [&](std::uint32_t j) { return dealers_.contains(j); }));
    }
    if (stage == server_stage::inputs) {
      survivors_ = answered;
      consent_ = key_schedule<S>(suite_, context_).survivors(dealers_.bytes(), survivors_.bytes());
    }
    if (stage == server_stage::consents) consented_ = answered;
  }
  /// Nothing of it is needed once the masks are known.
  void forget_shares() noexcept {
    for (peer& p : peers_) p.shares.clear();
    opened_ = {};
  }

  struct peer {
    client_report report;
    directory_entry entry;
    digest last = {};                      // hash of its message in this stage
    std::vector<std::uint32_t> neighbours; // those of the directory, ascending
    digest seed_hash = {}, own_hash = {};
    std::size_t dealers = 0;           // how many of them dealt shares
    std::vector<sealed_shares> shares; // for each of them
    signature consent = {};
  };

  /// How long a right message of this client is in this stage.
  std::size_t size_of(server_stage stage, std::uint32_t client) const noexcept {
    const std::size_t around = message_header_bytes + message_signature_bytes, own = setup_.complete();
    switch (stage) {
    case server_stage::keys:
      return around + 64;
    case server_stage::shares:
      return around + 32 + 32 * own + 4 + peers_[client].neighbours.size() * sealed_shares::bytes;
    case server_stage::inputs:
      return around + setup_.layout.packed_bytes();
    case server_stage::consents:
      return around + 32;
    default:
      return around + 32 + shamir_share_bytes * own + 4 + peers_[client].dealers * opened_share::bytes;
    }
  }

  // Each answers what is wrong with a message, which is its sender's fault.

  errc on_keys(std::uint32_t client, bytes_view message) noexcept {
    directory_entry e;
    e.client = client;
    wire_reader r(payload(message));
    e.share_key = r.array<32>();
    e.mask_key = r.array<32>();
    e.signed_by = r.array<64>();
    // A key of low order would make every neighbour give the round up.
    secret_key ignored;
    if (e.share_key == e.mask_key || !suite_.agree(probe_, e.share_key, ignored) ||
        !suite_.agree(probe_, e.mask_key, ignored))
      return errc::bad_key;
    peers_[client].entry = e;
    return errc::ok;
  }

  errc on_shares(std::uint32_t client, bytes_view in) {
    peer& p = peers_[client];
    wire_reader r(in);
    const digest seed_hash = r.array<32>(), own_hash = setup_.complete() ? r.array<32>() : digest{};
    if (r.u32() != p.neighbours.size()) return errc::message_format;
    std::vector<sealed_shares> shares(p.neighbours.size());
    for (sealed_shares& s : shares) s.read(r);
    p.seed_hash = seed_hash;
    p.own_hash = own_hash;
    p.shares.swap(shares);
    return errc::ok;
  }

  errc on_consent(std::uint32_t client, bytes_view message) noexcept {
    wire_reader r(payload(message));
    if (r.array<32>() != consent_) return errc::wrong_context;
    peers_[client].consent = r.array<64>();
    return errc::ok;
  }

  errc on_openings(std::uint32_t client, bytes_view in) {
    peer& p = peers_[client];
    wire_reader r(in);
    if (r.array<32>() != consent_) return errc::wrong_context;
    // All memory before the first share is taken: a message is taken as a whole or not at all.
    opened_.reserve(client, p.neighbours.size() + 1);
    for (const std::uint32_t j : p.neighbours) opened_.reserve(j, peers_[j].neighbours.size() + 1);
    const key_schedule<S> keys(suite_, context_);
    errc result = errc::ok;
    const auto take = [&](std::uint32_t dealer, const digest& promised, share_of kind, bytes_view share) {
      if (keys.share_hash(kind, dealer, client, share) == promised)
        opened_.add(dealer, client, share);
      else
        result = errc::bad_share;
    };
    if (setup_.complete()) take(client, p.own_hash, share_of::self_mask, r.bytes(shamir_share_bytes));
    if (r.u32() != p.dealers) return errc::message_format;
    for (const std::uint32_t dealer : p.neighbours) {
      if (!dealers_.contains(dealer)) continue;
      opened_share opened;
      opened.read(r);
      if (opened.kind == share_of::none) {
        ++peers_[dealer].report.complaints;
        continue;
      }
      const share_of kind = survivors_.contains(dealer) ? share_of::self_mask : share_of::mask_key;
      const sealed_shares& s = peers_[dealer].shares[place(dealer, client)];
      if (opened.kind != kind)
        result = errc::bad_share;
      else
        take(dealer, kind == share_of::self_mask ? s.self_hash : s.mask_hash, kind, opened.share);
    }
    // The shares that are right count, whatever the others are.
    return result;
  }

  /// What this client is sent in a stage. Throws std::bad_alloc.
  void write_message(server_stage stage, std::uint32_t client, std::vector<std::uint8_t>& out) const {
    const secure_message kind = stage == server_stage::shares     ? secure_message::directory
                                : stage == server_stage::inputs   ? secure_message::deliveries
                                : stage == server_stage::consents ? secure_message::survivors
                                : setup_.consistent()             ? secure_message::consents
                                                                  : secure_message::survivors;
    begin_message({kind, client, context_}, out);
    wire_writer w(out);
    switch (kind) {
    case secure_message::directory:
      w.bytes(directory_);
      break;
    case secure_message::deliveries:
      w.bytes(dealers_.bytes());
      for (const std::uint32_t dealer : peers_[client].neighbours) {
        if (!dealers_.contains(dealer)) continue;
        w.bytes(peers_[dealer].seed_hash);
        peers_[dealer].shares[place(dealer, client)].write(w);
      }
      break;
    case secure_message::survivors:
      w.bytes(survivors_.bytes());
      break;
    default:
      // As many as are asked for: each costs each client a verification.
      w.u32(setup_.quorum());
      for (std::uint32_t i = 0, left = setup_.quorum(); left > 0; ++i)
        if (consented_.contains(i)) w.u32(i).bytes(peers_[i].consent), --left;
    }
  }

  /// The survivors' self masks, and the masks that they share with those who dropped out, as they come off the sum.
  /// `round_incomplete` if a secret has too few shares; `bad_dealer` if they do not yield it, and whose it is.
  errc masks(std::vector<mask_key>& masks, std::uint32_t& culprit) {
    const std::uint32_t n = setup_.clients(), t = setup_.threshold();
    for (std::uint32_t i = 0; i < n; ++i)
      if (dealers_.contains(i) && opened_.count(i) < t && needed(i)) return errc::round_incomplete;
    const key_schedule<S> keys(suite_, context_);
    opened_.rank(t);
    for (std::uint32_t i = 0; i < n; ++i) {
      if (!dealers_.contains(i) || !needed(i)) continue;
      secret_key secret;
      if (const errc rc = opened_.secret(i, secret); rc != errc::ok) return culprit = i, rc;
      if (survivors_.contains(i)) {
        if (keys.seed_hash(secret, i) != peers_[i].seed_hash) return culprit = i, errc::bad_dealer;
        keys.self_mask(secret, i, masks.emplace_back());
        masks.back().subtract = true;
        continue;
      }
      public_key own;
      suite_.agreement_public(secret, own);
      if (own != peers_[i].entry.mask_key) return culprit = i, errc::bad_dealer;
      for (const std::uint32_t j : peers_[i].neighbours) {
        if (!survivors_.contains(j)) continue;
        // What i would have added is what makes j's share of the mask go away.
        if (!keys.pair_mask(secret, peers_[j].entry.mask_key, i, j, masks.emplace_back()))
          return culprit = j, errc::bad_dealer;
      }
    }
    return errc::ok;
  }

private:
  /// Where a client stands among a dealer's neighbours.
  std::size_t place(std::uint32_t dealer, std::uint32_t client) const noexcept {
    const auto& all = peers_[dealer].neighbours;
    return static_cast<std::size_t>(std::lower_bound(all.begin(), all.end(), client) - all.begin());
  }

  /// The directory, and with it the context.
  void list(const client_set& who) {
    for (std::uint32_t i = 0; i < setup_.clients(); ++i) {
      if (!who.contains(i)) continue;
      auto& own = peers_[i].neighbours;
      own.clear();
      for (const std::uint32_t j : graph_.neighbours(i))
        if (who.contains(j)) own.push_back(j);
    }
    directory_.clear();
    wire_writer w(directory_);
    w.bytes(graph_seed_).u32(who.size());
    for (std::uint32_t i = 0; i < setup_.clients(); ++i)
      if (who.contains(i)) peers_[i].entry.write(w);
    context_ = context_of<S>(setup_hash_, directory_);
    listed_ = who;
  }

  /// A dealer that dropped out matters only to the survivors among its neighbours.
  bool needed(std::uint32_t i) const noexcept {
    if (survivors_.contains(i)) return true;
    for (const std::uint32_t j : peers_[i].neighbours)
      if (survivors_.contains(j)) return true;
    return false;
  }

  S suite_;
  secure_setup setup_;
  digest setup_hash_ = {}, graph_seed_ = {}, context_ = {}, consent_ = {}; // the last: what survivors consent to
  secret_key probe_;
  mask_graph graph_;
  std::vector<peer> peers_;
  opened_shares opened_; // of the seeds of survivors' self masks, of the mask keys of the other dealers
  client_set listed_, dealers_, survivors_, consented_;
  std::vector<std::uint8_t> directory_;
};

} // namespace impl

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_PROTOCOL_SERVER_BOOK_HPP
