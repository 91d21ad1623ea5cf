// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_COORDINATE_PASS_HPP
#define FEDAGG_PASSES_COORDINATE_PASS_HPP

#include <cstddef>
#include <cstring>
#include <span>

#include <fedagg/core/executor.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A place in `fault_place` is a tensor times this plus the reason.
inline constexpr std::size_t fault_reasons = 64;

/// Bytes of output from which on it is not worth a place in the cache.
inline constexpr std::size_t far_larger_than_a_cache = std::size_t{1} << 24;

/// What a sweep found.
struct findings {
  errc code = errc::ok;                              ///< why the round is refused whatever the clients sent
  bool bad_client = false;                           ///< some client's value; `fault_place` names them
  std::size_t tensor = static_cast<std::size_t>(-1); ///< where an overflow or a bad base came first
};

/// A tile kernel without its type, so that the sweep below is compiled once whatever the rules of a program.
struct tile_kernel {
  const void* self;
  unsigned (*run)(const void* self, dtype type, const void* const* rows, const void* base, std::size_t begin,
                  std::size_t end, void* out, tile_mode mode, void* scratch);
  std::size_t scratch_bytes;
  bool native_halves; ///< takes f16 and bf16 as they are; otherwise they come as float
  bool uses_base;     ///< sees the rows minus the base
};

/// What of a kernel is compiled for which type: an `untyped` kernel has
/// `unsigned run(dtype type, const void* const* rows, const void* base, std::size_t begin, std::size_t end, void* out,
/// tile_mode mode, void* scratch) const`, any other `template <class Isa, class T> unsigned run(const T* const* rows,
/// const T* base, std::size_t begin, std::size_t end, T* out, tile_mode mode, void* scratch) const` for T in float and
/// double, and for the halves if `native_halves`. A null `out` only looks. `portable` kernels are compiled once for all
/// instruction sets.
template <class Kernel>
tile_kernel erase(const Kernel& kernel) noexcept {
  return {
      &kernel,
      [](const void* self, dtype type, const void* const* rows, const void* base, std::size_t begin, std::size_t end,
         void* out, tile_mode mode, void* scratch) {
        const auto& k = *static_cast<const Kernel*>(self);
        if constexpr (requires { requires bool(Kernel::untyped); }) {
          return k.run(type, rows, base, begin, end, out, mode, scratch);
        } else {
          const auto as = [&](auto tag, auto* element) {
            using T = std::remove_pointer_t<decltype(element)>;
            return k.template run<decltype(tag)>(reinterpret_cast<const T* const*>(rows), static_cast<const T*>(base),
                                                 begin, end, static_cast<T*>(out), mode, scratch);
          };
          const auto on = [&](auto tag) {
            if constexpr (Kernel::native_halves) {
              if (type == dtype::f16) return as(tag, static_cast<float16*>(nullptr));
              if (type == dtype::bf16) return as(tag, static_cast<bfloat16*>(nullptr));
            }
            return type == dtype::f64 ? as(tag, static_cast<double*>(nullptr)) : as(tag, static_cast<float*>(nullptr));
          };
          if constexpr (Kernel::portable)
            return on(on_baseline{});
          else
            return on_active_isa(on);
        }
      },
      kernel.scratch_bytes(), Kernel::native_halves, kernel.uses_base};
}

