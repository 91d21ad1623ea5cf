// SPDX-License-Identifier: MIT
#include "support/eigen_allocations.hpp"

#include <fedagg/rules/dnc.hpp>

#include <algorithm>
#include <cmath>
#include <set>

#include <fedagg/passes/aggregate.hpp>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::dnc;

namespace {

constexpr double not_a_number = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
const matrix y8{{0.5, -0.14, 0.65, 1.52},    {-0.23, -0.23, 1.58, 0.77}, {-0.47, 0.54, -0.46, -0.47},
                {0.24, -1.91, -1.72, -0.56}, {-1.01, 0.31, -0.91, -1.41}, {1.47, -0.23, 0.07, -1.42},
                {6.5, -5.25, 4.0, -3.75},    {-7.0, 2.5, 8.25, 0.5}};

std::vector<std::size_t> coordinates_of(const dnc& rule, std::size_t k, std::size_t all) {
  fedagg::arena memory;
  const auto s = rule.sample(k, all, memory);
  if (!s.empty()) return {s.begin(), s.end()};
  std::vector<std::size_t> every(all);
  for (std::size_t j = 0; j < all; ++j) every[j] = j;
  return every;
}

/// How often each row is dropped: by power iterations in long double on the coordinates of each sample.
std::vector<std::size_t> times_dropped(const dnc& rule, const matrix& x, std::size_t drop) {
  const std::size_t n = x.size();
  std::vector<std::size_t> dropped(n, 0);
  for (std::size_t k = 0; k < static_cast<std::size_t>(rule.iterations); ++k) {
    const auto at = coordinates_of(rule, k, x[0].size());
    std::vector<exact> z(n, exact(at.size(), 0));
    for (std::size_t j = 0; j < at.size(); ++j) {
      real mean = 0;
      for (const vector& row : x) mean += real(row[at[j]]) / real(n);
      for (std::size_t i = 0; i < n; ++i) z[i][j] = x[i][at[j]] - mean;
    }
    exact v = z[0];
    for (int step = 0; step < 3000; ++step) {
      exact next(at.size(), 0);
      for (const exact& row : z) {
        real p = 0;
        for (std::size_t j = 0; j < at.size(); ++j) p += row[j] * v[j];
        for (std::size_t j = 0; j < at.size(); ++j) next[j] += p * row[j];
      }
      const real size = norm(next);
      real moved = 0;
      for (std::size_t j = 0; j < at.size(); ++j) {
        next[j] /= size;
        moved = std::max(moved, std::abs(next[j] - v[j]));
      }
      v = next;
      if (moved < 1e-17L) break; // the direction is known to long double's last places
    }
    std::vector<std::pair<real, std::size_t>> scores;
    for (std::size_t i = 0; i < n; ++i) {
      real p = 0;
      for (std::size_t j = 0; j < at.size(); ++j) p += z[i][j] * v[j];
      scores.emplace_back(p * p, i);
    }
    std::sort(scores.begin(), scores.end());
    for (std::size_t i = n - drop; i < n; ++i) ++dropped[scores[i].second];
  }
  return dropped;
}

template <class T = double>
std::vector<T> run(const dnc& rule, const std::vector<std::vector<T>>& x, fedagg::workspace& space, const fedagg::options& how = {}) {
  fedagg::cohort clients;
  for (const auto& row : x) clients.add(row);
  std::vector<T> out(x[0].size());
  static_cast<void>(fedagg::try_aggregate(rule, clients, out, space, how));
  return out;
}

void check(const dnc& rule, const matrix& x, std::size_t drop) {
  const auto dropped = times_dropped(rule, x, drop);
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (dropped[i] == 0) kept.push_back(i);
  fedagg::workspace space;
  const vector out = run(rule, x, space);
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(space.result().scores[i] == static_cast<double>(dropped[i]));
  if (kept.empty()) {
    CHECK(space.result().code == errc::no_client_selected);
    return;
  }
  REQUIRE(space.result().code == errc::ok);
  check_near(widen(out), mean_of(x, kept), 1e-14L);
  CHECK(space.result().iterations == static_cast<std::size_t>(rule.iterations));
}

} // namespace

TEST_CASE("values that others recomputed") {
  fedagg::workspace space;
  const vector out = run(dnc{.f = 2, .seed = 1}, y8, space);
  REQUIRE(space.result().ok());
  check_near(widen(out), widen({0.08333333333333333, -0.27666666666666667, -0.13166666666666663, -0.26166666666666666}), 1e-9L);
  CHECK(space.result().scores == std::vector<double>{0, 0, 0, 0, 0, 0, 1, 1});
}

