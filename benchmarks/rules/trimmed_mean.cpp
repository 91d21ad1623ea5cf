// SPDX-License-Identifier: MIT
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

#include "support/rule_benchmark.hpp"

namespace {

template <class T>
void by_fraction(benchmark::State& state) {
  bench::rounds<T>(state, [](std::size_t) { return fedagg::trimmed_mean{.fraction = 0.25}; });
}
BENCHMARK(by_fraction<float>)
    ->Arg(5)
    ->Arg(8)
    ->Arg(20)
    ->Arg(32)
    ->Arg(50)
    ->Arg(100)
    ->Arg(1000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(by_fraction<double>)->Arg(20)->Unit(benchmark::kMillisecond);
BENCHMARK(by_fraction<fedagg::bfloat16>)->Arg(20)->Unit(benchmark::kMillisecond);

void trusted_mass(benchmark::State& state) {
  bench::rounds<float>(
      state, [](std::size_t) { return fedagg::trimmed_mean{.mass = 0.25, .weighting = fedagg::weights::trusted}; });
}
BENCHMARK(trusted_mass)->Arg(20)->Unit(benchmark::kMillisecond);

} // namespace
