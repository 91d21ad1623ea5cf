// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: the inner products and squared differences of a tile's rows,
// and rows less a centre. The arithmetic is defined, not tuned: coordinate j belongs to lane j mod 8, each lane adds up
// in order, the lanes in one fixed tree. Products of floats are exact in double, so that a fused multiply-add changes
// no bit.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct gram_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  /// Vectors of a group of lanes, one sweep over the coordinates for each.
  static constexpr std::size_t parts = gram_lanes / wide;
  /// What rows of floats are in a tile. Converted again for every register block they take half the cache; where a
  /// vector holds two doubles, the conversions would take longer than that saves.
  using single = std::conditional_t<wide == 2, double, float>;
  using wide_f64 = vec<double, wide>;
  using wide_f32 = vec<float, wide>;
  using kind = gram_kind;

  /// Rows of a register block: its square of sums, one row and one more vector fit the registers.
  static constexpr std::size_t panel_of(kind k) noexcept {
    return wide == 8 ? (k == kind::exact ? 5 : 4) : FEDAGG_X86 ? 3 : 4;
  }

  template <class T>
  FEDAGG_TARGET FEDAGG_INLINE static wide_f64 load(const T* x) noexcept {
    if constexpr (sizeof(T) == 8)
      return s::template load<wide_f64>(x);
    else
      return s::template convert<wide_f64>(s::template load<wide_f32>(x));
  }

  /// gram_lanes coordinates of a row, to where they belong.
  template <bool Centred, class T, class To>
  FEDAGG_TARGET FEDAGG_INLINE static void move(const T* x, const T* centre, To* to) noexcept {
    FEDAGG_FP_IN_ORDER
#pragma GCC unroll 4
    for (std::size_t p = 0; p < gram_lanes; p += wide) {
      auto y = s::template load<vec<T, wide>>(x + p);
      if constexpr (Centred) y = y - s::template load<vec<T, wide>>(centre + p);
      if constexpr (sizeof(T) == sizeof(To))
        s::store(to + p, y);
      else
        s::store(to + p, s::template convert<wide_f64>(y));
    }
  }

  /// `count` elements as a tile has them, minus a centre if there is one, in their own type: differences of floats are
  /// rounded to float, so that their products are exact. The last lanes are filled with zeros.
  template <class T, class To>
  FEDAGG_TARGET static void stage(const T* x, const T* centre, std::size_t count, void* to) noexcept {
    FEDAGG_FP_IN_ORDER
    const std::size_t whole = count - count % gram_lanes;
    auto* out = static_cast<To*>(to);
    if (centre)
      for (std::size_t j = 0; j < whole; j += gram_lanes) move<true>(x + j, centre + j, out + j);
    else
      for (std::size_t j = 0; j < whole; j += gram_lanes) move<false>(x + j, x, out + j);
    std::size_t j = whole;
    for (; j < count; ++j) out[j] = static_cast<To>(centre ? x[j] - centre[j] : x[j]);
    for (; j % gram_lanes > 0; ++j) out[j] = 0;
  }

  /// True if a value is too large for a centre, or NaN: |x| >= 2^103, half a unit in the last place of the largest
  /// float, so that no difference overflows; of doubles 2^400, so that no square of one does.
  template <class T>
  FEDAGG_TARGET static bool far(const T* x, std::size_t count) noexcept {
    constexpr std::size_t width = s::template width<T>;
    using word = typename integer_of<sizeof(T)>::type;
    using words = vec<word, width>;
    constexpr word below = sizeof(T) == 4 ? static_cast<word>(0x72ffffff) : static_cast<word>(0x58efffffffffffff);
    constexpr word magnitude = sizeof(T) == 4 ? static_cast<word>(INT32_MAX) : static_cast<word>(INT64_MAX);
    auto seen = s::template fill<word, width>(0);
    std::size_t j = 0;
    for (; j + width <= count; j += width) seen = seen | ((s::template load<words>(x + j) & magnitude) > below);
    word last[width] = {};
    std::memcpy(last, x + j, (count - j) * sizeof(T));
    seen = seen | ((s::template load<words>(last) & magnitude) > below);
    return s::any(seen);
  }

  /// acc + a b; with Exact the product needs no rounding.
  template <bool Exact>
  FEDAGG_TARGET FEDAGG_INLINE static void multiply_add(wide_f64& acc, const wide_f64& a, const wide_f64& b) noexcept {
    FEDAGG_FP_IN_ORDER
#if FEDAGG_X86 && FEDAGG_ISA_BYTES == 64
    if constexpr (Exact)
      acc = __builtin_ia32_vfmaddpd512_mask(a, b, acc, static_cast<unsigned char>(-1), 4);
    else
#elif FEDAGG_X86 && FEDAGG_ISA_BYTES == 32
    if constexpr (Exact)
      acc = __builtin_ia32_vfmaddpd256(a, b, acc);
    else
#endif
      acc = FEDAGG_FP_KEEP(acc + FEDAGG_FP_KEEP(a * b));
  }

