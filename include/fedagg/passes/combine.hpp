// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_COMBINE_HPP
#define FEDAGG_PASSES_COMBINE_HPP

#include <cstddef>
#include <span>

#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Pass combine: out = sum_i a_i x_i / divisor, summed in double in the order of the clients, rounded once.
/// Translation-equivariant for sum a_i = divisor, so that a base need not be read.
class combine_pass {
public:
  static constexpr bool portable = false;
  static constexpr bool native_halves = true;
  static constexpr bool uses_base = false;

  combine_pass(std::span<const double> a, double divisor) noexcept : a_(a), divisor_(divisor) {}

  std::size_t scratch_bytes() const noexcept { return sum_kernel<on_baseline>::scratch_doubles * sizeof(double); }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T*, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const noexcept {
    return sum_kernel<Isa>::run(rows, a_.data(), a_.size(), divisor_, begin, end, out, mode.past_cache, scratch);
  }

private:
  std::span<const double> a_;
  double divisor_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_COMBINE_HPP
