// SPDX-License-Identifier: MIT
#include <fedagg/kernels/vec.hpp>

#include <cstring>

#include <fedagg/kernels/simd.hpp>

#include "support/catch.hpp"

using fedagg::impl::vec;

namespace {

template <class V>
V counting(int first) {
  V v;
  for (std::size_t i = 0; i < sizeof v / sizeof v[0]; ++i) v[i] = static_cast<std::remove_cvref_t<decltype(v[0])>>(first + static_cast<int>(i));
  return v;
}

} // namespace

TEST_CASE("a vector is its lanes, without padding") {
  CHECK(sizeof(vec<float, 4>) == 16);
  CHECK(sizeof(vec<double, 2>) == 16);
  CHECK(sizeof(vec<std::int64_t, 2>) == 16);
  const auto v = counting<vec<std::int32_t, 4>>(5);
  std::int32_t lanes[4];
  std::memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 4; ++i) CHECK(lanes[i] == 5 + i);
}

TEST_CASE("operators act lane by lane, comparisons give all-ones masks") {
  const auto a = counting<vec<std::int32_t, 4>>(-2), c = a, b = counting<vec<std::int32_t, 4>>(0);
  const vec<std::int32_t, 4> sum = a + b, difference = a - b, product = a * b, both = a & b, either = a | b, odd = a ^ b, half = a >> 1;
  const vec<std::int32_t, 4> less = a < std::int32_t{0}, equal = a == c, unequal = a != c, more = a > b;
  for (std::size_t i = 0; i < 4; ++i) {
    const int x = static_cast<int>(i) - 2, y = static_cast<int>(i);
    CHECK(sum[i] == x + y);
    CHECK(difference[i] == -2);
    CHECK(product[i] == x * y);
    CHECK(both[i] == (x & y));
    CHECK(either[i] == (x | y));
    CHECK(odd[i] == (x ^ y));
    CHECK(half[i] == (x >> 1));
    CHECK(less[i] == (x < 0 ? -1 : 0));
    CHECK(equal[i] == -1);
    CHECK(unequal[i] == 0);
    CHECK(more[i] == 0);
  }
}

TEST_CASE("comparisons of floats give masks of the same width") {
  const auto a = counting<vec<double, 2>>(0), b = counting<vec<double, 2>>(-1);
  const vec<std::int64_t, 2> less = b < a;
  CHECK(less[0] == -1);
  CHECK(less[1] == -1);
}
