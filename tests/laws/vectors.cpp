// SPDX-License-Identifier: MIT
// Expected values from outside of this project: other libraries' documentation and independent recomputations.
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <fedagg/rules.hpp>
#include <fedagg/rules/meamed.hpp>
#include <fedagg/rules/phocas.hpp>
#include <fedagg/rules/sign_majority.hpp>

#include "laws/instances.hpp"

using namespace numeric;
using fedagg::errc;
using nlohmann::json;

namespace {

json load(const char* file) {
  std::ifstream in(std::string(FEDAGG_TESTS_DIR "/data/") + file);
  return json::parse(in, nullptr, false);
}

/// Our rule for what the entry calls its own; `done` tells whether there is one.
std::vector<double> run(const json& entry, errc& rc, bool& done) {
  const std::string rule = entry["rule"];
  const json& params = entry["params"];
  auto inputs = entry["inputs"].get<std::vector<std::vector<double>>>();
  if (rule == "SignFlipping appended, then TrMean") {
    std::vector<double> flipped(inputs[0].size());
    for (std::size_t j = 0; j < flipped.size(); ++j) {
      for (const auto& row : inputs) flipped[j] -= row[j];
      flipped[j] /= static_cast<double>(inputs.size());
    }
    inputs.push_back(flipped);
  }
  matrix<double> x(inputs.size(), inputs[0].size());
  for (std::size_t i = 0; i < x.n; ++i) std::copy(inputs[i].begin(), inputs[i].end(), x.data.begin() + static_cast<std::ptrdiff_t>(i * x.d));
  std::vector<double> weights;
  if (params.contains("weights")) weights = params["weights"].get<std::vector<double>>();
  const auto count = [&](const char* key) { return params.contains(key) ? params[key].get<std::int64_t>() : 0; };
  done = true;
  if (rule == "Mean" || rule == "Average" || rule == "WeightedAverage") return aggregated(fedagg::mean{}, x, weights, {}, &rc);
  if (rule == "WeightedMedian") return aggregated(fedagg::median{.weighting = fedagg::weights::trusted}, x, weights, {}, &rc);
  if (rule.starts_with("LowerMedian")) return aggregated(fedagg::median{.even = fedagg::middle::lower}, x, weights, {}, &rc);
  if (rule.starts_with("Median")) return aggregated(fedagg::median{}, x, weights, {}, &rc);
  if (rule.ends_with("TrMean")) return aggregated(fedagg::trimmed_mean{.trim = count("f")}, x, weights, {}, &rc);
  if (rule.starts_with("Trimmedmean")) return aggregated(fedagg::trimmed_mean{.trim = count("num_byzantine")}, x, weights, {}, &rc);
  if (rule == "Meamed") return aggregated(fedagg::meamed{.f = count("f")}, x, weights, {}, &rc);
  if (rule == "Phocas") return aggregated(fedagg::phocas{.f = count("f")}, x, weights, {}, &rc);
  if (rule.starts_with("SignMajority")) return laws::result(fedagg::sign_majority{}, x, weights, {}, &rc);
  done = false;
  return {};
}

} // namespace

TEST_CASE("values that others published or recomputed") {
  const json all = load("robust.json");
  REQUIRE(all.is_array());
  REQUIRE(all.size() == 17);
  for (const json& entry : all) {
    const std::string id = entry["id"];
    INFO(id);
    errc rc = errc::ok;
    bool done = false;
    const auto got = run(entry, rc, done);
    REQUIRE(done);
    const json& expected = entry["expected"];
    if (expected.is_object()) {
      CHECK(expected["error"] == "2f>=n");
      CHECK(rc == errc::too_few_clients);
      continue;
    }
    REQUIRE(rc == errc::ok);
    const auto want = expected.get<std::vector<double>>();
    REQUIRE(got.size() == want.size());
    for (std::size_t j = 0; j < want.size(); ++j) {
      INFO("coordinate " << j << ": " << text(got[j]) << " for " << text(want[j]));
      CHECK((got[j] < want[j] ? want[j] - got[j] : got[j] - want[j]) <= entry["tol"].get<double>());
    }
  }
}
