// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CONFIG_HPP
#define FEDAGG_CONFIG_HPP

/// Every macro of the library. A user may define FEDAGG_NO_VECTOR_EXTENSIONS (kernels on plain arrays) and
/// FEDAGG_NO_MMAP (files are read instead of mapped), FEDAGG_NO_TMPFILE (a file has a temporary name while it is
/// written), the same in all units; all others are set here.

#include <fedagg/version.hpp>

// Exceptions: with them off, the throwing calls abort with a message, the `try_` calls are unchanged.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define FEDAGG_EXCEPTIONS 1
#else
#define FEDAGG_EXCEPTIONS 0
#endif

// GCC/Clang vector extensions carry the kernels; elsewhere (MSVC) the same kernels run on small arrays.
#if (defined(__GNUC__) || defined(__clang__)) && !defined(FEDAGG_NO_VECTOR_EXTENSIONS)
#define FEDAGG_VECTORS 1
#else
#define FEDAGG_VECTORS 0
#endif

// Only x86-64 has several instruction sets behind one binary; other machines use the baseline width.
#if FEDAGG_VECTORS && defined(__x86_64__)
#define FEDAGG_X86 1
#else
#define FEDAGG_X86 0
#endif

#if defined(__GNUC__) || defined(__clang__)
#define FEDAGG_INLINE [[gnu::always_inline]] inline
#define FEDAGG_COLD [[gnu::cold, gnu::noinline]]
#define FEDAGG_NOINLINE [[gnu::noinline]]
#if defined(__x86_64__)
// A user's rule has no target attribute: it is inlined into the kernel that has, or it would run in pieces.
#define FEDAGG_FLATTEN [[gnu::flatten, gnu::noinline]]
#else
// With one instruction set nothing depends on it, and g++ 12 for AArch64 ends in an internal error on some such
// kernels.
#define FEDAGG_FLATTEN [[gnu::noinline]]
#endif
#if defined(__clang__)
// Clang flattens a function's own calls only: what it calls says it again.
#define FEDAGG_FLATTEN_TOO [[gnu::flatten]]
#else
#define FEDAGG_FLATTEN_TOO
#endif
// Into the second-level cache; and of what is read once, past it.
#define FEDAGG_PREFETCH(address) __builtin_prefetch(address, 0, 2)
#define FEDAGG_PREFETCH_ONCE(address) __builtin_prefetch(address, 0, 0)
#else
#define FEDAGG_INLINE inline
#define FEDAGG_COLD
#define FEDAGG_NOINLINE
#define FEDAGG_FLATTEN
#define FEDAGG_FLATTEN_TOO
#define FEDAGG_PREFETCH(address) static_cast<void>(address)
#define FEDAGG_PREFETCH_ONCE(address) static_cast<void>(address)
#endif

// Sums are added in the order written and products are rounded where the source says so, whatever the build's flags:
// FEDAGG_FP_KEEP(x) stops reassociation across x and contraction of a product in it; clang needs FEDAGG_FP_IN_ORDER as
// the first statement of the block instead, and under -ffast-math, whose contraction ignores that, a value hidden too.
// FEDAGG_FP_FUSED stands where contraction is welcome, because the products are exact.
#if defined(__clang__)
#define FEDAGG_FP_IN_ORDER _Pragma("clang fp reassociate(off) contract(off)")
#define FEDAGG_FP_FUSED _Pragma("clang fp reassociate(off) contract(fast)")
#if defined(__FAST_MATH__) && FEDAGG_VECTORS && (defined(__x86_64__) || defined(__aarch64__))
// Numbered, because one stands inside another.
#define FEDAGG_FP_KEEP(...) FEDAGG_DETAIL_KEEP(__COUNTER__, __VA_ARGS__)
#define FEDAGG_DETAIL_KEEP(number, ...) FEDAGG_DETAIL_KEEP2(number, __VA_ARGS__)
#define FEDAGG_DETAIL_KEEP2(number, ...)                                                                               \
  __extension__({                                                                                                      \
    auto fedagg_kept##number = (__VA_ARGS__);                                                                          \
    FEDAGG_FP_HIDE(fedagg_kept##number);                                                                               \
    fedagg_kept##number;                                                                                               \
  })
#else
#define FEDAGG_FP_KEEP(...) (__VA_ARGS__)
#endif
#elif defined(__GNUC__) && __GNUC__ >= 12 && FEDAGG_VECTORS
#define FEDAGG_FP_IN_ORDER
#define FEDAGG_FP_FUSED
#define FEDAGG_FP_KEEP(...) __builtin_assoc_barrier(__VA_ARGS__)
#else
#define FEDAGG_FP_IN_ORDER
#define FEDAGG_FP_FUSED
#define FEDAGG_FP_KEEP(...) (__VA_ARGS__)
#endif

// A divisor that the compiler sees twice becomes a reciprocal under -ffast-math; hidden in a register it does not.
// Volatile, or hiding the same value twice is done once, ahead of a loop.
#if FEDAGG_VECTORS && defined(__x86_64__)
#define FEDAGG_FP_HIDE(x) asm volatile("" : "+x"(x))
#elif FEDAGG_VECTORS && defined(__aarch64__) && defined(__FAST_MATH__)
// Only where it is needed: with one instruction set, nothing but fast-math changes a quotient.
#define FEDAGG_FP_HIDE(x) asm volatile("" : "+w"(x))
#else
#define FEDAGG_FP_HIDE(x) static_cast<void>(x)
#endif

// Value types (views, errc, outcome) cross units freely: their namespace carries the version only.
#define FEDAGG_ABI v0_1

// Kernels and passes must never be swapped between units built with other flags (one unit with -march=native would
// otherwise replace the baseline code of a whole program at link time): their namespace encodes those flags.
#define FEDAGG_DETAIL_JOIN2(a, b, c, d, e) a##_##b##c##d##_##e
#define FEDAGG_DETAIL_JOIN(a, b, c, d, e) FEDAGG_DETAIL_JOIN2(a, b, c, d, e)
#if FEDAGG_EXCEPTIONS
#define FEDAGG_DETAIL_E e
#else
#define FEDAGG_DETAIL_E n
#endif
#if defined(__FAST_MATH__) || defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#define FEDAGG_DETAIL_M f
#else
#define FEDAGG_DETAIL_M p
#endif
#if defined(NDEBUG)
#define FEDAGG_DETAIL_D r
#else
#define FEDAGG_DETAIL_D d
#endif
#if !FEDAGG_VECTORS
#define FEDAGG_DETAIL_I array
#elif defined(__AVX512VNNI__)
#define FEDAGG_DETAIL_I avx512v
#elif defined(__AVX512F__)
#define FEDAGG_DETAIL_I avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define FEDAGG_DETAIL_I avx2f
#elif defined(__AVX2__)
#define FEDAGG_DETAIL_I avx2
#elif defined(__AVX__)
#define FEDAGG_DETAIL_I avx
#elif defined(__SSE4_2__)
#define FEDAGG_DETAIL_I sse42
#elif defined(__SSE4_1__)
#define FEDAGG_DETAIL_I sse41
#elif defined(__SSE3__)
#define FEDAGG_DETAIL_I sse3
#else
#define FEDAGG_DETAIL_I base
#endif
#define FEDAGG_ABI_FLAGS FEDAGG_DETAIL_JOIN(v0_1, FEDAGG_DETAIL_E, FEDAGG_DETAIL_M, FEDAGG_DETAIL_D, FEDAGG_DETAIL_I)

#endif // FEDAGG_CONFIG_HPP
