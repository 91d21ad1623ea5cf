// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_CLIENT_STEPS_HPP
#define FEDAGG_SECURE_PROTOCOL_CLIENT_STEPS_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/secure/mask_graph.hpp>
#include <fedagg/secure/protocol/client_state.hpp>
#include <fedagg/secure/protocol/key_schedule.hpp>
#include <fedagg/secure/secure_setup.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// How a client answers each of the server's messages: from one state to the next, whose output is the answer. Nothing
/// else changes; a refused message leaves a state that is thrown away. Throws std::bad_alloc.
template <crypto_suite S, mask_generator G>
class client_steps {
public:
  client_steps(S& suite, const secure_setup& setup, const digest& setup_hash, const signing_key& identity,
               std::uint32_t self) noexcept
      : suite_(suite), setup_(setup), setup_hash_(setup_hash), identity_(identity), self_(self) {}

  errc begin(detail::client_state& next) {
    if (!suite_.random(next.share_key.bytes()) || !suite_.random(next.mask_key.bytes())) return errc::no_randomness;
    directory_entry own;
    suite_.agreement_public(next.share_key, own.share_key);
    suite_.agreement_public(next.mask_key, own.mask_key);
    begin_message({secure_message::keys, self_, setup_hash_}, next.output);
    wire_writer(next.output).bytes(own.share_key).bytes(own.mask_key);
    sign_message(suite_, identity_, next.output);
    next.stage = client_stage::sent_keys;
    return errc::ok;
  }

  errc on_directory(const message_header& header, bytes_view message, detail::client_state& next) {
    wire_reader r(payload(message));
    const digest graph_seed = r.array<32>();
    const std::uint32_t n = setup_.clients(), count = r.u32();
    if (!r.ok() || count > n || r.left() != std::size_t{count} * directory_entry::bytes) return errc::message_format;
    if (context_of<S>(setup_hash_, payload(message)) != header.binding) return errc::wrong_context;
    mask_graph graph;
    if (const errc rc = graph.try_reset(n, setup_.degree(), graph_seed); rc != errc::ok) return rc;
    directory_entry own;
    suite_.agreement_public(next.share_key, own.share_key);
    suite_.agreement_public(next.mask_key, own.mask_key);
    next.directory = client_set(n);
    next.neighbours.clear();
    std::vector<std::uint8_t> signed_message;
    bool mine = false;
    for (std::uint32_t k = 0, least = 0; k < count; ++k) {
      directory_entry e;
      e.read(r);
      if (e.client < least || e.client >= n) return errc::message_format;
      least = e.client + 1;
      next.directory.insert(e.client);
      if (e.client == self_) {
        // Its keys are fresh: a directory of another time cannot hold them.
        mine = e.share_key == own.share_key && e.mask_key == own.mask_key;
        if (!mine) return errc::bad_key;
        continue;
      }
      if (e.share_key == e.mask_key) return errc::bad_key;
      if (!graph.are_neighbours(self_, e.client)) continue;
      e.message(setup_hash_, signed_message);
      if (!verify_message(suite_, setup_.roster[e.client], signed_message)) return errc::bad_signature;
      detail::client_neighbour neighbour;
      neighbour.client = e.client;
      neighbour.share_key = e.share_key;
      neighbour.mask_key = e.mask_key;
      next.neighbours.push_back(neighbour);
    }
    if (!mine) return errc::bad_key;
    if (next.directory.size() < setup_.least()) return errc::bad_survivors;
    if (holders(next.neighbours.size()) < setup_.threshold()) return errc::bad_survivors;
    next.context = header.binding;
    next.graph_seed = graph_seed;
    return deal(next);
  }

