// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_CLI_PROGRESS_HPP
#define FEDAGG_EXAMPLES_CLI_PROGRESS_HPP

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include <unistd.h>

#include <fedagg/core/executor.hpp>

#include "common.hpp"

namespace cli {

/// Turns SIGINT, SIGTERM and SIGHUP into a flag while it lives, so that the temporary output is removed; the second
/// signal ends the program at once.
class interruptible {
public:
  interruptible() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction current = {};
      // What the parent has switched off (nohup) stays off.
      if (::sigaction(signal, nullptr, &current) != 0 || current.sa_handler == SIG_IGN) continue;
      struct sigaction action = {};
      action.sa_handler = [](int caught) { received_.store(caught); };
      action.sa_flags = static_cast<int>(SA_RESETHAND);
      ::sigaction(signal, &action, nullptr);
    }
  }

  /// 0, or the signal.
  static int received() noexcept { return received_.load(); }

private:
  static_assert(std::atomic<int>::is_always_lock_free);
  static inline std::atomic<int> received_{0};
};

/// A line on the standard error that says how far the work is; silent unless that is a terminal.
class progress {
public:
  progress() : terminal_(::isatty(STDERR_FILENO) != 0) {}
  ~progress() { clear(); }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  void show(const std::string& what) {
    if (!terminal_) return;
    std::fprintf(stderr, "\r\x1b[K%s", what.c_str());
    std::fflush(stderr);
    shown_ = true;
  }

  void show(const std::string& what, std::size_t done, std::size_t total) {
    if (!terminal_) return;
    constexpr std::size_t width = 30;
    const double share = total ? static_cast<double>(done) / static_cast<double>(total) : 1;
    const auto full = static_cast<std::size_t>(share * width);
    show(what + " [" + std::string(full, '#') + std::string(width - full, '.') + "] " +
         std::to_string(static_cast<int>(share * 100)) + " %");
  }

  void clear() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
    shown_ = false;
  }

private:
  bool terminal_;
  bool shown_ = false;
};

/// Runs the library's loops on another executor; counts what is done, shows it, looks at the memory in use now and
/// then, and stops at a signal.
template <class Executor>
class watched {
public:
  watched(Executor& executor, progress& line) noexcept : executor_(executor), line_(line) {}

  void operator()(std::size_t count, fedagg::task body) {
    ++pass_;
    body_ = &body;
    count_ = count;
    done_ = 0;
    executor_(count, fedagg::task(this, [](void* self, std::size_t i) noexcept { static_cast<watched*>(self)->run(i); }));
    look();
  }

  std::size_t concurrency() const noexcept { return executor_.concurrency(); }
  std::uint64_t peak_rss_anon() const noexcept { return peak_; }

private:
  using clock = std::chrono::steady_clock;

  void run(std::size_t index) noexcept {
    // A task that is left out makes the library refuse the round.
    if (interruptible::received() != 0) return;
    (*body_)(index);
    const std::size_t done = ++done_;
    const auto now = clock::now().time_since_epoch().count();
    auto due = due_.load();
    if (now < due || !due_.compare_exchange_strong(due, now + clock::duration(std::chrono::milliseconds(100)).count()))
      return;
    if (busy_.test_and_set()) return;
    try {
      look();
      line_.show(pass_ > 1 ? "once more, without the bad files" : "aggregating", done, count_);
    } catch (...) {
      // Without memory for the line the work goes on.
    }
    busy_.clear();
  }

  void look() { peak_ = std::max(peak_, rss_anon()); }

  Executor& executor_;
  progress& line_;
  const fedagg::task* body_ = nullptr;
  std::size_t count_ = 0;
  int pass_ = 0;
  std::atomic<std::size_t> done_{0};
  std::atomic<clock::rep> due_{0};
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::uint64_t peak_ = 0;
};

} // namespace cli

#endif // FEDAGG_EXAMPLES_CLI_PROGRESS_HPP
