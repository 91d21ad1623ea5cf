// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_SUPPORT_RULE_BENCHMARK_HPP
#define FEDAGG_BENCHMARKS_SUPPORT_RULE_BENCHMARK_HPP

#include <cstddef>
#include <cstdint>

#include <benchmark/benchmark.h>

#include <fedagg/kernels/isa.hpp>
#include <fedagg/passes/aggregate.hpp>

#include "support/clients.hpp"

namespace bench {

/// Clients of a million coordinates, or of as many as keep the whole below half a gigabyte.
inline std::size_t coordinates(std::size_t n) { return n <= 100 ? std::size_t{1} << 20 : (std::size_t{1} << 26) / n; }

/// Rounds of `rule(n)` over n clients, n being the benchmark's argument; bytes read and written per second.
template <class T, class MakeRule>
void rounds(benchmark::State& state, const MakeRule& rule, const fedagg::options& how = {}) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const clients<T> c(n, coordinates(n));
  const fedagg::mutable_model_view out(c.out());
  fedagg::workspace space;
  for (auto _ : state)
    if (const fedagg::errc rc = fedagg::try_aggregate(rule(n), c.cohort(), out, space, how); rc != fedagg::errc::ok)
      return state.SkipWithError(fedagg::message(rc));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(c.input_bytes() + c.output_bytes()));
  state.SetLabel(fedagg::name_of(fedagg::active_isa()));
}

} // namespace bench

#endif // FEDAGG_BENCHMARKS_SUPPORT_RULE_BENCHMARK_HPP
