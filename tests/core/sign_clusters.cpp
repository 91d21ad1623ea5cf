// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>

#include <fedagg/core/sign_clusters.hpp>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::row_signs;
using rows = std::vector<row_signs>;
using marks = std::vector<std::size_t>;

namespace {

marks marked(const rows& x, bool shift) {
  fedagg::arena memory;
  std::vector<unsigned char> mark(x.size());
  if (shift)
    fedagg::detail::largest_of_mean_shift(x, memory, mark);
  else
    fedagg::detail::larger_of_two_means(x, memory, mark);
  marks m;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (mark[i]) m.push_back(i);
  return m;
}

using point = std::array<real, 3>;
real apart(const point& a, const point& b) {
  real sum = 0;
  for (std::size_t k = 0; k < 3; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return std::sqrt(sum);
}

/// Mean shift as a textbook has it: windows move until their members stay the same.
marks by_the_book(const rows& given) {
  const std::size_t n = given.size();
  std::vector<point> x;
  for (const row_signs& r : given) x.push_back({r.positive, r.negative, r.zero});
  real bandwidth = 0;
  for (const point& a : x) {
    exact d;
    for (const point& b : x) d.push_back(apart(a, b));
    std::sort(d.begin(), d.end());
    bandwidth += d[std::max<std::size_t>(std::min<std::size_t>(n, 2), n / 2) - 1] / real(n);
  }
  const auto within = [&](const point& c) {
    marks m;
    for (std::size_t i = 0; i < n; ++i)
      if (apart(x[i], c) <= bandwidth + 1e-12L) m.push_back(i);
    return m;
  };
  struct window {
    point at;
    marks members;
    std::size_t start;
  };
  std::vector<window> windows;
  for (std::size_t i = 0; i < n; ++i) {
    window w{x[i], within(x[i]), i};
    for (int step = 0; step < 300; ++step) {
      w.at = {};
      for (const std::size_t j : w.members)
        for (std::size_t k = 0; k < 3; ++k) w.at[k] += x[j][k] / real(w.members.size());
      marks now = within(w.at);
      if (now == w.members) break;
      w.members = now;
    }
    windows.push_back(w);
  }
  std::stable_sort(windows.begin(), windows.end(),
                   [](const window& a, const window& b) { return a.members.size() > b.members.size(); });
  std::vector<point> centres;
  for (const window& w : windows)
    if (std::none_of(centres.begin(), centres.end(),
                     [&](const point& c) { return apart(c, w.at) <= bandwidth + 1e-12L; }))
      centres.push_back(w.at);
  std::vector<marks> clusters(centres.size());
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t best = 0;
    for (std::size_t c = 1; c < centres.size(); ++c)
      if (apart(x[i], centres[c]) < apart(x[i], centres[best])) best = c;
    if (apart(x[i], centres[best]) <= bandwidth + 1e-12L) clusters[best].push_back(i);
  }
  const marks* largest = nullptr;
  for (const marks& c : clusters)
    if (!c.empty() &&
        (!largest || c.size() > largest->size() || (c.size() == largest->size() && c.front() < largest->front())))
      largest = &c;
  return largest ? *largest : marks{};
}

row_signs shares(double positive, double negative) { return {positive, negative, 1 - positive - negative}; }

} // namespace

TEST_CASE("mean shift finds the largest cluster, as the textbook does") {
  std::size_t some = 0, orphans = 0;
  for (const std::size_t n : {1u, 2u, 3u, 4u, 5u, 9u, 20u, 50u})
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      std::mt19937_64 random(seed * 100 + n);
      const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
      rows x;
      for (std::size_t i = 0; i < n; ++i) {
        // One to three groups, one of them wide.
        const std::size_t group = random() % (1 + seed % 3);
        const double spread = group == 2 ? 0.2 : 0.02;
        x.push_back(
            shares(0.3 + 0.15 * static_cast<double>(group) + spread * (uniform() - 0.5), 0.3 + spread * uniform()));
      }
      const marks got = marked(x, true);
      INFO("n=" << n << " seed=" << seed);
      CHECK(got == by_the_book(x));
      CHECK(!got.empty());
      some += got.size() < n;
      orphans += got.size() == 1 && n > 5;
    }
  CHECK(some > 100);
  CHECK(orphans == 0);
}

TEST_CASE("where all are alike nobody is left out by mean shift") {
  CHECK(marked(rows(5, shares(0.3, 0.4)), true) == marks{0, 1, 2, 3, 4});
  CHECK(marked(rows(1, shares(0.3, 0.4)), true) == marks{0});
  // A third of a share is no exact number: means of equal rows are not equal to them.
  CHECK(marked(rows(7, shares(1.0 / 3, 0.1)), true).size() == 7);
  // Two groups: mean shift as 2-means.
  rows two(7, shares(0.5, 0.4));
  two[0] = two[3] = two[5] = shares(0.1, 0.8);
  for (const bool shift : {false, true}) CHECK(marked(two, shift) == marks{1, 2, 4, 6});
  two.push_back(two[0]);
  // Of the same size: the first row's.
  for (const bool shift : {false, true}) CHECK(marked(two, shift) == marks{0, 3, 5, 7});
}

TEST_CASE("with one row far away 2-means keeps everybody else, mean shift the crowd") {
  rows x;
  for (int i = 0; i < 8; ++i) x.push_back(shares(0.48 + 0.005 * i, 0.4));
  x.push_back(shares(0.62, 0.2));
  x.push_back(shares(0.95, 0));
  CHECK(marked(x, false) == marks{0, 1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(marked(x, true) == marks{0, 1, 2, 3, 4, 5, 6, 7});
}
