// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_SUPPORT_READ_LOOP_HPP
#define FEDAGG_BENCHMARKS_SUPPORT_READ_LOOP_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace bench {

/// Reads bytes [begin, end) of n streams, `burst` bytes of each in turn, and adds them up so that no load can be left
/// out; `ahead` bytes are prefetched, 0 for none. All three are multiples of 256.
using read_function = std::uint64_t (*)(const std::byte* const* rows, std::size_t n, std::size_t begin, std::size_t end,
                                        std::size_t burst, std::size_t ahead);

struct read_loop {
  const char* name;
  read_function run;
  std::size_t burst;
  std::size_t ahead;

  /// One row after the other: what memory can give at most, in an order that only a pass by rows can use.
  bool whole() const { return burst > (std::size_t{1} << 40); }
};

#define FEDAGG_BENCH_READ_LOOP(NAME, TARGET, BYTES)                                                                    \
  TARGET inline std::uint64_t NAME(const std::byte* const* rows, std::size_t n, std::size_t begin, std::size_t end,    \
                                   std::size_t burst, std::size_t ahead) {                                             \
    typedef std::uint64_t vector __attribute__((vector_size(BYTES), aligned(1), may_alias));                           \
    constexpr std::size_t lanes = BYTES / 8, loads = 256 / BYTES;                                                      \
    vector sum[4] = {};                                                                                                \
    for (std::size_t at = begin; at < end; at += burst) {                                                              \
      const std::size_t length = end - at < burst ? end - at : burst;                                                  \
      for (std::size_t i = 0; i < n; ++i) {                                                                            \
        const std::byte* p = rows[i] + at;                                                                             \
        for (const std::byte* const stop = p + length; p < stop; p += 256) {                                           \
          if (ahead)                                                                                                   \
            _Pragma("GCC unroll 4") for (std::size_t line = 0; line < 256; line += 64)                                 \
                __builtin_prefetch(p + ahead + line);                                                                  \
          _Pragma("GCC unroll 16") for (std::size_t k = 0; k < loads; ++k) sum[k % 4] +=                               \
              *reinterpret_cast<const vector*>(p + k * BYTES);                                                         \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    std::uint64_t total = 0;                                                                                           \
    for (std::size_t k = 0; k < 4; ++k)                                                                                \
      for (std::size_t l = 0; l < lanes; ++l) total += sum[k][l];                                                      \
    return total;                                                                                                      \
  }

FEDAGG_BENCH_READ_LOOP(read_16, , 16)
#if defined(__x86_64__)
FEDAGG_BENCH_READ_LOOP(read_32, [[gnu::target("avx2")]], 32)
FEDAGG_BENCH_READ_LOOP(read_64, [[gnu::target("avx512f")]], 64)
#endif
#undef FEDAGG_BENCH_READ_LOOP

/// What the best is chosen from, on each set of buffers anew.
inline std::vector<read_loop> read_loops(bool few) {
  std::vector<std::pair<const char*, read_function>> widths{{"16-byte", read_16}};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) widths.push_back({"avx2", read_32});
  if (__builtin_cpu_supports("avx512f")) widths.push_back({"avx512", read_64});
  widths.front().first = "sse";
#endif
  using sizes = std::initializer_list<std::size_t>;
  constexpr std::size_t whole = std::size_t{1} << 62;
  std::vector<read_loop> all;
  for (const auto& [name, run] : widths)
    for (const std::size_t burst : sizes{1024, 2048, 4096, 16384, whole})
      for (const std::size_t ahead : sizes{0, 512, 1024, 2048, 4096, 8192})
        if (!few || ((burst == 4096 || burst == whole) && (ahead == 0 || ahead == 1024 || ahead == 8192)))
          all.push_back({name, run, burst, ahead});
  return all;
}

} // namespace bench

#endif // FEDAGG_BENCHMARKS_SUPPORT_READ_LOOP_HPP
