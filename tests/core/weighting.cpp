// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <fedagg/core/weighting.hpp>

#include "support/catch.hpp"

namespace detail = fedagg::detail;
using fedagg::errc;

namespace {

constexpr double most = 0x1.fffffffffffffp1023;
const double infinity = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
const double not_a_number = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
const double signalling = std::bit_cast<double>(std::uint64_t{0x7ff0000000000001});

} // namespace

static_assert(detail::exponent_of(1.0) == 0 && detail::exponent_of(most) == 1023 && detail::exponent_of(0.75) == -1);
static_assert(detail::power_of_two(-1022) == 0x1p-1022 && detail::power_of_two(1023) == 0x1p1023);

TEST_CASE("a weight is a finite number that is not negative; -0 is 0") {
  for (const double w : {0.0, -0.0, 1.0, 0.1, most, 0x1p-1022}) CHECK(detail::valid_weight(w));
  for (const double w : {-1.0, -0x1p-1022, -most, not_a_number, signalling, -not_a_number, infinity, -infinity})
    CHECK_FALSE(detail::valid_weight(w));
}

TEST_CASE("scaled weights keep their ratios, and their sum lies below one") {
  std::mt19937_64 random(3);
  for (const int shift : {-1000, -300, 0, 300, 900}) {
    std::vector<double> w(37), a(37);
    for (double& x : w)
      x = (static_cast<double>(random() >> 12) + 1) * detail::power_of_two(shift / 2) *
          detail::power_of_two(shift - shift / 2);
    if (shift == -1000) w[5] = 0;
    double sum = 0;
    REQUIRE(detail::scale_weights(w, a, sum) == errc::ok);
    CHECK(sum < 1);
    CHECK(sum > 0);
    double check = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      check += a[i];
      // A power of two changes no fraction bits.
      CHECK((std::bit_cast<std::uint64_t>(w[i]) & 0xfffffffffffffu) ==
            (std::bit_cast<std::uint64_t>(a[i]) & 0xfffffffffffffu));
    }
    CHECK(check == sum);
  }
}

TEST_CASE("equal weights become equal powers of two, the smallest and the largest too") {
  for (const double w : {0.1, 1e-300, 1e300, most, 0x1p-1022}) {
    std::vector<double> all(9, w), a(9), ones(9, 1.0), b(9);
    double sum = 0, sum_of_ones = 0;
    REQUIRE(detail::scale_weights(all, a, sum) == errc::ok);
    REQUIRE(detail::scale_weights(ones, b, sum_of_ones) == errc::ok);
    CHECK(a == b);
    CHECK(sum == sum_of_ones);
  }
}

TEST_CASE("what cannot be a weight, and weights of nothing, are refused") {
  std::vector<double> a(3);
  double sum = 0;
  for (const double bad : {-1.0, not_a_number, infinity, signalling})
    for (std::size_t at = 0; at < 3; ++at) {
      std::vector<double> w = {1, 2, 3};
      w[at] = bad;
      CHECK(detail::scale_weights(w, a, sum) == errc::invalid_weight);
    }
  CHECK(detail::scale_weights(std::vector<double>{0.0, -0.0, 0.0}, a, sum) == errc::zero_weight_sum);
  CHECK(detail::scale_weights(std::vector<double>{}, {}, sum) == errc::zero_weight_sum);
}

TEST_CASE("the largest weights have a finite sum") {
  std::vector<double> w = {most, most / 3, most, 1}, a(4);
  double sum = 0;
  REQUIRE(detail::scale_weights(w, a, sum) == errc::ok);
  CHECK(sum < 1);
  CHECK(a[1] * 3 > a[0] * 0.999);
}

TEST_CASE("the most clients below half of the weight are found by trying all subsets") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    const std::size_t n = 1 + random() % 8;
    std::vector<double> w(n);
    double total = 0;
    for (double& x : w) total += x = static_cast<double>(random() % 6);
    if (total == 0) continue;
    std::sort(w.begin(), w.end());
    // The largest k for which no k clients hold half.
    std::size_t want = n;
    for (unsigned set = 0; set < 1u << n; ++set) {
      double held = 0;
      for (std::size_t i = 0; i < n; ++i)
        if (set >> i & 1u) held += w[i];
      const auto size = static_cast<std::size_t>(std::popcount(set));
      if (2 * held >= total && size <= want) want = size - 1;
    }
    std::size_t got = 0;
    CHECK(detail::heaviest_below_half(w, want, got) == errc::ok);
    CHECK(got == want);
    CHECK(detail::heaviest_below_half(w, want + 1, got) == errc::weight_majority);
  }
}

TEST_CASE("the heaviest clients' share, none to all") {
  const std::vector<double> w = {1, 2, 5};
  CHECK(detail::share_of_heaviest(w, 0) == 0);
  CHECK(detail::share_of_heaviest(w, 1) == 0.625);
  CHECK(detail::share_of_heaviest(w, 2) == 0.875);
  CHECK(detail::share_of_heaviest(w, 3) == 1);
  CHECK(detail::share_of_heaviest(w, 99) == 1);
}

TEST_CASE("a midpoint neither overflows nor loses the last bit") {
  CHECK(detail::midpoint(most, most) == most);
  CHECK(detail::midpoint(-most, most) == 0);
  CHECK(detail::midpoint(1, 2) == 1.5);
  CHECK(detail::midpoint(most, most / 2) == most / 4 * 3);
}