TEST_CASE("the definition on coordinates, all of them and samples") {
  for (const std::size_t n : {3u, 5u, 12u})
    for (std::int64_t f = 0; 2 * f < static_cast<std::int64_t>(n); ++f)
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        auto x = cloud(n, 300, seed * 100 + n);
        // A direction that is told from the others, whichever coordinates are drawn.
        for (std::size_t i = 0; i < n; ++i)
          for (double& v : x[i]) v += static_cast<double>((i * 7 + seed) % n) * 0.3;
        INFO("n=" << n << " f=" << f << " seed=" << seed);
        const auto number = static_cast<std::int64_t>(seed);
        check({.f = f, .seed = number}, x, static_cast<std::size_t>(f));
        check({.f = f, .iterations = 3, .coordinates = 40, .seed = number}, x, static_cast<std::size_t>(f));
        check({.f = f, .c = 0.5, .iterations = 2, .coordinates = 299, .seed = number}, x, static_cast<std::size_t>(f / 2));
      }
}

TEST_CASE("samples are ascending, distinct, their own in each iteration, and fair") {
  const dnc rule{.f = 1, .iterations = 400, .coordinates = 7, .seed = 3};
  CHECK(rule.samples() == 400);
  std::vector<int> hits(20, 0);
  std::set<std::vector<std::size_t>> seen;
  for (std::size_t k = 0; k < 400; ++k) {
    const auto s = coordinates_of(rule, k, 20);
    REQUIRE(s.size() == 7);
    for (std::size_t i = 1; i < 7; ++i) CHECK(s[i] > s[i - 1]);
    CHECK(s[6] < 20);
    for (const std::size_t x : s) ++hits[x];
    seen.insert(s);
  }
  CHECK(seen.size() > 390);
  // 140 each, with a standard deviation below 10.
  for (const int h : hits) CHECK((h > 95 && h < 185));
  auto other = rule;
  other.seed = 4;
  CHECK(coordinates_of(rule, 0, 20) != coordinates_of(other, 0, 20));
  CHECK(coordinates_of(rule, 0, 20) == coordinates_of(rule, 0, 20));
  // As many as there are: all of them.
  fedagg::arena memory;
  CHECK(rule.sample(0, 7, memory).empty());
  CHECK(coordinates_of(rule, 0, 8).size() == 7);
  const auto wide = coordinates_of({.f = 1, .coordinates = 5000, .seed = 1}, 0, std::size_t{1} << 40);
  CHECK(std::set<std::size_t>(wide.begin(), wide.end()).size() == 5000);
  CHECK(wide.back() > std::size_t{1} << 39);
}

TEST_CASE("what DnC refuses") {
  fedagg::workspace space;
  const auto code = [&](const dnc& r, std::size_t n) {
    run(r, cloud(n, 30, n), space);
    return space.result().code;
  };
  CHECK(code({.seed = 1}, 5) == errc::bad_parameter);
  CHECK(code({.f = 1}, 5) == errc::bad_parameter);
  CHECK(code({.f = 1, .c = -1, .seed = 1}, 5) == errc::bad_parameter);
  CHECK(code({.f = 1, .c = not_a_number, .seed = 1}, 5) == errc::bad_parameter);
  CHECK(code({.f = 1, .iterations = 0, .seed = 1}, 5) == errc::bad_parameter);
  CHECK(code({.f = 1, .coordinates = 0, .seed = 1}, 5) == errc::bad_parameter);
  CHECK(code({.f = 1, .seed = 1}, 2) == errc::too_few_clients);
  CHECK(code({.f = 2, .c = 2.5, .seed = 1}, 5) == errc::too_few_clients);
  CHECK(code({.f = 2, .c = 2, .seed = 1}, 5) == errc::ok);
  CHECK(code({.f = 0, .seed = 1}, 1) == errc::ok);
  CHECK(code({.f = 2, .iterations = 300, .coordinates = 1, .seed = 1}, 5) == errc::no_client_selected);
  // 0.29 of 100 are 29, although their product in doubles is less.
  run(dnc{.f = 100, .c = 0.29, .seed = 1}, cloud(201, 5, 1), space);
  CHECK(std::count(space.result().scores.begin(), space.result().scores.end(), 1.0) == 29);
}

TEST_CASE("identical rows drop the last, one far away is dropped") {
  fedagg::workspace space;
  CHECK(run(dnc{.f = 2, .seed = 1}, matrix(6, vector{1, 2}), space) == vector{1, 2});
  CHECK(space.result().scores == std::vector<double>{0, 0, 0, 0, 1, 1});
  for (const double far : {10.0, 1e30, 1e150}) {
    auto x = cloud(8, 40, 3);
    for (double& v : x[5]) v += far;
    run(dnc{.f = 1, .iterations = 4, .coordinates = 10, .seed = 9}, x, space);
    REQUIRE(space.result().ok());
    CHECK(space.result().scores[5] == 4);
  }
}

