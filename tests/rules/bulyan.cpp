// SPDX-License-Identifier: MIT
#include <fedagg/rules/bulyan.hpp>

#include <algorithm>

#include <fedagg/mixing/nnm.hpp>

#include "compiled/rules.hpp"
#include "support/geometry.hpp"
#include "support/numeric.hpp"

using namespace shapes;
using fedagg::bulyan;
using fedagg::krum_runs;

namespace {

/// The definition: Krum from the coordinates, run again on the rows that are left; it sums distances to a power over
/// all of them but f and `less`.
std::vector<std::size_t> picks_of(const matrix& x, std::size_t f, bool again, std::size_t less = 2, int power = 2) {
  std::vector<std::size_t> left(x.size()), picked;
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = i;
  const std::size_t theta = x.size() - 2 * f;
  while (picked.size() < theta) {
    const std::size_t m = left.size();
    std::vector<std::pair<real, std::size_t>> scores;
    for (const std::size_t i : left) {
      exact d;
      for (const std::size_t j : left)
        if (j != i) {
          // Exact for even powers, whose scores tie on a grid.
          const real square = square_distance(x[i], x[j]);
          d.push_back((power % 2 ? std::sqrt(square) : square) * (power > 2 ? square : 1));
        }
      std::sort(d.begin(), d.end());
      const std::size_t neighbours = std::min(m - 1, m > f + less + 1 ? m - f - less : 1);
      real sum = 0;
      for (std::size_t k = 0; k < neighbours; ++k) sum += d[k];
      scores.emplace_back(sum, i);
    }
    std::sort(scores.begin(), scores.end());
    for (std::size_t k = 0; k < (again ? 1 : theta); ++k) {
      picked.push_back(scores[k].second);
      left.erase(std::find(left.begin(), left.end(), scores[k].second));
    }
  }
  return picked;
}

/// Of each column the mean of all but 2f values, those nearest the median.
exact middle_of(const matrix& x, const std::vector<std::size_t>& picked, std::size_t f, std::size_t short_by = 0) {
  exact out;
  for (std::size_t j = 0; j < x[0].size(); ++j) {
    exact column;
    for (const std::size_t i : picked) column.push_back(x[i][j]);
    std::sort(column.begin(), column.end());
    const std::size_t s = column.size();
    const real median = (column[(s - 1) / 2] + column[s / 2]) / 2;
    std::stable_sort(column.begin(), column.end(), [&](real a, real b) { return std::abs(a - median) < std::abs(b - median); });
    real sum = 0;
    const std::size_t kept = s - 2 * f - short_by;
    for (std::size_t k = 0; k < kept; ++k) sum += column[k];
    out.push_back(sum / real(kept));
  }
  return out;
}

/// The whole rule on a cohort of doubles.
template <class Rule>
vector aggregated(const Rule& rule, const matrix& x, errc want = errc::ok) {
  fedagg::cohort clients;
  for (const vector& row : x) clients.add(row);
  vector out(x[0].size());
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(rule, clients, out, space) == want);
  return out;
}

std::vector<std::size_t> in_order(const answer& a) {
  std::vector<std::size_t> rows = a.selected();
  std::sort(rows.begin(), rows.end(), [&](std::size_t i, std::size_t k) { return a.scores[i] < a.scores[k]; });
  return rows;
}

void check_vector(const bulyan& rule, const matrix& x, const std::vector<std::size_t>& order, const vector& expected) {
  const answer a = solve(rule, shape(x));
  REQUIRE(a.code == errc::ok);
  CHECK(in_order(a) == order);
  check_near(widen(aggregated(rule, x)), widen(expected), 1e-9L);
}

const matrix y8{{0.5, -0.14, 0.65, 1.52},    {-0.23, -0.23, 1.58, 0.77}, {-0.47, 0.54, -0.46, -0.47},
                {0.24, -1.91, -1.72, -0.56}, {-1.01, 0.31, -0.91, -1.41}, {1.47, -0.23, 0.07, -1.42},
                {6.5, -5.25, 4.0, -3.75},    {-7.0, 2.5, 8.25, 0.5}};
const matrix disagreed{{-6, 5}, {6, -3}, {7, 0}, {-1, -5}, {-2, 7}, {7, -2}, {3, 6}, {8, -2}, {7, 3}, {4, 2}, {-8, 6}};

} // namespace

