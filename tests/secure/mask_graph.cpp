// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <vector>

#include <fedagg/secure/mask_graph.hpp>

#include "support/allocations.hpp"
#include "support/catch.hpp"

using fedagg::errc;
using fedagg::mask_graph;
using ids = std::vector<std::uint32_t>;

namespace {

fedagg::digest seed_of(std::uint64_t number) {
  fedagg::digest seed{};
  std::memcpy(seed.data(), &number, sizeof number);
  return seed;
}

/// P(X > bound) < e^-u for a chi-square X (Laurent and Massart 2000, lemma 1).
double chi_square_bound(double degrees, double u) { return degrees + 2 * std::sqrt(degrees * u) + 2 * u; }

} // namespace

TEST_CASE("every legal graph is symmetric, regular, connected and without loops") {
  for (std::uint32_t n = 1; n <= 50; ++n)
    for (std::uint32_t k = 0; k <= n + 1; ++k) {
      mask_graph g;
      const errc rc = g.try_reset(n, k, seed_of(n * 100 + k));
      CAPTURE(n, k);
      if (!(k == n - 1 || (k >= 2 && k % 2 == 0 && k < n))) {
        REQUIRE(rc == errc::bad_parameter);
        continue;
      }
      REQUIRE(rc == errc::ok);
      REQUIRE((g.clients() == n && g.degree() == k && g.complete() == (k == n - 1)));
      std::vector<ids> list;
      for (std::uint32_t i = 0; i < n; ++i) list.push_back(g.neighbours(i));
      bool right = true;
      for (std::uint32_t i = 0; i < n; ++i) {
        right = right && list[i].size() == k;
        right = right && std::adjacent_find(list[i].begin(), list[i].end(), std::greater_equal<>()) == list[i].end();
        for (std::uint32_t j = 0; j < n; ++j) {
          const bool near = std::binary_search(list[i].begin(), list[i].end(), j);
          right = right && near == g.are_neighbours(i, j) && near == g.are_neighbours(j, i) && !(near && i == j);
        }
      }
      CHECK(right);
      // Everyone is reached from the first client.
      std::vector<bool> reached(n);
      ids waiting{0};
      reached[0] = true;
      while (!waiting.empty()) {
        const std::uint32_t i = waiting.back();
        waiting.pop_back();
        for (const std::uint32_t j : list[i])
          if (!reached[j]) reached[j] = true, waiting.push_back(j);
      }
      CHECK(std::count(reached.begin(), reached.end(), true) == n);
    }
}

TEST_CASE("a sparse graph is a circle: the neighbours of each are the nearest on either side") {
  // On a circle of degree 2 the order can be read off; the same seed's graph of a higher degree is its power.
  const std::uint32_t n = 23;
  const mask_graph circle(n, 2, seed_of(4)), wide(n, 8, seed_of(4));
  ids order{0, circle.neighbours(0)[0]};
  while (order.size() < n) {
    const ids next = circle.neighbours(order.back());
    order.push_back(next[0] == order[order.size() - 2] ? next[1] : next[0]);
  }
  for (std::uint32_t a = 0; a < n; ++a)
    for (std::uint32_t b = 0; b < n; ++b) {
      const std::uint32_t apart = std::min((a + n - b) % n, (b + n - a) % n);
      CHECK(wide.are_neighbours(order[a], order[b]) == (apart >= 1 && apart <= 4));
    }
}

TEST_CASE("whether survivors have enough neighbours, against counting them") {
  for (std::uint32_t n = 1; n <= 9; ++n)
    for (std::uint32_t k = 0; k < n; ++k) {
      mask_graph g;
      if (g.try_reset(n, k, seed_of(n)) != errc::ok) continue;
      for (std::uint32_t set = 0; set < 1u << n; ++set) {
        std::uint32_t fewest = 1000;
        for (std::uint32_t i = 0; i < n; ++i) {
          std::uint32_t live = k == n - 1; // its own share
          for (const std::uint32_t j : g.neighbours(i)) live += set >> j & 1;
          if (set >> i & 1) fewest = std::min(fewest, live);
        }
        for (std::uint32_t t = 0; t <= n + 1; ++t)
          if (g.supports(t, [&](std::uint32_t i) { return (set >> i & 1) != 0; }) != (fewest >= t))
            FAIL_CHECK(n << ' ' << k << ' ' << set << ' ' << t);
      }
    }
}

TEST_CASE("the graph of a seed, drawn by another program") {
  fedagg::digest seed;
  for (std::size_t k = 0; k < seed.size(); ++k) seed[k] = static_cast<std::uint8_t>(k);
  const mask_graph small(12, 4, seed);
  CHECK(small.neighbours(0) == ids{4, 9, 10, 11});
  CHECK(small.neighbours(7) == ids{2, 5, 6, 8});
  seed.fill(0xff);
  CHECK(mask_graph(1000, 6, seed).neighbours(500) == ids{283, 678, 786, 819, 888, 945});
}

TEST_CASE("the seed draws the graph, and all of the seed does") {
  const auto all = [](const fedagg::digest& seed) {
    const mask_graph g(200, 10, seed);
    ids out;
    for (std::uint32_t i = 0; i < 200; ++i)
      for (const std::uint32_t j : g.neighbours(i)) out.push_back(j);
    return out;
  };
  const ids first = all(seed_of(1));
  CHECK(all(seed_of(1)) == first);
  for (std::size_t byte = 0; byte < 32; ++byte) {
    fedagg::digest other = seed_of(1);
    other[byte] ^= 0x80;
    CHECK(all(other) != first);
  }
}

