// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_TOY_SUITE_HPP
#define FEDAGG_TESTS_SUPPORT_TOY_SUITE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <fedagg/core/random.hpp>
#include <fedagg/secure/secret.hpp>

namespace fedagg_test {

/// A suite that is fast, repeatable and worth nothing: a key exchange modulo 2^61 - 1, a hash that mixes, signatures that
/// anyone can make. It says everything that a real one says when bytes differ, which is what the protocol's tests need,
/// on machines that have no library of primitives too.
class toy_suite {
  using bytes_view = fedagg::bytes_view;

public:
  static constexpr const char* name = "toy";

  toy_suite() : toy_suite(1, 0) {}
  toy_suite(std::uint64_t seed, std::uint64_t party) : random_(seed ^ party * 0x9e3779b97f4a7c15u, "toy suite") {}

  class hasher {
  public:
    void update(bytes_view in) noexcept {
      // Large rounds hash gigabytes: eight bytes at a time, wherever the last word ended.
      for (; in.size() >= 8; in = in.subspan(8), bytes_ += 8) {
        std::uint64_t next;
        std::memcpy(&next, in.data(), 8);
        const std::uint64_t have = 8 * (bytes_ % 8);
        absorb(word_ | next << have);
        word_ = have == 0 ? 0 : next >> (64 - have);
      }
      for (const std::uint8_t byte : in) {
        word_ |= std::uint64_t{byte} << (8 * (bytes_ % 8));
        if (++bytes_ % 8 == 0) absorb(word_), word_ = 0;
      }
    }
    fedagg::digest finish() noexcept {
      absorb(word_);
      absorb(bytes_);
      fedagg::digest out;
      for (std::size_t k = 0; k < 4; ++k) {
        absorb(k);
        std::memcpy(out.data() + 8 * k, &state_[k], 8);
      }
      return out;
    }

  private:
    void absorb(std::uint64_t word) noexcept {
      state_[0] ^= word;
      for (int round = 0; round < 2; ++round) {
        std::uint64_t x = state_[0] + state_[3];
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        x ^= x >> 31;
        state_ = {state_[1] ^ x, state_[2] + x, state_[3] ^ (x << 17 | x >> 47), state_[0] + 0x9e3779b97f4a7c15u};
      }
    }
    std::array<std::uint64_t, 4> state_ = {1, 2, 3, 4};
    std::uint64_t word_ = 0, bytes_ = 0;
  };

  bool random(fedagg::bytes_span out) noexcept {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(random_());
    return true;
  }
  void derive(const fedagg::secret_key& key, bytes_view info, fedagg::secret_key& out) const noexcept {
    hasher h;
    h.update(key.bytes());
    h.update(info);
    const fedagg::digest d = h.finish();
    std::memcpy(out.data(), d.data(), d.size());
  }
  void agreement_public(const fedagg::secret_key& secret, fedagg::public_key& out) const noexcept {
    out = {};
    put(power(3, exponent(secret)), out.data());
    out[31] = 1; // never all zero
  }
  bool agree(const fedagg::secret_key& secret, const fedagg::public_key& peer, fedagg::secret_key& out) const noexcept {
    std::uint64_t base;
    std::memcpy(&base, peer.data(), 8);
    out.clear();
    const std::uint64_t shared = power(base % prime, exponent(secret));
    put(shared, out.data());
    return shared > 1;
  }
  void seal(const fedagg::secret_key& key, std::span<const std::uint8_t, 24> nonce, bytes_view plain,
            bytes_view associated, fedagg::bytes_span out) const noexcept {
    stream(key, nonce, plain, out);
    tag(key, nonce, out.first(plain.size()), associated, out.data() + plain.size());
  }
  bool open(const fedagg::secret_key& key, std::span<const std::uint8_t, 24> nonce, bytes_view sealed,
            bytes_view associated, fedagg::bytes_span out) const noexcept {
    if (sealed.size() < 16) return false;
    std::uint8_t expected[16];
    const bytes_view text = sealed.first(sealed.size() - 16);
    tag(key, nonce, text, associated, expected);
    if (std::memcmp(expected, sealed.data() + text.size(), 16) != 0) return false;
    stream(key, nonce, text, out);
    return true;
  }
  void signing_keys(const fedagg::secret_key& seed, fedagg::signing_key& own, fedagg::public_key& out) const noexcept {
    own.clear();
    std::memcpy(own.data(), seed.data(), seed.size());
    signing_public(own, out);
  }
  void signing_public(const fedagg::signing_key& key, fedagg::public_key& out) const noexcept {
    hasher h;
    h.update(key.bytes());
    out = h.finish();
  }
  void sign(const fedagg::signing_key& key, bytes_view message, fedagg::signature& out) const noexcept {
    fedagg::public_key own;
    signing_public(key, own);
    out = signature_of(own, message);
  }
  bool verify(const fedagg::public_key& key, bytes_view message, const fedagg::signature& claimed) const noexcept {
    return claimed == signature_of(key, message);
  }

private:
  static constexpr std::uint64_t prime = (std::uint64_t{1} << 61) - 1;
  __extension__ typedef unsigned __int128 wide;

  static std::uint64_t power(std::uint64_t base, std::uint64_t exponent) noexcept {
    std::uint64_t result = 1;
    for (; exponent != 0; exponent >>= 1) {
      if (exponent & 1) result = static_cast<std::uint64_t>(static_cast<wide>(result) * base % prime);
      base = static_cast<std::uint64_t>(static_cast<wide>(base) * base % prime);
    }
    return result;
  }
  static std::uint64_t exponent(const fedagg::secret_key& secret) noexcept {
    const fedagg::digest d = hash_of(secret.bytes(), {}, {});
    std::uint64_t e;
    std::memcpy(&e, d.data(), 8);
    return e;
  }
  static void put(std::uint64_t word, std::uint8_t* to) noexcept { std::memcpy(to, &word, 8); }
  static fedagg::digest hash_of(bytes_view a, bytes_view b, bytes_view c) noexcept {
    hasher h;
    h.update(a);
    h.update(b);
    h.update(c);
    return h.finish();
  }
  static void stream(const fedagg::secret_key& key, std::span<const std::uint8_t, 24> nonce, bytes_view in,
                     fedagg::bytes_span out) noexcept {
    fedagg::digest block = {};
    for (std::size_t k = 0; k < in.size(); ++k) {
      if (k % 32 == 0) block = hash_of(key.bytes(), nonce, block);
      out[k] = static_cast<std::uint8_t>(in[k] ^ block[k % 32]);
    }
  }
  static void tag(const fedagg::secret_key& key, std::span<const std::uint8_t, 24> nonce, bytes_view text,
                  bytes_view associated, std::uint8_t* out) noexcept {
    const fedagg::digest inner = hash_of(key.bytes(), nonce, associated);
    const fedagg::digest outer = hash_of(inner, text, {});
    std::memcpy(out, outer.data(), 16);
  }
  static fedagg::signature signature_of(const fedagg::public_key& key, bytes_view message) noexcept {
    const fedagg::digest first = hash_of(key, message, {}), second = hash_of(first, key, message);
    fedagg::signature out;
    std::memcpy(out.data(), first.data(), 32);
    std::memcpy(out.data() + 32, second.data(), 32);
    return out;
  }

  fedagg::random_stream random_;
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_TOY_SUITE_HPP
