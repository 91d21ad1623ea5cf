// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_RELAXED_HPP
#define FEDAGG_CORE_RELAXED_HPP

#include <fedagg/config.hpp>

// <atomic> costs twice <vector> to include, for five operations.
#if !defined(__GNUC__) && !defined(__clang__)
#include <atomic>
#endif

namespace fedagg::inline FEDAGG_ABI::detail {

#if defined(__GNUC__) || defined(__clang__)
template <class T>
T relaxed_load(const T& x) noexcept {
  return __atomic_load_n(&x, __ATOMIC_RELAXED);
}
template <class T>
void relaxed_store(T& x, T value) noexcept {
  __atomic_store_n(&x, value, __ATOMIC_RELAXED);
}
template <class T>
T fetch_add(T& x, T value) noexcept {
  return __atomic_fetch_add(&x, value, __ATOMIC_ACQ_REL);
}
/// Takes a flag; true if it was free.
inline bool try_take(unsigned char& flag) noexcept { return !__atomic_exchange_n(&flag, 1, __ATOMIC_ACQUIRE); }
inline void give_back(unsigned char& flag) noexcept { __atomic_store_n(&flag, 0, __ATOMIC_RELEASE); }
template <class T>
bool exchange_if(T& x, T& expected, T value) noexcept {
  return __atomic_compare_exchange_n(&x, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
#else
template <class T>
T relaxed_load(const T& x) noexcept {
  return std::atomic_ref<T>(const_cast<T&>(x)).load(std::memory_order_relaxed);
}
template <class T>
void relaxed_store(T& x, T value) noexcept {
  std::atomic_ref<T>(x).store(value, std::memory_order_relaxed);
}
template <class T>
T fetch_add(T& x, T value) noexcept {
  return std::atomic_ref<T>(x).fetch_add(value, std::memory_order_acq_rel);
}
inline bool try_take(unsigned char& flag) noexcept {
  return !std::atomic_ref<unsigned char>(flag).exchange(1, std::memory_order_acquire);
}
inline void give_back(unsigned char& flag) noexcept {
  std::atomic_ref<unsigned char>(flag).store(0, std::memory_order_release);
}
template <class T>
bool exchange_if(T& x, T& expected, T value) noexcept {
  return std::atomic_ref<T>(x).compare_exchange_strong(expected, value, std::memory_order_relaxed);
}
#endif

/// x = min(x, value), whoever comes first.
template <class T>
void lower_to(T& x, T value) noexcept {
  T seen = relaxed_load(x);
  while (value < seen && !exchange_if(x, seen, value)) {
  }
}

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_RELAXED_HPP
