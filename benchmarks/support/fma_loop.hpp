// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_SUPPORT_FMA_LOOP_HPP
#define FEDAGG_BENCHMARKS_SUPPORT_FMA_LOOP_HPP

#include <cstddef>

#include <fedagg/kernels/isa.hpp>

namespace bench {

/// So many products and sums of doubles, in registers and independent of each other: what a processor can do at most.
/// `rounds` times `fma_loop::products`; the result keeps the compiler from leaving any out.
struct fma_loop {
  double (*run)(std::size_t rounds);
  std::size_t products;
};

#define FEDAGG_BENCH_FMA_LOOP(NAME, TARGET, BYTES, SUMS, PRODUCT)                                                      \
  TARGET inline double NAME(std::size_t rounds) {                                                                      \
    typedef double vector __attribute__((vector_size(BYTES)));                                                         \
    vector sum[SUMS] = {}, x = {}, y = {};                                                                             \
    x = x + 1.0000001;                                                                                                 \
    y = y + 1e-9;                                                                                                      \
    for (std::size_t k = 0; k < SUMS; ++k) sum[k] = sum[k] + static_cast<double>(k);                                   \
    for (std::size_t i = 0; i < rounds; ++i)                                                                           \
      _Pragma("GCC unroll 16") for (std::size_t k = 0; k < SUMS; ++k) sum[k] = PRODUCT;                                \
    for (std::size_t k = 1; k < SUMS; ++k) sum[0] = sum[0] + sum[k];                                                   \
    return sum[0][0];                                                                                                  \
  }

FEDAGG_BENCH_FMA_LOOP(fma_16, , 16, 8, (sum[k] + x * y))
#if defined(__x86_64__)
FEDAGG_BENCH_FMA_LOOP(fma_32, [[gnu::target("avx2,fma")]], 32, 12, (__builtin_ia32_vfmaddpd256(x, y, sum[k])))
FEDAGG_BENCH_FMA_LOOP(fma_64, [[gnu::target("avx512f")]], 64, 16,
                      (__builtin_ia32_vfmaddpd512_mask(x, y, sum[k], static_cast<unsigned char>(-1), 4)))
#endif
#undef FEDAGG_BENCH_FMA_LOOP

inline fma_loop fma_loop_of(fedagg::isa which) {
#if defined(__x86_64__)
  if (which == fedagg::isa::avx512) return {fma_64, 16 * 8};
  if (which == fedagg::isa::avx2) return {fma_32, 12 * 4};
#endif
  static_cast<void>(which);
  return {fma_16, 8 * 2};
}

} // namespace bench

#endif // FEDAGG_BENCHMARKS_SUPPORT_FMA_LOOP_HPP
