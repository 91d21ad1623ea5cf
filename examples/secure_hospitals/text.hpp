// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_TEXT_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_TEXT_HPP

#include <cstddef>
#include <string>

#include "agreement.hpp"

namespace secure_hospitals {

/// Bytes as a word of a line, two digits each, and back; what is no such word gives no bytes.
inline std::string hex(fedagg::bytes_view in) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : in) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}
inline bytes from_hex(const std::string& in) {
  const auto digit = [](char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; };
  if (in.size() % 2 != 0 || in.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
  bytes out;
  for (std::size_t k = 0; k < in.size(); k += 2)
    out.push_back(static_cast<std::uint8_t>(digit(in[k]) << 4 | digit(in[k + 1])));
  return out;
}

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_TEXT_HPP
