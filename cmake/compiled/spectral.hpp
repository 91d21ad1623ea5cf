// SPDX-License-Identifier: MIT
#ifndef COMPILED_SPECTRAL_HPP
#define COMPILED_SPECTRAL_HPP

/// Rounds of the rules that need Eigen, compiled in spectral.cpp once for all units that include this.

#include <fedagg/spectral.hpp>

#include "compiled/rules.hpp"

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_RULE(extern, caf)
COMPILED_RULE(extern, dnc)
COMPILED_RULE(extern, smea)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // COMPILED_SPECTRAL_HPP
