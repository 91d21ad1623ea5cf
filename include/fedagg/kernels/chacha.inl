// SPDX-License-Identifier: MIT
// Included by kernels/parts/chacha.hpp once per instruction set: the keystream of ChaCha20, a block in each lane,
// stored or added to words. No branch and no address depends on a key.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <>
struct chacha_kernel<FEDAGG_ISA> {
  using s = simd<FEDAGG_ISA>;
  static constexpr std::size_t lanes = s::template width<std::uint32_t>;
  /// Groups of blocks that are computed side by side: a group alone waits for its own results most of the time. With 32
  /// registers two groups take turns at every step. With 16 they take turns at every round, and there are more of them,
  /// so that the first one's registers are back from memory when it is its turn again.
#if defined(__aarch64__)
  static constexpr bool many_registers = true;
#else
  static constexpr bool many_registers = FEDAGG_ISA_BYTES == 64;
#endif
  static constexpr std::size_t groups = FEDAGG_ISA_BYTES == 32 ? 4 : 2;
  static constexpr std::size_t block_bytes = 64;
  static constexpr std::size_t group_bytes = lanes * block_bytes;
  static constexpr std::size_t tile_bytes = groups * group_bytes;
  using words = vec<std::uint32_t, lanes>;
  using long_words = vec<std::uint64_t, lanes / 2>;
  using state = words[groups][16];

  /// Writes `bytes` of the keystream from the given block on.
  FEDAGG_TARGET FEDAGG_FLATTEN static void fill(const chacha_key& key, std::uint32_t block, std::uint8_t* out,
                                                std::size_t bytes) noexcept {
    for (; bytes != 0; block += static_cast<std::uint32_t>(tile_bytes / block_bytes)) {
      state x;
      tile(key, block, x);
      interleave(x);
      lines(x);
      const bool whole = bytes >= tile_bytes;
      std::uint8_t last[tile_bytes];
      std::uint8_t* to = whole ? out : last;
#pragma GCC unroll 4
      for (std::size_t g = 0; g < groups; ++g)
#pragma GCC unroll 16
        for (std::size_t k = 0; k < 16; ++k) s::store(to + (g * 16 + k) * sizeof(words), x[g][line(k)]);
      if (!whole) {
        std::memcpy(out, last, bytes);
        wipe(last, sizeof last);
        return;
      }
      out += tile_bytes, bytes -= tile_bytes;
    }
  }

  /// Takes off each word, modulo 2^bits of Word, those of the first `subtracted` keys' streams from the given block on,
  /// and adds those of the other keys.
  template <class Word>
  static void add(const chacha_key* keys, std::size_t subtracted, std::size_t all, std::uint32_t block, Word* out,
                  std::size_t count) noexcept {
    add_bytes(keys, subtracted, all, block, sizeof(Word), reinterpret_cast<std::uint8_t*>(out), count * sizeof(Word));
  }

private:
  // One function for words of all sizes: but for a few additions it is the same, and takes long to compile.
  FEDAGG_TARGET FEDAGG_FLATTEN static void add_bytes(const chacha_key* keys, std::size_t subtracted, std::size_t all,
                                                     std::uint32_t block, std::size_t word, std::uint8_t* out,
                                                     std::size_t bytes) noexcept {
    // Sums of blocks that still lie across the lanes: they are turned once, and not for each key.
    state sum;
    for (; bytes != 0; block += static_cast<std::uint32_t>(tile_bytes / block_bytes)) {
#pragma GCC unroll 4
      for (std::size_t g = 0; g < groups; ++g)
#pragma GCC unroll 16
        for (std::size_t k = 0; k < 16; ++k) sum[g][k] = s::template fill<std::uint32_t, lanes>(0);
      for (std::size_t i = 0; i < all; ++i) {
        if (i == subtracted && i != 0) negate(sum, word);
        state x;
        tile(keys[i], block, x);
        if (word == 2) {
          plus<std::uint16_t>(sum, x);
        } else if (word == 4) {
          plus<std::uint32_t>(sum, x);
        } else {
          interleave(x); // now halves of a word are side by side
          plus<std::uint64_t>(sum, x);
        }
      }
      if (subtracted == all) negate(sum, word);
      if (word < 8) interleave(sum);
      lines(sum);
      const bool whole = bytes >= tile_bytes;
      std::uint8_t last[tile_bytes];
      if (!whole) std::memcpy(last, out, bytes);
      std::uint8_t* to = whole ? out : last;
      if (word == 2)
        plus_stored<std::uint16_t>(to, sum);
      else if (word == 4)
        plus_stored<std::uint32_t>(to, sum);
      else
        plus_stored<std::uint64_t>(to, sum);
      if (!whole) {
        std::memcpy(out, last, bytes);
        break;
      }
      out += tile_bytes, bytes -= tile_bytes;
    }
    wipe(&sum, sizeof sum);
  }

