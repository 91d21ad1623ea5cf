// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_MIXED_UNIT_HPP
#define FEDAGG_TESTS_MIXED_UNIT_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/fedagg.hpp>

/// What one unit computed: the bits of every output, and of the same outputs through the noexcept call.
using unit_result = std::vector<std::uint32_t>;

/// Every unit defines one of these. The cohort is made in another unit: value types cross them.
using unit_function = unit_result(const fedagg::cohort& round, std::size_t coordinates);

#endif // FEDAGG_TESTS_MIXED_UNIT_HPP
