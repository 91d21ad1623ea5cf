// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_PARTS_STREAM_HPP
#define FEDAGG_KERNELS_PARTS_STREAM_HPP

#include <fedagg/kernels/simd.hpp>

#define FEDAGG_KERNELS <fedagg/kernels/stream.inl>
#include <fedagg/kernels/per_isa.inl>

#endif // FEDAGG_KERNELS_PARTS_STREAM_HPP
