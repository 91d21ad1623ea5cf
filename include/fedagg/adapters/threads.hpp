// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_THREADS_HPP
#define FEDAGG_ADAPTERS_THREADS_HPP

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// An executor of persistent `std::thread` workers: `pool(count, f)` calls f(i) once for every i below `count`.
///
/// Indices are handed out one by one, so that uneven tasks balance. The call returns after all of them; if some threw,
/// it then throws the exception of the lowest index. A call that finds the pool busy (from inside one of its own tasks,
/// or from another thread) runs its loop in place, so that no nesting of pools can deadlock.
class thread_pool {
public:
  /// `threads` counts the caller, so that 1 starts none; 0 stands for the machine's. Throws `std::system_error` if one
  /// cannot be started.
  explicit thread_pool(std::size_t threads = 0) : thread_pool(nothing{}) {
    if (threads == 0) threads = std::thread::hardware_concurrency();
    if (threads < 2) return;
    // From here on an exception runs the destructor, which joins those that have started.
    workers_.reserve(threads - 1);
    while (workers_.size() < threads - 1) workers_.emplace_back([this] { serve(); });
  }

  /// Joins. No loop may be running.
  ~thread_pool() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  /// How many threads a loop may run on, the caller's included.
  std::size_t concurrency() const noexcept { return workers_.size() + 1; }

  template <class F>
  requires std::is_invocable_v<F&, std::size_t>
  void operator()(std::size_t count, F&& f) {
    using function = std::remove_reference_t<F>;
    loop l{const_cast<void*>(static_cast<const void*>(std::addressof(f))),
           [](void* body, std::size_t i) { (*static_cast<function*>(body))(i); }, count};
    if (count < 2 || workers_.empty() || busy_.exchange(true, std::memory_order_acquire)) {
      l.work();
    } else {
      share(l);
      busy_.store(false, std::memory_order_release);
    }
#if FEDAGG_EXCEPTIONS
    if (l.thrown) std::rethrow_exception(l.thrown);
#endif
  }

private:
  struct nothing {};
  explicit thread_pool(nothing) noexcept {}

  struct loop {
    void* body;
    void (*call)(void*, std::size_t);
    std::size_t count;
    std::atomic<std::size_t> next{0};
    std::mutex mutex{};
    std::exception_ptr thrown{};
    std::size_t thrown_at = 0;

    void work() noexcept {
      for (std::size_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
           i = next.fetch_add(1, std::memory_order_relaxed)) {
#if FEDAGG_EXCEPTIONS
        try {
          call(body, i);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (!thrown || i < thrown_at) {
            thrown = std::current_exception();
            thrown_at = i;
          }
        }
#else
        call(body, i);
#endif
      }
    }
  };

  void share(loop& l) noexcept {
    const std::size_t helpers = l.count - 1 < workers_.size() ? l.count - 1 : workers_.size();
    {
      const std::lock_guard lock(mutex_);
      loop_ = &l;
      places_ = helpers;
    }
    if (helpers == workers_.size()) {
      wake_.notify_all();
    } else {
      for (std::size_t k = 0; k < helpers; ++k) wake_.notify_one();
    }
    l.work();
    // Nothing is left to hand out: a worker that has not come yet is not waited for.
    std::unique_lock lock(mutex_);
    places_ = 0;
    idle_.wait(lock, [this] { return working_ == 0; });
    loop_ = nullptr;
  }

  void serve() noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stop_ || places_ > 0; });
      if (stop_) return;
      --places_;
      ++working_;
      loop& l = *loop_;
      lock.unlock();
      l.work();
      lock.lock();
      if (--working_ == 0) idle_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::atomic<bool> busy_{false};
  std::mutex mutex_;
  std::condition_variable wake_; ///< places are open, or the pool ends
  std::condition_variable idle_; ///< no worker is in the loop
  loop* loop_ = nullptr;
  std::size_t places_ = 0;  ///< workers that may still join the loop
  std::size_t working_ = 0; ///< workers in the loop
  bool stop_ = false;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_THREADS_HPP
