// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_ATTACKS_HPP
#define FEDAGG_TESTS_SUPPORT_ATTACKS_HPP

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include <fedagg/core/attack.hpp>

#include "numeric.hpp"

/// What the tests of attacks share: honest rows, references in higher precision, and what every attack refuses.
namespace attacks {

using fedagg::attack_workspace;
using fedagg::errc;
using fedagg::knowledge;
using namespace numeric;
using real = long double;

template <class T>
std::vector<std::span<const T>> rows(const matrix<T>& x) {
  std::vector<std::span<const T>> r;
  for (std::size_t i = 0; i < x.n; ++i) r.push_back(x.row(i));
  return r;
}

template <class T>
struct made {
  errc code;
  std::vector<T> row;
  attack_workspace space;
};

/// What the attack sends, called in the worst floating-point mode; `more` are further arguments of craft.
template <class T, class A, class... More>
made<T> craft(const A& attack, const matrix<T>& x, std::size_t hostile = 0, std::size_t clients = 0,
              std::span<const T> direction = {}, const More&... more) {
  const auto honest = rows(x);
  const knowledge<T> k{.honest = honest, .clients = clients, .hostile = hostile, .direction = direction};
  made<T> m{errc::ok, std::vector<T>(x.d), {}};
  const mode callers(worst);
  m.code = attack.craft(k, m.row, more..., m.space);
  return m;
}

/// One column's mean and deviation, and how far a computation of them in double may be off.
struct column_moments {
  quad mean = 0;
  real deviation = 0;
  quad error = 0;
};
inline column_moments moments(const std::vector<double>& x, std::size_t ddof = 0) {
  column_moments m;
  quad size = 0, square = 0;
  for (const double v : x) {
    m.mean = add(m.mean, v);
    size = add(size, magnitude(v));
  }
  m.mean = divide(m.mean, quad(x.size()));
  for (const double v : x) square = add(square, multiply(quad(v) - m.mean, quad(v) - m.mean));
  if (x.size() > ddof) m.deviation = std::sqrt(static_cast<real>(divide(square, quad(x.size() - ddof))));
  // One rounding per addition and one for the quotient; the largest double as a mean of huge values.
  m.error = multiply(quad(x.size() + 2) * unit, divide(size, quad(x.size())));
  return m;
}

inline real square_distance(std::span<const real> a, std::span<const double> b) {
  real sum = 0;
  for (std::size_t j = 0; j < b.size(); ++j) sum += (a[j] - real(b[j])) * (a[j] - real(b[j]));
  return sum;
}
inline real square_distance(std::span<const double> a, std::span<const double> b) {
  return square_distance(std::vector<real>(a.begin(), a.end()), b);
}

/// The row is `expected(moments of column j)` after a computation off by at most the second number.
template <class T, class F>
std::string first_wrong(const matrix<T>& x, const std::vector<T>& row, std::size_t ddof, F&& expected) {
  for (std::size_t j = 0; j < x.d; ++j) {
    const auto [want, error] = expected(moments(x.column(j), ddof));
    if (!rounds_to<T>(row[j], want, error))
      return "coordinate " + std::to_string(j) + ": " + text(value(row[j])) + " for " + text(static_cast<double>(want));
  }
  return "";
}

/// Sizes about the end of a tile.
inline constexpr std::size_t sizes[] = {1, 2, 17, 255, 256, 257, 600};

/// What every attack on rows refuses, with `least` honest rows that it needs; `more` are further arguments of craft.
template <class A, class... More>
void check_refusals(const A& attack, std::size_t least = 1, const More&... more) {
  std::vector<float> a{1, 2, 3}, b{2, 3, 5}, c{4, 4}, out(3);
  attack_workspace space;
  const auto code = [&](std::vector<std::span<const float>> honest, std::span<float> into, std::size_t clients = 0,
                        std::span<const float> direction = {}) {
    const knowledge<float> k{.honest = honest, .clients = clients, .hostile = 1, .direction = direction};
    return attack.craft(k, into, more..., space);
  };
  REQUIRE(code({a, b}, out) == errc::ok);
  if (least > 0) CHECK(code({}, out) == errc::empty_cohort);
  if (least > 1) CHECK(code({a}, out) == errc::too_few_clients);
  CHECK(code({a, c}, out) == errc::client_layout);
  CHECK(code({a, b}, std::span(out).first(2)) == errc::client_layout);
  CHECK(code({a, b}, out, 0, c) == errc::client_layout);
  CHECK(code({a, b}, a) == errc::overlapping_output);
  CHECK(code({a, std::span<const float>(out)}, out) == errc::overlapping_output);
  CHECK(code({a, b}, out, 0, out) == errc::overlapping_output);
  CHECK(code({a, std::span<const float>(static_cast<const float*>(nullptr), 3)}, out) == errc::null_data);
  CHECK(code({a, b}, std::span<float>(static_cast<float*>(nullptr), 3)) == errc::null_data);
  CHECK(code({a, b}, out, 1) == errc::bad_parameter);
  CHECK(code({a, b}, out, 2) == errc::bad_parameter);
  CHECK(a == std::vector<float>{1, 2, 3});
}

/// Attacks that compute with the honest rows say so where these are not finite or the result leaves the range.
template <class A, class... More>
void check_non_finite(const A& attack, const More&... more) {
  for (const float bad : {std::bit_cast<float>(0x7fc00000u), std::bit_cast<float>(0x7f800000u), std::bit_cast<float>(0xff800000u)})
    for (const std::size_t at : {0u, 299u}) {
      std::vector<float> a(300, 1.0f), b(300, 2.0f), out(300);
      b[at] = bad;
      const std::vector<std::span<const float>> honest{a, b};
      const knowledge<float> k{.honest = honest, .clients = 0, .hostile = 1};
      attack_workspace space;
      CHECK(attack.craft(k, out, more..., space) == errc::non_finite);
    }
}

} // namespace attacks

#endif // FEDAGG_TESTS_SUPPORT_ATTACKS_HPP
