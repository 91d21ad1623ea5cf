// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ACCUMULATOR_ELEMENTS_HPP
#define FEDAGG_PASSES_ACCUMULATOR_ELEMENTS_HPP

#include <cstddef>

#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Elements that are packed, or converted from integers, at a time.
inline constexpr std::size_t element_part = 512;

/// Calls f(values, count, position) for elements [begin, end) of a view, in order: pointers of its floating type, or of
/// double for integers. False if one of these lies beyond 2^53 and so was rounded.
template <class F>
bool for_each_part(const any_tensor& view, std::size_t begin, std::size_t end, const F& f) noexcept {
  const dtype type = view.type();
  const std::size_t bytes = size_of(type);
  bool exact = true;
  const auto typed = [&](const std::byte* p, std::size_t count, std::size_t at) {
    switch (type) {
    case dtype::f64:
      return f(reinterpret_cast<const double*>(p), count, at);
    case dtype::f32:
      return f(reinterpret_cast<const float*>(p), count, at);
    case dtype::f16:
      return f(reinterpret_cast<const float16*>(p), count, at);
    case dtype::bf16:
      return f(reinterpret_cast<const bfloat16*>(p), count, at);
    default:
      break;
    }
    double as_double[element_part];
    for (std::size_t i = 0; i < count; i += element_part) {
      const std::size_t part = count - i < element_part ? count - i : element_part;
      if (!integers_to_double(type, p + i * bytes, part, as_double)) exact = false;
      f(static_cast<const double*>(as_double), part, at + i);
    }
  };
  if (view.contiguous()) {
    typed(static_cast<const std::byte*>(view.data()) + begin * bytes, end - begin, begin);
    return exact;
  }
  alignas(64) std::byte space[element_part * 8];
  for (std::size_t at = begin; at < end; at += element_part) {
    const std::size_t count = end - at < element_part ? end - at : element_part;
    gather(view, at, count, space);
    typed(space, count, at);
  }
  return exact;
}

/// `non_finite`, or `integer_range` for an integer beyond 2^53.
inline errc look_for_non_finite(const any_tensor& view, std::size_t begin, std::size_t end) noexcept {
  bool found = false;
  const bool exact = for_each_part(view, begin, end, [&](const auto* x, std::size_t count, std::size_t) {
    if (is_integer(view.type())) return;
    found = found || on_active_isa([&](auto tag) { return scan_kernel<decltype(tag)>::non_finite(x, count); });
  });
  return found ? errc::non_finite : exact ? errc::ok : errc::integer_range;
}

/// Writes what mean(position, count, doubles) computes, rounded to the output's type; false if one does not fit.
template <class F>
bool write_means(const any_mutable_tensor& out, const F& mean) noexcept {
  std::byte packed[element_part * 8];
  double means[element_part];
  for (std::size_t at = 0; at < out.size(); at += element_part) {
    const std::size_t count = out.size() - at < element_part ? out.size() - at : element_part;
    mean(at, count, means);
    if (scan_kernel<on_baseline>::non_finite(static_cast<const double*>(means), count)) return false;
    const bool fits =
        is_integer(out.type()) ? doubles_to_integer(out.type(), means, count, packed) : on_active_isa([&](auto tag) {
          return convert_kernel<decltype(tag)>::round_all(out.type(), means, count, packed);
        });
    if (!fits) return false;
    scatter(out, at, count, packed);
  }
  return true;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ACCUMULATOR_ELEMENTS_HPP
