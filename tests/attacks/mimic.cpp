// SPDX-License-Identifier: MIT
#include <fedagg/attacks/mimic.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using fedagg::mimic;

static_assert(fedagg::attack<mimic>);

namespace {

template <class T>
void check_copies() {
  const auto x = sample<T>(kind::mixed, 5, 300, 1);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto m = craft(mimic{.client = static_cast<std::int64_t>(i)}, x);
    REQUIRE(m.code == errc::ok);
    CHECK(same_bits(m.row, std::vector<T>(x.row(i).begin(), x.row(i).end())));
  }
  CHECK(craft(mimic{.client = 5}, x).code == errc::bad_parameter);
  CHECK(craft(mimic{.client = -1}, x).code == errc::bad_parameter);
}

} // namespace

TEST_CASE("mimic sends the row of one client, bit for bit") {
  check_copies<float>();
  check_copies<double>();
  check_copies<fedagg::float16>();
  check_copies<fedagg::bfloat16>();
}

TEST_CASE("what mimic refuses") { check_refusals(mimic{}); }
