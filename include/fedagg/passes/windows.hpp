// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_WINDOWS_HPP
#define FEDAGG_PASSES_WINDOWS_HPP

#include <bit>
#include <cstddef>
#include <cstring>
#include <span>

#include <fedagg/core/rule.hpp>
#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Pass columns for ordered rules: the mean of a window of each sorted column. Translation-equivariant.
class window_pass {
public:
  static constexpr bool portable = false;
  static constexpr bool native_halves = false;
  static constexpr bool uses_base = false;

  window_pass(std::size_t n, order_window w) noexcept : n_(n), window_(w) {}

  std::size_t scratch_bytes() const noexcept { return window_kernel<on_baseline>::scratch_bytes(n_) * 4; }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T*, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const noexcept {
    return window_kernel<Isa>::run(rows, n_, window_, begin, end, out, mode, scratch);
  }

private:
  std::size_t n_;
  order_window window_;
};

/// The same with trusted weights: each column is sorted with its weights, and the rule weighs it in double.
/// Rows and weights are in ascending order of weight, so that equal values keep that order.
template <class Rule>
class weighted_pass {
public:
  static constexpr bool portable = true;
  static constexpr bool native_halves = false;
  static constexpr bool uses_base = false;

  weighted_pass(const Rule& rule, order_window w, detail::slice<const double> ascending) noexcept
      : rule_(rule), window_(w), weights_(ascending) {
    for (const double x : ascending) total_ += x;
  }

  std::size_t scratch_bytes() const noexcept { return weights_.size() * 2 * sizeof(double); }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T*, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const {
    const std::size_t n = weights_.size();
    auto* values = static_cast<double*>(scratch);
    double* weights = values + n;
    unsigned seen = 0;
    for (std::size_t j = begin; j < end; ++j) {
      bool finite = true;
      for (std::size_t i = 0; i < n; ++i) {
        T x;
        std::memcpy(&x, rows[i] + j, sizeof x);
        finite = finite && is_finite(x);
        values[i] = static_cast<double>(x);
        weights[i] = weights_[i];
      }
      if (!finite) {
        seen |= saw_non_finite;
        continue;
      }
      sort(values, weights, n);
      const double result = rule_.weigh(weighted_column{{values, n}, {weights, n}, total_}, window_) + 0.0;
      T rounded = static_cast<T>(result);
      if constexpr (sizeof(T) == 4)
        if (mode.odd) rounded = to_odd(result);
      if (!is_finite(rounded)) seen |= saw_overflow;
      if (out) std::memcpy(out + j, &rounded, sizeof rounded);
    }
    return seen;
  }

private:
  /// By value, then weight; insertion for few rows, with gaps for many (Knuth's: no order costs more than n^1.5).
  static void sort(double* values, double* weights, std::size_t n) noexcept {
    std::size_t gap = 1;
    while (n > 32 && gap < n / 9) gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3)
      for (std::size_t i = gap; i < n; ++i) {
        const double v = values[i], w = weights[i];
        std::size_t k = i;
        for (; k >= gap && (values[k - gap] > v || (values[k - gap] == v && weights[k - gap] > w)); k -= gap) {
          values[k] = values[k - gap];
          weights[k] = weights[k - gap];
        }
        values[k] = v;
        weights[k] = w;
      }
  }

  static float to_odd(double x) noexcept {
    const auto nearest = static_cast<float>(x);
    const auto back = static_cast<double>(nearest);
    auto word = std::bit_cast<std::uint32_t>(nearest);
    if (back == x) return nearest;
    if ((back < 0 ? -back : back) > (x < 0 ? -x : x)) --word;
    return std::bit_cast<float>(word | 1u);
  }

  const Rule& rule_;
  order_window window_;
  detail::slice<const double> weights_;
  double total_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_WINDOWS_HPP
