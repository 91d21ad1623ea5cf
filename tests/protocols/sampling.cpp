// SPDX-License-Identifier: MIT
#include <fedagg/protocols/sampling.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "support/numeric.hpp"

using fedagg::errc;
using places = std::vector<std::size_t>;
using words = std::vector<std::uint64_t>;

namespace {

/// A generator that gives the words in turn; afterwards zeros.
struct replay {
  words given;
  std::size_t drawn = 0;
  std::uint64_t operator()() { return drawn < given.size() ? given[drawn++] : (++drawn, 0); }
};

bool with(double p, const words& given, std::size_t draws) {
  replay r{given};
  const bool answer = fedagg::impl::with_probability(p, r);
  CHECK(r.drawn == draws);
  return answer;
}

/// Chi-square of counts about one expectation.
double chi_square(const std::vector<double>& counts, double expected) {
  double sum = 0;
  for (const double c : counts) sum += (c - expected) * (c - expected) / expected;
  return sum;
}

} // namespace

TEST_CASE("the same clients on every machine: what another implementation of the definition draws") {
  CHECK(fedagg::sample_uniform(7, 0, 10, 4) == places{1, 3, 9, 7});
  CHECK(fedagg::sample_uniform(7, 1, 10, 4) == places{1, 8, 7, 9});
  CHECK(fedagg::sample_uniform(1, 3, 6, 6) == places{4, 0, 3, 1, 5, 2});
#if SIZE_MAX > 0xffffffffu
  CHECK(fedagg::sample_uniform((std::uint64_t{1} << 63) + 5, 12345678901234567890u, 1000000000000, 5) ==
        places{844422187122, 975852740652, 404787448481, 227958562622, 78997270995});
#endif
  CHECK(fedagg::sample_poisson(7, 0, 30, 0.25) == places{0, 1, 9, 24});
  CHECK(fedagg::sample_poisson(7, 1, 30, 0.25) == places{2, 4, 5, 7, 24, 27});
  CHECK(fedagg::sample_poisson(9, 2, 100, 0.05) == places{4, 6, 8, 65, 76, 78, 89});
}

TEST_CASE("a uniform sample has distinct clients in range, and smaller samples are its beginning") {
  for (const std::size_t n : {1u, 2u, 7u, 64u, 1000u})
    for (std::size_t k = 1; k <= n; k += 1 + k / 3) {
      const places all = fedagg::sample_uniform(3, n, n, n), some = fedagg::sample_uniform(3, n, n, k);
      CHECK(some == places(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k)));
      places sorted = all;
      std::sort(sorted.begin(), sorted.end());
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < n; ++i) wrong += sorted[i] != i;
      CHECK(wrong == 0);
    }
}

TEST_CASE("the sparse shuffle is the shuffle of a whole array") {
  for (const std::size_t n : {5u, 100u, 3000u}) {
    fedagg::random_stream random = fedagg::impl::round_stream("uniform sample of round ", 11, n);
    places order(n), drawn;
    for (std::size_t i = 0; i < n; ++i) order[i] = i;
    for (std::size_t i = 0; i < n; ++i) {
      std::swap(order[i], order[i + static_cast<std::size_t>(random.below(n - i))]);
      drawn.push_back(order[i]);
    }
    CHECK(fedagg::sample_uniform(11, n, n, n) == drawn);
  }
}

TEST_CASE("every client and every pair of clients is drawn as often as the others") {
  constexpr std::size_t n = 12, k = 4, rounds = 6000;
  std::vector<double> single(n), pair(n * (n - 1) / 2), first(n);
  for (std::size_t round = 0; round < rounds; ++round) {
    const places s = fedagg::sample_uniform(5, round, n, k);
    first[s[0]] += 1;
    for (std::size_t a = 0; a < k; ++a) {
      single[s[a]] += 1;
      for (std::size_t b = 0; b < a; ++b) {
        const std::size_t low = std::min(s[a], s[b]), high = std::max(s[a], s[b]);
        pair[high * (high - 1) / 2 + low] += 1;
      }
    }
  }
  // Six deviations above the mean of chi-square with as many degrees of freedom; counts without replacement vary less.
  const auto bound = [](double degrees) { return degrees + 6 * std::sqrt(2 * degrees); };
  CHECK(chi_square(first, rounds / double(n)) < bound(n - 1));
  CHECK(chi_square(single, rounds * k / double(n)) < bound(n - 1));
  CHECK(chi_square(pair, rounds * 6 / 66.0) < bound(65));
  // And it is random: no count is met exactly by all.
  CHECK(chi_square(first, rounds / double(n)) > 0.5);
}

