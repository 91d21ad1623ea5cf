// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_CLIENT_SET_HPP
#define FEDAGG_SECURE_PROTOCOL_CLIENT_SET_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/secure/secret.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// A set of clients of a roster, one bit each: client i is bit i % 8 of byte i / 8, bits beyond the last are zero.
class client_set {
public:
  client_set() = default;
  /// Empty. Throws std::bad_alloc.
  explicit client_set(std::uint32_t roster) : bits_((std::size_t{roster} + 7) / 8), roster_(roster) {}

  static constexpr std::size_t bytes_for(std::uint32_t roster) noexcept { return (std::size_t{roster} + 7) / 8; }
  /// The set that the bytes say; `message_format` if they are not those of a set of this roster. Throws std::bad_alloc.
  [[nodiscard]] static errc from_bytes(std::uint32_t roster, bytes_view in, client_set& out) {
    if (in.size() != bytes_for(roster)) return errc::message_format;
    if (roster % 8 != 0 && in.back() >> (roster % 8) != 0) return errc::message_format;
    out.bits_.assign(in.begin(), in.end());
    out.roster_ = roster;
    out.size_ = 0;
    for (unsigned byte : in)
      for (; byte != 0; byte &= byte - 1) ++out.size_;
    return errc::ok;
  }

  std::uint32_t roster() const noexcept { return roster_; }
  bytes_view bytes() const noexcept { return bits_; }
  bool contains(std::uint32_t i) const noexcept { return i < roster_ && (bits_[i / 8] >> (i % 8) & 1); }
  void insert(std::uint32_t i) noexcept {
    if (i < roster_ && !contains(i)) flip(i), ++size_;
  }
  void erase(std::uint32_t i) noexcept {
    if (contains(i)) flip(i), --size_;
  }
  std::uint32_t size() const noexcept { return size_; }
  bool within(const client_set& other) const noexcept {
    if (roster_ != other.roster_) return false;
    for (std::size_t k = 0; k < bits_.size(); ++k)
      if (bits_[k] & ~other.bits_[k]) return false;
    return true;
  }
  bool operator==(const client_set&) const = default;

private:
  void flip(std::uint32_t i) noexcept { bits_[i / 8] = static_cast<std::uint8_t>(bits_[i / 8] ^ 1u << (i % 8)); }

  std::vector<std::uint8_t> bits_;
  std::uint32_t roster_ = 0, size_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_PROTOCOL_CLIENT_SET_HPP
