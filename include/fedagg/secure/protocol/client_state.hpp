// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_CLIENT_STATE_HPP
#define FEDAGG_SECURE_PROTOCOL_CLIENT_STATE_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/secure/protocol/messages.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a client of secure aggregation has done last.
enum class client_stage : std::uint8_t { idle, sent_keys, sent_shares, sent_input, sent_consent, sent_openings };

namespace detail {

/// A neighbour's keys, and the shares that it sealed for this client.
struct client_neighbour {
  std::uint32_t client = 0;
  bool delivered = false, valid = false;
  public_key share_key = {}, mask_key = {};
  secret_key opens; // what it seals for this client
  secret_bytes<sealed_shares::plain_bytes> shares;
};

/// All that a client must remember between two messages.
struct client_state {
  client_stage stage = client_stage::idle;
  secret_key share_key, mask_key, seed;
  digest context = {}, graph_seed = {};
  secret_bytes<shamir_share_bytes> own_share; // of its own seed, on a complete graph
  std::vector<client_neighbour> neighbours;   // those of the directory, ascending
  client_set directory, dealers, survivors;
  digest last_input = {};           // hash of the message that led here
  std::vector<std::uint8_t> output; // what it was answered with

  /// What takes a mask off its own vector: of no use once that is masked.
  void forget_keys() noexcept {
    share_key.clear();
    mask_key.clear();
    seed.clear();
    for (client_neighbour& n : neighbours) n.opens.clear();
  }
  void forget_shares() noexcept {
    own_share.clear();
    for (client_neighbour& n : neighbours) n.shares.clear();
  }

  template <class Buffer>
  void write(wire_writer<Buffer>& w) const {
    w.u8(static_cast<std::uint8_t>(stage)).bytes(share_key.bytes()).bytes(mask_key.bytes()).bytes(seed.bytes());
    w.bytes(context).bytes(graph_seed).bytes(own_share.bytes());
    w.u32(static_cast<std::uint32_t>(neighbours.size()));
    for (const client_neighbour& n : neighbours) {
      w.u32(n.client).u8(static_cast<std::uint8_t>((n.delivered ? 1 : 0) | (n.valid ? 2 : 0)));
      w.bytes(n.share_key).bytes(n.mask_key).bytes(n.opens.bytes()).bytes(n.shares.bytes());
    }
    for (const client_set* set : {&directory, &dealers, &survivors}) {
      w.u32(static_cast<std::uint32_t>(set->bytes().size()));
      w.bytes(set->bytes());
    }
    w.bytes(last_input).u64(output.size()).bytes(output);
  }

  /// `state_mismatch` for what no client of this roster wrote. Throws std::bad_alloc.
  errc read(wire_reader& r, std::uint32_t roster) {
    const std::uint8_t at = r.u8();
    if (at > static_cast<std::uint8_t>(client_stage::sent_openings)) return errc::state_mismatch;
    stage = static_cast<client_stage>(at);
    r.secret(share_key);
    r.secret(mask_key);
    r.secret(seed);
    context = r.array<32>();
    graph_seed = r.array<32>();
    r.secret(own_share);
    const std::uint32_t count = r.u32();
    if (count >= roster) return errc::state_mismatch;
    neighbours.clear();
    for (std::uint32_t k = 0; k < count && r.ok(); ++k) {
      client_neighbour n;
      n.client = r.u32();
      const std::uint8_t flags = r.u8();
      n.delivered = flags & 1;
      n.valid = (flags & 2) != 0;
      n.share_key = r.array<32>();
      n.mask_key = r.array<32>();
      r.secret(n.opens);
      r.secret(n.shares);
      if (n.client >= roster || (k > 0 && n.client <= neighbours.back().client)) return errc::state_mismatch;
      neighbours.push_back(n);
    }
    for (client_set* set : {&directory, &dealers, &survivors}) {
      const std::uint32_t size = r.u32();
      if (size == 0) continue;
      if (client_set::from_bytes(roster, r.bytes(size), *set) != errc::ok) return errc::state_mismatch;
    }
    last_input = r.array<32>();
    const std::uint64_t size = r.u64();
    if (size > r.left()) return errc::state_mismatch;
    const bytes_view out = r.bytes(static_cast<std::size_t>(size));
    output.assign(out.begin(), out.end());
    return r.done() ? errc::ok : errc::state_mismatch;
  }
};

} // namespace detail

/// Where a client keeps its state: called with the sealed state before every message leaves, it returns true once the
/// state will survive a crash. A reference to any lvalue callable.
class keep_ref {
public:
  keep_ref() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cv_t<F>, keep_ref> && std::is_invocable_r_v<bool, F&, bytes_view>)
      keep_ref(F& keep)
  noexcept
      : object_(const_cast<void*>(static_cast<const void*>(&keep))),
        keep_([](void* object, bytes_view state) { return bool((*static_cast<F*>(object))(state)); }) {}

  explicit operator bool() const noexcept { return keep_ != nullptr; }
  bool operator()(bytes_view state) const { return keep_(object_, state); }

private:
  void* object_ = nullptr;
  bool (*keep_)(void*, bytes_view) = nullptr;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_PROTOCOL_CLIENT_STATE_HPP
