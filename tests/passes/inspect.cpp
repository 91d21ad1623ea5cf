// SPDX-License-Identifier: MIT
#include <fedagg/passes/inspect.hpp>

#include <cstdint>
#include <limits>
#include <vector>

#include "support/numeric.hpp"

using fedagg::errc;
using fedagg::integers;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::try_inspect;

namespace {

template <class T>
T non_finite(int which) {
  const double x = which == 0   ? std::bit_cast<double>(0x7ff0000000000000u)
                   : which == 1 ? std::bit_cast<double>(0xfff0000000000000u)
                                : std::bit_cast<double>(0x7ff8000000000001u);
  return numeric::stored<T>(x);
}

template <class T>
void check_floats() {
  for (const std::size_t d : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{65}, std::size_t{600}}) {
    std::vector<T> x(2 * d, numeric::stored<T>(1.5));
    const std::size_t shape[] = {d};
    const std::ptrdiff_t step[] = {2};
    const fedagg::tensor_view<const T> packed(x.data(), d), strided(x.data(), shape, step);
    const model_layout layout{model_view(packed)};
    for (std::size_t at = 0; at < d; at += d < 70 ? 1 : 37)
      for (int which = 0; which < 3; ++which) {
        x[at] = non_finite<T>(which);
        REQUIRE(try_inspect(model_view(packed), layout) == errc::non_finite);
        x[at] = numeric::stored<T>(-2);
        REQUIRE(try_inspect(model_view(packed), layout) == errc::ok);
        x[2 * at] = non_finite<T>(which);
        REQUIRE(try_inspect(model_view(strided), layout) == errc::non_finite);
        x[2 * at] = numeric::stored<T>(-2);
        REQUIRE(try_inspect(model_view(strided), layout) == errc::ok);
      }
  }
}

} // namespace

TEST_CASE("a NaN or Inf is found wherever it is") {
  SECTION("f64") { check_floats<double>(); }
  SECTION("f32") { check_floats<float>(); }
  SECTION("f16") { check_floats<fedagg::float16>(); }
  SECTION("bf16") { check_floats<fedagg::bfloat16>(); }
}

TEST_CASE("integers that no double holds, unless they are kept") {
  std::vector<std::int64_t> counter(700, std::int64_t{1} << 53);
  std::vector<float> x(3);
  const auto model = [&](integers policy) {
    model_view m;
    m.add("counter", counter, policy);
    m.add("x", x);
    return m;
  };
  const model_layout averaged(model(integers::average)), kept(model(integers::keep));
  for (const std::size_t at : {std::size_t{0}, std::size_t{511}, std::size_t{512}, std::size_t{699}}) {
    CHECK(try_inspect(model(integers::average), averaged) == errc::ok);
    counter[at] = (std::int64_t{1} << 53) + 1;
    CHECK(try_inspect(model(integers::average), averaged) == errc::integer_range);
    // It is the layout that decides.
    CHECK(try_inspect(model(integers::keep), averaged) == errc::integer_range);
    CHECK(try_inspect(model(integers::average), kept) == errc::ok);
    counter[at] = -(std::int64_t{1} << 53);
  }
}

TEST_CASE("another layout, and views that lead nowhere") {
  std::vector<float> x(3), y(4);
  std::vector<double> z(3);
  const model_layout layout{model_view(x)};
  CHECK(try_inspect(model_view(x), layout) == errc::ok);
  CHECK(try_inspect(model_view(y), layout) == errc::client_layout);
  CHECK(try_inspect(model_view(z), layout) == errc::client_layout);
  CHECK(try_inspect(model_view(), layout) == errc::client_layout);
  CHECK(try_inspect(model_view().add("name", x), layout) == errc::client_layout);
  CHECK(try_inspect(model_view(fedagg::tensor_view<const float>(nullptr, 3)), layout) == errc::null_data);
  model_layout other;
  const std::size_t shape[] = {3};
  REQUIRE(other.add("", fedagg::dtype::other, shape) == errc::ok);
  CHECK(try_inspect(model_view().add("", fedagg::any_tensor(fedagg::dtype::other, x.data(), shape)), other) ==
        errc::unsupported_element);
  const std::vector<float> nothing;
  CHECK(try_inspect(model_view(nothing), model_layout(model_view(nothing))) == errc::ok);
}

TEST_CASE("the first tensor at fault decides, whatever the threads") {
  std::vector<float> a(200000, 1), c(200000, 1);
  std::vector<std::int64_t> b(100000, 1);
  model_view m;
  m.add("a", a).add("b", b).add("c", c);
  const model_layout layout(m);
  numeric::threads pool{3};
  c[199999] = non_finite<float>(2);
  CHECK(try_inspect(m, layout, pool) == errc::non_finite);
  b[99999] = INT64_MAX;
  CHECK(try_inspect(m, layout, pool) == errc::integer_range);
  a[131072] = non_finite<float>(0);
  CHECK(try_inspect(m, layout, pool) == errc::non_finite);
}

TEST_CASE("an executor that loses, repeats or invents tasks is found out") {
  std::vector<float> x(200000, 1);
  const model_layout layout{model_view(x)};
  auto loses = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 1; i < count; ++i) t(i);
  };
  auto repeats = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 0; i < count; ++i) t(i == 1 ? 0 : i);
  };
  auto invents = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 0; i <= count; ++i) t(i);
  };
  CHECK(try_inspect(model_view(x), layout, loses) == errc::executor_failed);
  CHECK(try_inspect(model_view(x), layout, repeats) == errc::executor_failed);
  CHECK(try_inspect(model_view(x), layout, invents) == errc::executor_failed);
#if FEDAGG_EXCEPTIONS
  auto throws = [](std::size_t, fedagg::task) { throw 1; };
  CHECK(try_inspect(model_view(x), layout, throws) == errc::executor_failed);
#endif
}
