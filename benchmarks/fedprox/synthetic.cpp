// SPDX-License-Identifier: MIT
#include "synthetic.hpp"

#include <cmath>
#include <string>

#include <fedagg/core/normal_quantile.hpp>

namespace fedprox {

double normal(fedagg::random_stream& from) {
  return fedagg::detail::normal_quantile((static_cast<double>(from() >> 11) + 0.5) * 0x1p-53);
}

std::vector<device> synthetic(const recipe& r, std::uint64_t seed) {
  fedagg::random_stream sizes(seed, "fedprox.sizes"), means(seed, "fedprox.means"), one_model(seed, "fedprox.model");
  double deviation[features];
  for (std::size_t j = 0; j < features; ++j) deviation[j] = std::sqrt(std::pow(static_cast<double>(j + 1), -1.2));

  // A row for each feature, the last one for the constants.
  std::vector<double> w((features + 1) * classes);
  if (r.iid)
    for (double& v : w) v = normal(one_model);

  std::vector<device> all(devices);
  for (std::size_t k = 0; k < devices; ++k) {
    const std::string name = std::to_string(k);
    fedagg::random_stream own(seed, ("fedprox.device." + name).c_str()), order(seed, ("fedprox.order." + name).c_str());
    const auto size = static_cast<std::size_t>(std::exp(4 + 2 * normal(sizes))) + 50;
    const double u = r.alpha * normal(means), centre = r.beta * normal(means);
    double mean[features] = {};
    if (!r.iid) {
      for (double& v : mean) v = centre + normal(own);
      for (double& v : w) v = u + normal(own);
    }
    samples made;
    for (std::size_t i = 0; i < size; ++i) {
      double score[classes], x[features];
      for (std::size_t c = 0; c < classes; ++c) score[c] = w[features * classes + c];
      for (std::size_t j = 0; j < features; ++j) {
        x[j] = mean[j] + deviation[j] * normal(own);
        made.x.push_back(static_cast<float>(x[j]));
        for (std::size_t c = 0; c < classes; ++c) score[c] += x[j] * w[j * classes + c];
      }
      std::size_t best = 0;
      for (std::size_t c = 1; c < classes; ++c)
        if (score[c] > score[best]) best = c;
      made.y.push_back(static_cast<std::uint8_t>(best));
    }
    std::vector<std::size_t> shuffled(size);
    order.permutation(shuffled);
    const auto trained = static_cast<std::size_t>(0.9 * static_cast<double>(size));
    for (std::size_t i = 0; i < size; ++i) {
      samples& to = i < trained ? all[k].train : all[k].test;
      const auto from = made.x.begin() + static_cast<std::ptrdiff_t>(shuffled[i] * features);
      to.x.insert(to.x.end(), from, from + features);
      to.y.push_back(made.y[shuffled[i]]);
    }
  }
  return all;
}

} // namespace fedprox
