// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_STRATEGY_ANY_CHAIN_HPP
#define FEDAGG_ADAPTERS_STRATEGY_ANY_CHAIN_HPP

#include <concepts>
#include <cstddef>
#include <new>
#include <span>
#include <tuple>
#include <type_traits>
#include <vector>

#include <fedagg/adapters/json/any_rule.hpp>
#include <fedagg/adapters/json/any_value.hpp>
#include <fedagg/core/chain.hpp>
#include <fedagg/mixing/arc.hpp>
#include <fedagg/mixing/bucketing.hpp>
#include <fedagg/mixing/nnm.hpp>
#include <fedagg/mixing/static_clipping.hpp>
#include <fedagg/passes/aggregate.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

struct mixing_kind {
  using list = std::tuple<arc, bucketing, nnm, static_clipping>;
  using standard = nnm;
  static constexpr const char *key = "mixing", *example = "nnm";
  static constexpr errc unknown = errc::unknown_mixing;
};

} // namespace impl

/// A mixing stage chosen at run time: `{"mixing": "nnm", "f": 2}`.
class any_mixing : public impl::any_value<any_mixing, impl::mixing_kind> {
public:
  using any_value::any_value;

  static std::vector<rule_description> stages() { return descriptions(); }
};

/// Mixing stages and a rule, all chosen at run time: what `stage | stage | rule` is at compile time.
struct any_chain {
  std::vector<any_mixing> mixing;
  any_rule rule;

  /// `bad_parameter` if the rule cannot stand behind a stage (`follows_mixing`), or a part's parameters are impossible.
  errc check() const noexcept {
    if (const errc rc = rule.check(); rc != errc::ok) return rc;
    for (const any_mixing& stage : mixing)
      if (!stage.visit([](const auto& s) noexcept { return impl::parameters_in_range(s); })) return errc::bad_parameter;
    const bool follows = rule.visit([]<class R>(const R&) noexcept { return follows_mixing<R>; });
    return mixing.empty() || follows ? errc::ok : errc::bad_parameter;
  }
};

namespace impl {

/// What a chain needs to know, as `needs_of_all` says of types.
inline geometry_needs needs_of(std::span<const any_mixing> stages, geometry_needs last) noexcept {
  geometry_needs most = geometry_needs::nothing;
  bool mixed = false;
  const auto look = [&](geometry_needs needs, bool mixes) {
    if (mixed && needs != geometry_needs::nothing) needs = geometry_needs::distances;
    if (needs > most) most = needs;
    mixed = mixed || mixes;
  };
  for (const any_mixing& stage : stages)
    stage.visit([&]<class S>(const S&) { look(needs_of<S>(), !scales_rows<S>()); });
  look(last, false);
  return most;
}

template <class Rule, class F>
errc with_stages(const std::vector<any_mixing>& stages, const Rule& rule, const F& f) {
  geometric_call call;
  coordinate_kernel<Rule> columns;
  std::vector<stage_call> erased;
  for (const any_mixing& stage : stages)
    stage.visit([&](const auto& s) {
      note_part(s, call);
      erased.push_back(erase_stage(s));
    });
  note_part(rule, call);
  call.needs = needs_of(stages, needs_of<Rule>());
  call.measure = call.needs == geometry_needs::distances ? measuring::of<Rule, geometry_needs::distances>()
                 : call.needs == geometry_needs::nothing ? measuring::of<Rule, geometry_needs::nothing>()
                                                         : measuring::of<Rule, geometry_needs::norms>();
  call.chain = machinery_of_chains();
  call.rule = erase_rule(rule, columns);
  call.stages = erased;
  return f(call);
}

} // namespace impl

/// As for the chain of the parts' types. `bad_parameter` for a rule that cannot follow a stage. A template, so that a
/// program that never runs one does not compile all rules.
template <std::same_as<any_chain> Chain>
[[nodiscard]] errc try_aggregate(const Chain& chain, const cohort& clients, const mutable_model_view& out,
                                 workspace& space, const options& how = {}) noexcept {
  if (chain.mixing.empty()) return try_aggregate(chain.rule, clients, out, space, how);
  outcome& o = space.buffers().result;
#if FEDAGG_EXCEPTIONS
  try {
#endif
    const impl::fp_guard guard;
    o.clear();
    o.clients = clients.size();
    o.code = chain.rule.visit([&]<class Rule>(const Rule& rule) {
      if constexpr (follows_mixing<Rule>)
        return impl::with_stages(chain.mixing, rule, [&](const impl::geometric_call& call) {
          return impl::geometric_round(call, clients, out.entries(), how, space.buffers()).run();
        });
      else
        return errc::bad_parameter;
    });
#if FEDAGG_EXCEPTIONS
  } catch (const std::bad_alloc&) {
    o.code = errc::out_of_memory;
  } catch (...) {
    o.code = errc::executor_failed;
  }
#endif
  return o.code;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_STRATEGY_ANY_CHAIN_HPP
