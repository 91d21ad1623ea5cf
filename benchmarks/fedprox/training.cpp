// SPDX-License-Identifier: MIT
#include "training.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include <fedagg/client/proximal.hpp>
#include <fedagg/fedagg.hpp>

namespace fedprox {
namespace {

constexpr std::size_t chosen = 10, epochs = 20, batch = 10;
constexpr float rate = 0.01f;

/// Classes in rows of whole vectors; those beyond the tenth stay zero. A row for each feature, and one for the
/// constants. Vectors by name: at -O2 a compiler keeps small arrays in memory, which takes three times as long.
constexpr std::size_t columns = 12, rows = features + 1;
using model = std::vector<float>;
typedef float vector __attribute__((vector_size(16), aligned(4), may_alias));

struct row {
  vector a, b, c;
};
const row& row_of(const float* w, std::size_t j) { return *reinterpret_cast<const row*>(w + j * columns); }
row& row_of(float* w, std::size_t j) { return *reinterpret_cast<row*>(w + j * columns); }

void add(row& to, float x, const row& r) {
  to.a += x * r.a;
  to.b += x * r.b;
  to.c += x * r.c;
}

void scores(const model& w, const float* x, float* to) {
  row even = row_of(w.data(), features), odd = {};
  for (std::size_t j = 0; j < features; j += 2) {
    add(even, x[j], row_of(w.data(), j));
    add(odd, x[j + 1], row_of(w.data(), j + 1));
  }
  add(even, 1, odd);
  row_of(to, 0) = even;
}

/// The gradient of the mean loss of a few samples.
void gradient_of(const model& w, const samples& data, const std::size_t* which, std::size_t count, float* gradient) {
  alignas(16) float p[batch][columns];
  const float* x[batch];
  const float scale = 1 / static_cast<float>(count);
  row constants = {};
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = data.x.data() + which[i] * features;
    scores(w, x[i], p[i]);
    const float top = *std::max_element(p[i], p[i] + classes);
    float sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += p[i][c] = std::exp(p[i][c] - top);
    for (std::size_t c = 0; c < columns; ++c) p[i][c] = c < classes ? p[i][c] / sum * scale : 0;
    p[i][data.y[which[i]]] -= scale;
    add(constants, 1, row_of(p[i], 0));
  }
  for (std::size_t j = 0; j < features; ++j) {
    row sum = {};
    for (std::size_t i = 0; i < count; ++i) add(sum, x[i][j], row_of(p[i], 0));
    row_of(gradient, j) = sum;
  }
  row_of(gradient, features) = constants;
}

/// The client's work in a round, on w, which begins as the global model.
void work(const samples& data, const model& global, model& w, double mu, std::size_t how_many,
          fedagg::random_stream& order) {
  model gradient(w.size());
  const fedagg::model_view local(w), server(global);
  const fedagg::mutable_model_view out(gradient);
  const fedagg::proximal_term term{mu};
  std::vector<std::size_t> shuffled(data.size());
  for (std::size_t epoch = 0; epoch < how_many; ++epoch) {
    order.permutation(shuffled);
    for (std::size_t begin = 0; begin < data.size(); begin += batch) {
      const std::size_t end = std::min(begin + batch, data.size());
      gradient_of(w, data, shuffled.data() + begin, end - begin, gradient.data());
      if (mu > 0) term.add_gradient(local, server, out);
      for (std::size_t j = 0; j < w.size(); ++j) w[j] -= rate * gradient[j];
    }
  }
}

void evaluate(const std::vector<device>& data, const model& w, curve& to) {
  double loss = 0;
  std::size_t trained = 0, tested = 0, right = 0;
  float p[columns];
  for (const device& d : data) {
    for (std::size_t i = 0; i < d.train.size(); ++i) {
      scores(w, d.train.x.data() + i * features, p);
      const float top = *std::max_element(p, p + classes);
      float sum = 0;
      for (std::size_t c = 0; c < classes; ++c) sum += std::exp(p[c] - top);
      loss += static_cast<double>(std::log(sum) + top - p[d.train.y[i]]);
    }
    for (std::size_t i = 0; i < d.test.size(); ++i) {
      scores(w, d.test.x.data() + i * features, p);
      right += static_cast<std::size_t>(std::max_element(p, p + classes) - p) == d.test.y[i];
    }
    trained += d.train.size();
    tested += d.test.size();
  }
  to.loss.push_back(loss / static_cast<double>(trained));
  to.accuracy.push_back(static_cast<double>(right) / static_cast<double>(tested));
}

} // namespace

curve train(const std::vector<device>& data, const training& how, std::uint64_t seed) {
  model global(rows * columns);
  curve result;
  evaluate(data, global, result);
  fedagg::random_stream choice(seed, "fedprox.choice"), slow(seed, "fedprox.slow");
  std::vector<std::size_t> who(data.size()), late(chosen);
  for (std::size_t round = 0; round < how.rounds; ++round) {
    choice.permutation(who);
    slow.permutation(late);
    std::size_t done[chosen];
    for (std::size_t k = 0; k < chosen; ++k) {
      const auto some = 1 + static_cast<std::size_t>(slow.below(epochs - 1));
      done[k] = how.slow == stragglers::none || late[k] == 0 ? epochs : some;
    }
    std::vector<model> models;
    std::vector<double> weights;
    for (std::size_t k = 0; k < chosen; ++k) {
      if (how.slow == stragglers::dropped && done[k] < epochs) continue;
      const samples& own = data[who[k]].train;
      fedagg::random_stream order(seed,
                                  ("fedprox.batches." + std::to_string(round) + "." + std::to_string(who[k])).c_str());
      models.push_back(global);
      work(own, global, models.back(), how.mu, done[k], order);
      weights.push_back(static_cast<double>(own.size()));
    }
    fedagg::cohort clients;
    for (const model& m : models) clients.add(m);
    clients.weights(weights);
    fedagg::aggregate(fedagg::mean{}, clients, global);
    evaluate(data, global, result);
  }
  return result;
}

} // namespace fedprox
