// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: half-precision storage to float and double, and back.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct convert_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;
  using wide_f32 = vec<float, wide>;
  using wide_i32 = vec<std::int32_t, wide>;

  /// p may be unaligned, as tensors in files can be.
  template <class T>
  static inline T element_at(const T* p, std::size_t i) noexcept {
    T x;
    std::memcpy(&x, p + i, sizeof x);
    return x;
  }

  // `wide` elements of any floating type as double: exact.
  FEDAGG_TARGET static inline wide_f64 load_wide(const double* p) noexcept { return s::template load<wide_f64>(p); }
  FEDAGG_TARGET static inline wide_f64 load_wide(const float* p) noexcept {
    return s::template convert<wide_f64>(s::template load<wide_f32>(p));
  }
  FEDAGG_TARGET static inline wide_f64 load_wide(const bfloat16* p) noexcept {
    const auto half = s::template load<vec<std::uint16_t, wide>>(p);
    const auto word = s::template convert<vec<std::uint32_t, wide>>(half) << 16;
    return s::template convert<wide_f64>(s::template bits<wide_f32>(word));
  }
  FEDAGG_TARGET static inline wide_f64 load_wide(const float16* p) noexcept {
#if FEDAGG_ISA_HALF && FEDAGG_VECTORS
    if constexpr (wide == 8) {
      const auto half = s::template load<vec<std::int16_t, 8>>(p);
      return s::template convert<wide_f64>(s::template bits<wide_f32>(__builtin_ia32_vcvtph2ps256(half)));
    } else {
      const auto half = s::template grow<vec<std::int16_t, 8>>(s::template load<vec<std::int16_t, 4>>(p));
      return s::template convert<wide_f64>(s::template bits<wide_f32>(__builtin_ia32_vcvtph2ps(half)));
    }
#else
    wide_f64 r{};
    for (std::size_t i = 0; i < wide; ++i) r[i] = static_cast<double>(to_float(element_at(p, i)));
    return r;
#endif
  }

  // The first `count` < wide elements; the others are zero.
  template <class T>
  FEDAGG_TARGET static inline wide_f64 load_some(const T* p, std::size_t count) noexcept {
    T part[wide] = {};
    std::memcpy(part, p, count * sizeof(T));
    return load_wide(part);
  }

  // Doubles rounded once to the storage type.
  FEDAGG_TARGET static inline void store_wide(double* p, const wide_f64& x) noexcept { s::store(p, x); }
  FEDAGG_TARGET static inline void store_wide(float* p, const wide_f64& x) noexcept {
    s::store(p, s::template convert<wide_f32>(x));
  }
  FEDAGG_TARGET static inline void store_wide(float16* p, const wide_f64& x) noexcept {
#if FEDAGG_ISA_HALF && FEDAGG_VECTORS
    const wide_f32 odd = round_to_odd(x);
    if constexpr (wide == 8) {
      const auto half = __builtin_ia32_vcvtps2ph256(s::template bits<vec<float, 8>>(odd), 0);
      std::memcpy(p, &half, wide * 2);
    } else {
      const auto half = __builtin_ia32_vcvtps2ph(s::template bits<vec<float, 4>>(odd), 0);
      std::memcpy(p, &half, wide * 2);
    }
#else
    for (std::size_t i = 0; i < wide; ++i) p[i] = to_float16(x[i]);
#endif
  }
  FEDAGG_TARGET static inline void store_wide(bfloat16* p, const wide_f64& x) noexcept {
    using wide_u32 = vec<std::uint32_t, wide>;
    const auto odd = s::template bits<wide_u32>(round_to_odd(x));
    const auto rounded = (odd + ((odd >> 16) & 1u) + 0x7fffu) >> 16;
    s::store(p, s::template convert<vec<std::uint16_t, wide>>(rounded));
  }

  template <class T>
  FEDAGG_TARGET static inline void store_some(T* p, const wide_f64& x, std::size_t count) noexcept {
    T part[wide];
    store_wide(part, x);
    std::memcpy(p, part, count * sizeof(T));
  }

  /// Double to float, inexact results to the neighbour with an odd last bit: a later rounding to fewer than 22 bits
  /// then gives what one rounding from double would have given (Boldo and Melquiond 2008).
  FEDAGG_TARGET static inline wide_f32 round_to_odd(const wide_f64& x) noexcept {
#if !FEDAGG_VECTORS
    // One lane at a time: g++ 12 mistranslates the comparisons below when it packs the loops of plain arrays itself.
    wide_f32 r;
    for (std::size_t i = 0; i < wide; ++i) r[i] = odd_neighbour(x[i]);
    return r;
#else
    using wide_i64 = vec<std::int64_t, wide>;
#if FEDAGG_X86 && FEDAGG_ISA_BYTES == 64
    // Towards zero, in one instruction.
    const wide_f32 toward = __builtin_ia32_cvtpd2ps512_mask(x, wide_f32{}, static_cast<unsigned char>(-1), 11);
    const wide_i64 lossy =
        s::template bits<wide_i64>(s::template convert<wide_f64>(toward)) != s::template bits<wide_i64>(x);
    return s::template bits<wide_f32>(s::template bits<wide_i32>(toward) | (s::template convert<wide_i32>(lossy) & 1));
#else
    const wide_f32 nearest = s::template convert<wide_f32>(x);
    const auto back = s::template bits<wide_i64>(s::template convert<wide_f64>(nearest));
    const auto exact = s::template bits<wide_i64>(x);
    // The sign bits agree, so the magnitudes compare as integers; one step down undoes a rounding away from zero.
    const wide_i64 beyond = (back & INT64_MAX) > (exact & INT64_MAX);
    const wide_i64 inexact = back != exact;
    auto word = s::template bits<wide_i32>(nearest) + s::template convert<wide_i32>(beyond);
    word = word | (s::template convert<wide_i32>(inexact) & 1);
    return s::template bits<wide_f32>(word);
#endif
#endif
  }

