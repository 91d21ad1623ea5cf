// SPDX-License-Identifier: MIT
// Included by kernels/parts/ring.hpp once per instruction set: real numbers to residues modulo a power of two and back,
// and sums of residues.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A residue is floor((F + u) / 2^32), F the value times 2^32 rounded half to even and u 32 random bits: the value is
/// rounded up with the probability of its fraction, to within 2^-33. From F on everything is exact.
template <>
struct ring_kernel<FEDAGG_ISA> {
  using s = simd<FEDAGG_ISA>;
  using c = convert_kernel<FEDAGG_ISA>;
  static constexpr std::size_t wide = s::wide;
  static constexpr std::size_t step = 2 * wide;
  using wide_f64 = vec<double, wide>;
  using wide_u64 = vec<std::uint64_t, wide>;
  using wide_u32 = vec<std::uint32_t, wide>;
  using pair_u32 = vec<std::uint32_t, step>;

  /// An element's bits as a word.
  template <class T>
  using word_of = std::make_unsigned_t<typename integer_of<sizeof(T)>::type>;

  /// out[0..count) = residues of x, of 16 or 32 bits for a limit below 2^63, of 64 bits for one below 2^95. Returns how
  /// many values were clipped. x is finite.
  template <class T, class W>
  FEDAGG_TARGET FEDAGG_NOINLINE static std::size_t encode(const T* x, const ring_scaling& how,
                                                          const std::uint32_t* random, std::size_t count,
                                                          W* out) noexcept {
    clipping<T> found{s::template fill<std::uint64_t, wide>(0)};
    every_block(x, how, random, count, out, found);
    std::size_t all = 0;
    for (std::size_t i = 0; i < wide; ++i) all += static_cast<std::size_t>(found.count[i]);
    return all;
  }

  /// The same where no value needs to be clipped, for a limit below 2^83. False, and what is written means nothing, if a
  /// magnitude is above the number whose bits are `most`, NaN or Inf.
  template <class T, class W>
  FEDAGG_TARGET FEDAGG_NOINLINE static bool encode_inside(const T* x, const ring_scaling& how, word_of<T> most,
                                                          const std::uint32_t* random, std::size_t count,
                                                          W* out) noexcept {
    using word = word_of<T>;
    constexpr auto magnitude = static_cast<word>(static_cast<word>(~word{0}) >> 1);
    looking<T> found{s::template fill<word, looking<T>::lanes>(0), magnitude, static_cast<word>(magnitude - most)};
    every_block(x, how, random, count, out, found);
    return !s::any(found.seen & static_cast<word>(~magnitude));
  }

  /// out = residues modulo 2^bits, as signed numbers, over a divisor; floats and shorter types by its reciprocal, which
  /// is exact enough for them (2^-29 of a float's last place).
  template <class W, class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void decode(const W* words, unsigned bits, double divisor, std::size_t count,
                                                   T* out) noexcept {
    FEDAGG_FP_IN_ORDER
    FEDAGG_FP_HIDE(divisor);
    double reciprocal = 1 / divisor;
    FEDAGG_FP_HIDE(reciprocal);
    const unsigned unused = static_cast<unsigned>(8 * sizeof(W)) - bits;
    for (std::size_t j = 0; j < count; j += wide) {
      const std::size_t lanes = count - j < wide ? count - j : wide;
      wide_f64 v;
      if (lanes == wide) {
        v = signed_doubles(words + j, unused);
      } else {
        W rest[wide] = {};
        std::memcpy(rest, words + j, lanes * sizeof(W));
        v = signed_doubles(static_cast<const W*>(rest), unused);
      }
      if constexpr (sizeof(T) == 8) {
        auto by = s::template fill<double, wide>(divisor);
        FEDAGG_FP_HIDE(by);
        v = FEDAGG_FP_KEEP(v / by);
      } else {
        v = FEDAGG_FP_KEEP(v * reciprocal);
      }
      if (lanes == wide)
        c::store_wide(out + j, v);
      else
        c::store_some(out + j, v, lanes);
    }
  }

