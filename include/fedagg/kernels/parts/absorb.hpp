// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_PARTS_ABSORB_HPP
#define FEDAGG_KERNELS_PARTS_ABSORB_HPP

#include <fedagg/kernels/simd.hpp>

#define FEDAGG_KERNELS <fedagg/kernels/absorb.inl>
#include <fedagg/kernels/per_isa.inl>

#endif // FEDAGG_KERNELS_PARTS_ABSORB_HPP
