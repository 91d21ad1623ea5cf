// SPDX-License-Identifier: MIT
#include <fedagg/mixing/nnm.hpp>

#include <algorithm>
#include <numeric>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::nnm;

TEST_CASE("each row becomes the mean of its nearest") {
  for (const std::size_t n : {1u, 2u, 3u, 9u, 60u})
    for (std::size_t f = 0; 2 * f < n; f += 1 + n / 10) {
      auto x = cloud(n, 4, n * 10 + f);
      if (n > 5) x[4] = x[1] = x[0];
      extras e;
      e.origin = f % 2 == 0;
      if (n == 9) e.trusted = {100, 100, 100, 100};
      const mixed m = mix(nnm{.f = static_cast<std::int64_t>(f)}, shape(x, e));
      INFO("n=" << n << " f=" << f);
      REQUIRE(m.code == errc::ok);
      REQUIRE(m.rows.size() == n);
      CHECK(m.map.whole);
      for (std::size_t i = 0; i < n; ++i) {
        std::vector<std::size_t> order(n);
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
          if (a == i || b == i) return a == i && b != i;
          return square_distance(x[i], x[a]) < square_distance(x[i], x[b]);
        });
        order.resize(n - f);
        for (std::size_t j = 0; j < n; ++j)
          CHECK((m.entries[i * n + j] > 0) == (std::count(order.begin(), order.end(), j) > 0));
        check_near(m.rows[i], mean_of(x, order), 1e-14L);
      }
    }
}

TEST_CASE("equal distances go by the lowest index, the row itself always counts") {
  const mixed m = mix(nnm{.f = 3}, shape(matrix(7, vector{1, 2})));
  REQUIRE(m.code == errc::ok);
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < 7; ++j) {
      // Itself and the first three others.
      const bool counts = j == i || j < 3 || (j == 3 && i < 3);
      CHECK(m.entries[i * 7 + j] == (counts ? 0.25 : 0.0));
    }
}

TEST_CASE("honest rows are not mixed with a row 1e30 away") {
  auto x = cloud(200, 3, 1);
  for (std::size_t i = 0; i < 99; ++i) x[2 * i][1] = 1e30;
  const mixed m = mix(nnm{.f = 99}, shape(x));
  REQUIRE(m.code == errc::ok);
  for (std::size_t i = 1; i < 198; i += 2) CHECK(norm(m.rows[i]) < 10);
}

TEST_CASE("what NNM refuses") {
  CHECK(mix(nnm{}, shape(cloud(5, 2, 1))).code == errc::bad_parameter);
  CHECK(mix(nnm{.f = 1}, shape(cloud(2, 2, 1))).code == errc::too_few_clients);
  CHECK(mix(nnm{.f = 2}, shape(cloud(4, 2, 1))).code == errc::too_few_clients);
  CHECK(mix(nnm{.f = 0}, shape(matrix{})).code == errc::too_few_clients);
}
