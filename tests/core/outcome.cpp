// SPDX-License-Identifier: MIT
#include <cstddef>
#include <vector>

#include <fedagg/core/outcome.hpp>

#include "support/catch.hpp"

using fedagg::errc;
using fedagg::outcome;
using fedagg::output;

TEST_CASE("a new outcome says that nothing happened") {
  const outcome o;
  CHECK(o.ok());
  CHECK(o.state == output::untouched);
  CHECK(o.rejected.empty());
  CHECK(o.coefficients.empty());
}

TEST_CASE("a cleared outcome is a new one that keeps its memory") {
  outcome o;
  o.code = errc::overflow;
  o.state = output::unspecified;
  o.rejected.resize(20);
  o.coefficients.resize(30);
  o.clients = o.used = o.passes = o.breakdown = o.tensor = 7;
  o.weights_used = true;
  o.breakdown_mass = 0.25;
  o.tensor_name = "w";
  CHECK_FALSE(o.ok());
  const std::size_t rejected = o.rejected.capacity(), coefficients = o.coefficients.capacity();
  o.clear();
  CHECK(o.ok());
  CHECK(o.state == output::untouched);
  CHECK(o.rejected.empty());
  CHECK(o.coefficients.empty());
  CHECK(o.rejected.capacity() == rejected);
  CHECK(o.coefficients.capacity() == coefficients);
  CHECK(o.clients + o.used + o.passes + o.breakdown + o.tensor == 0);
  CHECK_FALSE(o.weights_used);
  CHECK(o.breakdown_mass == 0);
  CHECK(o.tensor_name.empty());
}
