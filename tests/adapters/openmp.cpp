// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <vector>

#include <fedagg/adapters/openmp.hpp>

#include "compiled/rules.hpp"
#include "executor_laws.hpp"

using fedagg::openmp_executor;

TEST_CASE("the OpenMP executor keeps the laws of executors") {
  const std::size_t threads = GENERATE(0u, 1u, 2u, 8u);
  CAPTURE(threads);
  const openmp_executor run{.threads = threads};
  keeps_the_executor_laws(run);
}

TEST_CASE("the OpenMP executor names its width") {
#if defined(_OPENMP)
  CHECK(openmp_executor{.threads = 3}.concurrency() == 3);
  CHECK(openmp_executor{}.concurrency() == static_cast<std::size_t>(omp_get_max_threads()));

  int team = 0;
  openmp_executor{.threads = 3}(5, [&](std::size_t i) {
    if (i == 0) team = omp_get_num_threads();
  });
  CHECK(team == 3);
#endif
}

TEST_CASE("without OpenMP the loop runs in place") {
  const fedagg::basic_openmp_executor<false> serial{.threads = 8};
  CHECK(serial.concurrency() == 1);
  std::vector<std::size_t> order; // not guarded: one thread, and in order
  serial(1000, [&](std::size_t i) { order.push_back(i); });
  REQUIRE(order.size() == 1000);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a thread limit beyond int is not a negative one") {
  CHECK(counted(static_cast<const openmp_executor&>(openmp_executor{.threads = static_cast<std::size_t>(-1)}), 2) ==
        std::vector<int>(2, 1));
}
