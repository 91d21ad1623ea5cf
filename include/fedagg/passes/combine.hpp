// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_COMBINE_HPP
#define FEDAGG_PASSES_COMBINE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Pass combine: out = sum_i a_i x_i / divisor, summed in double in the order of the clients, rounded once.
/// Translation-equivariant for sum a_i = divisor, so that a base need not be read; otherwise the base is one row more,
/// whose coefficient comes last. A template so that a program that never runs it does not compile its kernels.
template <class Void = void>
class combine_pass {
public:
  static constexpr bool untyped = true;
  static constexpr bool native_halves = true;

  combine_pass(detail::slice<const double> a, double divisor, bool with_base = false) noexcept
      : uses_base(with_base), a_(a), divisor_(divisor) {}

  const bool uses_base;

  std::size_t scratch_bytes() const noexcept { return sums_bytes + (uses_base ? a_.size() * sizeof(void*) : 0); }

  unsigned run(dtype type, const void* const* rows, const void* base, std::size_t begin, std::size_t end, void* out,
               tile_mode mode, void* scratch) const noexcept {
    if (uses_base) {
      auto** all = reinterpret_cast<const void**>(static_cast<std::byte*>(scratch) + sums_bytes);
      for (std::size_t i = 0; i + 1 < a_.size(); ++i) all[i] = rows[i];
      all[a_.size() - 1] = base;
      rows = all;
    }
    const call in{rows, a_.data(), a_.size(), static_cast<double*>(scratch)};
    sum_target to{out, type == dtype::f64 ? divisor_ : 1.0 / divisor_, false};
    const std::size_t bytes = size_of(type);
    const std::size_t head =
        head_of(out ? static_cast<std::byte*>(out) + begin * bytes : nullptr, bytes, end - begin, mode.past_cache);
    const unsigned seen = bytes == 2 ? sum_halves(in, type, begin, head, end, mode.past_cache, to)
                                     : sum(in, type, begin, head, end, mode.past_cache, to);
    if (mode.past_cache) simd<on_baseline>::fence();
    return seen;
  }

private:
  static constexpr std::size_t sums_bytes = (sum_block + 32) * sizeof(double);

  struct call {
    const void* const* rows;
    const double* a;
    std::size_t n;
    double* acc;
  };

  /// Elements up to the first that starts a line, if the output is to be streamed there; else none and `past_cache` is
  /// withdrawn.
  static std::size_t head_of(const void* out, std::size_t bytes, std::size_t count, bool& past_cache) noexcept {
    const auto beyond = reinterpret_cast<std::uintptr_t>(out) % 64;
    past_cache = past_cache && out && beyond % bytes == 0;
    const std::size_t head = past_cache ? (64 - beyond) % 64 / bytes : 0;
    return head < count ? head : count;
  }

  /// Coordinates [from, from + count) of all clients, a group after the other: how they are grouped changes no bit.
  static unsigned in_groups(const call& in, sum_call add, std::size_t from, std::size_t count,
                            const sum_target& to) noexcept {
    const std::size_t n = in.n, groups = n <= sum_streams_few ? 1 : (n + sum_streams - 1) / sum_streams;
    unsigned seen = 0;
    for (std::size_t g = 0, done = 0; g < groups; ++g) {
      const std::size_t size = n / groups + (g < n % groups);
      seen |= add({g == 0, g + 1 == groups}, in.rows + done, in.a + done, size, from, count, in.acc, to);
      done += size;
    }
    return seen;
  }

