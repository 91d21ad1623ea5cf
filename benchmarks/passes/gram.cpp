// SPDX-License-Identifier: MIT
#include <fedagg/passes/gram.hpp>

#include "support/rule_benchmark.hpp"

namespace {

template <class T>
void sweep(benchmark::State& state, const fedagg::cohort& cohort, const bench::clients<T>& c) {
  fedagg::gram_table table;
  for (auto _ : state)
    if (const fedagg::errc rc = fedagg::try_gram(cohort, table); rc != fedagg::errc::ok)
      return state.SkipWithError(fedagg::message(rc));
  const double pairs = static_cast<double>(c.size() * (c.size() + 1) / 2 * c.dimension());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(c.input_bytes()));
  state.counters["products"] =
      benchmark::Counter(pairs, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
  state.SetLabel(std::string(fedagg::name_of(fedagg::active_isa())) + ", passes: " + std::to_string(table.passes()));
}

template <class T>
void gram(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const bench::clients<T> c(n, bench::coordinates(n));
  fedagg::cohort updates = c.cohort();
  sweep(state, updates.updates(), c);
}
BENCHMARK(gram<float>)->Arg(3)->Arg(20)->Arg(32)->Arg(100)->Unit(benchmark::kMillisecond);
BENCHMARK(gram<double>)->Arg(20)->Unit(benchmark::kMillisecond);
BENCHMARK(gram<fedagg::float16>)->Arg(20)->Unit(benchmark::kMillisecond);

/// Models without a base: a centre is chosen.
void models(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const bench::clients<float> c(n, bench::coordinates(n));
  sweep(state, c.cohort(), c);
}
BENCHMARK(models)->Arg(20)->Unit(benchmark::kMillisecond);

/// The worst case: every pair is close.
void second_pass(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const bench::clients<float> c(n, bench::coordinates(n));
  for (std::size_t i = 1; i < n; ++i)
    for (std::size_t j = 0; j < c.dimension(); ++j)
      const_cast<float*>(c.rows()[i])[j] = c.rows()[0][j] * (1 + 1e-4f * static_cast<float>(i));
  fedagg::cohort updates = c.cohort();
  sweep(state, updates.updates(), c);
}
BENCHMARK(second_pass)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);

} // namespace
