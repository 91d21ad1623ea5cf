// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_ABSORB_HPP
#define FEDAGG_PROTOCOLS_ROUND_ABSORB_HPP

#include <fedagg/passes/accumulator/basic.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Adds a client to a sum that nobody else uses: where the accumulator can look at it while it adds, one read.
template <class Accumulator, class Check = client_check>
errc absorb_alone(Accumulator& sum, const model_view& client, double weight, executor_ref executor) noexcept {
  if constexpr (requires { sum.try_absorb(client, weight, executor, Check::fused); })
    return sum.try_absorb(client, weight, executor, Check::fused);
  else
    return sum.try_absorb(client, weight, executor);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_ROUND_ABSORB_HPP