/// One sweep over the cohort, tile by tile: gathers what is strided, widens what the kernel does not take as it is,
/// converts integers, joins what the kernel saw, and looks for the culprits where it saw a NaN or Inf. A template so
/// that what a program never runs is not compiled.
template <class Void = void>
class coordinate_pass {
public:
  coordinate_pass(const tile_kernel& kernel, const cohort& clients, detail::slice<const basic_named_tensor<void>> out,
                  const options& how, round_buffers& b)
      : kernel_(kernel), out_(out), b_(b), executor_(how.executor), n_(b.present.size()),
        grain_(how.grain ? how.grain : default_grain), tasks_(lay_out(clients, out, how, b)) {
    const std::size_t stage = 32768 / (n_ + 1) / 16 * 16;
    tile_ = stage < 16 ? 16 : stage > 512 ? 512 : stage;
    bool staged = false;
    std::size_t bytes = 0;
    for (const segment& s : b_.segments.each()) {
      staged = staged || needs_stage(s);
      bytes += s.size * size_of(s.type);
    }
    past_cache_ = bytes >= far_larger_than_a_cache;
    kernel_bytes_ = round_up(kernel_.scratch_bytes);
    // Rows, base and output of a tile in their own type and widened, and the pointers to them.
    slot_bytes_ =
        kernel_bytes_ + (staged ? round_up((n_ + 2) * tile_ * 8) + round_up(tile_ * 8) + round_up((n_ + 2) * 8) : 0);
    const std::size_t width = executor_.concurrency() < tasks_ ? executor_.concurrency() : tasks_;
    b_.slots.assign(width, 0);
    b_.scratch.resize_for_overwrite(width * slot_bytes_ + 64);
  }

  /// Runs all tasks. `checked`: find the clients that sent NaN or Inf; `writes`: the output is written.
  findings sweep(bool checked, bool writes) {
    checked_ = checked;
    writes_ = writes;
    bad_ = overflow_ = rule_failed_ = 0;
    bad_base_ = overflow_tensor_ = static_cast<std::size_t>(-1);
    done_ = 0;
    executor_(tasks_,
              task(this, [](void* self, std::size_t i) noexcept { static_cast<coordinate_pass*>(self)->run(i); }));
    findings f;
    f.bad_client = bad_ == 2;
    if (rule_failed_)
      f.code = errc::rule_failed;
    else if (done_ != detail::all_tickets(tasks_))
      f.code = errc::executor_failed;
    else if (bad_base_ != static_cast<std::size_t>(-1))
      f.code = static_cast<errc>(bad_base_ % fault_reasons), f.tensor = bad_base_ / fault_reasons;
    else if (overflow_ && !f.bad_client)
      f.code = errc::overflow, f.tensor = overflow_tensor_;
    return f;
  }

  /// Looks at one view's part of a tile; the reason if something in it cannot be used.
  static errc look(const any_tensor& t, dtype type, std::size_t begin, std::size_t end) noexcept {
    errc found = errc::ok;
    for_each_run(
        t, begin, end - begin, [&](std::ptrdiff_t offset, std::ptrdiff_t step, std::size_t length, std::size_t) {
          const std::size_t bytes = size_of(type);
          const auto* from = static_cast<const std::byte*>(t.data()) + offset * static_cast<std::ptrdiff_t>(bytes);
          alignas(64) std::byte packed[4096];
          const std::size_t most = step == 1 && is_floating(type) ? length : sizeof packed / 8;
          for (std::size_t at = 0; at < length && found == errc::ok; at += most) {
            const std::size_t count = length - at < most ? length - at : most;
            const auto* part = from + static_cast<std::ptrdiff_t>(at) * step * static_cast<std::ptrdiff_t>(bytes);
            if (step != 1) {
              copy_run(bytes, part, step, packed, 1, count);
              part = packed;
            }
            if (is_integer(type)) {
              double as_double[sizeof packed / 8];
              if (!integers_to_double(type, part, count, as_double)) found = errc::integer_range;
            } else if (on_active_isa(
                           [&](auto tag) { return scan_kernel<decltype(tag)>::non_finite(type, part, count); })) {
              found = errc::non_finite;
            }
          }
        });
    return found;
  }

private:
  static constexpr std::size_t round_up(std::size_t bytes) noexcept { return (bytes + 63) / 64 * 64; }

  bool needs_stage(const segment& s) const noexcept {
    const bool half = s.type == dtype::f16 || s.type == dtype::bf16;
    return !s.keep && (!s.direct || (half && !kernel_.native_halves));
  }

