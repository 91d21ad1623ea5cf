// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_NETWORK_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_NETWORK_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "digits.hpp"

namespace study {

/// A perceptron with rectified hidden layers; without any it is softmax regression. Its parameters are one row of
/// floats, layer by layer: the weights, then the biases.
class network {
public:
  explicit network(std::vector<std::size_t> hidden);

  std::size_t size() const { return size_; }

  /// Zeros for softmax regression, else normal with variance 2 / inputs from the stream "weights".
  std::vector<float> initial(std::uint64_t seed) const;

  /// The gradient of the mean cross-entropy over the batch, plus decay times the parameters.
  void gradient(std::span<const float> parameters, const images& batch, float decay, std::span<float> out) const;

  /// The share of images whose digit has the highest score.
  double accuracy(std::span<const float> parameters, const images& data) const;

private:
  std::vector<matrix> forward(std::span<const float> parameters, const matrix& x) const;

  std::vector<Eigen::Index> widths_;
  std::size_t size_ = 0;
};

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_NETWORK_HPP
