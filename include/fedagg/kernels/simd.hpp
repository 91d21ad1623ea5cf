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
static_assert(sum_streams <= sum_streams_few, "no group is larger");
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

/// Rows of a tile and what may be fetched from memory while they are multiplied.
struct gram_tile {
  const void* const* rows = nullptr;     ///< of floats or doubles; behind the last one others up to a register block
  std::size_t order = 0;                 ///< rows
  std::size_t count = 0;                 ///< coordinates, a multiple of gram_lanes
  const unsigned char* wanted = nullptr; ///< a flag for each register block, null for all
  const std::byte* const* ahead = nullptr;
  std::size_t ahead_rows = 0;
  std::size_t ahead_bytes = 0; ///< of each of them
};

/// How terms of a row's sums are made: products of floats, which are exact, products rounded, squared differences.
enum class gram_kind : unsigned char { exact, rounded, differences };

/// Memory that a register block asks for, a piece after the other.
struct gram_ahead {
  const std::byte* const* pieces;
  std::size_t turn; ///< steps of gram_lanes coordinates for each
  std::size_t step; ///< bytes in each of them
};

/// The sums of a register block of the rows from `a` on against those from `b` on, row by row; `to` has room for a
/// multiple of eight.
using gram_sums = void (*)(const void* const* a, const void* const* b, std::size_t count, double* to,
                           const gram_ahead& next) noexcept;

/// Register blocks of one kind: `panel` rows against `panel` others, or against themselves; and where `few` is not
/// zero, so many rows against `panel` others.
struct gram_blocks {
  std::size_t panel, few;
  gram_sums whole, square, few_whole;
};

/// An instruction set's part in the pass over all pairs of rows.
struct gram_calls {
  gram_blocks blocks[3];  ///< by gram_kind
  std::size_t float_size; ///< bytes that a float takes for exact products: its own, or a double's
  // Rows as exact products take them, and as doubles, minus a centre if there is one.
  void (*floats)(const float* x, const float* centre, std::size_t count, void* to) noexcept;
  void (*widened)(const float* x, const float* centre, std::size_t count, void* to) noexcept;
  void (*doubles)(const double* x, const double* centre, std::size_t count, void* to) noexcept;
};

/// Register blocks are at most so large.
inline constexpr std::size_t gram_panel = 5;

/// Lane l plus lane l + 4, then 2, 1: the same tree whatever the vectors' width.
inline double gram_total(const double* lane) noexcept {
  FEDAGG_FP_IN_ORDER
  const double a = FEDAGG_FP_KEEP(lane[0] + lane[4]), b = FEDAGG_FP_KEEP(lane[1] + lane[5]);
  const double e = FEDAGG_FP_KEEP(lane[2] + lane[6]), f = FEDAGG_FP_KEEP(lane[3] + lane[7]);
  const double even = FEDAGG_FP_KEEP(a + e), odd = FEDAGG_FP_KEEP(b + f);
  return FEDAGG_FP_KEEP(even + odd);
}

/// Adds a tile's sums to the lower triangle `into`, row by row.
template <class Void = void>
void add_tile(const gram_blocks& with, const gram_tile& t, double* into) noexcept {
  FEDAGG_FP_IN_ORDER
  alignas(64) double sums[(gram_panel * gram_panel + 7) / 8 * 8];
  const std::size_t panel = with.panel, panels = (t.order + panel - 1) / panel;
  std::size_t blocks = panels * (panels + 1) / 2;
  if (t.wanted)
    for (std::size_t i = blocks; i > 0; --i) blocks -= !t.wanted[i - 1];
  // Each register block asks for some rows' next tiles, every line once and at its time: what is asked for faster than
  // it comes is dropped, and what is asked for twice takes a place all the same. A single block reads its rows as
  // streams, which the machine fetches by itself.
  const std::size_t lines = t.ahead_bytes / 64, steps = t.count / gram_lanes;
  const std::size_t at_once = t.ahead_rows * lines <= blocks * steps ? 1 : 2, turn = lines / at_once;
  constexpr std::size_t most_turns = 8;
  const bool more = blocks > 1 && turn > 0 && turn <= steps && steps <= most_turns * turn;
  const std::size_t turns = more ? steps / turn : 0;
  const std::byte* rows_ahead[most_turns + 1] = {};
  const gram_ahead next{rows_ahead, more ? turn : steps, more ? 64 * at_once : 0};
  std::size_t asked = 0;
  for (std::size_t first = 0; first < t.order; first += panel) {
    const std::size_t rows = t.order - first < panel ? t.order - first : panel;
    const bool few = rows <= with.few;
    for (std::size_t other = 0; other <= first; other += panel) {
      if (t.wanted && !t.wanted[first / panel * (first / panel + 1) / 2 + other / panel]) continue;
      for (std::size_t i = 0; i <= turns; ++i)
        rows_ahead[i] = i < turns && asked < t.ahead_rows ? t.ahead[asked++] : static_cast<const std::byte*>(t.rows[0]);
      (few              ? with.few_whole
       : other == first ? with.square
                        : with.whole)(t.rows + first, t.rows + other, t.count, sums, next);
      for (std::size_t r = 0; r < rows; ++r) {
        double* row = into + (first + r) * (first + r + 1) / 2 + other;
        for (std::size_t k = 0; k < panel && other + k <= first + r; ++k)
          row[k] = FEDAGG_FP_KEEP(row[k] + sums[r * panel + k]);
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
