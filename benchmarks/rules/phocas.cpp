// SPDX-License-Identifier: MIT
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/phocas.hpp>

#include "support/rule_benchmark.hpp"

namespace {

template <class T>
void a_quarter_hostile(benchmark::State& state) {
  bench::rounds<T>(state, [](std::size_t n) { return fedagg::phocas{.f = static_cast<std::int64_t>(n / 4)}; });
}
BENCHMARK(a_quarter_hostile<float>)
    ->Arg(5)
    ->Arg(8)
    ->Arg(20)
    ->Arg(32)
    ->Arg(50)
    ->Arg(100)
    ->Arg(1000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(a_quarter_hostile<double>)->Arg(20)->Unit(benchmark::kMillisecond);
BENCHMARK(a_quarter_hostile<fedagg::bfloat16>)->Arg(20)->Unit(benchmark::kMillisecond);

} // namespace
