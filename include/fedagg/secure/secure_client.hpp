// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_SECURE_CLIENT_HPP
#define FEDAGG_SECURE_SECURE_CLIENT_HPP

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/secure/protocol/client_steps.hpp>
#include <fedagg/secure/secure_setup.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A client in one round of secure aggregation (Bonawitz et al. 2017; Bell et al. 2020): bytes in, bytes out, no
/// transport, no clock. After `try_begin` and after each `try_receive` that returns `ok`, `output()` is what to send to
/// the server. A message that came before is answered with the same bytes again; any other that does not fit is refused
/// and changes nothing. All of a round's secrets are made in it and wiped at its end.
template <crypto_suite S, mask_generator G = chacha20_masks>
class secure_client {
public:
  explicit secure_client(const S& suite = S{}) : suite_(suite) {}

  /// From now on every state is sealed under `key` and handed to `keep` before its message can leave. Without this, a
  /// client that crashes is a client that dropped out. `keep` must outlive the client.
  void keep(const secret_key& key, keep_ref keep) noexcept {
    state_key_ = key;
    keep_ = keep;
  }

  /// A new round, whatever came of the last one; never the same one again, whose number is `setup.round`. What
  /// `secure_setup::check` says, `unknown_client` if the key is none of the roster's, `no_randomness`,
  /// `state_not_saved`, `out_of_memory`: then nothing has begun.
  [[nodiscard]] errc try_begin(const secure_setup& setup, const signing_key& identity) noexcept {
    return impl::no_throw([&] {
      secure_client next(suite_);
      if (const errc rc = next.adopt(setup, identity); rc != errc::ok) return rc;
      next.keep(state_key_, keep_);
      detail::client_state s;
      if (const errc rc = next.steps().begin(s); rc != errc::ok) return rc;
      if (const errc rc = next.commit(s); rc != errc::ok) return rc;
      *this = std::move(next);
      return errc::ok;
    });
  }

  /// Goes on from a sealed state. `output()` are the bytes that were ready to be sent when it was saved: send them
  /// again. Where keys or shares were sent last, `try_input` is to be called again: a vector that is not masked is in
  /// no state. `state_mismatch` if it was sealed under another key, in another round, by another client, or is damaged;
  /// `bad_parameter` without `keep`.
  /// **Only the latest state may be restored**: an older one makes a client answer twice, which opens its input.
  [[nodiscard]] errc try_restore(const secure_setup& setup, const signing_key& identity, bytes_view sealed) noexcept {
    return impl::no_throw([&] {
      if (!keep_) return errc::bad_parameter;
      secure_client next(suite_);
      if (const errc rc = next.adopt(setup, identity); rc != errc::ok) return rc;
      next.keep(state_key_, keep_);
      constexpr std::size_t overhead = seal_nonce_bytes + seal_tag_bytes;
      if (sealed.size() < overhead) return errc::state_mismatch;
      secret_buffer plain(sealed.size() - overhead);
      const auto nonce = sealed.first<seal_nonce_bytes>();
      const digest binding = next.state_binding();
      if (!suite_.open(state_key_, nonce, sealed.subspan(seal_nonce_bytes), binding, {plain.data(), plain.size()}))
        return errc::state_mismatch;
      wire_reader r({plain.data(), plain.size()});
      if (const errc rc = next.s_.read(r, setup.clients()); rc != errc::ok) return rc;
      *this = std::move(next);
      return errc::ok;
    });
  }

  /// The vector that this round's sum is made of: encoded, and with whatever noise is added in the ring. Taken before
  /// the server's `deliveries`; only one is ever masked. `layout_mismatch`, `wrong_stage`.
  [[nodiscard]] errc try_input(ring_vector&& x) noexcept {
    if (s_.stage == client_stage::idle || s_.stage > client_stage::sent_shares) return errc::wrong_stage;
    if (!(x.layout() == setup_.layout)) return errc::layout_mismatch;
    input_ = std::move(x);
    has_input_ = true;
    return errc::ok;
  }

  /// Takes a message of the server and makes the answer to it. `message_format`, `wrong_stage`, `wrong_context`,
  /// `bad_key`, `bad_signature`, `bad_survivors` for a server that does not keep to the protocol; `bad_parameter` where
  /// `try_input` is missing; `no_randomness`, `state_not_saved`, `out_of_memory`, `executor_failed`. Nothing has
  /// changed then, but that after the last three an input that was being masked must be given again.
  [[nodiscard]] errc try_receive(bytes_view message, executor_ref executor = {}) noexcept {
    return impl::no_throw([&] { return receive(message, executor); });
  }

