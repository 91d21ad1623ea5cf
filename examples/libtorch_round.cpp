// SPDX-License-Identifier: MIT
// Six sites, each with hardly more than one or two of the ten handwritten digits, train one convolutional network with
// BatchNorm: by FedAvg, by FedProx and by SCAFFOLD, four sites in each round. The server aggregates in the memory of
// its own module. usage: libtorch_round [digits.csv [seed [rounds]]]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <fedagg/adapters/libtorch.hpp>
#include <fedagg/client/proximal.hpp>
#include <fedagg/client/scaffold.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/fedagg.hpp>
#include <fedagg/optimizers/scaffold_server.hpp>

namespace {

constexpr double learning_rate = 0.05;
constexpr int batch = 16, epochs = 3;
constexpr std::size_t sites = 6, chosen = 4;

struct network : torch::nn::Module {
  torch::nn::Sequential body, head;
  network() {
    using namespace torch::nn;
    body = register_module("body", Sequential(Conv2d(Conv2dOptions(1, 8, 3).padding(1)), BatchNorm2d(8), ReLU(),
                                              MaxPool2d(2), Conv2d(Conv2dOptions(8, 16, 3).padding(1)), BatchNorm2d(16),
                                              ReLU(), MaxPool2d(2)));
    head = register_module("head", Sequential(Flatten(), Linear(64, 10)));
  }
  at::Tensor forward(const at::Tensor& x) { return head->forward(body->forward(x)); }
};

struct samples {
  at::Tensor images, labels;
  std::int64_t size() const { return labels.size(0); }
};

samples gather(const std::vector<std::vector<float>>& rows) {
  const auto n = static_cast<std::int64_t>(rows.size());
  samples s{torch::empty({n, 1, 8, 8}), torch::empty({n}, at::kLong)};
  for (std::int64_t i = 0; i < n; ++i) {
    const auto& row = rows[static_cast<std::size_t>(i)];
    std::copy(row.begin(), row.end() - 1, s.images[i].data_ptr<float>());
    s.labels[i] = static_cast<std::int64_t>(row.back());
  }
  return {s.images / 8 - 1, s.labels};
}

/// A fifth to test on, the rest shared out: nine of ten times to the site that the digit belongs to.
std::pair<std::vector<samples>, samples> share_out(const std::string& path, std::uint64_t seed) {
  fedagg::random_stream random(seed, "shares");
  std::vector<std::vector<float>> rows, test;
  std::vector<std::vector<std::vector<float>>> at(sites);
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::vector<float> row;
    for (char* p = line.data(); *p != '\0'; p += *p == ',') row.push_back(std::strtof(p, &p));
    if (row.size() == 65) rows.push_back(std::move(row));
  }
  std::vector<std::size_t> order(rows.size());
  random.permutation(order);
  for (const std::size_t i : order) {
    const auto home = static_cast<std::size_t>(rows[i].back()) % sites;
    if (test.size() < rows.size() / 5)
      test.push_back(rows[i]);
    else
      at[random.below(10) != 0 ? home : random.below(sites)].push_back(rows[i]);
  }
  std::vector<samples> shares;
  for (const auto& share : at) shares.push_back(gather(share));
  return {std::move(shares), gather(test)};
}

enum class method { fedavg, fedprox, scaffold };

struct site {
  samples data;
  std::shared_ptr<network> net = std::make_shared<network>();
  fedagg::torch_model model = fedagg::model_of(net), parameters = fedagg::parameters_of(net);
  fedagg::scaffold_client control{parameters.model()};
  fedagg::model_buffer change{parameters.model()};

  explicit site(samples own) : data(std::move(own)) {}

  /// Some epochs from the server's model. `c` is SCAFFOLD's control variate of all sites.
  void train(method how, const fedagg::torch_model& global, const fedagg::torch_model& start,
             const fedagg::model_view& c) {
    {
      const torch::NoGradGuard copying;
      for (std::size_t k = 0; k < model.size(); ++k) model.tensors()[k].second.copy_(global.tensors()[k].second);
    }
    net->train();
    torch::optim::SGD optimizer(net->parameters(), learning_rate);
    std::uint64_t steps = 0;
    for (int epoch = 0; epoch < epochs; ++epoch) {
      const at::Tensor order = torch::randperm(data.size());
      for (std::int64_t at = 0; at + batch <= data.size(); at += batch, ++steps) {
        const at::Tensor now = order.slice(0, at, at + batch);
        optimizer.zero_grad();
        torch::nn::functional::cross_entropy(net->forward(data.images.index({now})), data.labels.index({now}))
            .backward();
        const auto gradient = fedagg::gradients_of(net);
        if (how == method::fedprox) fedagg::proximal_term{.mu = 0.1}.add_gradient(parameters, start, gradient);
        if (how == method::scaffold) control.correct(c, gradient);
        optimizer.step();
      }
    }
    if (how == method::scaffold) control.renew(c, start, parameters, steps, learning_rate, change.model());
  }
};

