// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_AGGREGATE_HPP
#define FEDAGG_PASSES_AGGREGATE_HPP

#include <cstddef>
#include <cstdio>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include <fedagg/core/chain.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/columns.hpp>
#include <fedagg/passes/combine.hpp>
#include <fedagg/passes/coordinate_pass.hpp>
#include <fedagg/passes/geometric.hpp>
#include <fedagg/passes/geometric/with_call.hpp>
#include <fedagg/passes/round/base.hpp>
#include <fedagg/passes/round/coordinate_kernel.hpp>
#include <fedagg/passes/windows.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// Throws what a refused round's outcome tells.
template <class Void = void>
[[noreturn]] FEDAGG_COLD void raise_refused(const outcome& o) {
  char text[256];
  int used = 0;
  const auto put = [&](const char* format, auto... values) {
    if (used < static_cast<int>(sizeof text))
      used += std::snprintf(text + used, sizeof text - static_cast<std::size_t>(used), format, values...);
  };
  put("%zu of %zu clients left", o.used, o.clients);
  if (!o.tensor_name.empty()) put(", tensor '%.*s'", static_cast<int>(o.tensor_name.size()), o.tensor_name.data());
  if (!o.rejected.empty()) {
    const rejection& r = o.rejected.front();
    put("; client %zu", r.client);
    if (!r.id.empty()) put(" '%.*s'", static_cast<int>(r.id.size()), r.id.data());
    put(": %s", message(r.reason));
    if (!r.tensor_name.empty()) put(" in tensor '%.*s'", static_cast<int>(r.tensor_name.size()), r.tensor_name.data());
  }
  raise(o.code, text);
}

/// One call of a rule that works coordinate by coordinate: which clients are left, and the sweeps over them.
template <rule_value Rule>
class round : round_base {
public:
  round(const Rule& rule, const cohort& clients, detail::slice<const basic_named_tensor<void>> out, const options& how,
        round_buffers& b) noexcept
      : round_base(clients, out, how, b), rule_(rule) {}

  errc run() {
    if (!impl::parameters_in_range(rule_)) return errc::bad_parameter;
    if (how_.on_bad_client == bad_client::propagate && !linear_rule<Rule>) return errc::bad_parameter;
    bool in_place = false;
    if (const errc rc = admit(in_place); rc != errc::ok) return rc;
    if constexpr (column_rule<Rule> && requires { requires bool(Rule::needs_origin); })
      if (!clients_.has_origin()) return errc::missing_origin;
    if (const errc rc = admit_clients(); rc != errc::ok) return rc;
    if (const errc rc = decide(); rc != errc::ok) return rc;
    // A tile written over the base cannot be computed again from it.
    const bool atomic = how_.write == write::atomic || (in_place && reads_base());
    return sweep(atomic);
  }

private:
  static constexpr bool reads_base() noexcept {
    if constexpr (column_rule<Rule>)
      return column_pass<Rule>::uses_base;
    else
      return false;
  }

  /// Where the rule knows how many clients may be hostile, its own condition decides how many may be lost.
  bool has_own_budget() const noexcept {
    if constexpr (nearest_rule<Rule>)
      return true;
    else
      return ordered_rule<Rule> && has_budget(rule_);
  }

  bool uses_weights() const noexcept {
    if constexpr (linear_rule<Rule>)
      return true;
    else if constexpr (weighable_rule<Rule>)
      return rule_.weighting == weights::trusted;
    else
      return false;
  }

  /// Whether the round may go on with the clients that are left, and the rule's plan for them.
  errc decide() {
    const std::size_t all = clients_.size();
    if (const errc rc = take_present(has_own_budget() ? all : (all - 1) / 2); rc != errc::ok) return rc;
    const std::size_t n = b_.present.size();
    o_.weights_used = uses_weights();
    b_.coefficients.resize(n);
    if constexpr (linear_rule<Rule>) {
      if (const errc rc = rule_.combine(b_.weights, b_.coefficients, divisor_); rc != errc::ok) return rc;
      o_.coefficients.assign(clients_.size(), 0.0);
      for (std::size_t k = 0; k < n; ++k) o_.coefficients[b_.present[k]] = b_.coefficients[k] / divisor_;
      return errc::ok;
    } else {
      if (const errc rc = kernel_.decide(rule_, all, n, o_); rc != errc::ok) return rc;
      if constexpr (weighable_rule<Rule>)
        if (uses_weights()) return decide_weights();
      return errc::ok;
    }
  }