  bytes_view output() const noexcept { return s_.output; }
  client_stage stage() const noexcept { return s_.stage; }
  /// Its place in the roster.
  std::uint32_t index() const noexcept { return self_; }
  /// Dealers whose shares did not open: they, or the server, cheat.
  std::vector<std::uint32_t> bad_dealers() const {
    std::vector<std::uint32_t> out;
    for (const auto& n : s_.neighbours)
      if (n.delivered && !n.valid) out.push_back(n.client);
    return out;
  }

private:
  errc adopt(const secure_setup& setup, const signing_key& identity) {
    if (const errc rc = setup.template check<G>(); rc != errc::ok) return rc;
    setup_ = setup;
    identity_ = identity;
    public_key own;
    suite_.signing_public(identity, own);
    self_ = 0;
    while (self_ < setup.clients() && setup.roster[self_] != own) ++self_;
    if (self_ == setup.clients()) return errc::unknown_client;
    setup_hash_ = setup.template hash<S, G>();
    return errc::ok;
  }

  digest state_binding() const noexcept {
    return transcript<S>("fedagg client state 1").bytes(setup_hash_).number(self_).finish();
  }

  /// Saves a state; only then is it the client's, and its output to be had.
  errc commit(detail::client_state& next) {
    if (keep_) {
      secret_buffer plain;
      wire_writer w(plain);
      next.write(w);
      std::vector<std::uint8_t> sealed(seal_nonce_bytes + plain.size() + seal_tag_bytes);
      if (!suite_.random(bytes_span(sealed).first(seal_nonce_bytes))) return errc::no_randomness;
      const digest binding = state_binding();
      suite_.seal(state_key_, bytes_view(sealed).template first<seal_nonce_bytes>(), {plain.data(), plain.size()},
                  binding, bytes_span(sealed).subspan(seal_nonce_bytes));
      if (!keep_(sealed)) return errc::state_not_saved;
    }
    s_ = std::move(next);
    return errc::ok;
  }

  errc receive(bytes_view message, executor_ref executor) {
    message_header header;
    if (const errc rc = read_header(message, header); rc != errc::ok) return rc;
    if (s_.stage == client_stage::idle) return errc::wrong_stage;
    if (header.client != self_) return errc::wrong_context;
    const digest seen = message_digest<S>(message);
    // Sent twice, answered twice, with the same bytes.
    if (s_.stage != client_stage::sent_keys && seen == s_.last_input) return errc::ok;
    if (header.kind != expected()) return errc::wrong_stage;
    if (header.kind == secure_message::deliveries && !has_input_) return errc::bad_parameter;
    detail::client_state next = copy();
    const errc rc = header.kind == secure_message::directory ? steps().on_directory(header, message, next)
                    : header.binding != s_.context           ? errc::wrong_context
                                                             : answer(header.kind, payload(message), next, executor);
    if (rc != errc::ok) return rc;
    next.last_input = seen;
    return commit(next);
  }

  errc answer(secure_message kind, bytes_view in, detail::client_state& next, executor_ref executor) {
    if (kind == secure_message::survivors) return steps().on_survivors(in, next);
    if (kind == secure_message::consents) return steps().on_consents(in, next);
    bool spent = false;
    const errc rc = steps().on_deliveries(in, next, input_, spent, executor);
    if (spent) input_.clear(), has_input_ = false;
    return rc;
  }

  secure_message expected() const noexcept {
    switch (s_.stage) {
    case client_stage::sent_keys:
      return secure_message::directory;
    case client_stage::sent_shares:
      return secure_message::deliveries;
    case client_stage::sent_input:
      return secure_message::survivors;
    case client_stage::sent_consent:
      return secure_message::consents;
    default:
      return secure_message::keys; // which no server sends
    }
  }

  /// The state without its output, which can be as large as the model.
  detail::client_state copy() const {
    detail::client_state c;
    c.stage = s_.stage;
    c.share_key = s_.share_key;
    c.mask_key = s_.mask_key;
    c.seed = s_.seed;
    c.context = s_.context;
    c.graph_seed = s_.graph_seed;
    c.own_share = s_.own_share;
    c.neighbours = s_.neighbours;
    c.directory = s_.directory;
    c.dealers = s_.dealers;
    c.survivors = s_.survivors;
    return c;
  }

  impl::client_steps<S, G> steps() noexcept { return {suite_, setup_, setup_hash_, identity_, self_}; }

  S suite_;
  secure_setup setup_;
  signing_key identity_;
  secret_key state_key_;
  keep_ref keep_;
  digest setup_hash_ = {};
  std::uint32_t self_ = 0;
  detail::client_state s_;
  ring_vector input_;
  bool has_input_ = false;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_SECURE_CLIENT_HPP
