// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SECURE_CONSTANT_TIME_SHARES_HPP
#define FEDAGG_TESTS_SECURE_CONSTANT_TIME_SHARES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <fedagg/secure/secret.hpp>
#include <fedagg/secure/shamir.hpp>

#include "secrets.hpp"

namespace constant_time {

/// A secret dealt with coefficients that are secret too, on both sides of what counts as a small x. Which random words
/// are drawn again may be seen: so they are drawn in the open, and hidden as coefficients.
inline void deal() {
  using fedagg::errc;
  constexpr std::size_t threshold = 7, holders = 40;
  fedagg::secret_key secret;
  hide(secret);
  std::array<std::uint32_t, holders> x;
  for (std::size_t i = 0; i < holders; ++i) x[i] = static_cast<std::uint32_t>(i < 36 ? i + 1 : (i + 1) << 25);
  std::array<std::uint8_t, holders * fedagg::shamir_share_bytes> shares;
  const auto random = [](fedagg::bytes_span out) noexcept {
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = static_cast<std::uint8_t>(k * 37 + 5);
    return true;
  };
  if (fedagg::shamir_share(secret, threshold, x, random, shares) != errc::ok) std::abort();
  expect_secret(shares[5], "a share");
  expect_secret(shares[shares.size() - 1], "a share");

  std::array<std::uint32_t, threshold * fedagg::shamir_limbs> coefficients;
  for (std::size_t k = 0; k < coefficients.size(); ++k) coefficients[k] = static_cast<std::uint32_t>(k * 123456789);
  hide(coefficients);
  std::array<std::uint32_t, fedagg::shamir_limbs * fedagg::impl::shamir_tile> values;
  fedagg::impl::deal(coefficients.data(), threshold, x, values.data(), shares.data());
  expect_secret(shares[shares.size() - 1], "a share of secret coefficients");
}

/// Secret shares. That they are shares, and of one secret, is what everyone learns: it is shown before it is looked at.
inline void reconstruct() {
  constexpr std::size_t threshold = 5;
  std::array<std::uint32_t, threshold> weights;
  for (std::size_t k = 0; k < threshold; ++k)
    weights[k] = static_cast<std::uint32_t>(k * 987654321 % fedagg::shamir_prime);
  std::array<std::uint8_t, threshold * fedagg::shamir_share_bytes> shares{};
  hide(shares);
  fedagg::impl::combined result(weights.data(), threshold, shares.data());
  expect_secret(result.limbs[8], "what shares add up to");
  fedagg::secret_key secret;
  fedagg::impl::join(result.limbs, secret);
  expect_secret(secret, "a secret from shares");
  show(result.outside), show(result.beyond);
  if (result.outside != 0 || result.beyond != 0) std::abort();

  std::array<std::uint8_t, fedagg::shamir_share_bytes> share{};
  hide(share);
  bool valid = fedagg::is_shamir_share(share);
  show(valid);
  if (!valid) std::abort();
}

} // namespace constant_time

#endif // FEDAGG_TESTS_SECURE_CONSTANT_TIME_SHARES_HPP
