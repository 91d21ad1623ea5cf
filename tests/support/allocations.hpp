// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_ALLOCATIONS_HPP
#define FEDAGG_TESTS_SUPPORT_ALLOCATIONS_HPP

#include <cstddef>
#include <cstdlib>
#include <new>

/// Counts the calls of operator new and makes them fail on demand. It replaces the program's operators, so it is
/// included by one unit of a program; not for threads.
namespace allocations {

inline std::size_t count = 0;
/// What all of them together asked for.
inline std::size_t bytes = 0;
/// So many more succeed, then all fail.
inline std::size_t left = static_cast<std::size_t>(-1);

inline void* allocate(std::size_t size, std::size_t alignment = 0) noexcept {
  ++count;
  bytes += size;
  if (left == 0) return nullptr;
  if (left != static_cast<std::size_t>(-1)) --left;
  if (alignment != 0) return std::aligned_alloc(alignment, (size / alignment + 1) * alignment);
  return std::malloc(size ? size : 1);
}

/// Nothing is left after `more` allocations while it lives.
class limit {
public:
  explicit limit(std::size_t more) noexcept { left = more; }
  ~limit() { left = static_cast<std::size_t>(-1); }
  limit(const limit&) = delete;
  limit& operator=(const limit&) = delete;
};

inline void* allocate_or_throw(std::size_t size, std::size_t alignment = 0) {
  void* p = allocate(size, alignment);
#if defined(__cpp_exceptions)
  if (!p) throw std::bad_alloc();
#else
  if (!p) std::abort();
#endif
  return p;
}

// Out of line: g++ takes an inlined free() for a mismatch with operator new.
[[gnu::noinline]] inline void release(void* p) noexcept { std::free(p); }

} // namespace allocations

void* operator new(std::size_t size) { return allocations::allocate_or_throw(size); }
void* operator new[](std::size_t size) { return allocations::allocate_or_throw(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocations::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocations::allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocations::allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocations::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { allocations::release(p); }
void operator delete[](void* p) noexcept { allocations::release(p); }
void operator delete(void* p, std::size_t) noexcept { allocations::release(p); }
void operator delete[](void* p, std::size_t) noexcept { allocations::release(p); }
void operator delete(void* p, std::align_val_t) noexcept { allocations::release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { allocations::release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { allocations::release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { allocations::release(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { allocations::release(p); }

#endif // FEDAGG_TESTS_SUPPORT_ALLOCATIONS_HPP
