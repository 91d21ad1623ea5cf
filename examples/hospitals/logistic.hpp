// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_LOGISTIC_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_LOGISTIC_HPP

#include <functional>

#include <fedagg/adapters/eigen.hpp>
#include <fedagg/core/model_view.hpp>

#include "patients.hpp"

namespace hospitals {

/// Two tensors of a logistic regression on standardised measurements.
template <class Scalar>
struct linear {
  Eigen::VectorX<Scalar> weight;
  Eigen::VectorX<Scalar> bias;

  explicit linear(Eigen::Index features)
      : weight(Eigen::VectorX<Scalar>::Zero(features)), bias(Eigen::VectorX<Scalar>::Zero(1)) {}
  template <class Other>
  explicit linear(const linear<Other>& m)
      : weight(m.weight.template cast<Scalar>()), bias(m.bias.template cast<Scalar>()) {}
};

/// What the hospitals exchange.
using model = linear<float>;

/// As the library sees it: in place.
template <class Scalar>
fedagg::model_view view_of(const linear<Scalar>& m) {
  return fedagg::model_view().add("linear.weight", m.weight).add("linear.bias", m.bias);
}
template <class Scalar>
fedagg::mutable_model_view view_of(linear<Scalar>& m) {
  return fedagg::mutable_model_view().add("linear.weight", m.weight).add("linear.bias", m.bias);
}

/// By which measurements are standardised.
struct scale {
  Eigen::VectorXf mean;
  Eigen::VectorXf deviation;
};

scale scale_of(const patients& p);
patients standardised(const patients& p, const scale& s);

/// What a method does to the gradient of a step before it is taken: the model so far, and its gradient.
using correction = std::function<void(const fedagg::model_view&, const fedagg::mutable_model_view&)>;

/// Of a hospital in a round.
inline constexpr int local_steps = 10;
inline constexpr double learning_rate = 0.3;
inline constexpr double weight_decay = 1e-3;

/// So many steps of gradient descent on the mean logistic loss with a little weight decay.
void train(model& m, const patients& p, int steps, const correction& correct = {});

/// How many of the patients the model sorts rightly.
Eigen::Index right(const model& m, const patients& p);

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_LOGISTIC_HPP
