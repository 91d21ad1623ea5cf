// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/secure/graph_parameters.hpp>
#include <fedagg/secure/mask_graph.hpp>

#include "support/catch.hpp"

using fedagg::check_graph;
using fedagg::errc;
using fedagg::find_graph_risk;
using fedagg::graph_parameters;
using fedagg::graph_risk;
using fedagg::graph_setting;
using fedagg::threat_model;
using fedagg::try_find_graph;
using fedagg::detail::harary_risk;
using fedagg::detail::log_probability;

static_assert(check_graph({10, 4, 4, threat_model::curious}, {9, 5}) == errc::ok);

namespace {

double shown(std::int64_t p) {
  return p <= log_probability::never / 2 ? -1e9 : static_cast<double>(p) / static_cast<double>(log_probability::one);
}

long double choose(unsigned n, unsigned k) {
  if (k > n) return 0;
  long double c = 1;
  for (unsigned i = 1; i <= k; ++i) c = c * (n - k + i) / i;
  return c;
}

/// log2 of P(X >= t) for the hypergeometric X, by the definition; what is lost below 2^-60 of the first term.
double tail(unsigned all, unsigned marked, unsigned draws, unsigned t) {
  const auto log_choose = [](unsigned n, unsigned k) {
    return std::lgamma(n + 1.0L) - std::lgamma(k + 1.0L) - std::lgamma(n - k + 1.0L);
  };
  long double sum = 0, first = 0;
  for (unsigned j = t; j <= marked && j <= draws; ++j) {
    if (draws - j > all - marked) continue;
    const long double term = log_choose(marked, j) + log_choose(all - marked, draws - j) - log_choose(all, draws);
    if (sum == 0) first = term;
    sum += std::exp(term - first);
    if (term < first - 42) break;
  }
  return sum > 0 ? static_cast<double>((std::log(sum) + first) / std::log(2.0L)) : -1e9;
}

graph_risk risk(const graph_setting& s, const graph_parameters& g) {
  graph_risk r;
  REQUIRE(find_graph_risk(s, g, r) == errc::ok);
  return r;
}

/// Sets of clients as bits.
using set = std::uint32_t;

std::vector<set> neighbourhoods(std::uint32_t n, std::uint32_t k) {
  fedagg::digest seed{};
  seed[0] = static_cast<std::uint8_t>(n), seed[1] = static_cast<std::uint8_t>(k);
  fedagg::mask_graph graph;
  REQUIRE(graph.try_reset(n, k, seed) == errc::ok);
  std::vector<set> near(n);
  for (std::uint32_t i = 0; i < n; ++i)
    for (std::uint32_t j = 0; j < n; ++j)
      if (graph.are_neighbours(i, j)) near[i] |= set{1} << j;
  return near;
}

bool apart(const std::vector<set>& near, set survivors) {
  if (survivors == 0) return false;
  set reached = survivors & (0 - survivors), before = 0;
  while (reached != before) {
    before = reached;
    for (std::size_t i = 0; i < near.size(); ++i)
      if (before >> i & 1) reached |= near[i] & survivors;
  }
  return reached != survivors;
}

/// The most members of `of` that are neighbours of one of the others' or of their own.
unsigned most(const std::vector<set>& near, set of) {
  unsigned most = 0;
  for (const set around : near) most = std::max(most, static_cast<unsigned>(std::popcount(around & of)));
  return most;
}

} // namespace

TEST_CASE("logarithms of factorials") {
  long double sum = 0;
  for (std::uint64_t n = 0; n <= 3000; ++n) {
    if (n > 1) sum += std::log2(static_cast<long double>(n));
    if (std::fabs(shown(log_probability::factorial(n)) - static_cast<double>(sum)) > 0x1p-29) FAIL_CHECK(n);
  }
  for (std::uint64_t n : {10000u, 99999u, 1000000u, 1048576u}) {
    const long double expected = std::lgamma(static_cast<long double>(n) + 1) / std::log(2.0L);
    CHECK(std::fabs(shown(log_probability::factorial(n)) - static_cast<double>(expected)) < 0x1p-28);
  }
}

