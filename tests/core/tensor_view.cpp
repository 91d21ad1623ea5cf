// SPDX-License-Identifier: MIT
#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fedagg/core/tensor_view.hpp>

#include "support/catch.hpp"

namespace {
/// A tensor that knows its element type at run time, and its adapter.
struct late_tensor {
  double* memory;
  std::size_t size;
};
} // namespace

template <>
struct fedagg::detail::foreign_tensor<late_tensor> {
  static any_mutable_tensor view(const late_tensor& t) noexcept {
    if (t.size > 3) return any_mutable_tensor::refused(errc::unsupported_element);
    return {dtype::f64, t.memory, std::span<const std::size_t>(&t.size, 1)};
  }
};

using fedagg::errc;
using fedagg::tensor_source;
using fedagg::tensor_view;
using fedagg::view;

// Lvalues of owners, and borrowers of either kind.
static_assert(tensor_source<std::vector<float>&> && tensor_source<const std::vector<double>&>);
static_assert(tensor_source<std::array<fedagg::float16, 3>&> && tensor_source<std::span<const float>>);
static_assert(tensor_source<std::span<float, 4>> && tensor_source<tensor_view<const std::int8_t>>);
// No temporary owner, no pointer, no array of something else.
static_assert(!tensor_source<std::vector<float>> && !tensor_source<const std::vector<float>>);
static_assert(!tensor_source<std::array<float, 3>> && !tensor_source<float*> && !tensor_source<float*&>);
static_assert(!tensor_source<std::vector<std::complex<float>>&> && !tensor_source<std::vector<int*>&>);
static_assert(!tensor_source<std::vector<bool>&> && !tensor_source<std::vector<std::vector<float>>&>);
static_assert(!tensor_source<std::vector<long double>&> && !tensor_source<int&>);
// A const temporary would bind to an lvalue's overload.
template <class S>
concept viewable = requires(S&& s) {
  view(static_cast<S&&>(s));
};
static_assert(viewable<const std::vector<float>&> && viewable<const std::span<float>> &&
              viewable<const tensor_view<float>>);
static_assert(!viewable<const std::vector<float>> && !viewable<std::vector<float>>);
// Nor one of what an adapter knows; it may share its memory, so that const ones are outputs too.
static_assert(tensor_source<late_tensor&> && tensor_source<const late_tensor&>);
static_assert(!tensor_source<late_tensor> && !viewable<late_tensor> && !viewable<const late_tensor>);
// An output is also an input, never the other way round.
static_assert(std::is_convertible_v<tensor_view<float>, tensor_view<const float>>);
static_assert(!std::is_convertible_v<tensor_view<const float>, tensor_view<float>>);
static_assert(!std::is_constructible_v<fedagg::any_mutable_tensor, tensor_view<const float>>);
static_assert(std::is_convertible_v<tensor_view<float>, fedagg::any_tensor>);
static_assert(std::is_nothrow_copy_constructible_v<tensor_view<float>>);

namespace {

/// A matrix as xtensor shows it.
struct strided_container {
  std::vector<double> memory;
  std::vector<std::size_t> extents;
  std::vector<std::ptrdiff_t> steps;
  std::size_t offset = 0;
  double* data() { return memory.data(); }
  std::size_t size() const { return memory.size(); }
  const std::vector<std::size_t>& shape() const { return extents; }
  const std::vector<std::ptrdiff_t>& strides() const { return steps; }
  std::size_t data_offset() const { return offset; }
};

/// A column-major matrix or a vector as Eigen shows it.
template <bool Vector>
struct column_major {
  static constexpr bool IsVectorAtCompileTime = Vector;
  std::vector<float> memory;
  std::ptrdiff_t height, width;
  const float* data() const { return memory.data(); }
  std::ptrdiff_t size() const { return height * width; }
  std::ptrdiff_t rows() const { return height; }
  std::ptrdiff_t cols() const { return width; }
  std::ptrdiff_t rowStride() const { return 1; }
  std::ptrdiff_t colStride() const { return height; }
};

} // namespace

TEST_CASE("containers are vectors of their elements, const if they are") {
  std::vector<float> v = {1, 2, 3};
  const auto& c = v;
  auto a = view(v);
  static_assert(std::is_same_v<decltype(a), tensor_view<float>>);
  static_assert(std::is_same_v<decltype(view(c)), tensor_view<const float>>);
  CHECK(a.data() == v.data());
  CHECK(a.size() == 3);
  CHECK(a.shape().size() == 1);
  CHECK(a.contiguous());
  std::array<std::int16_t, 2> array = {4, 5};
  CHECK(view(array).any().type() == fedagg::dtype::i16);
  CHECK(view(std::span<const float>(v)).data() == v.data());
  CHECK(view(std::span<float, 3>(v)).size() == 3);
}

TEST_CASE("an empty container is an empty view, not null data") {
  std::vector<float> none;
  CHECK(view(none).status() == errc::ok);
  CHECK(view(none).size() == 0);
  CHECK(view(std::span<float>()).status() == errc::ok);
}

TEST_CASE("a default view is a scalar that points nowhere") { CHECK(tensor_view<float>().status() == errc::null_data); }

TEST_CASE("a raw pointer has a size, a shape, or strides") {
  double memory[12] = {};
  const std::size_t shape[] = {3, 2};
  const std::ptrdiff_t strides[] = {4, -1};
  CHECK(tensor_view<double>(memory, 12).size() == 12);
  CHECK(tensor_view<double>(memory, shape).strides()[0] == 2);
  const tensor_view<const double> s(memory + 1, shape, strides);
  CHECK(s.size() == 6);
  CHECK_FALSE(s.contiguous());
  CHECK(s.data() == memory + 1);
  CHECK(tensor_view<double>(nullptr, 2).status() == errc::null_data);
  CHECK(tensor_view<double>(memory, SIZE_MAX).status() == errc::size_overflow);
}

TEST_CASE("matrices keep their own strides, compile-time vectors have one dimension") {
  column_major<false> m{std::vector<float>(6), 2, 3};
  const auto v = view(m);
  static_assert(std::is_same_v<decltype(v), const tensor_view<const float>>);
  REQUIRE(v.shape().size() == 2);
  CHECK(v.shape()[0] == 2);
  CHECK(v.strides()[0] == 1);
  CHECK(v.strides()[1] == 2);
  column_major<true> column{std::vector<float>(5), 5, 1}, row{std::vector<float>(5), 1, 5};
  CHECK(view(column).shape().size() == 1);
  CHECK(view(column).size() == 5);
  CHECK(view(column).contiguous());
  CHECK(view(row).strides()[0] == 1);
}

TEST_CASE("strided containers start at their offset") {
  strided_container c{std::vector<double>(24), {2, 3}, {12, 2}, 5};
  const auto v = view(c);
  CHECK(v.data() == c.data() + 5);
  CHECK(v.size() == 6);
  CHECK(v.strides()[0] == 12);
}

TEST_CASE("a container with more dimensions than a strided view has is refused, not cut") {
  strided_container c{std::vector<double>(1), std::vector<std::size_t>(9, 1), std::vector<std::ptrdiff_t>(9, 1)};
  CHECK(view(c).status() == errc::bad_parameter);
}

TEST_CASE("a tensor whose element type is known at run time is seen by its adapter") {
  double memory[3] = {1, 2, 3};
  const late_tensor good{memory, 3}, bad{memory, 4};
  CHECK(view(good).data() == memory);
  CHECK(view(good).type() == fedagg::dtype::f64);
  CHECK(view(good).size() == 3);
  CHECK(view(bad).status() == errc::unsupported_element);
}
