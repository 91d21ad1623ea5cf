// SPDX-License-Identifier: MIT
#include <fedagg/secure/ring_parameters.hpp>

#include <limits>
#include <random>

#include "support/numeric.hpp"

using fedagg::errc;
using fedagg::ring_parameters;
using numeric::quad;
namespace detail = fedagg::detail;

namespace {

__extension__ typedef unsigned __int128 wide;

} // namespace

TEST_CASE("the bound is exact at its border") {
  // n (w C s + 1) = 2^(b-1) - 1, and one more.
  const struct {
    std::uint64_t n, w;
    double c, s;
    unsigned bits;
  } fits[] = {{1, 1, 1, 126, 8},           {1, 1, 0.5, 252, 8},      {3, 2, 1, 5460.5, 16},
              {7, 9, 0.25, 8126, 18},   {1, 1, 1, 2147483646, 32},
              {4095, 1, 1, 524416.0, 32},  {1, std::uint64_t{1} << 61, 1, 1, 63}};
  for (const auto& f : fits) {
    INFO(f.n << ' ' << f.w << ' ' << f.c << ' ' << f.s);
    const unsigned needed = detail::ring_bits_needed(f.n, f.w, f.c, f.s);
    const quad sum = quad(f.n) * (quad(f.w) * quad(f.c) * quad(f.s) + 1);
    const auto room = [](unsigned bits) { return quad(static_cast<double>(std::uint64_t{1} << (bits - 1))) - 1; };
    CHECK(sum <= room(needed));
    if (needed > 1) CHECK(sum > room(needed - 1));
  }
  // As close as doubles come.
  CHECK(detail::ring_bits_needed(1, 1, 1, 126) == 8);
  CHECK(detail::ring_bits_needed(1, 1, 1, std::nextafter(126.0, 200.0)) == 9);
  CHECK(detail::ring_bits_needed(2, 1, 1, 62.5) == 8);
  CHECK(detail::ring_bits_needed(2, 1, 1, std::nextafter(62.5, 200.0)) == 9);
  CHECK(detail::ring_bits_needed(126, 1, 1, 0x1p-400) == 8);
  CHECK(detail::ring_bits_needed(127, 1, 1, 0x1p-400) == 9);
  // Beyond every ring, without an end of the arithmetic.
  CHECK(detail::ring_bits_needed(1, 1, 1, 0x1p+63) == 65);
  CHECK(detail::ring_bits_needed(0xffffffffu, ~std::uint64_t{0}, 1, 1) == 97);
  CHECK(detail::ring_bits_needed(0xffffffffu, ~std::uint64_t{0}, 0x1p+300, 0x1p+300) == 255);
  CHECK(detail::ring_bits_needed(0xffffffffu, ~std::uint64_t{0}, 0x1p-300, 0x1p-300) == 34);
}

TEST_CASE("the bound agrees with exact arithmetic for any numbers") {
  std::mt19937_64 random(1);
  for (int k = 0; k < 20000; ++k) {
    // Significands of 20 bits: n w C s is exact in 128 bits, times a power of two.
    const std::uint64_t n = 1 + (random() & 0xfff), w = 1 + (random() >> (44 + random() % 20));
    const std::uint64_t c = 1 + (random() & 0xfffff), s = 1 + (random() & 0xfffff);
    const int exponent = static_cast<int>(random() % 70) - 60;
    const double scale = static_cast<double>(s) * numeric::power(exponent);
    wide product = static_cast<wide>(n) * w * c * s, whole = product;
    if (exponent < 0) {
      whole = product >> -exponent;
      if (whole << -exponent != product) ++whole;
    } else {
      whole = product << exponent;
    }
    unsigned bits = 1;
    while (((static_cast<wide>(1) << (bits - 1)) - 1) < whole + n) ++bits;
    CHECK(detail::ring_bits_needed(n, w, static_cast<double>(c), scale) == bits);
  }
}

TEST_CASE("the safe scale is the largest") {
  std::mt19937_64 random(2);
  for (int k = 0; k < 200; ++k) {
    const unsigned bits = 8 + static_cast<unsigned>(random() % 57);
    const std::uint64_t n = 1 + random() % (k % 2 ? 1000000 : 100), w = 1 + random() % (k % 3 ? 1 : 100000);
    const double c = (numeric::uniform(random) + 1.001) * numeric::power(static_cast<int>(random() % 40) - 20);
    const double s = detail::ring_safe_scale(bits, n, w, c);
    if (n + 1 > (std::uint64_t{1} << (bits - 1)) - 1) {
      CHECK(s == 0);
      continue;
    }
    REQUIRE(s > 0);
    CHECK(detail::ring_bits_needed(n, w, c, s) <= bits);
    CHECK(detail::ring_bits_needed(n, w, c, std::nextafter(s, 1e300)) == bits + 1);
  }
  CHECK(detail::ring_safe_scale(8, 1, 1, 1) == 126);
  CHECK(detail::ring_safe_scale(8, 127, 1, 1) == 0);
}

TEST_CASE("integers are bounded too") {
  ring_parameters p{.max_clients = 1000, .max_weight = 100000};
  CHECK(p.safe_integer() == static_cast<std::uint64_t>(INT64_MAX) / 100000000);
  CHECK(p.needed_integer_bits(p.safe_integer()) == 64);
  CHECK(p.needed_integer_bits(p.safe_integer() + 1) == 65);
  CHECK(p.needed_integer_bits() == 28);
  p = {.max_clients = 0xffffffffu, .max_weight = ~std::uint64_t{0}};
  CHECK(p.needed_integer_bits() == 97);
  CHECK(p.needed_integer_bits(~std::uint64_t{0}) == 161);
  CHECK(p.safe_integer() == 0);
  p = {.max_clients = 1, .max_weight = 1};
  CHECK(p.safe_integer() == static_cast<std::uint64_t>(INT64_MAX));
  CHECK(p.needed_integer_bits(static_cast<std::uint64_t>(INT64_MAX)) == 64);
}

TEST_CASE("parameters that mean nothing are refused") {
  const ring_parameters good{.max_clients = 10};
  CHECK(good.status() == errc::ok);
  CHECK(ring_parameters{}.status() == errc::bad_parameter);
  const auto refused = [&](auto&& change) {
    ring_parameters p = good;
    change(p);
    CHECK(p.status() == errc::bad_parameter);
  };
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  refused([](ring_parameters& p) { p.max_weight = 0; });
  for (const unsigned bits : {0u, 7u, 65u}) refused([&](ring_parameters& p) { p.bits = bits; });
  for (const double x : {-1.0, inf, -inf, nan, 0x1p-301, 0x1p+301, -0x1p-400}) {
    refused([&](ring_parameters& p) { p.clip = x; });
    refused([&](ring_parameters& p) { p.scale = x; });
    refused([&](ring_parameters& p) { p.extras = {{"a", x}}; });
    refused([&](ring_parameters& p) { p.extras = {{"a", 1, x}}; });
  }
  refused([](ring_parameters& p) { p.clip = 0; });
  refused([](ring_parameters& p) { p.extras = {{"a", 0}}; });
  refused([](ring_parameters& p) { p.extras = {{"", 1}}; });
  refused([](ring_parameters& p) { p.extras = {{"a", 1}, {"b", 1}, {"a", 2}}; });
  ring_parameters p = good;
  p.extras = {{"a", 1}, {"b", 1}};
  CHECK(p.status() == errc::ok);
}