  /// Masks x, in place; from the first write on it is `spent`.
  errc on_deliveries(bytes_view in, detail::client_state& next, ring_vector& x, bool& spent, executor_ref executor) {
    wire_reader r(in);
    const std::uint32_t n = setup_.clients();
    if (const errc rc = client_set::from_bytes(n, r.bytes(client_set::bytes_for(n)), next.dealers); rc != errc::ok)
      return rc;
    if (!next.dealers.within(next.directory) || !next.dealers.contains(self_) || next.dealers.size() < setup_.least())
      return errc::bad_survivors;
    std::size_t dealing = 0;
    for (auto& neighbour : next.neighbours) dealing += next.dealers.contains(neighbour.client);
    if (r.left() != dealing * (32 + sealed_shares::bytes)) return errc::message_format;
    if (holders(dealing) < setup_.threshold()) return errc::bad_survivors;

    const key_schedule<S> keys(suite_, next.context);
    std::vector<mask_key> masks;
    for (auto& neighbour : next.neighbours) {
      if (!next.dealers.contains(neighbour.client)) continue;
      neighbour.delivered = true;
      const digest seed_hash = r.array<32>();
      sealed_shares s;
      s.read(r);
      neighbour.valid = open(keys, neighbour, seed_hash, s);
      if (!keys.pair_mask(next.mask_key, neighbour.mask_key, self_, neighbour.client, masks.emplace_back()))
        return errc::bad_key;
    }
    keys.self_mask(next.seed, self_, masks.emplace_back());
    begin_message({secure_message::masked, self_, next.context}, next.output);
    const std::size_t packed = x.layout().packed_bytes();
    next.output.reserve(message_header_bytes + packed + message_signature_bytes);
    next.output.resize(message_header_bytes + packed);
    spent = true;
    if (const errc rc = mask_vector(G{}, x, masks, executor); rc != errc::ok) return rc;
    if (const errc rc = try_pack(x, bytes_span(next.output).subspan(message_header_bytes)); rc != errc::ok) return rc;
    sign_message(suite_, identity_, next.output);
    next.forget_keys();
    next.stage = client_stage::sent_input;
    return errc::ok;
  }

  errc on_survivors(bytes_view in, detail::client_state& next) {
    if (const errc rc = client_set::from_bytes(setup_.clients(), in, next.survivors); rc != errc::ok) return rc;
    if (!next.survivors.within(next.dealers) || !next.survivors.contains(self_) ||
        next.survivors.size() < setup_.least())
      return errc::bad_survivors;
    // Survivors with few neighbours among them: an honest server could not open their sum, another one cuts the graph.
    if (!setup_.complete()) {
      mask_graph graph;
      if (const errc rc = graph.try_reset(setup_.clients(), setup_.degree(), next.graph_seed); rc != errc::ok) return rc;
      if (!graph.supports(setup_.threshold(), [&](std::uint32_t i) { return next.survivors.contains(i); }))
        return errc::bad_survivors;
    }
    if (!setup_.consistent()) return open_shares(next);
    begin_message({secure_message::consent, self_, next.context}, next.output);
    wire_writer(next.output).bytes(consent_hash(next));
    sign_message(suite_, identity_, next.output);
    next.stage = client_stage::sent_consent;
    return errc::ok;
  }

