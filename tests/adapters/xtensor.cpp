// SPDX-License-Identifier: MIT
#include <array>
#include <complex>
#include <cstddef>
#include <utility>
#include <vector>

#include <fedagg/adapters/xtensor.hpp>

#if __has_include(<xtensor/views/xview.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xfixed.hpp>
#include <xtensor/generators/xbuilder.hpp>
#include <xtensor/misc/xmanipulation.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xmanipulation.hpp>
#endif

#include "compiled/rules.hpp"
#include "foreign.hpp"
#include "support/catch.hpp"

namespace {

xt::xarray<float> counted(const std::vector<std::size_t>& shape) {
  std::size_t size = 1;
  for (const std::size_t extent : shape) size *= extent;
  xt::xarray<float> a = xt::arange<float>(static_cast<float>(size));
  a.reshape(shape);
  return a;
}

/// A view reads what xtensor reads, in row-major order.
template <class E>
void check_same(E&& expression) {
  std::vector<float> want;
  for (auto it = expression.template begin<xt::layout_type::row_major>();
       it != expression.template end<xt::layout_type::row_major>(); ++it)
    want.push_back(*it);
  const shape_of shape(expression.shape().begin(), expression.shape().end());
  const auto v = fedagg::view(std::forward<E>(expression));
  CHECK(extents(v) == shape);
  CHECK(elements<float>(v) == want);
}

} // namespace

TEST_CASE("containers of both orders") {
  xt::xarray<float> a = counted({4, 3, 2});
  xt::xarray<float, xt::layout_type::column_major> columns = a;
  xt::xtensor<float, 3> t = a;
  xt::xtensor_fixed<float, xt::xshape<2, 3>> fixed = counted({2, 3});
  xt::xarray<float> scalar = 3.0f, empty = counted({0, 3}), one = counted({1, 1, 1});
  const auto& constant = a;
  check_same(a);
  check_same(columns);
  check_same(t);
  check_same(fixed);
  check_same(scalar);
  check_same(empty);
  check_same(one);
  check_same(constant);
  CHECK(fedagg::view(a).contiguous());
  CHECK_FALSE(fedagg::view(columns).contiguous());
}

TEST_CASE("views with offsets and steps, also as temporaries") {
  xt::xarray<float> a = counted({4, 6});
  const xt::xarray<float>& constant = a;
  xt::xtensor<float, 2> t = a;
  xt::xarray<float, xt::layout_type::column_major> columns = a;
  check_same(xt::view(a, 1));
  check_same(xt::view(constant, 2));
  check_same(xt::view(t, xt::all(), 2));
  check_same(xt::view(t, xt::range(1, 4, 2), xt::range(2, 5)));
  check_same(xt::view(columns, 1));
  check_same(xt::view(columns, xt::range(1, 3), xt::range(0, 6, 3)));
  check_same(xt::view(xt::view(t, xt::range(1, 4)), xt::all(), 3));
  check_same(xt::strided_view(a, {1, xt::ellipsis()}));
  check_same(xt::strided_view(a, {xt::range(3, 0, -2), xt::all()}));
  check_same(xt::transpose(a));
  check_same(xt::flip(a, 0));
  auto flat = xt::flatten(a);
  check_same(flat);
  auto kept = xt::view(a, xt::all(), 4);
  check_same(kept);
}

TEST_CASE("adapted memory") {
  std::vector<float> memory(12);
  for (std::size_t k = 0; k < memory.size(); ++k) memory[k] = static_cast<float>(k);
  const auto& constant = memory;
  check_same(xt::adapt(memory));
  check_same(xt::adapt(memory, std::vector<std::size_t>{3, 4}));
  // Not const itself, such an adaptor claims to be writable and then does not compile.
  const auto of_constant = xt::adapt(constant, std::array<std::size_t, 2>{4, 3});
  check_same(of_constant);
  check_same(xt::adapt(memory.data(), memory.size(), xt::no_ownership(), std::vector<std::size_t>{2, 6}));
  check_same(xt::adapt(memory, std::vector<std::size_t>{3, 2}, std::vector<std::size_t>{4, 2}));
  check_same(xt::view(xt::adapt(memory, std::array<std::size_t, 2>{3, 4}), xt::all(), 1));
}

