// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include <fedagg/kernels/parts/chacha.hpp>

#include "support/catch.hpp"
#include "support/chacha20.hpp"
#include "support/numeric.hpp"

namespace impl = fedagg::impl;
using numeric::on_each_isa;

namespace {

/// Words of a key and a nonce that differ in every byte.
impl::chacha_key any_key(std::uint32_t seed) {
  std::uint32_t words[11];
  for (std::uint32_t k = 0; k < 11; ++k) words[k] = (seed + k + 1) * 0x9e3779b9u;
  impl::chacha_key key;
  key.set(words, words + 8);
  return key;
}

/// The keystream by the definition, from the given block on.
std::vector<std::uint8_t> expected(const impl::chacha_key& key, std::uint32_t block, std::size_t bytes) {
  std::vector<std::uint8_t> out;
  for (; out.size() < bytes; ++block) {
    const auto part = fedagg_test::chacha20_block(key.state, block);
    out.insert(out.end(), part.begin(), part.end());
  }
  out.resize(bytes);
  return out;
}

template <class Word>
Word word_at(const std::vector<std::uint8_t>& bytes, std::size_t at) {
  Word w = 0;
  for (std::size_t k = 0; k < sizeof(Word); ++k) w = static_cast<Word>(w | Word{bytes[at * sizeof(Word) + k]} << 8 * k);
  return w;
}

constexpr std::size_t sizes[] = {0,   1,   2,    3,    15,   63,   64,   65,   127,  128,  255,  256,  257,  511,
                                 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 2111, 2112, 4095, 4096, 4097, 9999};

template <class Word>
void adds(fedagg::isa which) {
  std::vector<impl::chacha_key> keys;
  for (std::uint32_t k = 0; k < 5; ++k) keys.push_back(any_key(k));
  for (const std::size_t bytes : sizes) {
    const std::size_t count = bytes / sizeof(Word);
    std::vector<std::vector<std::uint8_t>> streams;
    for (const auto& key : keys) streams.push_back(expected(key, 7, bytes));
    for (const auto& split : {std::pair{0u, 0u}, {1u, 0u}, {0u, 1u}, {3u, 2u}, {2u, 3u}}) {
      const std::size_t subtracted = split.first, all = subtracted + split.second;
      std::vector<Word> want(count + 1), got(count + 1);
      for (std::size_t j = 0; j < want.size(); ++j) want[j] = got[j] = static_cast<Word>(j * 0x9e3779b97f4a7c15u);
      for (std::size_t i = 0; i < all; ++i)
        for (std::size_t j = 0; j < count; ++j) {
          const Word mask = word_at<Word>(streams[i], j);
          want[j] = static_cast<Word>(i < subtracted ? want[j] - mask : want[j] + mask);
        }
      impl::on_active_isa([&](auto tag) {
        impl::chacha_kernel<decltype(tag)>::add(keys.data(), subtracted, all, 7, got.data(), count);
      });
      INFO(fedagg::name_of(which) << ' ' << bytes << " bytes, words of " << sizeof(Word) << ", " << subtracted
                                  << " subtracted");
      CHECK(got == want);
    }
  }
}

} // namespace

TEST_CASE("the keystream is that of the definition, on every instruction set") {
  const impl::chacha_key key = any_key(3);
  on_each_isa([&](fedagg::isa which) {
    for (const std::size_t bytes : sizes)
      for (const std::uint32_t block : {0u, 1u, 0xffffffe0u}) {
        std::vector<std::uint8_t> got(bytes + 1, 0xa5);
        if (block + (bytes + 63) / 64 > std::uint64_t{1} << 32) continue;
        impl::on_active_isa([&](auto tag) { impl::chacha_kernel<decltype(tag)>::fill(key, block, got.data(), bytes); });
        auto want = expected(key, block, bytes);
        want.push_back(0xa5);
        INFO(fedagg::name_of(which) << ' ' << bytes << " bytes from block " << block);
        CHECK(got == want);
      }
  });
}

TEST_CASE("masks of several keys are added and taken off in one go, on every instruction set") {
  on_each_isa([](fedagg::isa which) {
    adds<std::uint16_t>(which);
    adds<std::uint32_t>(which);
    adds<std::uint64_t>(which);
  });
}

TEST_CASE("a quarter round of ChaCha20 is the one of RFC 8439, 2.1.1") {
  std::uint32_t a = 0x11111111, b = 0x01020304, c = 0x9b8d6f43, d = 0x01234567;
  impl::chacha_quarter(a, b, c, d);
  CHECK(a == 0xea2a92f4);
  CHECK(b == 0xcb1cf8ce);
  CHECK(c == 0x4581472e);
  CHECK(d == 0x5881c4bb);
}
