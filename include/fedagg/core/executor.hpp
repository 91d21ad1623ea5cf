// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_EXECUTOR_HPP
#define FEDAGG_CORE_EXECUTOR_HPP

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// One parallel loop's body: call it with every index from 0 to count - 1, each once, on any thread. Never throws.
class task {
public:
  task(void* context, void (*body)(void*, std::size_t) noexcept) noexcept : context_(context), body_(body) {}
  void operator()(std::size_t index) const noexcept { body_(context_, index); }

private:
  void* context_;
  void (*body_)(void*, std::size_t) noexcept;
};

/// A reference to whatever runs loops: any lvalue callable as `run(count, task)`. It must call the task once for each
/// index below `count` and return after all of them; it may throw. The library has no threads of its own: the default
/// runs the loop in place. A pool with `concurrency()` is given that much scratch memory, others 16 slots' worth.
class executor_ref {
public:
  executor_ref() = default;

  template <class E>
  requires(!std::is_same_v<std::remove_cv_t<E>, executor_ref> && std::is_invocable_v<E&, std::size_t, task>)
      executor_ref(E& executor)
  noexcept
      : run_([](void* object, std::size_t count, task t) {
          if constexpr (std::is_function_v<E>)
            reinterpret_cast<E*>(object)(count, t);
          else
            (*static_cast<E*>(object))(count, t);
        }),
        width_(16) {
    if constexpr (std::is_function_v<E>)
      object_ = reinterpret_cast<void*>(&executor);
    else
      object_ = const_cast<void*>(static_cast<const void*>(&executor));
    if constexpr (requires { std::size_t(executor.concurrency()); }) width_ = std::size_t(executor.concurrency());
  }

  void operator()(std::size_t count, task t) const {
    if (run_) return run_(object_, count, t);
    for (std::size_t i = 0; i < count; ++i) t(i);
  }

  /// How many tasks may run at once.
  std::size_t concurrency() const noexcept { return width_ > 0 ? width_ : 1; }

private:
  void* object_ = nullptr;
  void (*run_)(void*, std::size_t, task) = nullptr;
  std::size_t width_ = 1;
};

namespace detail {

/// What a task adds to its loop's sum: an executor that skips, repeats or invents indices does not reach
/// `all_tickets(count)`, also where it calls the right number of them.
constexpr std::size_t ticket(std::size_t index) noexcept {
  std::uint64_t x = index + 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return static_cast<std::size_t>(x ^ x >> 31);
}
constexpr std::size_t all_tickets(std::size_t count) noexcept {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += ticket(i);
  return sum;
}

} // namespace detail
} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_EXECUTOR_HPP
