// SPDX-License-Identifier: MIT
#include "compiled/passes.hpp"

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_PASSES()
} // namespace fedagg::inline FEDAGG_ABI_FLAGS
