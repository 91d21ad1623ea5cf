// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set: sum_i a_i x_i in double, client by client in long bursts.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <>
struct sum_kernel<FEDAGG_ISA> {
  using s = simd<FEDAGG_ISA>;
  using c = convert_kernel<FEDAGG_ISA>;
  static constexpr std::size_t wide = s::wide;
  using wide_f64 = vec<double, wide>;
  using halves = half_sum_kernel<FEDAGG_ISA>;

  /// Elements of each client that are summed in registers: a line of memory, where the registers reach.
  template <class T>
  static constexpr std::size_t burst = sizeof(T) == 8                    ? 8
                                       : sizeof(T) == 2 && s::bytes > 16 ? 32
                                                                         : 16;
  template <class T>
  static constexpr std::size_t parts = burst<T> / wide;

  /// What becomes of the sums: divided, rounded once to T, looked at, stored.
  template <class T>
  struct target {
    using word = typename integer_of<sizeof(T)>::type;
    static constexpr word exponent = sizeof(T) == 8               ? static_cast<word>(0x7ff0000000000000)
                                     : std::is_same_v<T, float16> ? static_cast<word>(0x7c00)
                                     : sizeof(T) == 4             ? static_cast<word>(0x7f800000)
                                                                  : static_cast<word>(0x7f80);
    T* out;    ///< null: only look
    double by; ///< doubles are divided by it; shorter types are multiplied, because a reciprocal is exact enough
               ///< (2^-29 of a float's last place) and division would cost more than the sum of a few clients
    bool past_cache;
    static constexpr std::size_t lanes = sizeof(T) == 8 ? wide : 2 * wide;
    using words = vec<word, lanes>;
    using unsigned_word = std::make_unsigned_t<word>;
    using unsigned_words = vec<unsigned_word, lanes>;
    /// Lanes with their first bit set where a result was not finite.
    unsigned_words seen = s::template fill<unsigned_word, lanes>(0);
  };

  /// What is beyond `lanes` is not stored.
  template <class T>
  FEDAGG_TARGET static inline void finish(target<T>& to, const wide_f64* sum, std::size_t at,
                                          std::size_t lanes) noexcept {
    FEDAGG_FP_IN_ORDER
    using words = typename target<T>::words;
    auto by = s::template fill<double, wide>(to.by);
    FEDAGG_FP_HIDE(by);
    words result;
    if constexpr (sizeof(T) == 8) {
      result = s::template bits<words>(FEDAGG_FP_KEEP(sum[0] / by));
    } else if constexpr (sizeof(T) == 4) {
      const auto low = s::template convert<vec<float, wide>>(FEDAGG_FP_KEEP(sum[0] * by));
      const auto high = s::template convert<vec<float, wide>>(FEDAGG_FP_KEEP(sum[1] * by));
      result = s::template bits<words>(s::join(low, high));
    } else {
      T mean[2 * wide];
      c::store_wide(mean, FEDAGG_FP_KEEP(sum[0] * by));
      c::store_wide(mean + wide, FEDAGG_FP_KEEP(sum[1] * by));
      result = s::template load<words>(mean);
    }
    // An exponent of all ones carries into the sign.
    to.seen = to.seen | (s::template bits<typename target<T>::unsigned_words>(result & target<T>::exponent) +
                         static_cast<typename target<T>::unsigned_word>(target<T>::exponent & -target<T>::exponent));
    if (!to.out) return;
    if (lanes < target<T>::lanes)
      std::memcpy(to.out + at, &result, lanes * sizeof(T));
    else if (to.past_cache)
      s::stream(to.out + at, result);
    else
      s::store(to.out + at, result);
  }

