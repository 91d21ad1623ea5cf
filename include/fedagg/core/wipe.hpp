// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_WIPE_HPP
#define FEDAGG_CORE_WIPE_HPP

#include <cstddef>
#include <cstring>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Overwrites memory with zeros, also where the compiler sees that nothing reads it any more.
inline void wipe(void* data, std::size_t bytes) noexcept {
#if defined(__GNUC__) || defined(__clang__)
  if (bytes != 0) std::memset(data, 0, bytes);
  asm volatile("" : : "r"(data) : "memory");
#else
  volatile unsigned char* p = static_cast<unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) p[i] = 0;
#endif
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_WIPE_HPP
