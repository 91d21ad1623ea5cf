// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_IO_UTF8_HPP
#define FEDAGG_FORMATS_IO_UTF8_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// True if the bytes are UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
constexpr bool is_utf8(std::string_view text) noexcept {
  constexpr std::uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};
  for (std::size_t i = 0; i < text.size();) {
    const std::uint32_t first = static_cast<unsigned char>(text[i]);
    const std::size_t more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : 4;
    if (more == 4 || text.size() - i <= more) return false;
    std::uint32_t code = more == 0 ? first : first & (0x3fu >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      const std::uint32_t next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0u) != 0x80u) return false;
      code = code << 6 | (next & 0x3fu);
    }
    if (code < lowest[more] || code > 0x10ffff || code >> 11 == 0x1b) return false;
    i += more + 1;
  }
  return true;
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_FORMATS_IO_UTF8_HPP
