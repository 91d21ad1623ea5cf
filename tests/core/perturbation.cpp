// SPDX-License-Identifier: MIT
#include <fedagg/core/perturbation.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using namespace fedagg::detail;
using fedagg::perturbation;

TEST_CASE("how rows lie along each direction") {
  for (const perturbation p : {perturbation::unit_vector, perturbation::sign, perturbation::deviation}) {
    const auto x = sample<float>(kind::ties, 6, 300, 3);
    const auto honest = rows(x);
    fedagg::arena memory;
    perturbed_rows seen;
    tile_distances distances(6, memory);
    REQUIRE(look_along<float>(p, honest, 300, memory, seen, &distances) == errc::ok);
    std::vector<real> mean, direction;
    real own = 0;
    for (std::size_t j = 0; j < 300; ++j) {
      const auto m = moments(x.column(j), 1);
      const auto v = static_cast<real>(m.mean);
      mean.push_back(v);
      direction.push_back(p == perturbation::deviation ? -m.deviation : p == perturbation::unit_vector ? -v : v > 0 ? -1 : v < 0 ? 1 : 0);
      own += direction[j] * direction[j];
    }
    CHECK(std::abs(seen.direction_square - own) <= 1e-13L * own);
    for (std::size_t i = 0; i < 6; ++i) {
      real square = 0, along = 0;
      for (std::size_t j = 0; j < 300; ++j) {
        const real away = real(x.at(i, j)) - mean[j];
        square += away * away;
        along += away * direction[j];
      }
      CHECK(std::abs(seen.square[i] - square) <= 1e-13L * square);
      CHECK(std::abs(seen.along[i] - along) <= 1e-13L * std::sqrt(square * own));
    }
    // The sum of row i's squared distances is n |x_i - mean|^2 + the sum of |x_j - mean|^2: what min_sum rests on.
    real total = 0;
    for (const double s : seen.square) total += s;
    for (std::size_t i = 0; i < 6; ++i) {
      real sum = 0;
      for (std::size_t j = 0; j < 6; ++j) sum += distances(i, j);
      CHECK(std::abs(6 * seen.square[i] + total - sum) <= 1e-13L * sum);
    }
    std::vector<float> out(300);
    REQUIRE(move_along<float>(p, honest, 0.25, std::span(out)) == errc::ok);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < 300; ++j) wrong += !rounds_to<float>(out[j], mean[j] + direction[j] / 4, quad(1e-15));
    CHECK(wrong == 0);
  }
}

TEST_CASE("perturbations have names") {
  const auto names = value_names(perturbation::sign);
  REQUIRE(names.count == 3);
  CHECK(std::string(names.names[static_cast<int>(perturbation::deviation)]) == "deviation");
}
