// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_FEDPROX_CHART_HPP
#define FEDAGG_BENCHMARKS_FEDPROX_CHART_HPP

#include <string>
#include <vector>

#include "training.hpp"

namespace fedprox {

/// A column of the picture: mu = 0 and mu = 1 on the same data.
struct pair_of_curves {
  const char* name;
  const curve *zero, *one;
};

/// Training loss above, test accuracy below, by round, as an SVG picture.
std::string chart(const std::vector<pair_of_curves>& columns);

} // namespace fedprox

#endif // FEDAGG_BENCHMARKS_FEDPROX_CHART_HPP
