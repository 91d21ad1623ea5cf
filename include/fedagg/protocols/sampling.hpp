// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_SAMPLING_HPP
#define FEDAGG_PROTOCOLS_SAMPLING_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/power.hpp>
#include <fedagg/core/random.hpp>

/// Which clients take part in a round: named by a seed and the round's number, the same on every machine and in every
/// order of calls. Who knows the seed knows the sample; nothing here is secret.

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// The stream of a round: no two purposes and no two rounds share any of its numbers.
inline random_stream round_stream(const char* purpose, std::uint64_t seed, std::uint64_t round) noexcept {
  char name[64] = {};
  std::size_t size = 0;
  while (*purpose && size < 40) name[size++] = *purpose++;
  std::size_t digits = 1;
  for (std::uint64_t rest = round / 10; rest != 0; rest /= 10) ++digits;
  for (std::size_t k = digits; k-- > 0; round /= 10) name[size + k] = static_cast<char>('0' + round % 10);
  return random_stream(seed, name);
}

/// Places whose content is not their own number, in a table of open addresses: memory for `changes` of them.
class sparse_order {
public:
  explicit sparse_order(std::size_t changes)
      : shift_(64 - static_cast<int>(std::bit_width(changes)) - 1), slots_(std::size_t{1} << (64 - shift_)) {}

  std::size_t at(std::size_t place) const noexcept {
    const slot& s = slots_[find(place)];
    return s.used ? s.content : place;
  }
  void put(std::size_t place, std::size_t content) noexcept { slots_[find(place)] = {place, content, true}; }

private:
  struct slot {
    std::size_t place = 0, content = 0;
    bool used = false;
  };
  std::size_t find(std::size_t place) const noexcept {
    auto k = static_cast<std::size_t>((place * std::uint64_t{0x9e3779b97f4a7c15u}) >> shift_);
    while (slots_[k].used && slots_[k].place != place) k = k + 1 < slots_.size() ? k + 1 : 0;
    return k;
  }

  int shift_;
  std::vector<slot> slots_;
};

/// True with a probability of exactly p, 0 <= p < 1: a random binary fraction of as many digits as it takes is compared
/// with p's own digits. `random()` gives 64 of them.
template <class Random>
bool with_probability(double p, Random&& random) noexcept {
  if (!(p > 0)) return false;
  const auto [significand, exponent] = detail::take_apart(p);
  // Digits 64 (word - 1) + 1 to 64 word behind the point, until p has none left.
  for (int up = exponent + 64; up < 64; up += 64) {
    const std::uint64_t digits = up >= 0 ? significand << up : up > -64 ? significand >> -up : 0, drawn = random();
    if (drawn != digits) return drawn < digits;
  }
  return false;
}

} // namespace impl

/// `count` of the clients 0 .. clients - 1 without replacement, every set of them as likely as the others, in the order
/// in which they are drawn: the first k are what a sample of k would be, so that a round that asks more clients than it
/// needs asks those it would have asked anyway. O(count) time and memory, however many clients there are. `out` is
/// replaced, untouched where refused: `empty_cohort`, `bad_parameter` for a count of 0, `too_few_clients`.
[[nodiscard]] inline errc try_sample_uniform(std::uint64_t seed, std::uint64_t round, std::size_t clients,
                                             std::size_t count, std::vector<std::size_t>& out) noexcept {
  if (clients == 0) return errc::empty_cohort;
  if (count == 0) return errc::bad_parameter;
  if (count > clients) return errc::too_few_clients;
  if (count > static_cast<std::size_t>(-1) / 64) return errc::out_of_memory;
#if FEDAGG_EXCEPTIONS
  try {
#endif
    impl::sparse_order order(count);
    std::vector<std::size_t> drawn(count);
    random_stream random = impl::round_stream("uniform sample of round ", seed, round);
    // The first steps of a Fisher-Yates shuffle; a place behind us is never looked at again.
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t j = i + static_cast<std::size_t>(random.below(clients - i));
      drawn[i] = order.at(j);
      if (j != i) order.put(j, order.at(i));
    }
    out.swap(drawn);
#if FEDAGG_EXCEPTIONS
  } catch (...) {
    return errc::out_of_memory;
  }
#endif
  return errc::ok;
}

/// Every client by itself with a probability of exactly `probability`, as privacy accounting assumes it (Poisson
/// sampling); ascending, and possibly nobody. O(clients) time. `out` is replaced, untouched where refused:
/// `empty_cohort`, `bad_parameter` for a probability outside of [0, 1].
[[nodiscard]] inline errc try_sample_poisson(std::uint64_t seed, std::uint64_t round, std::size_t clients,
                                             double probability, std::vector<std::size_t>& out) noexcept {
  if (clients == 0) return errc::empty_cohort;
  if (!is_finite(probability) || !(probability >= 0) || probability > 1) return errc::bad_parameter;
#if FEDAGG_EXCEPTIONS
  try {
#endif
    std::vector<std::size_t> drawn;
    random_stream random = impl::round_stream("poisson sample of round ", seed, round);
    for (std::size_t i = 0; i < clients; ++i)
      if (probability == 1 || impl::with_probability(probability, random)) drawn.push_back(i);
    out.swap(drawn);
#if FEDAGG_EXCEPTIONS
  } catch (...) {
    return errc::out_of_memory;
  }
#endif
  return errc::ok;
}

/// The same; throw fedagg::error.
inline std::vector<std::size_t> sample_uniform(std::uint64_t seed, std::uint64_t round, std::size_t clients,
                                               std::size_t count) {
  std::vector<std::size_t> out;
  if (const errc rc = try_sample_uniform(seed, round, clients, count, out); rc != errc::ok) impl::raise(rc);
  return out;
}
inline std::vector<std::size_t> sample_poisson(std::uint64_t seed, std::uint64_t round, std::size_t clients,
                                               double probability) {
  std::vector<std::size_t> out;
  if (const errc rc = try_sample_poisson(seed, round, clients, probability, out); rc != errc::ok) impl::raise(rc);
  return out;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_SAMPLING_HPP
