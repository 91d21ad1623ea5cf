// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_SODIUM_HPP
#define FEDAGG_ADAPTERS_SODIUM_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <sodium.h>

#include <fedagg/secure/crypto_suite.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The primitives of libsodium (1.0.18 or later) as a `crypto_suite`: X25519 (RFC 7748), BLAKE2b with 32 bytes of
/// output (RFC 7693; keyed where it derives), XChaCha20-Poly1305, Ed25519 (RFC 8032), the system's random numbers.
///
/// Copies are free and share nothing; any number of threads may make and use their own. libsodium itself aborts the
/// process if the system's generator fails after it has once worked; no other party can bring that about.
class sodium_suite {
public:
  /// What the bytes are, not who makes them: another library with the same primitives may take part.
  static constexpr const char* name = "X25519 BLAKE2b-256 XChaCha20-Poly1305 Ed25519";

  sodium_suite() noexcept : ready_(sodium_init() >= 0) {}

  /// False if libsodium could not be initialised, which is then the answer of `random` too.
  bool ready() const noexcept { return ready_; }

  /// BLAKE2b without a key. What it has taken in is wiped when it goes, for it may have been a secret.
  class hasher {
  public:
    hasher() noexcept { crypto_generichash_init(&state_, nullptr, 0, bytes); }
    hasher(const hasher&) = default;
    hasher& operator=(const hasher&) = default;
    ~hasher() { sodium_memzero(&state_, sizeof state_); }

    void update(bytes_view in) noexcept { crypto_generichash_update(&state_, in.data(), in.size()); }
    /// The hash of all that was taken in; the hasher is then as new.
    digest finish() noexcept {
      digest out;
      crypto_generichash_final(&state_, out.data(), bytes);
      crypto_generichash_init(&state_, nullptr, 0, bytes);
      return out;
    }

  private:
    static constexpr std::size_t bytes = sizeof(digest);
    crypto_generichash_state state_;
  };

  bool random(bytes_span out) noexcept {
    if (ready_ && !out.empty()) randombytes_buf(out.data(), out.size());
    return ready_;
  }

  /// BLAKE2b of `info` under `key`.
  void derive(const secret_key& key, bytes_view info, secret_key& out) const noexcept {
    secret_key made; // `out` may be the key
    crypto_generichash(made.data(), made.size(), info.data(), info.size(), key.data(), key.size());
    out = made;
  }

  void agreement_public(const secret_key& secret, public_key& out) const noexcept {
    crypto_scalarmult_base(out.data(), secret.data());
  }
  bool agree(const secret_key& secret, const public_key& peer, secret_key& out) const noexcept {
    secret_key made;
    const bool agreed = crypto_scalarmult(made.data(), secret.data(), peer.data()) == 0;
    if (!agreed) made.clear();
    out = made;
    return agreed;
  }

  /// `out` has room for `plain` and 16 bytes more; it may begin where `plain` does.
  void seal(const secret_key& key, std::span<const std::uint8_t, seal_nonce_bytes> nonce, bytes_view plain,
            bytes_view associated, bytes_span out) const noexcept {
    crypto_aead_xchacha20poly1305_ietf_encrypt(out.data(), nullptr, plain.data(), plain.size(), associated.data(),
                                               associated.size(), nullptr, nonce.data(), key.data());
  }
  bool open(const secret_key& key, std::span<const std::uint8_t, seal_nonce_bytes> nonce, bytes_view sealed,
            bytes_view associated, bytes_span out) const noexcept {
    if (sealed.size() < seal_tag_bytes) return false;
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(), sealed.size(),
                                                      associated.data(), associated.size(), nonce.data(),
                                                      key.data()) == 0;
  }

  void signing_keys(const secret_key& seed, signing_key& own, public_key& out) const noexcept {
    crypto_sign_seed_keypair(out.data(), own.data(), seed.data());
  }
  void signing_public(const signing_key& key, public_key& out) const noexcept {
    crypto_sign_ed25519_sk_to_pk(out.data(), key.data());
  }
  void sign(const signing_key& key, bytes_view message, signature& out) const noexcept {
    crypto_sign_detached(out.data(), nullptr, message.data(), message.size(), key.data());
  }
  bool verify(const public_key& key, bytes_view message, const signature& claimed) const noexcept {
    return crypto_sign_verify_detached(claimed.data(), message.data(), message.size(), key.data()) == 0;
  }

private:
  bool ready_;
};

static_assert(crypto_suite<sodium_suite>);
static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == seal_nonce_bytes &&
              crypto_aead_xchacha20poly1305_ietf_ABYTES == seal_tag_bytes && crypto_sign_BYTES == sizeof(signature) &&
              crypto_sign_SECRETKEYBYTES == signing_key::size());

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ADAPTERS_SODIUM_HPP
