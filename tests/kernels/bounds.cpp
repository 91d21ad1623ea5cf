// SPDX-License-Identifier: MIT
#include <fedagg/kernels/bounds.hpp>

#include <random>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::impl::bounds;

namespace {

/// A lane's value with lanes' operations, each rounded by itself.
struct number {
  double at;
  number(double x) : at(x) {} // NOLINT: as lanes
  friend number operator+(const number& a, const number& b) { return kept(a.at + b.at); }
  friend number operator-(const number& a, const number& b) { return kept(a.at - b.at); }
  friend number operator*(const number& a, const number& b) { return kept(a.at * b.at); }
  friend number operator/(const number& a, const number& b) { return kept(a.at / kept(b.at)); }
  friend number operator-(const number& a) { return -a.at; }
  friend number(min)(const number& a, const number& b) { return a.at < b.at ? a : b; }
  friend number(max)(const number& a, const number& b) { return a.at < b.at ? b : a; }
  friend number abs(const number& a) { return a.at < 0 ? -a.at : a.at; }
  friend number sqrt(const number& a) { return __builtin_sqrt(kept(a.at)); }
  friend number where_less(const number& a, const number& b, const number& yes, const number& no) {
    return a.at < b.at ? yes : no;
  }
};

constexpr int operations = 16;

/// One operation; the arguments may be one object.
template <class L>
L apply(int which, const L& a, const L& b, const L& c) {
  switch (which) {
  case 0: return a + b;
  case 1: return a - b;
  case 2: return a * b;
  case 3: return a / b;
  case 4: return -a;
  case 5: return min(a, b);
  case 6: return max(a, b);
  case 7: return abs(a);
  case 8: return sqrt(abs(a));
  case 9: return where_less(a, b, a, c);
  case 10: return where_less(a, b, b, c);
  case 11: return where_less(a, b, c, a);
  case 12: return where_less(a, b, c, b);
  case 13: return where_less(a, b, c, L(0.5));
  case 14: return a * a;
  default: return sqrt(a);
  }
}

bool holds(const bounds& b, double x) { return fedagg::is_finite(x) && b.low() <= x && x <= b.high(); }

} // namespace

TEST_CASE("whatever the values are, what is made of them stays in the bounds") {
  standard_mode();
  std::mt19937_64 random(5);
  const auto draw = [&](double from, double to) {
    const double x = from + (to - from) * (static_cast<double>(random() >> 11) * 0x1p-53);
    return x < from ? from : x > to ? to : x;
  };
  const double ends[] = {-1e300, -3, -1, -1e-300, 0, 1e-300, 0.25, 1, 7, 1e200};
  const auto pick = [&] { return ends[random() % std::size(ends)]; };
  std::size_t wrong = 0, known = 0, tight = 0;
  for (int round = 0; round < 4000; ++round) {
    bounds of[3];
    for (bounds& b : of) {
      const double x = pick(), y = pick();
      b = bounds(std::min(x, y), std::max(x, y));
    }
    for (int which = 0; which < operations; ++which) {
      const bounds r = apply(which, of[0], of[1], of[2]);
      if (!r.known()) continue;
      ++known;
      tight += r.low() < r.high();
      for (int k = 0; k < 12; ++k) {
        const auto value = [&](const bounds& b) {
          return number(k % 3 == 0 ? b.low() : k % 3 == 1 ? b.high() : draw(b.low(), b.high()));
        };
        const number a = value(of[0]), b = k < 6 ? value(of[1]) : number(draw(of[1].low(), of[1].high()));
        wrong += !holds(r, apply(which, a, b, value(of[2])).at);
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(known > 30000);
  CHECK(tight > 10000);
}

TEST_CASE("bounds are as narrow as a step needs them") {
  const bounds x(-3, 2), v(0, 9), epsilon(0.125);
  CHECK((x * x).low() == 0);
  CHECK((x * x).high() == 9);
  CHECK((x * bounds(-3, 2)).low() == -6);
  CHECK((bounds(1) / (sqrt(v) + epsilon)).high() == 8);
  CHECK(where_less(v, epsilon, epsilon, v).low() == 0.125);
  CHECK(max(x, bounds(1)).low() == 1);
  CHECK(min(x, bounds(1)).high() == 1);
  CHECK(where_less(bounds(0, 1), bounds(2, 3), bounds(5), bounds(6)).high() == 5);
  CHECK(where_less(bounds(2, 3), bounds(0, 2), bounds(5), bounds(6)).low() == 6);
  CHECK(fedagg::impl::not_negative_if(v - x * x, v).low() == 0);
  CHECK(fedagg::impl::not_negative_if(v - x * x, x).low() == -9);
}

TEST_CASE("what may not be finite is not known, nor what is made of it") {
  const bounds x(-3, 2), large(1e200, 1e300);
  CHECK(x.known());
  CHECK_FALSE(bounds(std::bit_cast<double>(0x7ff0000000000000u)).known());
  CHECK_FALSE((x / bounds(0, 1)).known());
  CHECK_FALSE((x / x).known());
  CHECK_FALSE(sqrt(x).known());
  CHECK_FALSE((large * large).known());
  CHECK_FALSE((large / bounds(1e-200)).known());
  CHECK_FALSE((large * bounds(1e8, 1e9)).known());
  const bounds none = sqrt(x);
  for (int which = 0; which < operations; ++which) {
    CHECK_FALSE(apply(which, none, which == 9 || which == 10 ? none : x, x).known());
    if (which != 4 && which != 7 && which != 8 && which < 13) CHECK_FALSE(apply(which, x, none, x).known());
  }
  CHECK_FALSE(where_less(x, x, x, none).known());
}
