// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_OPENMP_HPP
#define FEDAGG_ADAPTERS_OPENMP_HPP

#include <climits>
#include <cstddef>
#include <exception>
#include <type_traits>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// An executor on OpenMP's threads: `run(count, f)` calls f(i) once for every i below `count`. Without OpenMP in the
/// build (`-fopenmp`) the loop runs in place and `concurrency()` is 1.
///
/// Indices are handed out one by one. The call returns after all of them; if some threw, it then throws the exception
/// of the lowest index. Inside another parallel region OpenMP's own nesting decides, by default one thread.
template <bool OpenMP>
struct basic_openmp_executor {
  std::size_t threads = 0; ///< at most so many; 0 for OpenMP's own choice (OMP_NUM_THREADS)

  std::size_t concurrency() const noexcept {
    if constexpr (OpenMP)
      return static_cast<std::size_t>(wanted());
    else
      return 1;
  }

  template <class F>
  requires std::is_invocable_v<F&, std::size_t>
  void operator()(std::size_t count, F&& f) const {
#if FEDAGG_EXCEPTIONS
    // An exception that leaves a parallel region ends the program: it waits here for the end of the loop.
    std::exception_ptr thrown;
    std::size_t thrown_at = 0;
    const auto call = [&](std::size_t i) {
      try {
        f(i);
      } catch (...) {
#if defined(_OPENMP)
#pragma omp critical(fedagg_openmp_executor)
#endif
        if (!thrown || i < thrown_at) {
          thrown = std::current_exception();
          thrown_at = i;
        }
      }
    };
#else
    auto& call = f;
#endif
#if defined(_OPENMP)
    if constexpr (OpenMP) {
      const auto end = static_cast<std::ptrdiff_t>(count);
      const int team = count < static_cast<std::size_t>(wanted()) ? static_cast<int>(count) : wanted();
      // OpenMP knows no team of nobody.
#pragma omp parallel for schedule(dynamic, 1) num_threads(team > 0 ? team : 1)
      for (std::ptrdiff_t i = 0; i < end; ++i) call(static_cast<std::size_t>(i));
    } else
#endif
      for (std::size_t i = 0; i < count; ++i) call(i);
#if FEDAGG_EXCEPTIONS
    if (thrown) std::rethrow_exception(thrown);
#endif
  }

private:
  int wanted() const noexcept {
#if defined(_OPENMP)
    if (threads == 0) return omp_get_max_threads();
#endif
    return threads < static_cast<std::size_t>(INT_MAX) ? static_cast<int>(threads) : INT_MAX;
  }
};

// A type of its own for each, so that units built with and without OpenMP can be linked into one program.
#if defined(_OPENMP)
using openmp_executor = basic_openmp_executor<true>;
#else
using openmp_executor = basic_openmp_executor<false>;
#endif

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_OPENMP_HPP