TEST_CASE("values that others recomputed, and where the two selections part") {
  const vector y8_mean{0.010000000000000009, -0.0725, -0.1625, -0.965};
  check_vector(bulyan{.f = 1}, y8, {2, 5, 0, 4, 1, 3}, y8_mean);
  check_vector(bulyan::flower(1), y8, {2, 5, 4, 0, 1, 3}, y8_mean);
  check_vector(bulyan::el_mhamdi(2), disagreed, {2, 9, 5, 4, 8, 1, 0}, {6.666666666666667, 1.6666666666666667});
  const answer a = solve(bulyan::flower(2), shape(disagreed));
  CHECK(in_order(a) == std::vector<std::size_t>{2, 9, 5, 1, 8, 7, 6});
  // The published second coordinate is 0, the mean of 0, 2 and -2: of -2, -2 and 2, which are as near the median 0, the
  // rows picked first. Here the lower values are nearer, so that the order of the clients does not matter.
  const vector out = aggregated(bulyan::flower(2), disagreed);
  CHECK(std::abs(out[0] - 7) <= 1e-9);
  CHECK(std::abs(out[1] - (0.0 - 2.0 - 2.0) / 3) <= 1e-15);
}

TEST_CASE("the definition: Krum again after each pick, and the values nearest the median") {
  for (std::size_t f = 0; f <= 5; ++f)
    for (const std::size_t more : {0u, 1u, 2u, 7u})
      for (std::uint64_t seed = 0; seed < 4; ++seed) {
        const std::size_t n = 4 * f + 3 + more;
        auto x = cloud(n, 5, seed * 100 + n);
        // On a grid, where scores tie.
        if (seed == 3)
          for (auto& row : x)
            for (double& v : row) v = std::round(2 * v);
        for (const bool again : {true, false}) {
          const bulyan rule{.f = static_cast<std::int64_t>(f), .selection = again ? krum_runs::iterated : krum_runs::one_shot};
          const answer a = solve(rule, shape(x));
          INFO("n=" << n << " f=" << f << " seed=" << seed << " again=" << again);
          REQUIRE(a.code == errc::ok);
          CHECK(a.s.breakdown == f);
          auto want = picks_of(x, f, again);
          if (again) {
            for (std::size_t k = 0; k < want.size(); ++k) CHECK(a.scores[want[k]] == static_cast<double>(k));
            for (std::size_t i = 0; i < n; ++i)
              if (a.coefficients[i] == 0) CHECK(a.scores[i] == static_cast<double>(want.size()));
          }
          // 2f of theta values are dropped: more than half of them where f is large.
          check_near(widen(aggregated(rule, x)), middle_of(x, want, f), 1e-14L);
          std::sort(want.begin(), want.end());
          CHECK(a.selected() == want);
        }
      }
}

TEST_CASE("Krum's neighbours and power, and how many values are averaged") {
  using fedagg::nearest;
  for (const std::size_t f : {0u, 1u, 2u, 4u})
    for (const auto& [neighbours, less] : {std::pair{nearest::n_f_2, 2u}, std::pair{nearest::n_f_2_or_1, 2u},
                                          std::pair{nearest::n_f_1, 1u}, std::pair{nearest::n_f, 0u}})
      for (const int power : {1, 2, 3, 4})
        for (const bool again : {true, false})
          for (const std::size_t short_by : {0u, 1u, 2u}) {
            const std::size_t n = 4 * f + 3 + (f + less) % 3;
            const auto x = cloud(n, 3, 10 * n + less);
            const bulyan rule{.f = static_cast<std::int64_t>(f),
                              .selection = again ? krum_runs::iterated : krum_runs::one_shot,
                              .neighbours = neighbours,
                              .power = power,
                              .short_by = static_cast<std::int64_t>(short_by)};
            auto want = picks_of(x, f, again, less, power);
            const answer a = solve(rule, shape(x));
            INFO("f=" << f << " less=" << less << " power=" << power << " again=" << again << " short=" << short_by);
            REQUIRE(a.code == errc::ok);
            CHECK(a.s.breakdown == f);
            check_near(widen(aggregated(rule, x)), middle_of(x, want, f, short_by), 1e-14L);
            std::sort(want.begin(), want.end());
            CHECK(a.selected() == want);
          }
}

