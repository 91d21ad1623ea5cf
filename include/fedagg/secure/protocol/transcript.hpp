// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_TRANSCRIPT_HPP
#define FEDAGG_SECURE_PROTOCOL_TRANSCRIPT_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fedagg/secure/crypto_suite.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// A hash of labelled parts. Every purpose has a label of its own, and with it the kinds of its parts; bytes stand
/// behind their length. So no two lists of parts are the same input of the hash.
template <crypto_suite S>
class transcript {
public:
  explicit transcript(const char* label) noexcept { bytes(text(label)); }

  transcript& number(std::uint64_t x) noexcept {
    raw(x);
    return *this;
  }
  transcript& bytes(bytes_view part) noexcept {
    raw(part.size());
    hash_.update(part);
    return *this;
  }
  digest finish() noexcept { return hash_.finish(); }

  static bytes_view text(const char* s) noexcept { return {reinterpret_cast<const std::uint8_t*>(s), std::strlen(s)}; }

private:
  void raw(std::uint64_t x) noexcept {
    std::uint8_t word[8];
    for (std::size_t k = 0; k < 8; ++k) word[k] = static_cast<std::uint8_t>(x >> (8 * k));
    hash_.update(word);
  }

  typename S::hasher hash_;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_PROTOCOL_TRANSCRIPT_HPP
