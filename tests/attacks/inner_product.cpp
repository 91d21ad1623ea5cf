// SPDX-License-Identifier: MIT
#include <fedagg/attacks/inner_product.hpp>

#include <fedagg/attacks/sign_flip.hpp>
#include <fedagg/rules/mean.hpp>

#include "compiled/rules.hpp"
#include "support/attacks.hpp"

using namespace attacks;
using fedagg::inner_product;

static_assert(fedagg::attack<inner_product>);

namespace {

template <class T>
void check_all() {
  for (const kind k : {kind::normal, kind::ties, kind::constant, kind::denormal, kind::zeros})
    for (const double tau : {0.0, 0.1, 1.0, 3.5})
      for (const std::size_t d : sizes) {
        const auto x = sample<T>(k, 7, d, 5);
        const auto m = craft(inner_product{.tau = tau}, x);
        INFO(format<T>::name << " " << name_of(k) << " tau=" << tau << " d=" << d);
        REQUIRE(m.code == errc::ok);
        CHECK(m.space.strength == tau);
        CHECK(first_wrong(x, m.row, 0, [&](const column_moments& c) {
                const quad want = multiply(-quad(tau), c.mean);
                return std::pair(want, multiply(tau, c.error) + multiply(magnitude(want), unit) + quad(power(-1074)));
              }) == "");
      }
}

} // namespace

TEST_CASE("inner product manipulation sends the mean times minus tau") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("tau of one is sign flip") {
  const auto x = sample<float>(kind::normal, 9, 300, 1);
  CHECK(same_bits(craft(inner_product{.tau = 1}, x).row, craft(fedagg::sign_flip{}, x).row));
}

TEST_CASE("a large tau turns the mean round, as the paper says") {
  // m (-tau) + (n - m) < 0 from tau > (n - m) / m on.
  const auto honest = sample<double>(kind::constant, 8, 20, 1);
  for (const double tau : {3.9, 4.1}) {
    const auto bad = craft(inner_product{.tau = tau}, honest).row;
    matrix<double> all(10, 20);
    for (std::size_t i = 0; i < 10; ++i)
      for (std::size_t j = 0; j < 20; ++j) all.at(i, j) = i < 8 ? honest.at(i, j) : bad[j];
    const auto got = aggregated(fedagg::mean{}, all);
    REQUIRE(got.size() == 20);
    for (const double v : got) CHECK((v < 0) == (tau > 4));
  }
}

TEST_CASE("what inner product manipulation refuses") {
  check_refusals(inner_product{.tau = 2});
  check_non_finite(inner_product{.tau = 2});
  const auto x = sample<float>(kind::constant, 3, 4, 1);
  CHECK(craft(inner_product{}, x).code == errc::bad_parameter);
  CHECK(craft(inner_product{.tau = -0.5}, x).code == errc::bad_parameter);
  CHECK(craft(inner_product{.tau = std::bit_cast<double>(std::uint64_t{0x7ff8} << 48)}, x).code == errc::bad_parameter);
  CHECK(craft(inner_product{.tau = 1e300}, x).code == errc::overflow);
  CHECK(craft(inner_product{.tau = 1e5}, sample<fedagg::float16>(kind::constant, 3, 4, 1)).code == errc::overflow);
  CHECK(craft(inner_product{.tau = 1e39}, sample<fedagg::bfloat16>(kind::constant, 3, 4, 1)).code == errc::overflow);
  CHECK(craft(inner_product{.tau = 1.7e308}, matrix<double>(sample<double>(kind::constant, 3, 4, 1))).code == errc::ok);
}
