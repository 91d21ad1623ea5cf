// SPDX-License-Identifier: MIT
#include <fedagg/core/selection.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace fedagg::detail;
using fedagg::errc;

TEST_CASE("square roots are rounded to nearest") {
  std::mt19937_64 random(1);
  std::size_t wrong = 0;
  const auto check = [&](double x) {
    // Scaled by an even power of two, exactly, so that no flag flushes a subnormal argument of the reference.
    const int shift = std::bit_cast<std::uint64_t>(x) < 0x0200000000000000u ? 200 : 0;
    const auto scaled = static_cast<double>(std::ldexp(static_cast<long double>(x), shift));
    volatile double argument = scaled;
    const double want = std::ldexp(std::sqrt(argument), -shift / 2);
    wrong += square_root(x) != want;
  };
  for (int k = 0; k < 200000; ++k) check(std::bit_cast<double>(random() % 0x7ff0000000000000u));
  for (int k = 0; k < 20000; ++k) check(std::bit_cast<double>(random() % 0x0010000000000000u + 1));
  for (std::uint64_t k = 1; k < 5000; ++k) {
    check(std::bit_cast<double>(k));
    check(static_cast<double>(k));
    check(static_cast<double>(k * k));
    check(std::bit_cast<double>(0x7ff0000000000000u - k));
    // Next to squares and to powers of two, where the rounding is closest.
    check(std::bit_cast<double>(std::bit_cast<std::uint64_t>(static_cast<double>(k * k)) - 1));
    check(std::bit_cast<double>((k % 2000 + 1) << 52 | 1));
    check(std::bit_cast<double>(((k % 2000 + 1) << 52) - 1));
  }
  CHECK(wrong == 0);
  CHECK(square_root(0.0) == 0);
  CHECK(square_root(-0.0) == 0);
  CHECK(square_root(-4.0) == 0);
  static_assert(square_root(9.0) == 3 && square_root(1e60) == 1e30);
}

TEST_CASE("the smallest come first, equal ones by index") {
  std::mt19937_64 random(2);
  for (std::size_t n = 0; n < 40; ++n)
    for (std::size_t count = 0; count <= n + 1; ++count) {
      std::vector<ranked> all(n);
      for (std::size_t i = 0; i < n; ++i) all[i] = {static_cast<double>(random() % 7) - 3, i};
      std::shuffle(all.begin(), all.end(), random);
      auto sorted = all;
      std::stable_sort(sorted.begin(), sorted.end(), [](const ranked& a, const ranked& b) { return a.index < b.index; });
      std::stable_sort(sorted.begin(), sorted.end(), [](const ranked& a, const ranked& b) { return a.value < b.value; });
      smallest_first(all, count);
      bool same = true;
      for (std::size_t i = 0; i < std::min(count, n); ++i) same = same && all[i].index == sorted[i].index;
      INFO("n=" << n << " count=" << count);
      CHECK(same);
      std::sort(all.begin(), all.end());
      for (std::size_t i = 0; i < n; ++i) same = same && all[i].index == sorted[i].index;
      CHECK(same);
    }
}

TEST_CASE("an honest majority is more than half") {
  CHECK(honest_majority(-1, 5) == errc::bad_parameter);
  CHECK(honest_majority(0, 0) == errc::too_few_clients);
  CHECK(honest_majority(0, 1) == errc::ok);
  CHECK(honest_majority(1, 2) == errc::too_few_clients);
  CHECK(honest_majority(1, 3) == errc::ok);
  CHECK(honest_majority(2, 4) == errc::too_few_clients);
  CHECK(honest_majority(9007199254740992, 3) == errc::too_few_clients);
}

TEST_CASE("rows are shortened to a bound, rows of norm zero never") {
  CHECK(clip_factor(0, 1) == 1);
  CHECK(clip_factor(0, 0) == 1);
  CHECK(clip_factor(25, 0) == 0);
  CHECK(clip_factor(25, 5) == 1);
  CHECK(clip_factor(25, 1) == 0.2);
  CHECK(clip_factor(1e60, 1) == 1 / 1e30);
  fedagg::arena memory;
  fedagg::affine_map map;
  const std::vector<double> norms{4, 0, 100};
  REQUIRE(clip_rows(norms, 2, memory, map) == errc::ok);
  CHECK(!map.whole);
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(map.row(i).size() == 1);
    CHECK(map.row(i)[0].index == i);
    CHECK(map.row(i)[0].share == (i == 2 ? 0.2 : 1.0));
  }
  REQUIRE(clip_rows(norms, 10, memory, map) == errc::ok);
  CHECK(map.whole);
  CHECK(clip_rows({}, 10, memory, map) == errc::too_few_clients);
}

TEST_CASE("sums that overflow stay at the largest number") {
  CHECK(saturating_plus(1, 2) == 3);
  CHECK(saturating_plus(1.5e308, 1.5e308) == largest_double);
}