TEST_CASE("presets reproduce what was published") {
  // Flower's two: flwr.serverapp.strategy.Bulyan, and flwr.server.strategy before it, which is the paper's.
  CHECK(solve(bulyan::flower(2), shape(disagreed)).selected() == std::vector<std::size_t>{1, 2, 5, 6, 7, 8, 9});
  CHECK(solve(bulyan::flower_legacy(2), shape(disagreed)).selected() == std::vector<std::size_t>{0, 1, 2, 4, 5, 8, 9});
  // FedML's: n - f others, distances as they are, and one value less than theta - 2f.
  std::size_t differ = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::size_t f = 1 + seed % 2, n = 4 * f + 3 + seed % 4;
    const auto x = cloud(n, 3, seed);
    std::vector<std::size_t> left(n), picked;
    for (std::size_t i = 0; i < n; ++i) left[i] = i;
    while (picked.size() < n - 2 * f) {
      const std::size_t m = n - picked.size();
      real least = 1e20L;
      std::size_t best = n;
      for (const std::size_t i : left) {
        exact errors;
        for (const std::size_t j : left)
          if (j != i) errors.push_back(std::sqrt(square_distance(x[i], x[j])));
        std::sort(errors.begin(), errors.end());
        real error = 0;
        for (std::size_t k = 0; k < std::min(errors.size(), m - f); ++k) error += errors[k];
        if (error < least) least = error, best = i;
      }
      picked.push_back(best);
      left.erase(std::find(left.begin(), left.end(), best));
    }
    exact want;
    for (std::size_t j = 0; j < 3; ++j) {
      exact column;
      for (const std::size_t i : picked) column.push_back(x[i][j]);
      std::sort(column.begin(), column.end());
      const std::size_t s = column.size();
      const real median = (column[(s - 1) / 2] + column[s / 2]) / 2;
      for (real& v : column) v -= median;
      std::stable_sort(column.begin(), column.end(), [](real a, real b) { return std::abs(a) < std::abs(b); });
      real sum = 0;
      for (std::size_t k = 0; k < s - 2 * f - 1; ++k) sum += column[k];
      want.push_back(sum / real(s - 2 * f - 1) + median);
    }
    const vector got = aggregated(bulyan::fedml(static_cast<std::int64_t>(f)), x);
    check_near(widen(got), want, 1e-14L);
    differ += got != aggregated(bulyan::el_mhamdi(static_cast<std::int64_t>(f)), x);
  }
  CHECK(differ == 20);
}

TEST_CASE("what Bulyan refuses") {
  const auto code = [](const bulyan& r, std::size_t n) { return solve(r, shape(cloud(n, 2, n))).code; };
  CHECK(code(bulyan{}, 9) == errc::bad_parameter);
  CHECK(code(bulyan{.f = 1, .selection = static_cast<krum_runs>(2)}, 9) == errc::bad_parameter);
  for (std::int64_t f = 0; f < 4; ++f)
    for (std::size_t n = 1; n < 20; ++n)
      for (const bulyan& r : {bulyan::el_mhamdi(f), bulyan::flower(f)}) {
        INFO("n=" << n << " f=" << f);
        CHECK(code(r, n) == (static_cast<std::int64_t>(n) >= 4 * f + 3 ? errc::ok : errc::too_few_clients));
      }
  CHECK(code(bulyan{.f = INT64_MAX}, 9) == errc::too_few_clients);
  CHECK(code(bulyan{.f = 1, .neighbours = static_cast<fedagg::nearest>(4)}, 9) == errc::bad_parameter);
  CHECK(code(bulyan{.f = 1, .power = 0}, 9) == errc::bad_parameter);
  CHECK(code(bulyan{.f = 1, .power = 5}, 9) == errc::bad_parameter);
  CHECK(code(bulyan{.f = 1, .short_by = -1}, 9) == errc::bad_parameter);
  CHECK(code(bulyan{.f = 1, .short_by = 4}, 9) == errc::ok);
  CHECK(code(bulyan{.f = 1, .short_by = 5}, 9) == errc::too_few_clients);
  fedagg::nearest_values v;
  CHECK(bulyan{}.second(5, v) == errc::bad_parameter);
  CHECK(bulyan{.f = 2}.second(4, v) == errc::too_few_clients);
  CHECK(bulyan{.f = 0}.second(0, v) == errc::too_few_clients);
  CHECK(bulyan{.f = 2}.second(5, v) == errc::ok);
  CHECK(bulyan{.f = 2, .short_by = 1}.second(5, v) == errc::too_few_clients);
  CHECK(bulyan{.f = 2, .short_by = -1}.second(5, v) == errc::bad_parameter);
}

