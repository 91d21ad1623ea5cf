// SPDX-License-Identifier: MIT
// FedProx inside a trainer of Eigen's: three sites fit one linear model to measurements that differ from site to site.
// The term keeps their local steps near the server's model, and with it the server near the least-squares solution.
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include <Eigen/Dense>

#include <fedagg/adapters/eigen.hpp>
#include <fedagg/client/proximal.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/fedagg.hpp>

namespace {

struct site {
  Eigen::MatrixXd features{60, 4};
  Eigen::VectorXd target{60}, w{4}, gradient{4};

  explicit site(std::uint64_t number) {
    fedagg::random_stream random(number, "site");
    const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-52 - 1; };
    features = Eigen::MatrixXd::NullaryExpr(60, 4, uniform);
    features.col(static_cast<Eigen::Index>(number)) *= 4; // what one site sees well, the others hardly see
    target = features * Eigen::VectorXd::NullaryExpr(4, uniform);
  }

  void train(const Eigen::VectorXd& global, const fedagg::proximal_term& term) {
    w = global;
    for (int step = 0; step < 100; ++step) {
      gradient = features.transpose() * (features * w - target) / 60;
      term.add_gradient(w, global, gradient);
      w -= 0.05 * gradient;
    }
  }
};

/// How far the server ends from the solution for all measurements together.
double train(double mu, std::array<site, 3> sites) {
  Eigen::VectorXd global = Eigen::VectorXd::Zero(4), moment = global;
  Eigen::MatrixXd normal = Eigen::MatrixXd::Zero(4, 4);
  for (int round = 0; round < 200; ++round) {
    fedagg::cohort clients;
    for (site& s : sites) {
      s.train(global, {.mu = mu});
      clients.add(s.w);
    }
    fedagg::aggregate(fedagg::mean{}, clients, global);
  }
  for (const site& s : sites) {
    normal += s.features.transpose() * s.features;
    moment += s.features.transpose() * s.target;
  }
  return (global - normal.llt().solve(moment)).norm();
}

} // namespace

int main() {
  const std::array<site, 3> sites{site(0), site(1), site(2)};
  const double without = train(0, sites), with = train(10, sites);
  std::printf("distance from the solution: FedAvg %.3f, FedProx %.3f\n", without, with);
  const bool right = with < without / 3 && std::isfinite(without);
  std::puts(right ? "as expected" : "WRONG");
  return right ? 0 : 1;
}
