// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_SECURE_SERVER_HPP
#define FEDAGG_SECURE_SECURE_SERVER_HPP

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/secure/protocol/only_sums.hpp>
#include <fedagg/secure/protocol/server_book.hpp>
#include <fedagg/secure/ring_vector.hpp>
#include <fedagg/secure/secure_setup.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// The server's part of one round of secure aggregation: bytes in, bytes out, no transport, no clock. It takes messages
/// while a stage is open; `try_advance` ends the stage, with the clients that have answered, when the caller's deadline
/// is over or `complete()`; `try_message` then makes what each of them is sent next. A client that is silent, late or
/// sends what is wrong has dropped out and is named in the report; it never ends the round. Memory: the vector, and n k
/// shares.
template <crypto_suite S, mask_generator G = chacha20_masks>
class secure_server {
public:
  explicit secure_server(const S& suite = S{}) : book_(suite) {}

  /// A new round. What `secure_setup::check` says, `no_randomness`, `out_of_memory`.
  [[nodiscard]] errc try_begin(const secure_setup& setup) noexcept {
    return impl::no_throw([&] {
      if (const errc rc = setup.template check<G>(); rc != errc::ok) return rc;
      secure_server next(book_.suite());
      if (const errc rc = next.book_.begin(setup, setup.template hash<S, G>()); rc != errc::ok) return rc;
      if (const errc rc = next.sum_.try_reset(setup.layout); rc != errc::ok) return rc;
      next.answered_ = client_set(setup.clients());
      next.culprit_ = setup.clients();
      next.stage_ = server_stage::keys;
      next.waiting_ = setup.clients();
      *this = std::move(next);
      return errc::ok;
    });
  }

  server_stage stage() const noexcept { return stage_; }
  /// Those whose answer this stage waits for, those that have answered, and whether that is all of them.
  bool expects(std::uint32_t client) const noexcept { return book_.expects(stage_, client); }
  bool answered(std::uint32_t client) const noexcept { return answered_.contains(client); }
  std::uint32_t answers() const noexcept { return answered_.size(); }
  bool complete() const noexcept { return waiting_ == 0; }
  /// Whose inputs the sum is made of: known once the stage `inputs` is over.
  const client_set& survivors() const noexcept { return book_.survivors(); }
  const client_report& report(std::uint32_t client) const noexcept { return book_[client].report; }
  /// The client that a failed round failed for; the roster's size if it was none.
  std::uint32_t culprit() const noexcept { return culprit_; }

  /// Takes a client's message. `ok`, also for one that came before; what does not bear the sender's signature is
  /// refused and means nothing: `message_format`, `unknown_client`, `wrong_context`, `bad_signature`, `wrong_stage`.
  /// What does, and is wrong, is the sender's fault and goes into its report: `message_format`, `bad_key`, `bad_share`,
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
      book_.write_message(stage_, client, out);
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
  errc receive(bytes_view message) {
    message_header header;
    if (const errc rc = read_header(message, header); rc != errc::ok) return rc;
    if (header.client >= clients()) return errc::unknown_client;
    if (!expects(header.client) || header.kind != expected()) return errc::wrong_stage;
    auto& peer = book_[header.client];
    if (peer.report.fault != errc::ok) return errc::wrong_stage;
    if (header.binding != book_.binding(stage_)) return errc::wrong_context;
    // Nothing longer than a right message is hashed.
    const std::size_t size = book_.size_of(stage_, header.client);
    if (message.size() > size || message.size() < message_header_bytes + message_signature_bytes)
      return errc::message_format;
    const digest seen = message_digest<S>(message.first(message.size() - message_signature_bytes));
    if (answered(header.client)) return seen == peer.last ? errc::ok : errc::wrong_stage;
    if (!verify_digest(book_.suite(), book_.setup().roster[header.client], seen, message)) return errc::bad_signature;
    const errc rc = message.size() < size ? errc::message_format : take(header.client, message);
    if (rc == errc::out_of_memory) return rc;
    --waiting_;
    if (rc != errc::ok) {
      peer.report.fault = rc;
      peer.report.stage = stage_;
      return rc;
    }
    peer.last = seen;
    answered_.insert(header.client);
    return errc::ok;
  }

  errc take(std::uint32_t client, bytes_view message) {
    switch (stage_) {
    case server_stage::keys:
      return book_.on_keys(client, message);
    case server_stage::shares:
      return book_.on_shares(client, signed_payload(message));
    case server_stage::inputs:
      return try_add_packed(signed_payload(message), sum_);
    case server_stage::consents:
      return book_.on_consent(client, message);
    default:
      return book_.on_openings(client, signed_payload(message));
    }
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

  errc advance(executor_ref executor) {
    const secure_setup& setup = book_.setup();
    if (stage_ == server_stage::openings) return unmask(executor);
    if (stage_ < server_stage::keys || stage_ > server_stage::openings) return errc::wrong_stage;
    if (answered_.size() < (stage_ == server_stage::consents ? setup.quorum() : setup.least()))
      return errc::round_incomplete;
    if (stage_ == server_stage::inputs && !book_.supports(answered_)) return errc::round_incomplete;
    client_set nobody(clients());
    book_.close(stage_, answered_);
    answered_ = std::move(nobody);
    stage_ = stage_ == server_stage::inputs && !setup.consistent()
                 ? server_stage::openings
                 : static_cast<server_stage>(static_cast<int>(stage_) + 1);
    waiting_ = 0;
    for (std::uint32_t i = 0; i < clients(); ++i) waiting_ += expects(i) && report(i).fault == errc::ok;
    return errc::ok;
  }

  errc unmask(executor_ref executor) {
    std::vector<mask_key> masks;
    std::uint32_t culprit = clients();
    errc rc = book_.masks(masks, culprit);
    if (rc == errc::round_incomplete) return rc;
    if (rc == errc::ok) rc = add_masks(G{}, sum_, masks, executor);
    if (rc == errc::out_of_memory) return rc;
    if (rc == errc::bad_dealer) {
      culprit_ = culprit;
      book_[culprit].report.fault = rc;
      book_[culprit].report.stage = stage_;
    }
    stage_ = rc == errc::ok ? server_stage::done : server_stage::failed;
    waiting_ = 0;
    book_.forget_shares();
    return rc;
  }

  std::uint32_t clients() const noexcept { return book_.setup().clients(); }

  impl::server_book<S> book_;
  server_stage stage_ = server_stage::idle;
  client_set answered_;
  std::uint32_t waiting_ = 0; // for so many
  ring_vector sum_;
  std::uint32_t culprit_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_SECURE_SERVER_HPP
