// SPDX-License-Identifier: MIT
#include <fedagg/core/normal_quantile.hpp>

#include <cmath>
#include <random>

#include "support/numeric.hpp"

using fedagg::detail::natural_log;
using fedagg::detail::normal_quantile;

namespace {

using real = long double;

/// Phi^-1(p) in long double: one Newton step from a value that is right to 1e-15, which leaves 1e-30 of method error.
real improved(real p, real x) {
  const real below = std::erfc(-x / std::sqrt(real(2))) / 2;
  const real density = std::exp(-x * x / 2) / std::sqrt(2 * std::acos(real(-1)));
  return x - (below - p) / density;
}

void check(double p) {
  const double x = normal_quantile(p);
  INFO("p=" << p << " x=" << x);
  // In the upper tail Phi is taken of the other side, where it does not round to 1.
  const real want = p < 0.5 ? improved(p, x) : -improved(1 - real(p), -x);
  CHECK(std::abs(x - want) <= 1e-15L * std::abs(want) + 1e-19L);
}

} // namespace

TEST_CASE("the quantile is right to 15 digits everywhere") {
  numeric::standard_mode();
  for (int k = 1; k < 4096; ++k) check(k / 4096.0);
  std::mt19937_64 random(3);
  for (int k = 0; k < 3000; ++k) check((static_cast<double>(random() >> 11) + 0.5) * 0x1p-53);
  for (int e = -1070; e < -2; ++e) check(std::ldexp(1.3, e));
  for (int e = -53; e < -2; ++e) check(1 - std::ldexp(1.0, e));
  // About the ends of the three approximations: q = 0.425 and r = 5.
  for (const double edge : {0.075, 0.925, std::exp(-25.0)})
    for (const double away : {-1e-3, -1e-9, 0.0, 1e-9, 1e-3}) check(edge * (1 + away));
}

TEST_CASE("values of the quantile's tables") {
  CHECK(normal_quantile(0.5) == 0);
  CHECK(std::abs(normal_quantile(0.975) - 1.9599639845400545) < 1e-15);
  CHECK(std::abs(normal_quantile(0.25) + 0.6744897501960817) < 1e-15);
  CHECK(std::abs(normal_quantile(1e-9) + 5.997807015007686887) < 6e-15);
}

TEST_CASE("the quantile is odd where p and 1 - p are exact, and never falls") {
  double before = normal_quantile(1.0 / 8192);
  for (int k = 2; k < 8192; ++k) {
    const double x = normal_quantile(k / 8192.0);
    CHECK(x > before);
    CHECK(x == -normal_quantile(1 - k / 8192.0));
    before = x;
  }
}

TEST_CASE("outside of its domain the quantile is the largest double with its sign") {
  const double most = fedagg::detail::largest_double;
  CHECK(normal_quantile(0) == -most);
  CHECK(normal_quantile(-0.5) == -most);
  CHECK(normal_quantile(1) == most);
  CHECK(normal_quantile(7) == most);
}

TEST_CASE("the logarithm") {
  numeric::standard_mode();
  CHECK(natural_log(1) == 0);
  std::mt19937_64 random(4);
  for (int k = 0; k < 20000; ++k) {
    const double m = 1 + static_cast<double>(random() >> 12) * 0x1p-52;
    const double x = std::ldexp(m, k % 2 ? static_cast<int>(random() % 2090) - 1070 : -static_cast<int>(random() % 3));
    const real want = std::log(real(x));
    INFO("x=" << x);
    CHECK(std::abs(natural_log(x) - want) <= 4.5e-16L * std::abs(want) + 2e-17L);
  }
}
