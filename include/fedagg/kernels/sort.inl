// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: sorts columns of lanes, as order images (signed integers).

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct sort_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  template <class T>
  using image = typename integer_of<sizeof(T)>::type;
  template <class T>
  using column = vec<image<T>, s::template width<T>>;

  /// The image of the largest finite value. Pads a column: whatever stands above it afterwards is not finite.
  template <class T>
  static constexpr image<T> largest = sizeof(T) == 4 ? static_cast<image<T>>(0x7f7fffff)
                                                     : static_cast<image<T>>(0x7fefffffffffffff);

  /// Sorts N vectors lane by lane; with N <= register_rows they stay in registers where the machine has as many.
  template <std::size_t N, class V>
  FEDAGG_TARGET static inline void network(V* x) noexcept {
    static constexpr sorting_network<N> wires;
#pragma GCC unroll 256
    for (std::size_t i = 0; i < wires.size; ++i) s::exchange(x[wires.low[i]], x[wires.high[i]]);
  }

  /// Sorts a bitonic run of N vectors.
  template <std::size_t N, class V>
  FEDAGG_TARGET static inline void merge_bitonic(V* x) noexcept {
#pragma GCC unroll 8
    for (std::size_t k = N / 2; k >= 1; k /= 2) {
#pragma GCC unroll 32
      for (std::size_t i = 0; i < N; ++i)
        if ((i & k) == 0) s::exchange(x[i], x[i + k]);
    }
  }

  /// Where the machine has no minimum of such integers, a loop over the wires is nearly as fast as unrolled code, which
  /// would take seconds to compile.
  template <class V>
  static constexpr bool looped = s::bytes == 16 || (s::bytes == 32 && sizeof(V{}[0]) == 8);

  /// Batcher's network for any n, wire by wire.
  template <class V>
  FEDAGG_TARGET FEDAGG_NOINLINE static void sort_looped(V* x, std::size_t n) noexcept {
    for (std::size_t p = 1; p < n; p *= 2)
      for (std::size_t k = p; k >= 1; k /= 2)
        for (std::size_t j = k % p; j + k < n; j += 2 * k)
          for (std::size_t i = j; i < j + k && i + k < n; ++i)
            if (i / (p * 2) == (i + k) / (p * 2)) s::exchange(x[i], x[i + k]);
  }

  /// Sorts `count` neighbouring columns, of the vectors at rows[0] + at .. rows[n - 1] + at and so on, into memory, one
  /// after the other: images, and `top` up to the size of some network, which is returned. The rows are asked for
  /// `ahead` bytes before they are read.
  template <class T>
  using sort_columns = std::size_t (*)(const T* const* rows, std::size_t n, std::size_t at, std::size_t count,
                                       std::size_t ahead, image<T> top, column<T>* to) noexcept;

  /// Surely <= n <= N rows: sorted in registers, constant indices only, and stored. What is done with a sorted column
  /// is compiled once, not for each N.
  template <std::size_t Surely, std::size_t N, class T>
  FEDAGG_TARGET FEDAGG_FLATTEN static std::size_t sort_few(const T* const* rows, std::size_t n, std::size_t at,
                                                           std::size_t count, std::size_t ahead, image<T> top,
                                                           column<T>* to) noexcept {
    for (const column<T>* const end = to + count * N; to != end; to += N, at += s::template width<T>) {
      column<T> x[N];
#pragma GCC unroll 32
      for (std::size_t i = 0; i < N; ++i) {
        x[i] = s::template fill<image<T>, s::template width<T>>(top);
        if (i < Surely || i < n) {
          x[i] = s::order_image(s::template load<column<T>>(rows[i] + at));
          // Some lines are asked for twice: a branch for each row would take longer, to compile too.
          FEDAGG_PREFETCH(rows[i] + at + ahead / sizeof(T));
        }
      }
      network<N>(x);
#pragma GCC unroll 32
      for (std::size_t i = 0; i < N; ++i) to[i] = x[i];
    }
    return N;
  }

  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static std::size_t sort_in_memory(const T* const* rows, std::size_t n, std::size_t at,
                                                                  std::size_t count, std::size_t ahead, image<T>,
                                                                  column<T>* to) noexcept {
    for (const column<T>* const end = to + count * n; to != end; to += n, at += s::template width<T>) {
      for (std::size_t i = 0; i < n; ++i) {
        to[i] = s::order_image(s::template load<column<T>>(rows[i] + at));
        if (at * sizeof(T) % 64 == 0) FEDAGG_PREFETCH(rows[i] + at + ahead / sizeof(T));
      }
      sort_looped(to, n);
    }
    return n;
  }

  /// How columns of n <= register_rows rows are sorted. Few rungs, because each costs compile time, and for machines
  /// without AVX2 none; f16 and bf16 come as float.
  template <class T>
  static sort_columns<T> sort_for(std::size_t n) noexcept {
    if constexpr (s::bytes > 16 || (sizeof(T) == 4 && !FEDAGG_X86))
      if (n <= 8) return sort_few<1, 8, T>;
    if constexpr (s::bytes > 16 && sizeof(T) == 4)
      if (n > 16 && n <= 20) return sort_few<17, 20, T>;
    return block_for<T>(n);
  }

  /// The same with fewer rungs, for what is left of longer columns.
  template <class T>
  static sort_columns<T> block_for(std::size_t n) noexcept {
    if constexpr (s::bytes > 16) {
      if (n <= 16) return sort_few<1, 16, T>;
      if constexpr (sizeof(T) == 4) return sort_few<17, register_rows, T>;
      if constexpr (s::bytes == 64) {
        if (n <= 24) return sort_few<17, 24, T>;
        return sort_few<25, register_rows, T>;
      }
    }
    return sort_in_memory<T>;
  }

  template <class V>
  FEDAGG_TARGET FEDAGG_FLATTEN static void merge_block(V* p) noexcept {
    if constexpr (looped<V>) {
      for (std::size_t k = register_rows / 2; k >= 1; k /= 2)
        for (std::size_t i = 0; i < register_rows; ++i)
          if ((i & k) == 0) s::exchange(p[i], p[i + k]);
    } else {
      V x[register_rows];
#pragma GCC unroll 32
      for (std::size_t i = 0; i < register_rows; ++i) x[i] = p[i];
      merge_bitonic<register_rows>(x);
#pragma GCC unroll 32
      for (std::size_t i = 0; i < register_rows; ++i) p[i] = x[i];
    }
  }

  /// Rows a column of n takes when it is sorted in memory.
  static constexpr std::size_t padded(std::size_t n) noexcept {
    return (n + register_rows - 1) / register_rows * register_rows;
  }

  /// Blocks of register_rows of the vectors at rows[0] + at .. rows[n - 1] + at, each sorted, into x, which has room
  /// for padded(n); `top` pads the last block, behind values beyond it if there are any. `low` and `high` become the
  /// least and the greatest of the vectors.
  template <class T>
  FEDAGG_TARGET static void sort_blocks(const T* const* rows, std::size_t n, std::size_t at, image<T> top, column<T>* x,
                                        column<T>& low, column<T>& high) noexcept {
    for (std::size_t first = 0; first < n; first += register_rows) {
      const std::size_t left = n - first < register_rows ? n - first : register_rows;
      const std::size_t sorted = sort_block(rows + first, left, at, top, x + first, n > register_rows);
      const column<T>&least = x[first], &greatest = x[first + sorted - 1];
      low = first == 0 ? least : s::pick(least < low, least, low);
      high = first == 0 ? greatest : s::pick(high < greatest, greatest, high);
    }
  }

  /// One of them, of n rows; filled up with `top` where that is asked for. Returns the size of its network.
  template <class T>
  FEDAGG_TARGET static std::size_t sort_block(const T* const* rows, std::size_t n, std::size_t at, image<T> top,
                                              column<T>* to, bool fill = true) noexcept {
    for (std::size_t i = fill ? n : register_rows; i < register_rows; ++i)
      to[i] = s::template fill<image<T>, s::template width<T>>(top);
    return block_for<T>(n)(rows, n, at, 1, column_ahead, top, to);
  }

  /// Merges ascending runs of run / 2 of the first `end` vectors to runs of `run`, by bitonic merges whose short steps
  /// are in registers; what lies beyond `end` is thought of as top and is never exchanged with. Of the result only what
  /// is in the window need come out in its place.
  template <class V>
  FEDAGG_TARGET FEDAGG_NOINLINE static void merge_runs(V* x, std::size_t end, std::size_t run,
                                                       order_window w) noexcept {
    const auto wanted = [&](std::size_t from, std::size_t to) { return from < w.last && w.first < to; };
    for (std::size_t low = 0; low < end; low += run) {
      const std::size_t high = end - low < run ? end : low + run;
      // The second half ascends too, so the first step compares it from its end.
      for (std::size_t i = low + run - high; i < run / 2; ++i) s::exchange(x[low + i], x[low + run - 1 - i]);
      for (std::size_t k = run / 4; k >= register_rows; k /= 2)
        for (std::size_t j = low; j + k < high; j += 2 * k)
          if (wanted(j, j + 2 * k))
            for (std::size_t i = j; i < j + k && i + k < high; ++i) s::exchange(x[i], x[i + k]);
      for (std::size_t j = low; j < high; j += register_rows)
        if (wanted(j, j + register_rows)) merge_block(x + j);
    }
  }

  /// Sorts the vectors at rows[0] + at .. rows[n - 1] + at into x, which has room for padded(n). Only those in the
  /// window need come out in their places.
  template <class T>
  FEDAGG_TARGET static void sort_rows(const T* const* rows, std::size_t n, std::size_t at, image<T> top, column<T>* x,
                                      order_window w, column<T>& low, column<T>& high) noexcept {
    const std::size_t end = padded(n);
    sort_blocks(rows, n, at, top, x, low, high);
    for (std::size_t run = 2 * register_rows; run / 2 < end; run *= 2)
      merge_runs(x, end, run, run >= end ? w : order_window{0, end});
  }

  /// The smaller or, with Upper, the larger of two.
  template <bool Upper, class V>
  FEDAGG_TARGET static inline V side(const V& a, const V& b) noexcept {
    V low = a, high = b;
    s::exchange(low, high);
    return Upper ? high : low;
  }
  /// One side of a merge's step: a[i] and b[i * by], of register_rows pairs.
  template <bool Upper, class V>
  FEDAGG_TARGET static void one_step(const V* a, const V* b, std::ptrdiff_t by, V* to) noexcept {
    for (std::size_t i = 0; i < register_rows; ++i, b += by) to[i] = side<Upper>(a[i], *b);
  }
  /// And of two steps: the first of a and b and of c and d, the second of their results.
  template <bool First, bool Second, class V>
  FEDAGG_TARGET static void two_steps(const V* a, const V* b, const V* c, const V* d, std::ptrdiff_t by,
                                      V* to) noexcept {
    for (std::size_t i = 0; i < register_rows; ++i, b += by, d += by)
      to[i] = side<Second>(side<First>(a[i], *b), side<First>(c[i], *d));
  }
  template <class V>
  FEDAGG_TARGET static void two_steps(unsigned sides, const V* a, const V* b, const V* c, const V* d, std::ptrdiff_t by,
                                      V* to) noexcept {
    switch (sides) {
    case 0:
      return two_steps<false, false>(a, b, c, d, by, to);
    case 1:
      return two_steps<false, true>(a, b, c, d, by, to);
    case 2:
      return two_steps<true, false>(a, b, c, d, by, to);
    default:
      return two_steps<true, true>(a, b, c, d, by, to);
    }
  }

  /// Columns of so many rows are merged to the end only where the window has an end.
  static constexpr std::size_t most_melded = 8 * register_rows;
  /// Machines without AVX2 are few, and not worth the time that it takes to compile.
  static constexpr bool melds(std::size_t n) noexcept {
    return (s::bytes > 16 || !FEDAGG_X86) && n > register_rows && n <= most_melded;
  }
  /// Rows of each of the two runs of the last merge.
  static constexpr std::size_t half_of(std::size_t n) noexcept {
    std::size_t half = register_rows;
    while (2 * half < n) half *= 2;
    return half;
  }

  /// Block number `block` of register_rows of what two ascending runs of `half` vectors (one, two or four blocks)
  /// become when they are merged, as a bitonic run: which values are in a block is decided by the sides of the merge's
  /// first steps alone. `y` has room for half + register_rows vectors; the block is returned in the last of them.
  template <class V>
  FEDAGG_TARGET static V* meld(const V* x, std::size_t half, std::size_t block, V* y) noexcept {
    V* const to = y + half;
    const V* const last = x + 2 * half - 1;
    constexpr std::ptrdiff_t step = register_rows;
    if (half == register_rows) {
      block == 0 ? one_step<false>(x, last, -1, to) : one_step<true>(x, last, -1, to);
    } else if (half == 2 * register_rows) {
      two_steps(static_cast<unsigned>(block), x, last, x + step, last - step, -1, to);
    } else {
      for (std::ptrdiff_t k = 0; k < 4; ++k)
        block < 4 ? one_step<false>(x + k * step, last - k * step, -1, y + k * step)
                  : one_step<true>(x + k * step, last - k * step, -1, y + k * step);
      two_steps(static_cast<unsigned>(block % 4), y, y + 2 * step, y + step, y + 3 * step, 1, to);
    }
    return to;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
