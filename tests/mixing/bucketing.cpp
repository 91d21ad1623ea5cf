// SPDX-License-Identifier: MIT
#include <fedagg/mixing/bucketing.hpp>

#include <set>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::bucketing;

TEST_CASE("every row is in one bucket, and the buckets are their means") {
  for (const std::size_t n : {1u, 2u, 3u, 10u, 11u, 200u})
    for (const std::size_t size : {1u, 2u, 3u, 10u, 1000u}) {
      const auto x = cloud(n, 3, n + size);
      const mixed m = mix(bucketing{.size = static_cast<std::int64_t>(size), .seed = 7}, shape(x));
      INFO("n=" << n << " size=" << size);
      REQUIRE(m.code == errc::ok);
      CHECK(m.map.whole);
      REQUIRE(m.map.out == (n + size - 1) / size);
      std::vector<std::size_t> seen(n);
      for (std::size_t k = 0; k < m.map.out; ++k) {
        std::vector<std::size_t> rows;
        for (std::size_t i = 0; i < n; ++i)
          if (m.entries[k * n + i] != 0) {
            rows.push_back(i);
            ++seen[i];
          }
        const bool last = k + 1 == m.map.out;
        CHECK(rows.size() == (last ? n - k * size : size));
        check_near(m.rows[k], mean_of(x, rows), 1e-15L);
      }
      CHECK(seen == std::vector<std::size_t>(n, 1));
    }
}

TEST_CASE("the seed alone decides the order") {
  const auto of = [](std::int64_t seed, double shift) {
    return mix(bucketing{.size = 2, .seed = seed}, shape(cloud(9, 2, 1, 1, shift))).entries;
  };
  CHECK(of(1, 0) == of(1, 5));
  std::set<vector> different;
  for (std::int64_t seed = 0; seed < 50; ++seed) different.insert(of(seed, 0));
  CHECK(different.size() > 45);
}

TEST_CASE("any two rows meet in a bucket as often as chance says") {
  std::size_t together = 0;
  for (std::int64_t seed = 0; seed < 9000; ++seed) {
    const mixed m = mix(bucketing{.size = 2, .seed = seed}, shape({{0}, {1}, {2}, {3}}));
    together += m.entries[0] * m.entries[3] > 0 || m.entries[4] * m.entries[7] > 0;
  }
  CHECK(together > 2800);
  CHECK(together < 3200);
}

TEST_CASE("what bucketing refuses") {
  const shape of(cloud(3, 2, 1));
  CHECK(mix(bucketing{}, of).code == errc::bad_parameter);
  CHECK(mix(bucketing{.size = 2}, of).code == errc::bad_parameter);
  CHECK(mix(bucketing{.seed = 2}, of).code == errc::bad_parameter);
  CHECK(mix(bucketing{.size = 0, .seed = 2}, of).code == errc::bad_parameter);
  CHECK(mix(bucketing{.size = 2, .seed = 2}, shape(matrix{})).code == errc::too_few_clients);
}
