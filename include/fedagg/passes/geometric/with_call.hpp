// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GEOMETRIC_WITH_CALL_HPP
#define FEDAGG_PASSES_GEOMETRIC_WITH_CALL_HPP

#include <cstddef>
#include <utility>

#include <fedagg/core/chain.hpp>
#include <fedagg/core/mixed_geometry.hpp>
#include <fedagg/passes/geometric/call.hpp>
#include <fedagg/passes/geometric/measure.hpp>
#include <fedagg/passes/geometric/mixed.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Each stage in turn; see `chain_calls`.
template <class Void = void>
errc mix_stages(detail::slice<const stage_call> stages, geometry& g, arena& memory, affine_map& all, bool& mixed) {
  for (const stage_call& stage : stages) {
    affine_map map;
    if (const errc rc = stage.mix(stage.self, g, memory, map); rc != errc::ok) return rc;
    mixed = mixed || !stage.scales;
    all = &stage == stages.data() ? map : detail::compose(map, all, memory);
    const geometry before = g;
    g = detail::mix_geometry(g, map, memory);
    if (!mixed) {
      g.weights = before.weights;
      g.clients = before.clients;
      continue;
    }
    // A row that several clients make up is nobody's: a trusted client is not found among them.
    const auto nobody = memory.room<std::size_t>(g.rows);
    for (std::size_t& k : nobody) k = static_cast<std::size_t>(-1);
    g.clients = detail::span_of(nobody.data(), g.rows);
  }
  return errc::ok;
}

/// A template, so that a program without chains does not compile it.
template <class Void = void>
const chain_calls* machinery_of_chains() noexcept {
  static constexpr chain_calls calls{mix_stages<Void>, detail::spread, detail::rows_of,
                                     [](const tile_kernel& kernel, const affine_map& map, const kernel_user& user) {
                                       const mixed_pass mixed(kernel, map);
                                       return user.use(user.self, erase(mixed));
                                     }};
  return &calls;
}

/// Calls f with the geometric_call of a rule.
template <class Rule, class F>
errc with_call(const Rule& rule, const F& f) {
  geometric_call call;
  coordinate_kernel<Rule> columns;
  note_part(rule, call);
  call.needs = needs_of<Rule>();
  call.measure = measuring::of<Rule, needs_of<Rule>()>();
  call.rule = erase_rule(rule, columns);
  return f(call);
}

/// Fills in what stands before the rule of a chain, and returns the rule.
template <class First, class... Rest>
const auto& take_apart(const field_list<First, Rest...>& parts, stage_call* stage) noexcept {
  if constexpr (sizeof...(Rest) == 0) {
    return parts.first;
  } else {
    *stage = erase_stage(parts.first);
    return take_apart(parts.rest, stage + 1);
  }
}

/// The same of a chain.
template <class... Parts, class F>
errc with_call(const chained<Parts...>& chain, const F& f) {
  stage_call stages[sizeof...(Parts) - 1];
  const auto& rule = take_apart(chain.parts, stages);
  using rule_type = std::remove_cvref_t<decltype(rule)>;
  geometric_call call;
  coordinate_kernel<rule_type> columns;
  detail::with_fields([&](const auto&... part) { (note_part(part, call), ...); }, chain.parts);
  call.needs = needs_of_all<Parts...>();
  call.measure = measuring::of<rule_type, needs_of_all<Parts...>()>();
  call.chain = machinery_of_chains();
  call.stages = stages;
  call.rule = erase_rule(rule, columns);
  return f(call);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GEOMETRIC_WITH_CALL_HPP