  /// Sums of `group` clients (from zero if first, else on top of acc), in this order, each product rounded before it is
  /// added; into acc, which has room for whole bursts, or if last into `to`.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void add(sum_step which, const T* const* rows, const double* a,
                                                std::size_t group, std::size_t begin, std::size_t count, double* acc,
                                                target<T>& into) noexcept {
    FEDAGG_FP_IN_ORDER
    // A copy, because stores through T* might change the original for all the compiler knows.
    target<T> to = into;
    const std::size_t ahead = (which.first && which.last ? sum_ahead_few : sum_ahead) / sizeof(T);
    const std::size_t whole = count - count % burst<T>;
    for (std::size_t j = 0; j < whole; j += burst<T>) {
      wide_f64 sum[parts<T>] = {};
      if (!which.first) {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; ++k) sum[k] = s::template load<wide_f64>(acc + j + k * wide);
      }
      for (std::size_t g = 0; g < group; ++g) {
        const T* x = rows[g] + begin + j;
        const auto factor = s::template fill<double, wide>(a[g]);
        if (burst<T> * sizeof(T) == 64 || j * sizeof(T) % 64 == 0) FEDAGG_PREFETCH(x + ahead);
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; ++k)
          sum[k] = FEDAGG_FP_KEEP(sum[k] + FEDAGG_FP_KEEP(factor * c::load_wide(x + k * wide)));
      }
      if (which.last) {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; k += target<T>::lanes / wide)
          finish(to, sum + k, begin + j + k * wide, target<T>::lanes);
      } else {
#pragma GCC unroll 8
        for (std::size_t k = 0; k < parts<T>; ++k) s::store(acc + j + k * wide, sum[k]);
      }
    }
    for (std::size_t j = whole; j < count; j += target<T>::lanes) {
      const std::size_t lanes = count - j < target<T>::lanes ? count - j : target<T>::lanes;
      wide_f64 sum[2] = {};
      for (std::size_t k = 0; k * wide < lanes; ++k) {
        const std::size_t at = j + k * wide, left = lanes - k * wide < wide ? lanes - k * wide : wide;
        if (!which.first) sum[k] = s::template load<wide_f64>(acc + at);
        for (std::size_t g = 0; g < group; ++g) {
          const wide_f64 x = c::load_some(rows[g] + begin + at, left);
          sum[k] = FEDAGG_FP_KEEP(sum[k] + FEDAGG_FP_KEEP(s::template fill<double, wide>(a[g]) * x));
        }
        if (!which.last) s::store(acc + at, sum[k]);
      }
      if (which.last) finish(to, sum, begin + j, lanes);
    }
    if (which.last) into.seen = to.seen;
  }

  template <bool Fused, class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void mix_rows(const double* tile, std::span<const map_entry> row,
                                                     std::size_t count, target<T>& into) noexcept {
    target<T> to = into;
    constexpr std::size_t vectors = mixed_burst / wide;
    for (std::size_t j = 0; j < count; j += mixed_burst) {
      wide_f64 sum[vectors] = {};
      for (const map_entry& e : row) {
        const double* x = tile + e.index * mixed_tile + j;
        const auto factor = s::template fill<double, wide>(e.share);
#pragma GCC unroll 8
        for (std::size_t k = 0; k < vectors; ++k)
          s::template multiply_add<Fused>(sum[k], factor, s::template load<wide_f64>(x + k * wide));
      }
#pragma GCC unroll 8
      for (std::size_t k = 0; k < vectors; k += target<T>::lanes / wide) {
        const std::size_t at = j + k * wide;
        if (at < count) finish(to, sum + k, at, count - at < target<T>::lanes ? count - at : target<T>::lanes);
      }
    }
    into.seen = to.seen;
  }

  /// Coordinates [from, from + count) of all clients, a group after the other: how they are grouped changes no bit.
  template <class Adder, class T, class Target>
  FEDAGG_TARGET FEDAGG_NOINLINE static void sweep(const T* const* rows, const double* a, std::size_t n,
                                                  std::size_t from, std::size_t count, double* acc,
                                                  Target& to) noexcept {
    const std::size_t groups = n <= sum_streams_few ? 1 : (n + sum_streams - 1) / sum_streams;
    if (groups == 1) return Adder::add({true, true}, rows, a, n, from, count, acc, to);
    std::size_t done = n / groups + (n % groups != 0);
    Adder::add({true, false}, rows, a, done, from, count, acc, to);
    for (std::size_t g = 1; g < groups; ++g) {
      const std::size_t size = n / groups + (g < n % groups);
      if (g + 1 < groups)
        Adder::add({false, false}, rows + done, a + done, size, from, count, acc, to);
      else
        Adder::add({false, true}, rows + done, a + done, size, from, count, acc, to);
      done += size;
    }
  }

  /// The same block by block, whose sums wait in acc.
  template <class Adder, class T, class Target>
  FEDAGG_TARGET static void sweep_blocks(const T* const* rows, const double* a, std::size_t n, std::size_t begin,
                                         std::size_t end, double* acc, Target& to) noexcept {
    for (std::size_t at = begin; at < end; at += sum_block)
      sweep<Adder>(rows, a, n, at, end - at < sum_block ? end - at : sum_block, acc, to);
  }

  template <bool Fused, class T>
  FEDAGG_TARGET static unsigned sum_halves(const T* const* rows, const double* a, std::size_t n, std::size_t begin,
                                           std::size_t end, T* out, double by, bool past_cache, double* acc) noexcept {
    typename halves::template target<T, Fused> to{out, by, past_cache};
    sweep_blocks<halves>(rows, a, n, begin, end, acc, to);
    return halves::seen(to);
  }

  /// Elements up to the first that starts a line, if the output is to be streamed there; else none and `past_cache` is
  /// withdrawn.
  template <class T>
  static std::size_t head_of(const T* out, std::size_t count, bool& past_cache) noexcept {
    const auto beyond = reinterpret_cast<std::uintptr_t>(out) % 64;
    past_cache = past_cache && out && beyond % sizeof(T) == 0;
    const std::size_t head = past_cache ? (64 - beyond) % 64 / sizeof(T) : 0;
    return head < count ? head : count;
  }

  /// Doubles of scratch that `run` needs.
  static constexpr std::size_t scratch_doubles = sum_block + 32;

  /// out[begin..end) = sum_i a_i x_i / divisor, rounded once; null `out` only looks.
  template <class T>
  FEDAGG_TARGET static unsigned run(const T* const* rows, const double* a, std::size_t n, double divisor,
                                    std::size_t begin, std::size_t end, T* out, bool past_cache,
                                    void* scratch) noexcept {
    auto* acc = static_cast<double*>(scratch);
    target<T> to{out, sizeof(T) == 8 ? divisor : 1.0 / divisor, false};
    const std::size_t head = head_of(out ? out + begin : nullptr, end - begin, past_cache);
    std::size_t at = begin + head;
    if (head != 0) sweep<sum_kernel>(rows, a, n, begin, head, acc, to);
    if constexpr (sizeof(T) == 2) {
      bool exact = true, plain = true;
      for (std::size_t i = 0; i < n; ++i) {
        exact = exact && halves::exact(a[i]);
        plain = plain && halves::bears(a[i]);
      }
      const std::size_t last = end - (end - at) % halves::unit;
      unsigned seen = saw_non_finite;
      if (plain && exact && s::bytes > 16)
        seen = sum_halves<true>(rows, a, n, at, last, out, to.by, past_cache, acc);
      else if (plain)
        seen = sum_halves<false>(rows, a, n, at, last, out, to.by, past_cache, acc);
      // What is not finite is summed again as it is.
      if (seen != saw_non_finite) at = last;
      if (seen == saw_overflow)
        to.seen = s::template fill<typename target<T>::unsigned_word, target<T>::lanes>(
            static_cast<typename target<T>::unsigned_word>(-1));
    }
    to.past_cache = past_cache;
    sweep_blocks<sum_kernel>(rows, a, n, at, end, acc, to);
    if (past_cache) s::fence();
    if (!s::any(to.seen >> static_cast<typename target<T>::unsigned_word>(sizeof(T) * 8 - 1))) return 0;
    // The sums alone tell of NaN and Inf, because the a_i are scaled so that finite values cannot overflow them, and
    // NaN or Inf never leaves a sum finite.
    for (at = begin; at < end; at += sum_block) {
      const std::size_t count = end - at < sum_block ? end - at : sum_block;
      add({true, false}, rows, a, n, at, count, acc, to);
      if (scan_kernel<FEDAGG_ISA>::non_finite(acc, count)) return saw_non_finite;
    }
    return saw_overflow;
  }

  /// Doubles of a row in a tile of rows that are mixed, and how many of them are summed in registers: the rows are
  /// filled up with zeros to a multiple of that.
  static constexpr std::size_t mixed_tile = 128;
  static constexpr std::size_t mixed_burst = (s::bytes > 16 ? 8 : 4) * wide;

  /// True for shares whose products with floats are exact: then a fused multiply-add changes no bit.
  static bool exact(double a) noexcept {
    std::uint64_t word;
    std::memcpy(&word, &a, sizeof word);
    return a == 0 || ((word & 0xffffff) == 0 && a < 0x1p+64 && a > -0x1p+64 && (a > 0x1p-64 || a < -0x1p-64));
  }

  /// out[0..count) = sum_i a_i x_i / divisor, rounded once, of a tile's rows. `fused`: all shares are exact.
  template <class T>
  FEDAGG_TARGET static unsigned mix(const double* tile, std::span<const map_entry> row, double divisor, bool fused,
                                    std::size_t count, T* out) noexcept {
    target<T> to{out, sizeof(T) == 8 ? divisor : 1.0 / divisor, false};
    if (sizeof(T) < 8 && fused)
      mix_rows<true>(tile, row, count, to);
    else
      mix_rows<false>(tile, row, count, to);
    if (!s::any(to.seen >> static_cast<typename target<T>::unsigned_word>(sizeof(T) * 8 - 1))) return 0;
    for (const map_entry& e : row)
      if (scan_kernel<FEDAGG_ISA>::non_finite(tile + e.index * mixed_tile, count)) return saw_non_finite;
    return saw_overflow;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
