// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_CHACHA20_HPP
#define FEDAGG_SECURE_CHACHA20_HPP

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include <fedagg/core/errc.hpp>
#include <fedagg/core/wipe.hpp>
#include <fedagg/kernels/parts/chacha.hpp>
#include <fedagg/secure/secret.hpp>

namespace fedagg::inline FEDAGG_ABI {

using chacha20_nonce = std::array<std::uint8_t, 12>;

/// What a stream is for. Streams of one key share nothing if their purposes or their indices differ.
enum class stream_purpose : std::uint32_t {
  mask = 0x6b73616d,     ///< "mask": index = the segment's place in the ring vector
  rounding = 0x6e756f72, ///< "roun"
  graph = 0x70617267,    ///< "grap"
  shares = 0x72616873,   ///< "shar"
};

/// The nonce of a purpose and an index: the purpose's four letters, then the index in eight bytes, the lowest first.
constexpr chacha20_nonce stream_nonce(stream_purpose purpose, std::uint64_t index) noexcept {
  chacha20_nonce nonce = {};
  for (unsigned k = 0; k < 4; ++k) nonce[k] = static_cast<std::uint8_t>(static_cast<std::uint32_t>(purpose) >> 8 * k);
  for (unsigned k = 0; k < 8; ++k) nonce[4 + k] = static_cast<std::uint8_t>(index >> 8 * k);
  return nonce;
}

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// A key and a nonce as the kernels take them.
constexpr void prepare(chacha_key& to, std::span<const std::uint8_t, 32> key, const chacha20_nonce& nonce) noexcept {
  const auto word = [](const std::uint8_t* p) {
    return static_cast<std::uint32_t>(p[0] | p[1] << 8 | p[2] << 16) | static_cast<std::uint32_t>(p[3]) << 24;
  };
  std::uint32_t words[8] = {}, last[3] = {};
  for (std::size_t k = 0; k < 8; ++k) words[k] = word(key.data() + 4 * k);
  for (std::size_t k = 0; k < 3; ++k) last[k] = word(nonce.data() + 4 * k);
  to.set(words, last);
}

/// `out.size()` bytes of the keystream, from a block's first byte on.
template <class Void = void>
void keystream(const chacha_key& key, std::uint32_t block, bytes_span out) noexcept {
  on_active_isa([&](auto tag) { chacha_kernel<decltype(tag)>::fill(key, block, out.data(), out.size()); });
}

} // namespace impl

/// One block of ChaCha20's keystream (RFC 8439, section 2.3), by the definition.
constexpr std::array<std::uint8_t, 64> chacha20_block(std::span<const std::uint8_t, 32> key, std::uint32_t number,
                                                      const chacha20_nonce& nonce) noexcept {
  impl::chacha_key ready;
  impl::prepare(ready, key, nonce);
  std::uint32_t words[16] = {};
  ready.block(number, words);
  std::array<std::uint8_t, 64> out = {};
  for (std::size_t k = 0; k < 64; ++k) out[k] = static_cast<std::uint8_t>(words[k / 4] >> 8 * (k % 4));
  return out;
}

/// The keystream of ChaCha20 (RFC 8439) for a key and a nonce as a source of random numbers: the same bytes on every
/// machine, from any place. At the speed of the instruction set in long pieces. Constant time in the key; everything is
/// wiped when it goes. Two streams of one key and one nonce are one stream.
class chacha20_stream {
public:
  /// 2^32 blocks: what the block's number can name.
  static constexpr std::uint64_t size = std::uint64_t{1} << 38;

  chacha20_stream(std::span<const std::uint8_t, 32> key, const chacha20_nonce& nonce) noexcept {
    impl::prepare(key_, key, nonce);
  }
  chacha20_stream(std::span<const std::uint8_t, 32> key, stream_purpose purpose, std::uint64_t index = 0) noexcept
      : chacha20_stream(key, stream_nonce(purpose, index)) {}
  chacha20_stream(const secret_key& key, stream_purpose purpose, std::uint64_t index = 0) noexcept
      : chacha20_stream(key.bytes(), stream_nonce(purpose, index)) {}
  chacha20_stream(const chacha20_stream&) = default;
  chacha20_stream& operator=(const chacha20_stream&) = default;
  ~chacha20_stream() {
    wipe(&key_, sizeof key_);
    wipe(buffer_, sizeof buffer_);
  }

