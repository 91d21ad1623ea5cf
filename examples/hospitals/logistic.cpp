// SPDX-License-Identifier: MIT
#include "logistic.hpp"

#include <utility>

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

void train(model& m, const patients& p, int steps, const correction& correct) {
  linear<double> at(m), gradient(m.weight.size());
  const fedagg::model_view now = view_of(std::as_const(at));
  const fedagg::mutable_model_view slope = view_of(gradient);
  for (int step = 0; step < steps; ++step) {
    const Eigen::VectorXd margin = (p.measured * at.weight).array() + at.bias(0);
    const Eigen::VectorXd residual = (1 + (-margin.array()).exp()).inverse().matrix() - p.malignant;
    gradient.weight = p.measured.transpose() * residual / static_cast<double>(p.size()) + weight_decay * at.weight;
    gradient.bias(0) = residual.mean();
    if (correct) correct(now, slope);
    at.weight -= learning_rate * gradient.weight;
    at.bias -= learning_rate * gradient.bias;
  }
  m = model(at);
}

Eigen::Index right(const model& m, const patients& p) {
  const Eigen::ArrayXd margin = (p.measured * m.weight.cast<double>()).array() + static_cast<double>(m.bias(0));
  return ((margin > 0) == (p.malignant.array() > 0.5)).count();
}

} // namespace hospitals
