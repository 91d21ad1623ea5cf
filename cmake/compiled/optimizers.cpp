// SPDX-License-Identifier: MIT
#include "compiled/optimizers.hpp"

#include <tuple>

#define COMPILED_COUNT(linkage, Optimizer) +1
static_assert(std::tuple_size_v<fedagg::optimizer_list> == 0 COMPILED_EACH_OPTIMIZER(, COMPILED_COUNT),
              "compiled/optimizers.hpp has every optimizer");

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_EACH_OPTIMIZER(, COMPILED_OPTIMIZER)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS
