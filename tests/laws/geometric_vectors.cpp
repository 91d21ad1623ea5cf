// SPDX-License-Identifier: MIT
// Expected values from outside of this project, for the rules and mixing stages that work on the clients' geometry.
#include <algorithm>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <fedagg/mixing/arc.hpp>
#include <fedagg/mixing/bucketing.hpp>
#include <fedagg/mixing/nnm.hpp>
#include <fedagg/mixing/static_clipping.hpp>
#include <fedagg/rules/centered_clipping.hpp>
#include <fedagg/rules/fltrust.hpp>
#include <fedagg/rules/geometric_median.hpp>
#include <fedagg/rules/krum.hpp>
#include <fedagg/rules/mda.hpp>
#include <fedagg/rules/monna.hpp>
#include <fedagg/rules/multi_krum.hpp>

#include "support/geometry.hpp"

using namespace shapes;
using nlohmann::json;

namespace {

answer run(const std::string& rule, const json& params, const matrix& x, bool& done) {
  const std::int64_t f = params.value("f", std::int64_t{0});
  const auto has = [&](const char* word) { return rule.find(word) != std::string::npos; };
  done = true;
  if (rule == "MultiKrum" || rule == "MultiKrum [blanchard]") {
    const bool blanchard = has("blanchard");
    const std::int64_t q = params.contains("q") && params["q"].is_number() ? params["q"].get<std::int64_t>() : fedagg::unset;
    return solve(blanchard ? fedagg::multi_krum::blanchard(f, q) : fedagg::multi_krum::byzfl(f, q), shape(x));
  }
  if (has("Krum")) {
    const fedagg::krum r = has("FedML")                          ? fedagg::krum::fedml(f)
                           : has("4th power")                    ? fedagg::krum::fedlib(f)
                           : has("lanchard")                     ? fedagg::krum::blanchard(f)
                                                                 : fedagg::krum::byzfl(f);
    return solve(r, shape(x));
  }
  if (rule == "MDA") return solve(fedagg::mda{.f = f}, shape(x));
  if (rule == "MoNNA") return solve(fedagg::monna{.f = f, .pivot = params["idx"].get<std::int64_t>()}, shape(x));
  if (rule.starts_with("Geo")) return solve(fedagg::geometric_median{}, shape(x));
  if (rule == "CenteredClipping") {
    const fedagg::centered_clipping r{.tau = params["tau"].get<double>(), .iterations = params["L"].get<std::int64_t>()};
    extras e;
    if (params["v0"].is_array()) e.trusted = params["v0"].get<vector>();
    return solve(r, shape(x, e));
  }
  if (rule == "FLTrust") {
    extras e;
    e.trusted = params["server_update"].get<vector>();
    return solve(fedagg::fltrust{}, shape(x, e));
  }
  done = false;
  return {};
}

/// The trimmed mean of mixed rows, by sorting.
exact trimmed(const std::vector<exact>& rows, std::size_t f) {
  exact out(rows[0].size());
  for (std::size_t j = 0; j < out.size(); ++j) {
    std::vector<real> column;
    for (const exact& r : rows) column.push_back(r[j]);
    std::sort(column.begin(), column.end());
    for (std::size_t i = f; i < column.size() - f; ++i) out[j] += column[i] / real(column.size() - 2 * f);
  }
  return out;
}

matrix narrowed(const std::vector<exact>& rows) {
  matrix x;
  for (const exact& r : rows) x.emplace_back(r.begin(), r.end());
  return x;
}

/// The bucketing whose random order is the one given.
mixed in_order(std::int64_t size, const std::vector<std::size_t>& wanted, const shape& of) {
  for (std::int64_t seed = 0; seed < 10000; ++seed) {
    std::vector<std::size_t> order(wanted.size());
    fedagg::random_stream(static_cast<std::uint64_t>(seed), fedagg::bucketing::name).permutation(order);
    if (order == wanted) return mix(fedagg::bucketing{.size = size, .seed = seed}, of);
  }
  return {errc::no_client_selected, {}, {}, {}};
}

} // namespace

TEST_CASE("geometric values that others published or recomputed") {
  std::ifstream in(FEDAGG_TESTS_DIR "/data/geometric.json");
  const json all = json::parse(in, nullptr, false);
  REQUIRE(all.is_array());
  REQUIRE(all.size() == 29);
  for (const json& entry : all) {
    const std::string id = entry["id"], rule = entry["rule"];
    INFO(id);
    const json &params = entry["params"], &expected = entry["expected"];
    const auto x = entry["inputs"].get<matrix>();
    const auto f = params.value("f", std::size_t{0});
    const real tolerance = entry["tol"].get<double>();
    if (expected.is_array() && expected[0].is_array()) {
      const mixed m = rule == "ARC" ? mix(fedagg::arc{.f = static_cast<std::int64_t>(f)}, shape(x))
                                    : in_order(params["s"].get<std::int64_t>(),
                                               params["permutation"].get<std::vector<std::size_t>>(), shape(x));
      REQUIRE(m.code == errc::ok);
      const auto want = expected.get<matrix>();
      REQUIRE(m.rows.size() == want.size());
      for (std::size_t k = 0; k < want.size(); ++k) check_near(m.rows[k], widen(want[k]), tolerance);
      continue;
    }
    if (rule == "NNM>TrMean" || rule == "Clipping>NNM>TrMean") {
      shape of(x);
      if (params.contains("c")) {
        const mixed clipped = mix(fedagg::static_clipping{.threshold = params["c"].get<double>()}, of);
        REQUIRE(clipped.code == errc::ok);
        of = shape(narrowed(clipped.rows));
      }
      const mixed m = mix(fedagg::nnm{.f = static_cast<std::int64_t>(f)}, of);
      REQUIRE(m.code == errc::ok);
      check_near(trimmed(m.rows, f), widen(expected.get<vector>()), tolerance);
      continue;
    }
    bool done = false;
    const answer a = run(rule, params, x, done);
    REQUIRE(done);
    if (expected.is_object()) {
      CHECK(expected["error"] == "2f>=n");
      CHECK(a.code == errc::too_few_clients);
      continue;
    }
    REQUIRE(a.code == errc::ok);
    check_near(a.point, widen(expected.get<vector>()), tolerance);
    if (params.contains("index"))
      CHECK(a.selected() == std::vector<std::size_t>{params["index"].get<std::size_t>()});
    for (const char* key : {"selected", "subset"})
      if (params.contains(key)) CHECK(a.selected() == params[key].get<std::vector<std::size_t>>());
    if (params.contains("scores"))
      check_near(widen(a.scores), widen(params["scores"].get<vector>()), 1e-9L * real(*std::max_element(a.scores.begin(), a.scores.end())));
    if (params.contains("trust_scores")) {
      const auto trust = params["trust_scores"].get<vector>();
      for (std::size_t i = 0; i < trust.size(); ++i) CHECK(std::abs(1 - a.scores[i] - trust[i]) <= 1e-12);
    }
  }
}
