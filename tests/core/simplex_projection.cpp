// SPDX-License-Identifier: MIT
#include <fedagg/core/simplex_projection.hpp>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::detail::ranked;

namespace {

using vector = std::vector<double>;

vector projected(vector v) {
  std::vector<ranked> order(v.size());
  fedagg::detail::project_onto_simplex(v, order);
  return v;
}

/// The same by bisection on theta in quadruple precision: sum max(v_i - theta, 0) falls where theta grows.
std::vector<quad> reference_of(const vector& v) {
  quad largest = v[0];
  for (const double x : v) largest = std::max(largest, quad(x));
  quad low = largest - 1, high = largest;
  for (int k = 0; k < 110; ++k) {
    const quad theta = divide(add(low, high), 2);
    quad sum = 0;
    for (const double x : v)
      if (quad(x) > theta) sum = add(sum, quad(x) - theta);
    (sum >= 1 ? low : high) = theta;
  }
  std::vector<quad> out;
  for (const double x : v) out.push_back(quad(x) > low ? quad(x) - low : quad(0));
  return out;
}

void check(const vector& v, quad error) {
  const vector got = projected(v);
  const std::vector<quad> want = reference_of(v);
  quad sum = 0;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    wrong += !(magnitude(quad(got[i]) - want[i]) <= error) || got[i] < 0;
    sum = add(sum, got[i]);
  }
  CHECK(wrong == 0);
  CHECK(magnitude(sum - 1) <= error * quad(v.size()));
}

} // namespace

TEST_CASE("the projection agrees with bisection in quadruple precision") {
  standard_mode();
  std::mt19937_64 random(1);
  for (const std::size_t n : {1u, 2u, 3u, 10u, 57u, 300u})
    for (const double scale : {1e-9, 0.01, 1.0, 5.0, 1e6}) {
      vector v(n);
      for (double& x : v) x = scale * uniform(random);
      INFO("n=" << n << " scale=" << scale);
      // Differences of values up to 1e6 are rounded to 2^-33, but only those within one of the largest count.
      check(v, std::max(0x1p-52, scale * 0x1p-52));
    }
}

TEST_CASE("points of the simplex stay, corners are reached, ties stay ties") {
  CHECK(projected({1}) == vector{1});
  CHECK(projected({-7}) == vector{1});
  CHECK(projected({0.25, 0.5, 0.25}) == vector{0.25, 0.5, 0.25});
  CHECK(projected({0, 1, 0}) == vector{0, 1, 0});
  CHECK(projected({3, 1, 2}) == vector{1, 0, 0});
  CHECK(projected({2, 1.5, 0}) == vector{0.75, 0.25, 0});
  CHECK(projected({5, 5, 5, 5}) == vector{0.25, 0.25, 0.25, 0.25});
  CHECK(projected({-1e300, -1e300}) == vector{0.5, 0.5});
  CHECK(projected({1e308, -1e308, 1e308}) == vector{0.5, 0, 0.5});
  // Exactly one below the largest is not in.
  CHECK(projected({1, 0}) == vector{1, 0});
  CHECK(projected({0x1p-1074, 0}) == vector{0.5, 0.5});
  CHECK(projected({}).empty());
}

TEST_CASE("the order of the values does not matter") {
  std::mt19937_64 random(2);
  vector v(200);
  for (double& x : v) x = uniform(random) / 30;
  const vector straight = projected(v);
  std::vector<std::size_t> place(v.size());
  for (std::size_t i = 0; i < place.size(); ++i) place[i] = i;
  for (int round = 0; round < 5; ++round) {
    std::shuffle(place.begin(), place.end(), random);
    vector turned(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) turned[i] = v[place[i]];
    turned = projected(turned);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < v.size(); ++i) wrong += turned[i] != straight[place[i]];
    CHECK(wrong == 0);
  }
}

TEST_CASE("no other point of the simplex is nearer") {
  standard_mode();
  std::mt19937_64 random(3);
  for (int round = 0; round < 100; ++round) {
    vector v(6);
    for (double& x : v) x = uniform(random);
    const vector p = projected(v);
    const auto far = [&](const vector& q) {
      long double sum = 0;
      for (std::size_t i = 0; i < v.size(); ++i) sum += (static_cast<long double>(v[i]) - q[i]) * (static_cast<long double>(v[i]) - q[i]);
      return sum;
    };
    for (int other = 0; other < 20; ++other) {
      vector q(6);
      double sum = 0;
      for (double& x : q) sum += x = 1 + uniform(random);
      for (std::size_t i = 0; i < q.size(); ++i) q[i] = p[i] + (q[i] / sum - p[i]) * 0.1;
      CHECK(far(q) > far(p) - 1e-15L);
    }
  }
}
