// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ACCUMULATOR_SHARDS_HPP
#define FEDAGG_PASSES_ACCUMULATOR_SHARDS_HPP

#include <cstddef>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/passes/round/tasks.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Holds a flag while it lives, for as long as a tile takes; who comes meanwhile waits without sleeping.
class flag_guard {
public:
  explicit flag_guard(unsigned char& flag) noexcept : flag_(flag) {
    while (!detail::try_take(flag_))
      while (detail::relaxed_load(flag_) != 0) pause();
  }
  ~flag_guard() { detail::give_back(flag_); }
  flag_guard(const flag_guard&) = delete;
  flag_guard& operator=(const flag_guard&) = delete;

private:
  static void pause() noexcept {
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
    __builtin_ia32_pause();
#elif (defined(__GNUC__) || defined(__clang__)) && defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  unsigned char& flag_;
};

/// The tiles of an accumulator, each with a flag that whoever adds to it holds.
class sum_shards {
public:
  void resize(std::size_t tiles) { busy_.assign(tiles, 0); }

  /// Where the next caller starts: far from where those before it did, so that they do not follow each other.
  std::size_t start() noexcept {
    const unsigned turn = detail::fetch_add(turn_, 1u);
    // The fraction of multiples of the golden ratio falls into the largest gap each time.
    return busy_.empty() ? 0
                         : static_cast<std::size_t>((turn * 2654435769u) * 0x1p-32 * static_cast<double>(busy_.size()));
  }

  /// Runs f(tile) for every tile, from `start` on and around; with `Exclusive` nobody else has that tile meanwhile.
  template <bool Exclusive, class F>
  errc each(executor_ref executor, std::size_t start, const F& f) noexcept {
    const std::size_t count = busy_.size();
    return run_tasks(executor, count, [&](std::size_t index) {
      const std::size_t tile = start < count - index ? start + index : start - (count - index);
      if constexpr (Exclusive) {
        const flag_guard held(busy_[tile]);
        f(tile);
      } else {
        f(tile);
      }
    });
  }

private:
  std::vector<unsigned char> busy_;
  unsigned turn_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ACCUMULATOR_SHARDS_HPP
