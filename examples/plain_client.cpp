// SPDX-License-Identifier: MIT
// FedNova on plain arrays: three sites that take 1, 4 and 25 local steps with momentum. FedAvg's model ends near the
// minimum of the one that steps most; FedNova's ends near that of the mean loss, the nearer the smaller the step.
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <vector>

#include <fedagg/client/delta.hpp>
#include <fedagg/client/fednova.hpp>
#include <fedagg/fedagg.hpp>
#include <fedagg/optimizers/sgd.hpp>

namespace {

constexpr double momentum = 0.5;

struct site {
  std::size_t steps;
  double curvature; // the loss is curvature / 2 |w - minimum|^2
  std::vector<double> minimum;

  /// What it sends: the model it got becomes the difference between where the steps led and that.
  void train(const std::vector<double>& global, double rate, std::vector<double>& w) const {
    std::vector<double> velocity(global.size());
    w = global;
    for (std::size_t k = 0; k < steps; ++k)
      for (std::size_t j = 0; j < w.size(); ++j) {
        velocity[j] = momentum * velocity[j] + curvature * (w[j] - minimum[j]);
        w[j] -= rate * velocity[j];
      }
    const fedagg::mutable_model_view sent(w);
    fedagg::delta(sent, fedagg::model_view(global), sent);
  }
};

/// How far the server ends from the minimum of the mean loss, which is (1, 1).
double train(bool nova, double rate) {
  const site sites[] = {{1, 1, {6, 0}}, {4, 2, {0, 3}}, {25, 1, {-2, -2}}};
  double norms[3], coefficients[3];
  for (std::size_t i = 0; i < 3; ++i) norms[i] = fedagg::fednova_norm({.steps = sites[i].steps, .momentum = momentum});
  const auto round = fedagg::fednova_coefficients(norms, {}, coefficients);

  std::vector<double> global{0, 0}, mean(2), sent[3];
  fedagg::optimizer_state state;
  fedagg::mutable_model_view model(global);
  const fedagg::model_view aggregate(mean);
  for (double length = 0; length < 40; length += rate) {
    fedagg::cohort updates;
    for (std::size_t i = 0; i < 3; ++i) {
      sites[i].train(global, rate, sent[i]);
      updates.updates().add(sent[i]);
    }
    if (nova) updates.weights(coefficients);
    fedagg::aggregate(fedagg::mean{}, updates, mean);
    fedagg::step(fedagg::sgd{.learning_rate = nova ? round.total : 1}, model, fedagg::pseudo_gradient::delta(aggregate),
                 state);
  }
  return std::hypot(global[0] - 1, global[1] - 1);
}

} // namespace

int main() {
  const double fedavg[] = {train(false, 0.02), train(false, 0.002)}, nova[] = {train(true, 0.02), train(true, 0.002)};
  std::printf("distance from the minimum, steps of 0.02 and 0.002\nFedAvg  %.3f %.3f\nFedNova %.3f %.3f\n", fedavg[0],
              fedavg[1], nova[0], nova[1]);
  const bool right = fedavg[1] > fedavg[0] / 2 && nova[1] < nova[0] / 5 && nova[1] < 0.1;
  std::puts(right ? "as expected" : "WRONG");
  return right ? 0 : 1;
}
