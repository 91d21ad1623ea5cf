// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_NETWORK_HPP
#define FEDAGG_KERNELS_NETWORK_HPP

#include <cstddef>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Batcher's odd-even merge sort (1968) for N wires as a list of compare-exchanges, for any N.
template <std::size_t N>
struct sorting_network {
  std::size_t size = 0;
  unsigned char low[N * 8] = {};
  unsigned char high[N * 8] = {};

  constexpr sorting_network() {
    for (std::size_t p = 1; p < N; p *= 2)
      for (std::size_t k = p; k >= 1; k /= 2)
        for (std::size_t j = k % p; j + k < N; j += 2 * k)
          for (std::size_t i = 0; i < k && i + j + k < N; ++i)
            if ((i + j) / (p * 2) == (i + j + k) / (p * 2)) {
              low[size] = static_cast<unsigned char>(i + j);
              high[size] = static_cast<unsigned char>(i + j + k);
              ++size;
            }
  }
};

/// Columns of up to this many rows are sorted in registers.
inline constexpr std::size_t register_rows = 32;

/// Bytes that rows are asked for ahead, and those of longer columns: a few lines, because a row's line takes long to come
/// to use, and those of all rows have to stay in the cache until then.
inline constexpr std::size_t row_ahead = 1024, column_ahead = 192;

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_KERNELS_NETWORK_HPP
