// SPDX-License-Identifier: MIT
#define CATCH_CONFIG_RUNNER
#include <cstdio>

#include "catch.hpp"
#include "isa.hpp"

int main(int argc, char* argv[]) {
  switch (requested_isa()) {
  case isa_request::missing:
    return isa_skipped;
  case isa_request::unknown:
    std::fputs("FEDAGG_ISA is none of baseline, avx2, avx512\n", stderr);
    return 2;
  case isa_request::fine:
    break;
  }
  const int result = Catch::Session().run(argc, argv);
  // A count of that many failed assertions is not a skip.
  return result == isa_skipped ? 1 : result;
}
