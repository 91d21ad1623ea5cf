// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_PACKING_HPP
#define FEDAGG_KERNELS_PACKING_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

// Little-endian bit packing, as in Google's federated-compute: element i takes bits [i bits, (i + 1) bits) of the
// sequence of bits that begins with the least significant of the first byte. Words are of 16, 32 or 64 bits, of which
// the last `bits` count. Several neighbours are joined into one word of up to 63 bits before it is shifted in.

static_assert(std::endian::native == std::endian::little, "messages are little-endian, and so is the machine");

/// Bytes of `count` elements; the caller has seen to it that it is a number of bytes at all.
constexpr std::size_t packed_size(unsigned bits, std::size_t count) noexcept {
  return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

constexpr std::uint64_t low_bits(unsigned bits) noexcept { return ~std::uint64_t{0} >> (64 - bits); }

/// Elements that are joined.
template <class W>
constexpr std::size_t joined(unsigned bits) noexcept {
  return bits <= 15 && sizeof(W) == 2 ? 4 : bits <= 31 ? 2 : 1;
}

/// out has room for packed_size bytes; what is above `bits` in a word is not looked at.
template <class W>
void pack_words(const W* words, unsigned bits, std::size_t count, std::uint8_t* out) noexcept {
  if (bits == 8 * sizeof(W)) {
    if (count != 0) std::memcpy(out, words, count * sizeof(W));
    return;
  }
  const std::uint64_t mask = low_bits(bits);
  std::uint64_t held = 0;
  unsigned fill = 0;
  const auto push = [&](std::uint64_t group, unsigned size) {
    held |= group << fill;
    fill += size;
    if (fill < 64) return;
    std::memcpy(out, &held, 8);
    out += 8;
    fill -= 64;
    held = fill == 0 ? 0 : group >> (size - fill);
  };
  std::size_t j = 0;
  const std::size_t group = joined<W>(bits);
  if (group == 4)
    for (; j + 4 <= count; j += 4)
      push((words[j] & mask) | (words[j + 1] & mask) << bits | (words[j + 2] & mask) << 2 * bits |
               (words[j + 3] & mask) << 3 * bits,
           4 * bits);
  else if (group == 2)
    for (; j + 2 <= count; j += 2) push((words[j] & mask) | (words[j + 1] & mask) << bits, 2 * bits);
  for (; j < count; ++j) push(words[j] & mask, bits);
  if (fill != 0) std::memcpy(out, &held, (fill + 7) / 8);
}

/// Calls take(j, element) for each.
template <class W, class Take>
void unpack_each(const std::uint8_t* from, unsigned bits, std::size_t count, const Take& take) noexcept {
  const std::uint64_t mask = low_bits(bits);
  const std::size_t size = packed_size(bits, count), group = joined<W>(bits);
  const unsigned each = static_cast<unsigned>(group) * bits;
  std::size_t j = 0, at = 0; // at: in bits, of which no segment has 2^64
  // While nine bytes are there: any 64 bits begin somewhere in the first.
  const auto sixty_four = [&](std::size_t bit) {
    std::uint64_t low;
    std::memcpy(&low, from + bit / 8, 8);
    const unsigned shift = bit % 8;
    return shift == 0 ? low : low >> shift | std::uint64_t{from[bit / 8 + 8]} << (64 - shift);
  };
  const std::size_t safe = size < 9 ? 0 : (size - 9) * 8;
  for (; j + group <= count && at <= safe && size >= 9; j += group, at += each) {
    std::uint64_t held = sixty_four(at);
    for (std::size_t k = 0; k < group; ++k) {
      take(j + k, static_cast<W>(held & mask));
      if (bits < 64) held >>= bits;
    }
  }
  for (; j < count; ++j, at += bits) {
    std::uint8_t last[16] = {};
    std::memcpy(last, from + at / 8, size - at / 8 < 9 ? size - at / 8 : 9);
    std::uint64_t low;
    std::memcpy(&low, last, 8);
    const unsigned shift = at % 8;
    take(j, static_cast<W>((shift == 0 ? low : low >> shift | std::uint64_t{last[8]} << (64 - shift)) & mask));
  }
}

template <class W>
void unpack_words(const std::uint8_t* from, unsigned bits, std::size_t count, W* words) noexcept {
  if (bits == 8 * sizeof(W)) {
    if (count != 0) std::memcpy(words, from, count * sizeof(W));
    return;
  }
  unpack_each<W>(from, bits, count, [&](std::size_t j, W word) { words[j] = word; });
}

/// True if no bit is set behind the last element.
inline bool packed_padding_is_zero(const std::uint8_t* from, unsigned bits, std::size_t count) noexcept {
  const unsigned used = static_cast<unsigned>(count % 8 * bits % 8);
  return used == 0 || from[packed_size(bits, count) - 1] >> used == 0;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_KERNELS_PACKING_HPP
