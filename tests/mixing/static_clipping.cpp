// SPDX-License-Identifier: MIT
#include <fedagg/mixing/static_clipping.hpp>

#include <bit>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::static_clipping;

TEST_CASE("updates are shortened to the threshold and keep their direction") {
  for (const std::size_t n : {1u, 2u, 9u, 200u})
    for (const double threshold : {1e-3, 0.8, 1e9})
      for (const bool models : {false, true}) {
        auto x = cloud(n, 4, n);
        extras e;
        if (models) e.base = {1, 2, 3, 4};
        if (n > 5) x[2] = models ? e.base : vector(4);
        if (n > 5)
          for (double& v : x[3]) v *= 1e30;
        const shape of(x, e);
        const mixed m = mix(static_clipping{.threshold = threshold}, of);
        INFO("n=" << n << " threshold=" << threshold << " models=" << models);
        REQUIRE(m.code == errc::ok);
        REQUIRE(m.rows.size() == n);
        bool cut = false;
        for (std::size_t i = 0; i < n; ++i) {
          const exact base = widen(of.base), u = minus(widen(x[i]), base);
          const real factor = norm(u) > threshold ? threshold / norm(u) : real(1);
          cut = cut || factor < 1;
          for (std::size_t j = 0; j < 4; ++j) CHECK(std::abs(m.rows[i][j] - base[j] - factor * u[j]) <= 1e-15L * (threshold + 10));
          if (factor == 1) CHECK(m.entries[i * n + i] == 1);
        }
        CHECK(m.map.whole == !cut);
      }
}

TEST_CASE("what clipping refuses") {
  const shape of(cloud(3, 2, 1));
  CHECK(mix(static_clipping{}, of).code == errc::bad_parameter);
  CHECK(mix(static_clipping{.threshold = 0}, of).code == errc::bad_parameter);
  CHECK(mix(static_clipping{.threshold = std::bit_cast<double>(0x7ff8000000000000u)}, of).code == errc::bad_parameter);
  extras models;
  models.origin = false;
  CHECK(mix(static_clipping{.threshold = 1}, shape(cloud(3, 2, 1), models)).code == errc::missing_origin);
  CHECK(mix(static_clipping{.threshold = 1}, shape(matrix{})).code == errc::too_few_clients);
}
