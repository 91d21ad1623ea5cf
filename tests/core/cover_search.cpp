// SPDX-License-Identifier: MIT
#include <fedagg/core/cover_search.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::detail::cover_search;

namespace {

/// Distances without coordinates: 2 for a conflict, 1 for none.
vector conflicts(std::size_t n, unsigned share, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  vector d(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) d[i * n + j] = d[j * n + i] = random() % 100 < share ? 2 : 1;
  return d;
}

fedagg::geometry of(std::size_t n, const vector& d) {
  fedagg::geometry g;
  g.rows = n;
  g.distances = d;
  return g;
}

/// The first set of n - drop rows, in lexicographic order, without a conflict; empty if there is none.
std::vector<std::size_t> first_set(std::size_t n, std::size_t drop, const vector& d) {
  std::vector<bool> kept(n, true);
  std::fill(kept.end() - static_cast<std::ptrdiff_t>(drop), kept.end(), false);
  do {
    bool sound = true;
    for (std::size_t i = 0; i < n && sound; ++i)
      for (std::size_t j = 0; j < i && sound; ++j) sound = !kept[i] || !kept[j] || d[i * n + j] < 2;
    if (!sound) continue;
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < n; ++i)
      if (kept[i]) rows.push_back(i);
    return rows;
  } while (std::prev_permutation(kept.begin(), kept.end()));
  return {};
}

} // namespace

TEST_CASE("a search finds what listing all subsets finds, and the first of them") {
  for (const std::size_t n : {1u, 2u, 3u, 5u, 9u, 12u})
    for (std::size_t drop = 0; drop < n; ++drop)
      for (const unsigned share : {0u, 5u, 20u, 25u, 30u, 40u, 70u, 100u})
        for (std::uint64_t seed = 0; seed < 10; ++seed) {
          const vector d = conflicts(n, share, seed * 1000 + n * 10 + drop);
          const auto want = first_set(n, drop, d);
          fedagg::arena memory;
          cover_search search(n, drop, 1000000, memory);
          search.start(of(n, d), 1.5);
          INFO("n=" << n << " drop=" << drop << " share=" << share << " seed=" << seed);
          const auto a = search.run();
          REQUIRE((a == cover_search::answer::yes) == !want.empty());
          REQUIRE((a == cover_search::answer::no) == want.empty());
          if (want.empty()) continue;
          REQUIRE(search.first_in_order() == cover_search::answer::yes);
          std::vector<std::size_t> got;
          for (std::size_t i = 0; i < n && got.size() < n - drop; ++i)
            if (search.found(i)) got.push_back(i);
          CHECK(got == want);
        }
}

TEST_CASE("more rows than a word holds, and searches used again") {
  const std::size_t n = 150;
  fedagg::arena memory;
  cover_search search(n, 20, 1000000, memory);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    // Stars: 20 rows in conflict with many others have to go, and nothing else will do.
    std::mt19937_64 random(seed);
    vector d(n * n, 1.0);
    std::vector<bool> hub(n);
    for (std::size_t k = 0; k < 20; ++k) hub[k * 7 + seed] = true;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j)
        if (hub[i] && !hub[j] && random() % 2) d[i * n + j] = d[j * n + i] = 2;
    search.start(of(n, d), 1.5);
    REQUIRE(search.run() == cover_search::answer::yes);
    for (std::size_t i = 0; i < n; ++i) CHECK(search.found(i) == !hub[i]);
    // One conflict more, apart from the stars, is one too many.
    d[0 * n + 1] = d[1 * n + 0] = d[0 * n + 2] = d[2 * n + 0] = 1;
    std::size_t a = 0;
    while (hub[a]) ++a;
    std::size_t b = a + 1;
    while (hub[b]) ++b;
    d[a * n + b] = d[b * n + a] = 2;
    search.start(of(n, d), 1.5);
    CHECK(search.run() == cover_search::answer::no);
  }
}

TEST_CASE("conflicts of few with few, which nothing but branching decides") {
  const std::size_t n = 14;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    std::mt19937_64 random(seed);
    vector d(n * n, 1.0);
    std::vector<int> degree(n);
    for (int k = 0; k < 400; ++k) {
      const std::size_t i = random() % n, j = random() % n;
      if (i == j || degree[i] == 3 || degree[j] == 3 || d[i * n + j] == 2) continue;
      d[i * n + j] = d[j * n + i] = 2;
      ++degree[i];
      ++degree[j];
    }
    for (const std::size_t drop : {6u, 7u, 8u}) {
      fedagg::arena memory;
      cover_search search(n, drop, 100000, memory);
      search.start(of(n, d), 1.5);
      INFO("seed=" << seed << " drop=" << drop);
      CHECK((search.run() == cover_search::answer::yes) == !first_set(n, drop, d).empty());
    }
  }
}

TEST_CASE("one side of a complete bipartite conflict has to go, and no less") {
  vector d(36, 1.0);
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < 6; ++j)
      if (i % 2 != j % 2) d[i * 6 + j] = 2;
  for (const std::size_t drop : {2u, 3u}) {
    fedagg::arena memory;
    cover_search search(6, drop, 100, memory);
    search.start(of(6, d), 1.5);
    CHECK((search.run() == cover_search::answer::yes) == (drop == 3));
  }
}

TEST_CASE("a search that may not end says so") {
  const std::size_t n = 120;
  const vector d = conflicts(n, 3, 1);
  fedagg::arena memory;
  cover_search search(n, 59, 5, memory);
  search.start(of(n, d), 1.5);
  CHECK(search.run() == cover_search::answer::unknown);
  CHECK(search.nodes() == 5);
  // And stays so.
  CHECK(search.run() == cover_search::answer::unknown);
}
