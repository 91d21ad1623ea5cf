// SPDX-License-Identifier: MIT
// Includes the file FEDAGG_KERNELS once per instruction set.

#define FEDAGG_ISA on_baseline
#define FEDAGG_ISA_BYTES 16
#define FEDAGG_ISA_HALF 0
#define FEDAGG_TARGET
#include FEDAGG_KERNELS
#undef FEDAGG_ISA
#undef FEDAGG_ISA_BYTES
#undef FEDAGG_ISA_HALF
#undef FEDAGG_TARGET

#if FEDAGG_X86
#define FEDAGG_ISA on_avx2
#define FEDAGG_ISA_BYTES 32
#define FEDAGG_ISA_HALF 1
#define FEDAGG_TARGET [[gnu::target("avx2,fma,f16c")]]
#include FEDAGG_KERNELS
#undef FEDAGG_ISA
#undef FEDAGG_ISA_BYTES
#undef FEDAGG_ISA_HALF
#undef FEDAGG_TARGET

#define FEDAGG_ISA on_avx512
#define FEDAGG_ISA_BYTES 64
#define FEDAGG_ISA_HALF 1
#define FEDAGG_TARGET [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]]
#include FEDAGG_KERNELS
#undef FEDAGG_ISA
#undef FEDAGG_ISA_BYTES
#undef FEDAGG_ISA_HALF
#undef FEDAGG_TARGET
#endif
#undef FEDAGG_KERNELS
