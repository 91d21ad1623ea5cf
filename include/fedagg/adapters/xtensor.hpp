// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_XTENSOR_HPP
#define FEDAGG_ADAPTERS_XTENSOR_HPP

#include <array>
#include <cstddef>
#include <type_traits>

// 0.26 moved every header into a folder.
#if __has_include(<xtensor/views/xview.hpp>)
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/views/xstrided_view.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xarray.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

#include <fedagg/core/tensor_view.hpp>

/// xtensor's containers, adaptors and strided views are views without this header. It adds what needs xtensor's own
/// names: temporary views and adaptors (`clients.add(xt::view(models, 3))`), `evaluate(a - b)`, and a readable error
/// where an expression is passed that lies nowhere in memory.

namespace fedagg::inline FEDAGG_ABI {
namespace detail {

template <class E>
concept xtensor_type = xt::is_xexpression<E>::value;

template <class E>
concept xtensor_expression = xtensor_type<E> && !requires(const E& e) {
  e.data();
};

/// xtensor keeps what a view is made of by reference where it was an lvalue, else inside the view.
template <class Closure>
constexpr bool xtensor_borrowed = std::is_lvalue_reference_v<Closure> || borrows<std::remove_cv_t<Closure>>;
template <class Pointer, class Allocator>
constexpr bool xtensor_borrowed<xt::xbuffer_adaptor<Pointer, xt::no_ownership, Allocator>> = true;

template <class Closure, class... Slices>
requires xtensor_like<xt::xview<Closure, Slices...>>
constexpr bool borrows<xt::xview<Closure, Slices...>> = xtensor_borrowed<Closure>;
template <class Closure, class Shape, xt::layout_type L, class Flat>
requires xtensor_like<xt::xstrided_view<Closure, Shape, L, Flat>>
constexpr bool borrows<xt::xstrided_view<Closure, Shape, L, Flat>> = xtensor_borrowed<Closure>;
template <class Memory, xt::layout_type L, class Shape, class Tag>
constexpr bool borrows<xt::xarray_adaptor<Memory, L, Shape, Tag>> = xtensor_borrowed<Memory>;
template <class Memory, std::size_t N, xt::layout_type L, class Tag>
constexpr bool borrows<xt::xtensor_adaptor<Memory, N, L, Tag>> = xtensor_borrowed<Memory>;

template <xtensor_expression E>
constexpr bool borrows<E> = [] {
  static_assert(!xtensor_expression<E>,
                "this xtensor expression gives no access to memory: keep fedagg::evaluate(expression) in a "
                "variable and pass that");
  return false;
}();

// Not xt::eval's choice, which takes the inline capacity of a dynamic shape for a rank (0.24).
template <class T, class Shape>
struct xtensor_result {
  using type = xt::xarray<T>;
};
template <class T, class I, std::size_t N>
struct xtensor_result<T, std::array<I, N>> {
  using type = xt::xtensor<T, N>;
};
template <class T, std::size_t... N>
struct xtensor_result<T, xt::fixed_shape<N...>> {
  using type = xt::xtensor<T, sizeof...(N)>;
};

} // namespace detail

/// The value of an xtensor expression in memory of its own, to be kept in a variable and added to a cohort.
template <detail::xtensor_type E>
auto evaluate(const E& expression) {
  using result = detail::xtensor_result<std::remove_const_t<typename E::value_type>, typename E::shape_type>;
  return typename result::type(expression);
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ADAPTERS_XTENSOR_HPP
