// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ANY_TENSOR_HPP
#define FEDAGG_CORE_ANY_TENSOR_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/list.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The most dimensions a view keeps apart; contiguous data of higher rank has its leading dimensions folded into one.
inline constexpr std::size_t max_rank = 8;

/// A tensor whose element type is known at run time: data, shape, strides in elements. Non-owning.
/// `Void` is `void` for an output and `const void` for an input.
template <class Void>
class basic_any_tensor {
public:
  basic_any_tensor() = default;

  /// Row-major contiguous. A shape whose number of elements or bytes overflows, or null data with elements, gives a
  /// view whose `status()` says so; every call that takes views checks it before it touches memory.
  basic_any_tensor(dtype type, Void* data, std::span<const std::size_t> shape) noexcept : data_(data), type_(type) {
    set_shape(shape);
    std::ptrdiff_t stride = 1;
    for (std::size_t k = status_ == errc::ok ? rank_ : 0; k-- > 0;) {
      strides_[k] = stride;
      stride *= static_cast<std::ptrdiff_t>(shape_[k]);
    }
    finish();
  }

  /// Any strides, also zero and negative ones for inputs; `data` is the element with all indices zero.
  basic_any_tensor(dtype type, Void* data, std::span<const std::size_t> shape,
                   std::span<const std::ptrdiff_t> strides) noexcept
      : data_(data), type_(type) {
    if (strides.size() != shape.size() || shape.size() > max_rank) {
      status_ = errc::bad_parameter;
      return;
    }
    set_shape(shape);
    for (std::size_t k = 0; k < rank_; ++k) strides_[k] = strides[k];
    check_reach();
    finish();
  }

  /// A view without elements that nothing may be done with, and why not.
  static basic_any_tensor refused(errc why) noexcept {
    basic_any_tensor t;
    t.status_ = why;
    return t;
  }

  /// An output is also an input.
  basic_any_tensor(const basic_any_tensor<void>& other) noexcept requires(!std::is_same_v<Void, void>)
      : data_(other.data_), size_(other.size_), rank_(other.rank_), type_(other.type_), contiguous_(other.contiguous_),
        status_(other.status_) {
    for (std::size_t k = 0; k < max_rank; ++k) {
      shape_[k] = other.shape_[k];
      strides_[k] = other.strides_[k];
    }
  }
  basic_any_tensor(const basic_any_tensor&) = default;
  basic_any_tensor& operator=(const basic_any_tensor&) = default;

  Void* data() const noexcept { return data_; }
  dtype type() const noexcept { return type_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t rank() const noexcept { return rank_; }
  std::span<const std::size_t> shape() const noexcept { return detail::span_of(shape_, rank_); }
  std::span<const std::ptrdiff_t> strides() const noexcept { return detail::span_of(strides_, rank_); }
  std::size_t extent(std::size_t k) const noexcept { return shape_[k]; }
  std::ptrdiff_t stride(std::size_t k) const noexcept { return strides_[k]; }
  /// True if the elements lie in row-major order without gaps.
  bool contiguous() const noexcept { return contiguous_; }
  /// `ok`, or why nothing may be done with this view.
  errc status() const noexcept { return status_; }

  friend bool same_shape(const basic_any_tensor& a, const basic_any_tensor& b) noexcept {
    // A scalar has one element, a default view none; neither has a dimension.
    if (a.rank_ != b.rank_ || a.size_ != b.size_) return false;
    for (std::size_t k = 0; k < a.rank_; ++k)
      if (a.shape_[k] != b.shape_[k]) return false;
    return true;
  }

private:
  template <class>
  friend class basic_any_tensor;

  void set_shape(std::span<const std::size_t> shape) noexcept {
    const std::size_t fold = shape.size() > max_rank ? shape.size() - max_rank : 0;
    rank_ = static_cast<std::uint8_t>(shape.size() - fold);
    for (std::size_t k = 0; k < rank_; ++k) shape_[k] = shape[fold + k];
    // A zero extent makes the tensor empty, but the other extents must still be a shape that exists.
    const std::size_t limit = static_cast<std::size_t>(PTRDIFF_MAX) / (size_of(type_) ? size_of(type_) : 1);
    std::size_t product = 1;
    bool empty = false;
    for (std::size_t k = 0; k < shape.size(); ++k) {
      const std::size_t extent = shape[k];
      empty = empty || extent == 0;
      if (extent == 0) continue;
      if (product > limit / extent) {
        status_ = errc::size_overflow;
        return;
      }
      product *= extent;
    }
    for (std::size_t k = 0; k < fold; ++k) shape_[0] *= shape[k];
    size_ = empty ? 0 : product;
  }

  /// From the first to the last byte no more than a pointer difference holds: distances are then never out of range.
  void check_reach() noexcept {
    std::size_t left = static_cast<std::size_t>(PTRDIFF_MAX) / (size_of(type_) ? size_of(type_) : 1);
    for (std::size_t k = 0; k < rank_ && size_ != 0; ++k) {
      const auto stride = static_cast<std::size_t>(strides_[k]);
      const std::size_t step = strides_[k] < 0 ? 0 - stride : stride, steps = shape_[k] - 1;
      if (steps != 0 && step > left / steps) {
        status_ = errc::size_overflow;
        size_ = 0;
        return;
      }
      left -= steps * step;
    }
  }

  void finish() noexcept {
    if (status_ != errc::ok) return;
    if (size_ != 0 && data_ == nullptr) status_ = errc::null_data;
    std::ptrdiff_t expected = 1;
    contiguous_ = true;
    for (std::size_t k = rank_; k-- > 0;) {
      if (shape_[k] != 1 && strides_[k] != expected) contiguous_ = false;
      expected *= static_cast<std::ptrdiff_t>(shape_[k]);
    }
    contiguous_ = contiguous_ || size_ <= 1;
  }

  Void* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint8_t rank_ = 0;
  dtype type_ = dtype::f32;
  bool contiguous_ = true;
  errc status_ = errc::ok;
  std::size_t shape_[max_rank] = {};
  std::ptrdiff_t strides_[max_rank] = {};
};

using any_tensor = basic_any_tensor<const void>;
using any_mutable_tensor = basic_any_tensor<void>;

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ANY_TENSOR_HPP
