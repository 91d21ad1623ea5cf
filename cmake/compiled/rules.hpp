// SPDX-License-Identifier: MIT
#ifndef COMPILED_RULES_HPP
#define COMPILED_RULES_HPP

/// Rounds of every rule of `rule_list`, compiled in rules.cpp once for all units that include this.

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules.hpp>

#include "compiled/passes.hpp"

// All of the list, or a unit that runs the missing one takes longer.
#define COMPILED_EACH_RULE(linkage, rule)                                                                              \
  rule(linkage, bulyan) rule(linkage, centered_clipping) rule(linkage, cge) rule(linkage, fltrust)                     \
      rule(linkage, foolsgold) rule(linkage, geometric_median) rule(linkage, krum) rule(linkage, mda)                  \
          rule(linkage, meamed) rule(linkage, mean) rule(linkage, median) rule(linkage, monna)                         \
              rule(linkage, multi_krum) rule(linkage, norm_bounding) rule(linkage, phocas)                             \
                  rule(linkage, robust_learning_rate) rule(linkage, sign_guard) rule(linkage, sign_majority)           \
                      rule(linkage, trimmed_mean)

#define COMPILED_RULE(linkage, Rule)                                                                                   \
  linkage template errc try_aggregate(const Rule&, const cohort&, const mutable_model_view&, workspace&,               \
                                      const options&) noexcept;                                                        \
  linkage template outcome aggregate(const Rule&, const cohort&, const mutable_model_view&, const options&);

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_EACH_RULE(extern, COMPILED_RULE)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // COMPILED_RULES_HPP
