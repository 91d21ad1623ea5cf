// SPDX-License-Identifier: MIT
#include <fedagg/attacks/min_max.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using fedagg::min_max;
using fedagg::perturbation;

static_assert(fedagg::attack<min_max>);

namespace {

constexpr perturbation all[] = {perturbation::unit_vector, perturbation::sign, perturbation::deviation};

struct setting {
  std::vector<real> mean, direction;
  real largest = 0; ///< squared distance of two honest rows
};

template <class T>
setting set(perturbation p, const matrix<T>& x) {
  setting s;
  real norm = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const auto m = moments(x.column(j), p == perturbation::deviation ? 1 : 0);
    const auto mean = static_cast<real>(m.mean);
    s.mean.push_back(mean);
    s.direction.push_back(p == perturbation::deviation ? -m.deviation : p == perturbation::unit_vector ? -mean : mean > 0 ? -1 : mean < 0 ? 1 : 0);
    norm += mean * mean;
  }
  if (p == perturbation::unit_vector)
    for (real& v : s.direction) v /= std::sqrt(norm);
  for (std::size_t i = 0; i < x.n; ++i)
    for (std::size_t k = 0; k < i; ++k) {
      real d = 0;
      for (std::size_t j = 0; j < x.d; ++j) {
        const real away = real(value(x.at(i, j))) - real(value(x.at(k, j)));
        d += away * away;
      }
      s.largest = std::max(s.largest, d);
    }
  return s;
}

/// The largest squared distance from mean + gamma p to an honest row.
template <class T>
real furthest(const setting& s, const matrix<T>& x, real gamma) {
  real most = 0;
  for (std::size_t i = 0; i < x.n; ++i) {
    real d = 0;
    for (std::size_t j = 0; j < x.d; ++j) {
      const real away = s.mean[j] + gamma * s.direction[j] - real(value(x.at(i, j)));
      d += away * away;
    }
    most = std::max(most, d);
  }
  return most;
}

template <class T>
void check(perturbation p, const matrix<T>& x) {
  const setting s = set(p, x);
  const auto m = craft(min_max{.along = p}, x);
  REQUIRE(m.code == errc::ok);
  REQUIRE(!m.space.no_direction);
  // By bisection, as the published search means to.
  real low = 0, high = 1;
  while (furthest(s, x, high) <= s.largest) high *= 2;
  for (int i = 0; i < 100; ++i) {
    const real middle = (low + high) / 2;
    (furthest(s, x, middle) <= s.largest ? low : high) = middle;
  }
  INFO("gamma " << m.space.strength << " for " << static_cast<double>(low));
  CHECK(std::abs(m.space.strength - low) <= 1e-12L * low);
  std::string wrong;
  for (std::size_t j = 0; j < x.d; ++j) {
    const real want = s.mean[j] + low * s.direction[j], size = std::abs(s.mean[j]) + low * std::abs(s.direction[j]);
    if (!rounds_to<T>(m.row[j], want, quad(1e-12L * (size + 1e-3L)))) wrong = "coordinate " + std::to_string(j);
  }
  CHECK(wrong == "");
}

template <class T>
void check_all() {
  for (const perturbation p : all)
    for (const std::size_t n : {2u, 3u, 10u, 25u})
      for (const std::size_t d : {1u, 5u, 256u, 600u})
        for (const double shift : {0.0, 3.0, -100.0}) {
          auto x = sample<T>(kind::normal, n, d, n);
          for (T& v : x.data) v = stored<T>(value(v) + shift);
          INFO(format<T>::name << " direction " << static_cast<int>(p) << " n=" << n << " d=" << d << " shift=" << shift);
          check(p, x);
        }
}

} // namespace

TEST_CASE("min-max goes as far as the two most distant honest rows are apart") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
}

TEST_CASE("rows that differ little far from the origin") {
  // 1e-6 apart at 1e3: what a difference of squares would lose.
  auto x = sample<double>(kind::normal, 8, 50, 3);
  for (double& v : x.data) v = 1000 + 1e-6 * v;
  for (const perturbation p : all) {
    const setting s = set(p, x);
    const auto m = craft(min_max{.along = p}, x);
    REQUIRE(m.code == errc::ok);
    const real got = furthest(s, x, m.space.strength);
    CHECK(std::abs(got - s.largest) <= 1e-6L * s.largest);
  }
}

TEST_CASE("no direction and no distance are cases of their own") {
  matrix<float> opposite(2, 3);
  for (std::size_t j = 0; j < 3; ++j) {
    opposite.at(0, j) = 1.5f;
    opposite.at(1, j) = -1.5f;
  }
  for (const perturbation p : {perturbation::unit_vector, perturbation::sign}) {
    const auto m = craft(min_max{.along = p}, opposite);
    CHECK(m.code == errc::ok);
    CHECK(m.space.no_direction);
    CHECK(m.space.strength == 0);
    CHECK(m.row == std::vector<float>(3, 0.0f));
  }
  check(perturbation::deviation, opposite);

  const auto same = sample<float>(kind::constant, 4, 300, 1);
  for (const perturbation p : all) {
    const auto m = craft(min_max{.along = p}, same);
    CHECK(m.code == errc::ok);
    CHECK(m.space.no_direction == (p == perturbation::deviation));
    CHECK(m.space.strength == 0);
    CHECK(m.row == std::vector<float>(300, 0.7f));
  }
  // A direction is not zero because its square is: the rows are then as good as equal.
  matrix<double> tiny(3, 4);
  for (std::size_t i = 0; i < 12; ++i) tiny.data[i] = 1e-170 * static_cast<double>(1 + i % 5);
  const auto m = craft(min_max{}, tiny);
  CHECK(m.code == errc::ok);
  CHECK(!m.space.no_direction);
  CHECK(m.space.strength == 0);
  for (std::size_t j = 0; j < 4; ++j) CHECK(std::abs(m.row[j] / static_cast<double>(moments(tiny.column(j)).mean) - 1) < 1e-15);
  const auto one = sample<float>(kind::normal, 1, 30, 1);
  CHECK(craft(min_max{}, one).row == one.data);
}

TEST_CASE("what min-max refuses") {
  check_refusals(min_max{});
  check_refusals(min_max{.along = perturbation::deviation}, 2);
  check_non_finite(min_max{});
  CHECK(craft(min_max{.along = static_cast<perturbation>(3)}, sample<float>(kind::normal, 3, 4, 1)).code == errc::bad_parameter);
  matrix<double> huge(2, 1);
  huge.data = {1e200, -1.1e200};
  CHECK(craft(min_max{}, huge).code == errc::overflow);
  matrix<float> top(2, 2);
  top.data = {3.4e38f, 1e38f, -3.4e38f, 1e38f};
  CHECK(craft(min_max{}, top).code == errc::overflow);
}

TEST_CASE("scratch memory is kept") {
  const auto x = sample<float>(kind::normal, 9, 300, 1);
  const auto honest = rows(x);
  const knowledge<float> k{.honest = honest, .clients = 0, .hostile = 2};
  attack_workspace space;
  std::vector<float> first(300), second(300);
  REQUIRE(min_max{}.craft(k, first, space) == errc::ok);
  REQUIRE(min_max{}.craft(k, second, space) == errc::ok);
  CHECK(same_bits(first, second));
  REQUIRE(min_max{}.craft(k, second) == errc::ok);
  CHECK(same_bits(first, second));
}