TEST_CASE("every circle is drawn as often as the others") {
  // 6 clients of degree 2: (6 - 1)! / 2 = 60 graphs.
  std::map<ids, int> seen;
  const int draws = 12000;
  for (int s = 0; s < draws; ++s) {
    const mask_graph g(6, 2, seed_of(static_cast<std::uint64_t>(s)));
    ids all;
    for (std::uint32_t i = 0; i < 6; ++i)
      for (const std::uint32_t j : g.neighbours(i)) all.push_back(j);
    ++seen[all];
  }
  CHECK(seen.size() == 60);
  double statistic = 0;
  for (const auto& [graph, count] : seen) statistic += std::pow(count - draws / 60.0, 2) / (draws / 60.0);
  CHECK(statistic < chi_square_bound(59, 20));
}

TEST_CASE("every client sits anywhere: pairs are neighbours alike often") {
  const std::uint32_t n = 41, k = 8;
  const int draws = 2000;
  std::vector<int> together(n * n);
  for (int s = 0; s < draws; ++s) {
    const mask_graph g(n, k, seed_of(1000000 + static_cast<std::uint64_t>(s)));
    for (std::uint32_t a = 0; a < n; ++a)
      for (std::uint32_t b = 0; b < a; ++b) together[a * n + b] += g.are_neighbours(a, b);
  }
  // Hoeffding: a pair is off by more than this with a probability below 2 e^-30 for each of 820 pairs.
  const double expected = draws * 8.0 / 40, off = std::sqrt(draws * 15.0);
  for (std::uint32_t a = 0; a < n; ++a)
    for (std::uint32_t b = 0; b < a; ++b)
      if (std::fabs(together[a * n + b] - expected) > off) FAIL_CHECK(a << ", " << b << ": " << together[a * n + b]);
}

TEST_CASE("what is wrong is refused, and the graph stays") {
  mask_graph g;
  CHECK((g.clients() == 0 && g.degree() == 0));
  CHECK_FALSE(g.are_neighbours(0, 0));
  REQUIRE(g.try_reset(10, 4, seed_of(3)) == errc::ok);
  const ids before = g.neighbours(3);
  for (const std::uint32_t k : {0u, 1u, 3u, 5u, 7u, 10u, 11u, 12u})
    CHECK(g.try_reset(10, k, seed_of(5)) == errc::bad_parameter);
  CHECK(g.try_reset(0, 0, seed_of(5)) == errc::bad_parameter);
  CHECK(g.try_reset(1u << 30, 2, seed_of(5)) == errc::size_overflow);
  CHECK(g.try_reset(4294967295u, 4, seed_of(5)) == errc::size_overflow);
  CHECK((g.clients() == 10 && g.degree() == 4 && g.neighbours(3) == before));
  ids out(4);
  CHECK(g.try_neighbours(10, out) == errc::bad_parameter);
  CHECK(g.try_neighbours(0, std::span(out).first(3)) == errc::bad_parameter);
  CHECK_FALSE(g.are_neighbours(10, 0));
  CHECK_FALSE(g.are_neighbours(0, 10));
  CHECK_FALSE(g.are_neighbours(10, 10));
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(mask_graph(10, 3, seed_of(1)), fedagg::error);
  CHECK_THROWS_AS(g.neighbours(10), fedagg::error);
#endif
  // From sparse to complete and back.
  REQUIRE(g.try_reset(4, 3, seed_of(3)) == errc::ok);
  CHECK((g.complete() && g.neighbours(2) == ids{0, 1, 3}));
  REQUIRE(g.try_reset(10, 4, seed_of(3)) == errc::ok);
  CHECK((!g.complete() && g.neighbours(3) == before));
}

TEST_CASE("a million clients take eight bytes each, a complete graph nothing") {
  const std::uint32_t n = 1000000;
  mask_graph g;
  const std::size_t before = allocations::bytes;
  REQUIRE(g.try_reset(n, 500, seed_of(9)) == errc::ok);
  CHECK(allocations::bytes - before == 8 * std::size_t{n});
  ids near(500);
  const std::size_t drawn = allocations::bytes;
  REQUIRE(g.try_neighbours(999999, near) == errc::ok);
  CHECK(std::all_of(near.begin(), near.end(), [&](std::uint32_t j) { return g.are_neighbours(j, 999999); }));
  REQUIRE(g.try_reset(n, n - 1, seed_of(9)) == errc::ok);
  CHECK(g.are_neighbours(0, n - 1));
  CHECK(allocations::bytes == drawn);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("a graph for which there is no memory is none, and the one before stays") {
  mask_graph g(10, 4, seed_of(3));
  const ids before = g.neighbours(3);
  for (std::size_t more = 0; more < 2; ++more) {
    errc rc;
    {
      const allocations::limit limit(more);
      rc = g.try_reset(20, 4, seed_of(4));
    }
    CHECK(rc == errc::out_of_memory);
    CHECK((g.clients() == 10 && g.neighbours(3) == before));
  }
}
#endif