  void run(std::size_t index) noexcept {
    const fp_guard guard;
    if (index < tasks_) {
      // The last segment whose first task is not beyond the index; empty ones share it with their successor.
      std::size_t low = 0, high = b_.segments.size();
      while (high - low > 1) {
        const std::size_t middle = (low + high) / 2;
        if (b_.segments[middle].first_task <= index)
          low = middle;
        else
          high = middle;
      }
      const segment& s = b_.segments[low];
      const std::size_t begin = (index - s.first_task) * grain_;
      const std::size_t end = s.size - begin < grain_ ? s.size : begin + grain_;
      visit(s, begin, end);
    }
    detail::fetch_add(done_, detail::ticket(index));
  }

  void visit(const segment& s, std::size_t begin, std::size_t end) noexcept {
    if (s.idle) return;
    if (s.keep) return keep(s, begin, end);
    // After the first bad value nothing computed here is used: what is left is only looked at, once.
    if (checked_ && detail::relaxed_load(bad_)) return static_cast<void>(find_culprits(s, begin, end));
    unsigned seen = 0;
    std::size_t slot = 0;
    while (!detail::try_take(b_.slots[slot])) slot = slot + 1 < b_.slots.size() ? slot + 1 : 0;
    auto* scratch = b_.scratch.data() + slot * slot_bytes_;
    scratch += (64 - reinterpret_cast<std::uintptr_t>(scratch) % 64) % 64;
#if FEDAGG_EXCEPTIONS
    try {
#endif
      seen = compute(s, begin, end, scratch);
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      detail::relaxed_store(rule_failed_, 1);
    }
#endif
    detail::give_back(b_.slots[slot]);
    // What no client and no base is at fault for was computed here: an overflow. An integer without a double is a fault
    // under every policy.
    if ((seen & saw_range) || (checked_ && (seen & saw_non_finite)))
      seen = find_culprits(s, begin, end) ? 0 : saw_overflow;
    if (seen & saw_overflow) {
      detail::relaxed_store(overflow_, 1);
      detail::lower_to(overflow_tensor_, s.tensor);
    }
  }

  unsigned compute(const segment& s, std::size_t begin, std::size_t end, std::byte* scratch) const {
    const any_tensor* base = kernel_.uses_base ? b_.base_views[s.position] : nullptr;
    if (!needs_stage(s))
      return kernel_.run(kernel_.self, s.type, b_.pointers.data() + s.position * n_, base ? base->data() : nullptr,
                         begin, end, writes_ ? out_[s.tensor].tensor.data() : nullptr, tile_mode{false, past_cache_},
                         scratch);
    return compute_staged(s, base, begin, end, scratch);
  }

  /// Tiles of packed rows: of their own type, of floats for halves that the kernel does not take, of doubles for
  /// integers.
  unsigned compute_staged(const segment& s, const any_tensor* base, std::size_t begin, std::size_t end,
                          std::byte* scratch) const {
    const bool whole = is_integer(s.type);
    const bool widened = !whole && size_of(s.type) == 2 && !kernel_.native_halves;
    const dtype type = whole ? dtype::f64 : widened ? dtype::f32 : s.type;
    std::byte* tile = scratch + kernel_bytes_;
    std::byte* packed = tile + round_up((n_ + 2) * tile_ * 8);
    auto** rows = reinterpret_cast<const void**>(packed + round_up(tile_ * 8));
    unsigned seen = 0;
    const auto fetch = [&](const any_tensor& from, std::size_t at, std::size_t count, std::size_t row) {
      std::byte* to = tile + row * tile_ * 8;
      rows[row] = to;
      gather(from, at, count, whole || widened ? packed : to);
      if (whole && !integers_to_double(s.type, packed, count, reinterpret_cast<double*>(to))) seen |= saw_range;
      if (widened) widen_halves<Void>(s.type, packed, count, reinterpret_cast<float*>(to));
    };
    for (std::size_t at = begin; at < end; at += tile_) {
      const std::size_t count = end - at < tile_ ? end - at : tile_;
      for (std::size_t k = 0; k < n_; ++k) fetch(*b_.views[s.position * n_ + k], at, count, k);
      if (base) fetch(*base, at, count, n_);
      std::byte* result = tile + (n_ + 1) * tile_ * 8;
      seen |= kernel_.run(kernel_.self, type, rows, base ? rows[n_] : nullptr, 0, count, result,
                          tile_mode{widened, false}, scratch);
      if (whole && !doubles_to_integer(s.type, reinterpret_cast<const double*>(result), count, packed))
        seen |= saw_overflow;
      if (widened && !narrow(s.type, reinterpret_cast<const float*>(result), count, packed)) seen |= saw_overflow;
      if (writes_) scatter(out_[s.tensor].tensor, at, count, whole || widened ? packed : result);
    }
    return seen;
  }

