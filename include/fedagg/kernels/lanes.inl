// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: the operations behind `lanes`, and the loop around a user's
// rule. Vectors go by reference: the callers are functions of no particular target.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct lane_ops<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  template <class V>
  using word_of = typename integer_of<sizeof(std::declval<V&>()[0])>::type;
  template <class V>
  using words_of = vec<word_of<V>, s::bytes / sizeof(word_of<V>)>;
  template <class V>
  static constexpr auto sign_of = static_cast<word_of<V>>(word_of<V>{1} << (sizeof(word_of<V>) * 8 - 1));

  template <class V>
  FEDAGG_TARGET static inline void copy(V& r, const V& a) noexcept {
    r = a;
  }
  template <class V, class T>
  FEDAGG_TARGET static inline void fill(V& r, T a) noexcept {
    r = s::template fill<T, s::bytes / sizeof(T)>(a);
  }
  template <class V>
  FEDAGG_TARGET static inline void add(V& r, const V& a, const V& b) noexcept {
    FEDAGG_FP_IN_ORDER
    r = FEDAGG_FP_KEEP(a + b);
  }
  template <class V>
  FEDAGG_TARGET static inline void subtract(V& r, const V& a, const V& b) noexcept {
    FEDAGG_FP_IN_ORDER
    r = FEDAGG_FP_KEEP(a - b);
  }
  template <class V>
  FEDAGG_TARGET static inline void multiply(V& r, const V& a, const V& b) noexcept {
    FEDAGG_FP_IN_ORDER
    r = FEDAGG_FP_KEEP(a * b);
  }
  // On the sign bits, so that zeros keep or change theirs in every build.
  template <class V>
  FEDAGG_TARGET static inline void negate(V& r, const V& a) noexcept {
    r = s::template bits<V>(s::template bits<words_of<V>>(a) ^ sign_of<V>);
  }
  template <class V>
  FEDAGG_TARGET static inline void absolute(V& r, const V& a) noexcept {
    r = s::template bits<V>(s::template bits<words_of<V>>(a) & static_cast<word_of<V>>(~sign_of<V>));
  }
  // Float quotients go through double, whose division no flag replaces by an estimate, and are right after rounding
  // (53 >= 2 * 24 + 2). Doubles are divided with a divisor the compiler cannot see twice.
  template <class V>
  FEDAGG_TARGET static inline void divide(V& r, const V& a, const V& b) noexcept {
    FEDAGG_FP_IN_ORDER
    if constexpr (sizeof(r[0]) == 8) {
      V divisor = b;
      FEDAGG_FP_HIDE(divisor);
      r = FEDAGG_FP_KEEP(a / divisor);
    } else {
      constexpr std::size_t wide = s::wide;
      vec<float, wide> x[2], y[2];
      std::memcpy(x, &a, sizeof x);
      std::memcpy(y, &b, sizeof y);
      for (int k = 0; k < 2; ++k) {
        auto divisor = s::template convert<vec<double, wide>>(y[k]);
        FEDAGG_FP_HIDE(divisor);
        x[k] = s::template convert<vec<float, wide>>(
            FEDAGG_FP_KEEP(s::template convert<vec<double, wide>>(x[k]) / divisor));
      }
      std::memcpy(&r, x, sizeof x);
    }
  }
  // Of doubles; float roots go through double like quotients (53 >= 2 * 24 + 2). Never an estimate.
  template <class V>
  FEDAGG_TARGET static inline void root(V& r, const V& a) noexcept {
    constexpr std::size_t wide = s::wide;
    if constexpr (sizeof(r[0]) == 8) {
#if FEDAGG_X86 && defined(__clang__)
      if constexpr (wide == 8)
        r = __builtin_ia32_sqrtpd512(a, 4);
      else if constexpr (wide == 4)
        r = __builtin_ia32_sqrtpd256(a);
      else
        r = __builtin_ia32_sqrtpd(a);
#elif FEDAGG_X86
      if constexpr (wide == 8)
        r = __builtin_ia32_sqrtpd512_mask(a, V{}, static_cast<unsigned char>(-1), 4);
      else if constexpr (wide == 4)
        r = __builtin_ia32_sqrtpd256(a);
      else
        r = __builtin_ia32_sqrtpd(a);
#else
      for (std::size_t i = 0; i < wide; ++i) r[i] = __builtin_sqrt(a[i]);
#endif
    } else {
      vec<float, wide> x[2];
      std::memcpy(x, &a, sizeof x);
      for (int k = 0; k < 2; ++k) {
        vec<double, wide> d;
        root(d, s::template convert<vec<double, wide>>(x[k]));
        x[k] = s::template convert<vec<float, wide>>(d);
      }
      std::memcpy(&r, x, sizeof x);
    }
  }
  template <class V>
  FEDAGG_TARGET static inline void where_less(V& r, const V& a, const V& b, const V& yes, const V& no) noexcept {
    // Hidden, because a compiler told to ignore the sign of zero takes a minimum with its operands in any order.
#if FEDAGG_X86 && FEDAGG_ISA_BYTES == 64
    // A bit for each lane; made a vector and hidden there, the comparison would have to be done again.
    if constexpr (sizeof(r[0]) == 8) {
      unsigned char less = __builtin_ia32_cmppd512_mask(a, b, 17, static_cast<unsigned char>(-1), 4);
      asm volatile("" : "+Yk"(less));
#if defined(__clang__)
      r = __builtin_ia32_selectpd_512(less, yes, no);
#else
      r = __builtin_ia32_blendmpd_512_mask(no, yes, less);
#endif
    } else {
      unsigned short less = __builtin_ia32_cmpps512_mask(a, b, 17, static_cast<unsigned short>(-1), 4);
      asm volatile("" : "+Yk"(less));
#if defined(__clang__)
      r = __builtin_ia32_selectps_512(less, yes, no);
#else
      r = __builtin_ia32_blendmps_512_mask(no, yes, less);
#endif
    }
#else
    auto less = a < b;
    FEDAGG_FP_HIDE(less);
    r = s::pick(less, yes, no);
#endif
  }

  template <class T>
  static constexpr auto largest_image = sizeof(T) == 8 ? static_cast<typename integer_of<sizeof(T)>::type>(INT64_MAX)
                                                       : static_cast<typename integer_of<sizeof(T)>::type>(0x7fffffff);

  /// Sorts n vectors of lanes; `data` has room for sort_kernel::padded(n) of them and for as many pointers after that.
  template <class V>
  FEDAGG_TARGET FEDAGG_NOINLINE static void sort(V* data, std::size_t n) noexcept {
    using T = std::remove_cvref_t<decltype((*data)[0])>;
    using k = sort_kernel<FEDAGG_ISA, Late>;
    using image = typename k::template column<T>;
    auto* x = reinterpret_cast<image*>(data);
    auto** rows = reinterpret_cast<const T**>(data + k::padded(n));
    for (std::size_t i = 0; i < n; ++i) rows[i] = reinterpret_cast<const T*>(data + i);
    image low{}, high{};
    // Blocks are read whole before they are written, each in its own place: sorting in place is safe.
    k::sort_rows(static_cast<const T* const*>(rows), n, 0, largest_image<T>, x, {0, n}, low, high);
    for (std::size_t i = 0; i < n; ++i) s::store(x + i, s::order_image(s::template load<image>(x + i)));
  }
};

