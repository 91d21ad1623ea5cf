// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_SIMD_HPP
#define FEDAGG_KERNELS_SIMD_HPP

/// The kernels, compiled once per instruction set: everything below lives in explicit specialisations for the tags
/// `on_baseline`, `on_avx2`, `on_avx512`, whose functions carry the target attribute themselves. So a user's plain -O2
/// build holds AVX-512 code, and vector arithmetic never stands in a function of another target (where GCC splits it
/// into pieces before inlining).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <fedagg/core/element.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/kernels/binned.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/kernels/network.hpp>
#include <fedagg/kernels/vec.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

template <class Lanes>
class column;

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

struct on_baseline {};
struct on_avx2 {};
struct on_avx512 {};

template <class Isa>
struct simd;
template <class Isa>
struct lane_ops;
template <class Isa>
struct convert_kernel;
template <class Isa>
struct scan_kernel;
template <class Isa>
struct half_sum_kernel;
template <class Isa>
struct sum_kernel;
template <class Isa>
struct absorb_kernel;
template <class Isa>
struct fixed_kernel;
template <class Isa>
struct binned_kernel;
template <class Isa>
struct sort_kernel;
template <class Isa>
struct window_kernel;
template <class Isa>
struct nearest_kernel;
template <class Isa>
struct square_kernel;
template <class Isa>
struct column_kernel;
template <class Isa>
struct gram_kernel;
template <class Isa>
struct stream_kernel;

/// What a kernel saw: flags, so that several tasks' findings can be joined.
inline constexpr unsigned saw_non_finite = 1;
inline constexpr unsigned saw_overflow = 2;
inline constexpr unsigned saw_range = 4;

/// Clients that are summed at once: a few as a whole, more in groups, coordinates by the block whose sums wait in the
/// cache meanwhile; and how many bytes ahead of the read a line is asked for.
inline constexpr std::size_t sum_streams_few = 10;
inline constexpr std::size_t sum_streams = 7;
inline constexpr std::size_t sum_block = 4096;
inline constexpr std::size_t sum_ahead_few = 1024;
inline constexpr std::size_t sum_ahead = 4096;

/// Sums as they were before something was added to them.
struct sum_note {
  static constexpr std::size_t size = 16;
  double* place = nullptr;
  double was[size] = {};
  void restore() const noexcept { std::memcpy(place, was, sizeof was); }
};
struct sum_notes {
  sum_note* first = nullptr;
  std::size_t room = 0;
  std::size_t used = 0;
};

/// Which group of clients is summed: the first starts from zero, the last ends in the output.
struct sum_step {
  bool first = true;
  bool last = true;
};

/// Virtual lanes of a row's sums, the elements of a block, and those of a chunk: fixed, so that they define the result.
inline constexpr std::size_t row_lanes = 16;
inline constexpr std::size_t row_block = 4096;
inline constexpr std::size_t row_chunk = 16 * row_block;

/// What a chunk of a row adds up to.
struct row_partial {
  double square = 0;
  std::uint32_t positive = 0;
  std::uint32_t negative = 0;
  std::uint32_t non_finite = 0;
};

/// Virtual lanes of an inner product: fixed, so that they define the result.
inline constexpr std::size_t gram_lanes = 8;

/// Rows of doubles, `stride` apart, and what may be fetched from memory while they are multiplied.
struct gram_tile {
  const double* rows = nullptr;
  std::size_t stride = 0;
  std::size_t order = 0;                 ///< rows
  std::size_t count = 0;                 ///< coordinates
  std::size_t block = 0;                 ///< coordinates of a whole tile
  const unsigned char* wanted = nullptr; ///< a flag for each register block, null for all
  const std::byte* const* ahead = nullptr;
  std::size_t ahead_rows = 0;
  std::size_t ahead_step = 0; ///< bytes of gram_lanes elements
};

/// How a tile's results are rounded and stored.
struct tile_mode {
  bool odd = false;        ///< to odd, because they are narrowed further
  bool past_cache = false; ///< the whole output is far larger than the cache
};

/// Calls f with the tag of the instruction set in use.
template <class F>
FEDAGG_INLINE decltype(auto) on_active_isa(F&& f) {
#if FEDAGG_X86
  switch (active_isa()) {
  case isa::avx512:
    return f(on_avx512{});
  case isa::avx2:
    return f(on_avx2{});
  case isa::baseline:
    break;
  }
#endif
  return f(on_baseline{});
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#define FEDAGG_ISA on_baseline
#define FEDAGG_ISA_BYTES 16
#define FEDAGG_ISA_HALF 0
#define FEDAGG_TARGET
#include <fedagg/kernels/all.inl>
#undef FEDAGG_ISA
#undef FEDAGG_ISA_BYTES
#undef FEDAGG_ISA_HALF
#undef FEDAGG_TARGET

#if FEDAGG_X86
#define FEDAGG_ISA on_avx2
#define FEDAGG_ISA_BYTES 32
#define FEDAGG_ISA_HALF 1
#define FEDAGG_TARGET [[gnu::target("avx2,fma,f16c")]]
#include <fedagg/kernels/all.inl>
#undef FEDAGG_ISA
#undef FEDAGG_ISA_BYTES
#undef FEDAGG_ISA_HALF
#undef FEDAGG_TARGET

#define FEDAGG_ISA on_avx512
#define FEDAGG_ISA_BYTES 64
#define FEDAGG_ISA_HALF 1
#define FEDAGG_TARGET [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]]
#include <fedagg/kernels/all.inl>
#undef FEDAGG_ISA
#undef FEDAGG_ISA_BYTES
#undef FEDAGG_ISA_HALF
#undef FEDAGG_TARGET
#endif

#endif // FEDAGG_KERNELS_SIMD_HPP
