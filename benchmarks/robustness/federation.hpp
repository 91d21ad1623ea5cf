// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_FEDERATION_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_FEDERATION_HPP

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "digits.hpp"

namespace study {

/// A configuration asks for what cannot be.
struct configuration_error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// What came of one training.
struct curve {
  std::vector<std::size_t> rounds; ///< after which the model was tried
  std::vector<double> validation;  ///< its accuracy there
  std::vector<double> test;
  std::size_t refused = 0;  ///< rounds that the library refused for what the clients sent; the model stays as it is
  std::string why;          ///< of the first of them
  std::size_t diverged = 0; ///< rounds in which an honest update was not finite any more: the attack won
};

/// Trains a federation: in each round every client takes the gradient of one batch into its momentum and sends that;
/// the server's step is -learning_rate times the aggregate. The hostile clients come last. Those that train (attacks
/// "none" and "label_flip") use the data of an honest one. `parameters` are one element of what `settings` lists.
/// Centered clipping, alone or at the end of a chain, starts from the last aggregate. The word "seed" in a rule or
/// attack is another number in each round, and depends on the round and the study's seed alone.
/// Throws fedagg::error or std::exception for parameters that cannot be; a round is refused only for what was sent.
curve train(const images& all, const nlohmann::json& parameters);

/// Every training that a configuration asks for, each as a complete object of parameters. Throws configuration_error,
/// also where rules or attacks cannot work with these numbers of clients, or share a label.
std::vector<nlohmann::json> settings(const nlohmann::json& configuration);

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_FEDERATION_HPP
