// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include <fedagg/config.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/secure/chacha20.hpp>
#include <fedagg/secure/mask.hpp>

#if FEDAGG_TESTS_OPENSSL
#include <openssl/evp.h>
#endif

#include "support/catch.hpp"
#include "support/numeric.hpp"

using fedagg::add_masks;
using fedagg::chacha20_masks;
using fedagg::errc;
using fedagg::mask_key;
using fedagg::mask_segment;

namespace {

/// A generator of the simplest kind: byte b of the stream of a key and a segment, by a formula. Fails at byte `end`.
struct toy_masks {
  static constexpr const char* name = "toy";
  static constexpr std::uint64_t segment_bytes = 100000;
  std::uint64_t end = ~std::uint64_t{0};

  bool keystream(const fedagg::secret_key& key, std::uint64_t segment, std::uint64_t offset,
                 fedagg::bytes_span out) const noexcept {
    if (offset + out.size() > end) return false;
    for (std::size_t k = 0; k < out.size(); ++k)
      out[k] = static_cast<std::uint8_t>(
          ((offset + k + 1) * (key.data()[0] + 3u) + segment * 77) * 0x9e3779b97f4a7c15u >> 40);
    return true;
  }
};
static_assert(fedagg::mask_generator<toy_masks> && !fedagg::fused_mask_generator<toy_masks>);
static_assert(fedagg::fused_mask_generator<chacha20_masks>);
static_assert(!fedagg::mask_generator<int>);

#if FEDAGG_TESTS_OPENSSL
/// AES-256 in counter mode: the counter block begins with the segment, in eight bytes, the lowest first.
struct aes_masks {
  static constexpr const char* name = "aes-256-ctr";
  static constexpr std::uint64_t segment_bytes = std::uint64_t{1} << 38;

  bool keystream(const fedagg::secret_key& key, std::uint64_t segment, std::uint64_t offset,
                 fedagg::bytes_span out) const noexcept {
    std::uint8_t counter[16];
    for (unsigned k = 0; k < 8; ++k) counter[k] = static_cast<std::uint8_t>(segment >> 8 * k);
    for (unsigned k = 0; k < 8; ++k) counter[15 - k] = static_cast<std::uint8_t>(offset / 16 >> 8 * k);
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    int size = 0;
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    const bool done = context && EVP_EncryptInit_ex(context, EVP_aes_256_ctr(), nullptr, key.data(), counter) == 1 &&
                      EVP_EncryptUpdate(context, out.data(), &size, out.data(), static_cast<int>(out.size())) == 1;
    EVP_CIPHER_CTX_free(context);
    return done;
  }
};
#endif

std::vector<mask_key> some_keys(std::size_t count, std::uint8_t seed = 1) {
  std::vector<mask_key> keys(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < 32; ++k) keys[i].key.data()[k] = static_cast<std::uint8_t>(seed + 13 * i + 7 * k);
    keys[i].subtract = i % 3 == 1;
  }
  return keys;
}

/// The bytes of a key's whole stream for a segment: ChaCha20 by the definition.
std::vector<std::uint8_t> stream_of(const chacha20_masks&, const fedagg::secret_key& key, std::uint64_t segment,
                                    std::size_t bytes) {
  std::vector<std::uint8_t> out;
  fedagg::chacha20_nonce nonce = {'m', 'a', 's', 'k'};
  for (unsigned k = 0; k < 8; ++k) nonce[4 + k] = static_cast<std::uint8_t>(segment >> 8 * k);
  for (std::uint32_t block = 0; out.size() < bytes; ++block) {
    const auto next = fedagg::chacha20_block(key.bytes(), block, nonce);
    out.insert(out.end(), next.begin(), next.end());
  }
  out.resize(bytes);
  return out;
}
template <class G>
std::vector<std::uint8_t> stream_of(const G& generator, const fedagg::secret_key& key, std::uint64_t segment,
                                    std::size_t bytes) {
  std::vector<std::uint8_t> out(bytes);
  REQUIRE(generator.keystream(key, segment, 0, out));
  return out;
}

template <class Word>
std::vector<Word> some_words(std::size_t count) {
  std::vector<Word> words(count);
  for (std::size_t j = 0; j < count; ++j) words[j] = static_cast<Word>((j + 5) * 0x9e3779b97f4a7c15u >> 11);
  return words;
}

/// A word at a time.
template <class Word, class G>
void reference(const G& generator, std::vector<Word>& words, std::uint64_t segment, std::span<const mask_key> keys) {
  for (const mask_key& key : keys) {
    const auto bytes = stream_of(generator, key.key, segment, words.size() * sizeof(Word));
    for (std::size_t j = 0; j < words.size(); ++j) {
      std::uint64_t mask = 0;
      for (std::size_t k = sizeof(Word); k-- > 0;) mask = mask << 8 | bytes[j * sizeof(Word) + k];
      words[j] = static_cast<Word>(key.subtract ? words[j] - mask : words[j] + mask);
    }
  }
}

