// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_SUPPORT_COUNTED_MEMORY_HPP
#define FEDAGG_BENCHMARKS_SUPPORT_COUNTED_MEMORY_HPP

/// Replaces the global operator new: include it in one unit of a program.

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace bench {

inline std::atomic<std::size_t> live_bytes{0};
inline std::atomic<std::size_t> peak_bytes{0};

/// The most bytes alive at once while f runs, beyond those before it.
template <class F>
std::size_t peak_of(const F& f) {
  const std::size_t before = live_bytes;
  peak_bytes = before;
  f();
  return peak_bytes - before;
}

} // namespace bench

// The size stands before the block, in as much room as keeps its alignment. Out of line, because a compiler that sees
// both functions takes that place for one out of bounds.
[[gnu::noinline]] void* operator new(std::size_t size) {
  constexpr std::size_t head = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  auto* block = static_cast<std::byte*>(std::malloc(size + head));
  if (!block) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(block) = size;
  const std::size_t live = bench::live_bytes += size;
  std::size_t peak = bench::peak_bytes;
  while (peak < live && !bench::peak_bytes.compare_exchange_weak(peak, live)) {
  }
  return block + head;
}

[[gnu::noinline]] void operator delete(void* data) noexcept {
  if (!data) return;
  auto* block = static_cast<std::byte*>(data) - __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  bench::live_bytes -= *reinterpret_cast<std::size_t*>(block);
  std::free(block);
}
void operator delete(void* data, std::size_t) noexcept { operator delete(data); }

#endif // FEDAGG_BENCHMARKS_SUPPORT_COUNTED_MEMORY_HPP
