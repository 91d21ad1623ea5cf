// SPDX-License-Identifier: MIT
#include <fedagg/core/exact_sum.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "support/numeric.hpp"

using fedagg::detail::exact_sum;
using fedagg::detail::largest_double;

namespace {

/// significand 2^exponent as a double; both are in range.
double read(const exact_sum& s) { return std::ldexp(s.value().significand, s.value().exponent); }

constexpr exact_sum sum_of(double a, double b, double c) {
  exact_sum s;
  s.add(a);
  s.add(b);
  s.add(c);
  return s;
}

} // namespace

static_assert(exact_sum{}.value().significand == 0);
static_assert(sum_of(1e300, 1, -1e300).value().significand == 1 && sum_of(1e300, 1, -1e300).value().exponent == 0);
static_assert(sum_of(-1, 0x1p-1074, 1).value().exponent == -1074);
static_assert(sum_of(1, -3, 0.5).value().significand == -1.5);
// Ties to even, and a last digit far below that breaks them.
static_assert(sum_of(1, 0x1p-53, 0).value().significand == 1);
static_assert(sum_of(1, 0x1p-53, 0x1p-1074).value().significand == 1 + 0x1p-52);
static_assert(sum_of(1, 0x1.8p-52, 0).value().significand == 1 + 0x1p-51);
static_assert(sum_of(2, -0x1p-60, 0).value().significand == 1 && sum_of(2, -0x1p-60, 0).value().exponent == 1);

TEST_CASE("what is added to a sum and taken from it again leaves nothing") {
  std::mt19937_64 random(1);
  std::vector<double> terms;
  for (int k = 0; k < 500; ++k) {
    const double x = numeric::finite_pattern<double>(random);
    terms.push_back(x);
    terms.push_back(-x);
  }
  std::shuffle(terms.begin(), terms.end(), random);
  exact_sum s;
  for (const double x : terms) s.add(x);
  CHECK(s.value().significand == 0);
  CHECK(s.value().exponent == 0);
}

TEST_CASE("sums and products agree with quadruple precision, in every order") {
  numeric::standard_mode();
  std::mt19937_64 random(2);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> a(30), b(30);
    numeric::quad want = 0;
    // Few enough digits that the reference is exact too.
    for (std::size_t k = 0; k < a.size(); ++k) {
      a[k] = static_cast<double>(static_cast<std::int32_t>(random())) * numeric::power(static_cast<int>(random() % 8) - 40);
      b[k] = static_cast<double>(static_cast<std::int32_t>(random())) * numeric::power(static_cast<int>(random() % 8));
      want = numeric::add(want, numeric::multiply(a[k], b[k]));
    }
    exact_sum s, backwards, left, right;
    for (std::size_t k = 0; k < a.size(); ++k) s.add_product(a[k], b[k]);
    for (std::size_t k = a.size(); k-- > 0;) backwards.add_product(b[k], a[k]);
    for (std::size_t k = 0; k < a.size(); ++k) (k % 3 ? left : right).add_product(a[k], b[k]);
    left.merge(right);
    CHECK(read(s) == static_cast<double>(want));
    CHECK(read(backwards) == read(s));
    CHECK(read(left) == read(s));
  }
}

TEST_CASE("products of the smallest and of the largest numbers are exact") {
  const double least = std::bit_cast<double>(std::uint64_t{1});
  exact_sum s;
  s.add_product(least, least);
  CHECK(s.value().significand == 1);
  CHECK(s.value().exponent == -2148);
  s.add_product(-largest_double, largest_double);
  CHECK(s.value().significand == -2 + 0x1p-51);
  CHECK(s.value().exponent == 2047);
  for (int k = 0; k < 1000; ++k) s.add_product(-largest_double, largest_double);
  CHECK(s.value().exponent == 2048 + 9);
  for (int k = 0; k < 1001; ++k) s.add_product(largest_double, largest_double);
  CHECK(s.value().exponent == -2148);
}

TEST_CASE("ratios") {
  exact_sum a, b, huge;
  CHECK(exact_sum::ratio(a, [] {
          exact_sum one;
          one.add(1);
          return one;
        }()) == 0);
  a.add(1);
  b.add(3);
  CHECK(exact_sum::ratio(a, b) == 1.0 / 3);
  huge.add_product(largest_double, -2);
  CHECK(exact_sum::ratio(huge, b) == Approx(-largest_double / 3 * 2).epsilon(1e-15));
  CHECK(exact_sum::ratio(huge, a) == -largest_double);
  huge.add_product(largest_double, -largest_double);
  CHECK(exact_sum::ratio(huge, huge) == 1);
  CHECK(exact_sum::ratio(huge, a) == -largest_double);
  CHECK(exact_sum::ratio(a, huge) == 0);
}
