// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_RANDOM_HPP
#define FEDAGG_CORE_RANDOM_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <fedagg/config.hpp>
#include <fedagg/core/list.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The Philox 4x32-10 bijection (Salmon et al. 2011, doi:10.1145/2063384.2063405): 128 random bits per counter and key.
/// For sampling and simulation; nothing that must stay secret may come from it.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                              std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p = std::uint64_t{0xd2511f53u} * counter[0], q = std::uint64_t{0xcd9e8d57u} * counter[2];
    counter = {static_cast<std::uint32_t>(q >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(q),
               static_cast<std::uint32_t>(p >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p)};
    key = {key[0] + 0x9e3779b9u, key[1] + 0xbb67ae85u};
  }
  return counter;
}

/// Random numbers named by a seed and a purpose: the same on every machine, in any order of use, and streams of other
/// names share none of their counters. The seed is Philox's key, the hashed name (FNV-1a) the counter's upper half.
class random_stream {
public:
  constexpr random_stream(std::uint64_t seed, const char* name) noexcept : seed_(seed) {
    for (; *name; ++name) stream_ = (stream_ ^ static_cast<unsigned char>(*name)) * 0x100000001b3u;
  }

  /// 64 random bits.
  constexpr std::uint64_t operator()() noexcept {
    const std::uint64_t block = next_ / 2;
    const auto r = philox({low(block), high(block), low(stream_), high(stream_)}, {low(seed_), high(seed_)});
    const std::size_t at = next_++ % 2 * 2;
    return std::uint64_t{r[at + 1]} << 32 | r[at];
  }

  /// A number below `bound`, every one as likely as the others; 0 for a bound of 0.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    if (bound == 0) return 0;
    // What is left of 2^64 after whole multiples of the bound is drawn again.
    const std::uint64_t rest = (0 - bound) % bound;
    for (;;)
      if (const std::uint64_t r = (*this)(); r >= rest) return r % bound;
  }

  /// A random order of 0 .. size - 1, every one as likely as the others.
  constexpr void permutation(detail::slice<std::size_t> order) noexcept {
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(below(i))]);
  }

private:
  static constexpr std::uint32_t low(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x >> 32); }

  std::uint64_t seed_;
  std::uint64_t stream_ = 0xcbf29ce484222325u;
  std::uint64_t next_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_RANDOM_HPP