  errc on_consents(bytes_view in, detail::client_state& next) {
    wire_reader r(in);
    const std::uint32_t count = r.u32();
    if (!r.ok() || count > setup_.clients() || r.left() != std::size_t{count} * (4 + 64)) return errc::message_format;
    const digest hash = consent_hash(next);
    std::vector<std::uint8_t> message;
    for (std::uint32_t k = 0, least = 0; k < count; ++k) {
      const std::uint32_t client = r.u32();
      if (client < least || client >= setup_.clients()) return errc::message_format;
      least = client + 1;
      if (!next.survivors.contains(client)) return errc::bad_survivors;
      begin_message({secure_message::consent, client, next.context}, message);
      wire_writer(message).bytes(hash).bytes(r.bytes(64));
      if (!verify_message(suite_, setup_.roster[client], message)) return errc::bad_signature;
    }
    if (count < setup_.quorum()) return errc::bad_survivors;
    return open_shares(next);
  }

private:
  /// Shares of the two secrets for every neighbour, and for itself where all hold shares of all.
  errc deal(detail::client_state& next) {
    if (!suite_.random(next.seed.bytes())) return errc::no_randomness;
    const std::size_t count = next.neighbours.size(), own = setup_.complete() ? 1 : 0;
    std::vector<std::uint32_t> points;
    for (const auto& n : next.neighbours) points.push_back(shamir_x(n.client));
    if (own) points.push_back(shamir_x(self_));
    secret_buffer of_seed(points.size() * shamir_share_bytes), of_key(points.size() * shamir_share_bytes);
    const auto deal_one = [&](const secret_key& secret, secret_buffer& out) {
      return shamir_share(secret, setup_.threshold(), points, [&](bytes_span to) { return suite_.random(to); },
                          {out.data(), out.size()});
    };
    if (const errc rc = deal_one(next.seed, of_seed); rc != errc::ok) return rc;
    if (const errc rc = deal_one(next.mask_key, of_key); rc != errc::ok) return rc;

    const key_schedule<S> keys(suite_, next.context);
    const digest seed_hash = keys.seed_hash(next.seed, self_);
    begin_message({secure_message::shares, self_, next.context}, next.output);
    wire_writer w(next.output);
    w.bytes(seed_hash);
    if (own) {
      const bytes_view share(of_seed.data() + count * shamir_share_bytes, shamir_share_bytes);
      std::memcpy(next.own_share.data(), share.data(), share.size());
      w.bytes(keys.share_hash(share_of::self_mask, self_, self_, share));
    }
    w.u32(static_cast<std::uint32_t>(count));
    for (std::size_t k = 0; k < count; ++k) {
      auto& n = next.neighbours[k];
      secret_bytes<sealed_shares::plain_bytes> plain;
      std::memcpy(plain.data(), of_seed.data() + k * shamir_share_bytes, shamir_share_bytes);
      std::memcpy(plain.data() + shamir_share_bytes, of_key.data() + k * shamir_share_bytes, shamir_share_bytes);
      sealed_shares s;
      s.self_hash = keys.share_hash(share_of::self_mask, self_, n.client, plain.bytes().first(shamir_share_bytes));
      s.mask_hash = keys.share_hash(share_of::mask_key, self_, n.client, plain.bytes().subspan(shamir_share_bytes));
      secret_key key;
      if (!keys.share_keys(next.share_key, n.share_key, self_, n.client, key, n.opens)) return errc::bad_key;
      if (!suite_.random(s.nonce)) return errc::no_randomness;
      const digest binding = keys.share_binding(self_, n.client, seed_hash, s.self_hash, s.mask_hash);
      suite_.seal(key, s.nonce, plain.bytes(), binding, s.sealed);
      s.write(w);
    }
    sign_message(suite_, identity_, next.output);
    next.stage = client_stage::sent_shares;
    return errc::ok;
  }

  bool open(const key_schedule<S>& keys, detail::client_neighbour& dealer, const digest& seed_hash,
            const sealed_shares& s) const noexcept {
    const digest binding = keys.share_binding(dealer.client, self_, seed_hash, s.self_hash, s.mask_hash);
    if (!suite_.open(dealer.opens, s.nonce, s.sealed, binding, dealer.shares.bytes())) return false;
    const auto shares = dealer.shares.bytes();
    return keys.share_hash(share_of::self_mask, dealer.client, self_, shares.first(shamir_share_bytes)) ==
               s.self_hash &&
           keys.share_hash(share_of::mask_key, dealer.client, self_, shares.subspan(shamir_share_bytes)) == s.mask_hash;
  }

  digest consent_hash(const detail::client_state& s) const noexcept {
    return key_schedule<S>(suite_, s.context).survivors(s.dealers.bytes(), s.survivors.bytes());
  }

  /// Of every dealer one share: of the self mask of those whose input is summed, of the mask key of the others. After
  /// this the client has no secret left.
  errc open_shares(detail::client_state& next) {
    begin_message({secure_message::openings, self_, next.context}, next.output);
    wire_writer w(next.output);
    w.bytes(consent_hash(next));
    if (setup_.complete()) w.bytes(next.own_share.bytes());
    std::uint32_t count = 0;
    for (const auto& n : next.neighbours) count += n.delivered;
    w.u32(count);
    for (const auto& n : next.neighbours) {
      if (!n.delivered) continue;
      opened_share opened;
      if (n.valid) {
        const bool summed = next.survivors.contains(n.client);
        opened.kind = summed ? share_of::self_mask : share_of::mask_key;
        std::memcpy(opened.share.data(), n.shares.data() + (summed ? 0 : shamir_share_bytes), shamir_share_bytes);
      }
      opened.write(w);
    }
    sign_message(suite_, identity_, next.output);
    next.forget_shares();
    next.stage = client_stage::sent_openings;
    return errc::ok;
  }

  std::size_t holders(std::size_t neighbours) const noexcept { return neighbours + (setup_.complete() ? 1 : 0); }

  S& suite_;
  const secure_setup& setup_;
  const digest& setup_hash_;
  const signing_key& identity_;
  const std::uint32_t self_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_SECURE_PROTOCOL_CLIENT_STEPS_HPP
