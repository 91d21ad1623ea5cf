// SPDX-License-Identifier: MIT
#include <cstddef>
#include <type_traits>

#include <fedagg/core/options.hpp>

#include "support/catch.hpp"

using fedagg::options;

static_assert(std::is_aggregate_v<options>, "options are named where they are given");
static_assert(std::is_trivially_copyable_v<options>);
static_assert(options::automatic == static_cast<std::size_t>(-1), "no number of clients");

TEST_CASE("a call without options rejects bad clients, writes directly, in place, on the whole model") {
  const options how;
  CHECK(how.on_bad_client == fedagg::bad_client::reject);
  CHECK(how.write == fedagg::write::direct);
  CHECK(how.executor.concurrency() == 1);
  CHECK(how.where.contains("anything"));
  CHECK_FALSE(how.where.each());
  CHECK(how.max_rejected == options::automatic);
  CHECK(how.grain == 0);
}

TEST_CASE("each option can be named by itself") {
  const options a{.max_rejected = 0}, b{.write = fedagg::write::atomic, .grain = 7};
  CHECK(a.max_rejected == 0);
  CHECK(a.write == fedagg::write::direct);
  CHECK(b.write == fedagg::write::atomic);
  CHECK(b.max_rejected == options::automatic);
}