#if !FEDAGG_VECTORS
  static float odd_neighbour(double x) noexcept {
    const auto nearest = static_cast<float>(x);
    const auto back = static_cast<double>(nearest);
    std::int64_t rounded, exact;
    std::int32_t word;
    std::memcpy(&rounded, &back, sizeof rounded);
    std::memcpy(&exact, &x, sizeof exact);
    std::memcpy(&word, &nearest, sizeof word);
    if ((rounded & INT64_MAX) > (exact & INT64_MAX)) --word;
    if (rounded != exact) word |= 1;
    float r;
    std::memcpy(&r, &word, sizeof r);
    return r;
  }
#endif

  /// `count` elements as doubles; behind them zeros up to a multiple of `unit`, itself one of `wide`.
  template <class T>
  FEDAGG_TARGET static void to_doubles(const T* from, std::size_t count, double* to, std::size_t unit) noexcept {
    for (std::size_t j = 0; j < count; j += wide) {
      const std::size_t lanes = count - j < wide ? count - j : wide;
      if (j * sizeof(T) % 64 == 0) FEDAGG_PREFETCH(from + j + 1024 / sizeof(T));
      s::store(to + j, lanes == wide ? load_wide(from + j) : load_some(from + j, lanes));
    }
    for (std::size_t j = (count + wide - 1) / wide * wide; j % unit != 0; j += wide) s::store(to + j, wide_f64{});
  }

  /// Widens `count` halves to floats.
  template <class T>
  FEDAGG_TARGET static void widen(const T* from, std::size_t count, float* to) noexcept {
    std::size_t j = 0;
    for (; j + wide <= count; j += wide) s::store(to + j, s::template convert<wide_f32>(load_wide(from + j)));
    for (; j < count; ++j) to[j] = to_float(element_at(from, j));
  }

  /// Rounds `count` doubles to a floating type known at run time; false if one overflows it.
  static bool round_all(dtype type, const double* from, std::size_t count, void* to) noexcept {
    switch (type) {
    case dtype::f64:
      return round_to(from, count, static_cast<double*>(to));
    case dtype::f32:
      return round_to(from, count, static_cast<float*>(to));
    case dtype::f16:
      return round_to(from, count, static_cast<float16*>(to));
    default:
      return round_to(from, count, static_cast<bfloat16*>(to));
    }
  }

  template <class T>
  FEDAGG_TARGET static bool round_to(const double* from, std::size_t count, T* to) noexcept {
    constexpr std::int64_t exponent = 0x7ff0000000000000;
    auto over = s::template fill<std::int64_t, wide>(0);
    for (std::size_t j = 0; j < count; j += wide) {
      const std::size_t lanes = count - j < wide ? count - j : wide;
      T part[wide];
      store_wide(part, load_some(from + j, lanes));
      over = over | ((s::template bits<vec<std::int64_t, wide>>(load_wide(part)) & exponent) == exponent);
      std::memcpy(to + j, part, lanes * sizeof(T));
    }
    return !s::any(over);
  }

  /// Rounds `count` floats to halves.
  template <class T>
  FEDAGG_TARGET static void narrow(const float* from, std::size_t count, T* to) noexcept {
    for (std::size_t j = 0; j < count; j += wide) {
      const std::size_t lanes = count - j < wide ? count - j : wide;
      store_some(to + j, load_some(from + j, lanes), lanes);
    }
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
