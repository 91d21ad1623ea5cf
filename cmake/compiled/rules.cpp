// SPDX-License-Identifier: MIT
#include "compiled/rules.hpp"

#include <tuple>

#define COMPILED_COUNT(linkage, Rule) +1
static_assert(std::tuple_size_v<fedagg::rule_list> == 0 COMPILED_EACH_RULE(, COMPILED_COUNT),
              "compiled/rules.hpp has every rule");

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_EACH_RULE(, COMPILED_RULE)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS
