// SPDX-License-Identifier: MIT
// usage: constant_time [--isa NAME] [--plant branch|index]
//
// Runs everything that handles secrets, on each instruction set, under a tool that tells where a branch or an address
// depends on one: valgrind, or clang's MemorySanitizer (valgrind knows no AVX-512). Prints which instruction sets ran.
// `--plant` adds a case that is wrong. Exit code 1 if something was found.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include <fedagg/kernels/isa.hpp>

#include "masks.hpp"
#include "planted.hpp"
#include "secrets.hpp"
#include "shares.hpp"
#if FEDAGG_TESTS_VALGRIND
#include "ring.hpp"
#endif

namespace {

using constant_time::test_case;

// A new case is a line here.
constexpr test_case cases[] = {
    {"secret_bytes", constant_time::secrets},
    {"chacha20_block", constant_time::block},
    {"chacha20_stream", constant_time::stream},
    {"add_masks", constant_time::masks<fedagg::chacha20_masks>},
    {"add_masks, any generator", constant_time::masks<constant_time::plain_masks>},
    {"shamir_share", constant_time::deal},
    {"shamir_weights::reconstruct", constant_time::reconstruct},
#if FEDAGG_TESTS_VALGRIND
    // MemorySanitizer loses secrets in floating-point numbers, and does not know AVX-512's conversion of them.
#if defined(__OPTIMIZE__)
    // Unoptimised, a choice between lanes is a branch for each.
    {"ring_kernel::encode", constant_time::encode<true>},
    {"ring_kernel::encode_inside", constant_time::encode<false>},
#endif
    {"ring_codec::try_encode, its rounding", constant_time::round},
#endif
};

template <bool Index>
void wrong() {
  const std::uint32_t* secrets = constant_time::masked_words();
  fedagg::impl::on_active_isa([&](auto tag) {
    if constexpr (Index)
      constant_time::planted<decltype(tag)>::index(secrets);
    else
      constant_time::planted<decltype(tag)>::branch(secrets);
  });
}
constexpr test_case planted[] = {{"branch", wrong<false>}, {"index", wrong<true>}};

/// False if the tool found something in it.
bool run(const test_case& c, fedagg::isa which) {
  const unsigned before = constant_time::found();
  c.run();
  if (constant_time::found() == before) return true;
  std::printf("%s on %s: time depends on a secret\n", c.name, fedagg::name_of(which));
  return false;
}

} // namespace

int main(int count, char** arguments) {
  const test_case* plant = nullptr;
  const char* only = nullptr;
  bool known = count % 2 == 1;
  for (int k = 1; known && k < count; k += 2) {
    if (std::strcmp(arguments[k], "--isa") == 0) {
      only = arguments[k + 1];
    } else {
      known = std::strcmp(arguments[k], "--plant") == 0;
      for (const test_case& c : planted)
        if (known && std::strcmp(arguments[k + 1], c.name) == 0) plant = &c;
      known = plant != nullptr;
    }
  }
  if (!known) {
    std::fprintf(stderr, "usage: constant_time [--isa NAME] [--plant branch|index]\n");
    return 2;
  }
  if (!constant_time::watched()) {
    std::fprintf(stderr, "constant_time: nothing watches\n");
    return 2;
  }
  bool fine = true;
  for (const fedagg::isa which : {fedagg::isa::baseline, fedagg::isa::avx2, fedagg::isa::avx512}) {
    if ((only && std::strcmp(only, fedagg::name_of(which)) != 0) || !fedagg::use_isa(which)) continue;
    for (const test_case& c : cases) fine = run(c, which) && fine;
    if (plant) fine = run(*plant, which) && fine;
    std::printf("%s, %s: %zu cases\n", constant_time::tool, fedagg::name_of(which), sizeof cases / sizeof cases[0]);
    std::fflush(stdout);
  }
  return fine ? 0 : 1;
}
