// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_EIGEN_HPP
#define FEDAGG_ADAPTERS_EIGEN_HPP

#include <concepts>

#include <Eigen/Core>

#include <fedagg/core/tensor_view.hpp>

/// Eigen's matrices are views without this header. It adds what needs Eigen's own names: temporary handles
/// (`clients.add(models.col(3))`), Eigen's 16-bit scalars, `evaluate(a - b)`, and a readable error where an expression
/// is passed that lies nowhere in memory.

namespace fedagg::inline FEDAGG_ABI {
namespace detail {

template <>
inline constexpr dtype dtype_of_v<Eigen::half> = dtype::f16;
template <>
inline constexpr dtype dtype_of_v<Eigen::bfloat16> = dtype::bf16;

// Through the base class: a VectorBlock is a Block, and only that is a DenseBase of itself.
template <class D>
D eigen_derived(const Eigen::DenseBase<D>&);

template <class E>
concept eigen_dense = requires(const E& e) {
  eigen_derived(e);
};

// A Ref to const holds a copy where the strides did not fit.
template <class E>
constexpr bool eigen_owner = std::derived_from<E, Eigen::PlainObjectBase<E>>;
template <class M, int Options, class Stride>
constexpr bool eigen_owner<Eigen::Ref<const M, Options, Stride>> = true;

template <class E>
concept eigen_handle = eigen_dense<E> && eigen_like<E> && !eigen_owner<E>;

template <class E>
concept eigen_expression = eigen_dense<E> && !requires(const E& e) {
  e.data();
};

template <eigen_handle E>
constexpr bool borrows<E> = true;

template <eigen_expression E>
constexpr bool borrows<E> = [] {
  static_assert(!eigen_expression<E>,
                "an Eigen expression lies nowhere in memory: keep fedagg::evaluate(expression) in a "
                "variable and pass that");
  return false;
}();

} // namespace detail

/// The value of an Eigen expression in memory of its own, to be kept in a variable and added to a cohort.
template <class D>
typename D::PlainObject evaluate(const Eigen::DenseBase<D>& expression) {
  return expression.derived();
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ADAPTERS_EIGEN_HPP