TEST_CASE("tails are bounded from above, and closely, for all small numbers") {
  double loosest = 0;
  for (unsigned all = 1; all <= 16; ++all)
    for (unsigned marked = 0; marked <= all; ++marked)
      for (unsigned draws = 0; draws <= all; ++draws) {
        long double above = 0;
        for (unsigned t = draws + 2; t-- > 0;) {
          if (t <= draws) above += choose(marked, t) * choose(all - marked, draws - t);
          const std::int64_t bound = log_probability::tail(all, marked, draws, t);
          if (above == 0) {
            if (bound != log_probability::never) FAIL_CHECK(all << ' ' << marked << ' ' << draws << ' ' << t);
            continue;
          }
          const double truth = static_cast<double>(std::log2(above / choose(all, draws)));
          if (!(shown(bound) >= truth - 1e-12) && truth < -1e-12)
            FAIL_CHECK(all << ' ' << marked << ' ' << draws << ' ' << t);
          // Below what is expected the bound is 1.
          if (shown(bound) < 0) loosest = std::max(loosest, shown(bound) - truth);
        }
      }
  CHECK(loosest < 1e-6);
}

TEST_CASE("tails of large numbers, close to the sum in long double") {
  struct entry {
    unsigned all, marked, draws, t;
  };
  for (const entry e :
       {entry{1000, 450, 820, 416}, entry{1000, 330, 78, 60}, entry{10000, 3300, 418, 219},
        entry{1000000, 450000, 6192, 3130}, entry{1000000, 50000, 74, 30}, entry{1000000, 500000, 100000, 51500},
        entry{1048576, 1000, 1000, 12}, entry{1000, 999, 998, 998}, entry{500, 250, 100, 100}}) {
    const double bound = shown(log_probability::tail(e.all, e.marked, e.draws, e.t)),
                 truth = tail(e.all, e.marked, e.draws, e.t);
    CAPTURE(e.all, e.marked, e.draws, e.t, bound, truth);
    CHECK(bound >= truth - 1e-9);
    CHECK(bound <= truth + 0.05);
  }
}

TEST_CASE("sums of probabilities are bounded from above") {
  const auto either = [](double a, double b) {
    return shown(log_probability::either(static_cast<std::int64_t>(a * 0x1p34), static_cast<std::int64_t>(b * 0x1p34)));
  };
  for (const double a : {-0.5, -1.0, -20.25, -41.0, -41.5, -300.0})
    for (const double b : {-0.5, -1.0, -20.25, -41.0, -41.5, -300.0, -2000.0}) {
      const double sum = std::log2(std::exp2(a - std::max(a, b)) + std::exp2(b - std::max(a, b))) + std::max(a, b);
      CAPTURE(a, b);
      CHECK(either(a, b) >= std::min(0.0, sum) - 1e-13);
      CHECK(either(a, b) <= std::min(0.0, sum) + 1e-8);
      CHECK(either(b, a) == either(a, b));
    }
  CHECK(log_probability::either(log_probability::never, log_probability::never) == log_probability::never);
  CHECK(log_probability::either(log_probability::never, -5) == -5);
}

TEST_CASE("what falls apart: the bound against every set of missing clients") {
  for (std::uint32_t n = 4; n <= 12; ++n)
    for (std::uint32_t k = 2; k + 1 < n; k += 2) {
      const std::vector<set> near = neighbourhoods(n, k);
      std::vector<double> cut(n + 1), all(n + 1);
      for (set missing = 0; missing < set{1} << n; ++missing) {
        const auto size = static_cast<std::size_t>(std::popcount(missing));
        all[size] += 1;
        cut[size] += apart(near, ~missing & ((set{1} << n) - 1));
      }
      double worst = 0;
      for (std::uint32_t b = 0; b < n; ++b) {
        // Fewer may be missing than were declared.
        worst = std::max(worst, cut[b] / all[b]);
        const double bound = shown(harary_risk({n, b / 2, b - b / 2, threat_model::curious}).apart(k));
        CAPTURE(n, k, b, cut[b], bound);
        if (worst == 0)
          CHECK(bound == -1e9);
        else
          CHECK(bound >= std::log2(worst) - 1e-12);
        // With as many as it takes, no more, each way to cut is counted once.
        if (b == k) CHECK(bound <= std::log2(worst) + 1e-6);
      }
    }
}