/// Runs the last task first.
struct backwards {
  std::size_t seen = 0;
  void operator()(std::size_t count, fedagg::task t) {
    seen = count;
    while (count-- > 0) t(count);
  }
};
struct lazy {
  void operator()(std::size_t count, fedagg::task t) const {
    for (std::size_t i = 1; i < count; ++i) t(i);
  }
};

/// A vector of three segments, as `ring_vector` is one.
struct three_segments {
  std::vector<std::uint64_t> a = some_words<std::uint64_t>(3);
  std::vector<std::uint16_t> b = some_words<std::uint16_t>(20000);
  std::vector<std::uint32_t> c = some_words<std::uint32_t>(9001);
  std::size_t size() const { return 3; }
  template <class F>
  auto visit(std::size_t k, F&& f) {
    return k == 0 ? f(std::span(a)) : k == 1 ? f(std::span(b)) : f(std::span(c));
  }
};
static_assert(fedagg::masked_vector<three_segments>);
static_assert(!fedagg::masked_vector<std::vector<std::uint32_t>>);

template <class Word, class G>
void one_segment(const G& generator, std::size_t count, std::size_t how_many, std::uint64_t index) {
  const auto keys = some_keys(how_many);
  auto want = some_words<Word>(count);
  reference(generator, want, index, keys);
  want.push_back(77);
  numeric::on_each_isa([&](fedagg::isa which) {
    auto got = some_words<Word>(count);
    got.push_back(77);
    REQUIRE(add_masks(generator, mask_segment(std::span(got).first(count), index), keys) == errc::ok);
    INFO(G::name << ' ' << fedagg::name_of(which) << ' ' << count << " words of " << sizeof(Word) << ", " << how_many
                 << " keys");
    CHECK(got == want);
  });
}

} // namespace

TEST_CASE("each word gets the masks of all keys: sizes around a block and a tile") {
  for (const std::size_t count : {0u, 1u, 15u, 16u, 17u, 31u, 33u, 511u, 512u, 513u, 1025u}) {
    one_segment<std::uint16_t>(chacha20_masks{}, count, 3, 0);
    one_segment<std::uint32_t>(chacha20_masks{}, count, 3, 1);
    one_segment<std::uint64_t>(chacha20_masks{}, count, 3, 0xfedcba9876543210);
  }
}

TEST_CASE("each word gets the masks of all keys: none, one, and more than are held at once") {
  for (const std::size_t keys : {0u, 1u, 2u, 31u, 32u, 33u, 65u})
    one_segment<std::uint32_t>(chacha20_masks{}, 700, keys, 2);
}

TEST_CASE("blocks are counted on from tile to tile") {
  // 32768 bytes are a tile.
  for (const std::size_t count : {8191u, 8192u, 8193u, 30000u})
    one_segment<std::uint32_t>(chacha20_masks{}, count, 2, 3);
  one_segment<std::uint16_t>(chacha20_masks{}, 16385, 2, 3);
  one_segment<std::uint64_t>(chacha20_masks{}, 4097, 2, 3);
}

TEST_CASE("generators that only have a keystream do as well") {
  for (const std::size_t count : {0u, 1u, 1000u, 4097u, 9001u}) {
    one_segment<std::uint16_t>(toy_masks{}, count, 3, 4);
    one_segment<std::uint32_t>(toy_masks{}, count, 3, 4);
    one_segment<std::uint64_t>(toy_masks{}, count, 3, 4);
#if FEDAGG_TESTS_OPENSSL
    one_segment<std::uint32_t>(aes_masks{}, count, 3, 4);
    one_segment<std::uint64_t>(aes_masks{}, count, 3, 4);
#endif
  }
}

#if FEDAGG_TESTS_OPENSSL
TEST_CASE("AES-256 in counter mode stands in, from any offset") {
  const auto keys = some_keys(1);
  const auto whole = stream_of(aes_masks{}, keys[0].key, 9, 10000);
  std::vector<std::uint8_t> part(2000);
  REQUIRE(aes_masks{}.keystream(keys[0].key, 9, 4096, part));
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 4096));
}
#endif

