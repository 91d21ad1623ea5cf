// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: sorts columns of lanes, as order images (signed integers).

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <>
struct sort_kernel<FEDAGG_ISA> {
  using s = simd<FEDAGG_ISA>;
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

  /// Loads register_rows vectors of T from where they lie, and stores their images sorted.
  template <class T>
  FEDAGG_TARGET FEDAGG_FLATTEN static void sort_block(const T* const* from, column<T>* p) noexcept {
    if constexpr (looped<column<T>>) {
      for (std::size_t i = 0; i < register_rows; ++i) p[i] = s::order_image(s::template load<column<T>>(from[i]));
      sort_looped(p, register_rows);
    } else {
      column<T> x[register_rows];
#pragma GCC unroll 32
      for (std::size_t i = 0; i < register_rows; ++i) x[i] = s::order_image(s::template load<column<T>>(from[i]));
      network<register_rows>(x);
#pragma GCC unroll 32
      for (std::size_t i = 0; i < register_rows; ++i) p[i] = x[i];
    }
  }

  /// Batcher's network for any n, wire by wire.
  template <class V>
  FEDAGG_TARGET FEDAGG_NOINLINE static void sort_looped(V* x, std::size_t n) noexcept {
    for (std::size_t p = 1; p < n; p *= 2)
      for (std::size_t k = p; k >= 1; k /= 2)
        for (std::size_t j = k % p; j + k < n; j += 2 * k)
          for (std::size_t i = j; i < j + k && i + k < n; ++i)
            if (i / (p * 2) == (i + k) / (p * 2)) s::exchange(x[i], x[i + k]);
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

  /// Sorts the vectors at rows[0] + at .. rows[n - 1] + at into x, which has room for padded(n): blocks in registers,
  /// then bitonic merges whose short steps are in registers too. `top` pads the last block; what lies beyond is thought
  /// of as top and is never exchanged with. Lines `ahead` elements further are asked for, if any. Only the vectors in
  /// the window need come out in their places: of the last merge, what leads elsewhere is left out. `low` and `high`
  /// become the columns' ends.
  template <class T>
  FEDAGG_TARGET static void sort_rows(const T* const* rows, std::size_t at, std::size_t n, const T* top, column<T>* x,
                                      std::size_t ahead, order_window w, column<T>& low_end,
                                      column<T>& high_end) noexcept {
    const std::size_t end = padded(n);
    if constexpr (looped<column<T>>)
      if (n <= register_rows) {
        for (std::size_t i = 0; i < n; ++i) x[i] = s::order_image(s::template load<column<T>>(rows[i] + at));
        sort_looped(x, n);
        low_end = x[0];
        high_end = x[n - 1];
        return;
      }
    for (std::size_t first = 0; first < end; first += register_rows) {
      const T* from[register_rows];
      for (std::size_t i = 0; i < register_rows; ++i) {
        from[i] = first + i < n ? rows[first + i] + at : top;
        if (ahead != 0 && at * sizeof(T) % 64 == 0) FEDAGG_PREFETCH(from[i] + ahead);
      }
      sort_block(static_cast<const T* const*>(from), x + first);
    }
    low_end = x[0];
    high_end = x[end - 1];
    for (std::size_t run = 2 * register_rows; run / 2 < end; run *= 2) {
      const bool last = run >= end;
      if (last) {
        low_end = s::pick(x[0] < x[run / 2], x[0], x[run / 2]);
        high_end = s::pick(x[run / 2 - 1] < x[end - 1], x[end - 1], x[run / 2 - 1]);
      }
      const auto wanted = [&](std::size_t from, std::size_t to) { return !last || (from < w.last && w.first < to); };
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
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
