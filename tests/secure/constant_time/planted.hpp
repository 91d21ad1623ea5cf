// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SECURE_CONSTANT_TIME_PLANTED_HPP
#define FEDAGG_TESTS_SECURE_CONSTANT_TIME_PLANTED_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/kernels/simd.hpp>

namespace constant_time {

inline volatile unsigned sink = 0;

template <class Isa>
struct planted;

} // namespace constant_time

#define FEDAGG_KERNELS <secure/constant_time/planted.inl>
#include <fedagg/kernels/per_isa.inl>

#endif // FEDAGG_TESTS_SECURE_CONSTANT_TIME_PLANTED_HPP
