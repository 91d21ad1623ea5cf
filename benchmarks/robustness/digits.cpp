// SPDX-License-Identifier: MIT
#include "digits.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iomanip>
#include <numbers>
#include <numeric>
#include <sstream>
#include <stdexcept>

#include <fedagg/core/random.hpp>

namespace study {
namespace {

using owned = std::vector<std::vector<std::size_t>>; // of each client, the rows of the data

double uniform(fedagg::random_stream& s) { return (static_cast<double>(s() >> 12) + 0.5) * 0x1p-52; }

double normal(fedagg::random_stream& s) {
  const double radius = std::sqrt(-2 * std::log(uniform(s)));
  return radius * std::cos(2 * std::numbers::pi * uniform(s));
}

/// The logarithm of a gamma variate (Marsaglia, Tsang 2000); that of a small shape would underflow without it.
double log_gamma_variate(double shape, fedagg::random_stream& s) {
  if (shape < 1) return log_gamma_variate(shape + 1, s) + std::log(uniform(s)) / shape;
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal(s), t = 1 + c * x;
    if (t <= 0) continue;
    const double v = t * t * t;
    if (std::log(uniform(s)) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

std::vector<double> dirichlet(double alpha, std::size_t n, fedagg::random_stream& s) {
  std::vector<double> share(n);
  for (double& x : share) x = log_gamma_variate(alpha, s);
  const double most = *std::max_element(share.begin(), share.end());
  for (double& x : share) x = std::exp(x - most);
  const double sum = std::accumulate(share.begin(), share.end(), 0.0);
  for (double& x : share) x /= sum;
  return share;
}

void by_dirichlet(const images& all, const std::vector<std::size_t>& rows, double alpha, owned& to,
                  fedagg::random_stream& s) {
  for (int c = 0; c < classes; ++c) {
    std::vector<std::size_t> of_class;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(of_class),
                 [&](std::size_t r) { return all.labels[r] == c; });
    const auto share = dirichlet(alpha, to.size(), s);
    double reached = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < to.size(); ++i) {
      reached += share[i];
      const auto last = i + 1 == to.size()
                            ? of_class.size()
                            : static_cast<std::size_t>(std::lround(reached * static_cast<double>(of_class.size())));
      for (; first < std::min(last, of_class.size()); ++first) to[i].push_back(of_class[first]);
    }
  }
}

void by_similarity(const images& all, const std::vector<std::size_t>& rows, double gamma, owned& to) {
  const auto dealt = static_cast<std::size_t>(std::lround(gamma * static_cast<double>(rows.size())));
  for (std::size_t k = 0; k < dealt; ++k) to[k % to.size()].push_back(rows[k]);
  std::vector<std::size_t> sorted(rows.begin() + static_cast<std::ptrdiff_t>(dealt), rows.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::size_t a, std::size_t b) { return all.labels[a] < all.labels[b]; });
  for (std::size_t k = 0; k < sorted.size(); ++k) to[k * to.size() / sorted.size()].push_back(sorted[k]);
}

void by_class(const images& all, const std::vector<std::size_t>& rows, owned& to) {
  std::array<std::size_t, classes> seen{};
  for (const std::size_t r : rows) {
    const auto c = static_cast<std::size_t>(all.labels[r]);
    const std::size_t sharers = c < to.size() ? (to.size() - c - 1) / classes + 1 : 0;
    to[sharers == 0 ? c % to.size() : c + classes * (seen[c]++ % sharers)].push_back(r);
  }
}

void nobody_empty(owned& to) {
  for (auto& mine : to)
    if (mine.empty()) {
      auto& most =
          *std::max_element(to.begin(), to.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
      mine.push_back(most.back());
      most.pop_back();
    }
}

} // namespace

images images::select(const std::vector<std::size_t>& rows) const {
  images chosen{matrix(static_cast<Eigen::Index>(rows.size()), pixels.cols()), {}};
  for (std::size_t k = 0; k < rows.size(); ++k) {
    chosen.pixels.row(static_cast<Eigen::Index>(k)) = pixels.row(static_cast<Eigen::Index>(rows[k]));
    chosen.labels.push_back(labels[rows[k]]);
  }
  return chosen;
}

images read_digits(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<float> values;
  images all;
  for (std::string line; std::getline(file, line);) {
    std::istringstream cells(line);
    std::vector<float> row;
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(std::stof(cell));
    if (row.size() != 65 || row[64] < 0 || row[64] >= classes)
      throw std::runtime_error(path + ": line " + std::to_string(all.size() + 1) +
                               " is not 64 grey values and a digit");
    all.labels.push_back(static_cast<int>(row[64]));
    values.insert(values.end(), row.begin(), row.end() - 1);
  }
  all.pixels = Eigen::Map<const matrix>(values.data(), static_cast<Eigen::Index>(all.size()), 64) / 16.0f;
  return all;
}

std::string fingerprint(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::uint64_t hash = 14695981039346656037u;
  for (char c = 0; file.get(c);) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  std::ostringstream text;
  text << std::hex << std::setw(16) << std::setfill('0') << hash;
  return text.str();
}

void check_heterogeneity(const nlohmann::json& h) {
  const auto number = [&](const char* key) {
    return h.contains(key) && h[key].is_number() ? h[key].get<double>() : -1;
  };
  const std::string kind = h.is_object() ? h.value("kind", "") : "";
  const bool fine = kind == "dirichlet"          ? number("alpha") > 0 && number("alpha") <= 1e6
                    : kind == "gamma_similarity" ? number("gamma") >= 0 && number("gamma") <= 1
                                                 : kind == "extreme";
  if (!fine)
    throw std::runtime_error("heterogeneity is {\"kind\": \"dirichlet\", \"alpha\": above 0}, {\"kind\": "
                             "\"gamma_similarity\", \"gamma\": 0 to 1} or {\"kind\": \"extreme\"}, this is " +
                             h.dump());
}

split share_out(const images& all, const nlohmann::json& heterogeneity, std::size_t clients, std::size_t root,
                std::uint64_t seed) {
  check_heterogeneity(heterogeneity);
  std::vector<std::size_t> order(all.size());
  fedagg::random_stream(seed, "split").permutation(order);
  const std::size_t fifth = all.size() / 5;
  if (2 * fifth + root + clients > all.size()) throw std::runtime_error("there are fewer images than clients");
  const auto part = [&](std::size_t first, std::size_t count) {
    return std::vector<std::size_t>(order.begin() + static_cast<std::ptrdiff_t>(first),
                                    order.begin() + static_cast<std::ptrdiff_t>(first + count));
  };
  split s{all.select(part(0, fifth)), all.select(part(fifth, fifth)), all.select(part(2 * fifth, root)), {}};
  const auto rest = part(2 * fifth + root, all.size() - 2 * fifth - root);

  owned to(clients);
  fedagg::random_stream stream(seed, "partition");
  const std::string kind = heterogeneity.value("kind", "");
  if (kind == "dirichlet")
    by_dirichlet(all, rest, heterogeneity["alpha"].get<double>(), to, stream);
  else if (kind == "gamma_similarity")
    by_similarity(all, rest, heterogeneity["gamma"].get<double>(), to);
  else
    by_class(all, rest, to);
  nobody_empty(to);
  for (const auto& mine : to) s.clients.push_back(all.select(mine));
  return s;
}

} // namespace study
