// SPDX-License-Identifier: MIT
#include <fedagg/core/random.hpp>

#include <algorithm>
#include <vector>

#include "support/catch.hpp"

using fedagg::philox;
using fedagg::random_stream;
using block = std::array<std::uint32_t, 4>;

TEST_CASE("Philox gives the known answers of Random123") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == block{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(philox({0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu}, {0xffffffffu, 0xffffffffu}) ==
        block{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  CHECK(philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}) ==
        block{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST_CASE("a stream is Philox under its seed and its hashed name") {
  // FNV-1a of nothing is its offset basis, of "a" a published value.
  const std::uint64_t empty = 0xcbf29ce484222325u, a = 0xaf63dc4c8601ec8cu;
  for (const auto& [name, hash] : {std::pair{"", empty}, std::pair{"a", a}}) {
    const std::uint64_t seed = 0x0123456789abcdefu;
    random_stream r(seed, name);
    for (std::uint32_t k = 0; k < 5; ++k) {
      const block b = philox({k, 0, static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32)},
                             {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
      CHECK(r() == (std::uint64_t{b[1]} << 32 | b[0]));
      CHECK(r() == (std::uint64_t{b[3]} << 32 | b[2]));
    }
  }
  random_stream other(1, "b"), seed(2, "a"), same(1, "a"), first(1, "a");
  const std::uint64_t x = first();
  CHECK(same() == x);
  CHECK(other() != x);
  CHECK(seed() != x);
}

TEST_CASE("bounded numbers are below their bound and equally likely") {
  random_stream r(7, "test");
  CHECK(r.below(0) == 0);
  CHECK(r.below(1) == 0);
  for (const std::uint64_t bound : {2u, 3u, 6u, 10u, 48u}) {
    std::vector<std::size_t> counts(bound);
    const std::size_t draws = 20000 * bound;
    for (std::size_t k = 0; k < draws; ++k) ++counts.at(r.below(bound));
    for (const std::size_t c : counts) CHECK(std::max(c, std::size_t{20000}) - std::min(c, std::size_t{20000}) < 900);
  }
  // 3 2^62: without drawing again the lowest third would come up half of the time.
  const std::uint64_t third = std::uint64_t{1} << 62;
  std::size_t low = 0;
  for (int k = 0; k < 30000; ++k) {
    const std::uint64_t x = r.below(3 * third);
    REQUIRE(x < 3 * third);
    low += x < third;
  }
  CHECK(low > 9500);
  CHECK(low < 10500);
}

TEST_CASE("permutations hold every index once, and every order is equally likely") {
  std::vector<std::size_t> counts(24);
  for (std::uint64_t seed = 0; seed < 24000; ++seed) {
    std::vector<std::size_t> order(4, 99);
    random_stream(seed, "test").permutation(order);
    auto sorted = order;
    std::sort(sorted.begin(), sorted.end());
    REQUIRE(sorted == std::vector<std::size_t>{0, 1, 2, 3});
    std::size_t rank = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      std::size_t smaller = 0;
      for (std::size_t j = i + 1; j < 4; ++j) smaller += order[j] < order[i];
      rank = rank * (4 - i) + smaller;
    }
    ++counts.at(rank);
  }
  for (const std::size_t c : counts) {
    CHECK(c > 850);
    CHECK(c < 1150);
  }
  std::vector<std::size_t> one(1, 5), none;
  random_stream(1, "test").permutation(one);
  random_stream(1, "test").permutation(none);
  CHECK(one[0] == 0);
}
