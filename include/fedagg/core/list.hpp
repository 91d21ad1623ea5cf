// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_LIST_HPP
#define FEDAGG_CORE_LIST_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// A std::span, made where a template is instantiated, and not yet where it is read.
template <class T>
constexpr std::span<const T> span_of(const T* data, std::size_t size) noexcept {
  return {data, size};
}

/// What std::span is, but making one of a type that has none yet costs a compiler nothing (a std::span several
/// milliseconds). Converts to and from spans.
template <class T>
class slice {
  template <class C>
  static constexpr bool fits = requires(C& c, T* p) {
    p = c.data();
    c.size();
  };

public:
  slice() = default;
  constexpr slice(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <std::size_t N>
  constexpr slice(T (&array)[N]) noexcept : data_(array), size_(N) {}
  /// Anything with `data()` and `size()`.
  template <class C>
  requires(!std::is_same_v<std::remove_const_t<C>, slice> && fits<C>) constexpr slice(C& c) noexcept
      : data_(c.data()), size_(c.size()) {}
  template <class C>
  requires(!std::is_same_v<C, slice> && !std::is_lvalue_reference_v<C> && fits<C>) constexpr slice(C&& c) noexcept
      : data_(c.data()), size_(c.size()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T& operator[](std::size_t i) const noexcept { return data_[i]; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }
  constexpr slice first(std::size_t count) const noexcept { return {data_, count}; }
  constexpr slice subspan(std::size_t at) const noexcept { return {data_ + at, size_ - at}; }
  constexpr slice subspan(std::size_t at, std::size_t count) const noexcept { return {data_ + at, count}; }
  constexpr std::span<T> span() const noexcept { return {data_, size_}; }
  constexpr operator std::span<T>() const noexcept { return span(); }

private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The memory of a list. No template, so that all lists grow by the same code.
class list_memory {
public:
  list_memory() = default;
  list_memory(const list_memory&) = delete;
  list_memory& operator=(const list_memory&) = delete;
  ~list_memory() { ::operator delete(data_); }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  void clear() noexcept { size_ = 0; }
  void swap(list_memory& other) noexcept {
    void* const data = data_;
    const std::size_t size = size_, capacity = capacity_;
    data_ = other.data_;
    size_ = other.size_;
    capacity_ = other.capacity_;
    other.data_ = data;
    other.size_ = size;
    other.capacity_ = capacity;
  }

protected:
  /// Throws std::bad_alloc.
  FEDAGG_COLD void grow(std::size_t count, std::size_t bytes) {
    const std::size_t twice = 2 * capacity_, most = static_cast<std::size_t>(PTRDIFF_MAX) / bytes;
    const std::size_t want = count < twice ? twice : count;
    void* const data = ::operator new(want > most ? static_cast<std::size_t>(PTRDIFF_MAX) : want * bytes);
    if (size_ != 0) std::memcpy(data, data_, size_ * bytes);
    ::operator delete(data_);
    data_ = data;
    capacity_ = want;
  }

  void* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// std::vector for plain data, at a fraction of the time that takes to compile. It is no range, because asking whether
/// it is one costs as much again: `for (T& x : list.each())`.
template <class T>
class list : public list_memory {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignof(std::max_align_t), "plain data only");

public:
  list() = default;
  list(const list& other) : list_memory() { assign(other.data(), other.size()); }
  list(list&& other) noexcept { swap(other); }
  list& operator=(const list& other) {
    if (this != &other) assign(other.data(), other.size());
    return *this;
  }
  list& operator=(list&& other) noexcept {
    swap(other);
    return *this;
  }

  T* data() noexcept { return static_cast<T*>(data_); }
  const T* data() const noexcept { return static_cast<const T*>(data_); }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  const T& back() const noexcept { return data()[size_ - 1]; }
  slice<T> each() noexcept { return {data(), size_}; }
  slice<const T> each() const noexcept { return {data(), size_}; }
  operator std::span<T>() noexcept { return {data(), size_}; }
  operator std::span<const T>() const noexcept { return {data(), size_}; }

  void reserve(std::size_t count) {
    if (count > capacity_) grow(count, sizeof(T));
  }
  void push_back(const T& value) {
    const T copy = value; // which may lie in here
    if (size_ == capacity_) grow(size_ + 1, sizeof(T));
    data()[size_++] = copy;
  }
  void pop_back() noexcept { --size_; }
  /// New elements are copies of `value`.
  void resize(std::size_t count, const T& value = T{}) {
    reserve(count);
    for (std::size_t i = size_; i < count; ++i) data()[i] = value;
    size_ = count;
  }
  /// New elements have any value: for scratch memory, whose zeros would take longer than a small round.
  void resize_for_overwrite(std::size_t count) {
    reserve(count);
    size_ = count;
  }
  void assign(std::size_t count, const T& value) {
    clear();
    resize(count, value);
  }
  /// From elsewhere.
  void assign(const T* from, std::size_t count) {
    clear();
    append(from, count);
  }
  void append(const T* from, std::size_t count) {
    reserve(size_ + count);
    if (count != 0) std::memcpy(static_cast<void*>(data() + size_), from, count * sizeof(T));
    size_ += count;
  }
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_LIST_HPP