TEST_CASE("who is surrounded: the bound against every set of clients") {
  for (std::uint32_t n = 4; n <= 12; ++n)
    for (std::uint32_t k = 2; k + 1 < n; k += 2) {
      const std::vector<set> near = neighbourhoods(n, k);
      std::vector<std::vector<double>> hit(n + 1, std::vector<double>(k + 2));
      std::vector<double> all(n + 1);
      for (set bad = 0; bad < set{1} << n; ++bad) {
        const auto size = static_cast<std::size_t>(std::popcount(bad));
        all[size] += 1;
        for (unsigned count = 0; count <= most(near, bad); ++count) hit[size][count] += 1;
      }
      for (std::uint32_t b = 0; b < n; ++b)
        for (std::uint32_t count = 0; count <= k + 1; ++count) {
          const harary_risk r({n, b, b, threat_model::curious});
          const double truth = hit[b][count] == 0 ? -1e9 : std::log2(hit[b][count] / all[b]);
          if (shown(r.surrounded(k, count)) < truth - 1e-12) FAIL_CHECK(n << ' ' << k << ' ' << b << ' ' << count);
          if (truth < -1e8 && count > std::min(b, k)) CHECK(shown(r.surrounded(k, count)) == truth);
          CHECK(r.deserted(k, count) == r.surrounded(k, count));
        }
    }
}

TEST_CASE("a server that chooses who leaves: the bound against every choice it has") {
  int telling = 0;
  const std::uint32_t most_colluding = 5;
  for (const std::uint32_t n : {7u, 11u, 13u})
    for (std::uint32_t k = 2; k <= 6 && k + 1 < n; k += 2) {
      const std::vector<set> near = neighbourhoods(n, k);
      // What clients accept at a threshold: each survivor has as many neighbours among the survivors.
      std::vector<unsigned> accepted(std::size_t{1} << n);
      for (set announced = 0; announced < accepted.size(); ++announced) {
        unsigned fewest = k;
        for (std::uint32_t i = 0; i < n; ++i)
          if (announced >> i & 1) fewest = std::min(fewest, static_cast<unsigned>(std::popcount(near[i] & announced)));
        accepted[announced] = fewest;
      }
      std::vector<std::vector<double>> cut(n, std::vector<double>(k + 1));
      std::vector<double> all(n);
      for (set colluding = 0; colluding < accepted.size() - 1; ++colluding) {
        if (std::popcount(colluding) > static_cast<int>(most_colluding)) continue;
        // The highest threshold at which the server can part the honest survivors; up to k / 2 the bound is 1.
        unsigned highest = k / 2;
        for (set announced = 0; announced < accepted.size(); ++announced)
          if (accepted[announced] > highest && apart(near, announced & ~colluding)) highest = accepted[announced];
        const auto c = static_cast<std::size_t>(std::popcount(colluding));
        all[c] += 1;
        for (unsigned t = k / 2 + 1; t <= highest; ++t) cut[c][t] += 1;
      }
      for (std::uint32_t t = 1; t <= k / 2; ++t)
        CHECK(risk({n, 0, 0, threat_model::curious, true}, {k, t}).disclosure == 0);
      for (std::uint32_t c = 0; c < n && c <= most_colluding; ++c)
        for (std::uint32_t t = k / 2 + 1; t <= k; ++t) {
          const graph_risk r = risk({n, c, 0, threat_model::curious, true}, {k, t});
          CAPTURE(n, k, c, t, cut[c][t], r.disclosure);
          if (cut[c][t] == 0) continue;
          telling += r.disclosure < 0;
          if (r.disclosure < std::log2(cut[c][t] / all[c]) - 1e-12)
            CHECK(r.disclosure >= std::log2(cut[c][t] / all[c]));
        }
    }
  CHECK(telling > 0);
}

TEST_CASE("disclosure and failure as a whole: every pair of colluding and leaving clients") {
  const std::uint32_t n = 8;
  for (std::uint32_t k = 2; k + 1 < n; k += 2) {
    const std::vector<set> near = neighbourhoods(n, k);
    for (const auto model : {threat_model::curious, threat_model::semi_malicious}) {
      // By sizes and overlap: a random order makes all pairs of the same three numbers alike.
      double disclosed[8][8][9][9] = {}, failed[8][8][9][9] = {}, all[8][8][9] = {};
      for (set colluding = 0; colluding < 255; ++colluding)
        for (set leaving = 0; leaving < 255; ++leaving) {
          const int c = std::popcount(colluding), d = std::popcount(leaving), both = std::popcount(colluding & leaving);
          const bool cut = apart(near, ~(colluding | leaving) & 255);
          const unsigned worst = most(near, colluding), gone = most(near, leaving);
          all[c][d][both] += 1;
          for (std::uint32_t t = 1; t <= k; ++t) {
            disclosed[c][d][both][t] += cut || (model == threat_model::curious ? worst >= t : worst + k >= 2 * t);
            failed[c][d][both][t] += k - gone < t;
          }
        }
      for (std::uint32_t c = 0; c < n; ++c)
        for (std::uint32_t d = 0; d < n; ++d)
          for (std::uint32_t both = 0; both <= n; ++both)
            for (std::uint32_t t = 1; t <= k && all[c][d][both] != 0; ++t) {
              const graph_risk r = risk({n, c, d, model}, {k, t});
              const double secret = disclosed[c][d][both][t] / all[c][d][both],
                           live = failed[c][d][both][t] / all[c][d][both];
              CAPTURE(k, t, c, d, both);
              if (secret != 0 && r.disclosure < std::log2(secret) - 1e-12) CHECK(r.disclosure >= std::log2(secret));
              if (live != 0 && r.failure < std::log2(live) - 1e-12) CHECK(r.failure >= std::log2(live));
            }
    }
  }
}

