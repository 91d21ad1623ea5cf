// SPDX-License-Identifier: MIT
#include "logistic.hpp"

namespace hospitals {

scale scale_of(const patients& p) {
  const Eigen::RowVectorXd mean = p.measured.colwise().mean();
  const Eigen::RowVectorXd variance =
      (p.measured.rowwise() - mean).colwise().squaredNorm() / static_cast<double>(p.size());
  return {mean.transpose().cast<float>(), variance.cwiseSqrt().transpose().cast<float>()};
}

patients standardised(const patients& p, const scale& s) {
  const Eigen::ArrayXXd centred = (p.measured.rowwise() - s.mean.cast<double>().transpose()).array();
  return {centred.rowwise() / s.deviation.cast<double>().transpose().array(), p.malignant};
}

void train(model& m, const patients& p, int steps) {
  constexpr double rate = 0.3, decay = 1e-3;
  Eigen::VectorXd weight = m.weight.cast<double>();
  double bias = static_cast<double>(m.bias(0));
  for (int step = 0; step < steps; ++step) {
    const Eigen::VectorXd margin = (p.measured * weight).array() + bias;
    const Eigen::VectorXd residual = (1 + (-margin.array()).exp()).inverse().matrix() - p.malignant;
    weight -= rate * (p.measured.transpose() * residual / static_cast<double>(p.size()) + decay * weight);
    bias -= rate * residual.mean();
  }
  m.weight = weight.cast<float>();
  m.bias(0) = static_cast<float>(bias);
}

Eigen::Index right(const model& m, const patients& p) {
  const Eigen::ArrayXd margin = (p.measured * m.weight.cast<double>()).array() + static_cast<double>(m.bias(0));
  return ((margin > 0) == (p.malignant.array() > 0.5)).count();
}

} // namespace hospitals
