// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_BOUNDS_HPP
#define FEDAGG_KERNELS_BOUNDS_HPP

#include <fedagg/core/element.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/kernels/lanes.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

namespace impl {

/// Not an instruction set: `lanes<double, on_bounds>` are bounds of whatever values the lanes may have.
struct on_bounds {};

} // namespace impl

/// From `low()` to `high()` where `known()`: then every value is finite. What is written for lanes says with these what
/// becomes of all values at once, rounded as lanes are: rounding keeps the order of numbers, so that bounds stay
/// bounds. The same object on both sides is the same value: x * x is not negative, and a < b is known of the a and b
/// chosen.
template <>
class lanes<double, impl::on_bounds> {
public:
  using value_type = double;

  lanes() noexcept = default;
  lanes(double value) noexcept : lanes(value, value) {} // NOLINT: a scalar is every lane's value
  lanes(double low, double high) noexcept : low_(low), high_(high), known_(is_finite(low) && is_finite(high)) {}

  bool known() const noexcept { return known_; }
  double low() const noexcept { return low_; }
  double high() const noexcept { return high_; }

  friend lanes operator+(const lanes& a, const lanes& b) noexcept {
    if (!a.known_ || !b.known_) return unknown();
    return {detail::plus(a.low_, b.low_), detail::plus(a.high_, b.high_)};
  }
  friend lanes operator-(const lanes& a, const lanes& b) noexcept { return a + -b; }
  friend lanes operator*(const lanes& a, const lanes& b) noexcept {
    if (!a.known_ || !b.known_) return unknown();
    if (&a == &b) {
      const lanes size = abs(a);
      return {detail::times(size.low_, size.low_), detail::times(size.high_, size.high_)};
    }
    return around(detail::times(a.low_, b.low_), detail::times(a.low_, b.high_), detail::times(a.high_, b.low_),
                  detail::times(a.high_, b.high_));
  }
  friend lanes operator/(const lanes& a, const lanes& b) noexcept {
    if (!a.known_ || !b.known_ || (b.low_ <= 0 && b.high_ >= 0)) return unknown();
    return around(detail::quotient(a.low_, b.low_), detail::quotient(a.low_, b.high_),
                  detail::quotient(a.high_, b.low_), detail::quotient(a.high_, b.high_));
  }
  friend lanes operator-(const lanes& a) noexcept { return a.known_ ? lanes(-a.high_, -a.low_) : unknown(); }
  lanes& operator+=(const lanes& b) noexcept { return *this = *this + b; }
  lanes& operator-=(const lanes& b) noexcept { return *this = *this - b; }
  lanes& operator*=(const lanes& b) noexcept { return *this = *this * b; }
  lanes& operator/=(const lanes& b) noexcept { return *this = *this / b; }

  friend lanes(min)(const lanes& a, const lanes& b) noexcept { return where_less(a, b, a, b); }
  friend lanes(max)(const lanes& a, const lanes& b) noexcept { return where_less(a, b, b, a); }
  friend lanes abs(const lanes& a) noexcept {
    if (!a.known_) return unknown();
    if (a.low_ >= 0) return a;
    if (a.high_ <= 0) return -a;
    return {0, larger(-a.low_, a.high_)};
  }
  friend lanes sqrt(const lanes& a) noexcept {
    if (!a.known_ || a.low_ < 0) return unknown();
    return {detail::square_root(a.low_), detail::square_root(a.high_)};
  }
  friend lanes where_less(const lanes& a, const lanes& b, const lanes& yes, const lanes& no) noexcept {
    if (!a.known_ || !b.known_ || !yes.known_ || !no.known_) return unknown();
    lanes less = yes, other = no;
    if (&yes == &a) less.high_ = smaller(less.high_, b.high_);
    if (&yes == &b) less.low_ = larger(less.low_, a.low_);
    if (&no == &a) other.low_ = larger(other.low_, b.low_);
    if (&no == &b) other.high_ = smaller(other.high_, a.high_);
    if (a.high_ < b.low_) return less;
    if (a.low_ >= b.high_) return other;
    return {smaller(less.low_, other.low_), larger(less.high_, other.high_)};
  }

private:
  static lanes unknown() noexcept {
    lanes r;
    r.known_ = false;
    return r;
  }
  static double smaller(double a, double b) noexcept { return a < b ? a : b; }
  static double larger(double a, double b) noexcept { return a < b ? b : a; }
  static lanes around(double a, double b, double c, double d) noexcept {
    if (!is_finite(a) || !is_finite(b) || !is_finite(c) || !is_finite(d)) return unknown();
    return {smaller(smaller(a, b), smaller(c, d)), larger(larger(a, b), larger(c, d))};
  }

  double low_ = 0, high_ = 0;
  bool known_ = true;
};

namespace impl {

using bounds = lanes<double, on_bounds>;

/// `now`, of which the caller knows that it is not negative where `before` was not.
template <class L>
FEDAGG_INLINE const L& not_negative_if(const L& now, const L&) noexcept {
  return now;
}
inline bounds not_negative_if(const bounds& now, const bounds& before) noexcept {
  return now.known() && before.known() && before.low() >= 0 && now.low() < 0 ? bounds(0, now.high()) : now;
}

} // namespace impl

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_KERNELS_BOUNDS_HPP
