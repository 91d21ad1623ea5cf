// SPDX-License-Identifier: MIT
#include <fedagg/passes/rows.hpp>

#include "support/rule_benchmark.hpp"

namespace {

void sweep(benchmark::State& state, const fedagg::rows_request& request, const bench::clients<float>& c) {
  fedagg::row_table table;
  for (auto _ : state)
    if (const fedagg::errc rc = fedagg::try_rows(c.cohort(), table, request); rc != fedagg::errc::ok)
      return state.SkipWithError(fedagg::message(rc));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(c.input_bytes()));
  state.SetLabel(fedagg::name_of(fedagg::active_isa()));
}

void norms(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  sweep(state, {}, bench::clients<float>(n, bench::coordinates(n)));
}
BENCHMARK(norms)->Arg(3)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);

void norms_and_counts(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  sweep(state, {.counts = true}, bench::clients<float>(n, bench::coordinates(n)));
}
BENCHMARK(norms_and_counts)->Arg(20)->Unit(benchmark::kMillisecond);

/// The second argument is the number of extra rows.
void inner_products(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0)), k = static_cast<std::size_t>(state.range(1));
  const bench::clients<float> c(n, bench::coordinates(n)), extra(k, bench::coordinates(n));
  std::vector<fedagg::model_view> others;
  for (std::size_t i = 0; i < k; ++i) others.emplace_back(std::span<const float>(extra.rows()[i], extra.dimension()));
  sweep(state, {.others = others}, c);
}
BENCHMARK(inner_products)->Args({20, 1})->Args({20, 4})->Unit(benchmark::kMillisecond);

} // namespace
