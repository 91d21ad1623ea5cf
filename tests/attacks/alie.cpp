// SPDX-License-Identifier: MIT
#include <fedagg/attacks/alie.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using fedagg::alie;
using fedagg::alie_side;

static_assert(fedagg::attack<alie>);

namespace {

template <class T>
void check_all() {
  for (const kind k : {kind::normal, kind::ties, kind::constant, kind::ascending, kind::zeros})
    for (const double z : {0.0, 0.3, 1.5, 40.0})
      for (const std::int64_t ddof : {0, 1})
        for (const alie_side side : {alie_side::below, alie_side::above})
          for (const std::size_t n : {2u, 9u, 40u}) {
            const std::size_t d = n == 9 ? 600 : 257;
            const auto x = sample<T>(k, n, d, 5);
            const auto m = craft(alie{.z = z, .side = side, .ddof = ddof}, x);
            INFO(format<T>::name << " " << name_of(k) << " z=" << z << " ddof=" << ddof << " n=" << n);
            REQUIRE(m.code == errc::ok);
            CHECK(m.space.strength == z);
            CHECK(!m.space.reversed);
            CHECK(first_wrong(x, m.row, static_cast<std::size_t>(ddof), [&](const column_moments& c) {
                    const quad moved = multiply(z, c.deviation), roundings = quad(n + 8) * unit;
                    const quad want = side == alie_side::below ? c.mean - moved : c.mean + moved;
                    // A mean that is off makes the deviation off by as much at most, up to the divisor.
                    return std::pair(want, c.error + multiply(2 * z, c.error) + multiply(roundings, moved) +
                                               multiply(magnitude(want), unit));
                  }) == "");
          }
}

/// Phi, to 18 digits.
real below(real x) { return std::erfc(-x / std::sqrt(real(2))) / 2; }

} // namespace

TEST_CASE("ALIE moves the mean by z deviations") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("the largest z is the quantile of the paper") {
  std::size_t negative = 0, refused = 0, compared = 0;
  for (std::size_t n = 1; n <= 120; ++n)
    for (std::size_t m = 0; m <= n; ++m) {
      double z = 0;
      const errc rc = alie::largest_z(n, m, z);
      INFO("n=" << n << " m=" << m);
      const long s = static_cast<long>(n / 2 + 1) - static_cast<long>(m);
      const long above = static_cast<long>(n - m) - s;
      if (m == n) {
        CHECK(rc == errc::bad_parameter);
      } else if (s <= 0 || above <= 0) {
        CHECK(rc == errc::too_few_clients);
        ++refused;
      } else {
        REQUIRE(rc == errc::ok);
        const real p = real(above) / real(n - m);
        CHECK(std::abs(below(z) - p) <= 1e-15L);
        negative += z < 0;
        CHECK((z < 0) == (2 * above < static_cast<long>(n - m)));
        ++compared;
      }
    }
  CHECK(negative > 10);
  CHECK(refused > 1000);
  CHECK(compared > 3000);
}

TEST_CASE("without a z the clients decide, and a negative one is reported") {
  const auto x = sample<double>(kind::normal, 6, 30, 2);
  double z = 0;
  REQUIRE(alie::largest_z(50, 24, z) == errc::ok);
  auto m = craft(alie{}, x, 24, 50);
  REQUIRE(m.code == errc::ok);
  CHECK(m.space.strength == z);
  CHECK(!m.space.reversed);
  CHECK(same_bits(m.row, craft(alie{.z = z}, x).row));

  REQUIRE(alie::largest_z(10, 1, z) == errc::ok);
  CHECK(z < 0);
  m = craft(alie{}, x, 1, 10);
  REQUIRE(m.code == errc::ok);
  CHECK(m.space.strength == z);
  CHECK(m.space.reversed);
  CHECK(same_bits(m.row, craft(alie{.z = -z, .side = alie_side::above}, x).row));
  // The clients of the round are those seen and the hostile ones, unless it is said.
  CHECK(same_bits(craft(alie{}, x, 3).row, craft(alie{}, x, 3, 9).row));
  // The flag does not stay.
  const auto honest = rows(x);
  const knowledge<double> k{.honest = honest, .clients = 50, .hostile = 24};
  REQUIRE(alie{}.craft(k, m.row, m.space) == errc::ok);
  CHECK(!m.space.reversed);
}

TEST_CASE("identical rows have no deviation") {
  const auto x = sample<float>(kind::constant, 6, 30, 2);
  const auto m = craft(alie{.z = 3}, x);
  REQUIRE(m.code == errc::ok);
  for (const float v : m.row) CHECK(v == 0.7f);
}

TEST_CASE("what ALIE refuses") {
  check_refusals(alie{.z = 1}, 2);
  check_non_finite(alie{.z = 1});
  const auto x = sample<float>(kind::normal, 3, 4, 1);
  CHECK(craft(alie{.z = -0.5}, x).code == errc::bad_parameter);
  CHECK(craft(alie{.z = -2}, x).code == errc::bad_parameter);
  CHECK(craft(alie{.z = 1, .ddof = 2}, x).code == errc::bad_parameter);
  CHECK(craft(alie{.z = 1, .side = static_cast<alie_side>(2)}, x).code == errc::bad_parameter);
  CHECK(craft(alie{}, x, 4).code == errc::too_few_clients);
  CHECK(craft(alie{.z = 1e39}, x).code == errc::overflow);
  // A single row has no deviation with n - 1, but one of zero with n.
  const auto one = sample<float>(kind::normal, 1, 4, 1);
  CHECK(craft(alie{.z = 1}, one).code == errc::too_few_clients);
  CHECK(craft(alie{.z = 1, .ddof = 0}, one).row == one.data);
  // Squares beyond the largest double.
  matrix<double> huge(2, 1);
  huge.data = {1e200, -1e200};
  CHECK(craft(alie{.z = 1}, huge).code == errc::overflow);
}
