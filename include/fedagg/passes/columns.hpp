// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_COLUMNS_HPP
#define FEDAGG_PASSES_COLUMNS_HPP

#include <cstddef>

#include <fedagg/kernels/lanes.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Pass columns: the rule is applied to each column of lanes. With a base it sees x_i - base, and its result is added
/// to the base, unless it says that this changes nothing (`translation_equivariant`).
template <class Rule>
class column_pass {
public:
  static constexpr bool portable = false;
  static constexpr bool native_halves = false;
  static constexpr bool uses_base = [] {
    if constexpr (requires { requires bool(Rule::translation_equivariant); })
      return false;
    else
      return true;
  }();

  column_pass(const Rule& rule, std::size_t n) noexcept : rule_(rule), n_(n) {}

  std::size_t scratch_bytes() const noexcept { return column_kernel<on_baseline>::scratch_bytes(n_) * 4; }

  template <class Isa, class T>
  unsigned run(const T* const* rows, const T* base, std::size_t begin, std::size_t end, T* out, tile_mode,
               void* scratch) const {
    return column_kernel<Isa>::template run<lanes<T, Isa>>(rule_, rows, base, n_, begin, end, out, scratch);
  }

private:
  const Rule& rule_;
  std::size_t n_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_COLUMNS_HPP
