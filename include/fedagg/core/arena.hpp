// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ARENA_HPP
#define FEDAGG_CORE_ARENA_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>

#include <fedagg/config.hpp>
#include <fedagg/core/list.hpp>

namespace fedagg::inline FEDAGG_ABI {

namespace detail {

template <class T>
struct taken {
  using type = slice<T>;
};
// What most of it is used for, and rules have in their signatures.
template <>
struct taken<double> {
  using type = std::span<double>;
};
template <>
struct taken<std::size_t> {
  using type = std::span<std::size_t>;
};

} // namespace detail

/// Scratch memory for rules that work in n dimensions. Everything taken is given back at once by `reset`, which keeps
/// the memory in one piece: from the third round of a size on, nothing is allocated.
class arena {
public:
  arena() = default;
  arena(const arena&) noexcept {} // a copy starts empty: what is in it is scratch
  arena(arena&& other) noexcept { swap(other); }
  arena& operator=(arena other) noexcept {
    swap(other);
    return *this;
  }
  ~arena() { drop(); }

  /// `count` zeros, valid until `reset`. Throws std::bad_alloc.
  template <class T>
  typename detail::taken<T>::type take(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignment, "plain data only");
    return {static_cast<T*>(take_bytes(count, sizeof(T))), count};
  }
  /// The same for the library's own.
  template <class T>
  detail::slice<T> room(std::size_t count) {
    return {static_cast<T*>(take_bytes(count, sizeof(T))), count};
  }

  void reset() {
    if (blocks_.size() > 1) {
      std::size_t total = 0;
      for (const block& b : blocks_.each()) total += b.size;
      drop();
      grow(total);
    }
    used_ = 0;
  }

private:
  static constexpr std::size_t alignment = alignof(std::max_align_t);

  struct block {
    std::byte* data;
    std::size_t size;
  };

  FEDAGG_NOINLINE void* take_bytes(std::size_t count, std::size_t size) {
    if (count == 0) return nullptr;
    const bool fits = count <= static_cast<std::size_t>(PTRDIFF_MAX) / 2 / size;
    // A request beyond all memory raises what allocation raises in this build.
    const std::size_t bytes =
        fits ? (count * size + alignment - 1) / alignment * alignment : static_cast<std::size_t>(PTRDIFF_MAX);
    if (blocks_.empty() || blocks_.back().size - used_ < bytes) grow(bytes);
    std::byte* const at = blocks_.back().data + used_;
    used_ += bytes;
    std::memset(at, 0, bytes);
    return at;
  }

  void grow(std::size_t bytes) {
    const std::size_t last = blocks_.empty() ? 0 : blocks_.back().size, size = bytes > 2 * last ? bytes : 2 * last;
    blocks_.reserve(blocks_.size() + 1);
    blocks_.push_back({static_cast<std::byte*>(::operator new(size)), size});
    used_ = 0;
  }
  void swap(arena& other) noexcept {
    blocks_.swap(other.blocks_);
    const std::size_t used = used_;
    used_ = other.used_;
    other.used_ = used;
  }
  void drop() noexcept {
    for (const block& b : blocks_.each()) ::operator delete(b.data);
    blocks_.clear();
  }

  detail::list<block> blocks_;
  std::size_t used_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ARENA_HPP
