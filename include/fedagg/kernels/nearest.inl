// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: the mean of those values of each column that are nearest to a
// centre taken from the same column.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct nearest_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using sorter = sort_kernel<FEDAGG_ISA, Late>;
  using windows = window_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;
  using wide_i64 = vec<std::int64_t, wide>;
  template <class T>
  using image = typename sorter::template image<T>;
  template <class T>
  using column = typename sorter::template column<T>;
  template <class T>
  using sums = typename windows::template sums<T>;
  template <class T>
  using tile = typename windows::template tile<T>;

  /// Some columns of a sorted tile, `wide` of them, in double; times `part` if Scaled.
  template <class T, bool Scaled>
  struct values {
    const std::byte* images;
    double part;
    FEDAGG_TARGET FEDAGG_INLINE wide_f64 operator[](std::size_t i) const noexcept {
      FEDAGG_FP_IN_ORDER
      const auto word = s::order_image(s::template load<vec<image<T>, wide>>(images + i * s::bytes));
      wide_f64 x;
      if constexpr (sizeof(T) == 8)
        x = s::template bits<wide_f64>(word);
      else
        x = s::template convert<wide_f64>(s::template bits<vec<float, wide>>(word));
      if constexpr (Scaled) x = FEDAGG_FP_KEEP(x * s::template fill<double, wide>(part));
      return x;
    }
  };

  /// The sum of the values nearest the centre. Those are a run of `kept` values, which starts behind all i with
  /// x[i] + x[i + kept] < 2 centre: a prefix, because both ends ascend. So of each class of positions modulo `kept` one
  /// is in the run, and it is found without an index that differs from lane to lane.
  template <class Values>
  FEDAGG_TARGET FEDAGG_INLINE static wide_f64 sum(const Values& x, std::size_t n, const nearest_values& v) noexcept {
    FEDAGG_FP_IN_ORDER
    wide_f64 twice{};
    for (std::size_t i = v.centre.first; i < v.centre.last; ++i) twice = FEDAGG_FP_KEEP(twice + x[i]);
    auto by = s::template fill<double, wide>(static_cast<double>(v.centre.last - v.centre.first) / 2);
    FEDAGG_FP_HIDE(by);
    twice = FEDAGG_FP_KEEP(twice / by);
    const std::size_t kept = n - v.dropped;
    wide_f64 total{};
    for (std::size_t r = 0; r < kept; ++r) {
      wide_f64 low = x[r], chosen = low;
      for (std::size_t i = r; i < v.dropped; i += kept) {
        const wide_f64 high = x[i + kept];
        chosen = s::pick(FEDAGG_FP_KEEP(low + high) < twice, high, chosen);
        low = high;
      }
      total = FEDAGG_FP_KEEP(total + chosen);
    }
    return total;
  }

  /// Columns of doubles in which a sum could overflow: their means from parts of the values.
  FEDAGG_TARGET FEDAGG_COLD static void average_huge(const column<double>* x, std::size_t n, const nearest_values& v,
                                                     wide_f64& mean) noexcept {
    FEDAGG_FP_IN_ORDER
    double part = 0.5;
    while (part * static_cast<double>(n) > 0.5) part /= 2;
    const values<double, true> parts{reinterpret_cast<const std::byte*>(x), part};
    auto by = s::template fill<double, wide>(static_cast<double>(n - v.dropped) * part);
    FEDAGG_FP_HIDE(by);
    mean = FEDAGG_FP_KEEP(sum(parts, n, v) / by);
  }

  /// All-ones where a column of n doubles reaches so far that its sum could overflow.
  FEDAGG_TARGET static inline wide_i64 reaches_far(const wide_i64& low, const wide_i64& high, std::size_t n) noexcept {
    // 2^1022 is halved as often as the number of values doubles; in images that is the exponent.
    std::int64_t limit = 0x7fd0000000000000;
    for (std::size_t k = 1; k < n; k *= 2) limit -= 0x0010000000000000;
    return (high > limit) | (low < -limit - 1);
  }

  /// A full vector of coordinates at j.
  template <class T>
  FEDAGG_TARGET static inline void step(const T* const* rows, std::size_t n, const nearest_values& v, std::size_t j,
                                        tile<T>& t, column<T>* x) noexcept {
    column<T> low{}, high{};
    if (n <= register_rows) {
      const std::size_t sorted = sorter::template sort_for<T>(n)(rows, n, j, 1, row_ahead, sorter::template largest<T>, x);
      low = x[0];
      high = x[sorted - 1];
    } else {
      sorter::sort_rows(rows, n, j, sorter::template largest<T>, x, {0, n}, low, high);
    }
    windows::check(t, low, high);
    sums<T> total;
#pragma GCC unroll 2
    for (std::size_t k = 0; k < sums<T>::parts; ++k)
      total.part[k] =
          sum(values<T, false>{reinterpret_cast<const std::byte*>(x) + k * (s::bytes / sums<T>::parts), 1}, n, v);
    if constexpr (sizeof(T) == 8) {
      const wide_i64 extreme = reaches_far(x[0], x[n - 1], n);
      if (s::any(extreme)) {
        average_huge(x, n, v, t.huge);
        // An infinite sum makes `finish` take what is in `huge`.
        constexpr std::int64_t infinity = 0x7ff0000000000000;
        const auto sum_bits = s::template bits<wide_i64>(total.part[0]);
        total.part[0] =
            s::template bits<wide_f64>(s::pick(extreme, s::template fill<std::int64_t, wide>(infinity), sum_bits));
      }
    }
    windows::finish(t, total, j);
  }

  /// Bytes of scratch (aligned to 64) that `run` needs for n rows: a column and the last coordinates of each row.
  static constexpr std::size_t scratch_bytes(std::size_t n) noexcept { return windows::scratch_bytes(n); }

  /// out[begin..end) = the mean of the values of each of n rows' columns that v speaks of; null `out` only looks.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static unsigned run(const T* const* rows, std::size_t n, const nearest_values& v,
                                                    std::size_t begin, std::size_t end, T* out, tile_mode mode,
                                                    void* scratch) noexcept {
    constexpr std::size_t width = s::template width<T>;
    auto* columns = static_cast<column<T>*>(scratch);
    tile<T> t{{0, n - v.dropped}, out, mode};
    const std::size_t last = end - (end - begin) % width;
    for (std::size_t j = begin; j < last; j += width) step(rows, n, v, j, t, columns);
    if (last < end) {
      // Less than a vector is left: the rows' ends become vectors of their own.
      auto* ends = reinterpret_cast<T*>(columns + sorter::padded(n));
      auto** ends_of = reinterpret_cast<const T**>(ends + n * width);
      for (std::size_t i = 0; i < n; ++i) {
        std::memset(static_cast<void*>(ends + i * width), 0, s::bytes);
        std::memcpy(ends + i * width, rows[i] + last, (end - last) * sizeof(T));
        ends_of[i] = ends + i * width;
      }
      T result[width];
      t.out = out ? result : nullptr;
      t.mode.past_cache = false;
      step(static_cast<const T* const*>(ends_of), n, v, 0, t, columns);
      if (out) std::memcpy(out + last, result, (end - last) * sizeof(T));
    }
    if (mode.past_cache) s::fence();
    return s::any(t.bad) ? saw_non_finite : s::any(t.over) ? saw_overflow : 0;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