  template <class W>
  FEDAGG_TARGET FEDAGG_NOINLINE static void add(W* to, const W* from, std::size_t count) noexcept {
    constexpr std::size_t n = s::bytes / sizeof(W);
    std::size_t j = 0;
    for (; j + n <= count; j += n)
      s::store(to + j, s::template load<vec<W, n>>(to + j) + s::template load<vec<W, n>>(from + j));
    for (; j < count; ++j) to[j] = static_cast<W>(to[j] + c::element_at(from, j));
  }

  /// Of residues modulo 2^bits; both 0 for none.
  template <class W>
  FEDAGG_TARGET FEDAGG_NOINLINE static ring_extremes extremes(const W* words, unsigned bits,
                                                              std::size_t count) noexcept {
    using I = typename integer_of<sizeof(W)>::type;
    constexpr std::size_t n = s::bytes / sizeof(W);
    const int unused = static_cast<int>(8 * sizeof(W) - bits);
    if (count == 0) return {};
    using words_of = vec<I, n>;
    // Several, so that none waits for another.
    words_of least[4], greatest[4];
    for (std::size_t k = 0; k < 4; ++k) {
      least[k] = s::template fill<I, n>(static_cast<I>(INT64_MAX >> (64 - 8 * sizeof(W))));
      greatest[k] = s::template fill<I, n>(static_cast<I>(INT64_MIN >> (64 - 8 * sizeof(W))));
    }
    std::size_t j = 0;
    for (; j + 4 * n <= count; j += 4 * n)
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        FEDAGG_PREFETCH(words + j + k * n + 1024 / sizeof(W));
        const words_of v = s::template load<words_of>(words + j + k * n) << static_cast<I>(unused);
        least[k] = s::pick(v < least[k], v, least[k]);
        greatest[k] = s::pick(v > greatest[k], v, greatest[k]);
      }
    I low = least[0][0], high = greatest[0][0];
    for (std::size_t k = 0; k < 4; ++k)
      for (std::size_t i = 0; i < n; ++i) {
        low = least[k][i] < low ? least[k][i] : low;
        high = greatest[k][i] > high ? greatest[k][i] : high;
      }
    for (; j < count; ++j) {
      const I v = static_cast<I>(static_cast<W>(c::element_at(words, j) << unused));
      low = v < low ? v : low;
      high = v > high ? v : high;
    }
    return {static_cast<std::int64_t>(low >> unused), static_cast<std::int64_t>(high >> unused)};
  }

