// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_CRYPTO_SUITE_HPP
#define FEDAGG_SECURE_CRYPTO_SUITE_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <fedagg/secure/secret.hpp>

namespace fedagg::inline FEDAGG_ABI {

inline constexpr std::size_t seal_nonce_bytes = 24;
inline constexpr std::size_t seal_tag_bytes = 16;

/// The primitives that secure aggregation stands on, from a well-kept library: `fedagg/adapters/sodium.hpp` is the real
/// one. A copyable object; nothing in it may throw. Constant time in all secrets. Clients and servers copy it, also for
/// what they then give up: no copy may draw what another one drew, so the state of a generator is not copied with it.
///
///   S::name                                   stands in every hash: two suites never talk to each other
///   random(out)                               secret random bytes of the system; false if there are none
///   typename S::hasher                        unkeyed 32-byte hash: update(bytes), finish() -> digest
///   derive(key, info, out)                    a 32-byte pseudorandom function of a 32-byte key
///   agreement_public(secret, out)             the X25519 public key of a secret one
///   agree(secret, peer, out)                  X25519; false if the result is all zero (a peer's key of low order)
///   seal(key, nonce, plain, associated, out)  authenticated encryption, out = plain + 16 bytes; nonces are random
///   open(key, nonce, sealed, associated, out) false, and nothing of the plain text, if anything differs
///   sign(key, message, out)                   Ed25519
///   verify(key, message, signature)
///   signing_keys(seed, out, out_public)       the pair of a 32-byte secret seed
///   signing_public(key, out)                  the public key of a private one
// clang-format off
template <class S>
concept crypto_suite = std::copyable<S> && std::default_initializable<typename S::hasher> &&
    requires(S& s, const S& c, typename S::hasher& h, bytes_span out, bytes_view in, const secret_key& key,
             secret_key& made, const public_key& peer, public_key& made_public, const signing_key& own,
             signing_key& made_own, signature& signed_by, const signature& claimed, std::span<const std::uint8_t, seal_nonce_bytes> nonce) {
  { S::name } -> std::convertible_to<const char*>;
  { s.random(out) } noexcept -> std::same_as<bool>;
  { h.update(in) } noexcept;
  { h.finish() } noexcept -> std::same_as<digest>;
  { c.derive(key, in, made) } noexcept;
  { c.agreement_public(key, made_public) } noexcept;
  { c.agree(key, peer, made) } noexcept -> std::same_as<bool>;
  { c.seal(key, nonce, in, in, out) } noexcept;
  { c.open(key, nonce, in, in, out) } noexcept -> std::same_as<bool>;
  { c.sign(own, in, signed_by) } noexcept;
  { c.verify(peer, in, claimed) } noexcept -> std::same_as<bool>;
  { c.signing_keys(key, made_own, made_public) } noexcept;
  { c.signing_public(own, made_public) } noexcept;
};
// clang-format on

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_CRYPTO_SUITE_HPP
