// SPDX-License-Identifier: MIT
#include <fedagg/core/power.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <random>

#include "support/exponentials.hpp"

using fedagg::detail::exponential;
using fedagg::detail::largest_double;
using fedagg::detail::power;

namespace {

using numeric::quad;

/// Within `units` of the last place of the value itself; below the normal numbers, of the smallest one.
bool close(double got, quad want, double units) {
  return numeric::magnitude(quad(got) - want) <= quad(2 * units) * numeric::half_ulp<double>(want);
}

} // namespace

static_assert(exponential(0) == 1 && exponential(-0.0) == 1);
static_assert(power(0, 0) == 1 && power(7, 0) == 1 && power(0, 2) == 0 && power(0, -2) == largest_double);
static_assert(power(1, 3.7) == 1 && power(1, -1e300) == 1 && power(1, 0x1p-1074) == 1);
static_assert(power(2, 10) == 1024 && power(4, -1.5) == 0.125 && power(0.25, 3) == 0.015625);
static_assert(power(0x1p-1074, 0.25) == 0x1p-269 * 1.4142135623730951);
static_assert(power(7, 1) == 7 && power(2, 0.5) == 1.4142135623730951);
static_assert(fedagg::detail::high_product(~std::uint64_t{0}, ~std::uint64_t{0}) == ~std::uint64_t{0} - 1);
static_assert(fedagg::detail::high_product(0x1234567890abcdefu, 0xfedcba0987654321u) == 0x121fa000a3723a57u);

TEST_CASE("e^x is right to two thirds of a unit") {
  numeric::standard_mode();
  std::mt19937_64 random(1);
  for (int k = 0; k < 3000; ++k) {
    const double x = numeric::uniform(random) * (k % 2 ? 709.7 : numeric::power(-(k % 70)));
    INFO("x=" << numeric::text(x));
    CHECK(close(exponential(x), numeric::exponential_of(x), 0.65));
  }
}

TEST_CASE("x^a is right to half a unit and a tenth") {
  numeric::standard_mode();
  std::mt19937_64 random(2);
  int done = 0;
  for (int k = 0; k < 4000; ++k) {
    const double x = (1.5 + numeric::uniform(random) / 2) * numeric::power(static_cast<int>(random() % 200) - 100);
    const double a = numeric::uniform(random) * (k % 3 ? 16 : 0.01);
    const quad want = numeric::power_of(x, a);
    if (want > 1e307 || want < 1e-307) continue;
    ++done;
    INFO("x=" << numeric::text(x) << " a=" << numeric::text(a));
    CHECK(close(power(x, a), want, 0.6));
  }
  CHECK(done > 3000);
}

TEST_CASE("powers far out: bases near one, huge exponents, the smallest and the largest results") {
  numeric::standard_mode();
  for (const double x : {1 + 0x1p-52, 1 - 0x1p-53, 1 + 0x1p-20, 0.999})
    for (const double a : {1.5, 17.0, 300.0, -1000.0, 1e5})
      CHECK(close(power(x, a), numeric::power_of(x, a), 1 + (a < 0 ? -a : a) / 64));
  for (const double x : {10.0, 0.1, 3.0})
    for (const double a : {300.0, 320.0, -300.0, -320.0, 500.0, -500.0}) {
      const quad want = numeric::power_of(x, a);
      INFO("x=" << x << " a=" << a);
      if (want > quad(largest_double)) CHECK(power(x, a) == largest_double);
      else if (want < quad(numeric::power(-1074)) / 2) CHECK(power(x, a) == 0);
      else CHECK(close(power(x, a), want, 1 + (a < 0 ? -a : a) / 64));
    }
  CHECK(power(2, 1023) == 0x1p1023);
  CHECK(power(2, 1024) == largest_double);
  CHECK(std::bit_cast<std::uint64_t>(power(2, -1074)) == 1);
  // A tie between 0 and the smallest number.
  CHECK(power(2, -1075) == 0);
  CHECK(power(2, 1e300) == largest_double);
  CHECK(power(2, -1e300) == 0);
  CHECK(power(0.5, 1e300) == 0);
  CHECK(power(largest_double, largest_double) == largest_double);
  CHECK(power(3, 0x1p-1074) == 1);
}

TEST_CASE("exponentials far out") {
  numeric::standard_mode();
  CHECK(exponential(709.782712893384) < largest_double);
  CHECK(exponential(709.79) == largest_double);
  CHECK(exponential(1e300) == largest_double);
  CHECK(exponential(-1e300) == 0);
  CHECK(exponential(-746) == 0);
  for (const double x : {-745.0, -744.0, -730.3, -708.5, -708.0, 709.0})
    CHECK(close(exponential(x), numeric::exponential_of(x), 0.65));
}

TEST_CASE("powers grow with the base and with the exponent") {
  double before = 0;
  for (int k = 1; k < 3000; ++k) {
    const double p = power(k, 0.7);
    CHECK(p > before);
    before = p;
  }
  before = 0;
  for (int k = -300; k < 300; ++k) {
    const double p = power(1.7, k / 10.0);
    CHECK(p > before);
    before = p;
  }
}
