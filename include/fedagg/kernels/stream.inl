// SPDX-License-Identifier: MIT
// Included by kernels/parts/stream.hpp once per instruction set: a step over the coordinates of several streams, some
// of which it changes. All arithmetic is in double, whatever the streams hold. L is `lanes` of double. The last
// `Step::outputs` streams, if there is such a member, are only written: what they hold is not looked at.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct stream_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;

  /// Applies the step to `count` coordinates of every stream, T throughout; without `store` it only looks.
  template <class L, class Step, class T>
  FEDAGG_TARGET FEDAGG_FLATTEN static unsigned run(const Step& step, const T* const* in, T* const* io,
                                                   std::size_t count, bool store) {
    FEDAGG_FP_IN_ORDER
    constexpr std::size_t inputs = Step::inputs, updates = Step::updates, read = inputs + updates - outputs<Step>();
    // Copies, because stores through T* might change the originals for all the compiler knows.
    const Step own = step;
    const T* x[inputs + 1];
    T* y[updates];
    for (std::size_t k = 0; k < inputs; ++k) x[k] = in[k];
    for (std::size_t k = 0; k < updates; ++k) y[k] = io[k];
    finite<T, read, updates> f;
    start(f);
    const std::size_t whole = count - count % wide;
    for (std::size_t j = 0; j < whole; j += wide) {
      if (j * sizeof(T) % 64 == 0) {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < inputs; ++k) FEDAGG_PREFETCH(x[k] + j + far_ahead / sizeof(T));
#pragma GCC unroll 8
        for (std::size_t k = 0; k < updates; ++k) FEDAGG_PREFETCH(y[k] + j + far_ahead / sizeof(T));
      }
      block<L>(own, x, y, j, store, f);
    }
    if (whole != count) {
      // Lanes beyond the end repeat the first one: what is made of made-up values must not be taken for an overflow.
      const std::size_t rest = count - whole;
      T part[inputs + updates][wide];
      for (std::size_t k = 0; k < read; ++k) repeat(part[k], (k < inputs ? x[k] : y[k - inputs]) + whole, rest, wide);
      T* last[updates];
      for (std::size_t k = 0; k < inputs; ++k) x[k] = part[k];
      for (std::size_t k = 0; k < updates; ++k) last[k] = part[inputs + k];
      block<L>(own, x, last, 0, true, f);
      if (store)
        for (std::size_t k = 0; k < updates; ++k) std::memcpy(y[k] + whole, last[k], rest * sizeof(T));
    }
    return seen(f);
  }

  /// totals[k * row_lanes + i] += the sum of the step's k-th value over the coordinates j with j % row_lanes == i.
  template <class L, class Step, class T>
  FEDAGG_TARGET FEDAGG_FLATTEN static unsigned sum(const Step& step, const T* const* in, std::size_t count,
                                                   double* totals) {
    FEDAGG_FP_IN_ORDER
    constexpr std::size_t inputs = Step::inputs, sums = Step::sums, parts = row_lanes / wide;
    const Step own = step;
    wide_f64 acc[sums * parts];
    std::memcpy(acc, totals, sizeof acc);
    finite<double, inputs, sums> f;
    start(f);
    const std::size_t whole = count - count % row_lanes;
    for (std::size_t j = 0; j < whole; j += row_lanes) {
#pragma GCC unroll 8
      for (std::size_t k = 0; k < inputs; ++k) FEDAGG_PREFETCH(in[k] + j + ahead / sizeof(T));
#pragma GCC unroll 8
      for (std::size_t p = 0; p < parts; ++p) {
        L r[sums];
        terms<L>(own, in, j + p * wide, r, f);
#pragma GCC unroll 4
        for (std::size_t k = 0; k < sums; ++k) acc[k * parts + p] = FEDAGG_FP_KEEP(acc[k * parts + p] + r[k].v_);
      }
    }
    if (whole != count) {
      T part[inputs][row_lanes];
      const T* last[inputs];
      for (std::size_t k = 0; k < inputs; ++k) {
        repeat(part[k], in[k] + whole, count - whole, row_lanes);
        last[k] = part[k];
      }
      for (std::size_t p = 0; p < parts && p * wide < count - whole; ++p) {
        L r[sums];
        terms<L>(own, last, p * wide, r, f);
        const std::size_t left = count - whole - p * wide;
        for (std::size_t k = 0; k < sums; ++k) {
          for (std::size_t i = left; i < wide; ++i) r[k].v_[i] = 0;
          acc[k * parts + p] = FEDAGG_FP_KEEP(acc[k * parts + p] + r[k].v_);
        }
      }
    }
    std::memcpy(totals, acc, sizeof acc);
    return seen(f);
  }

  /// From what to what the values of N streams are, at most: the largest magnitude of each, and its opposite if one of
  /// them is negative.
  template <std::size_t N, class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void ranges(const T* const* from, std::size_t count, stream_range* to) noexcept {
    using word = typename integer_of<sizeof(T)>::type;
    constexpr std::size_t width = s::template width<T>;
    using words = vec<word, width>;
    constexpr word infinity = sizeof(T) == 8 ? static_cast<word>(0x7ff0000000000000) : static_cast<word>(0x7f800000);
    const T* p[N];
    words most[N], signs[N];
    for (std::size_t k = 0; k < N; ++k) p[k] = from[k], most[k] = signs[k] = s::template fill<word, width>(0);
    const std::size_t whole = count - count % width;
    for (std::size_t j = 0; j < whole; j += width) {
#pragma GCC unroll 8
      for (std::size_t k = 0; k < N; ++k) widen(most[k], signs[k], s::template load<words>(p[k] + j));
    }
    for (std::size_t k = 0; k < N; ++k) {
      word part[width] = {};
      if (whole != count) std::memcpy(part, p[k] + whole, (count - whole) * sizeof(T));
      widen(most[k], signs[k], s::template load<words>(part));
      word largest = 0, sign = 0;
      for (std::size_t i = 0; i < width; ++i) {
        largest = most[k][i] > largest ? most[k][i] : largest;
        sign = static_cast<word>(sign | signs[k][i]);
      }
      T high;
      std::memcpy(&high, &largest, sizeof high);
      to[k].finite = largest < infinity;
      to[k].high = to[k].finite ? static_cast<double>(high) : 0;
      to[k].low = sign < 0 ? -to[k].high : 0;
    }
  }

