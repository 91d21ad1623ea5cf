// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MOMENTS_HPP
#define FEDAGG_CORE_MOMENTS_HPP

#include <bit>
#include <cstddef>
#include <span>
#include <type_traits>

#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/weighting.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// How many coordinates are worked on at a time: what is taken twice is still in the cache the second time.
inline constexpr std::size_t moments_tile = 256;

template <class T>
using honest_rows = std::span<const std::span<const T>>;

template <class T>
double as_double(T x) noexcept {
  if constexpr (std::is_same_v<T, double>)
    return x;
  else if constexpr (std::is_same_v<T, float>)
    return static_cast<double>(x);
  else
    return static_cast<double>(to_float(x));
}

/// Rounds to nearest, once; false where that is not finite.
template <class T>
bool round_to(double x, T& out) noexcept {
  if (!is_finite(x)) return false;
  if constexpr (std::is_same_v<T, double>) {
    out = x;
    return true;
  } else if constexpr (std::is_same_v<T, float>) {
    // The midpoint of the largest float and what would come next, which ties to even send beyond.
    constexpr double limit = 0x1.ffffffp127;
    if (!(x < limit && x > -limit)) return false;
    out = static_cast<float>(x);
    return true;
  } else {
    if constexpr (std::is_same_v<T, float16>)
      out = to_float16(x);
    else
      out = to_bfloat16(x);
    return is_finite(to_float(out));
  }
}

template <class T>
errc round_tile(std::span<const double> values, std::span<T> out) noexcept {
  bool fits = true;
  for (std::size_t k = 0; k < values.size(); ++k) fits = round_to(values[k], out[k]) && fits;
  return fits ? errc::ok : errc::overflow;
}

/// The mean of a column whose sum is not finite: each value is divided first.
template <class T>
errc mean_of_huge(honest_rows<T> rows, std::size_t j, double& mean) noexcept {
  const int e = static_cast<int>(std::bit_width(rows.size()));
  double sum = 0;
  for (const auto& row : rows) {
    const double x = as_double(row[j]);
    if (!is_finite(x)) return errc::non_finite;
    sum = plus(sum, times(x, power_of_two(-e)));
  }
  mean = times(quotient(sum, static_cast<double>(rows.size())), power_of_two(e));
  if (!is_finite(mean)) mean = sum < 0 ? -largest_double : largest_double;
  return errc::ok;
}

/// The means of the coordinates from `first` on, summed in the order of the rows; `non_finite` if a value is.
template <class T>
errc tile_mean(honest_rows<T> rows, std::size_t first, std::span<double> mean) noexcept {
  for (double& m : mean) m = 0;
  for (const auto& row : rows) {
    const T* x = row.data() + first;
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] = plus(mean[k], as_double(x[k]));
  }
  const auto count = static_cast<double>(rows.size());
  for (std::size_t k = 0; k < mean.size(); ++k) {
    if (is_finite(mean[k]))
      mean[k] = quotient(mean[k], count);
    else if (const errc rc = mean_of_huge<T>(rows, first + k, mean[k]); rc != errc::ok)
      return rc;
  }
  return errc::ok;
}

/// The standard deviations about those means: the root of the sum of squares divided by `divisor`.
template <class T>
errc tile_deviation(honest_rows<T> rows, std::size_t first, std::span<const double> mean, double divisor,
                    std::span<double> deviation) noexcept {
  for (double& s : deviation) s = 0;
  for (const auto& row : rows) {
    const T* x = row.data() + first;
    for (std::size_t k = 0; k < mean.size(); ++k) {
      const double away = plus(as_double(x[k]), -mean[k]);
      deviation[k] = plus(deviation[k], times(away, away));
    }
  }
  for (double& s : deviation) {
    if (!is_finite(s)) return errc::overflow;
    s = square_root(quotient(s, divisor));
  }
  return errc::ok;
}

/// Calls f(first, mean) for one tile of coordinates after the other until it returns an error. O(n d), one pass.
template <class T, class F>
errc for_each_mean(honest_rows<T> rows, std::size_t size, F&& f) {
  double room[moments_tile];
  for (std::size_t first = 0; first < size; first += moments_tile) {
    const std::span<double> mean(room, size - first < moments_tile ? size - first : moments_tile);
    errc rc = tile_mean<T>(rows, first, mean);
    if (rc == errc::ok) rc = f(first, std::span<const double>(mean));
    if (rc != errc::ok) return rc;
  }
  return errc::ok;
}

/// The same tile of every row in double, row after row, and what it adds to the rows' squared distances.
class tile_distances {
public:
  tile_distances(std::size_t rows, arena& memory)
      : rows_(rows), tile_(memory.take<double>(rows * moments_tile)), square_(memory.take<double>(rows * rows)) {}

  template <class T>
  void add(honest_rows<T> rows, std::size_t first, std::size_t count) noexcept {
    for (std::size_t i = 0; i < rows_; ++i)
      for (std::size_t k = 0; k < count; ++k) tile_[i * moments_tile + k] = as_double(rows[i][first + k]);
    for (std::size_t i = 1; i < rows_; ++i)
      for (std::size_t j = 0; j < i; ++j) {
        double& d = square_[i * rows_ + j];
        d = plus(d, between(tile_.data() + i * moments_tile, tile_.data() + j * moments_tile, count));
        square_[j * rows_ + i] = d;
      }
  }

  double operator()(std::size_t i, std::size_t j) const noexcept { return square_[i * rows_ + j]; }

private:
  static double between(const double* a, const double* b, std::size_t count) noexcept {
    // Four sums, because one would wait for itself at every addition.
    double sum[4] = {};
    for (std::size_t k = 0; k < count; ++k) {
      const double away = plus(a[k], -b[k]);
      sum[k % 4] = plus(sum[k % 4], times(away, away));
    }
    return plus(plus(sum[0], sum[1]), plus(sum[2], sum[3]));
  }

  std::size_t rows_;
  std::span<double> tile_, square_;
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_MOMENTS_HPP
