// SPDX-License-Identifier: MIT
#include <fedagg/attacks/sign_flip.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using fedagg::sign_flip;

static_assert(fedagg::attack<sign_flip>);

namespace {

template <class T>
void check_all() {
  for (const kind k : all_kinds)
    for (const std::size_t n : {1u, 2u, 3u, 10u, 33u})
      for (const std::size_t d : sizes) {
        const auto x = sample<T>(k, n, d, 5);
        const auto m = craft(sign_flip{}, x);
        INFO(format<T>::name << " " << name_of(k) << " n=" << n << " d=" << d);
        REQUIRE(m.code == errc::ok);
        CHECK(m.space.strength == 1);
        CHECK(first_wrong(x, m.row, 0, [](const column_moments& c) { return std::pair(-c.mean, c.error); }) == "");
      }
}

} // namespace

TEST_CASE("sign flip sends the opposite of the mean") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("doubles whose sum overflows have a mean") {
  matrix<double> x(5, 3);
  for (std::size_t i = 0; i < 5; ++i) {
    x.at(i, 0) = 1.7e308;
    x.at(i, 1) = i % 2 ? -1.5e308 : 1.5e308;
    x.at(i, 2) = std::numeric_limits<double>::max();
  }
  const auto m = craft(sign_flip{}, x);
  REQUIRE(m.code == errc::ok);
  CHECK(m.row[0] == -1.7e308);
  CHECK(rounds_to<double>(m.row[1], quad(-0.3e308), quad(1.5e308) * 8 * unit));
  const quad most = std::numeric_limits<double>::max();
  CHECK(rounds_to<double>(m.row[2], -most, most * 8 * unit));
}

TEST_CASE("what sign flip refuses") {
  check_refusals(sign_flip{});
  check_non_finite(sign_flip{});
}

TEST_CASE("a tensor without elements is no error") {
  const matrix<float> x(2, 0);
  CHECK(craft(sign_flip{}, x).code == errc::ok);
}
