// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_NORMAL_QUANTILE_HPP
#define FEDAGG_CORE_NORMAL_QUANTILE_HPP

#include <bit>
#include <cstddef>
#include <cstdint>

#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// The natural logarithm of a finite positive number, within two units in the last place away from 1.
inline double natural_log(double x) noexcept {
  auto bits = std::bit_cast<std::uint64_t>(x);
  int e = 0;
  if (bits >> 52 == 0) {
    const int shift = std::countl_zero(bits) - 11;
    bits <<= shift;
    e = 1 - shift;
  } else {
    e = static_cast<int>(bits >> 52);
  }
  e -= 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffffu) | std::uint64_t{1023} << 52);
  if (m > 1.4142135623730951) {
    m /= 2;
    ++e;
  }
  // log m = 2 atanh(s), with s below 0.172: the term of s^25 is below a unit in the last place.
  const double s = quotient(plus(m, -1), plus(m, 1)), square = times(s, s);
  double sum = 0;
  for (int k = 25; k > 1; k -= 2) sum = times(plus(sum, quotient(1, k)), square);
  // The first part of log 2 has 32 digits, so that its product with e is exact.
  const double whole = times(e, 0x1.62e42feep-1), part = times(e, 0x1.a39ef35793c76p-33);
  return plus(whole, plus(plus(times(2, s), times(times(2, s), sum)), part));
}

/// c[0] + c[1] x + ... + c[7] x^7, from the highest power down.
inline double polynomial(const double (&c)[8], double x) noexcept {
  double sum = c[7];
  for (std::size_t k = 7; k-- > 0;) sum = plus(times(sum, x), c[k]);
  return sum;
}

/// The number that a standard normal variable stays below with probability p, Phi^-1(p), 0 < p < 1; the largest double
/// with its sign outside of that. Relative error below 1e-15 (Wichura 1988, algorithm AS 241, doi:10.2307/2347330).
inline double normal_quantile(double p) noexcept {
  static constexpr double centre_above[8] = {
      3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
      4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr double centre_below[8] = {1.0,
                                             4.2313330701600911252e+1,
                                             6.8718700749205790830e+2,
                                             5.3941960214247511077e+3,
                                             2.1213794301586595867e+4,
                                             3.9307895800092710610e+4,
                                             2.8729085735721942674e+4,
                                             5.2264952788528545610e+3};
  static constexpr double middle_above[8] = {
      1.42343711074968357734e0, 4.63033784615654529590e0,  5.76949722146069140550e0,  3.64784832476320460504e0,
      1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double middle_below[8] = {1.0,
                                             2.05319162663775882187e0,
                                             1.67638483018380384940e0,
                                             6.89767334985100004550e-1,
                                             1.48103976427480074590e-1,
                                             1.51986665636164571966e-2,
                                             5.47593808499534494600e-4,
                                             1.05075007164441684324e-9};
  static constexpr double far_above[8] = {
      6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,  2.96560571828504891230e-1,
      2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double far_below[8] = {1.0,
                                          5.99832206555887937690e-1,
                                          1.36929880922735805310e-1,
                                          1.48753612908506148525e-2,
                                          7.86869131145613259100e-4,
                                          1.84631831751005468180e-5,
                                          1.42151175831644588870e-7,
                                          2.04426310338993978564e-15};
  if (!(p > 0)) return -largest_double;
  if (!(p < 1)) return largest_double;
  const double q = plus(p, -0.5);
  if (q <= 0.425 && q >= -0.425) {
    const double r = plus(0.180625, -times(q, q));
    return times(q, quotient(polynomial(centre_above, r), polynomial(centre_below, r)));
  }
  const double r = square_root(-natural_log(q < 0 ? p : plus(1, -p)));
  const double x = r <= 5 ? quotient(polynomial(middle_above, plus(r, -1.6)), polynomial(middle_below, plus(r, -1.6)))
                          : quotient(polynomial(far_above, plus(r, -5)), polynomial(far_below, plus(r, -5)));
  return q < 0 ? -x : x;
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_NORMAL_QUANTILE_HPP
