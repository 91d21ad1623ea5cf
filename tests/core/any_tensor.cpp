// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/core/any_tensor.hpp>

#include "support/catch.hpp"

using fedagg::any_mutable_tensor;
using fedagg::any_tensor;
using fedagg::dtype;
using fedagg::errc;

namespace {

using extents = std::vector<std::size_t>;
using steps = std::vector<std::ptrdiff_t>;

constexpr std::size_t bits = sizeof(std::size_t) * 8;
constexpr std::size_t top = std::size_t{1} << (bits - 1);

float memory[64];

any_tensor tensor(const extents& shape, const void* data = memory, dtype type = dtype::f32) {
  return any_tensor(type, data, shape);
}
any_tensor strided(const extents& shape, const steps& strides, const void* data = memory) {
  return any_tensor(dtype::f32, data, shape, strides);
}

} // namespace

TEST_CASE("a row-major shape has the strides of its trailing dimensions") {
  const auto t = tensor({2, 3, 4});
  CHECK(t.status() == errc::ok);
  CHECK(t.size() == 24);
  CHECK(t.contiguous());
  CHECK(extents(t.shape().begin(), t.shape().end()) == extents{2, 3, 4});
  CHECK(steps(t.strides().begin(), t.strides().end()) == steps{12, 4, 1});
}

TEST_CASE("rank 0 is a scalar, a zero extent is empty") {
  CHECK(tensor({}).size() == 1);
  CHECK(tensor({}).rank() == 0);
  CHECK(tensor({}).contiguous());
  for (const extents& shape : {extents{0}, extents{3, 0}, extents{0, 3}, extents{2, 0, 5}}) {
    CHECK(tensor(shape, nullptr).size() == 0);
    CHECK(tensor(shape, nullptr).status() == errc::ok);
  }
}

TEST_CASE("null data is refused wherever there is an element, the scalar included") {
  CHECK(tensor({}, nullptr).status() == errc::null_data);
  CHECK(tensor({1}, nullptr).status() == errc::null_data);
  CHECK(strided({4}, {0}, nullptr).status() == errc::null_data);
}

TEST_CASE("shapes whose elements or bytes overflow are refused") {
  CHECK(tensor({top, 2}).status() == errc::size_overflow);
  CHECK(tensor({std::size_t{1} << (bits / 2), std::size_t{1} << (bits / 2)}).status() == errc::size_overflow);
  CHECK(tensor({SIZE_MAX}).status() == errc::size_overflow);
  CHECK(tensor({SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX}).status() == errc::size_overflow);
  // The elements fit, their bytes do not.
  CHECK(tensor({top / 2}).status() == errc::size_overflow);
  CHECK(tensor({static_cast<std::size_t>(PTRDIFF_MAX) / 4 + 1}).status() == errc::size_overflow);
  CHECK(tensor({static_cast<std::size_t>(PTRDIFF_MAX) / 4}).status() == errc::ok);
  CHECK(tensor({static_cast<std::size_t>(PTRDIFF_MAX)}, memory, dtype::i8).status() == errc::ok);
  CHECK(tensor({static_cast<std::size_t>(PTRDIFF_MAX)}, memory, dtype::other).status() == errc::ok);
  CHECK(tensor({static_cast<std::size_t>(PTRDIFF_MAX) + 1}, memory, dtype::other).status() == errc::size_overflow);
}

TEST_CASE("a zero extent hides no overflow, wherever it stands") {
  CHECK(tensor({0, top, 2}).status() == errc::size_overflow);
  CHECK(tensor({top, 2, 0}).status() == errc::size_overflow);
  CHECK(tensor({top, 0, 2}).status() == errc::size_overflow);
  CHECK(tensor({0, top, 2}).size() == 0);
}

TEST_CASE("an overflowing shape of folded rank is refused too") {
  CHECK(tensor({top, 2, 1, 1, 1, 1, 1, 1, 1, 1}).status() == errc::size_overflow);
  CHECK(tensor(extents(70, 2)).status() == errc::size_overflow);
  CHECK(tensor(extents(300, 1)).status() == errc::ok);
  CHECK(tensor(extents(300, 1)).rank() == fedagg::max_rank);
}

