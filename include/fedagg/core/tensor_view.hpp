// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_TENSOR_VIEW_HPP
#define FEDAGG_CORE_TENSOR_VIEW_HPP

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#include <fedagg/core/any_tensor.hpp>

namespace fedagg::inline FEDAGG_ABI {
namespace detail {

// Foreign types are recognised by what they offer, so that none of their headers is needed.

template <class C>
concept has_data = requires(C& c) {
  requires std::is_pointer_v<decltype(c.data())>;
  requires element<std::remove_pointer_t<decltype(c.data())>>;
  { c.size() } -> std::convertible_to<std::size_t>;
};

/// Eigen's Matrix, Array, Map, Ref and Block, with direct access to memory.
template <class C>
concept eigen_like = has_data<C> && requires(C& c) {
  { c.rows() } -> std::convertible_to<std::ptrdiff_t>;
  { c.cols() } -> std::convertible_to<std::ptrdiff_t>;
  { c.rowStride() } -> std::convertible_to<std::ptrdiff_t>;
  { c.colStride() } -> std::convertible_to<std::ptrdiff_t>;
};

/// xtensor's containers, adaptors and strided views.
template <class C>
concept xtensor_like = has_data<C> && !eigen_like<C> && requires(C & c) {
  { c.shape().size() } -> std::convertible_to<std::size_t>;
  { c.strides().size() } -> std::convertible_to<std::size_t>;
};

template <class C>
concept array_like = has_data<C> && !eigen_like<C> && !xtensor_like<C> && requires(C & c) {
  c.begin(), c.end();
};

/// A handle on someone else's memory, which may be a temporary itself. Adapters add their third party's.
template <class C>
constexpr bool borrows = false;
template <class T, std::size_t N>
constexpr bool borrows<std::span<T, N>> = true;

/// What an adapter specialises for tensors that know their element type at run time only:
/// `static any_mutable_tensor view(const C&) noexcept`.
template <class C>
struct foreign_tensor {};
template <class C>
concept foreign_like = requires(const C& c) {
  { foreign_tensor<C>::view(c) } -> std::same_as<any_mutable_tensor>;
};

} // namespace detail

/// A strided view of someone else's memory with a static element type (const for inputs). Non-owning, freely copied.
template <element T>
class tensor_view {
  using void_type = std::conditional_t<std::is_const_v<T>, const void, void>;

public:
  using value_type = T;

  tensor_view() = default;
  /// A vector of `size` elements.
  tensor_view(T* data, std::size_t size) noexcept : tensor_view(data, detail::span_of(&size, 1)) {}
  /// Row-major and contiguous.
  tensor_view(T* data, std::span<const std::size_t> shape) noexcept : any_(dtype_of<T>, data, shape) {}
  /// Strides in elements, one per dimension; at most `max_rank` dimensions.
  tensor_view(T* data, std::span<const std::size_t> shape, std::span<const std::ptrdiff_t> strides) noexcept
      : any_(dtype_of<T>, data, shape, strides) {}
  tensor_view(const tensor_view<std::remove_const_t<T>>& other) noexcept requires std::is_const_v<T>
      : any_(other.any()) {}
  tensor_view(const tensor_view&) = default;
  tensor_view& operator=(const tensor_view&) = default;

  T* data() const noexcept { return static_cast<T*>(any_.data()); }
  std::size_t size() const noexcept { return any_.size(); }
  std::span<const std::size_t> shape() const noexcept { return any_.shape(); }
  std::span<const std::ptrdiff_t> strides() const noexcept { return any_.strides(); }
  bool contiguous() const noexcept { return any_.contiguous(); }
  errc status() const noexcept { return any_.status(); }

  const basic_any_tensor<void_type>& any() const noexcept { return any_; }
  operator basic_any_tensor<void_type>() const noexcept { return any_; }
  operator any_tensor() const noexcept requires(!std::is_const_v<T>) { return any_; }

private:
  basic_any_tensor<void_type> any_{dtype_of<T>, nullptr, std::span<const std::size_t>{}};
};

/// Views of containers that own their memory; temporaries are refused, because the view would outlive them.
template <class C>
requires detail::array_like<C>
auto view(C& c) noexcept {
  using T = std::remove_pointer_t<decltype(c.data())>;
  return tensor_view<T>(c.data(), static_cast<std::size_t>(c.size()));
}

/// One dimension for compile-time vectors, else (rows, cols) with Eigen's own strides.
template <class C>
requires detail::eigen_like<C>
auto view(C& c) noexcept {
  using T = std::remove_pointer_t<decltype(c.data())>;
  const std::size_t shape[] = {static_cast<std::size_t>(c.rows()), static_cast<std::size_t>(c.cols())};
  const std::ptrdiff_t strides[] = {c.rowStride(), c.colStride()};
  if constexpr (requires { requires bool(C::IsVectorAtCompileTime); }) {
    const std::size_t size[] = {shape[0] * shape[1]};
    const std::ptrdiff_t step[] = {c.cols() == 1 ? strides[0] : strides[1]};
    return tensor_view<T>(c.data(), size, step);
  } else {
    return tensor_view<T>(c.data(), shape, strides);
  }
}

template <class C>
requires detail::xtensor_like<C>
auto view(C& c) noexcept {
  using T = std::remove_pointer_t<decltype(c.data())>;
  std::size_t shape[max_rank] = {};
  std::ptrdiff_t strides[max_rank] = {};
  const auto rank = static_cast<std::size_t>(c.shape().size());
  for (std::size_t k = 0; k < rank && k < max_rank; ++k) {
    shape[k] = static_cast<std::size_t>(c.shape()[k]);
    strides[k] = static_cast<std::ptrdiff_t>(c.strides()[k]);
  }
  T* data = c.data();
  if constexpr (requires { c.data_offset(); }) data += static_cast<std::ptrdiff_t>(c.data_offset());
  // A rank beyond the limit gives one stride too few, hence a view whose status() refuses it.
  return tensor_view<T>(data, detail::span_of(shape, rank < max_rank ? rank : max_rank),
                        detail::span_of(strides, rank <= max_rank ? rank : 0));
}

/// Of a tensor whose element type is known at run time; it says itself, by its `status()`, if it cannot be one.
template <class C>
requires detail::foreign_like<std::remove_const_t<C>>
any_mutable_tensor view(C& tensor) noexcept {
  return detail::foreign_tensor<std::remove_const_t<C>>::view(tensor);
}

/// Temporary handles of a third party, as its adapter names them: a block, a map, a strided view.
template <class C>
  requires(detail::borrows<std::remove_const_t<C>> && (detail::eigen_like<C> || detail::xtensor_like<C>))
auto view(C&& handle) noexcept {
  return fedagg::view(handle);
}

template <class T>
constexpr bool detail::borrows<tensor_view<T>> = true;

// A const temporary would bind to C&.
template <class C>
requires((detail::has_data<const C> || detail::foreign_like<C>)&&!detail::borrows<C>) void view(const C&&) = delete;

template <element T>
tensor_view<T> view(tensor_view<T> v) noexcept {
  return v;
}

template <element T, std::size_t N>
tensor_view<T> view(std::span<T, N> s) noexcept {
  return tensor_view<T>(s.data(), s.size());
}

/// Anything whose memory outlives the call: an lvalue container, a span, a tensor_view or a handle; never a temporary
/// owner.
template <class S>
concept tensor_source = (detail::borrows<std::remove_cvref_t<S>> || std::is_lvalue_reference_v<S>)&&requires(S&& s) {
  fedagg::view(static_cast<S&&>(s));
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_TENSOR_VIEW_HPP
