// SPDX-License-Identifier: MIT
#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fedagg/core/random.hpp>

namespace study {
namespace {

using weights_view = Eigen::Map<const matrix>;
using bias_view = Eigen::Map<const Eigen::RowVectorXf>;

} // namespace

network::network(std::vector<std::size_t> hidden) {
  widths_.push_back(64);
  for (const std::size_t h : hidden) widths_.push_back(static_cast<Eigen::Index>(h));
  widths_.push_back(classes);
  for (std::size_t l = 0; l + 1 < widths_.size(); ++l)
    size_ += static_cast<std::size_t>((widths_[l] + 1) * widths_[l + 1]);
}

std::vector<float> network::initial(std::uint64_t seed) const {
  std::vector<float> p(size_, 0.0f);
  if (widths_.size() == 2) return p;
  fedagg::random_stream stream(seed, "weights");
  const auto uniform = [&] { return (static_cast<double>(stream() >> 12) + 0.5) * 0x1p-52; };
  std::size_t at = 0;
  for (std::size_t l = 0; l + 1 < widths_.size(); ++l) {
    const double deviation = std::sqrt(2 / static_cast<double>(widths_[l]));
    for (Eigen::Index k = 0; k < widths_[l] * widths_[l + 1]; ++k)
      p[at++] = static_cast<float>(deviation * std::sqrt(-2 * std::log(uniform())) *
                                   std::cos(2 * std::numbers::pi * uniform()));
    at += static_cast<std::size_t>(widths_[l + 1]);
  }
  return p;
}

std::vector<matrix> network::forward(std::span<const float> parameters, const matrix& x) const {
  std::vector<matrix> layers{x};
  const float* at = parameters.data();
  for (std::size_t l = 0; l + 1 < widths_.size(); ++l) {
    const weights_view w(at, widths_[l], widths_[l + 1]);
    at += w.size();
    matrix z = layers.back() * w;
    z.rowwise() += bias_view(at, widths_[l + 1]);
    at += widths_[l + 1];
    if (l + 2 < widths_.size()) z = z.cwiseMax(0.0f);
    layers.push_back(std::move(z));
  }
  return layers;
}

void network::gradient(std::span<const float> parameters, const images& batch, float decay,
                       std::span<float> out) const {
  auto layers = forward(parameters, batch.pixels);
  matrix delta = layers.back();
  delta.colwise() -= delta.rowwise().maxCoeff().eval();
  delta = delta.array().exp();
  delta.array().colwise() /= delta.rowwise().sum().array().eval();
  for (std::size_t i = 0; i < batch.size(); ++i) delta(static_cast<Eigen::Index>(i), batch.labels[i]) -= 1;
  delta /= static_cast<float>(batch.size());

  std::size_t at = size_;
  for (std::size_t l = widths_.size() - 1; l-- > 0;) {
    const Eigen::Index inputs = widths_[l], outputs = widths_[l + 1];
    at -= static_cast<std::size_t>((inputs + 1) * outputs);
    const weights_view w(parameters.data() + at, inputs, outputs);
    Eigen::Map<matrix>(out.data() + at, inputs, outputs) = layers[l].transpose() * delta;
    Eigen::Map<Eigen::RowVectorXf>(out.data() + at + inputs * outputs, outputs) = delta.colwise().sum();
    if (l > 0) delta = ((delta * w.transpose()).array() * (layers[l].array() > 0).cast<float>()).matrix().eval();
  }
  for (std::size_t j = 0; j < size_; ++j) out[j] += decay * parameters[j];
}

double network::accuracy(std::span<const float> parameters, const images& data) const {
  const matrix scores = forward(parameters, data.pixels).back();
  std::size_t right = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    Eigen::Index best = 0;
    scores.row(static_cast<Eigen::Index>(i)).maxCoeff(&best);
    right += best == data.labels[i];
  }
  return static_cast<double>(right) / static_cast<double>(data.size());
}

} // namespace study
