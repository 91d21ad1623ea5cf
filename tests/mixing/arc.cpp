// SPDX-License-Identifier: MIT
#include <fedagg/mixing/arc.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::arc;

TEST_CASE("the longest updates are shortened to the next one's norm") {
  for (const std::size_t n : {1u, 2u, 3u, 8u, 25u, 200u})
    for (std::size_t f = 0; 2 * f < n; f += 1 + n / 20) {
      auto x = cloud(n, 4, n + f);
      if (n > 5) {
        x[2] = vector(4);
        for (double& v : x[3]) v *= 1e30;
      }
      const mixed m = mix(arc{.f = static_cast<std::int64_t>(f)}, shape(x));
      INFO("n=" << n << " f=" << f);
      REQUIRE(m.code == errc::ok);
      exact norms;
      for (const vector& row : x) norms.push_back(norm(widen(row)));
      exact sorted = norms;
      std::sort(sorted.rbegin(), sorted.rend());
      const real threshold = sorted[2 * f * (n - f) / n];
      std::size_t cut = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const real factor = norms[i] > threshold ? threshold / norms[i] : real(1);
        cut += m.entries[i * n + i] < 1;
        CHECK(std::abs(m.entries[i * n + i] - factor) <= 1e-15L);
      }
      // No more than k rows, and exactly k where no two are as long.
      CHECK(cut == 2 * f * (n - f) / n);
      CHECK(m.map.whole == (cut == 0));
    }
}

TEST_CASE("the number of rows is computed in whole numbers") {
  // 2 f (n - f) / n = 57: 2.0 * (33.0 / 242.0) * (242 - 33) is less than that in doubles.
  matrix x;
  for (int i = 1; i <= 242; ++i) x.push_back({static_cast<double>(i)});
  const mixed m = mix(arc{.f = 33}, shape(x));
  REQUIRE(m.code == errc::ok);
  std::size_t cut = 0;
  for (std::size_t i = 0; i < 242; ++i) cut += m.entries[i * 242 + i] < 1;
  CHECK(cut == 57);
  CHECK(static_cast<double>(m.rows[241][0]) == Approx(185.0));
}

TEST_CASE("equal norms and zeros") {
  const mixed same = mix(arc{.f = 2}, shape({{3, 4}, {5, 0}, {0, -5}, {4, 3}, {-5, 0}}));
  CHECK(same.map.whole);
  const mixed zeros = mix(arc{.f = 2}, shape({{0, 0}, {0, 0}, {0, 0}, {1, 0}, {0, 1e30}}));
  REQUIRE(zeros.code == errc::ok);
  for (const exact& row : zeros.rows) check_near(row, {0, 0}, 0);
  CHECK(zeros.entries[0] == 1);
}

TEST_CASE("what ARC refuses") {
  CHECK(mix(arc{}, shape(cloud(5, 2, 1))).code == errc::bad_parameter);
  CHECK(mix(arc{.f = 1}, shape(cloud(2, 2, 1))).code == errc::too_few_clients);
  CHECK(mix(arc{.f = 3}, shape(cloud(6, 2, 1))).code == errc::too_few_clients);
  extras models;
  models.origin = false;
  CHECK(mix(arc{.f = 1}, shape(cloud(5, 2, 1), models)).code == errc::missing_origin);
}