private:
  // What is added to a double leaves, in its last 32 bits, its nearest multiple of 1, 2^32 or 2^64: 1.5 times 2^52, 2^84
  // or 2^116, what all instruction sets have in common.
  static constexpr double ones = 0x1.8p+52, upper = 0x1.8p+84, top = 0x1.8p+116;
  static constexpr std::uint32_t ones_high = 0x43380000;

  /// Clips, and counts what it clipped.
  template <class T>
  struct clipping {
    static constexpr bool far = true;
    wide_u64 count;

    FEDAGG_TARGET inline void look(const T*) noexcept {}
    FEDAGG_TARGET inline void clip(wide_f64& z, double most) noexcept {
      const auto limit = s::template fill<double, wide>(most), lowest = s::template fill<double, wide>(-most);
      const wide_f64 below = s::pick(z < limit, z, limit);
      const wide_f64 inside = s::pick(below > lowest, below, lowest);
      count = count - s::template bits<wide_u64>(z != inside); // a mask is all ones, -1
      z = inside;
    }
  };

  /// Looks at the magnitudes: one that is above carries into the sign.
  template <class T>
  struct looking {
    static constexpr bool far = false;
    static constexpr std::size_t lanes = sizeof(T) == 8 ? wide : step;
    using words = vec<word_of<T>, lanes>;
    words seen;
    word_of<T> magnitude, room;

    FEDAGG_TARGET inline void look(const T* x) noexcept {
      for (std::size_t k = 0; k < step; k += lanes)
        seen = seen | ((s::template load<words>(x + k) & magnitude) + room);
    }
    FEDAGG_TARGET inline void clip(wide_f64&, double) noexcept {}
  };

  template <class T, class W, class Found>
  FEDAGG_TARGET static inline void every_block(const T* x, const ring_scaling& how, const std::uint32_t* random,
                                               std::size_t count, W* out, Found& found) noexcept {
    const ring_scaling own = how;
    Found here = found;
    const std::size_t whole = count - count % step;
    for (std::size_t j = 0; j < whole; j += step) {
      FEDAGG_PREFETCH(x + j + 1024 / sizeof(T));
      block(x + j, own, random + j, out + j, here);
    }
    if (whole < count) {
      T rest[step] = {};
      std::uint32_t bits[step] = {};
      W words[step];
      std::memcpy(rest, x + whole, (count - whole) * sizeof(T));
      std::memcpy(bits, random + whole, (count - whole) * sizeof bits[0]);
      block(static_cast<const T*>(rest), own, bits, words, here);
      std::memcpy(out + whole, words, (count - whole) * sizeof(W));
    }
    found = here;
  }

  template <class T, class W, class Found>
  FEDAGG_TARGET static inline void block(const T* x, const ring_scaling& how, const std::uint32_t* random, W* out,
                                         Found& found) noexcept {
    FEDAGG_FP_IN_ORDER
    found.look(x);
    wide_f64 a = FEDAGG_FP_KEEP(c::load_wide(x) * how.factor), b = FEDAGG_FP_KEEP(c::load_wide(x + wide) * how.factor);
    found.clip(a, how.limit);
    found.clip(b, how.limit);
    if constexpr (sizeof(W) == 8) {
      s::store(out, whole<Found::far>(a, random));
      s::store(out + wide, whole<Found::far>(b, random + wide));
    } else {
      const pair_u32 words = residues(a, b, random);
      if constexpr (sizeof(W) == 4)
        s::store(out, words);
      else
        s::store(out, s::template convert<vec<std::uint16_t, step>>(words));
    }
  }

  FEDAGG_TARGET static inline pair_u32 residues(const wide_f64& a, const wide_f64& b,
                                                const std::uint32_t* random) noexcept {
#if FEDAGG_X86 && FEDAGG_ISA_BYTES == 64
    // F in one instruction: to nearest, whatever the mode.
    return odd_words(nearest(a) + long_words(random), nearest(b) + long_words(random + wide));
#else
    wide_u64 high[2], low[2];
    split(a, random, high[0], low[0]);
    split(b, random + wide, high[1], low[1]);
    return even_words(high[0], high[1]) + odd_words(low[0], low[1]) - ones_high;
#endif
  }
#if FEDAGG_X86 && FEDAGG_ISA_BYTES == 64
  FEDAGG_TARGET static inline wide_u64 nearest(const wide_f64& z) noexcept {
#if defined(__clang__)
    constexpr unsigned char all = 0xff;
#else
    constexpr char all = -1;
#endif
    return s::template bits<wide_u64>(__builtin_ia32_cvtpd2qq512_mask(z, vec<long long, wide>{}, all, 8));
  }