TEST_CASE("at least as tight as Google's parameter finder, on every row of its tests") {
  std::ifstream in(FEDAGG_TESTS_DIR "/data/secret_sharing.json");
  const auto all = nlohmann::json::parse(in, nullptr, false);
  REQUIRE(all.is_array());
  int rows = 0, smaller = 0, complete = 0;
  for (const auto& entry : all) {
    if (entry["id"] != "graph-parameters") continue;
    for (const auto& row : entry["rows"]) {
      ++rows;
      const std::uint32_t n = row["n"];
      // Google's finder rounds both shares of the clients down.
      const auto part = [&](const char* key) {
        return static_cast<std::uint32_t>((row[key].get<double>() + 1e-14) * n);
      };
      const graph_setting setting{n, part("adversarial"), part("dropout"),
                                  row["model"] == "curious" ? threat_model::curious : threat_model::semi_malicious};
      CAPTURE(n, setting.colluding, setting.dropouts, row.dump());
      graph_parameters found;
      REQUIRE(try_find_graph(setting, found) == errc::ok);
      CHECK(check_graph(setting, found) == errc::ok);
      if (row.contains("infeasible")) {
        // Where no sparse graph will do, the complete one does, and nothing is left to chance.
        CHECK(found.degree == n - 1);
        CHECK(fedagg::check_complete(n, found.threshold, setting.colluding, setting.dropouts, setting.model) ==
              errc::ok);
        ++complete;
      } else {
        CHECK(found.degree <= row["degree"]);
        CHECK(found.threshold <= row["threshold"]);
        smaller += found.degree < row["degree"];
      }
    }
  }
  CHECK(rows == 54);
  CHECK(complete == 2);
  CHECK(smaller == 18);
}

TEST_CASE("what is found is the least degree, and the least threshold for it") {
  for (const bool adaptive : {false, true})
    for (const auto model : {threat_model::curious, threat_model::semi_malicious, threat_model::malicious})
      for (std::uint32_t n : {1u, 2u, 3u, 4u, 5u, 6u, 9u, 10u, 17u, 40u, 110u})
        for (std::uint32_t c = 0; c <= n; c += n < 40 ? 1 + n / 9 : 1 + n / 5)
          for (std::uint32_t d = 0; d <= n; d += n < 40 ? 1 + n / 9 : 1 + n / 5) {
            const graph_setting setting{n, c, d, model, adaptive};
            graph_parameters first;
            for (std::uint32_t k = 0; k < n && first.threshold == 0; ++k)
              for (std::uint32_t t = 1; t <= k + (k == n - 1) && first.threshold == 0; ++t)
                if (check_graph(setting, {k, t}) == errc::ok) first = {k, t};
            graph_parameters found{77, 88};
            const errc rc = try_find_graph(setting, found);
            CAPTURE(n, c, d, static_cast<int>(model));
            if (first.threshold == 0) {
              CHECK(rc == errc::insecure_parameters);
              CHECK((found.degree == 77 && found.threshold == 88));
            } else if (rc != errc::ok || found.degree != first.degree || found.threshold != first.threshold) {
              CHECK(rc == errc::ok);
              CHECK(found.degree == first.degree);
              CHECK(found.threshold == first.threshold);
            }
            if (model == threat_model::malicious && rc == errc::ok) CHECK(found.degree == n - 1);
          }
}

TEST_CASE("more to withstand never takes fewer neighbours") {
  for (const auto model : {threat_model::curious, threat_model::semi_malicious})
    for (const std::uint32_t n : {50u, 1000u, 100000u})
      for (std::uint32_t fixed = 0; fixed <= n / 4; fixed += n / 10) {
        std::uint32_t by_colluding = 0, by_dropouts = 0;
        for (std::uint32_t more = 0; more <= n / 4; more += n / 20) {
          graph_parameters a, b;
          REQUIRE(try_find_graph({n, more, fixed, model}, a) == errc::ok);
          REQUIRE(try_find_graph({n, fixed, more, model}, b) == errc::ok);
          CHECK(a.degree >= by_colluding);
          CHECK(b.degree >= by_dropouts);
          by_colluding = a.degree, by_dropouts = b.degree;
        }
      }
}

