// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_PARTS_RING_HPP
#define FEDAGG_KERNELS_PARTS_RING_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/kernels/simd.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class Isa>
struct ring_kernel;

/// How values become residues: x factor 2^-32 is clipped to [-limit, limit] 2^-32, then rounded. Both are given times
/// 2^32, because 32 random bits decide.
struct ring_scaling {
  double factor = 0;
  double limit = 0;
};

/// The least and the greatest of some residues, as signed numbers.
struct ring_extremes {
  std::int64_t least = 0;
  std::int64_t greatest = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#define FEDAGG_KERNELS <fedagg/kernels/ring.inl>
#include <fedagg/kernels/per_isa.inl>

#endif // FEDAGG_KERNELS_PARTS_RING_HPP