double accuracy(network& net, const samples& test) {
  const torch::NoGradGuard no_gradients;
  net.eval();
  return 100 * net.forward(test.images).argmax(1).eq(test.labels).to(at::kDouble).mean().item<double>();
}

struct result {
  std::vector<double> accuracy;
  std::size_t tensors = 0, in_place = 0;
};

result federate(method how, const std::vector<samples>& shares, const samples& test, std::uint64_t seed, int rounds) {
  torch::manual_seed(seed);
  fedagg::random_stream random(seed, "participants");
  const auto server = std::make_shared<network>(), mean_of_models = std::make_shared<network>();
  const auto global = fedagg::model_of(server), start = fedagg::parameters_of(server);
  const auto mean = fedagg::model_of(mean_of_models);
  fedagg::optimizer_state state;
  fedagg::model_buffer mean_change(start.model()), nothing(start.model());
  std::vector<site> all;
  for (const samples& s : shares) all.emplace_back(s);
  std::vector<std::size_t> order(sites);
  std::vector<const void*> before;
  for (const auto& [name, tensor] : global.tensors()) before.push_back(tensor.data_ptr());

  result r;
  for (int round = 0; round < rounds; ++round) {
    random.permutation(order);
    const fedagg::model_view c = state.slots().empty() ? std::as_const(nothing).model() : state.slots()[0].model();
    fedagg::cohort models, changes;
    changes.updates();
    for (const std::size_t i : std::span(order).first(chosen)) {
      all[i].train(how, global, start, c);
      models.add(all[i].model, {.weight = how == method::scaffold ? 1.0 : static_cast<double>(all[i].data.size())});
      changes.add(std::as_const(all[i].change).model());
    }
    if (how != method::scaffold) {
      fedagg::aggregate(fedagg::mean{}, models, global);
    } else {
      fedagg::aggregate(fedagg::mean{}, models, mean);
      fedagg::aggregate(fedagg::mean{}, changes, mean_change.model());
      fedagg::step(fedagg::scaffold_server{}, global, fedagg::pseudo_gradient::model(mean), state,
                   {.participation = static_cast<double>(chosen) / sites}, {&std::as_const(mean_change).model()});
    }
    r.accuracy.push_back(accuracy(*server, test));
  }
  auto parameters = server->named_parameters(), buffers = server->named_buffers();
  for (std::size_t k = 0; k < before.size(); ++k) {
    const std::string& name = global.tensors()[k].first;
    const at::Tensor& now = parameters.contains(name) ? parameters[name] : buffers[name];
    r.in_place += now.data_ptr() == before[k];
    ++r.tensors;
  }
  return r;
}

} // namespace

int main(int count, char** arguments) {
  const std::string path = count > 1 ? arguments[1] : DIGITS_CSV;
  const std::uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  const int rounds = count > 3 ? std::atoi(arguments[3]) : 12;
  at::set_num_threads(1);
  const auto [shares, test] = share_out(path, seed);
  if (test.size() == 0 || rounds < 1) {
    std::fprintf(stderr, "libtorch_round: no digits in %s, or no round\n", path.c_str());
    return 2;
  }
  std::printf("accuracy on %d digits\nround  FedAvg  FedProx  SCAFFOLD\n", static_cast<int>(test.size()));
  const result avg = federate(method::fedavg, shares, test, seed, rounds),
               prox = federate(method::fedprox, shares, test, seed, rounds),
               scaffold = federate(method::scaffold, shares, test, seed, rounds);
  for (std::size_t k = 0; k < avg.accuracy.size(); ++k)
    std::printf("%5zu  %6.1f  %7.1f  %8.1f\n", k + 1, avg.accuracy[k], prox.accuracy[k], scaffold.accuracy[k]);
  bool right = true;
  for (const result* r : {&avg, &prox, &scaffold}) right = right && r->in_place == r->tensors;
  std::printf("the server's %zu tensors are where they were: %s\n", avg.tensors, right ? "yes" : "NO");
  return right ? 0 : 1;
}
