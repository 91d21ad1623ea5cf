// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: rows of a tile as doubles, their inner products and squared
// differences. The arithmetic is defined, not tuned: coordinate j belongs to lane j mod 8, each lane adds up in order,
// the lanes in one fixed tree. Products of floats are exact in double, so that a fused multiply-add changes no bit.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct gram_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  /// A row of a tile is kept as so many parts of `wide` lanes each, one sweep of the products per part.
  static constexpr std::size_t parts = gram_lanes / wide;
  /// Rows of a register block: its square of sums, one row and one more vector fit the registers.
  static constexpr std::size_t panel = FEDAGG_X86 && wide != 8 ? 3 : 4;
  using wide_f64 = vec<double, wide>;
  using wide_f32 = vec<float, wide>;

  /// Coordinates [j, j + gram_lanes) of a row, to where they belong.
  template <bool Centred, class T>
  FEDAGG_TARGET FEDAGG_INLINE static void spread(const T* x, const T* centre, std::size_t j, double* to,
                                                 std::size_t block) noexcept {
    FEDAGG_FP_IN_ORDER
    using value = vec<T, wide>;
#pragma GCC unroll 4
    for (std::size_t p = 0; p < parts; ++p) {
      auto y = s::template load<value>(x + p * wide);
      if constexpr (Centred) y = y - s::template load<value>(centre + p * wide);
      if constexpr (sizeof(T) == 8)
        s::store(to + p * (block / parts) + j / parts, y);
      else
        s::store(to + p * (block / parts) + j / parts, s::template convert<wide_f64>(y));
    }
  }

  /// `count` elements as doubles, minus a centre if there is one, in their own type: differences of floats are rounded
  /// to float, so that their products are exact. The last lanes are filled with zeros.
  template <bool Centred, class T>
  FEDAGG_TARGET static void widen(const T* x, const T* centre, std::size_t count, double* to,
                                  std::size_t block) noexcept {
    const std::size_t whole = count - count % gram_lanes;
    for (std::size_t j = 0; j < whole; j += gram_lanes) {
      FEDAGG_PREFETCH(x + j + 1024 / sizeof(T));
      spread<Centred>(x + j, Centred ? centre + j : centre, j, to, block);
    }
    if (whole == count) return;
    T last[gram_lanes] = {}, from[gram_lanes] = {};
    std::memcpy(last, x + whole, (count - whole) * sizeof(T));
    if constexpr (Centred) std::memcpy(from, centre + whole, (count - whole) * sizeof(T));
    spread<Centred>(static_cast<const T*>(last), static_cast<const T*>(from), whole, to, block);
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

  using kind = gram_kind;

  /// The lane sums of a register block: R rows against C rows; with Square only of pairs (r, k <= r). The memory behind
  /// `ahead` and `further` is asked for meanwhile.
  template <kind Kind, bool Square, std::size_t R, std::size_t C>
  FEDAGG_TARGET FEDAGG_NOINLINE static void sums(const gram_tile& t, const double* a, const double* b, double* lanes,
                                                 const std::byte* ahead, const std::byte* further) noexcept {
    FEDAGG_FP_IN_ORDER
    const std::size_t length = (t.count + gram_lanes - 1) / gram_lanes * wide, stride = t.stride, step = t.ahead_step;
    for (std::size_t p = 0; p < parts; ++p, a += t.block / parts, b += t.block / parts) {
      wide_f64 acc[R * C] = {};
      for (std::size_t j = 0; j < length; j += wide) {
        if (p == 0) {
          // Each line is asked for several times: while the caches are busy with the tile, many requests are dropped.
          FEDAGG_PREFETCH(ahead);
          FEDAGG_PREFETCH(further);
          FEDAGG_PREFETCH(ahead + 512);
          FEDAGG_PREFETCH(further + 512);
          ahead += step;
          further += step;
        }
        wide_f64 y[C];
#pragma GCC unroll 8
        for (std::size_t k = 0; k < C; ++k) y[k] = s::template load<wide_f64>(b + k * stride + j);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < R; ++r) {
          const wide_f64 x = Square ? y[r] : s::template load<wide_f64>(a + r * stride + j);
#pragma GCC unroll 8
          for (std::size_t k = 0; k < C; ++k) {
            if (Square && k > r) continue;
            if constexpr (Kind == kind::differences) {
              const wide_f64 d = FEDAGG_FP_KEEP(x - y[k]);
              multiply_add<false>(acc[r * C + k], d, d);
            } else {
              multiply_add<Kind == kind::exact>(acc[r * C + k], x, y[k]);
            }
          }
        }
      }
#pragma GCC unroll 32
      for (std::size_t i = 0; i < R * C; ++i) s::store(lanes + i * gram_lanes + p * wide, acc[i]);
    }
  }

  /// Few sizes, because each costs compile time: rows that are missing are made up, but where it would be felt.
  static constexpr std::size_t few = s::bytes == 64 ? 2 : s::bytes == 32 ? 1 : 0;

  template <kind Kind>
  static constexpr gram_blocks blocks() noexcept {
    if constexpr (Kind == kind::differences) {
      return {panel, 0, sums<Kind, false, panel, panel>, sums<Kind, false, panel, panel>, nullptr, nullptr};
    } else {
      gram_blocks b{panel, 0, sums<Kind, false, panel, panel>, sums<Kind, true, panel, panel>, nullptr, nullptr};
      if constexpr (Kind == kind::exact && few != 0) {
        b.few = few;
        b.few_whole = sums<Kind, false, few, panel>;
        b.few_square = sums<Kind, true, few, few>;
      }
      return b;
    }
  }

  template <class Void = void>
  static const gram_calls& calls() noexcept {
    static constexpr gram_calls all = {{blocks<kind::exact>(), blocks<kind::rounded>(), blocks<kind::differences>()},
                                       widen<false, double>,
                                       widen<true, double>,
                                       widen<false, float>,
                                       widen<true, float>};
    return all;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
