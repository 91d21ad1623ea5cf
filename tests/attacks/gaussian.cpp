// SPDX-License-Identifier: MIT
#include <fedagg/attacks/gaussian.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using fedagg::gaussian;

static_assert(fedagg::attack<gaussian>);

namespace {

const matrix<double> nobody(0, 200000);

} // namespace

TEST_CASE("the noise has the distribution that was asked for") {
  const auto m = craft(gaussian{.mean = 3, .deviation = 0.5, .seed = 7}, nobody);
  REQUIRE(m.code == errc::ok);
  const auto n = static_cast<real>(m.row.size());
  real mean = 0, square = 0, third = 0;
  for (const double v : m.row) mean += v / n;
  for (const double v : m.row) square += (v - mean) * (v - mean) / n;
  for (const double v : m.row) third += (v - mean) * (v - mean) * (v - mean) / n;
  // Five standard errors.
  CHECK(std::abs(mean - 3) < 5 * 0.5L / std::sqrt(n));
  CHECK(std::abs(square - 0.25L) < 5 * 0.25L * std::sqrt(2 / n));
  CHECK(std::abs(third) < 5 * 0.125L * std::sqrt(15 / n));
  for (const real z : {-3.0L, -2.0L, -1.0L, -0.3L, 0.0L, 0.7L, 1.5L, 2.5L}) {
    real share = 0;
    for (const double v : m.row) share += (v - 3) / 0.5L <= z ? 1 / n : 0;
    const real want = std::erfc(-z / std::sqrt(real(2))) / 2;
    INFO("below " << static_cast<double>(z));
    CHECK(std::abs(share - want) < 5 * std::sqrt(want * (1 - want) / n));
  }
}

TEST_CASE("every coordinate is the quantile of the stream's next number") {
  const auto m = craft(gaussian{.mean = -1, .deviation = 2, .seed = 42}, nobody);
  REQUIRE(m.code == errc::ok);
  fedagg::random_stream draws(42, "gaussian");
  std::size_t wrong = 0;
  for (const double v : m.row) {
    const real uniform = (real(draws() >> 12) + 0.5L) / 4503599627370496.0L;
    const real below = std::erfc(-((real(v) + 1) / 2) / std::sqrt(real(2))) / 2;
    wrong += !(std::abs(below - uniform) <= 1e-15L);
  }
  CHECK(wrong == 0);
}

TEST_CASE("a seed gives the same noise in every element type, and another seed another") {
  const gaussian a{.mean = 0, .deviation = 1, .seed = 1};
  const auto x = craft(a, matrix<double>(0, 500)).row;
  const auto y = craft(a, matrix<float>(0, 500)).row;
  const auto z = craft(a, matrix<fedagg::bfloat16>(0, 500)).row;
  for (std::size_t j = 0; j < 500; ++j) {
    CHECK(y[j] == static_cast<float>(x[j]));
    CHECK(z[j] == fedagg::to_bfloat16(x[j]));
  }
  CHECK(same_bits(x, craft(a, matrix<double>(0, 500)).row));
  const auto other = craft(gaussian{.mean = 0, .deviation = 1, .seed = 2}, matrix<double>(0, 500)).row;
  std::size_t equal = 0;
  for (std::size_t j = 0; j < 500; ++j) equal += x[j] == other[j];
  CHECK(equal == 0);
  CHECK(craft(gaussian{.mean = 2.5, .deviation = 0, .seed = 2}, matrix<float>(0, 3)).row == std::vector<float>(3, 2.5f));
}

TEST_CASE("what gaussian refuses") {
  check_refusals(gaussian{.seed = 1}, 0);
  const matrix<float> x(0, 4);
  CHECK(craft(gaussian{}, x).code == errc::bad_parameter);
  CHECK(craft(gaussian{.deviation = -1, .seed = 1}, x).code == errc::bad_parameter);
  CHECK(craft(gaussian{.mean = std::bit_cast<double>(std::uint64_t{0x7ff} << 52), .seed = 1}, x).code == errc::bad_parameter);
  CHECK(craft(gaussian{.mean = 1e39, .seed = 1}, x).code == errc::overflow);
}
