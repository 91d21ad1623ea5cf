// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_IO_CHECKSUM_HPP
#define FEDAGG_FORMATS_IO_CHECKSUM_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// 64 bits that tell whether bytes are still what they were; against accidents, not against forgers.
/// Word k of 8 bytes goes into lane k mod 8, whose state s becomes rotl((s ^ word) * odd + c, 29): one-to-one in the
/// word and in the state. So every change within one aligned word, one flipped bit among them, gives another checksum
/// with certainty; any other accident goes unseen with a probability near 2^-64. At the speed of memory.
inline std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0) noexcept {
  static_assert(std::endian::native == std::endian::little, "words are little-endian, and so is the machine");
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15u, c = 0xd1b54a32d192ed03u;
  constexpr std::size_t lanes = 8, width = 8;
  const auto step = [](std::uint64_t s, std::uint64_t word) { return std::rotl((s ^ word) * odd + c, 29); };
  const auto word_at = [](const std::byte* at) {
    std::uint64_t word;
    std::memcpy(&word, at, width);
    return word;
  };
  // Apart, so that the compiler keeps each in a register.
  std::uint64_t a = 1 * c, b = 2 * c, d = 3 * c, e = 4 * c, f = 5 * c, g = 6 * c, h = 7 * c, i = 8 * c;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= lanes * width; left -= lanes * width, at += lanes * width) {
    a = step(a, word_at(at));
    b = step(b, word_at(at + 8));
    d = step(d, word_at(at + 16));
    e = step(e, word_at(at + 24));
    f = step(f, word_at(at + 32));
    g = step(g, word_at(at + 40));
    h = step(h, word_at(at + 48));
    i = step(i, word_at(at + 56));
  }
  std::uint64_t all[lanes] = {a, b, d, e, f, g, h, i};
  for (std::size_t lane = 0; left != 0; ++lane) {
    const std::size_t part = left < width ? left : width;
    std::uint64_t word = 0;
    std::memcpy(&word, at, part);
    all[lane] = step(all[lane], word);
    left -= part;
    at += part;
  }
  // One-to-one in each lane while the others stay; the length tells a last word from one with zeros behind it.
  std::uint64_t sum = step(seed, bytes.size());
  for (const std::uint64_t lane : all) sum = step(sum, lane);
  sum = (sum ^ sum >> 32) * odd;
  sum = (sum ^ sum >> 29) * odd;
  return sum ^ sum >> 32;
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_FORMATS_IO_CHECKSUM_HPP