TEST_CASE("several segments of all widths, by any executor") {
  const auto keys = some_keys(4);
  auto a = some_words<std::uint64_t>(5);
  auto b = some_words<std::uint32_t>(70000);
  auto c = some_words<std::uint16_t>(40001);
  auto empty = some_words<std::uint32_t>(0);
  auto want_a = a;
  auto want_b = b;
  auto want_c = c;
  reference(chacha20_masks{}, want_a, 0, keys);
  reference(chacha20_masks{}, want_b, 1, keys);
  reference(chacha20_masks{}, want_c, 7, keys);
  const mask_segment segments[] = {{std::span(a), 0}, {std::span(b), 1}, {std::span(empty), 2}, {std::span(c), 7}};
  backwards executor;
  REQUIRE(add_masks(chacha20_masks{}, segments, keys, executor) == errc::ok);
  CHECK(executor.seen > 3);
  CHECK(a == want_a);
  CHECK(b == want_b);
  CHECK(c == want_c);

  // What was added is taken off by the same keys with the other sign.
  auto opposite = keys;
  for (mask_key& key : opposite) key.subtract = !key.subtract;
  REQUIRE(add_masks(chacha20_masks{}, segments, opposite) == errc::ok);
  CHECK(a == some_words<std::uint64_t>(5));
  CHECK(b == some_words<std::uint32_t>(70000));
  CHECK(c == some_words<std::uint16_t>(40001));
}

TEST_CASE("the segments of a vector are named by their places") {
  const auto keys = some_keys(3);
  three_segments got, want;
  reference(chacha20_masks{}, want.a, 0, keys);
  reference(chacha20_masks{}, want.b, 1, keys);
  reference(chacha20_masks{}, want.c, 2, keys);
  backwards executor;
  REQUIRE(add_masks(chacha20_masks{}, got, keys, executor) == errc::ok);
  CHECK(got.a == want.a);
  CHECK(got.b == want.b);
  CHECK(got.c == want.c);
}

TEST_CASE("pairwise masks cancel in a sum") {
  constexpr std::size_t n = 5, d = 900;
  std::vector<std::uint32_t> sum(d), plain(d);
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<mask_key> keys;
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      mask_key key = some_keys(1, static_cast<std::uint8_t>(i < j ? 16 * i + j : 16 * j + i))[0];
      key.subtract = i > j;
      keys.push_back(key);
    }
    std::vector<std::uint32_t> x(d, static_cast<std::uint32_t>(i * 1000));
    const auto before = x;
    REQUIRE(add_masks(chacha20_masks{}, mask_segment(x), keys) == errc::ok);
    CHECK(x != before);
    for (std::size_t j = 0; j < d; ++j) sum[j] += x[j], plain[j] += before[j];
  }
  CHECK(sum == plain);
}

TEST_CASE("what cannot be masked is refused before the first write") {
  const auto keys = some_keys(2);
  auto words = some_words<std::uint32_t>(100), before = words;
  const std::span<std::uint32_t> all(words);
  const mask_segment twice[] = {{all.first(50), 3}, {all.last(50), 3}};
  CHECK(add_masks(chacha20_masks{}, twice, keys) == errc::bad_parameter);
  const mask_segment descending[] = {{all.first(50), 3}, {all.last(50), 2}};
  CHECK(add_masks(chacha20_masks{}, descending, keys) == errc::bad_parameter);
  const mask_segment null[] = {{all, 0}, {std::span<std::uint64_t>(static_cast<std::uint64_t*>(nullptr), 3), 1}};
  CHECK(add_masks(chacha20_masks{}, null, keys) == errc::null_data);
  // Never touched: a stream has 2^38 bytes.
  const std::size_t most = std::size_t{1} << 36;
  const mask_segment large[] = {{all, 0}, {std::span(words.data(), most + 1), 1}};
  CHECK(add_masks(chacha20_masks{}, large, keys) == errc::size_overflow);
  CHECK(add_masks(toy_masks{}, mask_segment(std::span(words.data(), 25001)), keys) == errc::size_overflow);
  CHECK(words == before);
  CHECK(add_masks(chacha20_masks{}, std::span<const mask_segment>(), keys) == errc::ok);
  CHECK(add_masks(chacha20_masks{}, mask_segment(all), {}) == errc::ok);
  CHECK(words == before);
}

TEST_CASE("failures of the generator and the executor are told") {
  const auto keys = some_keys(2);
  auto words = some_words<std::uint32_t>(20000);
  CHECK(add_masks(toy_masks{.end = 70000}, mask_segment(words), keys) == errc::no_randomness);
  CHECK(add_masks(toy_masks{.end = 80000}, mask_segment(words), keys) == errc::ok);
  const lazy executor;
  CHECK(add_masks(chacha20_masks{}, mask_segment(words), keys, executor) == errc::executor_failed);
#if FEDAGG_EXCEPTIONS
  const auto throws = [](std::size_t, fedagg::task) { throw std::runtime_error("no threads"); };
  CHECK(add_masks(chacha20_masks{}, mask_segment(words), keys, throws) == errc::executor_failed);
#endif
}