#if FEDAGG_X86 && FEDAGG_ISA_BYTES == 64
  /// Halves, quarters or doubles of a and b that are to be added up: first or second of each two, a's before b's or, of
  /// doubles, in turns. One instruction each; what g++ makes of __builtin_shufflevector here are six.
  template <std::size_t Size>
  FEDAGG_TARGET FEDAGG_INLINE static wide_f64 pairs(const wide_f64& a, const wide_f64& b) noexcept {
    FEDAGG_FP_IN_ORDER
#if defined(__clang__)
    if constexpr (Size == 4)
      return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
             __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
    else if constexpr (Size == 2)
      return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13) +
             __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
    else
      return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
             __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
#else
    constexpr auto all = static_cast<unsigned char>(-1);
    if constexpr (Size == 4)
      return FEDAGG_FP_KEEP(__builtin_ia32_shuf_f64x2_mask(a, b, 0x44, wide_f64{}, all) +
                            __builtin_ia32_shuf_f64x2_mask(a, b, 0xee, wide_f64{}, all));
    else if constexpr (Size == 2)
      return FEDAGG_FP_KEEP(__builtin_ia32_shuf_f64x2_mask(a, b, 0x88, wide_f64{}, all) +
                            __builtin_ia32_shuf_f64x2_mask(a, b, 0xdd, wide_f64{}, all));
    else
      return FEDAGG_FP_KEEP(__builtin_ia32_unpcklpd512_mask(a, b, wide_f64{}, all) +
                            __builtin_ia32_unpckhpd512_mask(a, b, wide_f64{}, all));
#endif
  }
#endif

  /// The totals of `count` groups of lanes by the tree of `gram_total`; there is room for a multiple of eight of both.
  FEDAGG_TARGET FEDAGG_NOINLINE static void totals(const double* lanes, std::size_t count, double* to) noexcept {
#if FEDAGG_X86 && FEDAGG_ISA_BYTES == 64
    for (std::size_t i = 0; i < count; i += 8) {
      wide_f64 v[8];
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 8; ++k) v[k] = load(lanes + (i + k) * gram_lanes);
      const wide_f64 even = pairs<2>(pairs<4>(v[0], v[2]), pairs<4>(v[4], v[6]));
      const wide_f64 odd = pairs<2>(pairs<4>(v[1], v[3]), pairs<4>(v[5], v[7]));
      s::store(to + i, pairs<1>(even, odd));
    }
#else
    for (std::size_t i = 0; i < count; ++i) to[i] = gram_total(lanes + i * gram_lanes);
