// SPDX-License-Identifier: MIT
#include <array>
#include <cstring>
#include <vector>

#include <fedagg/secure/crypto_suite.hpp>

#include "secure/suite_laws.hpp"
#include "support/catch.hpp"
#include "support/toy_suite.hpp"

static_assert(fedagg::crypto_suite<fedagg_test::toy_suite>);
static_assert(!fedagg::crypto_suite<int>);

TEST_CASE("the toy suite keeps the laws of a suite") {
  fedagg_test::toy_suite suite(7, 1);
  fedagg_test::suite_laws(suite);
}
