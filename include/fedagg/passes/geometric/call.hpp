// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GEOMETRIC_CALL_HPP
#define FEDAGG_PASSES_GEOMETRIC_CALL_HPP

#include <cstddef>
#include <span>
#include <utility>

#include <fedagg/core/chain.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/outcome.hpp>
#include <fedagg/passes/nearest.hpp>
#include <fedagg/passes/round/base.hpp>
#include <fedagg/passes/round/coordinate_kernel.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A mixing stage without its type.
struct stage_call {
  const void* self;
  errc (*mix)(const void* self, const geometry& g, arena& memory, affine_map& map);
  bool scales; ///< only scales each row by itself: norms stay known and weights keep their meaning
};

/// What a kernel is wanted for.
struct kernel_user {
  void* self;
  findings (*use)(void* self, const tile_kernel& kernel);
};

/// The rule at the end of a chain, or alone, without its type; what it is not stays null.
struct rule_call {
  const void* self = nullptr;
  errc (*coefficients)(const void* self, const geometry& g, arena& memory, solution& s) = nullptr;
  errc (*combine)(const void* self, detail::slice<const double> weights, detail::slice<double> a,
                  double& divisor) = nullptr;
  errc (*second)(const void* self, std::size_t selected, nearest_values& v) = nullptr;
  void* columns = nullptr; ///< of a rule on columns: its coordinate_kernel
  errc (*decide)(const void* self, void* columns, std::size_t declared, std::size_t present, outcome& o) = nullptr;
  findings (*with)(const void* self, const void* columns, std::size_t n, const kernel_user& user) = nullptr;
  findings (*with_second)(std::size_t selected, const nearest_values& v, const kernel_user& user) = nullptr;
  std::size_t (*samples)(const void* self) = nullptr;
  std::span<const std::size_t> (*sample)(const void* self, std::size_t k, std::size_t coordinates,
                                         arena& memory) = nullptr;
  bool trusts_weights = false;
  bool needs_signs = false; ///< of each row's coordinates
  bool on_history = false;  ///< the geometry is that of the cohort's history

  /// The result is a sum of the clients' rows; otherwise a rule works on columns.
  bool sums() const noexcept { return !second && !decide; }
};

class measuring;
struct geometric_call;

/// What is to be measured: tensors [first, last) of those in scope.
struct measure_request {
  const geometric_call& call;
  const cohort& clients;
  detail::slice<const basic_named_tensor<void>> out;
  const options& how;
  round_buffers& b;
  arena& memory;
  std::size_t first = 0;
  std::size_t last = static_cast<std::size_t>(-1);
};

/// The pass that a call needs. Clients whose values are at fault are marked in `fault_place`; the geometry is about the
/// others.
using measure_call = findings (*)(measuring& m, const measure_request& r, geometry& g);

/// What only chains need: it is compiled where there is one.
struct chain_calls {
  /// Lets the stages mix: `map` becomes that of all of them, and g what is known of the rows that come out. `mixed`: a
  /// row may be made of several.
  errc (*mix)(detail::slice<const stage_call> stages, geometry& g, arena& memory, affine_map& map, bool& mixed);
  /// Coefficients of the rows that come out as shares of the rows that go in; see detail::spread.
  double (*spread)(const affine_map& map, detail::slice<const double> c, detail::slice<double> shares) noexcept;
  affine_map (*rows_of)(const affine_map& map, detail::slice<const double> marks, arena& memory);
  /// Calls `user` with a kernel on the rows that the stages make.
  findings (*with_mixed)(const tile_kernel& kernel, const affine_map& map, const kernel_user& user);
};

/// A rule or chain as the round sees it, so that the round is compiled once whatever the rules of a program, and
/// only the passes that they need.
struct geometric_call {
  detail::slice<const stage_call> stages;
  const chain_calls* chain = nullptr; ///< null for a rule alone
  measure_call measure = nullptr;
  rule_call rule;
  geometry_needs needs = geometry_needs::nothing;
  bool in_range = true;
  bool needs_origin = false;
  bool has_budget = false; ///< a part knows how many rows may be hostile: its own condition decides what may be lost
};

