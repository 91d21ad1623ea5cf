// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_IO_FILE_ERROR_HPP
#define FEDAGG_FORMATS_IO_FILE_ERROR_HPP

#include <cstddef>
#include <cstring>
#include <string_view>

#include <fedagg/core/error.hpp>
#include <fedagg/formats/io/utf8.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Why a file was refused: a typed code and a text that names the file, the tensor if there is one, and the reason.
/// Holds its text itself, so that filling it allocates nothing. The text is UTF-8 without control characters whatever
/// the file holds; long file names lose their beginning and long tensor names their end.
class file_error {
public:
  errc code() const noexcept { return code_; }
  const char* text() const noexcept { return text_; }

  /// Returns `code`, so that a function that fails can end with it.
  errc set(errc code, std::string_view file, std::string_view reason) noexcept {
    code_ = code;
    size_ = 0;
    constexpr std::size_t longest = 180;
    const bool cut = file.size() > longest;
    if (cut) {
      file.remove_prefix(file.size() - longest);
      while (!file.empty() && continues(file.front())) file.remove_prefix(1);
    }
    append(cut ? "..." : "");
    append(file);
    append(": ");
    append(reason);
    return code;
  }
  errc set(errc code, std::string_view file, std::string_view tensor, std::string_view reason) noexcept {
    return set(code, file, "tensor", tensor, reason);
  }
  /// The same of another part of the file; `what` is a word for it.
  errc set(errc code, std::string_view file, std::string_view what, std::string_view part,
           std::string_view reason) noexcept {
    set(code, file, what);
    append(" \"");
    constexpr std::size_t longest = 100;
    std::size_t kept = part.size() <= longest ? part.size() : longest;
    while (kept > 0 && kept < part.size() && continues(part[kept])) --kept;
    append(part.substr(0, kept));
    append(kept < part.size() ? "...\": " : "\": ");
    append(reason);
    return code;
  }

private:
  static bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xc0u) == 0x80u; }

  void append(std::string_view part) noexcept {
    const bool readable = is_utf8(part);
    for (const char c : part) {
      if (size_ + 1 == sizeof text_) break;
      const auto byte = static_cast<unsigned char>(c);
      text_[size_++] = byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !readable) ? '?' : c;
    }
    text_[size_] = '\0';
  }

  errc code_ = errc::ok;
  std::size_t size_ = 0;
  char text_[432] = {};
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

[[noreturn]] FEDAGG_COLD inline void raise(const file_error& what) { raise(what.code(), what.text()); }

/// Runs a body that allocates inside a function that must not throw.
template <class Body>
errc without_throwing(std::string_view file, file_error& error, Body&& body) noexcept {
#if FEDAGG_EXCEPTIONS
  try {
    return body();
  } catch (...) {
    return error.set(errc::out_of_memory, file, "no memory for its header");
  }
#else
  static_cast<void>(file), static_cast<void>(error);
  return body();
#endif
}

/// The operating system's words for an `errno`; strerror_r has two signatures in the world.
inline const char* words(int, const char* buffer) noexcept { return buffer; }
inline const char* words(const char* text, const char*) noexcept { return text; }

/// Refuses a file with the operating system's reason, "cannot open: Permission denied".
inline errc refuse(file_error& error, std::string_view file, std::string_view action, int number, errc code) noexcept {
  char text[200] = {};
  const std::size_t length = action.size() < 100 ? action.size() : 100;
  std::memcpy(text, action.data(), length);
#if __has_include(<unistd.h>)
  char buffer[96] = {};
  const char* reason = words(::strerror_r(number, buffer, sizeof buffer), buffer);
  std::memcpy(text + length, ": ", 2);
  std::memcpy(text + length + 2, reason, ::strnlen(reason, sizeof text - length - 3));
#else
  static_cast<void>(number);
#endif
  return error.set(code, file, text);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_FORMATS_IO_FILE_ERROR_HPP
