// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: a few neighbours in rank of long columns, without sorting all.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct middle_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using sorter = sort_kernel<FEDAGG_ISA, Late>;

  /// Rows of a sorted run, half of which is dropped: by the odds that half holds a value of the window in one of 10^4
  /// runs or, of the longer ones, 10^8, if the order of the rows has nothing to do with their values.
  static constexpr std::size_t run_of(std::size_t n) noexcept { return n <= 2048 ? 64 : 128; }
  static constexpr std::size_t runs_of(std::size_t n) noexcept { return (n + run_of(n) - 1) / run_of(n); }
  /// Vectors that `place` needs.
  static constexpr std::size_t room(std::size_t n) noexcept { return runs_of(n) * run_of(n); }

  /// True if `place` is worth trying. For doubles and machines without AVX2 it would be too; it takes time to compile.
  template <class T>
  static constexpr bool compiled = sizeof(T) == 4 && (s::bytes > 16 || !FEDAGG_X86);
  static constexpr bool narrow(std::size_t n, order_window w) noexcept {
    return n > sorter::most_melded && (w.last - w.first) * 128 <= n;
  }

  /// Brings the values of window w of the sorted columns of n rows to x[w.first] .. x[w.last - 1], where w becomes
  /// theirs; `low` and `high` become the columns' ends, other arguments are those of sort_rows. Sorted runs of the rows
  /// are samples of a column, so a window that is narrow is near the same place in each: only the rows around that are
  /// merged. False if in some lane a row that was left out might be one of the window, whatever it takes to know
  /// better.
  template <class T, class V>
  FEDAGG_TARGET FEDAGG_NOINLINE static bool place(const T* const* rows, std::size_t n, std::size_t at,
                                                  typename sorter::template image<T> top, V* x, order_window& w, V& low,
                                                  V& high) noexcept {
    const std::size_t run = run_of(n), runs = runs_of(n), kept = run / 2, blocks = room(n) / register_rows;
    // Neighbours go to different blocks, because they may have something in common.
    for (std::size_t b = 0; b < blocks; ++b) {
      const T* from[register_rows];
      std::size_t count = 0;
      for (; count < register_rows && count * blocks + b < n; ++count) from[count] = rows[count * blocks + b];
      sorter::sort_block(static_cast<const T* const*>(from), count, at, top, x + b * register_rows);
    }
    const std::size_t centre = (w.first + w.last) / (2 * runs);
    const std::size_t first = centre < kept / 2 ? 0 : centre > run - kept / 2 ? kept : centre - kept / 2;
    const std::size_t dropped = first * runs, left = kept * runs;
    if (w.first < dropped || w.last > dropped + left) return false;
    w = {w.first - dropped, w.last - dropped};
    // The largest of what is dropped below, and the smallest above.
    V below{}, above{};
    std::size_t end = runs * run;
    for (std::size_t r = 2 * register_rows; r / 2 < end; r *= 2) {
      sorter::merge_runs(x, end, r, r >= end ? w : order_window{0, end});
      if (r != run || end == left) continue;
      low = x[0];
      high = x[run - 1];
      below = x[first == 0 ? 0 : first - 1];
      above = x[first == kept ? run - 1 : first + kept];
      for (std::size_t k = 0; k < runs; ++k) {
        const V* const from = x + k * run;
        low = sorter::template side<false>(low, from[0]);
        high = sorter::template side<true>(high, from[run - 1]);
        if (first != 0) below = sorter::template side<true>(below, from[first - 1]);
        if (first != kept) above = sorter::template side<false>(above, from[first + kept]);
        for (std::size_t i = 0; i < kept; ++i) x[k * kept + i] = from[first + i];
      }
      end = left;
      r = kept;
    }
    return (first == 0 || !s::any(x[w.first] < below)) && (first == kept || !s::any(above < x[w.last - 1]));
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
