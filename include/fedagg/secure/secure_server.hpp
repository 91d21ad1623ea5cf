// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_SECURE_SERVER_HPP
#define FEDAGG_SECURE_SECURE_SERVER_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/secure/protocol/key_schedule.hpp>
#include <fedagg/secure/mask_graph.hpp>
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

/// The server's part of one round of secure aggregation: bytes in, bytes out, no transport, no clock. It takes messages
/// while a stage is open; `try_advance` ends the stage, with the clients that have answered, when the caller's deadline
/// is over or `complete()`; `try_message` then makes what each of them is sent next. A client that is silent, late or
/// sends what is wrong has dropped out and is named in the report; it never ends the round. Memory: the vector, and n k
/// shares.
template <crypto_suite S, mask_generator G = chacha20_masks>
class secure_server {
public:
  explicit secure_server(const S& suite = S{}) : suite_(suite) {}

  /// A new round. What `secure_setup::check` says, `no_randomness`, `out_of_memory`.
  [[nodiscard]] errc try_begin(const secure_setup& setup) noexcept {
    return impl::no_throw([&] {
      if (const errc rc = setup.check(); rc != errc::ok) return rc;
      secure_server next(suite_);
      next.setup_ = setup;
      next.setup_hash_ = setup.template hash<S>();
      if (!next.suite_.random(next.graph_seed_) || !next.suite_.random(next.probe_.bytes())) return errc::no_randomness;
      if (const errc rc = next.graph_.try_reset(setup.clients(), setup.degree(), next.graph_seed_); rc != errc::ok)
        return rc;
      if (const errc rc = next.sum_.try_reset(setup.layout); rc != errc::ok) return rc;
      next.peers_.resize(setup.clients());
      for (client_set* set : {&next.listed_, &next.dealers_, &next.survivors_, &next.consented_, &next.answered_})
        *set = client_set(setup.clients());
      next.stage_ = server_stage::keys;
      *this = std::move(next);
      return errc::ok;
    });
  }

