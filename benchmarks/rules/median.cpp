// SPDX-License-Identifier: MIT
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/median.hpp>

#include "support/rule_benchmark.hpp"

namespace {

template <class T>
void midpoint(benchmark::State& state) {
  bench::rounds<T>(state, [](std::size_t) { return fedagg::median{}; });
}
BENCHMARK(midpoint<float>)
    ->Arg(5)
    ->Arg(8)
    ->Arg(20)
    ->Arg(32)
    ->Arg(50)
    ->Arg(100)
    ->Arg(1000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(midpoint<double>)->Arg(20)->Unit(benchmark::kMillisecond);
BENCHMARK(midpoint<fedagg::bfloat16>)->Arg(20)->Unit(benchmark::kMillisecond);

void lower(benchmark::State& state) {
  bench::rounds<float>(state, [](std::size_t) { return fedagg::median{.even = fedagg::middle::lower}; });
}
BENCHMARK(lower)->Arg(20)->Unit(benchmark::kMillisecond);

void trusted_weights(benchmark::State& state) {
  bench::rounds<float>(state, [](std::size_t) { return fedagg::median{.weighting = fedagg::weights::trusted}; });
}
BENCHMARK(trusted_weights)->Arg(20)->Unit(benchmark::kMillisecond);

} // namespace