TEST_CASE("identical rows, ties and without hostile clients the mean of all") {
  const answer same = solve(bulyan{.f = 1}, shape(matrix(8, vector{1, 2})));
  CHECK(in_order(same) == std::vector<std::size_t>{0, 1, 2, 3, 4, 5});
  CHECK(aggregated(bulyan{.f = 1}, matrix(8, vector{1, 2})) == vector{1, 2});
  const auto x = cloud(3, 4, 1);
  for (const bulyan& r : {bulyan::el_mhamdi(0), bulyan::flower(0)}) {
    CHECK(solve(r, shape(x)).selected() == std::vector<std::size_t>{0, 1, 2});
    check_near(widen(aggregated(r, x)), mean_of(x, {0, 1, 2}), 1e-15L);
  }
}

TEST_CASE("whatever hostile rows hold, nothing farther from the median than an honest value is averaged") {
  for (const std::size_t f : {1u, 3u})
    for (const double far : {10.0, 1e15, 1e30, 1e150})
      for (const std::int64_t pattern : {0, 1, 2}) {
        const std::size_t n = 4 * f + 3;
        auto x = cloud(n, 6, n);
        const auto hostile = [&](std::size_t i) { return i % 4 == 1 && i / 4 < f; };
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < 6 && hostile(i); ++j)
            // Alone, all alike, or honest but for one coordinate.
            x[i][j] = pattern == 0   ? far * static_cast<double>(i + j)
                      : pattern == 1 ? far
                      : j == i % 6   ? far
                                     : x[i][j];
        for (const bool again : {true, false}) {
          const bulyan rule{.f = static_cast<std::int64_t>(f),
                            .selection = again ? krum_runs::iterated : krum_runs::one_shot};
          const vector out = aggregated(rule, x);
          const auto picked = picks_of(x, f, again);
          INFO("f=" << f << " far=" << far << " pattern=" << pattern);
          for (std::size_t j = 0; j < 6; ++j) {
            vector all, honest;
            for (const std::size_t i : picked) {
              all.push_back(x[i][j]);
              if (!hostile(i)) honest.push_back(x[i][j]);
            }
            std::sort(all.begin(), all.end());
            std::sort(honest.begin(), honest.end());
            const double median = (all[(all.size() - 1) / 2] + all[all.size() / 2]) / 2;
            CHECK((median >= honest.front() && median <= honest.back()));
            CHECK(std::abs(out[j] - median) <= std::max(median - honest.front(), honest.back() - median));
          }
        }
      }
}

TEST_CASE("a value between the honest ones is not promised") {
  // The fifth client is hostile. All picked are near; of the five values -10, -10, 0, 0, 5 it is among the three that
  // are nearest the median.
  const matrix x{{0, -10}, {0, -10}, {0, 0}, {0, 0}, {0, 5}, {1000, 0}, {-1000, 0}};
  const answer a = solve(bulyan{.f = 1}, shape(x));
  REQUIRE(a.code == errc::ok);
  CHECK(a.selected() == std::vector<std::size_t>{0, 1, 2, 3, 4});
  const vector out = aggregated(bulyan{.f = 1}, x);
  CHECK(out[0] == 0);
  // Honest clients send no more than 0.
  CHECK(std::abs(out[1] - 5.0 / 3) <= 1e-15);
}

TEST_CASE("behind a mixing stage it works on the mixed rows") {
  const auto x = cloud(11, 5, 3);
  const mixed m = mix(fedagg::nnm{.f = 2}, shape(x));
  REQUIRE(m.code == errc::ok);
  matrix rows;
  for (const exact& r : m.rows) rows.emplace_back(r.begin(), r.end());
  check_near(widen(aggregated(fedagg::nnm{.f = 2} | bulyan{.f = 2}, x)), middle_of(rows, picks_of(rows, 2, true), 2), 1e-12L);
}

TEST_CASE("rejected clients count as absent") {
  auto x = cloud(7, 3, 2);
  x[4][1] = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
  aggregated(bulyan{.f = 1}, x, errc::too_few_clients);
  x.push_back(x[0]);
  matrix rest = x;
  rest.erase(rest.begin() + 4);
  check_near(widen(aggregated(bulyan{.f = 1}, x)), middle_of(rest, picks_of(rest, 1, true), 1), 1e-14L);
}
