// SPDX-License-Identifier: MIT
#include <fedagg/core/staleness.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "support/numeric.hpp"

using fedagg::aging;
using fedagg::errc;
using fedagg::staleness;

static_assert(fedagg::rule_value<staleness>);

TEST_CASE("a fresh update counts in full, whatever the kind") {
  CHECK(staleness{}(0) == 1);
  CHECK(staleness{.kind = aging::constant}(0) == 1);
  CHECK(staleness{.kind = aging::polynomial, .a = 0.5}(0) == 1);
  CHECK(staleness{.kind = aging::hinge, .a = 10, .b = 4}(0) == 1);
  CHECK(staleness{.kind = aging::hinge, .a = 10, .b = 0}(0) == 1);
}

TEST_CASE("the formulas of the papers") {
  numeric::standard_mode();
  const staleness buffered, constant{.kind = aging::constant}, poly{.kind = aging::polynomial, .a = 0.7},
      root{.kind = aging::polynomial, .a = 0.5}, inverse{.kind = aging::polynomial, .a = 1},
      flat{.kind = aging::polynomial, .a = 0}, hinge{.kind = aging::hinge, .a = 10, .b = 4};
  for (std::uint64_t age = 0; age < 300; ++age) {
    const auto t = static_cast<long double>(age);
    const auto close = [](double got, long double want) { return std::abs(got - want) <= 2.3e-16L * want; };
    INFO("age " << age);
    CHECK(constant(age) == 1);
    CHECK(flat(age) == 1);
    CHECK(close(buffered(age), 1 / std::sqrt(1 + t)));
    CHECK(close(poly(age), std::pow(1 + t, -static_cast<long double>(0.7))));
    CHECK(close(root(age), 1 / std::sqrt(1 + t)));
    CHECK(close(inverse(age), 1 / (1 + t)));
    CHECK(close(hinge(age), age <= 4 ? 1 : 1 / (10 * (t - 4) + 1)));
    if (age > 0) {
      CHECK(buffered(age) < buffered(age - 1));
      CHECK(poly(age) < poly(age - 1));
      CHECK(hinge(age) <= hinge(age - 1));
    }
  }
  CHECK(hinge(4) == 1);
  CHECK(hinge(5) == 1.0 / 11);
  // Half a version: the hinge need not be a whole number.
  CHECK(staleness{.kind = aging::hinge, .a = 2, .b = 0.5}(1) == 0.5);
}

TEST_CASE("ages that no training reaches give a number between zero and one") {
  const std::uint64_t most = ~std::uint64_t{0};
  for (const staleness s : {staleness{}, staleness{.kind = aging::polynomial, .a = 1}, staleness{.kind = aging::polynomial, .a = 1e15},
                            staleness{.kind = aging::hinge, .a = 9007199254740992.0, .b = 4}}) {
    CHECK(s.status() == errc::ok);
    CHECK(s(most) >= 0);
    CHECK(s(most) < 1e-9);
  }
  CHECK(staleness{}(most) == 0x1p-32);
}

TEST_CASE("parameters that are missing or impossible give no weight") {
  const double infinity = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
  const double nan = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
  for (const staleness s : {staleness{.kind = aging::polynomial}, staleness{.kind = aging::polynomial, .a = -0.1},
                            staleness{.kind = aging::polynomial, .a = nan}, staleness{.kind = aging::hinge, .a = 1},
                            staleness{.kind = aging::hinge, .b = 4}, staleness{.kind = aging::hinge, .a = 1, .b = infinity},
                            staleness{.kind = aging::hinge, .a = infinity, .b = 1}, staleness{.kind = static_cast<aging>(9)}}) {
    CHECK(s.status() == errc::bad_parameter);
    CHECK(s(0) == 0);
    CHECK(s(3) == 0);
  }
  // What a kind does not use is not looked at.
  CHECK(staleness{.kind = aging::inverse_square_root, .a = -7}.status() == errc::ok);
}

TEST_CASE("the kinds have names") {
  CHECK(std::string_view(value_names(aging::hinge).names[static_cast<int>(aging::hinge)]) == "hinge");
  CHECK(value_names(aging::constant).count == 4);
}
