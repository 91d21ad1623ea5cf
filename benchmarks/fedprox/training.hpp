// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_FEDPROX_TRAINING_HPP
#define FEDAGG_BENCHMARKS_FEDPROX_TRAINING_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include "synthetic.hpp"

namespace fedprox {

/// What the server does about the clients that would not finish in time.
enum class stragglers {
  none,    ///< everyone does all epochs
  dropped, ///< nine in ten do not finish, and are left out
  partial, ///< they are taken with the epochs that they did
};

struct training {
  double mu = 0;
  stragglers slow = stragglers::none;
  std::size_t rounds = 200;
};

/// Entry t belongs to the model after t rounds: the mean loss over all training samples, the share of the test samples
/// that are sorted rightly.
struct curve {
  std::vector<double> loss, accuracy;
};

/// Softmax regression from zero by stochastic gradient descent: rate 0.01, batches of 10, 20 epochs, 10 of 30 devices a
/// round. Who takes part, who is slow and the order of the samples depend on the seed alone: the same for every mu.
curve train(const std::vector<device>& data, const training& how, std::uint64_t seed);

} // namespace fedprox

#endif // FEDAGG_BENCHMARKS_FEDPROX_TRAINING_HPP
