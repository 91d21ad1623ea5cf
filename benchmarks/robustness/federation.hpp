// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_FEDERATION_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_FEDERATION_HPP

#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "digits.hpp"

namespace study {

/// What came of one training.
struct curve {
  std::vector<std::size_t> rounds; ///< after which the model was tried
  std::vector<double> validation;  ///< its accuracy there
  std::vector<double> test;
  std::size_t refused = 0; ///< rounds that the library refused; the model stays as it is then
  std::string why;         ///< of the first of them
};

/// Trains a federation: in each round every client takes the gradient of one batch into its momentum and sends that;
/// the server's step is -learning_rate times the aggregate. The hostile clients come last. Those that train (attacks
/// "none" and "label_flip") use the data of an honest one. `parameters` are one element of what `settings` lists.
/// Throws fedagg::error or std::exception for parameters that cannot be.
curve train(const images& all, const nlohmann::json& parameters);

/// Every training that a configuration asks for, each as a complete object of parameters. Throws std::runtime_error.
std::vector<nlohmann::json> settings(const nlohmann::json& configuration);

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_FEDERATION_HPP
