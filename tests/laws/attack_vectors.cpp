// SPDX-License-Identifier: MIT
// Expected values of attacks from outside of this project: other libraries' documentation and independent
// recomputations.
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <fedagg/attacks/alie.hpp>
#include <fedagg/attacks/fang.hpp>
#include <fedagg/attacks/inner_product.hpp>
#include <fedagg/attacks/mimic.hpp>
#include <fedagg/attacks/min_max.hpp>
#include <fedagg/attacks/min_sum.hpp>
#include <fedagg/attacks/non_finite.hpp>
#include <fedagg/attacks/optimal.hpp>
#include <fedagg/attacks/sign_flip.hpp>
#include <fedagg/mixing/nnm.hpp>
#include <fedagg/mixing/static_clipping.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

#include "support/attacks.hpp"
#include "support/geometry.hpp"

using namespace attacks;
using nlohmann::json;

namespace {

void check_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  REQUIRE(got.size() == want.size());
  for (std::size_t j = 0; j < want.size(); ++j) {
    INFO("coordinate " << j << ": " << text(got[j]) << " for " << text(want[j]));
    CHECK(std::abs(got[j] - want[j]) <= tolerance);
  }
}

/// Nearest-neighbour mixing, then clipping to 2, then a trimmed mean: the pipeline that the optimal attacks are aimed at.
errc pipeline(std::span<const std::span<const double>> all, std::span<double> out) {
  shapes::matrix x;
  for (const auto& row : all) x.emplace_back(row.begin(), row.end());
  const auto narrow = [](const shapes::mixed& m) {
    shapes::matrix rows;
    for (const auto& r : m.rows) rows.emplace_back(r.begin(), r.end());
    return rows;
  };
  x = narrow(shapes::mix(fedagg::nnm{.f = 1}, shapes::shape(x)));
  x = narrow(shapes::mix(fedagg::static_clipping{.threshold = 2}, shapes::shape(x)));
  matrix<double> mixed(x.size(), out.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < out.size(); ++j) mixed.at(i, j) = x[i][j];
  const auto result = aggregated(fedagg::trimmed_mean{.trim = 1}, mixed);
  if (result.size() != out.size()) return errc::rule_failed;
  std::copy(result.begin(), result.end(), out.begin());
  return errc::ok;
}

/// The attack that the entry names, and the value of a factor that the entry knows.
made<double> run(const json& entry, const matrix<double>& x) {
  const std::string rule = entry["rule"];
  const json& p = entry["params"];
  const std::span<const double> none;
  const auto along = p.value("perturbation", "") == "sign" ? fedagg::perturbation::sign : fedagg::perturbation::unit_vector;
  if (rule == "attack:SignFlipping") return craft(fedagg::sign_flip{}, x);
  if (rule.starts_with("attack:IPM")) return craft(fedagg::inner_product{.tau = p.value("tau", p.value("epsilon", 0.0))}, x);
  if (rule == "attack:ALIE") return craft(fedagg::alie{.z = p["tau"], .side = fedagg::alie_side::above, .ddof = p["ddof"]}, x);
  if (rule.starts_with("attack:ALIE mu")) return craft(fedagg::alie{}, x, p["m"], p["n"]);
  if (rule == "attack:Mimic") return craft(fedagg::mimic{.client = p["epsilon"]}, x);
  if (rule == "attack:Inf") return craft(fedagg::non_finite{}, x);
  if (rule.starts_with("attack:min-max")) return craft(fedagg::min_max{.along = along}, x);
  if (rule.starts_with("attack:min-sum")) return craft(fedagg::min_sum{.along = along}, x);
  if (rule == "attack:Optimal_IPM")
    return craft(fedagg::optimal<fedagg::inner_product>{.steps = p["evals"], .search = fedagg::line_search::shrinking}, x, p["f"], 0, none, pipeline);
  if (rule == "attack:Optimal_ALIE")
    return craft(fedagg::optimal<fedagg::alie>{.base = {.side = fedagg::alie_side::above}, .steps = p["evals"], .search = fedagg::line_search::shrinking}, x, p["f"], 0, none, pipeline);
  return {errc::unknown_rule, {}, {}};
}

} // namespace