private:
  // A page: the next one is known to the processor by the time it is needed. Nearer by, lines came as late as unasked.
  static constexpr std::size_t ahead = 1024, far_ahead = 4096;

  template <class V>
  FEDAGG_TARGET static inline void widen(V& most, V& signs, V v) noexcept {
    using word = typename integer_of<sizeof(v[0])>::type;
    FEDAGG_FP_HIDE(v); // or g++ loads it for each use, across two lines
    const V size = v & (sizeof(word) == 8 ? static_cast<word>(INT64_MAX) : static_cast<word>(0x7fffffff));
    V least = most;
    most = size;
    s::exchange(least, most);
    signs = signs | v;
  }

  /// What is not finite leaves a NaN or an infinity: products with a zero that the compiler cannot see add nothing
  /// else. Floats that were read are multiplied with each other, two and two, because such a product is a double far
  /// from the end of its range. A sum for each, so that none waits for another.
  template <class T, std::size_t Reads, std::size_t Writes>
  struct finite {
    static constexpr bool pairs = sizeof(T) == 4;
    wide_f64 zero, in[pairs || Reads == 0 ? (Reads + 1) / 2 + (Reads == 0) : Reads];
    vec<T, wide> none, out[Writes];
  };
  template <class Step>
  static constexpr std::size_t outputs() noexcept {
    if constexpr (requires { Step::outputs; }) {
      static_assert(Step::outputs <= Step::updates, "an output is a stream that is written");
      return Step::outputs;
    } else {
      return 0;
    }
  }
  template <class T, std::size_t Reads, std::size_t Writes>
  FEDAGG_TARGET static inline void start(finite<T, Reads, Writes>& f) noexcept {
    double zero = 0;
    T none = 0;
    FEDAGG_FP_HIDE(zero);
    FEDAGG_FP_HIDE(none);
    f.zero = s::template fill<double, wide>(zero);
    f.none = s::template fill<T, wide>(none);
    for (auto& v : f.in) v = s::template fill<double, wide>(0);
    for (auto& v : f.out) v = s::template fill<T, wide>(0);
  }
  /// The k-th value that was read, of `Reads`, the one before it being `last`.
  template <std::size_t Reads, class Finite>
  FEDAGG_TARGET static inline void note(Finite& f, std::size_t k, const wide_f64& last, const wide_f64& v) noexcept {
    if constexpr (!Finite::pairs)
      watch(f.in[k], v, f.zero);
    else if (k % 2 == 1)
      watch(f.in[k / 2], last, v);
    else if (k + 1 == Reads)
      watch(f.in[k / 2], v, f.zero);
  }
  // In whatever order and roundings: g++ 12 takes eight floats apart at a barrier.
  template <class V>
  FEDAGG_TARGET static inline void watch(V& sum, const V& a, const V& b) noexcept {
    FEDAGG_FP_FUSED
    sum = sum + a * b;
  }
  template <class T>
  FEDAGG_TARGET static inline bool infinite(const vec<T, wide>& v) noexcept {
    using word = typename integer_of<sizeof(T)>::type;
    constexpr auto exponent = sizeof(T) == 8 ? static_cast<word>(0x7ff0000000000000) : static_cast<word>(0x7f800000);
    return s::any((s::template bits<vec<word, wide>>(v) & exponent) == exponent);
  }
  template <class T, std::size_t Reads, std::size_t Writes>
  FEDAGG_TARGET static inline unsigned seen(const finite<T, Reads, Writes>& f) noexcept {
    bool bad = false, over = false;
    for (const auto& v : f.in) bad = bad || infinite<double>(v);
    for (const auto& v : f.out) over = over || infinite<T>(v);
    return bad ? saw_non_finite : over ? saw_overflow : 0;
  }

  template <class T>
  static inline void repeat(T* to, const T* from, std::size_t have, std::size_t want) noexcept {
    for (std::size_t i = 0; i < want; ++i) std::memcpy(to + i, from + (i < have ? i : 0), sizeof(T));
  }

  template <class L, class Step, class T, class Finite>
  FEDAGG_TARGET FEDAGG_FLATTEN_TOO static inline void block(const Step& step, const T* const* x, T* const* y,
                                                            std::size_t j, bool store, Finite& f) {
    constexpr std::size_t inputs = Step::inputs, read = Step::updates - outputs<Step>();
    L in[inputs + 1], io[Step::updates];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < inputs; ++k) {
      in[k].v_ = c::load_wide(x[k] + j);
      note<inputs + read>(f, k, in[k == 0 ? 0 : k - 1].v_, in[k].v_);
    }
