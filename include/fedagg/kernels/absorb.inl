// SPDX-License-Identifier: MIT
// Included by kernels/parts/absorb.hpp once per instruction set: acc += a x in double, one client at a time.
// Two streams in a row are what processors fetch ahead by themselves: asking for lines only costs here.

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Late>
struct absorb_kernel<FEDAGG_ISA, Late> {
  using s = simd<FEDAGG_ISA, Late>;
  using c = convert_kernel<FEDAGG_ISA, Late>;
  static constexpr std::size_t wide = s::wide;
  static constexpr std::size_t burst = sum_note::size;
  static constexpr std::size_t parts = burst / wide;
  using wide_f64 = vec<double, wide>;
  using wide_u64 = vec<std::uint64_t, wide>;

  /// acc[0..count) += a x[0..count), each product rounded first; acc has room for a whole vector at its end.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static void absorb(const T* x, double a, std::size_t count, double* acc) noexcept {
    FEDAGG_FP_IN_ORDER
    const auto factor = s::template fill<double, wide>(a);
    std::size_t j = 0;
    for (; j + burst <= count; j += burst)
#pragma GCC unroll 8
      for (std::size_t k = 0; k < burst; k += wide)
        s::store(acc + j + k, FEDAGG_FP_KEEP(s::template load<wide_f64>(acc + j + k) +
                                             FEDAGG_FP_KEEP(factor * c::load_wide(x + j + k))));
    for (; j < count; j += wide) {
      const wide_f64 rest = c::load_some(x + j, count - j < wide ? count - j : wide);
      s::store(acc + j, FEDAGG_FP_KEEP(s::template load<wide_f64>(acc + j) + FEDAGG_FP_KEEP(factor * rest)));
    }
  }

  /// The same, so that `absorb` with -a and then the notes put back what was there, bit for bit: sums that the
  /// difference does not give back are noted first. Returns how many elements were added: fewer than `count` if the
  /// notes are full, or if the next ones hold NaN or Inf (`bad`). These show as a difference too, so that looking for
  /// them costs nothing, unless the sum has left the doubles before. acc has room for a whole burst at its end.
  template <class T>
  FEDAGG_TARGET FEDAGG_NOINLINE static std::size_t absorb_noting(const T* x, double a, std::size_t count, double* acc,
                                                                 sum_notes& notes, bool& bad) noexcept {
    std::size_t j = 0;
    for (; j + burst <= count; j += burst)
      if (!add_burst(x + j, a, burst, acc + j, notes, bad)) return j;
    if (j < count) {
      T rest[burst] = {};
      std::memcpy(rest, x + j, (count - j) * sizeof(T));
      if (!add_burst(static_cast<const T*>(rest), a, count - j, acc + j, notes, bad)) return j;
    }
    return count;
  }

private:
  template <class T>
  FEDAGG_TARGET FEDAGG_INLINE static bool add_burst(const T* x, double a, std::size_t count, double* acc,
                                                    sum_notes& notes, bool& bad) noexcept {
    FEDAGG_FP_IN_ORDER
    const auto factor = s::template fill<double, wide>(a);
    wide_f64 sum[parts];
    auto differs = s::template fill<std::uint64_t, wide>(0);
#pragma GCC unroll 8
    for (std::size_t k = 0; k < parts; ++k) {
      const auto before = s::template load<wide_f64>(acc + k * wide);
      const wide_f64 product = FEDAGG_FP_KEEP(factor * c::load_wide(x + k * wide));
      sum[k] = FEDAGG_FP_KEEP(before + product);
      const wide_f64 back = FEDAGG_FP_KEEP(sum[k] - product);
      differs = differs | (s::template bits<wide_u64>(back) ^ s::template bits<wide_u64>(before));
    }
    if (s::any(differs) && !note(x, count, acc, notes, bad)) return false;
#pragma GCC unroll 8
    for (std::size_t k = 0; k < parts; ++k) s::store(acc + k * wide, sum[k]);
    return true;
  }

  template <class T>
  FEDAGG_COLD static bool note(const T* x, std::size_t count, double* acc, sum_notes& notes, bool& bad) noexcept {
    bad = scan_kernel<FEDAGG_ISA, Late>::non_finite(x, count);
    if (bad || notes.used == notes.room) return false;
    sum_note& n = notes.first[notes.used++];
    n.place = acc;
    std::memcpy(n.was, acc, sizeof n.was);
    return true;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl
