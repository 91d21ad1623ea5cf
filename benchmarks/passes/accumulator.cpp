// SPDX-License-Identifier: MIT
#include <fedagg/passes/accumulator.hpp>

#include "support/rule_benchmark.hpp"

namespace {

constexpr std::size_t d = 1 << 22;

/// Bytes of the client; the sums, a double read and written per coordinate, come on top.
template <class T>
void absorb(benchmark::State& state) {
  const bench::clients<T> c(2, d);
  fedagg::mean_accumulator sums{fedagg::model_view(c.out())};
  const fedagg::model_view client(std::span<const T>(c.rows()[0], d));
  for (auto _ : state)
    if (const fedagg::errc rc = sums.try_absorb(client, 100); rc != fedagg::errc::ok)
      return state.SkipWithError(fedagg::message(rc));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(d * sizeof(T)));
  state.SetLabel(fedagg::name_of(fedagg::active_isa()));
}
BENCHMARK(absorb<float>)->Unit(benchmark::kMillisecond);
BENCHMARK(absorb<fedagg::bfloat16>)->Unit(benchmark::kMillisecond);

/// The second server's sums are merged into the first's.
void merge(benchmark::State& state) {
  const bench::clients<float> c(2, d);
  fedagg::mean_accumulator first{fedagg::model_view(c.out())}, second{fedagg::model_view(c.out())};
  second.absorb(fedagg::model_view(std::span<const float>(c.rows()[1], d)));
  for (auto _ : state)
    if (const fedagg::errc rc = first.try_merge(second); rc != fedagg::errc::ok)
      return state.SkipWithError(fedagg::message(rc));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(3 * d * sizeof(double)));
}
BENCHMARK(merge)->Unit(benchmark::kMillisecond);

void finish(benchmark::State& state) {
  const bench::clients<float> c(2, d);
  fedagg::mean_accumulator sums{fedagg::model_view(c.out())};
  sums.absorb(fedagg::model_view(std::span<const float>(c.rows()[0], d)));
  const fedagg::mutable_model_view out(c.out());
  for (auto _ : state)
    if (const fedagg::errc rc = sums.try_finish(out); rc != fedagg::errc::ok)
      return state.SkipWithError(fedagg::message(rc));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(d * (sizeof(double) + sizeof(float))));
}
BENCHMARK(finish)->Unit(benchmark::kMillisecond);

} // namespace
