// SPDX-License-Identifier: MIT
#include "compiled/spectral.hpp"

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_RULE(, caf)
COMPILED_RULE(, dnc)
COMPILED_RULE(, smea)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS
