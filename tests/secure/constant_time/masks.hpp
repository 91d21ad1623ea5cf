// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SECURE_CONSTANT_TIME_MASKS_HPP
#define FEDAGG_TESTS_SECURE_CONSTANT_TIME_MASKS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include <fedagg/secure/chacha20.hpp>
#include <fedagg/secure/mask.hpp>
#include <fedagg/secure/secret.hpp>

#include "secrets.hpp"

namespace constant_time {

inline void secrets() {
  std::array<std::uint8_t, 32> bytes{};
  hide(bytes);
  fedagg::secret_key key{std::span<const std::uint8_t, 32>(bytes)};
  const fedagg::secret_key copy = key;
  expect_secret(copy, "a copy of a key");
  key.clear();
}

inline void block() {
  std::array<std::uint8_t, 32> key{};
  hide(key);
  const auto out = fedagg::chacha20_block(key, 1, {});
  expect_secret(out, "a block");
}

/// Below, at and above what is buffered; words.
inline void stream() {
  fedagg::secret_key key;
  hide(key);
  fedagg::chacha20_stream source(key, fedagg::stream_purpose::rounding, 3);
  for (const std::size_t size : {1u, 64u, 2047u, 2048u, 5000u}) {
    static std::uint8_t out[5000];
    if (source.fill(fedagg::bytes_span(out, size)) != fedagg::errc::ok) std::abort();
    expect_secret(out[size - 1], "a stream's byte");
  }
  const std::uint64_t number = source();
  expect_secret(number, "a stream's number");
}

/// ChaCha20 as a generator that only has a keystream.
struct plain_masks {
  static constexpr const char* name = "plain";
  static constexpr std::uint64_t segment_bytes = fedagg::chacha20_masks::segment_bytes;
  bool keystream(const fedagg::secret_key& key, std::uint64_t segment, std::uint64_t offset,
                 fedagg::bytes_span out) const noexcept {
    return fedagg::chacha20_masks{}.keystream(key, segment, offset, out);
  }
};

/// Masks on secret words of every width; whole tiles and less.
template <class G>
void masks() {
  static std::array<std::uint16_t, 1100> a;
  static std::array<std::uint32_t, 9000> b;
  static std::array<std::uint64_t, 3> c;
  std::array<fedagg::mask_key, 5> keys;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i].subtract = i % 2 == 1;
    hide(keys[i].key);
  }
  hide(a), hide(b), hide(c);
  const fedagg::mask_segment segments[] = {{std::span(a), 0}, {std::span(b), 1}, {std::span(c), 2}};
  if (fedagg::add_masks(G{}, segments, keys) != fedagg::errc::ok) std::abort();
  expect_secret(a[1099], "a masked word");
  expect_secret(b[8999], "a masked word");
  expect_secret(c[2], "a masked word");
}

/// Plain words with the masks of a secret key: secrets, if the tool followed the key through the kernel.
inline const std::uint32_t* masked_words() {
  static std::array<std::uint32_t, 1000> words;
  words.fill(0);
  fedagg::mask_key key;
  hide(key.key);
  if (fedagg::add_masks(fedagg::chacha20_masks{}, fedagg::mask_segment(words), {&key, 1}) != fedagg::errc::ok)
    std::abort();
  return words.data() + 700;
}

} // namespace constant_time

#endif // FEDAGG_TESTS_SECURE_CONSTANT_TIME_MASKS_HPP
