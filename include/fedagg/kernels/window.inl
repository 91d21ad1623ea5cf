// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: the mean of a window of each sorted column.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct window_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  using sorter = sort_kernel<FEDAGG_ISA, Late>;
  using middle = middle_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;
  template <class T>
  using image = typename sorter::template image<T>;
  template <class T>
  using column = typename sorter::template column<T>;

  /// Sums in double, for a full vector of T.
  template <class T>
  struct sums {
    static constexpr std::size_t parts = sizeof(double) / sizeof(T);
    wide_f64 part[parts];
  };

  template <class T>
  FEDAGG_TARGET static inline void add(sums<T>& total, const column<T>& x) noexcept {
    FEDAGG_FP_IN_ORDER
    const column<T> word = s::order_image(x);
    if constexpr (sizeof(T) == 8) {
      total.part[0] = FEDAGG_FP_KEEP(total.part[0] + s::template bits<wide_f64>(word));
    } else {
      vec<float, wide> half[2];
      std::memcpy(half, &word, sizeof half);
      total.part[0] = FEDAGG_FP_KEEP(total.part[0] + s::template convert<wide_f64>(half[0]));
      total.part[1] = FEDAGG_FP_KEEP(total.part[1] + s::template convert<wide_f64>(half[1]));
    }
  }

  /// What one tile's columns have in common.
  template <class T>
  struct tile {
    order_window window;
    T* out; ///< null: only look
    tile_mode mode;
    column<T> bad = s::template fill<image<T>, s::template width<T>>(0);
    column<T> over = bad;
    wide_f64 huge{}; ///< means of columns of doubles whose sums overflowed
  };

  /// All-ones where a sum of doubles overflowed, which it may although the mean does not.
  FEDAGG_TARGET static inline vec<std::int64_t, wide> overflowed(const wide_f64& sum) noexcept {
    constexpr std::int64_t exponent = 0x7ff0000000000000;
    return (s::template bits<vec<std::int64_t, wide>>(sum) & exponent) == exponent;
  }

  /// The means again from parts of the values; only for sums that overflowed, because subnormal values have no parts.
  FEDAGG_TARGET FEDAGG_COLD static void average_huge(const column<double>* x, order_window w, wide_f64& mean) noexcept {
    FEDAGG_FP_IN_ORDER
    double part = 1;
    while (part * static_cast<double>(w.last - w.first) > 1) part /= 2;
    wide_f64 sum{};
    for (std::size_t i = w.first; i < w.last; ++i) {
      const column<double> word = s::order_image(x[i]);
      sum =
          FEDAGG_FP_KEEP(sum + FEDAGG_FP_KEEP(s::template bits<wide_f64>(word) * s::template fill<double, wide>(part)));
    }
    auto by = s::template fill<double, wide>(static_cast<double>(w.last - w.first) * part);
    FEDAGG_FP_HIDE(by);
    mean = FEDAGG_FP_KEEP(sum / by);
  }

  /// Writes the means at j; zeros come out positive.
  template <class T>
  FEDAGG_TARGET static inline void finish(tile<T>& t, const sums<T>& total, std::size_t j) noexcept {
    FEDAGG_FP_IN_ORDER
    const auto count = static_cast<double>(t.window.last - t.window.first);
    column<T> word;
    if constexpr (sizeof(T) == 8) {
      auto by = s::template fill<double, wide>(count);
      FEDAGG_FP_HIDE(by);
      word =
          s::template bits<column<T>>(s::pick(overflowed(total.part[0]), t.huge, FEDAGG_FP_KEEP(total.part[0] / by)));
    } else {
      // A reciprocal is exact enough for float (the error is 2^-29 of its last place) and never for double.
      const auto by = s::template fill<double, wide>(1.0 / count);
      const wide_f64 low = FEDAGG_FP_KEEP(total.part[0] * by), high = FEDAGG_FP_KEEP(total.part[1] * by);
      using half = vec<float, wide>;
      word = s::template bits<column<T>>(
          t.mode.odd ? s::join(c::round_to_odd(low), c::round_to_odd(high))
                     : s::join(s::template convert<half>(low), s::template convert<half>(high)));
    }
    const auto magnitude = word & static_cast<image<T>>(~(image<T>{1} << (sizeof(T) * 8 - 1)));
    t.over = t.over | (magnitude > sorter::template largest<T>);
    word = word & (magnitude != image<T>{0});
    if (!t.out) return;
    if (t.mode.past_cache && reinterpret_cast<std::uintptr_t>(t.out + j) % s::bytes == 0)
      s::stream(t.out + j, word);
    else
      s::store(t.out + j, word);
  }

  /// Notes images beyond the finite ones; `low` and `high` are a column's ends.
  template <class T>
  FEDAGG_TARGET static inline void check(tile<T>& t, const column<T>& low, const column<T>& high) noexcept {
    constexpr image<T> largest = sorter::template largest<T>;
    t.bad = t.bad | (low < static_cast<image<T>>(-largest - 1)) | (high > largest);
  }

  /// Surely <= n <= N rows, of which stores would cost: everything in registers, constant indices only.
  template <std::size_t Surely, std::size_t N, class T>
  FEDAGG_TARGET FEDAGG_FLATTEN static void small(const T* const* rows, std::size_t n, std::size_t begin,
                                                 std::size_t end, tile<T>& into) noexcept {
    constexpr std::size_t width = s::template width<T>;
    // A copy, because stores through T* might change the original for all the compiler knows.
    tile<T> t = into;
    const std::size_t from = t.window.first, count = t.window.last - from;
    for (std::size_t j = begin; j < end; j += width) {
      column<T> x[N];
#pragma GCC unroll 32
      for (std::size_t i = 0; i < N; ++i) {
        x[i] = s::template fill<image<T>, width>(sorter::template largest<T>);
        if (i < Surely || i < n) {
          x[i] = s::order_image(s::template load<column<T>>(rows[i] + j));
          FEDAGG_PREFETCH(rows[i] + j + 1024 / sizeof(T));
        }
      }
      sorter::template network<N>(x);
      check(t, x[0], x[N - 1]);
      sums<T> total{};
#pragma GCC unroll 32
      for (std::size_t i = 0; i < N; ++i)
        if (i - from < count) add<T>(total, x[i]);
      if constexpr (sizeof(T) == 8)
        if (s::any(overflowed(total.part[0]))) {
          // A copy, because what has an address stays in memory.
          column<T> again[N];
#pragma GCC unroll 32
          for (std::size_t i = 0; i < N; ++i) again[i] = x[i];
          average_huge(again, t.window, t.huge);
        }
      finish(t, total, j);
    }
    into.bad = t.bad;
    into.over = t.over;
  }

  /// Full vectors only. The column is sorted in memory. Where that pays, sorted blocks are merged to two runs, and those
  /// no further than to tell which values are in the window; or of a long column only what is near a narrow window is
  /// sorted.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void full(const T* const* rows, std::size_t n, std::size_t begin,
                                                 std::size_t end, tile<T>& into, column<T>* x) noexcept {
    constexpr std::size_t width = s::template width<T>, rows_of_block = register_rows;
    constexpr image<T> top = sorter::template largest<T>;
    // Few rungs, because each costs compile time, and for machines without AVX2 none; f16 and bf16 come as float.
    if constexpr (s::bytes > 16 || (sizeof(T) == 4 && !FEDAGG_X86))
      if (n <= 8) return small<1, 8>(rows, n, begin, end, into);
    if constexpr (s::bytes > 16 && sizeof(T) == 4) {
      if (n <= 16) return small<9, 16>(rows, n, begin, end, into);
      if (n <= 20) return small<17, 20>(rows, n, begin, end, into);
      if constexpr (s::bytes == 64)
        if (n > 24 && n <= register_rows) return small<25, register_rows>(rows, n, begin, end, into);
    }
    tile<T> t = into;
    const bool few = n <= register_rows, melds = sorter::melds(n);
    const auto sort = sorter::template block_for<T>(few ? n : register_rows);
    const std::size_t sorted = sorter::padded(n), half = sorter::half_of(n);
    // No network for up to half a block is larger than that.
    const std::size_t most = !few                     ? 1
                             : n <= rows_of_block / 2 ? 2 * few_room / rows_of_block
                                                      : few_room / rows_of_block;
    for (std::size_t i = sorted; melds && i < 2 * half; ++i) x[i] = s::template fill<image<T>, width>(top);
    [[maybe_unused]] const bool narrow = middle::narrow(n, t.window);
    // More than a miss in nine columns, and it is not tried any more: somebody means it.
    [[maybe_unused]] unsigned misses = 0;
    for (std::size_t j = begin; j < end;) {
      order_window w = t.window;
      const std::size_t columns = (end - j) / width < most ? (end - j) / width : most;
      std::size_t each = 0;
      column<T> low{}, high{};
      bool placed = false;
      if constexpr (middle::template compiled<T>)
        if (narrow && misses < 32) {
          placed = middle::place(rows, n, j, top, x, w, low, high);
          misses = !placed ? misses + 8 : misses - (misses != 0);
        }
      if (few) {
        each = sort(rows, n, j, columns, row_ahead, top, x);
      } else if (!placed) {
        w = t.window;
        sorter::sort_blocks(rows, n, j, top, x, low, high);
        for (std::size_t run = 2 * rows_of_block; run <= (melds ? half : 2 * half); run *= 2)
          sorter::merge_runs(x, sorted, run, run > half ? w : order_window{0, sorted});
      }
      column<T>* from = x;
      for (const std::size_t last = j + columns * width; j < last; j += width, from += each) {
        if (few) {
          low = from[0];
          high = from[each - 1];
        }
        check(t, low, high);
        sums<T> total{};
        if (melds) {
          for (std::size_t at = w.first / rows_of_block * rows_of_block; at < w.last; at += rows_of_block) {
            column<T>* const block = sorter::meld(x, half, at / rows_of_block, x + 2 * half);
            // Sorted even where the window holds all of it: the order of a sum must not depend on that of the clients.
            sorter::merge_block(block);
            add_all<T>(total, block, w.first > at ? w.first - at : 0,
                       w.last - at < rows_of_block ? w.last - at : rows_of_block);
          }
        } else {
          add_all<T>(total, from, w.first, w.last);
        }
        if constexpr (sizeof(T) == 8)
          if (s::any(overflowed(total.part[0]))) {
            if (melds) sorter::merge_runs(x, sorted, 2 * half, {0, sorted});
            average_huge(from, w, t.huge);
          }
        finish(t, total, j);
      }
    }
    into.bad = t.bad;
    into.over = t.over;
  }

  template <class T>
  FEDAGG_TARGET static inline void add_all(sums<T>& total, const column<T>* x, std::size_t first,
                                           std::size_t last) noexcept {
    for (std::size_t i = first; i < last; ++i) add<T>(total, x[i]);
  }

  /// Vectors that a column of n rows is sorted in; of all instruction sets alike. Columns of few rows are sorted
  /// several at a time.
  static constexpr std::size_t few_room = 2 * register_rows;
  static constexpr std::size_t column_room(std::size_t n) noexcept {
    return n <= register_rows         ? few_room
           : n <= sorter::most_melded ? 3 * sorter::half_of(n) + register_rows
                                      : middle::room(n);
  }

  /// Bytes of scratch (aligned to 64) that `run` needs for n rows: a column and the last coordinates of each row.
  static constexpr std::size_t scratch_bytes(std::size_t n) noexcept {
    return (column_room(n) + n) * s::bytes + n * sizeof(void*);
  }

  /// out[begin..end) = the mean of window w of each sorted column of n rows; null `out` only looks.
  template <class T>
  FEDAGG_TARGET static unsigned run(const T* const* rows, std::size_t n, order_window w, std::size_t begin,
                                    std::size_t end, T* out, tile_mode mode, void* scratch) noexcept {
    constexpr std::size_t width = s::template width<T>;
    auto* columns = static_cast<column<T>*>(scratch);
    tile<T> t{w, out, mode};
    const std::size_t last = end - (end - begin) % width;
    full(rows, n, begin, last, t, columns);
    if (last < end) {
      // Less than a vector is left: the rows' ends become vectors of their own.
      auto* ends = reinterpret_cast<T*>(columns + column_room(n));
      auto** ends_of = reinterpret_cast<const T**>(ends + n * width);
      for (std::size_t i = 0; i < n; ++i) {
        std::memset(static_cast<void*>(ends + i * width), 0, s::bytes);
        std::memcpy(ends + i * width, rows[i] + last, (end - last) * sizeof(T));
        ends_of[i] = ends + i * width;
      }
      T result[width];
      t.out = out ? result : nullptr;
      t.mode.past_cache = false;
      full(static_cast<const T* const*>(ends_of), n, 0, width, t, columns);
      if (out) std::memcpy(out + last, result, (end - last) * sizeof(T));
    }
    if (mode.past_cache) s::fence();
    return s::any(t.bad) ? saw_non_finite : s::any(t.over) ? saw_overflow : 0;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
