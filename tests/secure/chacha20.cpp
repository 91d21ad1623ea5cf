// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <vector>

#include <fedagg/kernels/isa.hpp>
#include <fedagg/secure/chacha20.hpp>

#if FEDAGG_TESTS_SODIUM
#include <sodium.h>
#endif

#include "support/catch.hpp"
#include "support/numeric.hpp"

using fedagg::chacha20_stream;
using fedagg::errc;
using fedagg::stream_purpose;

namespace {

std::vector<std::uint8_t> hex(const std::string& text) {
  std::vector<std::uint8_t> bytes;
  std::string digits;
  for (const char c : text)
    if (c != ' ') digits += c;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  return bytes;
}

using key_bytes = std::array<std::uint8_t, 32>;

/// Bytes 0, 1, 2, ...
constexpr key_bytes counting = [] {
  key_bytes key{};
  for (std::uint8_t k = 0; k < 32; ++k) key[k] = k;
  return key;
}();

std::vector<std::uint8_t> bytes_of(chacha20_stream stream, std::uint64_t from, std::size_t count) {
  std::vector<std::uint8_t> out(count);
  REQUIRE(stream.seek(from) == errc::ok);
  REQUIRE(stream.fill(fedagg::bytes_span(out)) == errc::ok);
  CHECK(stream.position() == from + count);
  return out;
}

// RFC 8439, A.1.
struct vector {
  std::uint8_t key_at, key_value, nonce_last;
  std::uint32_t block;
  const char* stream;
};
constexpr vector vectors[] = {
    {0, 0, 0, 0,
     "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
     "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"},
    {0, 0, 0, 1,
     "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
     "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"},
    {31, 1, 0, 1,
     "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
     "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"},
    {1, 0xff, 0, 2,
     "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
     "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"},
    {0, 0, 2, 0,
     "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
     "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d"},
};

constexpr fedagg::chacha20_nonce rfc_nonce = {0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0};
static_assert(fedagg::chacha20_block(counting, 1, rfc_nonce)[0] == 0x10, "a constant expression");

} // namespace

TEST_CASE("blocks are those of RFC 8439") {
  CHECK(hex("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
            "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e") == [] {
    const auto block = fedagg::chacha20_block(counting, 1, rfc_nonce);
    return std::vector<std::uint8_t>(block.begin(), block.end());
  }());
  for (const vector& v : vectors) {
    key_bytes key{};
    key[v.key_at] = v.key_value;
    fedagg::chacha20_nonce nonce{};
    nonce[11] = v.nonce_last;
    const auto block = fedagg::chacha20_block(key, v.block, nonce);
    CHECK(std::vector<std::uint8_t>(block.begin(), block.end()) == hex(v.stream));
    numeric::on_each_isa([&](fedagg::isa which) {
      INFO(fedagg::name_of(which));
      CHECK(bytes_of(chacha20_stream(key, nonce), std::uint64_t{64} * v.block, 64) == hex(v.stream));
    });
  }
}

TEST_CASE("the stream enciphers the text of RFC 8439, 2.4.2") {
  const std::string text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  const fedagg::chacha20_nonce nonce = {0, 0, 0, 0, 0, 0, 0, 0x4a, 0, 0, 0, 0};
  auto cipher = bytes_of(chacha20_stream(counting, nonce), 64, text.size());
  for (std::size_t k = 0; k < text.size(); ++k) cipher[k] = static_cast<std::uint8_t>(cipher[k] ^ text[k]);
  CHECK(cipher == hex("6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"
                      "f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8"
                      "07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736"
                      "5af90bbf74a35be6b40b8eedf2785e42874d"));
}

#if FEDAGG_TESTS_SODIUM
TEST_CASE("the stream is libsodium's, byte for byte, on every instruction set") {
  REQUIRE(sodium_init() >= 0);
  for (std::size_t size : {1u, 63u, 64u, 65u, 511u, 2047u, 2048u, 2049u, 4096u, 70001u})
    for (const std::uint32_t block : {0u, 1u, 0xfffffff0u}) {
      if (size > std::uint64_t{64} * (0x100000000u - block)) continue;
      const fedagg::chacha20_nonce nonce = fedagg::stream_nonce(stream_purpose::mask, size * 0x123456789abcu);
      std::vector<std::uint8_t> want(size), zeros(size);
      crypto_stream_chacha20_ietf_xor_ic(want.data(), zeros.data(), size, nonce.data(), block, counting.data());
      numeric::on_each_isa([&](fedagg::isa which) {
        INFO(fedagg::name_of(which) << ' ' << size << " bytes from block " << block);
        CHECK(bytes_of(chacha20_stream(counting, nonce), std::uint64_t{64} * block, size) == want);
      });
    }
}
#endif

TEST_CASE("pieces of any size from any place are parts of one stream") {
  const chacha20_stream stream(counting, stream_purpose::rounding, 5);
  const auto whole = bytes_of(stream, 0, 12000);
  chacha20_stream taken = stream;
  std::size_t at = 0;
  for (std::size_t k = 0; at < whole.size(); ++k) {
    const std::size_t sizes[] = {1, 7, 64, 0, 2048, 100, 2049, 63, 4100},
                      size = std::min(sizes[k % 9], whole.size() - at);
    std::vector<std::uint8_t> piece(size);
    REQUIRE(taken.fill(fedagg::bytes_span(piece)) == errc::ok);
    CHECK(std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<std::ptrdiff_t>(at)));
    at += size;
  }
  for (const std::size_t from : {0u, 1u, 64u, 2047u, 2048u, 2049u, 5000u, 11999u}) {
    const auto piece = bytes_of(taken, from, std::min<std::size_t>(3000, whole.size() - from));
    CHECK(std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<std::ptrdiff_t>(from)));
  }
}

