// SPDX-License-Identifier: MIT
#include <fedagg/kernels/packing.hpp>

#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

namespace impl = fedagg::impl;

namespace {

/// Bit i of the sequence is bit i % bits of word i / bits.
template <class W>
std::vector<std::uint8_t> packed_by_definition(const std::vector<W>& words, unsigned bits) {
  std::vector<std::uint8_t> out((words.size() * bits + 7) / 8);
  for (std::size_t i = 0; i < words.size() * bits; ++i)
    if (words[i / bits] >> (i % bits) & 1u) out[i / 8] = static_cast<std::uint8_t>(out[i / 8] | 1u << (i % 8));
  return out;
}

template <class W>
void every_width(unsigned first, unsigned last) {
  std::mt19937_64 random(last);
  for (unsigned bits = first; bits <= last; ++bits)
    for (const std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 15u, 31u, 64u, 65u, 127u, 200u}) {
      std::vector<W> words(count);
      for (W& w : words) w = static_cast<W>(random());
      const std::vector<std::uint8_t> expected = packed_by_definition(words, bits);
      REQUIRE(impl::packed_size(bits, count) == expected.size());
      // Exactly that many bytes are written and read: what is behind them stays.
      std::vector<std::uint8_t> out(expected.size() + 9, 0xa5);
      impl::pack_words(words.data(), bits, count, out.data());
      INFO(bits << " bits of " << 8 * sizeof(W) << ", " << count << " elements");
      CHECK(std::vector<std::uint8_t>(out.begin(), out.end() - 9) == expected);
      CHECK(std::vector<std::uint8_t>(out.end() - 9, out.end()) == std::vector<std::uint8_t>(9, 0xa5));
      CHECK(impl::packed_padding_is_zero(expected.data(), bits, count));

      const std::vector<std::uint8_t> exact(expected); // a sanitizer sees a byte read too far
      std::vector<W> back(count + 1, W{7});
      impl::unpack_words(exact.data(), bits, count, back.data());
      bool same = back[count] == 7;
      for (std::size_t j = 0; j < count; ++j) same = same && back[j] == (words[j] & impl::low_bits(bits));
      CHECK(same);
    }
}

} // namespace

TEST_CASE("words of every width are packed by the definition, and come back") {
  every_width<std::uint16_t>(1, 16);
  every_width<std::uint32_t>(1, 32);
  every_width<std::uint64_t>(1, 64);
}

TEST_CASE("a bit behind the last element is seen") {
  for (unsigned bits = 1; bits <= 64; ++bits)
    for (const std::size_t count : {1u, 3u, 7u, 8u, 9u}) {
      const std::size_t size = impl::packed_size(bits, count), used = bits * count;
      for (std::size_t bit = 0; bit < 8 * size; ++bit) {
        std::vector<std::uint8_t> bytes(size);
        bytes[bit / 8] = static_cast<std::uint8_t>(1u << (bit % 8));
        CHECK(impl::packed_padding_is_zero(bytes.data(), bits, count) == (bit < used));
      }
    }
  CHECK(impl::packed_padding_is_zero(nullptr, 13, 0));
}

TEST_CASE("sizes near the largest do not overflow") {
  CHECK(impl::packed_size(64, std::size_t{1} << 59) == std::size_t{1} << 62);
  CHECK(impl::packed_size(7, 9) == 8);
  CHECK(impl::packed_size(8, 0) == 0);
}
