// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_KEY_SCHEDULE_HPP
#define FEDAGG_SECURE_PROTOCOL_KEY_SCHEDULE_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/errc.hpp>
#include <fedagg/secure/mask.hpp>
#include <fedagg/secure/protocol/messages.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Every hash and key of a round but those of messages, each under a label of its own and bound to the round's context.
/// i is the dealer or sender, j the holder or receiver.
template <crypto_suite S>
class key_schedule {
public:
  key_schedule(const S& suite, const digest& context) noexcept : suite_(suite), context_(context) {}

  /// What a pair seals its shares with, each direction under a key of its own. False for a peer's key of low order.
  bool share_keys(const secret_key& own, const public_key& peer, std::uint32_t mine, std::uint32_t theirs,
                  secret_key& to_peer, secret_key& from_peer) const noexcept {
    secret_key shared;
    if (!suite_.agree(own, peer, shared)) return false;
    derive("fedagg share key", shared, mine, theirs, to_peer);
    derive("fedagg share key", shared, theirs, mine, from_peer);
    return true;
  }
  /// The mask that a pair adds and subtracts: the same for both. The client with the lower index adds.
  bool pair_mask(const secret_key& own, const public_key& peer, std::uint32_t mine, std::uint32_t theirs,
                 mask_key& out) const noexcept {
    out.subtract = mine > theirs;
    secret_key shared;
    if (!suite_.agree(own, peer, shared)) return false;
    derive("fedagg pair mask", shared, mine < theirs ? mine : theirs, mine < theirs ? theirs : mine, out.key);
    return true;
  }
  void self_mask(const secret_key& seed, std::uint32_t i, mask_key& out) const noexcept {
    out.subtract = false;
    derive("fedagg self mask", seed, i, i, out.key);
  }

  /// What a dealer says of its self mask's seed, and of each share.
  digest seed_hash(const secret_key& seed, std::uint32_t i) const noexcept {
    return transcript<S>("fedagg self mask hash").bytes(context_).number(i).bytes(seed.bytes()).finish();
  }
  digest share_hash(share_of kind, std::uint32_t i, std::uint32_t j, bytes_view share) const noexcept {
    transcript<S> h("fedagg share hash");
    h.bytes(context_).number(static_cast<std::uint64_t>(kind)).number(i).number(j);
    return h.bytes(share).finish();
  }
  /// What sealed shares are bound to besides their key: a holder that opens them knows that the server has these
  /// hashes.
  digest share_binding(std::uint32_t i, std::uint32_t j, const digest& seed, const digest& self_share,
                       const digest& mask_share) const noexcept {
    transcript<S> h("fedagg sealed shares");
    h.bytes(context_).number(i).number(j).bytes(seed).bytes(self_share).bytes(mask_share);
    return h.finish();
  }
  /// What a client consents to: who sent shares, and whose input is summed.
  digest survivors(bytes_view dealers, bytes_view inputs) const noexcept {
    return transcript<S>("fedagg survivors").bytes(context_).bytes(dealers).bytes(inputs).finish();
  }

private:
  void derive(const char* label, const secret_key& key, std::uint32_t i, std::uint32_t j,
              secret_key& out) const noexcept {
    const digest info = transcript<S>(label).bytes(context_).number(i).number(j).finish();
    suite_.derive(key, info, out);
  }

  const S& suite_;
  const digest& context_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_PROTOCOL_KEY_SCHEDULE_HPP
