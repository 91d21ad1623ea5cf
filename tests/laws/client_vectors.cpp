// SPDX-License-Identifier: MIT
// Expected values from outside of this project, for the clients' side.
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <fedagg/client/scaffold.hpp>

#include "support/numeric.hpp"

using fedagg::model_view;
using fedagg::mutable_model_view;
using nlohmann::json;

TEST_CASE("SCAFFOLD's client as another library's tests have it") {
  std::ifstream in(std::string(FEDAGG_TESTS_DIR "/data/client.json"));
  const json entries = json::parse(in, nullptr, false);
  REQUIRE(entries.is_array());
  REQUIRE(entries.size() == 1);
  for (const json& e : entries) {
    const double eta = e["params"]["lr"], tolerance = e["tol"];
    const std::size_t steps = e["params"]["steps"];
    const std::vector<double> x{e["w_global"].get<double>()}, c{e["c"].get<double>()};
    const model_view global(x), server(c);
    fedagg::scaffold_client client{fedagg::model_layout(global)};
    std::vector<double> start{e["c_i"].get<double>()}, change{0};
    REQUIRE(client.try_renew(model_view(start), mutable_model_view(change)) == fedagg::errc::ok);
    // The vector gives the plain step's result: the gradient is what led there.
    std::vector<double> gradient{(x[0] - e["w_after_sgd"].get<double>()) / eta};
    REQUIRE(client.try_correct(server, mutable_model_view(gradient)) == fedagg::errc::ok);
    const std::vector<double> y{x[0] - eta * gradient[0]};
    const json& expected = e["expected"];
    CHECK(y[0] == Approx(expected["w"].get<double>()).margin(tolerance).epsilon(0));
    REQUIRE(client.try_renew(server, global, model_view(y), steps, eta, mutable_model_view(change)) == fedagg::errc::ok);
    const double renewed = *static_cast<const double*>(client.control().entries()[0].tensor.data());
    CHECK(renewed == Approx(expected["c_i_plus"].get<double>()).margin(tolerance).epsilon(0));
    CHECK(change[0] == Approx(expected["delta_c"].get<double>()).margin(tolerance).epsilon(0));
  }
}