TEST_CASE("words are the stream's bytes, the lowest first") {
  chacha20_stream stream(counting, stream_purpose::graph);
  const auto bytes = bytes_of(stream, 0, 64);
  const auto expect = [&](std::size_t from, std::size_t size) {
    std::uint64_t word = 0;
    for (std::size_t k = size; k-- > 0;) word = word << 8 | bytes[from + k];
    return word;
  };
  std::uint16_t a[3];
  std::uint32_t b[2];
  std::uint64_t c[2];
  REQUIRE(stream.fill(a) == errc::ok);
  REQUIRE(stream.fill(b) == errc::ok);
  REQUIRE(stream.fill(c) == errc::ok);
  for (std::size_t k = 0; k < 3; ++k) CHECK(a[k] == expect(2 * k, 2));
  for (std::size_t k = 0; k < 2; ++k) CHECK(b[k] == expect(6 + 4 * k, 4));
  for (std::size_t k = 0; k < 2; ++k) CHECK(c[k] == expect(14 + 8 * k, 8));
  CHECK(stream() == expect(30, 8));
  CHECK(stream.position() == 38);
}

TEST_CASE("the stream ends after 2^32 blocks") {
  chacha20_stream stream(counting, stream_purpose::mask, 1);
  constexpr std::uint64_t size = chacha20_stream::size;
  CHECK(stream.seek(size + 1) == errc::size_overflow);
  CHECK(stream.position() == 0);
  REQUIRE(stream.seek(size - 70) == errc::ok);
  std::vector<std::uint8_t> out(71, 1);
  CHECK(stream.fill(fedagg::bytes_span(out)) == errc::size_overflow);
  CHECK(out == std::vector<std::uint8_t>(71, 1));
  CHECK(stream.position() == size - 70);
  CHECK(stream.fill(fedagg::bytes_span(out).first(70)) == errc::ok);
  const auto last = fedagg::chacha20_block(counting, 0xffffffff, fedagg::stream_nonce(stream_purpose::mask, 1));
  CHECK(std::equal(last.begin(), last.end(), out.begin() + 6));
  CHECK(stream.fill(fedagg::bytes_span(out).first(1)) == errc::size_overflow);
  CHECK(stream.fill(fedagg::bytes_span()) == errc::ok);
  // Numbers go on with the first.
  const std::uint64_t again = stream();
  CHECK(again == chacha20_stream(counting, stream_purpose::mask, 1)());
}

TEST_CASE("nonces hold the purpose's letters and the index") {
  const auto nonce = fedagg::stream_nonce(stream_purpose::mask, 0x0807060504030201);
  CHECK(nonce == fedagg::chacha20_nonce{'m', 'a', 's', 'k', 1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(fedagg::stream_nonce(stream_purpose::rounding, 0)[0] == 'r');
  CHECK(fedagg::stream_nonce(stream_purpose::graph, 0)[0] == 'g');
  CHECK(fedagg::stream_nonce(stream_purpose::shares, 0)[0] == 's');
  CHECK(chacha20_stream(counting, stream_purpose::mask)() != chacha20_stream(counting, stream_purpose::graph)());
  CHECK(chacha20_stream(counting, stream_purpose::mask, 0)() != chacha20_stream(counting, stream_purpose::mask, 1)());
}

TEST_CASE("numbers below a bound are even, and a permutation holds each place once") {
  chacha20_stream stream(counting, stream_purpose::graph, 9);
  CHECK(stream.below(0) == 0);
  CHECK(stream.position() == 0);
  CHECK(stream.below(1) == 0);
  std::array<int, 3> seen{};
  for (int k = 0; k < 3000; ++k) ++seen[static_cast<std::size_t>(stream.below(3))];
  // Five standard deviations of a binomial count.
  for (const int count : seen) CHECK(std::abs(count - 1000) < 130);
  // Half of all numbers are refused: the bound is just above 2^63.
  constexpr std::uint64_t bound = (std::uint64_t{1} << 63) + 1;
  const std::uint64_t before = stream.position();
  for (int k = 0; k < 100; ++k) CHECK(stream.below(bound) < bound);
  const std::uint64_t drawn = (stream.position() - before) / 8;
  CHECK(drawn > 130);
  CHECK(drawn < 300);

  std::vector<std::uint32_t> order(1000), seen_at(1000);
  chacha20_stream(counting, stream_purpose::graph).permutation(order);
  for (const std::uint32_t place : order) ++seen_at.at(place);
  CHECK(seen_at == std::vector<std::uint32_t>(1000, 1));
  // By the definition.
  chacha20_stream again(counting, stream_purpose::graph);
  std::vector<std::uint32_t> want(1000);
  for (std::uint32_t i = 0; i < 1000; ++i) want[i] = i;
  for (std::size_t i = 999; i > 0; --i) std::swap(want[i], want[static_cast<std::size_t>(again.below(i + 1))]);
  CHECK(order == want);
}

TEST_CASE("a stream leaves nothing behind") {
  alignas(chacha20_stream) unsigned char memory[sizeof(chacha20_stream)];
  auto* stream = new (memory) chacha20_stream(counting, stream_purpose::mask);
  static_cast<void>((*stream)());
  stream->~chacha20_stream();
  const volatile unsigned char* left = memory;
  std::size_t other = 0;
  for (std::size_t i = 0; i < sizeof memory; ++i) other += left[i] != 0;
  CHECK(other <= 24); // places and sizes
}