  /// False if a value is not finite as a half: overflow, unless the input was bad.
  static bool narrow(dtype type, const float* from, std::size_t count, void* to) noexcept {
    return on_active_isa([&](auto tag) {
      using kernel = convert_kernel<decltype(tag)>;
      if (type == dtype::f16)
        kernel::narrow(from, count, static_cast<float16*>(to));
      else
        kernel::narrow(from, count, static_cast<bfloat16*>(to));
      return !scan_kernel<decltype(tag)>::non_finite(type, to, count);
    });
  }

  void keep(const segment& s, std::size_t begin, std::size_t end) noexcept {
    const any_tensor& base = *b_.base_views[s.position];
    if (!writes_ || same_view(base, any_tensor(out_[s.tensor].tensor))) return;
    std::byte packed[512];
    const std::size_t step = sizeof packed / size_of(s.type);
    for (std::size_t at = begin; at < end; at += step) {
      const std::size_t count = end - at < step ? end - at : step;
      gather(base, at, count, packed);
      scatter(out_[s.tensor].tensor, at, count, packed);
    }
  }

  /// Notes every client whose part of the tile cannot be used, with the first tensor where that is so.
  bool find_culprits(const segment& s, std::size_t begin, std::size_t end) noexcept {
    bool any = false;
    for (std::size_t k = 0; k < n_; ++k) {
      const errc reason = look(*b_.views[s.position * n_ + k], s.type, begin, end);
      if (reason == errc::ok) continue;
      any = true;
      // The first tensor decides, and with it the reason, whichever thread comes first.
      detail::lower_to(b_.fault_place[b_.present[k]], s.tensor * fault_reasons + static_cast<std::size_t>(reason));
    }
    const any_tensor* base = kernel_.uses_base ? b_.base_views[s.position] : nullptr;
    const errc reason = base ? look(*base, s.type, begin, end) : errc::ok;
    if (reason != errc::ok) {
      detail::lower_to(bad_base_, s.tensor * fault_reasons + static_cast<std::size_t>(reason));
      any = true;
    }
    if (any) detail::relaxed_store(bad_, 2);
    return any;
  }

  tile_kernel kernel_;
  detail::slice<const basic_named_tensor<void>> out_;
  round_buffers& b_;
  executor_ref executor_;
  std::size_t n_;
  std::size_t grain_;
  std::size_t tasks_;
  std::size_t tile_ = 0;
  std::size_t kernel_bytes_ = 0;
  std::size_t slot_bytes_ = 0;
  std::size_t done_ = 0; // the sum of the tickets of the tasks that ran
  std::size_t overflow_tensor_ = 0;
  std::size_t bad_base_ = 0; ///< as a place in `fault_place`
  int bad_ = 0, overflow_ = 0, rule_failed_ = 0;
  bool past_cache_ = false;
  bool checked_ = true;
  bool writes_ = true;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_COORDINATE_PASS_HPP
