// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_PARTIAL_MODELS_HPP
#define FEDAGG_PROTOCOLS_PARTIAL_MODELS_HPP

#include <new>

#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/protocols/partial/round.hpp>
#include <fedagg/protocols/partial/settings.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
/// Aggregates clients that each send some of the output's tensors (adapters, layers that are not frozen or personal),
/// tensor by tensor over the clients that have it: a denominator, and the rule's own condition, for each tensor. A
/// tensor that nobody has sent, or too few for the rule or `min_clients`, keeps its global value (the base's; zero for
/// declared updates; else what `out` holds), and `space.tensors()` says so. A geometric rule sees each tensor by
/// itself. Where everybody sends everything, the result is that of `try_aggregate` with `scope::each_tensor`, bit for
/// bit.
///
/// A client's tensors come in any order. One that the output does not have, has twice or in another shape, a bad
/// weight, a NaN in any tensor: the policy's business, and the client is left out of all tensors. Errors are those of
/// `try_aggregate`; if no tensor at all could be aggregated, the first one's. Two reads of the clients, three where the
/// rule measures them. `write::atomic` stages the model. No histories.
template <rule_value Rule>
[[nodiscard]] errc try_aggregate_partial(const Rule& rule, const cohort& clients, const mutable_model_view& out,
                                         partial_workspace& space, const partial_models& settings = {},
                                         const options& how = {}) noexcept {
  outcome& o = space.whole.buffers().result;
#if FEDAGG_EXCEPTIONS
  try {
#endif
    const impl::fp_guard guard;
    o.clear();
    o.clients = clients.size();
    const auto one = [](const void* r, const cohort& sent, const mutable_model_view& to, workspace& part,
                        const options& options) {
      return try_aggregate(*static_cast<const Rule*>(r), sent, to, part, options);
    };
    o.code = impl::partial_round<>(&rule, one, clients, out.entries(), space, settings, how).run();
#if FEDAGG_EXCEPTIONS
  } catch (const std::bad_alloc&) {
    o.code = errc::out_of_memory;
  } catch (...) {
    o.code = errc::executor_failed;
  }
#endif
  return o.code;
}

/// The same with everything owned: returns the workspace with its outcomes, throws fedagg::error where the round is
/// refused.
template <rule_value Rule>
partial_workspace aggregate_partial(const Rule& rule, const cohort& clients, const mutable_model_view& out,
                                    const partial_models& settings = {}, const options& how = {}) {
  partial_workspace space;
  if (try_aggregate_partial(rule, clients, out, space, settings, how) != errc::ok) impl::raise_refused(space.result());
  return space;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_PARTIAL_MODELS_HPP
