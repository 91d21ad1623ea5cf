// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_CHACHA20_HPP
#define FEDAGG_TESTS_SUPPORT_CHACHA20_HPP

#include <array>
#include <cstddef>
#include <cstdint>

namespace fedagg_test {

/// One block of ChaCha20's keystream from its state, written from RFC 8439, sections 2.1 to 2.3, and from nothing else.
inline std::array<std::uint8_t, 64> chacha20_block(const std::uint32_t* state, std::uint32_t counter) {
  std::uint32_t x[16], start[16];
  for (int i = 0; i < 16; ++i) x[i] = start[i] = i == 12 ? counter : state[i];
  const auto turn = [](std::uint32_t v, int bits) { return v << bits | v >> (32 - bits); };
  const auto quarter = [&](int a, int b, int c, int d) {
    x[a] += x[b], x[d] = turn(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = turn(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = turn(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = turn(x[b] ^ x[c], 7);
  };
  for (int i = 0; i < 10; ++i) {
    quarter(0, 4, 8, 12);
    quarter(1, 5, 9, 13);
    quarter(2, 6, 10, 14);
    quarter(3, 7, 11, 15);
    quarter(0, 5, 10, 15);
    quarter(1, 6, 11, 12);
    quarter(2, 7, 8, 13);
    quarter(3, 4, 9, 14);
  }
  std::array<std::uint8_t, 64> out;
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 4; ++k)
      out[static_cast<std::size_t>(4 * i + k)] = static_cast<std::uint8_t>((x[i] + start[i]) >> 8 * k);
  return out;
}

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_CHACHA20_HPP
