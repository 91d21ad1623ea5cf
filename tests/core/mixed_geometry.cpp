// SPDX-License-Identifier: MIT
#include <fedagg/core/mixed_geometry.hpp>

#include "support/geometry.hpp"

using namespace fedagg;
using shapes::exact;
using shapes::extras;
using shapes::matrix;
using shapes::real;
using shapes::shape;

namespace {

/// Random rows of shares; whole ones sum to their divisor, which is 1, or one of `divisors` - 1.
affine_map random_map(arena& memory, std::size_t out, std::size_t in, bool whole, std::uint64_t seed,
                      std::size_t divisors = 1) {
  std::mt19937_64 random(seed);
  affine_map map;
  map.start(memory, out, in, out * in);
  map.whole = whole;
  for (std::size_t k = 0; k < out; ++k) {
    std::size_t parts[64] = {}, count = 0, sum = 0;
    for (std::size_t i = 0; i < in; ++i)
      if (random() % 2) sum += parts[i] = 1 + random() % 7;
    // A power of two divides exactly.
    std::size_t whole_sum = 1;
    while (whole_sum < sum + 1) whole_sum *= 2;
    const double divisor = divisors == 1 ? 1 : static_cast<double>(3 + k % (divisors - 1));
    if (whole) parts[k % in] += whole_sum - sum;
    for (std::size_t i = 0; i < in; ++i)
      if (parts[i]) {
        map.put(i, divisor * static_cast<double>(parts[i]) / static_cast<double>(whole_sum));
        ++count;
      }
    map.end_row(divisor);
  }
  return map;
}

std::vector<exact> rows_by_hand(const shape& of, const affine_map& map) {
  std::vector<exact> rows;
  for (std::size_t k = 0; k < map.out; ++k) {
    exact row(of.base.begin(), of.base.end());
    for (const map_entry& e : map.row(k))
      for (std::size_t j = 0; j < row.size(); ++j)
        row[j] += real(e.share) / real(map.divisor(k)) * (real(of.x[e.index][j]) - real(of.base[j]));
    rows.push_back(row);
  }
  return rows;
}

real dot(const exact& a, const exact& b, const shapes::vector& from) {
  real sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += (a[j] - real(from[j])) * (b[j] - real(from[j]));
  return sum;
}

void check_mixed(const shape& of, const affine_map& map, real tolerance) {
  arena memory;
  const geometry g = of.view(), m = detail::mix_geometry(g, map, memory);
  auto rows = rows_by_hand(of, map);
  CHECK(m.rows == map.out);
  CHECK((m.has_origin == g.has_origin && m.has_trusted == g.has_trusted && m.known == g.known));
  if (m.has_trusted) rows.push_back(shapes::widen(of.more.trusted));
  REQUIRE(m.order() == rows.size());
  std::size_t wrong = 0;
  const auto differs = [&](double got, real want, real scale) {
    return !(std::abs(real(got) - want) <= tolerance * scale);
  };
  for (std::size_t k = 0; k < rows.size(); ++k)
    for (std::size_t l = 0; l < rows.size(); ++l) {
      const exact apart = shapes::minus(rows[k], rows[l]);
      const real d = shapes::norm(apart) * shapes::norm(apart);
      wrong += differs(m.square_distance(k, l), d, d + 1e-300L);
      wrong += m.square_distance(k, l) != m.square_distance(l, k);
      if (!m.has_origin) continue;
      const real a = dot(rows[k], rows[k], of.base), b = dot(rows[l], rows[l], of.base);
      wrong += differs(m.product(k, l), dot(rows[k], rows[l], of.base), std::sqrt(a * b) + 1e-300L);
      if (k == l) wrong += differs(m.square_norms[k], a, a + 1e-300L);
      if (m.has_trusted && l + 1 == rows.size())
        wrong += differs(m.with_trusted[k], dot(rows[k], rows[l], of.base), std::sqrt(a * b) + 1e-300L);
    }
  CHECK(wrong == 0);
}

} // namespace

TEST_CASE("the geometry of mixed rows is that of the rows") {
  for (const std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{20}})
    for (const std::size_t out : {std::size_t{1}, std::size_t{4}, n})
      for (const bool trusted : {false, true})
        for (const int way : {0, 1, 2, 3}) {
          extras e;
          e.origin = way > 0;
          if (way == 2) e.base = shapes::cloud(1, 9, 77)[0];
          if (trusted) e.trusted = shapes::cloud(1, 9, 78)[0];
          const shape of(shapes::cloud(n, 9, n), e);
          arena memory;
          INFO("n=" << n << " out=" << out << " trusted " << trusted << " way " << way);
          for (const std::size_t divisors : {std::size_t{1}, std::size_t{2}, std::size_t{4}})
            check_mixed(of, random_map(memory, out, n, way < 3, n * 7 + out, divisors), 1e-10L);
        }
}

TEST_CASE("a row from far away that was shortened is as exact as the others") {
  for (const double far : {1e3, 1e10, 1e30, 1e100}) {
    auto x = shapes::cloud(6, 9, 4);
    for (std::size_t j = 0; j < 9; ++j) x[2][j] = far * (j % 2 ? 1 : -0.3);
    extras e;
    e.trusted = shapes::cloud(1, 9, 5)[0];
    const shape of(x, e);
    arena memory;
    affine_map map;
    map.start(memory, 6, 6, 6);
    map.whole = false;
    for (std::size_t i = 0; i < 6; ++i) {
      map.put(i, i == 2 ? 1 / far : i == 4 ? 0.75 : 1);
      map.end_row();
    }
    INFO("far " << far);
    check_mixed(of, map, 1e-10L);
  }
}

