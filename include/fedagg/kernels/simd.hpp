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

// `Late` is always void. Because of it all that is in the kernels depends on something, so that a compiler that reads
// them leaves it for later, and looks only at what a program uses.
template <class Isa, class Late = void>
struct simd;
template <class Isa, class Late = void>
struct lane_ops;
template <class Isa, class Late = void>
struct convert_kernel;
template <class Isa, class Late = void>
struct scan_kernel;
template <class Isa, class Late = void>
struct half_sum_kernel;
template <class Isa, class Late = void>
struct sum_kernel;
template <class Isa, class Late = void>
struct absorb_kernel;
template <class Isa, class Late = void>
struct fixed_kernel;
template <class Isa, class Late = void>
struct binned_kernel;
template <class Isa, class Late = void>
struct sort_kernel;
template <class Isa, class Late = void>
struct middle_kernel;
template <class Isa, class Late = void>
struct window_kernel;
template <class Isa, class Late = void>
struct nearest_kernel;
template <class Isa, class Late = void>
struct square_kernel;
template <class Isa, class Late = void>
struct column_kernel;
template <class Isa, class Late = void>
struct gram_kernel;
template <class Isa, class Late = void>
struct stream_kernel;

/// What a kernel saw: flags, so that several tasks' findings can be joined.
inline constexpr unsigned saw_non_finite = 1;
inline constexpr unsigned saw_overflow = 2;
inline constexpr unsigned saw_range = 4;

/// Clients that are summed at once: a few as a whole, more in groups, coordinates by the block whose sums wait in the
/// cache meanwhile; and how many bytes ahead of the read a line is asked for.
inline constexpr std::size_t sum_streams_few = 6;
inline constexpr std::size_t sum_streams = 5;
inline constexpr std::size_t sum_block = 8192;
inline constexpr std::size_t sum_ahead = 2048;

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

/// What becomes of sums: doubles are divided; shorter types are multiplied, because a reciprocal is exact enough (2^-29
/// of a float's last place) and division would cost more than the sum of a few clients.
struct sum_target {
  void* out = nullptr; ///< null: only look
  double by = 1;
  bool past_cache = false;
};

/// Sums of a group of clients, from zero or on top of acc, in their order, each product rounded before it is added.
/// Returns what it saw in the results.
using sum_call = unsigned (*)(sum_step which, const void* const* rows, const double* a, std::size_t group,
                              std::size_t begin, std::size_t count, double* acc, const sum_target& to) noexcept;

/// What the values of a stream are between, unless one is not finite.
struct stream_range {
  bool finite = true;
  double low = 0, high = 0;
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

/// How terms of a row's sums are made: products that are exact, products rounded, squared differences.
enum class gram_kind : unsigned char { exact, rounded, differences };

/// The lane sums of a register block of rows from `a` on against rows from `b` on. The memory behind `ahead` and
/// `further` is asked for meanwhile.
using gram_sums = void (*)(const gram_tile& t, const double* a, const double* b, double* lanes, const std::byte* ahead,
                           const std::byte* further) noexcept;

/// Register blocks of one kind: `panel` rows against `panel` others, or against themselves; and where `few` is not
/// zero, so many rows of both.
struct gram_blocks {
  std::size_t panel, few;
  gram_sums whole, square, few_whole, few_square;
};

/// An instruction set's part in the pass over all pairs of rows.
struct gram_calls {
  gram_blocks blocks[3]; ///< by gram_kind
  // Rows as doubles, alone or minus a centre.
  void (*doubles)(const double* x, const double* centre, std::size_t count, double* to, std::size_t block) noexcept;
  void (*doubles_less)(const double* x, const double* centre, std::size_t count, double* to,
                       std::size_t block) noexcept;
  void (*floats)(const float* x, const float* centre, std::size_t count, double* to, std::size_t block) noexcept;
  void (*floats_less)(const float* x, const float* centre, std::size_t count, double* to, std::size_t block) noexcept;
};

/// Lane l plus lane l + 4, then 2, 1: the same tree whatever the vectors' width.
inline double gram_total(const double* lane) noexcept {
  FEDAGG_FP_IN_ORDER
  const double a = FEDAGG_FP_KEEP(lane[0] + lane[4]), b = FEDAGG_FP_KEEP(lane[1] + lane[5]);
  const double e = FEDAGG_FP_KEEP(lane[2] + lane[6]), f = FEDAGG_FP_KEEP(lane[3] + lane[7]);
  const double even = FEDAGG_FP_KEEP(a + e), odd = FEDAGG_FP_KEEP(b + f);
  return FEDAGG_FP_KEEP(even + odd);
}

/// Adds a tile's sums to the lower triangle `into`, row by row. Behind the tile's rows there are finite ones up to a
/// multiple of `panel`: what comes of them is not used.
template <class Void = void>
void add_tile(const gram_blocks& with, const gram_tile& t, double* into) noexcept {
  FEDAGG_FP_IN_ORDER
  alignas(64) double lanes[4 * 4 * gram_lanes];
  const std::size_t panel = with.panel;
  for (std::size_t first = 0; first < t.order; first += panel) {
    const std::size_t rows = t.order - first < panel ? t.order - first : panel;
    const bool few = rows <= with.few;
    const double* a = t.rows + first * t.stride;
    const auto ahead = [&](std::size_t row) {
      return row < t.ahead_rows ? t.ahead[row] : reinterpret_cast<const std::byte*>(a);
    };
    for (std::size_t other = 0; other <= first; other += panel) {
      const std::size_t which = first / panel * (first / panel + 1) / 2 + other / panel;
      if (t.wanted && !t.wanted[which]) continue;
      const bool square = other == first;
      const gram_sums sums = few ? (square ? with.few_square : with.few_whole) : square ? with.square : with.whole;
      // Each register block asks for two rows of the next tile.
      sums(t, a, t.rows + other * t.stride, lanes, ahead(2 * which), ahead(2 * which + 1));
      const std::size_t columns = few && square ? with.few : panel;
      for (std::size_t r = 0; r < rows; ++r) {
        double* row = into + (first + r) * (first + r + 1) / 2 + other;
        for (std::size_t k = 0; k < columns && other + k <= first + r; ++k)
          row[k] = FEDAGG_FP_KEEP(row[k] + gram_total(lanes + (r * columns + k) * gram_lanes));
      }
    }
  }
}

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

#define FEDAGG_KERNELS <fedagg/kernels/all.inl>
#include <fedagg/kernels/per_isa.inl>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Halves as floats, exactly.
template <class Void = void>
void widen_halves(dtype type, const void* from, std::size_t count, float* to) noexcept {
  on_active_isa([&](auto tag) {
    using kernel = convert_kernel<decltype(tag)>;
    if (type == dtype::f16)
      kernel::widen(static_cast<const float16*>(from), count, to);
    else
      kernel::widen(static_cast<const bfloat16*>(from), count, to);
  });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_KERNELS_SIMD_HPP
