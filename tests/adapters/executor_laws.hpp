// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_ADAPTERS_EXECUTOR_LAWS_HPP
#define FEDAGG_TESTS_ADAPTERS_EXECUTOR_LAWS_HPP

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <fedagg/fedagg.hpp>

#include "support/catch.hpp"

// What every executor promises; each adapter's test calls these with executors of several widths.

/// How often each index was called.
template <class Executor>
std::vector<int> counted(Executor& run, std::size_t count) {
  std::vector<std::atomic<int>> calls(count);
  run(count, [&](std::size_t i) { ++calls.at(i); });
  return {calls.begin(), calls.end()};
}

template <class Executor>
void calls_each_index_once(Executor& run) {
  for (const std::size_t count : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
    CAPTURE(count);
    CHECK(counted(run, count) == std::vector<int>(count, 1));
  }
  // Many short loops one after another: a worker that comes late must not run an index of the next loop twice.
  int wrong = 0;
  for (int repeat = 0; repeat < 300; ++repeat) wrong += counted(run, 5) != std::vector<int>(5, 1);
  CHECK(wrong == 0);
}

template <class Executor>
void returns_after_all(Executor& run) {
  // Plain, not atomic: the end of the loop has to order these writes before the reads below.
  std::vector<std::size_t> values(10000);
  run(values.size(), [&](std::size_t i) { values[i] = i * i; });
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) wrong += values[i] != i * i;
  CHECK(wrong == 0);
}

template <class Executor>
void runs_nested_loops(Executor& run) {
  std::vector<std::atomic<int>> calls(12);
  run(4, [&](std::size_t i) { run(3, [&, i](std::size_t k) { ++calls[3 * i + k]; }); });
  for (const auto& c : calls) CHECK(c == 1);
}

#if FEDAGG_EXCEPTIONS
template <class Executor>
void carries_the_first_exception(Executor& run) {
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::atomic<int> calls{0};
    std::string caught;
    try {
      run(40, [&](std::size_t i) {
        ++calls;
        if (i == 11 || i == 12 || i == 39) throw std::runtime_error(std::to_string(i));
      });
    } catch (const std::runtime_error& e) {
      caught = e.what();
    }
    REQUIRE(caught == "11");
    REQUIRE(calls == 40);
  }
  CHECK(counted(run, 9) == std::vector<int>(9, 1));
}
#endif

/// A round of a rule for each pass: the executor must not change a bit. tests/laws has every rule on one executor.
template <class Executor>
void same_bits_as_serial(Executor& run) {
  constexpr std::size_t clients = 9, size = 20011;
  std::vector<std::vector<float>> models(clients, std::vector<float>(size));
  std::uint32_t state = 12345;
  for (auto& model : models)
    for (float& x : model) {
      state = state * 1664525u + 1013904223u;
      x = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-20f;
    }
  models[4][size - 3] = std::bit_cast<float>(0x7fc00000u);
  fedagg::cohort cohort;
  for (std::size_t i = 0; i < clients; ++i) cohort.add(models[i], {.weight = 1.0 + static_cast<double>(i) / 7});
  cohort.updates();
  const auto compare = [&](const auto& rule) {
    DYNAMIC_SECTION("same bits as serial: " << rule.name) {
      std::vector<float> serial(size), parallel(size);
      const auto a = fedagg::aggregate(rule, cohort, serial, {.grain = 1000});
      const auto b = fedagg::aggregate(rule, cohort, parallel, {.executor = run, .grain = 1000});
      CHECK(a.rejected.size() == 1);
      CHECK(b.rejected.size() == 1);
      std::size_t different = 0;
      for (std::size_t k = 0; k < size; ++k)
        different += std::bit_cast<std::uint32_t>(serial[k]) != std::bit_cast<std::uint32_t>(parallel[k]);
      CHECK(different == 0);
    }
  };
  compare(fedagg::mean{});
  compare(fedagg::median{});
  compare(fedagg::trimmed_mean{.trim = 2});
  compare(fedagg::sign_majority{});
  compare(fedagg::cge{.f = 1});
  compare(fedagg::krum{.f = 1});
  compare(fedagg::nnm{.f = 1} | fedagg::median{});
}

/// All of it, for one executor.
template <class Executor>
void keeps_the_executor_laws(Executor& run) {
  SECTION("each index once") { calls_each_index_once(run); }
  SECTION("returns after all") { returns_after_all(run); }
  SECTION("nested loops") { runs_nested_loops(run); }
#if FEDAGG_EXCEPTIONS
  SECTION("carries the first exception") { carries_the_first_exception(run); }
#endif
  same_bits_as_serial(run);
}

#endif // FEDAGG_TESTS_ADAPTERS_EXECUTOR_LAWS_HPP
