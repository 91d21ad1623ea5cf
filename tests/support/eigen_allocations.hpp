// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_EIGEN_ALLOCATIONS_HPP
#define FEDAGG_TESTS_SUPPORT_EIGEN_ALLOCATIONS_HPP

// Before anything of Eigen's: it allocates with malloc, asks whether it may, and asserts that it was told so.
#include <cstddef>

namespace allocations {
inline std::size_t by_eigen = 0;
}
#define EIGEN_RUNTIME_NO_MALLOC
#define eigen_assert(condition) static_cast<void>((condition) || ++allocations::by_eigen)

#include <Eigen/Core>

#include <fedagg/passes/aggregate.hpp>

#include "support/allocations.hpp"

namespace allocations {

/// What a round allocates after three like it: by operator new and by Eigen.
struct counted {
  std::size_t plain, eigen, iterations;
};

template <class Rule>
counted in_steady_state(const Rule& rule, const std::vector<std::vector<double>>& x) {
  fedagg::cohort clients;
  for (const auto& row : x) clients.add(row);
  std::vector<double> out(x[0].size());
  fedagg::mutable_model_view view(out);
  fedagg::workspace space;
  for (int round = 0; round < 3; ++round)
    if (fedagg::try_aggregate(rule, clients, view, space) != fedagg::errc::ok) return {99, 99, 0};
  const std::size_t before = count;
  by_eigen = 0;
  Eigen::internal::set_is_malloc_allowed(false);
  const fedagg::errc rc = fedagg::try_aggregate(rule, clients, view, space);
  Eigen::internal::set_is_malloc_allowed(true);
  if (rc != fedagg::errc::ok) return {99, 99, 0};
  return {count - before, by_eigen, space.result().iterations};
}

} // namespace allocations

#endif // FEDAGG_TESTS_SUPPORT_EIGEN_ALLOCATIONS_HPP
