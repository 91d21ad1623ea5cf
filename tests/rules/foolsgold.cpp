// SPDX-License-Identifier: MIT
#include <fedagg/rules/foolsgold.hpp>

#include <algorithm>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/geometry.hpp"

using namespace shapes;
using fedagg::foolsgold;

namespace {

const matrix y8{{0.5, -0.14, 0.65, 1.52},    {-0.23, -0.23, 1.58, 0.77}, {-0.47, 0.54, -0.46, -0.47},
                {0.24, -1.91, -1.72, -0.56}, {-1.01, 0.31, -0.91, -1.41}, {1.47, -0.23, 0.07, -1.42},
                {6.5, -5.25, 4.0, -3.75},    {-7.0, 2.5, 8.25, 0.5}};

exact weights_of(const matrix& history) {
  const std::size_t n = history.size();
  std::vector<exact> cs(n, exact(n, 0));
  exact v(n, 0), a(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      const real p = norm(widen(history[i])) * norm(widen(history[j]));
      if (i == j || p == 0) continue;
      for (std::size_t k = 0; k < history[i].size(); ++k) cs[i][j] += real(history[i][k]) * history[j][k] / p;
      v[i] = std::max(v[i], cs[i][j]);
    }
  for (std::size_t i = 0; i < n; ++i) {
    real most = 0;
    for (std::size_t j = 0; j < n; ++j) most = std::max(most, v[j] > v[i] ? cs[i][j] * v[i] / v[j] : cs[i][j]);
    a[i] = 1 - most < 1e-6L ? 0 : 1 - most;
  }
  const real largest = *std::max_element(a.begin(), a.end());
  for (real& x : a) {
    x /= largest;
    if (x == 1) x = 0.99L;
    x = x > 0 ? std::clamp<real>(std::log(x / (1 - x)) + 0.5L, 0, 1) : real(0);
  }
  return a;
}

fedagg::cohort cohort_of(const matrix& x) {
  fedagg::cohort c;
  for (const vector& row : x) c.add(row);
  c.updates();
  return c;
}

} // namespace

TEST_CASE("values that others recomputed") {
  const answer a = solve(foolsgold{}, shape(y8));
  REQUIRE(a.code == errc::ok);
  check_near(widen(a.coefficients), widen({0.08834304601783854, 0, 0, 1, 0, 0, 0, 0}), 1e-12L);
}

TEST_CASE("the definition on coordinates") {
  for (const std::size_t n : {1u, 2u, 3u, 8u, 30u})
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      auto x = cloud(n, seed % 2 ? 4 : 40, seed * 100 + n);
      if (seed > 3 && n > 3) {
        x[1] = x[2]; // copies
        x[0] = vector(x[0].size());
        for (double& v : x[3]) v *= 1e30;
      }
      const answer a = solve(foolsgold{}, shape(x));
      INFO("n=" << n << " seed=" << seed);
      REQUIRE(a.code == errc::ok);
      check_near(widen(a.coefficients), weights_of(x), 1e-11L);
      CHECK(a.s.whole);
      CHECK(a.s.breakdown == 0);
      for (std::size_t i = 0; i < n; ++i) CHECK(a.scores[i] == 1 - a.coefficients[i]);
      if (seed > 3 && n > 3) CHECK((a.coefficients[1] == 0 && a.coefficients[2] == 0));
    }
}

TEST_CASE("clients that are all alike, or have no history yet") {
  for (const std::size_t n : {2u, 5u})
    for (const double size : {1.0, 1e30}) {
      CHECK(solve(foolsgold{}, shape(matrix(n, vector{size, 0.3 * size, -size}))).code == errc::no_client_selected);
      matrix x;
      for (std::size_t i = 0; i < n; ++i) x.push_back({0.1 * size * double(i + 1), 0.7 * size * double(i + 1), -0.3 * size * double(i + 1)});
      CHECK(solve(foolsgold{}, shape(x)).code == errc::no_client_selected);
    }
  const answer none = solve(foolsgold{}, shape(matrix(4, vector(3))));
  CHECK(none.code == errc::ok);
  CHECK(none.coefficients == vector(4, 1.0));
  extras e;
  e.origin = false;
  CHECK(solve(foolsgold{}, shape(y8, e)).code == errc::missing_origin);
}

TEST_CASE("a round: the history judges, the updates are averaged") {
  const auto history = cloud(6, 50, 1);
  const auto x = cloud(6, 50, 2);
  const exact a = weights_of(history);
  real total = 0;
  exact want(50, 0);
  for (const real w : a) total += w;
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < 50; ++j) want[j] += a[i] / total * x[i][j];
  const fedagg::cohort sums = cohort_of(history);
  for (const bool models : {false, true}) {
    const vector base(50, models ? 2.0 : 0.0);
    fedagg::cohort clients;
    auto sent = x;
    for (vector& row : sent) {
      for (double& v : row) v += models ? 2 : 0;
      clients.add(row);
    }
    fedagg::model_view global;
    global.add("", base);
    if (models) clients.base(global);
    vector out(50);
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(foolsgold{}, clients.history(sums), out, space) == errc::ok);
    exact moved = want;
    for (real& v : moved) v += models ? 2 : 0;
    check_near(widen(out), moved, 1e-12L);
    for (std::size_t i = 0; i < 6; ++i) CHECK(std::abs(space.result().coefficients[i] - a[i] / total) <= 1e-12L);
  }
}

TEST_CASE("a bad update or a bad history is found, and its client left out") {
  constexpr double not_a_number = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
  for (const bool in_history : {false, true}) {
    auto history = cloud(6, 500, 1), x = cloud(6, 500, 2);
    (in_history ? history : x)[2][499] = not_a_number;
    auto rest_history = history, rest = x;
    rest_history.erase(rest_history.begin() + 2);
    rest.erase(rest.begin() + 2);
    vector out(500), want(500);
    fedagg::workspace space, other;
    const fedagg::cohort sums = cohort_of(history), rest_sums = cohort_of(rest_history);
    fedagg::cohort clients = cohort_of(x), some = cohort_of(rest);
    REQUIRE(fedagg::try_aggregate(foolsgold{}, clients.history(sums), out, space) == errc::ok);
    REQUIRE(fedagg::try_aggregate(foolsgold{}, some.history(rest_sums), want, other) == errc::ok);
    CHECK(out == want);
    REQUIRE(space.result().rejected.size() == 1);
    CHECK(space.result().rejected[0].client == 2);
    CHECK(space.result().rejected[0].reason == errc::non_finite);
  }
}

TEST_CASE("what a history must be") {
  const auto x = cloud(4, 6, 1);
  vector out(6);
  fedagg::workspace space;
  fedagg::cohort clients = cohort_of(x), sums;
  const auto run = [&] { return fedagg::try_aggregate(foolsgold{}, clients, out, space); };
  CHECK(run() == errc::missing_history);
  clients.history(sums);
  for (const vector& row : x) sums.add(row);
  CHECK(run() == errc::missing_history); // not declared as updates
  sums.updates();
  CHECK(run() == errc::ok);
  const vector more(6, 1.0), longer(7, 1.0);
  sums.add(more);
  CHECK(run() == errc::layout_mismatch);
  sums.clear();
  for (std::size_t i = 0; i < 3; ++i) sums.add(x[i]);
  sums.add(longer).updates();
  CHECK(run() == errc::layout_mismatch);
  CHECK(space.result().state == fedagg::output::untouched);
  clients.clear();
  CHECK(clients.history() == nullptr);
}
