// SPDX-License-Identifier: MIT
// Included by kernels/simd.hpp once per instruction set; in this order, because each builds on those before it. What few
// programs need is included where it is needed, because all that is here takes time in every one of them.

// clang-format off
#include <fedagg/kernels/simd.inl>
#include <fedagg/kernels/convert.inl>
#include <fedagg/kernels/scan.inl>
#include <fedagg/kernels/half_sum.inl>
#include <fedagg/kernels/sum.inl>
#include <fedagg/kernels/square.inl>
#include <fedagg/kernels/sort.inl>
#include <fedagg/kernels/middle.inl>
#include <fedagg/kernels/lanes.inl>
#include <fedagg/kernels/window.inl>
#include <fedagg/kernels/nearest.inl>
#include <fedagg/kernels/gram.inl>
// clang-format on