  server_stage stage() const noexcept { return stage_; }
  /// Those whose answer this stage waits for, those that have answered, and whether that is all of them.
  bool expects(std::uint32_t client) const noexcept {
    switch (stage_) {
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
  bool answered(std::uint32_t client) const noexcept { return answered_.contains(client); }
  std::uint32_t answers() const noexcept { return answered_.size(); }
  bool complete() const noexcept {
    for (std::uint32_t i = 0; i < setup_.clients(); ++i)
      if (expects(i) && !answered(i) && peers_[i].report.fault == errc::ok) return false;
    return true;
  }
  /// Whose inputs the sum is made of: known once the stage `inputs` is over.
  const client_set& survivors() const noexcept { return survivors_; }
  const client_report& report(std::uint32_t client) const noexcept { return peers_[client].report; }
  /// The client that a failed round failed for; the roster's size if it was none.
  std::uint32_t culprit() const noexcept { return culprit_; }

  /// Takes a client's message. `ok`, also for one that came before; what does not bear the sender's signature is refused
  /// and means nothing: `message_format`, `unknown_client`, `wrong_context`, `bad_signature`, `wrong_stage`. What does,
  /// and is wrong, is the sender's fault and goes into its report: `message_format`, `bad_key`, `bad_share`,
  /// `wrong_context`. A hostile message costs at most a signature and a hash of its bytes.
  [[nodiscard]] errc try_receive(bytes_view message) noexcept {
    return impl::no_throw([&] { return receive(message); });
  }

  /// Ends the stage. `round_incomplete` if too few have answered: wait longer, or give the round up. At the end
  /// `bad_dealer` fails the round: a client dealt shares that do not yield its secret (`culprit()`).
  [[nodiscard]] errc try_advance(executor_ref executor = {}) noexcept {
    return impl::no_throw([&] { return advance(executor); });
  }

  /// What a client is sent in this stage: something in each but `keys` and `done`. `unknown_client` if nothing is
  /// waited for from it.
  [[nodiscard]] errc try_message(std::uint32_t client, std::vector<std::uint8_t>& out) const noexcept {
    return impl::no_throw([&] {
      if (stage_ == server_stage::keys || !expects(client)) return errc::unknown_client;
      write_message(client, out);
      return errc::ok;
    });
  }

  /// The sum of the survivors' vectors, once the stage is `done`; `wrong_stage` before.
  [[nodiscard]] errc try_take_sum(ring_vector& out) noexcept {
    if (stage_ != server_stage::done) return errc::wrong_stage;
    out = std::move(sum_);
    stage_ = server_stage::idle;
    return errc::ok;
  }

private:
  /// A share that was opened, by the holder's point.
  struct held_share {
    std::uint32_t point;
    std::array<std::uint8_t, shamir_share_bytes> share;
  };
  struct peer {
    client_report report;
    directory_entry entry;
    digest last = {};                      // hash of its message in this stage
    std::vector<std::uint32_t> neighbours; // those of the directory, ascending
    digest seed_hash = {}, own_hash = {};
    std::vector<sealed_shares> shares; // for each of them
    std::vector<held_share> opened;    // of its self mask's seed if it survives, else of its mask key
    signature consent = {};
  };

  errc receive(bytes_view message) {
    message_header header;
    if (const errc rc = read_header(message, header); rc != errc::ok) return rc;
    if (header.client >= setup_.clients()) return errc::unknown_client;
    if (!expects(header.client) || header.kind != expected()) return errc::wrong_stage;
    peer& p = peers_[header.client];
    if (p.report.fault != errc::ok) return errc::wrong_stage;
    if (header.binding != (stage_ == server_stage::keys ? setup_hash_ : context_)) return errc::wrong_context;
    if (message.size() != size_of(header.client)) {
      // Long or short, it is its sender's if the sender signed it; no more of it is hashed than of a right one.
      if (message.size() > size_of(header.client)) return errc::message_format;
      if (!verify_message(suite_, setup_.roster[header.client], message)) return errc::message_format;
      return fault(p, errc::message_format);
    }
    const bytes_view text = message.first(message.size() - message_signature_bytes);
    const digest seen = message_digest<S>(text);
    if (answered(header.client)) return seen == p.last ? errc::ok : errc::wrong_stage;
    if (!verify_digest(suite_, setup_.roster[header.client], seen, message)) return errc::bad_signature;
    const bytes_view in = signed_payload(message);
    const errc rc = stage_ == server_stage::keys     ? on_keys(header.client, message)
                    : stage_ == server_stage::shares ? on_shares(header.client, in)
                    : stage_ == server_stage::inputs ? on_input(in)
                    : stage_ == server_stage::consents ? on_consent(header.client, message)
                                                       : on_openings(header.client, in);
    if (rc == errc::out_of_memory || rc == errc::executor_failed) return rc;
    if (rc != errc::ok) return fault(p, rc);
    p.last = seen;
    answered_.insert(header.client);
    return errc::ok;
  }

  secure_message expected() const noexcept {
    switch (stage_) {
    case server_stage::keys:
      return secure_message::keys;
    case server_stage::shares:
      return secure_message::shares;
    case server_stage::inputs:
      return secure_message::masked;
    case server_stage::consents:
      return secure_message::consent;
    default:
      return secure_message::openings;
    }
  }

  errc fault(peer& p, errc what) noexcept {
    p.report = {what, stage_};
    return what;
  }

  /// How long a right message of this client is in this stage.
  std::size_t size_of(std::uint32_t client) const noexcept {
    const std::size_t around = message_header_bytes + message_signature_bytes, own = setup_.complete();
    switch (stage_) {
    case server_stage::keys:
      return around + 64;
    case server_stage::shares:
      return around + 32 + 32 * own + 4 + peers_[client].neighbours.size() * sealed_shares::bytes;
    case server_stage::inputs:
      return around + setup_.layout.packed_bytes();
    case server_stage::consents:
      return around + 32;
    default:
      return around + 32 + shamir_share_bytes * own + 4 + dealers_of(client) * opened_share::bytes;
    }
  }
  std::size_t dealers_of(std::uint32_t client) const noexcept {
    std::size_t count = 0;
    for (const std::uint32_t j : peers_[client].neighbours) count += dealers_.contains(j);
    return count;
  }

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

  errc on_input(bytes_view in) noexcept { return try_add_packed(in, sum_); }

  errc on_consent(std::uint32_t client, bytes_view message) noexcept {
    wire_reader r(payload(message));
    if (r.array<32>() != consent_hash()) return errc::wrong_context;
    peers_[client].consent = r.array<64>();
    return errc::ok;
  }

  errc on_openings(std::uint32_t client, bytes_view in) {
    peer& p = peers_[client];
    wire_reader r(in);
    if (r.array<32>() != consent_hash()) return errc::wrong_context;
    const key_schedule<S> keys(suite_, context_);
    errc result = errc::ok;
    const auto take = [&](std::uint32_t dealer, const digest& promised, share_of kind, bytes_view share) {
      if (keys.share_hash(kind, dealer, client, share) != promised) {
        result = errc::bad_share;
        return;
      }
      held_share& h = peers_[dealer].opened.emplace_back();
      h.point = client + 1;
      std::memcpy(h.share.data(), share.data(), shamir_share_bytes);
    };
    if (setup_.complete()) take(client, p.own_hash, share_of::self_mask, r.bytes(shamir_share_bytes));
    if (r.u32() != dealers_of(client)) return errc::message_format;
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

  /// Where a client stands among a dealer's neighbours.
  std::size_t place(std::uint32_t dealer, std::uint32_t client) const noexcept {
    const auto& all = peers_[dealer].neighbours;
    return static_cast<std::size_t>(std::lower_bound(all.begin(), all.end(), client) - all.begin());
  }

  digest consent_hash() const noexcept {
    return key_schedule<S>(suite_, context_).survivors(dealers_.bytes(), survivors_.bytes());
  }

  errc advance(executor_ref executor) {
    const std::uint32_t count = answered_.size();
    switch (stage_) {
    case server_stage::keys:
      if (count < setup_.least()) return errc::round_incomplete;
      return list();
    case server_stage::shares:
      if (count < setup_.least()) return errc::round_incomplete;
      dealers_ = answered_;
      return open(server_stage::inputs);
    case server_stage::inputs:
      if (count < setup_.least()) return errc::round_incomplete;
      survivors_ = answered_;
      return open(setup_.consistent() ? server_stage::consents : server_stage::openings);
    case server_stage::consents:
      if (count < setup_.quorum()) return errc::round_incomplete;
      consented_ = answered_;
      return open(server_stage::openings);
    case server_stage::openings:
      return unmask(executor);
    default:
      return errc::wrong_stage;
    }
  }
  errc open(server_stage next) noexcept {
    stage_ = next;
    for (std::uint32_t i = 0; i < setup_.clients(); ++i) answered_.erase(i);
    return errc::ok;
  }

  /// The directory, and with it the context.
  errc list() {
    for (std::uint32_t i = 0; i < setup_.clients(); ++i) {
      if (!answered_.contains(i)) continue;
      auto& own = peers_[i].neighbours;
      own.clear();
      for (const std::uint32_t j : graph_.neighbours(i))
        if (answered_.contains(j)) own.push_back(j);
    }
    directory_.clear();
    wire_writer w(directory_);
    w.bytes(graph_seed_).u32(answered_.size());
    for (std::uint32_t i = 0; i < setup_.clients(); ++i)
      if (answered_.contains(i)) peers_[i].entry.write(w);
    context_ = context_of<S>(setup_hash_, directory_);
    listed_ = answered_;
    return open(server_stage::shares);
  }

  void write_message(std::uint32_t client, std::vector<std::uint8_t>& out) const {
    const secure_message kind = stage_ == server_stage::shares     ? secure_message::directory
                                : stage_ == server_stage::inputs   ? secure_message::deliveries
                                : stage_ == server_stage::consents ? secure_message::survivors
                                : setup_.consistent()              ? secure_message::consents
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

  /// Takes the survivors' self masks and the masks that they share with those who dropped out off the sum.
  errc unmask(executor_ref executor) {
    const std::uint32_t n = setup_.clients(), t = setup_.parameters.threshold;
    for (std::uint32_t i = 0; i < n; ++i)
      if (dealers_.contains(i) && peers_[i].opened.size() < t && needed(i)) return errc::round_incomplete;
    const key_schedule<S> keys(suite_, context_);
    std::vector<mask_key> masks;
    shamir_reconstructor shares(t);
    for (std::uint32_t i = 0; i < n; ++i) {
      if (!dealers_.contains(i) || !needed(i)) continue;
      const bool survives = survivors_.contains(i);
      secret_key secret;
      const auto point = [&](std::size_t k) { return peers_[i].opened[k].point; };
      const auto share = [&](std::size_t k) { return bytes_view(peers_[i].opened[k].share); };
      if (shares.reconstruct(point, share, secret) != errc::ok) return fail(i);
      if (survives) {
        if (keys.seed_hash(secret, i) != peers_[i].seed_hash) return fail(i);
        keys.self_mask(secret, i, masks.emplace_back());
        masks.back().subtract = true;
        continue;
      }
      public_key own;
      suite_.agreement_public(secret, own);
      if (own != peers_[i].entry.mask_key) return fail(i);
      for (const std::uint32_t j : peers_[i].neighbours) {
        if (!survivors_.contains(j)) continue;
        // What i would have added is what makes j's share of the mask go away.
        if (!keys.pair_mask(secret, peers_[j].entry.mask_key, i, j, masks.emplace_back())) return fail(j);
      }
    }
    if (const errc rc = impl::mask_vector(G{}, sum_, masks, executor); rc != errc::ok) {
      stage_ = server_stage::failed;
      return rc;
    }
    stage_ = server_stage::done;
    for (peer& p : peers_) {
      p.shares.clear();
      p.opened.clear();
    }
    return errc::ok;
  }
  /// A dealer that dropped out matters only to the survivors among its neighbours.
  bool needed(std::uint32_t i) const noexcept {
    if (survivors_.contains(i)) return true;
    for (const std::uint32_t j : peers_[i].neighbours)
      if (survivors_.contains(j)) return true;
    return false;
  }
  errc fail(std::uint32_t client) noexcept {
    culprit_ = client;
    peers_[client].report = {errc::bad_dealer, stage_};
    stage_ = server_stage::failed;
    return errc::bad_dealer;
  }

  S suite_;
  secure_setup setup_;
  digest setup_hash_ = {}, graph_seed_ = {}, context_ = {};
  secret_key probe_;
  mask_graph graph_;
  server_stage stage_ = server_stage::idle;
  std::vector<peer> peers_;
  client_set listed_, dealers_, survivors_, consented_, answered_;
  std::vector<std::uint8_t> directory_;
  ring_vector sum_;
  std::uint32_t culprit_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_SECURE_SERVER_HPP
