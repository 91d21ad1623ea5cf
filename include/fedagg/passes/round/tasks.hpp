// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ROUND_TASKS_HPP
#define FEDAGG_PASSES_ROUND_TASKS_HPP

#include <cstddef>

#include <fedagg/core/errc.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Runs f(index) for every index below count, each in the standard floating-point mode. `executor_failed` if the
/// executor threw, or did not run each once.
template <class F>
errc run_tasks(executor_ref executor, std::size_t count, const F& f) noexcept {
  struct loop {
    const F& f;
    std::size_t count;
    std::size_t done = 0;
  } l{f, count};
  const task one(&l, [](void* context, std::size_t index) noexcept {
    auto& in = *static_cast<loop*>(context);
    if (index < in.count) {
      const fp_guard guard;
      in.f(index);
    }
    detail::fetch_add(in.done, detail::ticket(index));
  });
#if FEDAGG_EXCEPTIONS
  try {
    executor(count, one);
  } catch (...) {
    return errc::executor_failed;
  }
#else
  executor(count, one);
#endif
  return l.done == detail::all_tickets(count) ? errc::ok : errc::executor_failed;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ROUND_TASKS_HPP
