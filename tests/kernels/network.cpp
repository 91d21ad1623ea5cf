// SPDX-License-Identifier: MIT
#include <fedagg/kernels/network.hpp>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using fedagg::impl::sorting_network;

namespace {

/// Runs 64 inputs of zeros and ones at once, one bit of each wire's word per input; true if all come out sorted.
template <std::size_t N>
bool sorts(const sorting_network<N>& net, std::uint64_t* wire) {
  for (std::size_t i = 0; i < net.size; ++i) {
    const std::uint64_t a = wire[net.low[i]], b = wire[net.high[i]];
    wire[net.low[i]] = a & b;
    wire[net.high[i]] = a | b;
  }
  std::uint64_t bad = 0;
  for (std::size_t i = 0; i + 1 < N; ++i) bad |= wire[i] & ~wire[i + 1];
  return bad == 0;
}

/// By the 0-1 principle a network that sorts every input of zeros and ones sorts everything.
template <std::size_t N>
bool sorts_all() {
  static constexpr sorting_network<N> net;
  constexpr std::uint64_t low[] = {0xaaaaaaaaaaaaaaaa, 0xcccccccccccccccc, 0xf0f0f0f0f0f0f0f0,
                                   0xff00ff00ff00ff00, 0xffff0000ffff0000, 0xffffffff00000000};
  for (std::uint64_t high = 0; high < (N > 6 ? std::uint64_t{1} << (N - 6) : 1); ++high) {
    std::uint64_t wire[N];
    for (std::size_t i = 0; i < N; ++i) wire[i] = i < 6 ? low[i] : high >> (i - 6) & 1 ? ~std::uint64_t{0} : 0;
    if (!sorts(net, wire)) return false;
  }
  return true;
}

template <std::size_t N>
bool sorts_random(int rounds) {
  static constexpr sorting_network<N> net;
  std::mt19937_64 random(N);
  for (int r = 0; r < rounds; ++r) {
    std::uint64_t wire[N];
    // From all zeros to all ones, not only the balanced inputs.
    const auto share = static_cast<unsigned>(r % 7);
    for (auto& w : wire) {
      w = random();
      if (share < 3) for (unsigned k = 0; k < share; ++k) w &= random();
      else for (unsigned k = 3; k < share; ++k) w |= random();
    }
    if (!sorts(net, wire)) return false;
  }
  return true;
}

/// Every input whose two halves are sorted already: what the last merge is given.
template <std::size_t N>
bool merges_all() {
  static constexpr sorting_network<N> net;
  for (std::size_t a = 0; a <= N / 2; ++a)
    for (std::size_t b = 0; b <= N / 2; ++b) {
      std::uint64_t wire[N] = {};
      for (std::size_t i = 0; i < a; ++i) wire[N / 2 - 1 - i] = ~std::uint64_t{0};
      for (std::size_t i = 0; i < b; ++i) wire[N - 1 - i] = ~std::uint64_t{0};
      if (!sorts(net, wire)) return false;
    }
  return true;
}

template <std::size_t N>
bool well_formed() {
  static constexpr sorting_network<N> net;
  for (std::size_t i = 0; i < net.size; ++i)
    if (!(net.low[i] < net.high[i] && net.high[i] < N)) return false;
  return true;
}

} // namespace

TEST_CASE("networks of up to 22 wires sort every input of zeros and ones") {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const bool all[] = {sorts_all<I + 1>()...};
    for (std::size_t i = 0; i < sizeof...(I); ++i) {
      INFO("wires " << i + 1);
      CHECK(all[i]);
    }
  }(std::make_index_sequence<22>{});
}

TEST_CASE("larger networks sort random inputs and merge every pair of sorted halves") {
  CHECK(sorts_random<24>(20000));
  CHECK(sorts_random<28>(20000));
  CHECK(sorts_random<31>(20000));
  CHECK(sorts_random<32>(20000));
  CHECK(merges_all<24>());
  CHECK(merges_all<32>());
}

TEST_CASE("every comparison puts the smaller value on the lower wire") {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    CHECK((well_formed<I + 1>() && ...));
  }(std::make_index_sequence<32>{});
}
