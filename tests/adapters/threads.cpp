// SPDX-License-Identifier: MIT
#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <fedagg/adapters/threads.hpp>

#include "compiled/rules.hpp"
#include "executor_laws.hpp"

using fedagg::thread_pool;

TEST_CASE("a pool keeps the laws of executors") {
  const std::size_t threads = GENERATE(1u, 2u, 3u, 8u);
  CAPTURE(threads);
  thread_pool pool(threads);
  keeps_the_executor_laws(pool);
}

TEST_CASE("a pool has as many threads as asked for, the caller included") {
  CHECK(thread_pool(1).concurrency() == 1);
  CHECK(thread_pool(4).concurrency() == 4);
  CHECK(thread_pool().concurrency() == std::max(1u, std::thread::hardware_concurrency()));

  // Three tasks that wait for one another can only end if three threads run them.
  thread_pool pool(3);
  std::mutex mutex;
  std::condition_variable all_here;
  std::set<std::thread::id> seen;
  pool(3, [&](std::size_t) {
    std::unique_lock lock(mutex);
    seen.insert(std::this_thread::get_id());
    all_here.notify_all();
    all_here.wait(lock, [&] { return seen.size() == 3; });
  });
  CHECK(seen.count(std::this_thread::get_id()) == 1);
}

TEST_CASE("a pool in use by one thread serves another one in place") {
  thread_pool pool(3);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 200; ++repeat) wrong += counted(pool, 17) != std::vector<int>(17, 1);
    });
  for (auto& c : callers) c.join();
  CHECK(wrong == 0);
}

TEST_CASE("two pools that call each other do not wait for each other") {
  thread_pool a(2), b(2);
  std::atomic<int> calls{0};
  a(4, [&](std::size_t) { b(4, [&](std::size_t) { a(4, [&](std::size_t) { ++calls; }); }); });
  CHECK(calls == 64);
}

TEST_CASE("a pool takes functions that cannot be copied and ones with state") {
  thread_pool pool(2);
  struct counter {
    std::atomic<int> calls{0};
    void operator()(std::size_t) { ++calls; }
  } count;
  pool(100, count);
  CHECK(count.calls == 100);
}

TEST_CASE("pools come and go") {
  for (int k = 0; k < 200; ++k) {
    thread_pool pool(4);
    if (k % 2) pool(2, [](std::size_t) {});
  }
}

TEST_CASE("a user's executor is a callable of three lines") {
  auto backwards = [](std::size_t count, auto&& f) {
    for (std::size_t i = count; i-- > 0;) f(i);
  };
  same_bits_as_serial(backwards);
}

TEST_CASE("an executor that breaks its promise is found out") {
  std::vector<std::vector<float>> models(5, std::vector<float>(100, 1.0f));
  std::vector<float> out(100);
  fedagg::cohort cohort;
  for (const auto& m : models) cohort.add(m);
  fedagg::workspace space;
  const auto code = [&](auto&& run) {
    return fedagg::try_aggregate(fedagg::median{}, cohort, out, space, {.executor = run, .grain = 16});
  };
  auto skips = [](std::size_t count, auto&& f) {
    for (std::size_t i = 1; i < count; ++i) f(i);
  };
  auto repeats = [](std::size_t count, auto&& f) {
    for (std::size_t i = 0; i < count; ++i) f(i);
    f(0);
  };
  auto skips_and_repeats = [](std::size_t count, auto&& f) {
    for (std::size_t i = 1; i < count; ++i) f(i);
    f(1);
  };
  auto beyond = [](std::size_t count, auto&& f) {
    for (std::size_t i = 1; i <= count; ++i) f(i);
  };
  CHECK(code(skips) == fedagg::errc::executor_failed);
  CHECK(code(repeats) == fedagg::errc::executor_failed);
  CHECK(code(skips_and_repeats) == fedagg::errc::executor_failed);
  CHECK(code(beyond) == fedagg::errc::executor_failed);
#if FEDAGG_EXCEPTIONS
  auto throws = [](std::size_t, auto&&) { throw 1; };
  CHECK(code(throws) == fedagg::errc::executor_failed);
#endif
  thread_pool pool(2);
  CHECK(code(pool) == fedagg::errc::ok);
}
