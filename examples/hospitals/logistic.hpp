// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_LOGISTIC_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_LOGISTIC_HPP

#include "patients.hpp"

namespace hospitals {

/// What the hospitals exchange: two tensors of a logistic regression on standardised measurements.
struct model {
  Eigen::VectorXf weight;
  Eigen::VectorXf bias;

  explicit model(Eigen::Index features) : weight(Eigen::VectorXf::Zero(features)), bias(Eigen::VectorXf::Zero(1)) {}
};

/// By which measurements are standardised.
struct scale {
  Eigen::VectorXf mean;
  Eigen::VectorXf deviation;
};

scale scale_of(const patients& p);
patients standardised(const patients& p, const scale& s);

/// So many steps of gradient descent on the mean logistic loss with a little weight decay.
void train(model& m, const patients& p, int steps);

/// How many of the patients the model sorts rightly.
Eigen::Index right(const model& m, const patients& p);

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_LOGISTIC_HPP
