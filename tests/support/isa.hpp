// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_ISA_HPP
#define FEDAGG_TESTS_SUPPORT_ISA_HPP

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include <fedagg/kernels/isa.hpp>

/// What ctest takes for "skipped".
inline constexpr int isa_skipped = 77;

enum class isa_request { fine, missing, unknown };

/// The library falls back to the best instruction set below the one that FEDAGG_ISA names; a test that did so would
/// pass without having run what it is named after.
inline isa_request requested_isa() {
  const char* wanted = std::getenv("FEDAGG_ISA");
  if (wanted == nullptr)
    return isa_request::fine;
  for (const fedagg::isa which : {fedagg::isa::baseline, fedagg::isa::avx2, fedagg::isa::avx512})
    if (std::strcmp(wanted, fedagg::name_of(which)) == 0)
      return fedagg::isa_available(which) ? isa_request::fine : isa_request::missing;
  return isa_request::unknown;
}

#endif // FEDAGG_TESTS_SUPPORT_ISA_HPP
