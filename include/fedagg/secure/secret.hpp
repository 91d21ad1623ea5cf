// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_SECRET_HPP
#define FEDAGG_SECURE_SECRET_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <fedagg/config.hpp>
#include <fedagg/core/wipe.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Bytes of a message, a key, a hash.
using bytes_view = std::span<const std::uint8_t>;
using bytes_span = std::span<std::uint8_t>;

using public_key = std::array<std::uint8_t, 32>;
using digest = std::array<std::uint8_t, 32>;
using signature = std::array<std::uint8_t, 64>;

/// A secret of N bytes: zero at first, wiped when it goes. Not printed, not compared: equality of secrets is a question
/// that an attacker asks.
template <std::size_t N>
class secret_bytes {
public:
  secret_bytes() = default;
  explicit secret_bytes(std::span<const std::uint8_t, N> from) noexcept { std::memcpy(data_, from.data(), N); }
  secret_bytes(const secret_bytes&) = default;
  secret_bytes& operator=(const secret_bytes&) = default;
  ~secret_bytes() { wipe(data_, N); }

  static constexpr std::size_t size() noexcept { return N; }
  std::uint8_t* data() noexcept { return data_; }
  const std::uint8_t* data() const noexcept { return data_; }
  std::span<std::uint8_t, N> bytes() noexcept { return std::span<std::uint8_t, N>(data_, N); }
  std::span<const std::uint8_t, N> bytes() const noexcept { return std::span<const std::uint8_t, N>(data_, N); }
  void clear() noexcept { wipe(data_, N); }

private:
  std::uint8_t data_[N] = {};
};

/// A private X25519 key, a seed, a symmetric key.
using secret_key = secret_bytes<32>;
/// A private Ed25519 key: the seed and the public key.
using signing_key = secret_bytes<64>;

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_SECRET_HPP
