// SPDX-License-Identifier: MIT
#include "patients.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numbers>
#include <random>
#include <sstream>
#include <stdexcept>

namespace hospitals {
namespace {

// The spread of a hospital's instruments: their gain, and their offset in standard deviations of the measurement.
constexpr double gain_spread = 0.02;
constexpr double offset_spread = 0.2;

// The standard fixes what the engine gives, but not what its distributions make of it.
double uniform(std::mt19937_64& random) { return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53; }

double normal(std::mt19937_64& random) {
  const double radius = std::sqrt(-2 * std::log(uniform(random)));
  return radius * std::cos(2 * std::numbers::pi * uniform(random));
}

void shuffle(std::vector<Eigen::Index>& order, std::mt19937_64& random) {
  for (std::size_t k = order.size(); k > 1; --k)
    std::swap(order[k - 1], order[static_cast<std::size_t>(uniform(random) * static_cast<double>(k))]);
}

} // namespace

patients read_csv(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const auto next = [&](std::istringstream& line, double& value) {
    std::string cell;
    if (!std::getline(line, cell, ',')) throw std::runtime_error(path + " has a short line");
    value = std::stod(cell);
  };
  std::string text;
  std::getline(file, text);
  std::istringstream header(text);
  double rows = 0, columns = 0;
  next(header, rows);
  next(header, columns);
  if (!(rows >= 1 && rows <= 1e6 && columns >= 1 && columns <= 1e4))
    throw std::runtime_error(path + " has no such size");
  patients all{Eigen::MatrixXd(static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns)),
               Eigen::VectorXd(static_cast<Eigen::Index>(rows))};
  for (Eigen::Index i = 0; i < all.size(); ++i) {
    if (!std::getline(file, text)) throw std::runtime_error(path + " ends early");
    std::istringstream line(text);
    for (Eigen::Index j = 0; j < all.measured.cols(); ++j) next(line, all.measured(i, j));
    double benign = 0;
    next(line, benign);
    all.malignant(i) = 1 - benign;
  }
  return all;
}

patients rows_of(const patients& all, const std::vector<Eigen::Index>& rows) {
  return {all.measured(rows, Eigen::all), all.malignant(rows)};
}

patients joined(const std::vector<patients>& parts) {
  Eigen::Index size = 0;
  for (const auto& p : parts) size += p.size();
  patients all{Eigen::MatrixXd(size, parts.front().measured.cols()), Eigen::VectorXd(size)};
  Eigen::Index at = 0;
  for (const auto& p : parts) {
    all.measured.middleRows(at, p.size()) = p.measured;
    all.malignant.segment(at, p.size()) = p.malignant;
    at += p.size();
  }
  return all;
}

std::vector<split> shared_out(const patients& all, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::array<std::vector<Eigen::Index>, 2> waiting; // benign, malignant
  for (Eigen::Index i = 0; i < all.size(); ++i) waiting[all.malignant(i) > 0.5].push_back(i);
  for (auto& w : waiting) shuffle(w, random);
  std::array<std::size_t, 2> wanted{};
  for (const hospital& h : sites) {
    wanted[0] += h.patients - h.malignant;
    wanted[1] += h.malignant;
  }
  if (waiting[0].size() != wanted[0] || waiting[1].size() != wanted[1])
    throw std::runtime_error("the patients are not the 569 that the hospitals are laid out for");

  const Eigen::RowVectorXd mean = all.measured.colwise().mean();
  const Eigen::RowVectorXd sd =
      ((all.measured.rowwise() - mean).colwise().squaredNorm() / static_cast<double>(all.size())).cwiseSqrt();
  std::vector<split> cuts(splits);
  std::vector<std::vector<patients>> held_out(splits);
  for (const hospital& h : sites) {
    std::vector<std::vector<Eigen::Index>> test(splits), train(splits);
    int turn = 0;
    for (const std::size_t malignant : {0u, 1u})
      for (std::size_t k = 0; k < (malignant ? h.malignant : h.patients - h.malignant); ++k) {
        const Eigen::Index row = waiting[malignant].back();
        waiting[malignant].pop_back();
        for (int s = 0; s < splits; ++s) (s == turn ? test : train)[static_cast<std::size_t>(s)].push_back(row);
        turn = (turn + 1) % splits;
      }
    Eigen::RowVectorXd gain(mean.size()), offset(mean.size());
    for (Eigen::Index j = 0; j < mean.size(); ++j) {
      gain(j) = 1 + gain_spread * normal(random);
      offset(j) = offset_spread * normal(random) * sd(j);
    }
    const auto shifted = [&](const std::vector<Eigen::Index>& rows) {
      patients p = rows_of(all, rows);
      p.measured = (p.measured.array().rowwise() * gain.array()).rowwise() + offset.array();
      return p;
    };
    for (std::size_t s = 0; s < splits; ++s) {
      cuts[s].train.push_back(shifted(train[s]));
      held_out[s].push_back(shifted(test[s]));
    }
  }
  for (std::size_t s = 0; s < splits; ++s) cuts[s].test = joined(held_out[s]);
  return cuts;
}

} // namespace hospitals