  /// Block by block, whose sums wait in acc.
  static unsigned sum(const call& in, dtype type, std::size_t begin, std::size_t head, std::size_t end, bool past_cache,
                      sum_target& to) noexcept {
    const sum_call add = adder(type, false);
    unsigned seen = head != 0 ? in_groups(in, add, begin, head, to) : 0;
    to.past_cache = past_cache;
    for (std::size_t at = begin + head; at < end; at += sum_block)
      seen |= in_groups(in, add, at, end - at < sum_block ? end - at : sum_block, to);
    if (seen == 0) return 0;
    // The sums alone tell of NaN and Inf, because the a_i are scaled so that finite values cannot overflow them, and
    // NaN or Inf never leaves a sum finite.
    for (std::size_t at = begin; at < end; at += sum_block) {
      const std::size_t count = end - at < sum_block ? end - at : sum_block;
      add({true, false}, in.rows, in.a, in.n, at, count, in.acc, to);
      if (scan_kernel<on_baseline>::non_finite(in.acc, count)) return saw_non_finite;
    }
    return saw_overflow;
  }

  /// The same of halves: fast where the output's lines begin and end, and all is finite.
  static unsigned sum_halves(const call& in, dtype type, std::size_t begin, std::size_t head, std::size_t end,
                             bool past_cache, sum_target& to) noexcept {
    using halves = half_sum_kernel<on_baseline>;
    bool exact = true, plain = true;
    for (std::size_t i = 0; i < in.n; ++i) {
      exact = exact && halves::exact(in.a[i]);
      plain = plain && halves::bears(in.a[i]);
    }
    const sum_call add = adder(type, exact);
    // What the vectors of every instruction set divide.
    constexpr std::size_t unit = 32;
    static_assert(sum_block % unit == 0);
    std::size_t at = begin + head;
    const std::size_t last = plain ? end - (end - at) % unit : at;
    unsigned seen = one_by_one(in, type, begin, at, to);
    to.past_cache = past_cache;
    for (; at < last; at += sum_block) {
      const std::size_t count = last - at < sum_block ? last - at : sum_block;
      const unsigned now = in_groups(in, add, at, count, to);
      seen |= now & saw_non_finite ? one_by_one(in, type, at, at + count, to) : now;
    }
    seen |= one_by_one(in, type, last, end, to);
    return seen & saw_non_finite ? saw_non_finite : seen;
  }

  /// Halves with any coefficients, and those that are not finite: client by client, by way of floats.
  static unsigned one_by_one(const call& in, dtype type, std::size_t begin, std::size_t end,
                             const sum_target& to) noexcept {
    constexpr std::size_t tile = 512;
    auto* row = reinterpret_cast<float*>(in.acc + 2 * tile);
    const void* rows[] = {row};
    const sum_call add = adder(dtype::f32, false);
    unsigned seen = 0;
    for (std::size_t at = begin; at < end; at += tile) {
      const std::size_t count = end - at < tile ? end - at : tile;
      if (in.n == 0) add({true, false}, rows, in.a, 0, 0, count, in.acc, to); // nobody's sum is zero
      for (std::size_t i = 0; i < in.n; ++i) {
        widen_halves<Void>(type, static_cast<const std::byte*>(in.rows[i]) + at * 2, count, row);
        add({i == 0, false}, rows, in.a + i, 1, 0, count, in.acc, to);
      }
      const bool bad = scan_kernel<on_baseline>::non_finite(in.acc, count);
      for (std::size_t j = 0; j < count; ++j) {
        FEDAGG_FP_IN_ORDER
        const double mean = FEDAGG_FP_KEEP(in.acc[j] * to.by);
        const std::uint16_t half = type == dtype::f16 ? to_float16(mean).bits : to_bfloat16(mean).bits;
        const unsigned exponent = type == dtype::f16 ? 0x7c00 : 0x7f80;
        if ((half & exponent) == exponent) seen |= bad ? saw_non_finite : saw_overflow;
        if (to.out) std::memcpy(static_cast<std::byte*>(to.out) + (at + j) * 2, &half, 2);
      }
    }
    return seen;
  }

  static sum_call adder(dtype type, bool exact) noexcept {
    return on_active_isa([&](auto tag) { return sum_kernel<decltype(tag)>::template adder<Void>(type, exact); });
  }

  detail::slice<const double> a_;
  double divisor_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_COMBINE_HPP