template <class Late>
struct column_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;

  /// Bytes of scratch (aligned to 64) for n rows of float lanes; twice as many lanes of double are half as wide.
  static constexpr std::size_t scratch_bytes(std::size_t n) noexcept {
    return sort_kernel<FEDAGG_ISA, Late>::padded(n) * (s::bytes + sizeof(void*));
  }

  /// out[begin..end) = the rule of each column of n rows (minus the base, which is added again); null `out` only looks.
  template <class L, class Rule, class T>
  FEDAGG_TARGET FEDAGG_FLATTEN static unsigned run(const Rule& rule, const T* const* rows, const T* base, std::size_t n,
                                                   std::size_t begin, std::size_t end, T* out, void* scratch) {
    FEDAGG_FP_IN_ORDER
    constexpr std::size_t width = s::template width<T>;
    using word = typename integer_of<sizeof(T)>::type;
    using values = vec<T, width>;
    using words = vec<word, width>;
    constexpr word exponent = sizeof(T) == 8 ? static_cast<word>(0x7ff0000000000000) : static_cast<word>(0x7f800000);
    auto* x = static_cast<L*>(scratch);
    auto bad = s::template fill<word, width>(0), over = bad;
    for (std::size_t j = begin; j < end; j += width) {
      const std::size_t count = end - j < width ? end - j : width;
      values origin{};
      if (base) {
        origin = load_some<values>(base + j, count);
        bad = bad | ((s::template bits<words>(origin) & exponent) == exponent);
      }
      for (std::size_t i = 0; i < n; ++i) {
        values v = load_some<values>(rows[i] + j, count);
        if (j * sizeof(T) % 64 == 0) FEDAGG_PREFETCH(rows[i] + j + 1024 / sizeof(T));
        bad = bad | ((s::template bits<words>(v) & exponent) == exponent);
        if (base) v = FEDAGG_FP_KEEP(v - origin);
        s::store(&x[i].v_, v);
      }
      L result;
      rule(column<L>(x, n), result);
      values r = result.v_;
      if (base) r = FEDAGG_FP_KEEP(r + origin);
      auto w = s::template bits<words>(r);
      over = over | ((w & exponent) == exponent);
      if (out) std::memcpy(out + j, &w, count * sizeof(T));
    }
    return s::any(bad) ? saw_non_finite : s::any(over) ? saw_overflow : 0;
  }

private:
  template <class V, class T>
  FEDAGG_TARGET static inline V load_some(const T* p, std::size_t count) noexcept {
    if (count == s::template width<T>) return s::template load<V>(p);
    // Lanes beyond the end repeat the first one: what a rule makes of made-up values must not be taken for an overflow.
    T part[s::template width<T>];
    for (std::size_t k = 0; k < s::template width<T>; ++k) std::memcpy(part + k, p + (k < count ? k : 0), sizeof(T));
    return s::template load<V>(part);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
