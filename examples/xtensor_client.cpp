// SPDX-License-Identifier: MIT
// SCAFFOLD inside a trainer of xtensor's: three sites with data of their own, of which two take part in a round, fit
// one linear model. Their control variates take out what pulls each to its own solution, so that the server's model
// ends where the gradient over all data is zero; FedAvg's does not.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>

#include <fedagg/adapters/xtensor.hpp>
#include <fedagg/client/scaffold.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/fedagg.hpp>

#if __has_include(<xtensor/core/xmath.hpp>)
#include <xtensor/core/xmath.hpp>
#else
#include <xtensor/xmath.hpp>
#endif

namespace {

using vector = xt::xtensor<double, 1>;

struct site {
  xt::xtensor<double, 2> features{std::array<std::size_t, 2>{60, 4}};
  vector target, y, gradient{{0, 0, 0, 0}}, change{{0, 0, 0, 0}};
  fedagg::scaffold_client control{fedagg::model_layout(fedagg::model_view(gradient))};

  explicit site(std::size_t number) {
    fedagg::random_stream random(number, "site");
    const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-52 - 1; };
    for (double& x : features) x = uniform();
    xt::view(features, xt::all(), number) *= 4; // what one site sees well, the others hardly see
    const vector own{uniform(), uniform(), uniform(), uniform()};
    target = xt::sum(features * own, {1});
  }

  void gradient_at(const vector& w) {
    const vector error = xt::sum(features * w, {1}) - target;
    gradient = xt::sum(features * xt::view(error, xt::all(), xt::newaxis()), {0}) / 60.0;
  }

  void train(const vector& global, const vector& c, bool scaffold) {
    y = global;
    for (int step = 0; step < 10; ++step) {
      gradient_at(y);
      if (scaffold) control.correct(c, gradient);
      y -= 0.05 * gradient;
    }
    if (scaffold) control.renew(c, global, y, 10, 0.05, change);
  }
};

/// The length of the gradient over all data where the server ends.
double train(bool scaffold) {
  std::array<site, 3> sites{site(0), site(1), site(2)};
  vector global{0, 0, 0, 0}, c = global, mean_change = global, gradient = global;
  for (std::size_t round = 0; round < 900; ++round) {
    fedagg::cohort models, changes;
    for (const std::size_t k : {round % 3, (round + 1) % 3}) {
      sites[k].train(global, c, scaffold);
      models.add(sites[k].y);
      changes.updates().add(sites[k].change);
    }
    fedagg::aggregate(fedagg::mean{}, models, global); // x += mean (y - x)
    fedagg::aggregate(fedagg::mean{}, changes, mean_change);
    c += 2.0 / 3.0 * mean_change; // two of three took part
  }
  for (site& s : sites) {
    s.gradient_at(global);
    gradient += s.gradient / 3.0;
  }
  return std::sqrt(xt::sum(gradient * gradient)());
}

} // namespace

int main() {
  const double fedavg = train(false), scaffold = train(true);
  std::printf("gradient at the end: FedAvg %.3g, SCAFFOLD %.3g\n", fedavg, scaffold);
  const bool right = scaffold < 1e-9 && fedavg > 1e-3;
  std::puts(right ? "as expected" : "WRONG");
  return right ? 0 : 1;
}
