// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_FEDPROX_SYNTHETIC_HPP
#define FEDAGG_BENCHMARKS_FEDPROX_SYNTHETIC_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/core/random.hpp>

namespace fedprox {

inline constexpr std::size_t features = 60, classes = 10, devices = 30;

/// Samples in rows of `features` numbers.
struct samples {
  std::vector<float> x;
  std::vector<std::uint8_t> y;
  std::size_t size() const { return y.size(); }
};

struct device {
  samples train, test;
};

/// Which of the paper's data sets; alpha and beta are standard deviations.
struct recipe {
  const char* name;
  double alpha, beta;
  bool iid;
};

/// synthetic(alpha, beta) of Li et al. 2020 (arXiv:1812.06127, section 5.1), as the authors' code makes it: the same
/// numbers for a seed on every machine, but for the last digit of an exponential or logarithm.
std::vector<device> synthetic(const recipe& r, std::uint64_t seed);

/// A standard normal deviate.
double normal(fedagg::random_stream& from);

} // namespace fedprox

#endif // FEDAGG_BENCHMARKS_FEDPROX_SYNTHETIC_HPP
