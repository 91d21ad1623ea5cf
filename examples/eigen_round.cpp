// SPDX-License-Identifier: MIT
// A round over memory that Eigen and others own: nothing is copied.
#include <iostream>
#include <vector>

#include <Eigen/Core>

#include <fedagg/adapters/eigen.hpp>
#include <fedagg/fedagg.hpp>

namespace {

// A Ref to const may hold a copy, where the strides do not fit: it is added by name, as here, while what it refers to
// lives.
void add(fedagg::cohort& clients, const Eigen::Ref<const Eigen::VectorXf>& model, fedagg::client info) {
  clients.add(model, info);
}

} // namespace

int main() {
  Eigen::MatrixXf models(4, 3); // one model per column
  models << 1, 2, 3,            //
      10, 20, 30,               //
      5, 5, 5,                  //
      0, 0, 900;
  std::vector<float> received{2, 20, 5, 1, 0, 0}; // a message with two elements that are not the model's
  Eigen::VectorXf local = Eigen::VectorXf::Constant(4, 2.0f);

  fedagg::cohort clients;
  clients.add(models.col(0), {.weight = 10, .id = "block"});
  add(clients, models.col(1), {.weight = 20, .id = "ref"});
  clients.add(models.col(2), {.weight = 30, .id = "outlier"});
  clients.add(Eigen::Map<const Eigen::VectorXf>(received.data(), 4), {.weight = 40, .id = "map"});
  const auto tripled = fedagg::evaluate(3.0f * local); // an expression lies nowhere until it is evaluated
  clients.add(tripled, {.weight = 50, .id = "expression"});

  Eigen::MatrixXf history = Eigen::MatrixXf::Zero(2, 4); // the result becomes its second row, in place
  fedagg::aggregate(fedagg::median{}, clients, history.row(1));

  const Eigen::RowVector4f expected(2, 20, 5, 1);
  std::cout << "median of the five models: " << history.row(1) << "\n";
  const bool right = history.row(1) == expected && history.row(0).isZero(0);
  std::cout << (right ? "as expected\n" : "WRONG\n");
  return right ? 0 : 1;
}
