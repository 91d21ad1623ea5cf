// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_RECORDING_SUITE_HPP
#define FEDAGG_TESTS_SUPPORT_RECORDING_SUITE_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fedagg/secure/mask.hpp>
#include <fedagg/secure/secret.hpp>

namespace fedagg_test {

using key32 = std::array<std::uint8_t, 32>;

struct key_hash {
  std::size_t operator()(const key32& k) const noexcept {
    std::uint64_t word[2];
    std::memcpy(word, k.data(), sizeof word);
    return static_cast<std::size_t>(word[0] ^ word[1] * 0x9e3779b97f4a7c15u);
  }
};

inline key32 as_key(const fedagg::secret_key& k) noexcept {
  key32 out;
  std::memcpy(out.data(), k.data(), out.size());
  return out;
}
inline fedagg::secret_key as_secret(const key32& k) noexcept { return fedagg::secret_key(std::span(k)); }

/// What was computed in a world from what: the ground truth that a knowledge tracker closes over.
struct recorder {
  using shares = std::array<std::uint8_t, 72>;
  struct box {
    key32 key;
    shares plain;
  };
  std::unordered_map<key32, std::vector<key32>, key_hash> derived; ///< what was derived from a key
  std::unordered_map<key32, key32, key_hash> secret_of;            ///< of a public key
  std::vector<std::vector<key32>> draws;                           ///< of 32 bytes, for each party
  std::unordered_map<std::string, box> boxes;                      ///< sealed shares, by their tag
  std::vector<std::pair<key32, bool>> masks; ///< the keys that were added last, and whether taken off
};

/// Faults that a client may be made with. Each must be found by the tracker.
struct planted_faults {
  bool no_self_mask = false;    ///< masks without the last key, which is its own
  bool reused_seed = false;     ///< the self mask's seed is the same in every round
  bool reused_keys = false;     ///< both key pairs are
  bool one_pair = false;        ///< both key pairs have one secret
  bool no_context = false;      ///< nothing is bound to the round
  std::uint32_t low_degree = 0; ///< so many of the highest coefficients of a dealer's polynomials are zero
};
inline planted_faults planted;

/// A suite that writes down what it does, and errs where a fault is planted.
template <class Base>
class recording_suite {
  using bytes_view = fedagg::bytes_view;

public:
  static constexpr const char* name = Base::name;

  recording_suite() = default;
  recording_suite(std::uint64_t seed, std::uint32_t party, recorder* log = nullptr)
      : base_(make(seed, party)), log_(log), party_(party) {
    if (log_ && log_->draws.size() <= party) log_->draws.resize(party + 1);
  }

  class hasher {
  public:
    void update(bytes_view in) noexcept {
      // The label is a transcript's second piece.
      if (++pieces_ == 2 && planted.no_context)
        is_context_ = std::string_view(reinterpret_cast<const char*>(in.data()), in.size()) ==
                      "fedagg secure aggregation 1 context";
      base_.update(in);
    }
    fedagg::digest finish() noexcept { return is_context_ ? fedagg::digest{} : base_.finish(); }

  private:
    typename Base::hasher base_;
    int pieces_ = 0;
    bool is_context_ = false;
  };