#endif

  /// z = 2^32 k + rest: k in the last bits of `high`; the rest rounded, plus the random bits, in those of `low`.
  FEDAGG_TARGET static inline void split(const wide_f64& z, const std::uint32_t* random, wide_u64& high,
                                         wide_u64& low) noexcept {
    FEDAGG_FP_IN_ORDER
    const wide_f64 lifted = FEDAGG_FP_KEEP(z + upper);
    const wide_f64 rest = FEDAGG_FP_KEEP(z - FEDAGG_FP_KEEP(lifted - upper));
    high = s::template bits<wide_u64>(lifted);
    low = s::template bits<wide_u64>(FEDAGG_FP_KEEP(rest + ones)) + long_words(random);
  }

  /// Of 64 bits; a z below 2^83 unless Far.
  template <bool Far>
  FEDAGG_TARGET static inline wide_u64 whole(const wide_f64& z, const std::uint32_t* random) noexcept {
    FEDAGG_FP_IN_ORDER
    constexpr std::uint64_t mantissa = (std::uint64_t{1} << 52) - 1, half = std::uint64_t{1} << 51;
    wide_u64 high, low;
    if constexpr (!Far) {
      split(z, random, high, low);
      return ((high & mantissa) + (low >> 32)) - (half + ones_high);
    } else {
      const wide_f64 lifted = FEDAGG_FP_KEEP(z + top);
      split(FEDAGG_FP_KEEP(z - FEDAGG_FP_KEEP(lifted - top)), random, high, low);
      return (s::template bits<wide_u64>(lifted) << 32) + ((high & mantissa) + (low >> 32)) - (half + ones_high);
    }
  }

  FEDAGG_TARGET static inline wide_u64 long_words(const std::uint32_t* p) noexcept {
    return s::template convert<wide_u64>(s::template load<wide_u32>(p));
  }

  /// The even, or the odd, words of two vectors in a row.
  template <bool Odd, class V>
  FEDAGG_TARGET static inline vec<std::uint32_t, sizeof(V) / 4> every_other(const V& a, const V& b) noexcept {
    using words = vec<std::uint32_t, sizeof(V) / 4>;
    const auto x = s::template bits<words>(a), y = s::template bits<words>(b);
#if FEDAGG_VECTORS && (defined(__clang__) || __GNUC__ >= 12)
    constexpr int o = Odd;
    if constexpr (sizeof(V) == 64)
      return __builtin_shufflevector(x, y, o, 2 + o, 4 + o, 6 + o, 8 + o, 10 + o, 12 + o, 14 + o, 16 + o, 18 + o,
                                     20 + o, 22 + o, 24 + o, 26 + o, 28 + o, 30 + o);
    else if constexpr (sizeof(V) == 32)
      return __builtin_shufflevector(x, y, o, 2 + o, 4 + o, 6 + o, 8 + o, 10 + o, 12 + o, 14 + o);
    else
      return __builtin_shufflevector(x, y, o, 2 + o, 4 + o, 6 + o);
#else
    words r{};
    for (std::size_t i = 0; i < wide; ++i) {
      r[i] = x[2 * i + Odd];
      r[wide + i] = y[2 * i + Odd];
    }
    return r;
#endif
  }
  FEDAGG_TARGET static inline pair_u32 even_words(const wide_u64& a, const wide_u64& b) noexcept {
    return every_other<false>(a, b);
  }
  FEDAGG_TARGET static inline pair_u32 odd_words(const wide_u64& a, const wide_u64& b) noexcept {
    return every_other<true>(a, b);
  }

  // A residue's last bits, as a signed number: exact but for more than 53 bits, which are rounded once.
  FEDAGG_TARGET static inline wide_f64 signed_doubles(const std::uint32_t* p, unsigned unused) noexcept {
    const auto v = s::template load<vec<std::int32_t, wide>>(p);
    return s::template convert<wide_f64>((v << static_cast<int>(unused)) >> static_cast<int>(unused));
  }
  FEDAGG_TARGET static inline wide_f64 signed_doubles(const std::uint16_t* p, unsigned unused) noexcept {
    const auto v = s::template bits<vec<std::int32_t, wide>>(
        s::template convert<wide_u32>(s::template load<vec<std::uint16_t, wide>>(p)));
    return s::template convert<wide_f64>((v << static_cast<int>(unused + 16)) >> static_cast<int>(unused + 16));
  }
  FEDAGG_TARGET static inline wide_f64 signed_doubles(const std::uint64_t* p, unsigned unused) noexcept {
    FEDAGG_FP_IN_ORDER
    const std::uint64_t sign = std::uint64_t{1} << (63 - unused);
    // Below it all ones: the sign is carried into what is above.
    const wide_u64 v = ((s::template load<wide_u64>(p) & (2 * sign - 1)) ^ sign) - sign;
    // Halves with exponents of their own: 2^84 + 2^63 + the upper one, signed, and 2^52 + the lower one.
    const auto high = s::template bits<wide_f64>((v >> 32) ^ std::uint64_t{0x4530000080000000});
    const auto low = s::template bits<wide_f64>((v & std::uint64_t{0xffffffff}) | std::uint64_t{0x4330000000000000});
    return FEDAGG_FP_KEEP(FEDAGG_FP_KEEP(high - (0x1p+84 + 0x1p+63 + 0x1p+52)) + low);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
