// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ARENA_HPP
#define FEDAGG_CORE_ARENA_HPP

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Scratch memory for rules that work in n dimensions. Everything taken is given back at once by `reset`, which keeps
/// the memory in one piece: from the third round of a size on, nothing is allocated.
class arena {
public:
  /// `count` zeros, valid until `reset`. Throws std::bad_alloc.
  template <class T>
  std::span<T> take(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignment, "plain data only");
    if (count > static_cast<std::size_t>(-1) / 2 / sizeof(T)) return raise_size<T>();
    if (count == 0) return {};
    const std::size_t bytes = (count * sizeof(T) + alignment - 1) / alignment * alignment;
    if (bytes == 0) return {};
    if (blocks_.empty() || blocks_.back().size() - used_ < bytes) grow(bytes);
    std::byte* at = blocks_.back().data() + used_;
    used_ += bytes;
    std::memset(at, 0, bytes);
    return {reinterpret_cast<T*>(at), count};
  }

  void reset() {
    if (blocks_.size() > 1) {
      std::size_t total = 0;
      for (const auto& b : blocks_) total += b.size();
      blocks_.clear();
      grow(total);
    }
    used_ = 0;
  }

private:
  static constexpr std::size_t alignment = alignof(std::max_align_t);

  template <class T>
  static std::span<T> raise_size() {
    // A vector of this size raises what allocation raises in this build.
    static_cast<void>(std::vector<std::byte>(static_cast<std::size_t>(-1) / 2));
    return {};
  }

  void grow(std::size_t bytes) {
    const std::size_t last = blocks_.empty() ? 0 : blocks_.back().size();
    blocks_.emplace_back(bytes > 2 * last ? bytes : 2 * last);
    used_ = 0;
  }

  std::vector<std::vector<std::byte>> blocks_;
  std::size_t used_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ARENA_HPP
