// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_EXPONENTIALS_HPP
#define FEDAGG_TESTS_SUPPORT_EXPONENTIALS_HPP

#include <cmath>

#include "numeric.hpp"

/// Exponentials in quadruple precision: those of <cmath> lose digits under -ffast-math, in long double too.
namespace numeric {

/// x 2^e.
inline quad scaled(quad x, int e) {
  for (; e > 1000; e -= 1000) x = multiply(x, power(1000));
  for (; e < -1000; e += 1000) x = multiply(x, power(-1000));
  return multiply(x, power(e));
}

/// log 2: the first 49 digits, and the rest.
inline quad log_two(int times) {
  return add(multiply(0x1.62e42fefa39efp-1, times), multiply(0x1.abc9e3b39803fp-56, times));
}

/// Right to 1e-29 of itself for |x| < 1e4.
inline quad exponential_of(quad x) {
  const int k = static_cast<int>(std::lround(static_cast<double>(x) * 1.4426950408889634));
  const quad r = add(add(x, -multiply(0x1.62e42fefa39efp-1, k)), -multiply(0x1.abc9e3b39803fp-56, k));
  quad sum = 1;
  for (int j = 32; j > 0; --j) sum = add(1, divide(multiply(sum, r), j));
  return scaled(sum, k);
}

/// Right to 1e-29, for finite positive x.
inline quad logarithm_of(double x) {
  int e = 0;
  const quad m = std::frexp(x, &e);
  quad y = std::log(static_cast<double>(m));
  for (int round = 0; round < 3; ++round) {
    const quad p = exponential_of(y);
    y = add(y, divide(multiply(2, add(m, -p)), add(m, p)));
  }
  return add(y, log_two(e));
}

/// x^a, right to 1e-28 (1 + |a log x|).
inline quad power_of(double x, double a) { return exponential_of(multiply(a, logarithm_of(x))); }

} // namespace numeric

#endif // FEDAGG_TESTS_SUPPORT_EXPONENTIALS_HPP
