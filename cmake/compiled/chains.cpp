// SPDX-License-Identifier: MIT
#include "compiled/chains.hpp"

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_CHAINS()
} // namespace fedagg::inline FEDAGG_ABI_FLAGS
