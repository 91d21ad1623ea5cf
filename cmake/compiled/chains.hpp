// SPDX-License-Identifier: MIT
#ifndef COMPILED_CHAINS_HPP
#define COMPILED_CHAINS_HPP

/// Rounds of chains chosen at run time, compiled in chains.cpp once for all units that include this.

#include <fedagg/adapters/strategy/any_chain.hpp>

#include "compiled/rules.hpp"

#define COMPILED_CHAINS(linkage)                                                                                       \
  linkage template errc try_aggregate(const any_chain&, const cohort&, const mutable_model_view&, workspace&,          \
                                      const options&) noexcept;

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_CHAINS(extern)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // COMPILED_CHAINS_HPP
