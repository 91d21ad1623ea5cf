// SPDX-License-Identifier: MIT
#include <fedagg/kernels/isa.hpp>

#include <cstdlib>
#include <cstring>

#include "support/catch.hpp"

using fedagg::isa;

TEST_CASE("the baseline is always there, and a set that is not there cannot be chosen") {
  CHECK(fedagg::isa_available(isa::baseline));
  const isa before = fedagg::active_isa();
  for (const isa which : {isa::baseline, isa::avx2, isa::avx512}) {
    const bool there = fedagg::isa_available(which);
    const isa in_use = fedagg::active_isa();
    CHECK(fedagg::use_isa(which) == there);
    CHECK(fedagg::active_isa() == (there ? which : in_use));
  }
  CHECK(fedagg::use_isa(before));
}

TEST_CASE("each set includes those before it") {
  if (fedagg::isa_available(isa::avx512)) CHECK(fedagg::isa_available(isa::avx2));
  CHECK((isa::baseline < isa::avx2 && isa::avx2 < isa::avx512));
}

TEST_CASE("the environment variable limits the choice") {
  const char* wanted = std::getenv("FEDAGG_ISA");
  // The test program has refused names that the machine cannot serve.
  if (wanted) CHECK(std::strcmp(fedagg::name_of(fedagg::active_isa()), wanted) == 0);
  else CHECK(fedagg::active_isa() == fedagg::detail::best_isa());
}
