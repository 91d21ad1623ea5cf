// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: the vectors of FEDAGG_ISA and what is done with one or two.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct simd<FEDAGG_ISA, Late> {
  static constexpr std::size_t bytes = FEDAGG_ISA_BYTES;
  /// Lanes of a full vector of T.
  template <class T>
  static constexpr std::size_t width = bytes / sizeof(T);
  /// Lanes when the arithmetic is in double: a full vector of double, a half one of float.
  static constexpr std::size_t wide = bytes / sizeof(double);

  template <class V>
  FEDAGG_TARGET static inline V load(const void* p) noexcept {
    V v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  template <class V>
  FEDAGG_TARGET static inline void store(void* p, const V& v) noexcept {
    std::memcpy(p, &v, sizeof v);
  }

  /// Stores past the cache where the machine can; p is aligned to the vector.
  template <class V>
  FEDAGG_TARGET static inline void stream(void* p, const V& v) noexcept {
#if FEDAGG_X86 && defined(__clang__)
    __builtin_nontemporal_store(v, static_cast<V*>(p));
#elif FEDAGG_X86
    if constexpr (sizeof(V) == 64)
      __builtin_ia32_movntps512(static_cast<float*>(p), bits<vec<float, 16>>(v));
    else if constexpr (sizeof(V) == 32)
      __builtin_ia32_movntps256(static_cast<float*>(p), bits<vec<float, 8>>(v));
    else if constexpr (sizeof(V) == 16)
      __builtin_ia32_movntps(static_cast<float*>(p), bits<vec<float, 4>>(v));
    else if constexpr (sizeof(V) == 8)
      __builtin_ia32_movnti64(static_cast<long long*>(p), bits<long long>(v));
    else
      store(p, v);
#else
    store(p, v);
#endif
  }

  /// Copies bytes, past the cache if `past_cache`: worth it only for an output far larger than the cache.
  FEDAGG_TARGET static inline void copy(void* to, const void* from, std::size_t count, bool past_cache) noexcept {
    auto* out = static_cast<std::byte*>(to);
    auto* in = static_cast<const std::byte*>(from);
    std::size_t at = 0;
    if (past_cache) {
      const std::size_t head = (bytes - reinterpret_cast<std::uintptr_t>(out) % bytes) % bytes;
      at = head < count ? head : count;
      std::memcpy(out, in, at);
      for (; at + bytes <= count; at += bytes) stream(out + at, load<vec<float, bytes / 4>>(in + at));
    }
    std::memcpy(out + at, in + at, count - at);
  }

  /// Orders streamed stores before what follows.
  static inline void fence() noexcept {
#if FEDAGG_X86
    __builtin_ia32_sfence();
#endif
  }

  template <class T, std::size_t N>
  FEDAGG_TARGET static inline vec<T, N> fill(T x) noexcept {
#if FEDAGG_VECTORS
    return x - vec<T, N>{};
#else
    vec<T, N> v;
    for (std::size_t i = 0; i < N; ++i) v.at[i] = x;
    return v;
#endif
  }

  template <class M, class V>
  FEDAGG_TARGET static inline V pick(const M& mask, const V& yes, const V& no) noexcept {
#if FEDAGG_VECTORS
    return mask ? yes : no;
#else
    V r;
    for (std::size_t i = 0; i < sizeof(r.at) / sizeof(r.at[0]); ++i) r.at[i] = mask.at[i] ? yes.at[i] : no.at[i];
    return r;
#endif
  }

  /// a, b = min(a, b), max(a, b).
  template <class V>
  FEDAGG_TARGET static inline void exchange(V& a, V& b) noexcept {
#if FEDAGG_VECTORS
    const V low = a < b ? a : b;
    b = a < b ? b : a;
    a = low;
#else
    const auto less = a < b;
    const V low = pick(less, a, b);
    b = pick(less, b, a);
    a = low;
#endif
  }

  /// Element-wise conversion to the vector type To.
  template <class To, class From>
  FEDAGG_TARGET static inline To convert(const From& v) noexcept {
#if FEDAGG_X86 && !defined(__clang__)
    // g++ splits conversions that change the vector's size into halves; these are the single instructions.
    constexpr bool widens = std::is_same_v<From, vec<float, wide>> && std::is_same_v<To, vec<double, wide>>;
    constexpr bool narrows = std::is_same_v<From, vec<double, wide>> && std::is_same_v<To, vec<float, wide>>;
    constexpr bool words =
        std::is_same_v<From, vec<std::uint16_t, wide>> && std::is_same_v<To, vec<std::uint32_t, wide>>;
    constexpr bool long_words =
        std::is_same_v<From, vec<std::uint16_t, wide>> && std::is_same_v<To, vec<std::uint64_t, wide>>;
    constexpr bool doubles_words =
        std::is_same_v<From, vec<std::uint32_t, wide>> && std::is_same_v<To, vec<std::uint64_t, wide>>;
    if constexpr (widens && bytes == 64)
      return __builtin_ia32_cvtps2pd512_mask(v, To{}, static_cast<char>(-1), 4);
    else if constexpr (widens && bytes == 32)
      return __builtin_ia32_cvtps2pd256(v);
    else if constexpr (widens)
      return __builtin_ia32_cvtps2pd(grow<vec<float, 4>>(v));
    else if constexpr (narrows && bytes == 64)
      return __builtin_ia32_cvtpd2ps512_mask(v, To{}, static_cast<char>(-1), 4);
    else if constexpr (narrows && bytes == 32)
      return __builtin_ia32_cvtpd2ps256(v);
    else if constexpr (narrows)
      return shrink<To>(__builtin_ia32_cvtpd2ps(v));
    else if constexpr (words && bytes == 64)
      return bits<To>(__builtin_ia32_pmovzxwd256(bits<vec<short, 8>>(v)));
    else if constexpr (words && bytes == 32)
      return bits<To>(__builtin_ia32_pmovzxwd128(grow<vec<short, 8>>(v)));
    else if constexpr (long_words && bytes == 64)
      return bits<To>(__builtin_ia32_pmovzxwq512_mask(bits<vec<short, 8>>(v), vec<long long, 8>{},
                                                      static_cast<unsigned char>(-1)));
    else if constexpr (long_words && bytes == 32)
      return bits<To>(__builtin_ia32_pmovzxwq256(grow<vec<short, 8>>(v)));
    else if constexpr (doubles_words && bytes == 64)
      return bits<To>(__builtin_ia32_pmovzxdq512_mask(bits<vec<int, 8>>(v), vec<long long, 8>{},
                                                      static_cast<unsigned char>(-1)));
    else if constexpr (doubles_words && bytes == 32)
      return bits<To>(__builtin_ia32_pmovzxdq256(bits<vec<int, 4>>(v)));
    else if constexpr (doubles_words)
      return bits<To>(__builtin_ia32_punpckldq128(grow<vec<int, 4>>(v), vec<int, 4>{}));
    else
      return __builtin_convertvector(v, To);
#elif FEDAGG_VECTORS
    return __builtin_convertvector(v, To);
#else
    To r;
    for (std::size_t i = 0; i < sizeof(r.at) / sizeof(r.at[0]); ++i)
      r.at[i] = static_cast<std::remove_reference_t<decltype(r.at[0])>>(v.at[i]);
    return r;
#endif
  }

  /// The bits of v at the start of a larger vector, zeros behind them; and the start of a vector.
  template <class To, class From>
  FEDAGG_TARGET static inline To grow(const From& v) noexcept {
    static_assert(sizeof(From) == 8 && sizeof(To) == 16);
    std::int64_t word;
    std::memcpy(&word, &v, sizeof word);
    return bits<To>(vec<std::int64_t, 2>{word, 0});
  }
  template <class To, class From>
  FEDAGG_TARGET static inline To shrink(const From& v) noexcept {
    To r;
    std::memcpy(&r, &v, sizeof r);
    return r;
  }

  /// One vector of two halves.
  template <class V>
  FEDAGG_TARGET static inline vec<float, sizeof(V) / 2> join(const V& low, const V& high) noexcept {
#if FEDAGG_VECTORS && (defined(__clang__) || __GNUC__ >= 12)
    if constexpr (sizeof(V) == 32)
      return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    else if constexpr (sizeof(V) == 16)
      return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
    else
      return __builtin_shufflevector(low, high, 0, 1, 2, 3);
#else
    vec<float, sizeof(V) / 2> both;
    std::memcpy(&both, &low, sizeof low);
    std::memcpy(reinterpret_cast<std::byte*>(&both) + sizeof low, &high, sizeof high);
    return both;
#endif
  }

  /// sum += a * b; in one rounding where the machine has it if Fused, which changes no bit of exact products.
  template <bool Fused, class V>
  FEDAGG_TARGET static inline void multiply_add(V& sum, const V& a, const V& b) noexcept {
    if constexpr (Fused) {
      FEDAGG_FP_FUSED
      sum = FEDAGG_FP_KEEP(sum + a * b);
    } else {
      FEDAGG_FP_IN_ORDER
      sum = FEDAGG_FP_KEEP(sum + FEDAGG_FP_KEEP(a * b));
    }
  }

  /// The same bits as another vector type of the same size.
  template <class To, class From>
  FEDAGG_TARGET static inline To bits(const From& v) noexcept {
    static_assert(sizeof(To) == sizeof(From));
    To r;
    std::memcpy(&r, &v, sizeof r);
    return r;
  }

  /// True if any lane of an integer mask is set.
  template <class M>
  FEDAGG_TARGET static inline bool any(const M& mask) noexcept {
    std::uint64_t words[sizeof(M) / 8];
    std::memcpy(words, &mask, sizeof mask);
    std::uint64_t all = 0;
    for (const std::uint64_t w : words) all |= w;
    return all != 0;
  }

  /// The signed integer whose order is the order of the float: -NaN < -Inf < ... < -0 < +0 < ... < Inf < NaN. Its own
  /// inverse. Sorting integers makes the order total and keeps every floating-point flag of the build out of it.
  template <class V>
  FEDAGG_TARGET static inline V order_image(const V& bits) noexcept {
    constexpr int sign = sizeof(bits[0]) * 8 - 1;
    using T = typename integer_of<sizeof(bits[0])>::type;
    return bits ^ ((bits >> sign) & (sizeof(T) == 4 ? static_cast<T>(0x7fffffff) : static_cast<T>(INT64_MAX)));
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
