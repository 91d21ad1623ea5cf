// SPDX-License-Identifier: MIT
#include "bounds.hpp"

#include <cstdint>
#include <string>

#include "robustness/rules.hpp"

namespace theory {
namespace {

using nlohmann::json;

/// Allouah et al. 2023 (arXiv:2302.01772), table 1.
double median_bound(double odds) { return 4 * (1 + odds) * (1 + odds); }
double trimmed_mean_bound(double odds) { return 6 * odds * (1 + odds); }

std::optional<double> of_rule(json rule, std::size_t clients, std::size_t hostile) {
  const auto n = static_cast<double>(clients), f = static_cast<double>(hostile);
  const double odds = least_ratio(clients, hostile);
  // A search that gives up is refused, and so is no result that could exceed a bound.
  if (rule["rule"] == "mda" || rule["rule"] == "smea") rule.erase("max_nodes");
  const auto is = [&](const json& known) {
    json same = study::canonical(known, {static_cast<std::int64_t>(hostile)});
    same.erase("max_nodes");
    return rule == same;
  };
  if (is({{"rule", "median"}}) || is({{"rule", "geometric_median"}})) return median_bound(odds);
  if (is({{"rule", "trimmed_mean"}, {"trim", "declared"}})) return trimmed_mean_bound(odds);
  // Of the n - f nearest, the row itself included.
  if (is({{"rule", "krum"}, {"f", "declared"}, {"neighbours", "n-f-1"}})) return 6 * (1 + odds);
  // Allouah et al. 2023 (arXiv:2302.04787).
  if (is({{"rule", "smea"}, {"f", "declared"}})) return 4 * f / (n - f) * (1 + odds) * (1 + odds);
  // Farhadkhani et al. 2022 (arXiv:2205.12173): 2f / (n - f) diameters of S, whose square is <= 2 (n - f) variances.
  if (is({{"rule", "mda"}, {"f", "declared"}})) return 8 * f * f / (n - f);
  // The n - f values nearest a centre: 4f / (n - f) times the mean square distance of S from it.
  if (is({{"rule", "meamed"}, {"f", "declared"}})) return 4 * f / (n - f) * (1 + median_bound(odds));
  if (is({{"rule", "phocas"}, {"f", "declared"}})) return 4 * f / (n - f) * (1 + trimmed_mean_bound(odds));
  return {};
}

} // namespace

double least_ratio(std::size_t n, std::size_t f) {
  return static_cast<double>(f) / (static_cast<double>(n) - 2 * static_cast<double>(f));
}

std::optional<double> proven_bound(const json& rule, std::size_t n, std::size_t f) {
  if (!rule.contains("chain")) return of_rule(rule, n, f);
  const json& parts = rule["chain"];
  std::optional<double> bound = of_rule(parts.back(), n, f);
  for (std::size_t k = parts.size() - 1; bound && k-- > 0;) {
    const auto known = [&](const char* name) { return parts[k] == json{{"rule", name}, {"f", f}}; };
    // Lemma 1 of arXiv:2302.01772; theorem 3.2 of arXiv:2405.14432.
    if (known("nnm"))
      bound = 8 * static_cast<double>(f) / static_cast<double>(n - f) * (*bound + 1);
    else if (known("arc"))
      bound = *bound + 2 * least_ratio(n, f);
    else
      bound.reset();
  }
  return bound;
}

} // namespace theory