  /// Caps, orders and checks trusted weights; equal ones need none of it.
  errc decide_weights() {
    const std::size_t n = b_.present.size();
    bool equal = true;
    if (const errc rc = tame_weights(b_.weights, rule_.weight_cap, equal); rc != errc::ok) return rc;
    weighed_ = !equal;
    if constexpr (requires { rule_.always_weighed(); }) weighed_ = weighed_ || rule_.always_weighed();
    if (!weighed_) {
      o_.breakdown_mass = static_cast<double>(o_.breakdown) / static_cast<double>(n);
      return errc::ok;
    }
    // Insertion by weight, then index: stable, and n is the number of clients.
    for (std::size_t i = 1; i < n; ++i)
      for (std::size_t k = i; k > 0 && b_.weights[k] < b_.weights[k - 1]; --k) {
        std::swap(b_.weights[k], b_.weights[k - 1]);
        std::swap(b_.present[k], b_.present[k - 1]);
      }
    return rule_.weigh_check(b_.weights, kernel_.window(), o_.breakdown, o_.breakdown_mass);
  }

  /// Calls f with the kernel for the clients in use.
  template <class F>
  errc with_kernel(const F& f) {
    if constexpr (linear_rule<Rule>) {
      return f(erase(combine_pass(b_.coefficients, divisor_)));
    } else {
      if constexpr (weighable_rule<Rule>)
        if (weighed_) return f(erase(weighted_pass<Rule>(rule_, kernel_.window(), b_.weights)));
      return kernel_.with(rule_, b_.present.size(), [&](const auto& kernel) { return f(erase(kernel)); });
    }
  }

  /// Runs sweeps until the round is decided: one if all is well, and one more over the rest if clients were bad. Atomic
  /// sweeps only look, and a last one writes.
  errc sweep(bool atomic) {
    bool checked = how_.on_bad_client != bad_client::propagate;
    bool again = true;
    errc rc = errc::ok;
    while (rc == errc::ok && again) {
      rc = with_kernel([&](const tile_kernel& kernel) {
        coordinate_pass over(kernel, clients_, out_, how_, b_);
        if (!atomic) o_.state = output::unspecified;
        again = false;
        const findings f = look(over, checked, !atomic);
        if (f.code != errc::ok) return f.code;
        if (f.bad_client) {
          // All bad clients are known now: nothing needs to be looked for any more.
          again = true;
          checked = false;
          const errc dropped = drop_bad();
          return dropped == errc::ok ? decide() : dropped;
        }
        if (!atomic) return errc::ok;
        o_.state = output::unspecified;
        return look(over, false, true).code;
      });
    }
    if (rc == errc::ok) o_.state = output::written;
    return rc;
  }

  const Rule& rule_;
  coordinate_kernel<Rule> kernel_;
  double divisor_ = 1;
  bool weighed_ = false;
};

} // namespace impl

/// Aggregates the cohort by the rule into `out`, which has the clients' layout. Never throws, and allocates nothing
/// once the workspace has seen a round of this size. `space.result()` tells who was rejected and why, and what `out`
/// holds.
template <rule_value Rule>
[[nodiscard]] errc try_aggregate(const Rule& rule, const cohort& clients, const mutable_model_view& out,
                                 workspace& space, const options& how = {}) noexcept {
  outcome& o = space.buffers().result;
#if FEDAGG_EXCEPTIONS
  try {
#endif
    // A rule's own arithmetic on weights and counts depends on the caller's mode no more than the passes do.
    const impl::fp_guard guard;
    o.clear();
    o.clients = clients.size();
    if constexpr (geometric_rule<Rule> || chained_rule<Rule>)
      o.code = impl::with_call(rule, [&](const impl::geometric_call& call) {
        return impl::geometric_round(call, clients, out.each(), how, space.buffers()).run();
      });
    else
      o.code = impl::round<Rule>(rule, clients, out.each(), how, space.buffers()).run();
#if FEDAGG_EXCEPTIONS
  } catch (const std::bad_alloc&) {
    o.code = errc::out_of_memory;
  } catch (...) {
    o.code = errc::executor_failed;
  }
#endif
  return o.code;
}

/// The same with everything owned: returns the outcome, throws fedagg::error (aborts with a message under
/// -fno-exceptions) where the round is refused.
template <rule_value Rule>
outcome aggregate(const Rule& rule, const cohort& clients, const mutable_model_view& out, const options& how = {}) {
  workspace space;
  const errc rc = try_aggregate(rule, clients, out, space, how);
  if (rc != errc::ok) impl::raise_refused(space.result());
  return std::move(space.buffers().result);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_AGGREGATE_HPP