TEST_CASE("rows that lie together far from the origin keep their distances when they are shortened") {
  const auto x = shapes::cloud(6, 9, 4, 1, 1e5);
  const shape of(x);
  arena memory;
  affine_map map;
  map.start(memory, 6, 6, 6);
  map.whole = false;
  for (std::size_t i = 0; i < 6; ++i) {
    map.put(i, 0.5 + 1e-6 * static_cast<double>(i));
    map.end_row();
  }
  check_mixed(of, map, 1e-5L);
}

TEST_CASE("what both rows share does not spoil their distance") {
  auto x = shapes::cloud(5, 3, 6);
  for (double& v : x[4]) v = 1e30;
  const shape of(x);
  arena memory;
  affine_map map;
  map.start(memory, 3, 5, 9);
  for (std::size_t k = 0; k < 3; ++k) {
    map.put(k, 0.5);
    if (k < 2) map.put(3, 0.25);
    map.put(4, k < 2 ? 0.25 : 0.5);
    map.end_row();
  }
  const geometry m = detail::mix_geometry(of.view(), map, memory);
  const double want = static_cast<double>(shapes::square_distance(x[0], x[1])) / 4;
  CHECK(std::abs(m.square_distance(0, 1) - want) <= 1e-12 * want);
  CHECK(m.square_distance(0, 2) > 1e50);
}

TEST_CASE("distances at the edge of doubles stay finite") {
  shapes::matrix x{{0}, {1}, {2}, {3}};
  const shape of(x);
  geometry g = of.view();
  std::vector<double> distances(16, 0x1p1023), products(16), norms(4, 0x1p1020);
  for (std::size_t i = 0; i < 4; ++i) distances[i * 5] = 0;
  g.distances = distances;
  g.products = products;
  g.square_norms = norms;
  arena memory;
  affine_map map;
  map.start(memory, 2, 4, 4);
  map.put(0, 0.5);
  map.put(1, 0.5);
  map.end_row();
  map.put(2, 0.5);
  map.put(3, 0.5);
  map.end_row();
  const geometry m = detail::mix_geometry(g, map, memory);
  CHECK(is_finite(m.square_distance(0, 1)));
  CHECK(m.square_distance(0, 1) >= 0x1p1021);
}

TEST_CASE("composed maps are the one after the other") {
  arena memory;
  for (const bool whole : {false, true})
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      const affine_map first = random_map(memory, 6, 9, whole, seed, 1 + seed % 3),
                       second = random_map(memory, 4, 6, true, seed + 100, 1 + seed % 4);
      const affine_map both = detail::compose(second, first, memory);
      CHECK((both.out == 4 && both.in == 9 && both.whole == whole && both.rows_done == 4));
      for (std::size_t k = 0; k < 4; ++k) {
        real want[9] = {};
        for (const map_entry& outer : second.row(k))
          for (const map_entry& inner : first.row(outer.index))
            want[inner.index] +=
                real(outer.share) / real(second.divisor(k)) * real(inner.share) / real(first.divisor(outer.index));
        real got[9] = {};
        std::size_t next = 0;
        for (const map_entry& e : both.row(k)) {
          CHECK(e.index >= next);
          next = e.index + 1;
          got[e.index] = real(e.share) / real(both.divisor(k));
        }
        for (std::size_t i = 0; i < 9; ++i) CHECK(std::abs(static_cast<double>(got[i] - want[i])) <= 1e-15);
      }
    }
}

TEST_CASE("the marked rows of a map") {
  arena memory;
  const affine_map map = random_map(memory, 5, 4, true, 3, 4);
  const double marks[] = {0, 1, 0, 0.5, 0};
  const affine_map some = detail::rows_of(map, marks, memory);
  REQUIRE((some.out == 2 && some.in == 4 && some.whole));
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}}) {
    const auto want = map.row(2 * k + 1), got = some.row(k);
    REQUIRE(got.size() == want.size());
    CHECK(some.divisor(k) == map.divisor(2 * k + 1));
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK((got[i].index == want[i].index && got[i].share == want[i].share));
  }
}

TEST_CASE("coefficients of mixed rows become those of the rows, and stay exact where one divisor will do") {
  arena memory;
  for (const std::size_t divisors : {std::size_t{1}, std::size_t{2}, std::size_t{4}})
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const affine_map map = random_map(memory, 5, 7, true, seed, divisors);
      const shapes::vector c{1, 0, 2, 1, 0.5, 3};
      shapes::vector shares(8);
      const double divisor = detail::spread(map, c, shares);
      CHECK(divisor == (divisors == 2 ? 3 : 1));
      real want[8] = {};
      for (std::size_t k = 0; k < 5; ++k)
        for (const map_entry& e : map.row(k)) want[e.index] += real(c[k]) * real(e.share) / real(map.divisor(k));
      // The trusted row.
      want[7] = 3;
      for (std::size_t i = 0; i < 8; ++i)
        CHECK(std::abs(static_cast<double>(real(shares[i]) / real(divisor) - want[i])) <= 1e-15);
    }
  shapes::vector none(8);
  CHECK(detail::spread(random_map(memory, 5, 7, true, 1, 4), shapes::vector(5), none) == 1);
}
