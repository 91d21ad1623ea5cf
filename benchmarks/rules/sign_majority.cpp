// SPDX-License-Identifier: MIT
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/sign_majority.hpp>

#include "support/rule_benchmark.hpp"

namespace {

template <class T>
void of_updates(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const bench::clients<T> c(n, bench::coordinates(n));
  fedagg::cohort updates = c.cohort();
  updates.updates();
  const fedagg::mutable_model_view out(c.out());
  const fedagg::sign_majority rule{};
  fedagg::workspace space;
  for (auto _ : state)
    if (const fedagg::errc rc = fedagg::try_aggregate(rule, updates, out, space); rc != fedagg::errc::ok)
      return state.SkipWithError(fedagg::message(rc));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(c.input_bytes() + c.output_bytes()));
  state.SetLabel(fedagg::name_of(fedagg::active_isa()));
}
BENCHMARK(of_updates<float>)->Arg(5)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);
BENCHMARK(of_updates<double>)->Arg(20)->Unit(benchmark::kMillisecond);
BENCHMARK(of_updates<fedagg::bfloat16>)->Arg(20)->Unit(benchmark::kMillisecond);

} // namespace
