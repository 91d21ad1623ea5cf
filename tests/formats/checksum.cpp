// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <set>
#include <span>
#include <vector>

#include <fedagg/formats/io/checksum.hpp>

#include "support/catch.hpp"

using fedagg::checksum;

namespace {

std::vector<std::byte> counted(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t k = 0; k < size; ++k) bytes[k] = static_cast<std::byte>(k * 37 + 11);
  return bytes;
}

/// The definition, word by word.
std::uint64_t reference(const std::vector<std::byte>& bytes, std::uint64_t seed) {
  const auto step = [](std::uint64_t s, std::uint64_t word) {
    s = (s ^ word) * 0x9e3779b97f4a7c15u + 0xd1b54a32d192ed03u;
    return s << 29 | s >> 35;
  };
  std::uint64_t lanes[8];
  for (std::uint64_t k = 0; k < 8; ++k) lanes[k] = (k + 1) * 0xd1b54a32d192ed03u;
  for (std::size_t word = 0; word * 8 < bytes.size(); ++word) {
    std::uint64_t x = 0;
    for (std::size_t k = 0; k < 8 && word * 8 + k < bytes.size(); ++k)
      x |= std::uint64_t{std::to_integer<unsigned char>(bytes[word * 8 + k])} << (8 * k);
    lanes[word % 8] = step(lanes[word % 8], x);
  }
  std::uint64_t sum = step(seed, bytes.size());
  for (const std::uint64_t lane : lanes) sum = step(sum, lane);
  sum = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15u;
  sum = (sum ^ sum >> 29) * 0x9e3779b97f4a7c15u;
  return sum ^ sum >> 32;
}

} // namespace

TEST_CASE("the checksum is as defined, for every length") {
  for (std::size_t size = 0; size < 300; ++size) {
    const auto bytes = counted(size);
    CHECK(checksum(bytes) == reference(bytes, 0));
    CHECK(checksum(bytes, 99) == reference(bytes, 99));
  }
  // Files that were written must stay readable.
  CHECK(checksum({}) == 0x2bd194b5d2ac9576u);
  CHECK(checksum(counted(1000)) == 0x3f0ce6dbd9921c8u);
}

TEST_CASE("no change within a word goes unseen") {
  for (const std::size_t size : {1u, 7u, 8u, 9u, 63u, 64u, 65u, 128u, 200u}) {
    auto bytes = counted(size);
    const std::uint64_t whole = checksum(bytes);
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      CHECK(checksum(bytes) != whole);
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
  }
  std::mt19937_64 random(5);
  auto bytes = counted(4096 + 5);
  const std::uint64_t whole = checksum(bytes);
  for (int k = 0; k < 2000; ++k) {
    const std::size_t at = random() % 512 * 8;
    const std::uint64_t word = random() | 1, changed = word;
    std::uint64_t before = 0;
    std::memcpy(&before, bytes.data() + at, 8);
    const std::uint64_t after = before ^ changed;
    std::memcpy(bytes.data() + at, &after, 8);
    CHECK(checksum(bytes) != whole);
    std::memcpy(bytes.data() + at, &before, 8);
  }
  CHECK(checksum(bytes) == whole);
}

TEST_CASE("lengths, places and seeds make a difference") {
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size < 400; ++size) seen.insert(checksum(std::vector<std::byte>(size)));
  for (std::uint64_t seed = 1; seed < 400; ++seed) seen.insert(checksum({}, seed));
  CHECK(seen.size() == 799);

  // Two words that change places, in the same lane or not; a block that moves.
  auto bytes = counted(1024);
  const std::uint64_t whole = checksum(bytes);
  for (std::size_t a = 0; a < 128; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      auto swapped = bytes;
      std::swap_ranges(swapped.begin() + static_cast<std::ptrdiff_t>(8 * a),
                       swapped.begin() + static_cast<std::ptrdiff_t>(8 * a + 8),
                       swapped.begin() + static_cast<std::ptrdiff_t>(8 * b));
      if (swapped != bytes) CHECK(checksum(swapped) != whole);
    }
}
