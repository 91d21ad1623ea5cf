// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAVED_STATE_TEXT_HPP
#define FEDAGG_FORMATS_SAVED_STATE_TEXT_HPP

#include <bit>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include <fedagg/formats/io/utf8.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A value that archives know, as it stands among a file's metadata.
template <class T>
concept state_text = std::same_as<T, std::uint64_t> || std::same_as<T, std::int64_t> || std::same_as<T, double> ||
    std::same_as<T, bool> || requires(T& text) {
  requires sizeof(typename T::value_type) == 1;
  text.assign(static_cast<const char*>(nullptr), static_cast<const char*>(nullptr));
};

inline void append_hex(std::string& out, std::uint64_t x, int digits) {
  while (digits-- > 0) out += "0123456789abcdef"[x >> (4 * digits) & 15u];
}

/// Exactly `text.size()` hexadecimal digits, at most 16, small letters.
inline bool parse_hex(std::string_view text, std::uint64_t& x) noexcept {
  x = 0;
  if (text.empty() || text.size() > 16) return false;
  for (const char c : text) {
    const auto digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) return false;
    x = x << 4 | digit;
  }
  return true;
}

/// "true", "-12", "0x3fb999999999999a" (the bits of 0.1, which no locale and no rounding changes), "text:abc";
/// "hex:616263" for a text that is not UTF-8.
template <state_text T>
std::string to_state_text(const T& x) {
  if constexpr (std::same_as<T, bool>) {
    return x ? "true" : "false";
  } else if constexpr (std::integral<T>) {
    return std::to_string(x);
  } else if constexpr (std::same_as<T, double>) {
    std::string out = "0x";
    append_hex(out, std::bit_cast<std::uint64_t>(x), 16);
    return out;
  } else {
    const std::string_view text(reinterpret_cast<const char*>(x.data()), x.size());
    if (is_utf8(text)) return "text:" + std::string(text);
    std::string out = "hex:";
    for (const char c : text) append_hex(out, static_cast<unsigned char>(c), 2);
    return out;
  }
}

/// False if `text` is not what `to_state_text` makes of a T.
template <state_text T>
bool from_state_text(std::string_view text, T& x) {
  if constexpr (std::same_as<T, bool>) {
    x = text == "true";
    return x || text == "false";
  } else if constexpr (std::integral<T>) {
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), x);
    return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
  } else if constexpr (std::same_as<T, double>) {
    std::uint64_t bits = 0;
    if (text.size() != 18 || !text.starts_with("0x") || !parse_hex(text.substr(2), bits)) return false;
    x = std::bit_cast<double>(bits);
    return true;
  } else if (text.starts_with("text:")) {
    x.assign(text.data() + 5, text.data() + text.size());
    return true;
  } else {
    if (!text.starts_with("hex:") || text.size() % 2 != 0) return false;
    x.clear();
    for (std::size_t k = 4; k < text.size(); k += 2) {
      std::uint64_t byte = 0;
      if (!parse_hex(text.substr(k, 2), byte)) return false;
      x.push_back(static_cast<typename T::value_type>(byte));
    }
    return true;
  }
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_FORMATS_SAVED_STATE_TEXT_HPP
