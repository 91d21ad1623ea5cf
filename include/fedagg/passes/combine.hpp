// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_COMBINE_HPP
#define FEDAGG_PASSES_COMBINE_HPP

#include <cstddef>
#include <span>

#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Pass combine: out = sum_i a_i x_i / divisor, summed in double in the order of the clients, rounded once.
/// Translation-equivariant for sum a_i = divisor, so that a base need not be read; otherwise the base is one row more,
/// whose coefficient comes last.
class combine_pass {
public:
  static constexpr bool portable = false;
  static constexpr bool native_halves = true;

  combine_pass(std::span<const double> a, double divisor, bool with_base = false) noexcept
      : uses_base(with_base), a_(a), divisor_(divisor) {}

  const bool uses_base;

  std::size_t scratch_bytes() const noexcept { return sums_bytes + (uses_base ? a_.size() * sizeof(void*) : 0); }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T* base, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const noexcept {
    if (uses_base) {
      auto** all = reinterpret_cast<const T**>(static_cast<std::byte*>(scratch) + sums_bytes);
      for (std::size_t i = 0; i + 1 < a_.size(); ++i) all[i] = rows[i];
      all[a_.size() - 1] = base;
      rows = all;
    }
    return sum_kernel<Isa>::run(rows, a_.data(), a_.size(), divisor_, begin, end, out, mode.past_cache, scratch);
  }

private:
  static constexpr std::size_t sums_bytes = sum_kernel<on_baseline>::scratch_doubles * sizeof(double);

  std::span<const double> a_;
  double divisor_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_COMBINE_HPP
