// SPDX-License-Identifier: MIT
// Included by kernels/binned.hpp once per instruction set: binned sums (kernels/binned.hpp) of many coordinates.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Words of eight coordinates lie together: eight of digit 0, eight of digit 1, eight of digit 2. Levels lie apart.
template <class Late>
struct binned_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  static constexpr std::size_t block = 8;
  using wide_f64 = vec<double, wide>;
  using wide_i64 = vec<std::int64_t, wide>;
  using wide_u64 = vec<std::uint64_t, wide>;
  static constexpr auto magnitude = static_cast<std::uint64_t>(INT64_MAX);

  FEDAGG_TARGET static inline wide_i64 load_levels(const std::uint8_t* p) noexcept {
    // A vector of bytes to one of doubles' width, which compilers do an element at a time.
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, p, wide);
    wide_u64 shifts = s::template fill<std::uint64_t, wide>(0);
    for (std::size_t k = 0; k < wide; ++k) shifts[k] = 8 * k;
    return s::template bits<wide_i64>((s::template fill<std::uint64_t, wide>(bytes) >> shifts) & std::uint64_t{0xff});
  }

  FEDAGG_TARGET static inline wide_f64 scale(const wide_f64& x, const wide_i64& level) noexcept {
    FEDAGG_FP_IN_ORDER
    static_assert(bin_bits == 32 + 8);
    const wide_i64 exponent = s::template fill<std::int64_t, wide>(2037) - ((level << 5) + (level << 3));
    return FEDAGG_FP_KEEP(x * s::template bits<wide_f64>(exponent << 52));
  }

  /// Moves the words of lanes whose value has a higher first digit than any before it.
  FEDAGG_TARGET FEDAGG_NOINLINE static void raise(const wide_f64& x, std::int64_t* words, std::uint8_t* levels,
                                                  wide_i64& level) noexcept {
    const auto zero = s::template fill<std::int64_t, wide>(0);
    const wide_u64 next = (s::template bits<wide_u64>(x) & magnitude) + std::uint64_t{0xfffffffffffff};
    const auto exponent = s::template bits<wide_i64>(next >> 52);
    const wide_i64 above = exponent - std::int64_t{9};
    // A fortieth, right for all exponents.
    const wide_i64 needed = (s::template pick(above > std::int64_t{0}, above, zero) * std::int64_t{1639}) >> 16;
    const wide_i64 to = s::template pick(needed > level, needed, level);
    const wide_i64 up = to - level;
    const auto one = up > std::int64_t{0}, two = up > std::int64_t{1}, three = up > std::int64_t{2};
    const auto first = s::template load<wide_i64>(words), second = s::template load<wide_i64>(words + block),
               third = s::template load<wide_i64>(words + 2 * block);
    s::store(words, s::pick(one, zero, first));
    s::store(words + block, s::pick(two, zero, s::pick(one, first, second)));
    s::store(words + 2 * block, s::pick(three, zero, s::pick(two, first, s::pick(one, second, third))));
    for (std::size_t k = 0; k < wide; ++k) levels[k] = static_cast<std::uint8_t>(to[k]);
    level = to;
  }

  FEDAGG_TARGET FEDAGG_INLINE static void step(const wide_f64& x, const wide_f64& factor, std::int64_t* words,
                                               std::uint8_t* levels) noexcept {
    FEDAGG_FP_IN_ORDER
    const wide_f64 product = FEDAGG_FP_KEEP(factor * x);
    wide_i64 level = load_levels(levels);
    wide_f64 rest = scale(product, level);
    // Carries into the sign where the first digit is too large.
    constexpr std::uint64_t room = magnitude - std::bit_cast<std::uint64_t>(bin_limit);
    if (s::any(((s::template bits<wide_u64>(rest) & magnitude) + room) >> 63)) {
      raise(product, words, levels, level);
      rest = scale(product, level);
    }
    const auto magic = s::template fill<double, wide>(bin_magic);
#pragma GCC unroll 3
    for (std::size_t k = 0; k < bin_words; ++k) {
      const wide_f64 lifted = FEDAGG_FP_KEEP(rest + magic);
      const wide_u64 digit = s::template bits<wide_u64>(lifted) - bin_magic_bits;
      s::store(words + k * block, s::template load<wide_u64>(words + k * block) + digit);
      rest = FEDAGG_FP_KEEP(rest - FEDAGG_FP_KEEP(lifted - magic)) * s::template fill<double, wide>(0x1p+40);
    }
  }

  /// Adds factor x, all products finite, to `count` sums from the start of a block on; whole vectors are touched.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void absorb(const T* x, double factor, std::size_t count, std::int64_t* words,
                                                   std::uint8_t* levels) noexcept {
    const auto factors = s::template fill<double, wide>(factor);
    for (std::size_t j = 0; j < count; j += block) {
      std::int64_t* w = words + j * bin_words;
#pragma GCC unroll 4
      for (std::size_t k = 0; k < block; k += wide) {
        const std::size_t at = j + k;
        if (at + wide <= count)
          step(c::load_wide(x + at), factors, w + k, levels + at);
        else if (at < count)
          step(c::load_some(x + at, count - at), factors, w + k, levels + at);
      }
    }
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
