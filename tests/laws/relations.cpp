// SPDX-License-Identifier: MIT
// What holds between certain rules, and what some of them promise that have no budget.
#include <cmath>

#include "laws/instances.hpp"

using namespace numeric;
using namespace laws;

TEST_CASE("without a budget the trimmed mean is the mean") {
  for (const std::size_t n : sizes) {
    const auto x = sample<double>(kind::normal, n, 40, n);
    const auto a = aggregated(fedagg::mean{}, x), b = aggregated(fedagg::trimmed_mean{.trim = 0}, x);
    REQUIRE((a.size() == x.d && b.size() == x.d));
    INFO("n=" << n);
    CHECK(apart(nature{.name = "mean"}, a, b, x) == 0);
  }
}

TEST_CASE("with all but the middle trimmed the trimmed mean is the median") {
  for (const std::size_t n : sizes) {
    const auto x = sample<float>(kind::mixed, n, 40, n);
    CHECK(same_bits(aggregated(fedagg::median{}, x), aggregated(fedagg::trimmed_mean{.trim = static_cast<std::int64_t>((n - 1) / 2)}, x)));
  }
}

TEST_CASE("rules without a budget keep to their bounds") {
  // The norm of a result, and the distance of the geometric median from honest clients that hold a majority.
  const auto norm = [](const std::vector<double>& v, const std::vector<double>& from) {
    quad sum = 0;
    for (std::size_t j = 0; j < v.size(); ++j) sum = add(sum, multiply(quad(v[j]) - quad(from[j]), quad(v[j]) - quad(from[j])));
    return std::sqrt(static_cast<double>(sum));
  };
  const std::size_t n = 11, d = 17;
  const std::vector<double> zero(d);
  for (const double huge : {1e3, 1e30, -1e100}) {
    auto x = sample<double>(kind::normal, n, d, 6);
    for (const std::size_t i : {0u, 3u, 6u, 9u, 10u})
      for (std::size_t j = 0; j < d; ++j) x.at(i, j) = huge;
    const auto root = some_root<double>(d);
    INFO("huge " << huge);
    CHECK(norm(result(fedagg::fltrust{}, x), zero) <= norm(root, zero) * (1 + 1e-9));
    CHECK(norm(result(fedagg::norm_bounding{.bound = 0.75}, x), zero) <= 0.75 * (1 + 1e-9));
    CHECK(norm(result(fedagg::centered_clipping{.tau = 0.5, .iterations = 3}, x), zero) <= 1.5 * (1 + 1e-9));
    CHECK(norm(result(fedagg::centered_clipping{.tau = 0.5, .iterations = 3}, x, {}, {}, nullptr, {{}, root}), root) <= 1.5 * (1 + 1e-9));
    // Lopuhaa and Rousseeuw 1991: 2 (n - f) / (n - 2 f) times the largest honest distance from any point.
    double radius = 0;
    for (const std::size_t i : {1u, 2u, 4u, 5u, 7u, 8u}) radius = std::max(radius, norm({x.row(i).begin(), x.row(i).end()}, zero));
    CHECK(norm(result(fedagg::geometric_median{}, x), zero) <= 12 * radius);
  }
}