TEST_CASE("strides that reach beyond what a pointer difference holds are refused") {
  constexpr std::ptrdiff_t far = PTRDIFF_MAX / 2;
  CHECK(strided({4, 4}, {far, 1}).status() == errc::size_overflow);
  CHECK(strided({2}, {PTRDIFF_MAX}).status() == errc::size_overflow);
  CHECK(strided({2}, {PTRDIFF_MIN}).status() == errc::size_overflow);
  CHECK(strided({2, 2}, {PTRDIFF_MAX / 7, PTRDIFF_MAX / 7}).status() == errc::size_overflow);
  // A dimension of one element, or of none, is never stepped along.
  CHECK(strided({1}, {PTRDIFF_MAX}).status() == errc::ok);
  CHECK(strided({0}, {PTRDIFF_MIN}).status() == errc::ok);
}

TEST_CASE("higher ranks fold their leading dimensions") {
  const auto t = tensor({2, 1, 3, 1, 1, 2, 1, 1, 2, 1});
  CHECK(t.status() == errc::ok);
  CHECK(t.rank() == fedagg::max_rank);
  CHECK(t.size() == 24);
  CHECK(extents(t.shape().begin(), t.shape().end()) == extents{6, 1, 1, 2, 1, 1, 2, 1});
  CHECK(t.contiguous());
  const auto empty = tensor({0, 2, 3, 1, 1, 2, 1, 1, 2, 1});
  CHECK(empty.size() == 0);
  CHECK(empty.shape()[0] == 0);
}

TEST_CASE("strides have one entry per dimension, and a limit") {
  CHECK(strided({2, 3}, {1}).status() == errc::bad_parameter);
  CHECK(strided({2}, {1, 1}).status() == errc::bad_parameter);
  CHECK(strided(extents(9, 1), steps(9, 1)).status() == errc::bad_parameter);
  CHECK(strided(extents(8, 2), steps(8, 0)).status() == errc::ok);
}

TEST_CASE("contiguous means row-major without gaps, whatever single elements' strides are") {
  CHECK(strided({2, 3}, {3, 1}).contiguous());
  CHECK(strided({2, 1, 3}, {3, -77, 1}).contiguous());
  CHECK(strided({1}, {0}).contiguous());
  CHECK(strided({0, 5}, {9, 9}).contiguous());
  CHECK_FALSE(strided({2, 3}, {1, 2}).contiguous());
  CHECK_FALSE(strided({2, 3}, {4, 1}).contiguous());
  CHECK_FALSE(strided({3}, {-1}).contiguous());
  CHECK_FALSE(strided({3}, {0}).contiguous());
}

TEST_CASE("shapes are the same only dimension by dimension") {
  CHECK(same_shape(tensor({2, 3}), strided({2, 3}, {1, 2})));
  CHECK_FALSE(same_shape(tensor({2, 3}), tensor({3, 2})));
  CHECK_FALSE(same_shape(tensor({6}), tensor({6, 1})));
  CHECK_FALSE(same_shape(tensor({}), tensor({1})));
  CHECK_FALSE(same_shape(tensor({0, 2}, nullptr), tensor({0, 3}, nullptr)));
}

TEST_CASE("a view of nothing has not the shape of a scalar") {
  const any_tensor nothing;
  CHECK(nothing.size() == 0);
  CHECK_FALSE((nothing.status() == errc::ok && same_shape(nothing, tensor({}))));
}

TEST_CASE("an output is also an input") {
  const std::size_t shape[] = {2, 2};
  const std::ptrdiff_t stride[] = {-2, 3};
  const any_mutable_tensor out(dtype::f32, memory + 10, shape, stride);
  const any_tensor in(out);
  CHECK(in.data() == out.data());
  CHECK(in.type() == dtype::f32);
  CHECK(in.size() == 4);
  CHECK(same_shape(in, any_tensor(out)));
  CHECK(in.strides()[0] == -2);
  CHECK(in.contiguous() == out.contiguous());
  const any_mutable_tensor bad(dtype::f32, nullptr, shape);
  CHECK(any_tensor(bad).status() == errc::null_data);
}

TEST_CASE("a refused view has its reason and no element") {
  const auto t = any_mutable_tensor::refused(errc::unsupported_element);
  CHECK(t.status() == errc::unsupported_element);
  CHECK(t.size() == 0);
  CHECK(any_tensor(t).status() == errc::unsupported_element);
  CHECK(any_tensor::refused(errc::null_data).status() == errc::null_data);
}
