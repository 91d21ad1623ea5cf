// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_THEORY_BOUNDS_HPP
#define FEDAGG_BENCHMARKS_THEORY_BOUNDS_HPP

#include <cstddef>
#include <optional>

#include <nlohmann/json.hpp>

namespace theory {

/// What is proven of a rule's or chain's (f, kappa) ratio for f hostile ones of n clients, nothing where nothing is
/// known. The rule is canonical JSON; docs/rules.md says where each bound comes from.
std::optional<double> proven_bound(const nlohmann::json& rule, std::size_t n, std::size_t f);

/// f / (n - 2f): no rule does better.
double least_ratio(std::size_t n, std::size_t f);

} // namespace theory

#endif // FEDAGG_BENCHMARKS_THEORY_BOUNDS_HPP