TEST_CASE("a spike in a coordinate that is not drawn stays in, and no breakdown point is promised") {
  std::size_t missed = 0;
  for (std::int64_t seed = 0; seed < 50; ++seed) {
    auto x = cloud(10, 1000, static_cast<std::uint64_t>(seed));
    x[3][static_cast<std::size_t>(seed) * 19] = 1e6;
    fedagg::workspace space;
    const vector some = run(dnc{.f = 2, .coordinates = 100, .seed = seed}, x, space);
    REQUIRE(space.result().ok());
    CHECK(space.result().breakdown == 0);
    missed += some[static_cast<std::size_t>(seed) * 19] > 1e4;
    const vector all = run(dnc{.f = 2, .coordinates = 1000, .seed = seed}, x, space);
    CHECK(space.result().scores[3] == 1);
    CHECK(std::abs(all[static_cast<std::size_t>(seed) * 19]) < 10);
    CHECK(space.result().breakdown == 0);
  }
  CHECK(missed > 30);
  CHECK(missed < 50);
}

TEST_CASE("of two clients that are alike, or each other's mirror image, the last is dropped") {
  std::size_t between = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    auto x = cloud(12, 30, seed);
    // Every row twice; dropping three drops one of a pair.
    for (std::size_t i = 0; i < 6; ++i) x[i + 6] = x[i];
    if (seed % 2)
      for (std::size_t i = 0; i < 6; ++i)
        for (double& v : x[i + 6]) v = -v;
    std::mt19937_64 random(seed);
    std::vector<std::size_t> order(12);
    for (std::size_t i = 0; i < 12; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    matrix y(12);
    std::vector<std::size_t> where(12);
    for (std::size_t i = 0; i < 12; ++i) {
      y[i] = x[order[i]];
      where[order[i]] = i;
    }
    fedagg::workspace space;
    run(dnc{.f = 3, .seed = 1}, y, space);
    REQUIRE(space.result().ok());
    INFO("seed=" << seed);
    for (std::size_t i = 0; i < 6; ++i) {
      const auto& dropped = space.result().scores;
      const std::size_t first = std::min(where[i], where[i + 6]), last = std::max(where[i], where[i + 6]);
      CHECK(dropped[first] <= dropped[last]);
      between += dropped[first] < dropped[last];
    }
  }
  CHECK(between == 200);
}

TEST_CASE("only Eigen allocates, for its results once and for a vector of each sample") {
  for (const std::int64_t iterations : {1, 8}) {
    const dnc rule{.f = 2, .iterations = iterations, .coordinates = 50, .seed = 4};
    const auto a = allocations::in_steady_state(rule, cloud(30, 200, 1));
    CHECK(a.iterations == static_cast<std::size_t>(iterations));
    CHECK(a.plain == 0);
    CHECK(a.eigen <= 5 + a.iterations);
  }
}

TEST_CASE("a NaN is found in a sample or outside of it, and its client left out") {
  auto x = cloud(9, 400, 5);
  for (double& v : x[7]) v += 5;
  auto rest = x;
  rest.erase(rest.begin() + 4);
  for (const std::int64_t coordinates : {1000, 399, 20}) {
    const dnc rule{.f = 1, .iterations = 2, .coordinates = coordinates, .seed = 2};
    for (const std::size_t at : {0u, 150u, 399u}) {
      const double before = x[4][at];
      x[4][at] = not_a_number;
      fedagg::workspace space, other;
      CHECK(run(rule, x, space) == run(rule, rest, other));
      REQUIRE(space.result().rejected.size() == 1);
      CHECK(space.result().rejected[0].client == 4);
      x[4][at] = before;
    }
  }
}

TEST_CASE("several tensors, and each by itself") {
  const auto a = cloud(7, 50, 1), b = cloud(7, 70, 2);
  auto odd = b;
  for (double& v : odd[3]) v += 9;
  std::vector<fedagg::model_view> models(7);
  fedagg::cohort clients;
  for (std::size_t i = 0; i < 7; ++i) clients.add(models[i].add("a", a[i]).add("b", odd[i]));
  vector out_a(50), out_b(70);
  fedagg::mutable_model_view out;
  out.add("a", out_a).add("b", out_b);
  fedagg::workspace space;
  const dnc rule{.f = 1, .coordinates = 60, .seed = 6};
  REQUIRE(fedagg::try_aggregate(rule, clients, out, space) == errc::ok);
  check_near(widen(out_a), mean_of(a, {0, 1, 2, 4, 5, 6}), 1e-14L);
  check_near(widen(out_b), mean_of(odd, {0, 1, 2, 4, 5, 6}), 1e-14L);
  REQUIRE(fedagg::try_aggregate(rule, clients, out, space, {.where = fedagg::scope::each_tensor()}) == errc::ok);
  fedagg::workspace one, two;
  CHECK(out_a == run(rule, a, one));
  CHECK(out_b == run(rule, odd, two));
}
