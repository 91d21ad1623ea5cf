// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_ISA_HPP
#define FEDAGG_KERNELS_ISA_HPP

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include <fedagg/config.hpp>
#include <fedagg/core/relaxed.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The instruction sets that the kernels are compiled for, in ascending order. `baseline` is what the compiler targets
/// without flags: SSE2 on x86-64, NEON on AArch64.
enum class isa : int { baseline, avx2, avx512 };

constexpr const char* name_of(isa which) noexcept {
  return which == isa::avx512 ? "avx512" : which == isa::avx2 ? "avx2" : "baseline";
}

/// True if this machine can run it.
inline bool isa_available(isa which) noexcept {
#if FEDAGG_X86
  __builtin_cpu_init();
  // Every processor with AVX2 has F16C, which clang 14 cannot ask for.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return which == isa::baseline || (which == isa::avx2 && avx2) || (which == isa::avx512 && avx512);
#else
  return which == isa::baseline;
#endif
}

namespace detail {

inline isa best_isa() noexcept {
  isa best = isa_available(isa::avx512) ? isa::avx512 : isa_available(isa::avx2) ? isa::avx2 : isa::baseline;
  // FEDAGG_ISA names the highest one to use; one that this machine lacks leaves the best below it.
  const char* limit = std::getenv("FEDAGG_ISA");
  for (const isa which : {isa::baseline, isa::avx2})
    if (limit && std::strcmp(limit, name_of(which)) == 0 && which < best) best = which;
  return best;
}

inline int& chosen_isa() noexcept {
  static int chosen = static_cast<int>(best_isa());
  return chosen;
}

} // namespace detail

/// The instruction set in use: the best of the machine, at most what the environment variable FEDAGG_ISA names
/// (baseline, avx2, avx512), or what `use_isa` chose last.
inline isa active_isa() noexcept { return static_cast<isa>(detail::relaxed_load(detail::chosen_isa())); }

/// Chooses for the whole program; false, and nothing changes, if the machine cannot run it. Results are the same bits
/// on each: this is for tests and measurements.
inline bool use_isa(isa which) noexcept {
  if (!isa_available(which)) return false;
  detail::relaxed_store(detail::chosen_isa(), static_cast<int>(which));
  return true;
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_KERNELS_ISA_HPP