  bool random(fedagg::bytes_span out) noexcept {
    if (!base_.random(out)) return false;
    if (!log_) return true;
    if (out.size() == 1024 && planted.low_degree > 0)
      std::memset(out.data(), 0, std::min<std::size_t>(1024, planted.low_degree * std::size_t{36}));
    if (out.size() != 32) return true;
    std::vector<key32>& mine = log_->draws[party_];
    // Every round draws the keys for shares and masks, then the seed.
    const std::size_t which = mine.size() % 3;
    if (mine.size() >= 3 && (which == 2 ? planted.reused_seed : planted.reused_keys))
      std::memcpy(out.data(), mine[mine.size() - 3].data(), 32);
    if (planted.one_pair) {
      if (which == 1) std::memcpy(out.data(), mine.back().data(), 32);
      if (which < 2) out[31] = static_cast<std::uint8_t>(which);
    }
    std::memcpy(mine.emplace_back().data(), out.data(), 32);
    return true;
  }
  void derive(const fedagg::secret_key& key, bytes_view info, fedagg::secret_key& out) const noexcept {
    const key32 from = as_key(key);
    base_.derive(key, info, out);
    if (log_) log_->derived[from].push_back(as_key(out));
  }
  void agreement_public(const fedagg::secret_key& secret, fedagg::public_key& out) const noexcept {
    base_.agreement_public(one(secret), out);
    if (planted.one_pair) out[30] = secret.data()[31];
    if (log_) log_->secret_of[out] = as_key(secret);
  }
  bool agree(const fedagg::secret_key& secret, const fedagg::public_key& peer, fedagg::secret_key& out) const noexcept {
    return base_.agree(one(secret), peer, out);
  }
  void seal(const fedagg::secret_key& key, std::span<const std::uint8_t, 24> nonce, bytes_view plain,
            bytes_view associated, fedagg::bytes_span out) const noexcept {
    recorder::box b;
    const bool shares = log_ && plain.size() == b.plain.size();
    if (shares) std::memcpy(b.plain.data(), plain.data(), plain.size());
    base_.seal(key, nonce, plain, associated, out);
    if (!shares) return;
    b.key = as_key(key);
    log_->boxes[tag_of(out)] = b;
  }
  bool open(const fedagg::secret_key& key, std::span<const std::uint8_t, 24> nonce, bytes_view sealed,
            bytes_view associated, fedagg::bytes_span out) const noexcept {
    return base_.open(key, nonce, sealed, associated, out);
  }
  void signing_keys(const fedagg::secret_key& seed, fedagg::signing_key& own, fedagg::public_key& out) const noexcept {
    base_.signing_keys(seed, own, out);
  }
  void signing_public(const fedagg::signing_key& key, fedagg::public_key& out) const noexcept {
    base_.signing_public(key, out);
  }
  void sign(const fedagg::signing_key& key, bytes_view message, fedagg::signature& out) const noexcept {
    base_.sign(key, message, out);
  }
  bool verify(const fedagg::public_key& key, bytes_view message, const fedagg::signature& claimed) const noexcept {
    return base_.verify(key, message, claimed);
  }

  static std::string tag_of(bytes_view sealed) {
    const bytes_view tag = sealed.last(16);
    return {reinterpret_cast<const char*>(tag.data()), tag.size()};
  }

private:
  static Base make([[maybe_unused]] std::uint64_t seed, [[maybe_unused]] std::uint32_t party) {
    if constexpr (std::is_constructible_v<Base, std::uint64_t, std::uint64_t>)
      return Base(seed, party);
    else
      return Base();
  }
  /// The secret that a planted tag stands on.
  static fedagg::secret_key one(const fedagg::secret_key& secret) noexcept {
    fedagg::secret_key out = secret;
    if (planted.one_pair) out.data()[31] = 0;
    return out;
  }

  Base base_;
  recorder* log_ = nullptr;
  std::uint32_t party_ = 0;
};

/// The library's masks; writes down their keys.
struct recording_masks {
  static constexpr const char* name = fedagg::chacha20_masks::name;
  static constexpr std::uint64_t segment_bytes = fedagg::chacha20_masks::segment_bytes;
  static inline recorder* log = nullptr;

  bool keystream(const fedagg::secret_key& key, std::uint64_t segment, std::uint64_t offset,
                 fedagg::bytes_span out) const noexcept {
    return fedagg::chacha20_masks().keystream(key, segment, offset, out);
  }
  template <class Word>
  void add(std::span<const fedagg::mask_key> keys, std::uint64_t segment, std::uint64_t offset,
           std::span<Word> words) const noexcept {
    if (planted.no_self_mask) keys = keys.first(keys.size() - 1);
    if (log) {
      log->masks.clear();
      for (const auto& k : keys) log->masks.emplace_back(as_key(k.key), k.subtract);
    }
    fedagg::chacha20_masks().add(keys, segment, offset, words);
  }
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_RECORDING_SUITE_HPP
