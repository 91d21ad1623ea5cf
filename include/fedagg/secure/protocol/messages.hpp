// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_MESSAGES_HPP
#define FEDAGG_SECURE_PROTOCOL_MESSAGES_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/secure/protocol/client_set.hpp>
#include <fedagg/secure/protocol/transcript.hpp>
#include <fedagg/secure/protocol/wire.hpp>
#include <fedagg/secure/shamir.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The messages of a round, in their order. Those of clients are signed; a server has no key, and needs none: what it
/// says is bound by what clients signed.
enum class secure_message : std::uint8_t {
  keys = 1,   ///< client: its fresh public keys
  directory,  ///< server: everyone's
  shares,     ///< client: shares of its secrets, sealed for each neighbour
  deliveries, ///< server: the shares that others sealed for this client
  masked,     ///< client: its masked vector
  survivors,  ///< server: whose masked vectors it has
  consent,    ///< client: a signature on that
  consents,   ///< server: everyone's
  openings,   ///< client: shares of self masks of survivors, of mask keys of the others
};

inline constexpr std::uint8_t secure_wire_version = 1;
inline constexpr std::size_t message_header_bytes = 40;
inline constexpr std::size_t message_signature_bytes = 64;

/// The first 40 bytes of every message: "FA", version, kind, the client it is from or for, and what it is bound to: the
/// hash of the setup for `keys`, of setup and all fresh keys (the context) for all others.
struct message_header {
  secure_message kind{};
  std::uint32_t client = 0;
  digest binding = {};
};

/// Throws std::bad_alloc.
inline void begin_message(const message_header& header, std::vector<std::uint8_t>& out) {
  out.clear();
  wire_writer(out).u8('F').u8('A').u8(secure_wire_version).u8(static_cast<std::uint8_t>(header.kind));
  wire_writer(out).u32(header.client).bytes(header.binding);
}

/// `message_format` for bytes of anything else.
[[nodiscard]] inline errc read_header(bytes_view in, message_header& out) noexcept {
  wire_reader r(in);
  const bool mine = r.u8() == 'F' && r.u8() == 'A' && r.u8() == secure_wire_version;
  const std::uint8_t kind = r.u8();
  out.client = r.u32();
  out.binding = r.array<32>();
  if (!mine || !r.ok() || kind < 1 || kind > static_cast<std::uint8_t>(secure_message::openings))
    return errc::message_format;
  out.kind = static_cast<secure_message>(kind);
  return errc::ok;
}

/// What a client's signature is over: header and payload, by their hash.
template <crypto_suite S>
digest message_digest(bytes_view header_and_payload) noexcept {
  return transcript<S>("fedagg secure aggregation 1 message").bytes(header_and_payload).finish();
}
/// Throws std::bad_alloc.
template <crypto_suite S>
void sign_message(const S& suite, const signing_key& key, std::vector<std::uint8_t>& message) {
  const digest hash = message_digest<S>(message);
  signature made;
  suite.sign(key, hash, made);
  message.insert(message.end(), made.begin(), made.end());
}
/// True if the signature at the end of a message is this key's, of this hash.
template <crypto_suite S>
bool verify_digest(const S& suite, const public_key& key, const digest& hash, bytes_view message) noexcept {
  signature claimed;
  std::memcpy(claimed.data(), message.data() + message.size() - message_signature_bytes, message_signature_bytes);
  return suite.verify(key, hash, claimed);
}
/// True if a whole message, signature last, is signed by this key.
template <crypto_suite S>
bool verify_message(const S& suite, const public_key& key, bytes_view message) noexcept {
  if (message.size() < message_header_bytes + message_signature_bytes) return false;
  return verify_digest(suite, key, message_digest<S>(message.first(message.size() - message_signature_bytes)), message);
}
/// Without header and signature, or without header.
inline bytes_view signed_payload(bytes_view message) noexcept {
  return message.subspan(message_header_bytes, message.size() - message_header_bytes - message_signature_bytes);
}
inline bytes_view payload(bytes_view message) noexcept { return message.subspan(message_header_bytes); }

/// The name of a round with its fresh keys: of the setup and a directory's whole payload (the graph's seed too).
template <crypto_suite S>
digest context_of(const digest& setup, bytes_view directory_payload) noexcept {
  return transcript<S>("fedagg secure aggregation 1 context").bytes(setup).bytes(directory_payload).finish();
}

/// One client in a directory: its fresh keys, and its signature of the `keys` message that brought them.
struct directory_entry {
  static constexpr std::size_t bytes = 4 + 32 + 32 + 64;

  std::uint32_t client = 0;
  public_key share_key = {}, mask_key = {};
  signature signed_by = {};

  template <class Buffer>
  void write(wire_writer<Buffer>& w) const {
    w.u32(client).bytes(share_key).bytes(mask_key).bytes(signed_by);
  }
  void read(wire_reader& r) noexcept {
    client = r.u32();
    share_key = r.array<32>();
    mask_key = r.array<32>();
    signed_by = r.array<64>();
  }
  /// The message that was signed. Throws std::bad_alloc.
  void message(const digest& setup, std::vector<std::uint8_t>& out) const {
    begin_message({secure_message::keys, client, setup}, out);
    wire_writer(out).bytes(share_key).bytes(mask_key).bytes(signed_by);
  }
};

/// What a dealer sends to one holder: hashes of the two shares, which everybody on the way sees, and the shares sealed.
struct sealed_shares {
  static constexpr std::size_t plain_bytes = 2 * shamir_share_bytes;
  static constexpr std::size_t bytes = 2 * 32 + seal_nonce_bytes + plain_bytes + seal_tag_bytes;

  digest self_hash = {}, mask_hash = {};
  std::array<std::uint8_t, seal_nonce_bytes> nonce = {};
  std::array<std::uint8_t, plain_bytes + seal_tag_bytes> sealed = {};

  template <class Buffer>
  void write(wire_writer<Buffer>& w) const {
    w.bytes(self_hash).bytes(mask_hash).bytes(nonce).bytes(sealed);
  }
  void read(wire_reader& r) noexcept {
    self_hash = r.array<32>();
    mask_hash = r.array<32>();
    nonce = r.array<seal_nonce_bytes>();
    sealed = r.array<plain_bytes + seal_tag_bytes>();
  }
};

/// Which secret of a dealer a share belongs to.
enum class share_of : std::uint8_t { none = 0, self_mask = 1, mask_key = 2 };

/// One share that a client opens; `none` says that its dealer sent one that did not open.
struct opened_share {
  static constexpr std::size_t bytes = 1 + shamir_share_bytes;

  share_of kind = share_of::none;
  std::array<std::uint8_t, shamir_share_bytes> share = {};

  template <class Buffer>
  void write(wire_writer<Buffer>& w) const {
    w.u8(static_cast<std::uint8_t>(kind)).bytes(share);
  }
  void read(wire_reader& r) noexcept {
    kind = static_cast<share_of>(r.u8());
    share = r.array<shamir_share_bytes>();
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_PROTOCOL_MESSAGES_HPP
