// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>

#include <fedagg/core/mixed_distances.hpp>
#include <fedagg/mixing/bucketing.hpp>
#include <fedagg/mixing/nnm.hpp>

#include "support/geometry.hpp"

using namespace fedagg;
using shapes::cloud;
using shapes::exact;
using shapes::extras;
using shapes::real;
using shapes::shape;

namespace {

struct worked {
  double worst = 0;      ///< relative error
  std::size_t terms = 0; ///< that were added
};

/// All distances between what a map makes, from the coordinates, for every `step`-th row.
worked check(const shape& of, const affine_map& map, std::size_t step = 1) {
  const geometry g = of.view();
  arena memory;
  detail::mixed_distances mixed(g, map, memory);
  const std::size_t order = map.out + (g.has_trusted ? 1 : 0);
  shapes::vector got(order * order, -1);
  mixed.fill(got);
  worked w{0, mixed.terms()};
  std::size_t asymmetric = 0;
  for (std::size_t k = 0; k < order; ++k)
    for (std::size_t l = 0; l < order; ++l) asymmetric += got[k * order + l] != got[l * order + k];
  CHECK(asymmetric == 0);
  const auto shares = [&](std::size_t k) {
    exact a(g.order(), 0);
    if (k == map.out)
      a.back() = 1;
    else
      for (const map_entry& e : map.row(k)) a[e.index] = real(e.share) / real(map.divisor(k));
    return a;
  };
  for (std::size_t k = 0; k < order; k += step)
    for (std::size_t l = 0; l < order; l += step) {
      // What both hold the same share of is left out: no type holds 1e140 and 1.
      const exact c = shapes::minus(shares(k), shares(l));
      exact apart(of.base.size(), 0);
      for (std::size_t i = 0; i < c.size(); ++i)
        for (std::size_t j = 0; j < apart.size() && c[i] != 0; ++j)
          apart[j] += c[i] * (i < g.rows ? of.x[i][j] : of.more.trusted[j]);
      const real d = shapes::norm(apart) * shapes::norm(apart);
      const double error = static_cast<double>(std::abs(real(got[k * order + l]) - d));
      if (error > 0) w.worst = std::max(w.worst, d > 0 ? error / static_cast<double>(d) : 1e300);
    }
  return w;
}

affine_map nearest_means(const shape& of, std::size_t f, arena& memory) {
  affine_map map;
  REQUIRE(nnm{.f = static_cast<std::int64_t>(f)}.mix(of.view(), memory, map) == errc::ok);
  return map;
}

/// What it may cost: the map's sums, twice, and what few pairs need.
std::size_t bound(const affine_map& map) { return 3 * map.entries_done * map.in; }

} // namespace

TEST_CASE("distances of means cost their shares, not their shares squared for each pair") {
  for (const std::size_t n : {40u, 100u, 200u})
    for (const std::size_t f : {n / 10, n / 4, (n - 1) / 2}) {
      auto x = cloud(n, 5, n + f);
      arena memory;
      INFO("n=" << n << " f=" << f);
      const shape honest(x);
      const affine_map of_honest = nearest_means(honest, f, memory);
      const worked a = check(honest, of_honest, n / 40);
      CHECK(a.worst <= 1e-7);
      CHECK(a.terms <= bound(of_honest));
      // Hostile rows far away, alone or together, who are nobody's neighbours but their own.
      for (const double far : {1e4, 1e30}) {
        for (std::size_t i = 0; i < f; ++i)
          for (std::size_t j = 0; j < 5; ++j)
            x[i * n / (f + 1)][j] =
                far * (i % 2 ? 1 + 1e-3 * static_cast<double>(i) : std::sin(static_cast<double>(7 * i + j)));
        const shape attacked(x);
        const affine_map map = nearest_means(attacked, f, memory);
        const worked b = check(attacked, map, n / 40);
        CHECK(b.worst <= 1e-5);
        CHECK(b.terms <= bound(map));
      }
    }
}

TEST_CASE("what many rows share does not spoil their distance, however far away it is") {
  for (const double far : {10.0, 1e3, 1e8, 1e30, 1e140}) {
    auto x = cloud(50, 3, 6);
    for (double& v : x[49]) v = far;
    const shape of(x);
    arena memory;
    affine_map map;
    map.start(memory, 8, 50, 8 * 32);
    for (std::size_t k = 0; k < 8; ++k) {
      for (std::size_t i = 0; i < 31; ++i) map.put(k + i, 0x1p-5);
      map.put(49, 0x1p-5);
      map.end_row();
    }
    INFO("far " << far);
    const worked w = check(of, map);
    CHECK(w.worst <= 1e-7);
    // Sums, where they are certain; else differences as well.
    const std::size_t sums = 256 * 50 + 32 * 36;
    if (far == 10) CHECK(w.terms == sums);
    if (far >= 1e8) CHECK(w.terms > sums);
  }
}

TEST_CASE("rows of any shares and divisors, with a trusted row and without") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    extras e;
    e.origin = round % 2 == 0;
    if (round % 3 == 0) e.trusted = cloud(1, 6, 99)[0];
    const shape of(cloud(30, 6, static_cast<std::uint64_t>(round)), e);
    arena memory;
    affine_map map;
    map.start(memory, 12, 30, 12 * 30);
    for (std::size_t k = 0; k < 12; ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < 30; ++i)
        if (random() % (k % 4 + 1) == 0) {
          // Not all are between their rows.
          const double share = static_cast<double>(random() % 9) - (round % 5 == 0 && k == 3 ? 2 : 0);
          map.put(i, share);
          sum += share;
        }
      map.put(29, 1000 - sum); // twice, perhaps: shares of a row add up
      if (map.entries_done > 1 && map.entries[map.entries_done - 2].index == 29) {
        map.entries[map.entries_done - 2].share += map.entries[map.entries_done - 1].share;
        --map.entries_done;
      }
      map.end_row(1000);
    }
    INFO("round " << round);
    CHECK(check(of, map).worst <= 1e-7);
  }
}

TEST_CASE("equal rows, and rows that are mixed alike, are no distance apart") {
  arena memory;
  const shape same(shapes::matrix(40, shapes::vector{3, 1.7}));
  CHECK(check(same, nearest_means(same, 10, memory)).worst == 0);
  auto x = cloud(40, 3, 1);
  for (std::size_t i = 0; i < 25; ++i) x[i] = x[0];
  const shape of(x);
  const affine_map map = nearest_means(of, 10, memory);
  const fedagg::geometry g = of.view();
  detail::mixed_distances mixed(g, map, memory);
  shapes::vector d(1600);
  mixed.fill(d);
  // The first ones hold each other and the same others.
  for (std::size_t k = 0; k < 25; ++k)
    for (std::size_t l = 0; l < 25; ++l) CHECK(d[k * 40 + l] == 0);
}

TEST_CASE("buckets of different sizes") {
  const shape of(cloud(103, 4, 2));
  arena memory;
  affine_map map;
  REQUIRE(bucketing{.size = 20, .seed = 3}.mix(of.view(), memory, map) == errc::ok);
  CHECK(map.divisor(0) != map.divisor(5));
  const worked w = check(of, map);
  CHECK(w.worst <= 1e-10);
  CHECK(w.terms <= bound(map));
}
