// SPDX-License-Identifier: MIT
#ifndef COMPILED_PASSES_HPP
#define COMPILED_PASSES_HPP

/// The passes, compiled in passes.cpp once for all units that include this: whatever the rule, a round runs them. What
/// is compiled is the same, with the same flags.

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/passes/gram.hpp>
#include <fedagg/passes/rows.hpp>

#define COMPILED_PASSES(linkage)                                                                                       \
  linkage template errc try_rows<void>(const cohort&, row_table&, const rows_request&, const options&) noexcept;       \
  linkage template errc try_gram<void>(const cohort&, gram_table&, const gram_query&, const options&) noexcept;        \
  linkage template class rows_pass<void>;                                                                              \
  namespace impl {                                                                                                     \
  linkage template tile_kernel erase(const combine_pass<void>&) noexcept;                                              \
  linkage template tile_kernel erase(const window_pass&) noexcept;                                                     \
  linkage template tile_kernel erase(const nearest_pass&) noexcept;                                                    \
  linkage template tile_kernel erase(const mixed_pass&) noexcept;                                                      \
  linkage template class coordinate_pass<void>;                                                                        \
  linkage template class geometric_round<void>;                                                                        \
  linkage template class gram_pass<void>;                                                                              \
  linkage template class gram_tiles<void>;                                                                             \
  linkage template findings measuring::by_products<void>(const measure_request&, geometry&);                           \
  linkage template findings measuring::by_norms<void>(const measure_request&, geometry&);                              \
  linkage template findings measuring::by_samples<void>(const measure_request&, geometry&);                            \
  }

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_PASSES(extern)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // COMPILED_PASSES_HPP