TEST_CASE("both bounds fall or rise with each number as they must") {
  const auto at = [](std::uint32_t c, std::uint32_t d, threat_model m, std::uint32_t k, std::uint32_t t) {
    return risk({1000, c, d, m}, {k, t});
  };
  for (const auto m : {threat_model::curious, threat_model::semi_malicious})
    for (std::uint32_t t = 60; t < 100; t += 3)
      for (std::uint32_t c = 0; c < 300; c += 50)
        for (std::uint32_t d = 0; d < 300; d += 50) {
          const graph_risk r = at(c, d, m, 100, t);
          CHECK(at(c, d, m, 100, t + 1).disclosure <= r.disclosure);
          CHECK(at(c, d, m, 100, t + 1).failure >= r.failure);
          CHECK(at(c + 1, d, m, 100, t).disclosure >= r.disclosure);
          CHECK(at(c, d + 1, m, 100, t).disclosure >= r.disclosure);
          CHECK(at(c, d + 1, m, 100, t).failure >= r.failure);
          CHECK(at(c + 1, d, m, 100, t).failure == r.failure);
          CHECK(at(c, d, threat_model::semi_malicious, 100, t).disclosure >= r.disclosure);
        }
}

TEST_CASE("what cannot be is refused") {
  graph_parameters out{1, 2};
  CHECK(try_find_graph({0, 0, 0, threat_model::curious}, out) == errc::bad_parameter);
  CHECK(try_find_graph({fedagg::max_graph_clients + 1, 0, 0, threat_model::curious}, out) == errc::bad_parameter);
  CHECK(try_find_graph({10, 10, 0, threat_model::curious}, out) == errc::insecure_parameters);
  CHECK(try_find_graph({10, 0, 10, threat_model::curious}, out) == errc::insecure_parameters);
  CHECK(try_find_graph({10, 5, 5, threat_model::curious}, out) == errc::insecure_parameters);
  CHECK((out.degree == 1 && out.threshold == 2));
  CHECK(try_find_graph({fedagg::max_graph_clients, 300000, 300000, threat_model::curious}, out) == errc::ok);

  graph_risk r{1, 2};
  const graph_setting ten{10, 1, 1, threat_model::curious};
  for (const graph_parameters g : {graph_parameters{0, 1}, {3, 2}, {10, 2}, {4, 0}, {4, 5}, {9, 0}, {9, 11}})
    CHECK(find_graph_risk(ten, g, r) == errc::bad_parameter);
  CHECK(find_graph_risk({0, 0, 0, threat_model::curious}, {0, 1}, r) == errc::bad_parameter);
  CHECK((r.disclosure == 1 && r.failure == 2));
  CHECK(check_graph(ten, {3, 2}) == errc::insecure_parameters);
  CHECK(check_graph(10, 4, 3, 1, 1, threat_model::curious) == errc::ok);
  CHECK(check_graph(10, 4, 3, 1, 1, threat_model::malicious) == errc::insecure_parameters);
  CHECK(check_graph(10, 9, 6, 1, 1, threat_model::malicious) == errc::ok);
  CHECK(check_graph(10, 9, 5, 1, 1, threat_model::malicious) == errc::insecure_parameters);
  CHECK(check_graph(10, 4, 3, 10, 1, threat_model::curious) == errc::insecure_parameters);
  CHECK(check_graph(10, 4, 3, 1, 10, threat_model::curious) == errc::insecure_parameters);
  const graph_risk complete = risk({10, 5, 5, threat_model::curious}, {9, 6});
  CHECK((complete.disclosure == graph_risk::never && complete.failure == 0));
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(fedagg::find_graph({.clients = 10, .colluding = 5, .dropouts = 5}), fedagg::error);
#endif
  const auto g =
      fedagg::find_graph({.clients = 1000, .colluding = 330, .dropouts = 50, .model = threat_model::semi_malicious});
  CHECK((g.degree == 132 && g.threshold == 109));
  const graph_setting adaptive{1000, 330, 50, threat_model::semi_malicious, true};
  CHECK(check_graph(adaptive, g) == errc::insecure_parameters);
  const auto larger = fedagg::find_graph(adaptive);
  CHECK((larger.degree == 144 && larger.threshold == 120));
}