#endif
  }

  /// The sums of a register block: R rows against C rows; with Square only of pairs (r, k <= r).
  template <kind Kind, class T, bool Square, std::size_t R, std::size_t C>
  FEDAGG_TARGET FEDAGG_NOINLINE static void sums(const void* const* a, const void* const* b, std::size_t count,
                                                 double* to, const gram_ahead& next) noexcept {
    FEDAGG_FP_IN_ORDER
    // Where there are many sweeps, the coordinates of one stay in the first cache for the next.
    const std::size_t stretch = parts > 1 ? 256 : count;
    alignas(64) double lanes[(R * C + 7) / 8 * 8 * gram_lanes];
    const T *x[R], *y[C];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) x[r] = static_cast<const T*>(a[r]);
#pragma GCC unroll 8
    for (std::size_t k = 0; k < C; ++k) y[k] = static_cast<const T*>(b[k]);
    const std::byte *ahead = nullptr, *const *pieces = next.pieces;
    std::size_t left = 0;
    for (std::size_t sweep = 0; sweep / parts * stretch < count; ++sweep) {
      const std::size_t p = sweep % parts, from = sweep / parts * stretch;
      const std::size_t end = count - from < stretch ? count : from + stretch;
      wide_f64 acc[R * C] = {};
      if constexpr (parts > 1) {
        if (from > 0) {
#pragma GCC unroll 32
          for (std::size_t i = 0; i < R * C; ++i)
            acc[i] = s::template load<wide_f64>(lanes + i * gram_lanes + p * wide);
        }
      }
      for (std::size_t j = from; j < end; j += gram_lanes) {
        if (j / gram_lanes % parts == p) {
          if (left == 0) {
            ahead = *pieces++;
            left = next.turn;
          }
          --left;
          FEDAGG_PREFETCH(ahead);
          if (next.step > 64) FEDAGG_PREFETCH(ahead + 64);
          ahead += next.step;
        }
        wide_f64 u[C];
#pragma GCC unroll 8
        for (std::size_t k = 0; k < C; ++k) u[k] = load(y[k] + j + p * wide);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < R; ++r) {
          const wide_f64 v = Square ? u[r] : load(x[r] + j + p * wide);
#pragma GCC unroll 8
          for (std::size_t k = 0; k < C; ++k) {
            if (Square && k > r) continue;
            if constexpr (Kind == kind::differences) {
              const wide_f64 d = FEDAGG_FP_KEEP(v - u[k]);
              multiply_add<false>(acc[r * C + k], d, d);
            } else {
              multiply_add<Kind == kind::exact>(acc[r * C + k], v, u[k]);
            }
          }
        }
      }
#pragma GCC unroll 32
      for (std::size_t i = 0; i < R * C; ++i) s::store(lanes + i * gram_lanes + p * wide, acc[i]);
    }
    totals(lanes, R * C, to);
  }

  /// Few sizes, because each costs compile time: rows that are missing are made up, and a square is computed as a whole
  /// block, but where it would be felt.
  static constexpr std::size_t few = s::bytes == 64 ? 2 : s::bytes == 32 ? 1 : 0;

  template <kind Kind, class T>
  static constexpr gram_blocks blocks() noexcept {
    constexpr std::size_t n = panel_of(Kind);
    gram_blocks b{n, 0, sums<Kind, T, false, n, n>, nullptr, nullptr};
    b.square = b.whole;
    if constexpr (Kind == kind::exact || (Kind == kind::rounded && wide != 4)) b.square = sums<Kind, T, true, n, n>;
    if constexpr (Kind == kind::exact && few != 0) b.few = few, b.few_whole = sums<Kind, T, false, few, n>;
    return b;
  }

  template <class Void = void>
  static const gram_calls& calls() noexcept {
    // Without a fused multiply-add nothing tells exact products from others; and one instruction set converts rows for
    // all where they are measured by difference, because few are.
    constexpr kind exact = wide == 2 ? kind::rounded : kind::exact;
    static constexpr gram_calls all = {
        {blocks<exact, single>(), blocks<kind::rounded, double>(), blocks<kind::differences, double>()},
        sizeof(single),
        stage<float, single>,
        gram_kernel<on_baseline>::template stage<float, double>,
        stage<double, double>};
    return all;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