TEST_CASE("poisson sampling: sizes and members as independent clients give them") {
  constexpr std::size_t n = 50, rounds = 4000;
  for (const double p : {0.01, 0.3, 0.97}) {
    std::vector<double> single(n);
    double total = 0, squares = 0, together = 0;
    for (std::size_t round = 0; round < rounds; ++round) {
      const places s = fedagg::sample_poisson(6, round, n, p);
      CHECK(std::is_sorted(s.begin(), s.end()));
      const auto size = static_cast<double>(s.size());
      total += size;
      squares += size * size;
      for (const std::size_t i : s) single[i] += 1;
      together += static_cast<double>(std::count(s.begin(), s.end(), 0u) + std::count(s.begin(), s.end(), 1u) == 2);
    }
    const double mean = total / rounds, variance = squares / rounds - mean * mean, want = n * p * (1 - p);
    INFO("p=" << p);
    CHECK(std::abs(mean - n * p) < 6 * std::sqrt(want / rounds));
    CHECK(std::abs(variance - want) < 6 * std::sqrt(2.0 / rounds) * want + 6 * std::sqrt(want / rounds));
    CHECK(std::abs(together - rounds * p * p) < 6 * std::sqrt(rounds * p * p) + 1);
    for (const double c : single) CHECK(std::abs(c - rounds * p) < 6 * std::sqrt(rounds * p * (1 - p)));
  }
}

TEST_CASE("a probability is met to its last digit") {
  numeric::standard_mode();
  // 1/2 is .1000...: less if the first word is below 2^63, and an equal word is followed by nothing.
  const std::uint64_t half = std::uint64_t{1} << 63;
  CHECK(with(0.5, {half - 1}, 1));
  CHECK_FALSE(with(0.5, {half}, 1));
  CHECK_FALSE(with(0.5, {half + 1}, 1));
  CHECK(with(0x1p-64, {0}, 1));
  CHECK_FALSE(with(0x1p-64, {1}, 2));
  // 2^-70: a word of zeros first.
  CHECK_FALSE(with(0x1p-70, {1}, 1));
  CHECK(with(0x1p-70, {0, (std::uint64_t{1} << 58) - 1}, 2));
  CHECK_FALSE(with(0x1p-70, {0, std::uint64_t{1} << 58}, 2));
  // Digits on both sides of a word's end: 3 2^-65.
  CHECK(with(0x1.8p-64, {0}, 1));
  CHECK(with(0x1.8p-64, {1, half - 1}, 2));
  CHECK_FALSE(with(0x1.8p-64, {1, half}, 2));
  CHECK_FALSE(with(0x1.8p-64, {2}, 1));
  // The largest double below one, and the smallest above zero.
  CHECK(with(1 - 0x1p-53, {~std::uint64_t{0} - 0x800}, 1));
  CHECK_FALSE(with(1 - 0x1p-53, {~std::uint64_t{0} - 0x7ff}, 1));
  CHECK_FALSE(with(0x1p-1074, {0, 0, 0, 1}, 4));
  CHECK(with(0x1p-1074, {}, 17));
  CHECK_FALSE(with(0.0, {0}, 0));
}

TEST_CASE("all, nobody, and what cannot be sampled") {
  CHECK(fedagg::sample_poisson(1, 1, 4, 1) == places{0, 1, 2, 3});
  CHECK(fedagg::sample_poisson(1, 1, 4, 0).empty());
  places out{9};
  const double infinity = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
  const double nan = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
  for (const double p : {-0.1, 1.5, infinity, nan}) CHECK(fedagg::try_sample_poisson(1, 1, 4, p, out) == errc::bad_parameter);
  CHECK(fedagg::try_sample_poisson(1, 1, 0, 0.5, out) == errc::empty_cohort);
  CHECK(fedagg::try_sample_uniform(1, 1, 0, 1, out) == errc::empty_cohort);
  CHECK(fedagg::try_sample_uniform(1, 1, 4, 0, out) == errc::bad_parameter);
  CHECK(fedagg::try_sample_uniform(1, 1, 4, 5, out) == errc::too_few_clients);
  CHECK(fedagg::try_sample_uniform(1, 1, SIZE_MAX, SIZE_MAX, out) == errc::out_of_memory);
  CHECK(out == places{9});
}

TEST_CASE("rounds, seeds and kinds of sampling are independent of each other") {
  CHECK(fedagg::sample_uniform(1, 1, 1000, 20) != fedagg::sample_uniform(1, 11, 1000, 20));
  CHECK(fedagg::sample_uniform(1, 1, 1000, 20) != fedagg::sample_uniform(2, 1, 1000, 20));
  fedagg::random_stream a = fedagg::impl::round_stream("uniform sample of round ", 1, 10), b(1, "uniform sample of round 10"),
                        c = fedagg::impl::round_stream("poisson sample of round ", 1, 10),
                        d = fedagg::impl::round_stream("uniform sample of round ", 1, 18446744073709551615u),
                        e(1, "uniform sample of round 18446744073709551615");
  const std::uint64_t first = a();
  CHECK(first == b());
  CHECK(first != c());
  CHECK(d() == e());
}
