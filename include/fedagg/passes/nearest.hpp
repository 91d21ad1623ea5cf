// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_NEAREST_HPP
#define FEDAGG_PASSES_NEAREST_HPP

#include <cstddef>

#include <fedagg/core/rule.hpp>
#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Pass columns for nearest rules: the mean of the values of each column that are nearest its centre.
/// Translation-equivariant.
class nearest_pass {
public:
  static constexpr bool portable = false;
  static constexpr bool native_halves = false;
  static constexpr bool uses_base = false;

  nearest_pass(std::size_t n, const nearest_values& v) noexcept : n_(n), values_(v) {}

  std::size_t scratch_bytes() const noexcept { return nearest_kernel<on_baseline>::scratch_bytes(n_) * 4; }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T*, std::size_t begin, std::size_t end, T* out, tile_mode mode,
               void* scratch) const noexcept {
    return nearest_kernel<Isa>::run(rows, n_, values_, begin, end, out, mode, scratch);
  }

private:
  std::size_t n_;
  nearest_values values_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_NEAREST_HPP
