// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_PARTS_CHACHA_HPP
#define FEDAGG_KERNELS_PARTS_CHACHA_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <fedagg/core/wipe.hpp>
#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Isa>
struct chacha_kernel;

/// The quarter round of ChaCha20 (RFC 8439, section 2.1).
constexpr void chacha_quarter(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c, std::uint32_t& d) noexcept {
  a += b, d = std::rotl(d ^ a, 16);
  c += d, b = std::rotl(b ^ c, 12);
  a += b, d = std::rotl(d ^ a, 8);
  c += d, b = std::rotl(b ^ c, 7);
}

/// A key and a nonce of ChaCha20, ready for any block.
struct chacha_key {
  static constexpr std::size_t words = 16;

  std::uint32_t state[words] = {}; ///< at block 0
  std::uint32_t ahead[words] = {}; ///< the same, but columns 1 to 3, which never see the block's number, after a round

  /// Words as the RFC numbers them: 8 of the key, 3 of the nonce.
  constexpr void set(const std::uint32_t* key, const std::uint32_t* nonce) noexcept {
    constexpr std::uint32_t constants[] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    for (std::size_t k = 0; k < 4; ++k) state[k] = constants[k];
    for (std::size_t k = 0; k < 8; ++k) state[4 + k] = key[k];
    state[12] = 0;
    for (std::size_t k = 0; k < 3; ++k) state[13 + k] = nonce[k];
    for (std::size_t k = 0; k < words; ++k) ahead[k] = state[k];
    for (std::size_t k = 1; k < 4; ++k) chacha_quarter(ahead[k], ahead[4 + k], ahead[8 + k], ahead[12 + k]);
  }

  /// The keystream's words of one block.
  constexpr void block(std::uint32_t number, std::uint32_t* out) const noexcept {
    std::uint32_t x[words] = {};
    for (std::size_t k = 0; k < words; ++k) x[k] = state[k];
    x[12] = number;
    for (int round = 0; round < 20; ++round)
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t turn = round % 2 == 0 ? 0 : 1;
        chacha_quarter(x[k], x[4 + (k + turn) % 4], x[8 + (k + 2 * turn) % 4], x[12 + (k + 3 * turn) % 4]);
      }
    for (std::size_t k = 0; k < words; ++k) out[k] = x[k] + (k == 12 ? number : state[k]);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#define FEDAGG_KERNELS <fedagg/kernels/chacha.inl>
#include <fedagg/kernels/per_isa.inl>

#endif // FEDAGG_KERNELS_PARTS_CHACHA_HPP