  /// The place of the next byte.
  std::uint64_t position() const noexcept { return next_; }

  /// Goes to a place from 0 to `size`; `size_overflow` beyond.
  [[nodiscard]] errc seek(std::uint64_t position) noexcept {
    if (position > size) return errc::size_overflow;
    next_ = position;
    return errc::ok;
  }

  /// The next bytes; `size_overflow`, and nothing happens, if the stream has not so many any more.
  [[nodiscard]] errc fill(bytes_span out) noexcept {
    if (out.size() > size - next_) return errc::size_overflow;
    std::uint8_t* to = out.data();
    std::size_t left = out.size();
    while (left != 0) {
      if (next_ % 64 == 0 && left >= buffer_bytes && !buffered(next_)) {
        const std::size_t whole = left - left % buffer_bytes;
        impl::keystream(key_, static_cast<std::uint32_t>(next_ / 64), {to, whole});
        to += whole, left -= whole, next_ += whole;
        continue;
      }
      const std::size_t have = load(), part = left < have ? left : have;
      std::memcpy(to, buffer_ + (next_ - first_), part);
      to += part, left -= part, next_ += part;
    }
    return errc::ok;
  }
  /// The next words, each of its bytes in the stream's order, the lowest first.
  [[nodiscard]] errc fill(std::span<std::uint16_t> out) noexcept { return fill(as_bytes(out)); }
  [[nodiscard]] errc fill(std::span<std::uint32_t> out) noexcept { return fill(as_bytes(out)); }
  [[nodiscard]] errc fill(std::span<std::uint64_t> out) noexcept { return fill(as_bytes(out)); }

  /// The next 8 bytes as a number. There are 2^35 of them; who takes more gets the first again.
  std::uint64_t operator()() noexcept {
    if (size - next_ < 8) next_ = 0;
    std::uint64_t word;
    if (load() >= 8) {
      std::memcpy(&word, buffer_ + (next_ - first_), 8);
      next_ += 8;
    } else {
      static_cast<void>(fill(std::span(&word, 1)));
    }
    return word;
  }

  /// A number below `bound`, every one as likely as the others; 0 for a bound of 0. How many numbers are drawn depends
  /// on what is drawn, but says nothing about the number returned.
  std::uint64_t below(std::uint64_t bound) noexcept {
    if (bound == 0) return 0;
    // What is left of 2^64 after whole multiples of the bound is drawn again.
    const std::uint64_t rest = (0 - bound) % bound;
    for (;;)
      if (const std::uint64_t r = (*this)(); r >= rest) return r % bound;
  }

  /// A random order of 0 .. size - 1, every one as likely as the others (but for the key's 2^256): for i = size - 1
  /// down to 1, exchange i with below(i + 1).
  void permutation(std::span<std::uint32_t> order) noexcept {
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(below(i))]);
  }

private:
  static_assert(std::endian::native == std::endian::little,
                "the stream's words are little-endian, and so is the machine");
  static constexpr std::size_t buffer_bytes = 2048;

  template <class Word>
  static bytes_span as_bytes(std::span<Word> words) noexcept {
    return {reinterpret_cast<std::uint8_t*>(words.data()), words.size_bytes()};
  }
  bool buffered(std::uint64_t position) const noexcept { return position >= first_ && position - first_ < loaded_; }
  /// How many bytes are at hand from `next_` on, at least one unless the stream ends there.
  std::size_t load() noexcept {
    if (!buffered(next_)) {
      first_ = next_ - next_ % 64;
      loaded_ = size - first_ < buffer_bytes ? static_cast<std::size_t>(size - first_) : buffer_bytes;
      impl::keystream(key_, static_cast<std::uint32_t>(first_ / 64), {buffer_, loaded_});
    }
    return loaded_ - static_cast<std::size_t>(next_ - first_);
  }

  impl::chacha_key key_;
  std::uint64_t next_ = 0, first_ = 0;
  std::size_t loaded_ = 0;
  std::uint8_t buffer_[buffer_bytes] = {};
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_CHACHA20_HPP