#pragma GCC unroll 8
    for (std::size_t k = 0; k < read; ++k) {
      io[k].v_ = c::load_wide(y[k] + j);
      note<inputs + read>(f, inputs + k, (k == 0 ? in[inputs == 0 ? 0 : inputs - 1] : io[k - 1]).v_, io[k].v_);
    }
    step(static_cast<const L*>(in), static_cast<L*>(io));
#pragma GCC unroll 8
    for (std::size_t k = 0; k < Step::updates; ++k) {
      const auto r = s::template convert<vec<T, wide>>(io[k].v_);
      watch(f.out[k], r, f.none);
      if (store) s::store(y[k] + j, r);
    }
  }

  template <class L, class Step, class T, class Finite>
  FEDAGG_TARGET FEDAGG_FLATTEN_TOO static inline void terms(const Step& step, const T* const* x, std::size_t j, L* r,
                                                            Finite& f) {
    L in[Step::inputs];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < Step::inputs; ++k) {
      in[k].v_ = c::load_wide(x[k] + j);
      s::template multiply_add<true>(f.in[k], in[k].v_, f.zero);
    }
    step(static_cast<const L*>(in), r);
#pragma GCC unroll 4
    for (std::size_t k = 0; k < Step::sums; ++k) s::template multiply_add<true>(f.out[k], r[k].v_, f.zero);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
