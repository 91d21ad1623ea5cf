// SPDX-License-Identifier: MIT
#include <fedagg/core/subset_choice.hpp>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::detail::principal_axes;
using fedagg::detail::subset_choice;
using rows = std::vector<std::size_t>;

namespace {

/// Calls f with each subset of `size` that the choice still allows, in lexicographic order.
template <class F>
void each_subset(subset_choice& choice, const F& f, rows chosen = {}, std::size_t i = 0) {
  if (i == choice.rows()) {
    if (chosen.size() == choice.size()) f(chosen);
    return;
  }
  if (choice[i] != subset_choice::gone) {
    chosen.push_back(i);
    each_subset(choice, f, chosen, i + 1);
    chosen.pop_back();
  }
  if (choice[i] != subset_choice::kept) each_subset(choice, f, chosen, i + 1);
}

void decide(subset_choice& choice, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::size_t kept = 0, gone = 0;
  for (std::size_t i = 0; i < choice.rows(); ++i) {
    const auto r = random() % 4;
    if (r == 0 && kept < choice.size()) ++kept, choice[i] = subset_choice::kept;
    if (r == 1 && gone < choice.rows() - choice.size()) ++gone, choice[i] = subset_choice::gone;
  }
}

} // namespace

TEST_CASE("rows are listed by their state") {
  fedagg::arena memory;
  subset_choice choice(5, 2, memory);
  std::size_t listed[5];
  CHECK(choice.list(true, listed) == 5);
  CHECK(choice.list(false, listed) == 0);
  choice[3] = subset_choice::kept;
  choice[0] = subset_choice::gone;
  CHECK(choice.list(true, listed) == 4);
  CHECK(listed[0] == 1);
  CHECK(choice.list(false, listed) == 1);
  CHECK(listed[0] == 3);
  choice.reopen();
  CHECK(choice.list(true, listed) == 5);
}

TEST_CASE("the farthest open row, the last of those as far") {
  fedagg::arena memory;
  subset_choice choice(5, 2, memory);
  const double along[] = {3, -3, 1, 2, 0};
  CHECK(choice.farthest(along) == 1);
  choice[1] = subset_choice::kept;
  CHECK(choice.farthest(along) == 0);
  choice[0] = subset_choice::gone;
  CHECK(choice.farthest(along) == 3);
  for (std::size_t i = 0; i < 5; ++i) choice[i] = subset_choice::kept;
  CHECK(choice.farthest(along) == subset_choice::none);
}

TEST_CASE("the narrowest subset of numbers is that of a list of all") {
  for (const std::size_t n : {2u, 5u, 9u})
    for (std::size_t size = 1; size <= n; ++size)
      for (std::uint64_t seed = 0; seed < 12; ++seed) {
        fedagg::arena memory;
        subset_choice choice(n, size, memory);
        if (seed > 2) decide(choice, seed);
        const vector along = cloud(1, n, seed * 10 + n)[0];
        real least = 1e30L;
        each_subset(choice, [&](const rows& s) {
          real mean = 0, sum = 0;
          for (const std::size_t i : s) mean += along[i] / real(size);
          for (const std::size_t i : s) sum += (along[i] - mean) * (along[i] - mean);
          least = std::min(least, sum);
        });
        INFO("n=" << n << " size=" << size << " seed=" << seed);
        const double got = choice.narrowest(along);
        CHECK(got == Approx(static_cast<double>(least)).margin(1e-14));
        // One axis of width 4, in a scale of 2^3, above and below a floor.
        vector entries = along;
        principal_axes axes;
        axes.entries = entries;
        axes.widths[0] = 4;
        axes.count = 1;
        axes.exponent = 3;
        axes.noise = 1e-9;
        CHECK(choice.least_width(axes) == Approx(32 * got).margin(1e-7));
        CHECK(choice.least_width(axes) <= 32 * got);
        axes.floor = 5;
        CHECK(choice.least_width(axes) == Approx(40));
      }
}

TEST_CASE("whether the first subset that is possible comes before the best") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    fedagg::arena memory;
    subset_choice choice(7, 4, memory);
    rows first, best;
    each_subset(choice, [&](const rows& s) {
      if (best.empty() || cloud(1, 1, seed * 999 + s[1] * 7 + s[2])[0][0] > 0.3) best = s;
    });
    decide(choice, seed);
    each_subset(choice, [&](const rows& s) {
      if (first.empty()) first = s;
    });
    choice.set_best(best);
    for (std::size_t i = 0; i < 7; ++i) CHECK(choice.best(i) == (std::count(best.begin(), best.end(), i) == 1));
    CHECK(choice.may_come_first() == (first < best));
  }
}

TEST_CASE("copies of a row are the best subset where there are enough") {
  fedagg::arena memory;
  subset_choice choice(5, 3, memory);
  const shape of({{1, 2}, {0, 0}, {1, 2}, {5, 5}, {1, 2}}), other({{1, 2}, {0, 0}, {1, 2}, {5, 5}, {0, 0}});
  CHECK(!choice.take_copies(other.view()));
  CHECK(choice.take_copies(of.view()));
  CHECK((choice.best(0) && !choice.best(1) && choice.best(2) && !choice.best(3) && choice.best(4)));
}
