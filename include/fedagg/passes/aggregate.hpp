// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_AGGREGATE_HPP
#define FEDAGG_PASSES_AGGREGATE_HPP

#include <cstddef>
#include <cstdio>
#include <new>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include <fedagg/core/error.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/columns.hpp>
#include <fedagg/passes/combine.hpp>
#include <fedagg/passes/coordinate_pass.hpp>
#include <fedagg/passes/windows.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// Throws what a refused round's outcome tells.
[[noreturn]] FEDAGG_COLD inline void raise_refused(const outcome& o) {
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

template <class R>
bool parameters_in_range(const R& rule) noexcept {
  return std::apply([&](const auto&... f) { return (f.in_range(rule) && ...); }, R::fields());
}

/// One call: what is admitted, which clients are left, and the sweeps over them.
template <rule_value Rule>
class round {
public:
  round(const Rule& rule, const cohort& clients, std::span<const basic_named_tensor<void>> out, const options& how,
        round_buffers& b) noexcept
      : rule_(rule), clients_(clients), out_(out), how_(how), b_(b), o_(b.result) {}

  errc run() {
    // The rule's own arithmetic on weights and counts depends on the caller's mode no more than the passes do.
    const fp_guard guard;
    o_.clear();
    o_.clients = clients_.size();
    if (!parameters_in_range(rule_)) return errc::bad_parameter;
    if (how_.on_bad_client == bad_client::propagate && !linear_rule<Rule>) return errc::bad_parameter;
    bool in_place = false;
    if (const errc rc = admit_output(clients_, out_, how_, b_); rc != errc::ok) return rc;
    if (const errc rc = admit_memory(clients_, out_, b_, in_place); rc != errc::ok) return rc;
    if constexpr (column_rule<Rule> && requires { requires bool(Rule::needs_origin); })
      if (!clients_.has_origin()) return errc::missing_origin;
    b_.fault.assign(clients_.size(), errc::ok);
    b_.fault_place.assign(clients_.size(), static_cast<std::size_t>(-1));
    if (const errc rc = admit_clients(); rc != errc::ok) return rc;
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

  bool uses_weights() const noexcept {
    if constexpr (linear_rule<Rule>)
      return true;
    else if constexpr (weighable_rule<Rule>)
      return rule_.weighting == weights::trusted;
    else
      return false;
  }

  /// Layouts and weights, by policy.
  errc admit_clients() {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      std::size_t tensor = 0;
      std::string_view name;
      const errc fault = client_fault(clients_, i, out_, how_, b_, tensor, name);
      if (fault == errc::ok) continue;
      b_.fault[i] = fault;
      note(i, fault, tensor, name);
      // What no client can cause: a view of the caller's that points nowhere.
      const bool callers = fault != errc::client_layout && fault != errc::invalid_weight;
      if (callers || how_.on_bad_client != bad_client::reject) return fault;
    }
    return decide();
  }

  void note(std::size_t client, errc reason, std::size_t tensor, std::string_view name) {
    const rejection r{client, clients_.id(client), reason, tensor, name};
    std::size_t at = o_.rejected.size();
    o_.rejected.push_back(r);
    for (; at > 0 && o_.rejected[at - 1].client > client; --at) std::swap(o_.rejected[at], o_.rejected[at - 1]);
  }

  /// Whether the round may go on with the clients that are left, and the rule's plan for them.
  errc decide() {
    b_.present.clear();
    b_.weights.clear();
    for (std::size_t i = 0; i < clients_.size(); ++i)
      if (b_.fault[i] == errc::ok) {
        b_.present.push_back(i);
        b_.weights.push_back(clients_.weight(i));
      }
    const std::size_t n = b_.present.size(), lost = clients_.size() - n;
    o_.used = n;
    const std::size_t automatic = ordered_rule<Rule> && has_budget() ? clients_.size() : (clients_.size() - 1) / 2;
    if (lost > (how_.max_rejected == options::automatic ? automatic : how_.max_rejected))
      return errc::too_many_rejected;
    if (n == 0) return errc::too_few_clients;
    o_.weights_used = uses_weights();
    b_.coefficients.resize(n);
    if constexpr (linear_rule<Rule>) {
      if (const errc rc = rule_.combine(b_.weights, b_.coefficients, divisor_); rc != errc::ok) return rc;
      o_.coefficients.assign(clients_.size(), 0.0);
      for (std::size_t k = 0; k < n; ++k) o_.coefficients[b_.present[k]] = b_.coefficients[k] / divisor_;
    } else if constexpr (ordered_rule<Rule>) {
      if (const errc rc = rule_.window(clients_.size(), n, window_); rc != errc::ok) return rc;
      o_.breakdown = window_.first < n - window_.last ? window_.first : n - window_.last;
      if constexpr (weighable_rule<Rule>)
        if (uses_weights()) return decide_weights();
    } else if constexpr (requires {
                           { rule_.check(n, n) } -> std::same_as<errc>;
                         }) {
      return rule_.check(clients_.size(), n);
    }
    return errc::ok;
  }

  /// True for rules whose own condition limits how many clients may be lost.
  bool has_budget() const noexcept {
    if constexpr (requires {
                    { rule_.has_budget() } -> std::same_as<bool>;
                  })
      return rule_.has_budget();
    else
      return false;
  }

  /// Caps, orders and checks trusted weights; equal ones need none of it.
  errc decide_weights() {
    const std::size_t n = b_.present.size();
    bool equal = true;
    double largest = 0;
    for (double& w : b_.weights) {
      if (rule_.weight_cap > 0 && w > rule_.weight_cap) w = rule_.weight_cap;
      equal = equal && w == b_.weights[0];
      if (w > largest) largest = w;
    }
    if (!(largest > 0)) return errc::zero_weight_sum;
    // By a power of two to at most one: no sum of weights overflows, no share of one is lost below the normal numbers.
    const int e = detail::exponent_of(largest) + 1;
    const double first = detail::power_of_two(-(e / 2)), second = detail::power_of_two(-(e - e / 2));
    for (double& w : b_.weights) w = w * first * second;
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
    return rule_.weigh_check(b_.weights, window_, o_.breakdown, o_.breakdown_mass);
  }

  /// Calls f with the kernel for the clients in use.
  template <class F>
  errc with_kernel(const F& f) {
    if constexpr (linear_rule<Rule>) {
      return f(erase(combine_pass(b_.coefficients, divisor_)));
    } else if constexpr (ordered_rule<Rule>) {
      if constexpr (weighable_rule<Rule>)
        if (weighed_) return f(erase(weighted_pass<Rule>(rule_, window_, b_.weights)));
      return f(erase(window_pass(b_.present.size(), window_)));
    } else {
      return f(erase(column_pass<Rule>(rule_, b_.present.size())));
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
          return drop_bad();
        }
        if (!atomic) return errc::ok;
        o_.state = output::unspecified;
        return look(over, false, true).code;
      });
    }
    if (rc == errc::ok) o_.state = output::written;
    return rc;
  }

  findings look(coordinate_pass& over, bool checked, bool writes) {
    findings f = over.sweep(checked, writes);
    ++o_.passes;
    if (f.code != errc::ok && f.tensor < out_.size()) {
      o_.tensor = f.tensor;
      o_.tensor_name = out_[f.tensor].name;
    }
    return f;
  }

  errc drop_bad() {
    errc first = errc::ok;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      const std::size_t place = b_.fault_place[i];
      if (place == static_cast<std::size_t>(-1)) continue;
      b_.fault[i] = static_cast<errc>(place % fault_reasons);
      if (first == errc::ok) first = b_.fault[i];
      note(i, b_.fault[i], place / fault_reasons, out_[place / fault_reasons].name);
    }
    return how_.on_bad_client == bad_client::reject ? decide() : first;
  }

  const Rule& rule_;
  const cohort& clients_;
  std::span<const basic_named_tensor<void>> out_;
  const options& how_;
  round_buffers& b_;
  outcome& o_;
  order_window window_{};
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
    o.code = impl::round<Rule>(rule, clients, out.entries(), how, space.buffers()).run();
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
