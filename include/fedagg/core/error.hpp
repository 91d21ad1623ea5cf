// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ERROR_HPP
#define FEDAGG_CORE_ERROR_HPP

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The one exception of the library: a typed code and a sentence that names what it is about.
/// Copies without allocating; texts beyond 511 characters are cut.
class error : public std::exception {
public:
  explicit error(errc code, std::string_view detail = {}) noexcept : code_(code) {
    append(message(code));
    if (!detail.empty()) {
      append(": ");
      append(detail);
    }
  }

  errc code() const noexcept { return code_; }
  const char* what() const noexcept override { return text_; }

private:
  void append(std::string_view part) noexcept {
    for (std::size_t i = 0; i < part.size() && size_ + 1 < sizeof text_; ++i) text_[size_++] = part[i];
    text_[size_] = '\0';
  }

  errc code_;
  std::size_t size_ = 0;
  char text_[512] = {};
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Throws; under -fno-exceptions prints the sentence and aborts.
[[noreturn]] FEDAGG_COLD inline void raise(errc code, std::string_view what = {}) {
#if FEDAGG_EXCEPTIONS
  throw error(code, what);
#else
  std::fprintf(stderr, "fedagg: %s\n", error(code, what).what());
  std::abort();
#endif
}

/// What `f` returns, or `out_of_memory` where it throws std::bad_alloc.
template <class F>
errc no_throw(const F& f) noexcept {
#if FEDAGG_EXCEPTIONS
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return errc::out_of_memory;
  }
#else
  return f();
#endif
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_CORE_ERROR_HPP