TEST_CASE("what owns its memory is refused as a temporary") {
  using fedagg::tensor_source;
  using array = xt::xarray<float>;
  STATIC_REQUIRE(tensor_source<array&>);
  STATIC_REQUIRE(tensor_source<const array&>);
  STATIC_REQUIRE_FALSE(tensor_source<array>);
  STATIC_REQUIRE_FALSE(tensor_source<xt::xarray<std::complex<float>>&>);
  STATIC_REQUIRE(tensor_source<decltype(xt::view(std::declval<array&>(), 1))>);
  STATIC_REQUIRE_FALSE(tensor_source<decltype(xt::view(std::declval<array>(), 1))>);
  STATIC_REQUIRE_FALSE(tensor_source<decltype(xt::view(xt::view(std::declval<array>(), 1), 1))>);
  STATIC_REQUIRE(tensor_source<decltype(xt::adapt(std::declval<std::vector<float>&>()))>);
  STATIC_REQUIRE_FALSE(tensor_source<decltype(xt::adapt(std::declval<std::vector<float>>()))>);
  STATIC_REQUIRE(std::is_constructible_v<fedagg::mutable_model_view, decltype(xt::view(std::declval<array&>(), 1))>);
  STATIC_REQUIRE_FALSE(
      std::is_constructible_v<fedagg::mutable_model_view, decltype(xt::view(std::declval<const array&>(), 1))>);
}

TEST_CASE("a round of views written into a view") {
  xt::xtensor<float, 2> models = counted({5, 4});
  xt::xarray<float> out = xt::ones<float>({3, 4});
  fedagg::cohort c;
  for (std::size_t i = 0; i < 5; ++i) c.add(xt::view(models, i));
  fedagg::aggregate(fedagg::trimmed_mean{.trim = 1}, c, xt::view(out, 1));
  CHECK((xt::view(out, 1) == xt::view(models, 2)));
  CHECK((xt::view(out, 0) == xt::ones<float>({4})));
  CHECK((xt::view(out, 2) == xt::ones<float>({4})));

  xt::xarray<float> row({4}, 0.0f);
  fedagg::aggregate(fedagg::median{}, fedagg::cohort().add_rows(models), row);
  CHECK((row == xt::view(models, 2)));
}

TEST_CASE("a rank beyond the limit is refused, not cut") {
  xt::xarray<float> deep = counted({1, 2, 1, 1, 1, 1, 1, 1, 1, 2});
  CHECK(fedagg::view(deep).status() == fedagg::errc::bad_parameter);
}

TEST_CASE("lazy expressions are evaluated into memory of their own") {
  const xt::xarray<float> global = counted({2, 3}), local = global * 3.0f;
  const auto update = fedagg::evaluate(local - global);
  STATIC_REQUIRE(std::is_same_v<decltype(update), const xt::xarray<float>>);
  CHECK((update == global * 2.0f));
  const auto column = fedagg::evaluate(xt::view(global, xt::all(), 1));
  CHECK((column == xt::xarray<float>{1, 4}));
  // A container gives a copy, never a reference to it.
  auto copy = fedagg::evaluate(global);
  CHECK(copy.data() != global.data());
  const xt::xtensor<float, 1> small{1, 2};
  STATIC_REQUIRE(std::is_same_v<decltype(fedagg::evaluate(small + small)), xt::xtensor<float, 1>>);

  xt::xtensor_fixed<float, xt::xshape<2>> fixed{3, 4};
  STATIC_REQUIRE(std::is_same_v<decltype(fedagg::evaluate(fixed * 2.0f)), xt::xtensor<float, 1>>);
  CHECK((fedagg::evaluate(fixed * 2.0f) == xt::xtensor<float, 1>{6, 8}));

  xt::xarray<float> out = global;
  fedagg::aggregate(fedagg::mean{}, fedagg::cohort().add(update), out);
  CHECK((out == update));
}
