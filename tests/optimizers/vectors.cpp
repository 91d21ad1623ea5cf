// SPDX-License-Identifier: MIT
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/optimizers.hpp>

#include "compiled/optimizers.hpp"
#include "support/catch.hpp"

/// Values from outside: tests/data/server_optimizers.json.

namespace {

using nlohmann::json;
using fedagg::errc;

json load() {
  std::ifstream in(FEDAGG_TESTS_DIR "/data/server_optimizers.json");
  return json::parse(in, nullptr, false);
}

const json* find(const json& all, const std::string& id) {
  for (const json& entry : all)
    if (entry["id"] == id) return &entry;
  return nullptr;
}

template <class O>
void replay(const json& entry, const O& optimizer) {
  auto x = entry["x0"].get<std::vector<double>>();
  const fedagg::mutable_model_view model(x);
  fedagg::optimizer_state state(fedagg::precision::f64);
  const double tolerance = entry["tol"].get<double>();
  for (std::size_t round = 0; round < entry["round_means"].size(); ++round) {
    const auto mean = entry["round_means"][round].get<std::vector<double>>();
    const auto want = entry["expected_after_each_round"][round].get<std::vector<double>>();
    const fedagg::model_view view(mean);
    REQUIRE(fedagg::try_step(optimizer, model, fedagg::pseudo_gradient::model(view), state) == errc::ok);
    for (std::size_t j = 0; j < x.size(); ++j) {
      INFO(entry["id"].get<std::string>() << ", round " << round + 1 << ", coordinate " << j << ": " << x[j]);
      CHECK(x[j] <= want[j] + tolerance);
      CHECK(x[j] >= want[j] - tolerance);
    }
  }
}

} // namespace

TEST_CASE("server optimizers give the expected models") {
  const json all = load();
  REQUIRE(all.is_array());
  std::size_t replayed = 0;
  const auto with = [&](const char* id, const auto& make) {
    const json* entry = find(all, id);
    REQUIRE(entry != nullptr);
    replay(*entry, make((*entry)["params"]));
    ++replayed;
  };
  const auto adaptive = [](auto start) {
    return [start](const json& p) {
      auto o = start;
      o.learning_rate = p["eta"];
      o.beta1 = p["beta1"];
      o.tau = p["tau"];
      if constexpr (requires { o.beta2; }) o.beta2 = p["beta2"];
      // The presets have to bring what the vectors start from.
      CHECK(o.initial(1) == p["v0"].get<double>());
      return o;
    };
  };
  with("flower-fedadam", adaptive(fedagg::fed_adam::flower()));
  with("flower-fedyogi", adaptive(fedagg::fed_yogi::flower()));
  with("flower-fedadagrad", adaptive(fedagg::fed_adagrad::flower()));
  with("paper-fedadam", adaptive(fedagg::fed_adam{}));
  with("paper-fedyogi", adaptive(fedagg::fed_yogi{}));
  with("paper-fedadagrad", adaptive(fedagg::fed_adagrad{}));
  with("fedavgm", [](const json& p) { return fedagg::fed_avgm{.learning_rate = p["eta"], .momentum = p["beta"]}; });
  CHECK(replayed == 7);
}
