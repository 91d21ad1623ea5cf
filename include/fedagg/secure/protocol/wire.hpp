// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_WIRE_HPP
#define FEDAGG_SECURE_PROTOCOL_WIRE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <fedagg/secure/secret.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// A byte string that is wiped when it goes: what a saved state is written into.
class secret_buffer {
public:
  secret_buffer() = default;
  explicit secret_buffer(std::size_t size) : bytes_(size) {}
  secret_buffer(const secret_buffer&) = default;
  secret_buffer(secret_buffer&& other) noexcept : bytes_(std::move(other.bytes_)) {}
  secret_buffer& operator=(secret_buffer other) noexcept {
    bytes_.swap(other.bytes_);
    return *this;
  }
  ~secret_buffer() { wipe(bytes_.data(), bytes_.size()); }

  std::size_t size() const noexcept { return bytes_.size(); }
  std::uint8_t* data() noexcept { return bytes_.data(); }
  const std::uint8_t* data() const noexcept { return bytes_.data(); }
  /// Grows without leaving a copy behind. Throws std::bad_alloc.
  void append(bytes_view more) {
    if (bytes_.capacity() - bytes_.size() < more.size()) {
      std::vector<std::uint8_t> larger;
      larger.reserve(2 * bytes_.size() + more.size());
      larger.insert(larger.end(), bytes_.begin(), bytes_.end());
      wipe(bytes_.data(), bytes_.size());
      bytes_.swap(larger);
    }
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }

private:
  std::vector<std::uint8_t> bytes_;
};

/// Writes numbers, little-endian, and bytes at the end of a buffer. Throws std::bad_alloc.
template <class Buffer>
class wire_writer {
public:
  explicit wire_writer(Buffer& out) noexcept : out_(out) {}

  wire_writer& u8(std::uint8_t x) { return number(x, 1); }
  wire_writer& u32(std::uint32_t x) { return number(x, 4); }
  wire_writer& u64(std::uint64_t x) { return number(x, 8); }
  wire_writer& bytes(bytes_view in) {
    if constexpr (requires { out_.append(in); })
      out_.append(in);
    else
      out_.insert(out_.end(), in.begin(), in.end());
    return *this;
  }

private:
  wire_writer& number(std::uint64_t x, std::size_t size) {
    std::uint8_t word[8];
    for (std::size_t k = 0; k < 8; ++k) word[k] = static_cast<std::uint8_t>(x >> (8 * k));
    return bytes(bytes_view(word, size));
  }

  Buffer& out_;
};

/// Reads what a writer wrote. Past the end everything is zero, and `ok()` stays false.
class wire_reader {
public:
  explicit wire_reader(bytes_view in) noexcept : in_(in) {}

  bool ok() const noexcept { return ok_; }
  /// All was there, and nothing is left.
  bool done() const noexcept { return ok_ && in_.empty(); }
  std::size_t left() const noexcept { return in_.size(); }

  std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(number(1)); }
  std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() noexcept { return number(8); }
  /// The next bytes, in place; none of them if they are not all there.
  bytes_view bytes(std::size_t size) noexcept {
    if (size > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    const bytes_view out = in_.first(size);
    in_ = in_.subspan(size);
    return out;
  }
  /// A copy of the next bytes.
  template <std::size_t N>
  void copy(std::uint8_t* to) noexcept {
    const bytes_view from = bytes(N);
    if (from.size() == N)
      std::memcpy(to, from.data(), N);
    else
      std::memset(to, 0, N);
  }
  template <std::size_t N>
  std::array<std::uint8_t, N> array() noexcept {
    std::array<std::uint8_t, N> out;
    copy<N>(out.data());
    return out;
  }
  template <std::size_t N>
  void secret(secret_bytes<N>& out) noexcept {
    copy<N>(out.data());
  }

private:
  std::uint64_t number(std::size_t size) noexcept {
    std::uint64_t x = 0;
    const bytes_view from = bytes(size);
    for (std::size_t k = 0; k < from.size(); ++k) x |= std::uint64_t{from[k]} << (8 * k);
    return x;
  }

  bytes_view in_;
  bool ok_ = true;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_PROTOCOL_WIRE_HPP