/// What a part needs to know of the rows.
template <class Part>
constexpr geometry_needs needs_of() noexcept {
  if constexpr (mixing<Part> || geometric_rule<Part>)
    return Part::needs;
  else
    return geometry_needs::nothing;
}

template <class Rule>
constexpr bool needs_signs() noexcept {
  if constexpr (requires { requires bool(Rule::needs_signs); })
    return true;
  else
    return false;
}

template <class Rule>
constexpr bool judges_history() noexcept {
  if constexpr (requires { requires bool(Rule::on_history); })
    return true;
  else
    return false;
}

template <class Part>
constexpr bool scales_rows() noexcept {
  if constexpr (requires { requires bool(Part::scales_rows); })
    return true;
  else
    return false;
}

/// What a whole chain needs: what its parts do, and everything where a part that needs anything follows rows that were
/// mixed with each other.
template <class... Parts>
constexpr geometry_needs needs_of_all() noexcept {
  geometry_needs most = geometry_needs::nothing;
  bool mixed = false;
  const auto look = [&](geometry_needs needs, bool mixes) {
    if (mixed && needs != geometry_needs::nothing) needs = geometry_needs::distances;
    if (needs > most) most = needs;
    mixed = mixed || mixes;
  };
  (look(needs_of<Parts>(), mixing<Parts> && !scales_rows<Parts>()), ...);
  return most;
}

template <class Part>
void note_part(const Part& part, geometric_call& call) noexcept {
  call.in_range = call.in_range && impl::parameters_in_range(part);
  if constexpr (requires { requires bool(Part::needs_origin); }) call.needs_origin = true;
  if constexpr (requires { part.f; }) call.has_budget = true;
  call.has_budget = call.has_budget || has_budget(part);
}

template <mixing Stage>
stage_call erase_stage(const Stage& stage) noexcept {
  return {&stage,
          [](const void* self, const geometry& g, arena& memory, affine_map& map) {
            return static_cast<const Stage*>(self)->mix(g, memory, map);
          },
          scales_rows<Stage>()};
}

template <class Rule>
rule_call erase_rule(const Rule& rule, coordinate_kernel<Rule>& columns) noexcept {
  rule_call r;
  r.self = &rule;
  if constexpr (requires { rule.weighting; }) r.trusts_weights = rule.weighting == weights::trusted;
  if constexpr (geometric_rule<Rule>) {
    r.coefficients = [](const void* self, const geometry& g, arena& memory, solution& s) {
      return static_cast<const Rule*>(self)->coefficients(g, memory, s);
    };
    r.needs_signs = needs_signs<Rule>();
    r.on_history = judges_history<Rule>();
    if constexpr (sampling_rule<Rule>) {
      r.samples = [](const void* self) { return static_cast<const Rule*>(self)->samples(); };
      r.sample = [](const void* self, std::size_t k, std::size_t coordinates, arena& memory) {
        return static_cast<const Rule*>(self)->sample(k, coordinates, memory);
      };
    }
    if constexpr (selecting_rule<Rule>)
      r.second = [](const void* self, std::size_t selected, nearest_values& v) {
        return static_cast<const Rule*>(self)->second(selected, v);
      };
    if constexpr (selecting_rule<Rule>)
      r.with_second = [](std::size_t selected, const nearest_values& v, const kernel_user& user) {
        const nearest_pass kernel(selected, v);
        return user.use(user.self, erase(kernel));
      };
  } else if constexpr (linear_rule<Rule>) {
    r.combine = [](const void* self, detail::slice<const double> w, detail::slice<double> a, double& divisor) {
      return static_cast<const Rule*>(self)->combine(w.span(), a.span(), divisor);
    };
  } else {
    r.columns = &columns;
    r.decide = [](const void* self, void* kernel, std::size_t declared, std::size_t present, outcome& o) {
      return static_cast<coordinate_kernel<Rule>*>(kernel)->decide(*static_cast<const Rule*>(self), declared, present,
                                                                   o);
    };
    r.with = [](const void* self, const void* kernel, std::size_t n, const kernel_user& user) {
      return static_cast<const coordinate_kernel<Rule>*>(kernel)->with(
          *static_cast<const Rule*>(self), n, [&](const auto& typed) { return user.use(user.self, erase(typed)); });
    };
  }
  return r;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GEOMETRIC_CALL_HPP