TEST_CASE("attacks that others published or recomputed") {
  std::ifstream in(FEDAGG_TESTS_DIR "/data/attacks.json");
  const json all = json::parse(in, nullptr, false);
  REQUIRE(all.is_array());
  REQUIRE(all.size() == 28);
  for (const json& entry : all) {
    const std::string id = entry["id"], rule = entry["rule"];
    INFO(id);
    const json &params = entry["params"], &expected = entry["expected"];
    const double tolerance = entry["tol"];
    if (entry["inputs"].empty()) {
      double z = 0;
      REQUIRE(fedagg::alie::largest_z(params["n"], params["m"], z) == errc::ok);
      INFO("z=" << text(z));
      if (rule.starts_with("ALIE")) {
        CHECK(std::abs(z - expected.get<double>()) <= tolerance);
        continue;
      }
      // A published table holds Phi(p), with p rounded up to hundredths, where the paper's z is Phi^-1(p): half a
      // deviation too far.
      REQUIRE(rule.starts_with("NDSS21 LIE z_values (BUG"));
      const double n = params["n"], m = params["m"], p = std::ceil(100 * (n - (std::floor(n / 2) + 1)) / (n - m)) / 100;
      CHECK(std::abs(std::erfc(-p / std::sqrt(2.0)) / 2 - expected.get<double>()) <= tolerance);
      const std::string note = entry["note"];
      CHECK(std::abs(z - std::stod(note.substr(note.find('=') + 1))) <= 5e-6);
      CHECK(expected.get<double>() - z > 0.4);
      CHECK(expected.get<double>() - z < 0.68);
      continue;
    }
    const auto inputs = entry["inputs"].get<std::vector<std::vector<double>>>();
    matrix<double> x(inputs.size(), inputs[0].size());
    for (std::size_t i = 0; i < x.n; ++i)
      for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = inputs[i][j];
    if (expected.is_object()) {
      const auto low = expected["low"].get<std::vector<double>>(), high = expected["high"].get<std::vector<double>>();
      const double b = params["b"];
      // The far end, and draws that come near both ends.
      const auto end = craft(fedagg::fang{.b = b, .deterministic = true}, x);
      REQUIRE(end.code == errc::ok);
      std::vector<double> least = high, most = low;
      for (std::int64_t seed = 0; seed < 500; ++seed) {
        const auto drawn = craft(fedagg::fang{.b = b, .seed = seed}, x);
        REQUIRE(drawn.code == errc::ok);
        for (std::size_t j = 0; j < x.d; ++j) {
          CHECK((drawn.row[j] >= low[j] && drawn.row[j] <= high[j]));
          least[j] = std::min(least[j], drawn.row[j]);
          most[j] = std::max(most[j], drawn.row[j]);
        }
      }
      for (std::size_t j = 0; j < x.d; ++j) {
        CHECK((end.row[j] == low[j] || end.row[j] == high[j]));
        const double width = high[j] - low[j];
        CHECK(least[j] - low[j] < 0.02 * width);
        CHECK(high[j] - most[j] < 0.02 * width);
      }
      continue;
    }
    const auto m = run(entry, x);
    REQUIRE(m.code == errc::ok);
    if (expected[0] == "inf") {
      for (const double v : m.row) CHECK(bits_of(v) == 0x7ff0000000000000u);
      continue;
    }
    if (expected[0].is_array()) {
      CHECK(expected.size() == params["f"]);
      for (const json& row : expected) check_near(m.row, row.get<std::vector<double>>(), tolerance);
      continue;
    }
    check_near(m.row, expected.get<std::vector<double>>(), tolerance);
    for (const char* key : {"gamma", "z_max", "tau_found"})
      if (params.contains(key)) CHECK(std::abs(m.space.strength - params[key].get<double>()) <= 1e-12);
  }
}

TEST_CASE("the default search does more harm than the published one") {
  matrix<double> x(3, 3);
  for (std::size_t i = 0; i < 9; ++i) x.data[i] = static_cast<double>(i + 1);
  const std::span<const double> none;
  const auto published = craft(fedagg::optimal<fedagg::inner_product>{.steps = 20, .search = fedagg::line_search::shrinking}, x, 1, 0, none, pipeline);
  const auto ours = craft(fedagg::optimal<fedagg::inner_product>{}, x, 1, 0, none, pipeline);
  REQUIRE(published.code == errc::ok);
  REQUIRE(ours.code == errc::ok);
  CHECK(ours.space.damage > published.space.damage + 1e-3);
}