  template <int Bits>
  FEDAGG_TARGET FEDAGG_INLINE static void turn(words& x) noexcept {
#if FEDAGG_VECTORS && (defined(__clang__) || __GNUC__ >= 12)
    if constexpr (Bits % 8 == 0 && s::bytes == 32) {
      using bytes = vec<std::uint8_t, 32>;
      const auto v = s::template bits<bytes>(x);
      if constexpr (Bits == 16)
        x = s::template bits<words>(
            bytes(__builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 18, 19, 16, 17,
                                          22, 23, 20, 21, 26, 27, 24, 25, 30, 31, 28, 29)));
      else
        x = s::template bits<words>(
            bytes(__builtin_shufflevector(v, v, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 19, 16, 17, 18,
                                          23, 20, 21, 22, 27, 24, 25, 26, 31, 28, 29, 30)));
      return;
    }
#endif
    x = (x << std::uint32_t{Bits}) | (x >> std::uint32_t{32 - Bits});
  }

  /// Some quarters of a round, columns or diagonals, of some groups.
  template <bool Diagonal, std::size_t Group, std::size_t Groups, std::size_t Quarter, std::size_t Quarters>
  struct part {
    /// One of the four steps: to += by, turned = (turned ^ to) <<< Bits.
    template <std::size_t To, std::size_t By, std::size_t Turned, int Bits>
    FEDAGG_TARGET FEDAGG_INLINE static void step(state& x) noexcept {
      constexpr std::size_t to = Diagonal ? To / 4 : 0, by = Diagonal ? By / 4 : 0, turned = Diagonal ? Turned / 4 : 0;
#pragma GCC unroll 4
      for (std::size_t k = Quarter; k < Quarter + Quarters; ++k)
#pragma GCC unroll 4
        for (std::size_t g = Group; g < Group + Groups; ++g)
          x[g][To + (k + to) % 4] = x[g][To + (k + to) % 4] + x[g][By + (k + by) % 4];
#pragma GCC unroll 4
      for (std::size_t k = Quarter; k < Quarter + Quarters; ++k)
#pragma GCC unroll 4
        for (std::size_t g = Group; g < Group + Groups; ++g)
          x[g][Turned + (k + turned) % 4] = x[g][Turned + (k + turned) % 4] ^ x[g][To + (k + to) % 4];
#pragma GCC unroll 4
      for (std::size_t k = Quarter; k < Quarter + Quarters; ++k)
#pragma GCC unroll 4
        for (std::size_t g = Group; g < Group + Groups; ++g) turn<Bits>(x[g][Turned + (k + turned) % 4]);
    }
    FEDAGG_TARGET FEDAGG_INLINE static void run(state& x) noexcept {
      step<0, 4, 12, 16>(x);
      step<8, 12, 4, 12>(x);
      step<0, 4, 12, 8>(x);
      step<8, 12, 4, 7>(x);
    }
  };
  template <bool Diagonal, std::size_t... G>
  FEDAGG_TARGET FEDAGG_INLINE static void each(state& x, std::index_sequence<G...>) noexcept {
    ((part<Diagonal, G, 1, 0, 2>::run(x), part<Diagonal, G, 1, 2, 2>::run(x)), ...);
  }
  template <bool Diagonal>
  FEDAGG_TARGET FEDAGG_INLINE static void round(state& x) noexcept {
    if constexpr (many_registers)
      part<Diagonal, 0, groups, 0, 4>::run(x);
    else
      each<Diagonal>(x, std::make_index_sequence<groups>());
  }

  /// The blocks' numbers of group g.
  FEDAGG_TARGET FEDAGG_INLINE static void numbers(std::uint32_t block, std::size_t g, words& out) noexcept {
    for (std::uint32_t k = 0; k < lanes; ++k) out[k] = block + k + static_cast<std::uint32_t>(g * lanes);
  }

  /// x[g][k], lane l: word k of block `block` + g lanes + l.
  FEDAGG_TARGET FEDAGG_INLINE static void tile(const chacha_key& key, std::uint32_t block, state& x) noexcept {
    words number[groups];
#pragma GCC unroll 4
    for (std::size_t g = 0; g < groups; ++g) {
      numbers(block, g, number[g]);
#pragma GCC unroll 16
      for (std::size_t k = 0; k < 16; ++k) x[g][k] = s::template fill<std::uint32_t, lanes>(key.ahead[k]);
      x[g][12] = number[g];
    }
    // The other columns' first round is the same in all blocks: it has been done.
    part<false, 0, groups, 0, 1>::run(x);
    round<true>(x);
    for (int pair = 1; pair < 10; ++pair) {
      round<false>(x);
      round<true>(x);
    }
#pragma GCC unroll 4
    for (std::size_t g = 0; g < groups; ++g) {
#pragma GCC unroll 16
      for (std::size_t k = 0; k < 16; ++k)
        if (k != 12) x[g][k] = x[g][k] + s::template fill<std::uint32_t, lanes>(key.state[k]);
      x[g][12] = x[g][12] + number[g];
    }
  }

  template <class Word>
  using lanes_of = vec<Word, s::bytes / sizeof(Word)>;
  /// a + b, words of one size side by side.
  template <class Word>
  FEDAGG_TARGET FEDAGG_INLINE static words sum_of(const words& a, const words& b) noexcept {
    return s::template bits<words>(
        lanes_of<Word>(s::template bits<lanes_of<Word>>(a) + s::template bits<lanes_of<Word>>(b)));
  }
  /// What the branches for words of each size have in common is not loaded before them: there are no registers for it.
  FEDAGG_TARGET FEDAGG_INLINE static void apart() noexcept {
#if FEDAGG_VECTORS
    asm volatile("" : : : "memory");
#endif
  }
  template <class Word>
  FEDAGG_TARGET FEDAGG_INLINE static void plus(state& sum, const state& x) noexcept {
    apart();
#pragma GCC unroll 4
    for (std::size_t g = 0; g < groups; ++g)
#pragma GCC unroll 16
      for (std::size_t k = 0; k < 16; ++k) sum[g][k] = sum_of<Word>(sum[g][k], x[g][k]);
  }
  template <class Word>
  FEDAGG_TARGET FEDAGG_INLINE static void plus_stored(std::uint8_t* out, const state& x) noexcept {
    apart();
#pragma GCC unroll 4
    for (std::size_t g = 0; g < groups; ++g)
#pragma GCC unroll 16
      for (std::size_t k = 0; k < 16; ++k) {
        std::uint8_t* place = out + (g * 16 + k) * sizeof(words);
        s::store(place, sum_of<Word>(s::template load<words>(place), x[g][line(k)]));
      }
  }
  FEDAGG_TARGET static inline void negate(state& sum, std::size_t word) noexcept {
    for (auto& group : sum)
      for (words& x : group)
        x = word == 2 ? minus<std::uint16_t>(x) : word == 4 ? minus<std::uint32_t>(x) : minus<std::uint64_t>(x);
  }
  template <class Word>
  FEDAGG_TARGET FEDAGG_INLINE static words minus(const words& x) noexcept {
    const auto zero = s::template fill<Word, s::bytes / sizeof(Word)>(0);
    return s::template bits<words>(lanes_of<Word>(zero - s::template bits<lanes_of<Word>>(x)));
  }

  // Blocks that lie across the lanes are turned in three steps: what is within 16 bytes, in pairs of words and of
  // pairs, and then the sixteens.

  /// Which lane of (a, b) lane i of the result is: within 16 bytes, lanes of a and b take turns.
  template <class T, bool Second>
  struct alternate {
    static constexpr int at(std::size_t i) {
      constexpr std::size_t all = s::bytes / sizeof(T), part = 16 / sizeof(T);
      return static_cast<int>((i % 2) * all + i / part * part + i % part / 2 + (Second ? part / 2 : 0));
    }
  };
  /// Half of a's sixteens, then half of b's.
  template <bool Second>
  struct halves {
    static constexpr int at(std::size_t i) {
      constexpr std::size_t all = s::bytes / 8;
      return static_cast<int>((i < all / 2 ? i : i + all / 2) + (Second ? all / 2 : 0));
    }
  };
  /// Every other of the sixteens of (a, b).
  template <bool Second>
  struct others {
    static constexpr int at(std::size_t i) { return static_cast<int>(i / 2 * 4 + i % 2 + (Second ? 2 : 0)); }
  };

  template <class Pick, class V, std::size_t... I>
  FEDAGG_TARGET FEDAGG_INLINE static V shuffle(const V& a, const V& b, std::index_sequence<I...>) noexcept {
#if FEDAGG_VECTORS && (defined(__clang__) || __GNUC__ >= 12)
    return __builtin_shufflevector(a, b, Pick::at(I)...);
#else
    constexpr std::size_t all = sizeof...(I), at[] = {static_cast<std::size_t>(Pick::at(I))...};
    V r;
    for (std::size_t i = 0; i < all; ++i) r[i] = at[i] < all ? a[at[i]] : b[at[i] - all];
    return r;
#endif
  }
  /// a, b = what the two picks choose.
  template <class V, class First, class Second>
  FEDAGG_TARGET FEDAGG_INLINE static void exchange(words& a, words& b) noexcept {
    const auto x = s::template bits<V>(a), y = s::template bits<V>(b);
    constexpr std::make_index_sequence<sizeof(V) / sizeof(x[0])> all{};
    a = s::template bits<words>(shuffle<First>(x, y, all));
    b = s::template bits<words>(shuffle<Second>(x, y, all));
  }

  FEDAGG_TARGET FEDAGG_INLINE static void interleave(state& x) noexcept {
    using T = std::uint32_t;
#pragma GCC unroll 4
    for (std::size_t g = 0; g < groups; ++g)
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 16; k += 2)
        exchange<words, alternate<T, false>, alternate<T, true>>(x[g][k], x[g][k + 1]);
  }
  FEDAGG_TARGET FEDAGG_INLINE static void lines(state& x) noexcept {
    using T = std::uint64_t;
#pragma GCC unroll 4
    for (std::size_t g = 0; g < groups; ++g) {
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 8; ++k) {
        const std::size_t at = k / 2 * 4 + k % 2;
        exchange<long_words, alternate<T, false>, alternate<T, true>>(x[g][at], x[g][at + 2]);
      }
      if constexpr (lanes >= 8)
#pragma GCC unroll 8
        for (std::size_t k = 0; k < 8; ++k) {
          const std::size_t at = k / 4 * 8 + k % 4;
          exchange<long_words, halves<false>, halves<true>>(x[g][at], x[g][at + 4]);
        }
      if constexpr (lanes == 16)
#pragma GCC unroll 8
        for (std::size_t k = 0; k < 8; ++k) exchange<long_words, others<false>, others<true>>(x[g][k], x[g][k + 8]);
    }
  }
  /// Where the k-th vector of a group's bytes is after that.
  static constexpr std::size_t line(std::size_t k) noexcept {
    constexpr std::size_t vectors = block_bytes / sizeof(words), turned[] = {0, 2, 1, 3};
    const std::size_t block = k / vectors, part = k % vectors;
    if (lanes == 16) return turned[block / 4] * 4 + turned[block % 4];
    if (lanes == 8) return part * 8 + block / 4 * 4 + turned[block % 4];
    return part * 4 + turned[block];
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
