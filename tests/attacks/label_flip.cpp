// SPDX-License-Identifier: MIT
#include <fedagg/attacks/label_flip.hpp>

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "support/catch.hpp"

using fedagg::errc;
using fedagg::label_flip;

static_assert(fedagg::rule_value<label_flip>);

TEST_CASE("labels are counted from the other end") {
  std::vector<int> y{0, 1, 4, 9, 9, 5};
  REQUIRE(label_flip{.classes = 10}.apply(std::span(y)) == errc::ok);
  CHECK(y == std::vector<int>{9, 8, 5, 0, 0, 4});
  REQUIRE(label_flip{.classes = 10}.apply(std::span(y)) == errc::ok);
  CHECK(y == std::vector<int>{0, 1, 4, 9, 9, 5});

  std::vector<std::uint8_t> bytes{0, 255, 7};
  REQUIRE(label_flip{.classes = 256}.apply(std::span(bytes)) == errc::ok);
  CHECK(bytes == std::vector<std::uint8_t>{255, 0, 248});
  std::vector<std::int64_t> one{0, 0};
  REQUIRE(label_flip{.classes = 1}.apply(std::span(one)) == errc::ok);
  CHECK(one == std::vector<std::int64_t>{0, 0});
  CHECK(label_flip{.classes = 3}.apply(std::span<int>()) == errc::ok);
}

TEST_CASE("what label_flip refuses, with nothing written") {
  std::vector<int> y{0, 3, 1};
  CHECK(label_flip{}.apply(std::span(y)) == errc::bad_parameter);
  CHECK(label_flip{.classes = 0}.apply(std::span(y)) == errc::bad_parameter);
  CHECK(label_flip{.classes = 3}.apply(std::span(y)) == errc::bad_parameter);
  CHECK(y == std::vector<int>{0, 3, 1});
  std::vector<int> negative{0, 1, -1};
  CHECK(label_flip{.classes = 3}.apply(std::span(negative)) == errc::bad_parameter);
  CHECK(negative == std::vector<int>{0, 1, -1});
  // 299 does not fit into a byte.
  std::vector<std::uint8_t> bytes{250, 0};
  CHECK(label_flip{.classes = 300}.apply(std::span(bytes)) == errc::bad_parameter);
  CHECK(bytes == std::vector<std::uint8_t>{250, 0});
  // 200 would be a negative number there.
  std::vector<signed char> small{100, 0};
  CHECK(label_flip{.classes = 201}.apply(std::span(small)) == errc::bad_parameter);
  CHECK(label_flip{.classes = 3}.apply(std::span<int>(static_cast<int*>(nullptr), 2)) == errc::null_data);
}
