// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_LANES_HPP
#define FEDAGG_KERNELS_LANES_HPP

#include <cstddef>

#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// One value per lane (float or double) of as many coordinates as the instruction set takes at once: what a coordinate
/// rule computes with. Every operation rounds by itself, on each instruction set and under -ffast-math alike.
template <class T, class Isa>
class lanes {
  using ops = impl::lane_ops<Isa>;
  using vector = impl::vec<T, impl::simd<Isa>::template width<T>>;

public:
  using value_type = T;

  lanes() noexcept : v_{} {}
  lanes(T value) noexcept { ops::fill(v_, value); } // NOLINT: a scalar is every lane's value
  // Not trivial: g++ returns a trivial struct of a wide vector by two conventions across targets at -O0.
  lanes(const lanes& other) noexcept { ops::copy(v_, other.v_); }
  lanes& operator=(const lanes& other) noexcept {
    ops::copy(v_, other.v_);
    return *this;
  }

  FEDAGG_INLINE friend lanes operator+(const lanes& a, const lanes& b) noexcept {
    lanes r;
    ops::add(r.v_, a.v_, b.v_);
    return r;
  }
  FEDAGG_INLINE friend lanes operator-(const lanes& a, const lanes& b) noexcept {
    lanes r;
    ops::subtract(r.v_, a.v_, b.v_);
    return r;
  }
  FEDAGG_INLINE friend lanes operator*(const lanes& a, const lanes& b) noexcept {
    lanes r;
    ops::multiply(r.v_, a.v_, b.v_);
    return r;
  }
  /// Correctly rounded, also where -ffast-math would take a reciprocal.
  FEDAGG_INLINE friend lanes operator/(const lanes& a, const lanes& b) noexcept {
    lanes r;
    ops::divide(r.v_, a.v_, b.v_);
    return r;
  }
  FEDAGG_INLINE friend lanes operator-(const lanes& a) noexcept {
    lanes r;
    ops::negate(r.v_, a.v_);
    return r;
  }
  FEDAGG_INLINE lanes& operator+=(const lanes& b) noexcept { return *this = *this + b; }
  FEDAGG_INLINE lanes& operator-=(const lanes& b) noexcept { return *this = *this - b; }
  FEDAGG_INLINE lanes& operator*=(const lanes& b) noexcept { return *this = *this * b; }
  FEDAGG_INLINE lanes& operator/=(const lanes& b) noexcept { return *this = *this / b; }

  FEDAGG_INLINE friend lanes(min)(const lanes& a, const lanes& b) noexcept { return where_less(a, b, a, b); }
  FEDAGG_INLINE friend lanes(max)(const lanes& a, const lanes& b) noexcept { return where_less(a, b, b, a); }
  FEDAGG_INLINE friend lanes abs(const lanes& a) noexcept {
    lanes r;
    ops::absolute(r.v_, a.v_);
    return r;
  }
  /// Correctly rounded; NaN for negative values.
  FEDAGG_INLINE friend lanes sqrt(const lanes& a) noexcept {
    lanes r;
    ops::root(r.v_, a.v_);
    return r;
  }
  /// Lane by lane: a < b ? yes : no.
  FEDAGG_INLINE friend lanes where_less(const lanes& a, const lanes& b, const lanes& yes, const lanes& no) noexcept {
    lanes r;
    ops::where_less(r.v_, a.v_, b.v_, yes.v_, no.v_);
    return r;
  }

private:
  template <class, class>
  friend struct impl::lane_ops;
  template <class, class>
  friend struct impl::column_kernel;
  template <class, class>
  friend struct impl::stream_kernel;
  template <class>
  friend class column;

  vector v_;
};

/// The clients' values of one coordinate (of each lane's coordinate): x[0] .. x[size() - 1], in the order of the
/// clients. It lies in scratch memory, so that a rule may change it.
template <class Lanes>
class column {
public:
  column(Lanes* data, std::size_t size) noexcept : data_(data), size_(size) {}

  std::size_t size() const noexcept { return size_; }
  Lanes& operator[](std::size_t i) const noexcept { return data_[i]; }
  Lanes* begin() const noexcept { return data_; }
  Lanes* end() const noexcept { return data_ + size_; }

  /// Sorts every lane by itself, ascending.
  void sort() const noexcept { sort_with(data_); }

private:
  template <class T, class Isa>
  void sort_with(lanes<T, Isa>* data) const noexcept {
    impl::lane_ops<Isa>::sort(&data->v_, size_);
  }

  Lanes* data_;
  std::size_t size_;
};

/// The rule is a function of a column: `template <class Lanes> void operator()(column<Lanes> x, Lanes& out) const`.
/// Optional members: `needs_origin` (refuses models without a base), `translation_equivariant` (the base need not be
/// subtracted), `check(declared, present)` (its condition on the number of clients).
template <class R>
concept column_rule =
    rule_value<R> && !linear_rule<R> && !ordered_rule<R> &&
    requires(const R& r, column<lanes<float, impl::on_baseline>> x, lanes<float, impl::on_baseline>& out) {
  r(x, out);
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_KERNELS_LANES_HPP
