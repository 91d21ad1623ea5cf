// SPDX-License-Identifier: MIT
#include <fedagg/attacks/min_sum.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using fedagg::min_sum;
using fedagg::min_sum_bound;
using fedagg::perturbation;

static_assert(fedagg::attack<min_sum>);

namespace {

constexpr perturbation all[] = {perturbation::unit_vector, perturbation::sign, perturbation::deviation};

/// The sum of the squared distances from the row to every honest row.
template <class T>
real sum_from(const std::vector<real>& row, const matrix<T>& x) {
  real sum = 0;
  for (std::size_t i = 0; i < x.n; ++i)
    for (std::size_t j = 0; j < x.d; ++j) sum += (row[j] - real(value(x.at(i, j)))) * (row[j] - real(value(x.at(i, j))));
  return sum;
}

template <class T>
void check(perturbation p, min_sum_bound b, const matrix<T>& x) {
  std::vector<real> mean, direction;
  real norm = 0, along = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const auto m = moments(x.column(j), p == perturbation::deviation ? 1 : 0);
    const auto v = static_cast<real>(m.mean);
    mean.push_back(v);
    direction.push_back(p == perturbation::deviation ? -m.deviation : p == perturbation::unit_vector ? -v : v > 0 ? -1 : v < 0 ? 1 : 0);
    norm += v * v;
  }
  if (p == perturbation::unit_vector)
    for (real& v : direction) v /= std::sqrt(norm);
  for (const real v : direction) along += v * v;
  // B by its definition, from all pairs, and gamma from FIELD's quotient: what the header derives without pairs.
  real bound = b == min_sum_bound::least ? std::numeric_limits<real>::max() : 0;
  for (std::size_t i = 0; i < x.n; ++i) {
    std::vector<real> row;
    for (const T v : x.row(i)) row.push_back(value(v));
    const real sum = sum_from(row, x);
    bound = b == min_sum_bound::least ? std::min(bound, sum) : std::max(bound, sum);
  }
  const real gamma = std::sqrt(std::max(real(0), (bound - sum_from(mean, x)) / (real(x.n) * along)));
  const auto m = craft(min_sum{.along = p, .bound = b}, x);
  REQUIRE(m.code == errc::ok);
  REQUIRE(!m.space.no_direction);
  INFO("gamma " << m.space.strength << " for " << static_cast<double>(gamma));
  CHECK(std::abs(m.space.strength - gamma) <= 1e-11L * gamma);
  std::string wrong;
  for (std::size_t j = 0; j < x.d; ++j) {
    const real want = mean[j] + gamma * direction[j], size = std::abs(mean[j]) + gamma * std::abs(direction[j]);
    if (!rounds_to<T>(m.row[j], want, quad(1e-11L * (size + 1e-3L)))) wrong = "coordinate " + std::to_string(j);
  }
  CHECK(wrong == "");
}

template <class T>
void check_all() {
  for (const perturbation p : all)
    for (const min_sum_bound b : {min_sum_bound::least, min_sum_bound::greatest})
      for (const std::size_t n : {2u, 3u, 10u, 25u})
        for (const std::size_t d : {1u, 5u, 256u, 600u}) {
          auto x = sample<T>(kind::normal, n, d, n);
          for (T& v : x.data) v = stored<T>(value(v) + 0.5);
          INFO(format<T>::name << " direction " << static_cast<int>(p) << " bound " << static_cast<int>(b) << " n=" << n << " d=" << d);
          check(p, b, x);
        }
}

} // namespace

TEST_CASE("min-sum is as far from the honest rows as one of them is from the others") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("the paper's bound goes further than the authors' code") {
  const auto x = sample<float>(kind::normal, 10, 40, 1);
  const double code = craft(min_sum{}, x).space.strength;
  const double paper = craft(min_sum{.bound = min_sum_bound::greatest}, x).space.strength;
  CHECK(code > 0);
  CHECK(paper > 1.05 * code);
}

TEST_CASE("no direction and no distance are cases of their own in min-sum") {
  matrix<float> opposite(2, 3);
  opposite.data = {1, 2, 3, -1, -2, -3};
  auto m = craft(min_sum{}, opposite);
  CHECK(m.code == errc::ok);
  CHECK(m.space.no_direction);
  CHECK(m.row == std::vector<float>(3, 0.0f));
  m = craft(min_sum{}, sample<float>(kind::constant, 4, 3, 1));
  CHECK(m.code == errc::ok);
  CHECK(!m.space.no_direction);
  CHECK(m.space.strength == 0);
  CHECK(m.row == std::vector<float>(3, 0.7f));
  // A direction is not zero because its square is: the rows are then as good as equal.
  matrix<double> tiny(2, 2);
  tiny.data = {1e-170, 3e-170, 3e-170, 5e-170};
  const auto t = craft(min_sum{}, tiny);
  CHECK(t.code == errc::ok);
  CHECK(!t.space.no_direction);
  CHECK(t.space.strength == 0);
  for (std::size_t j = 0; j < 2; ++j) CHECK(std::abs(t.row[j] / (2e-170 * static_cast<double>(j + 1)) - 1) < 1e-15);
}

TEST_CASE("what min-sum refuses") {
  check_refusals(min_sum{});
  check_refusals(min_sum{.along = perturbation::deviation}, 2);
  check_non_finite(min_sum{});
  const auto x = sample<float>(kind::normal, 3, 4, 1);
  CHECK(craft(min_sum{.along = static_cast<perturbation>(3)}, x).code == errc::bad_parameter);
  CHECK(craft(min_sum{.bound = static_cast<min_sum_bound>(2)}, x).code == errc::bad_parameter);
  matrix<double> huge(2, 1);
  huge.data = {1e200, -1.1e200};
  CHECK(craft(min_sum{}, huge).code == errc::overflow);
}
