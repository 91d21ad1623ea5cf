// expect: an Eigen expression lies nowhere in memory: keep fedagg::evaluate\(expression\)
// SPDX-License-Identifier: MIT
#include <Eigen/Core>

#include <fedagg/adapters/eigen.hpp>
#include <fedagg/fedagg.hpp>

void add(fedagg::cohort& clients, const Eigen::VectorXf& local, const Eigen::VectorXf& global) {
#ifdef FEDAGG_FAIL_CONTROL
  const auto update = fedagg::evaluate(local - global);
  clients.add(update);
#else
  clients.add(local - global);
#endif
}
