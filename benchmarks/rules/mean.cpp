// SPDX-License-Identifier: MIT
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>

#include "support/rule_benchmark.hpp"

namespace {

template <class T>
void weighted(benchmark::State& state) {
  bench::rounds<T>(state, [](std::size_t) { return fedagg::mean{}; });
}
BENCHMARK(weighted<float>)->Arg(3)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);
BENCHMARK(weighted<double>)->Arg(20)->Unit(benchmark::kMillisecond);
BENCHMARK(weighted<fedagg::float16>)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);
BENCHMARK(weighted<fedagg::bfloat16>)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);

void atomic(benchmark::State& state) {
  fedagg::options how;
  how.write = fedagg::write::atomic;
  bench::rounds<float>(
      state, [](std::size_t) { return fedagg::mean{}; }, how);
}
BENCHMARK(atomic)->Arg(20)->Unit(benchmark::kMillisecond);

} // namespace
