// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ROUND_BASE_HPP
#define FEDAGG_PASSES_ROUND_BASE_HPP

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include <fedagg/core/rule.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/coordinate_pass.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <class R>
bool parameters_in_range(const R& rule) noexcept {
  return detail::with_fields([&](const auto&... f) { return (f.in_range(rule) && ...); }, R::fields());
}

/// True for rules whose own condition limits how many clients may be lost.
template <class R>
bool has_budget(const R& rule) noexcept {
  if constexpr (requires {
                  { rule.has_budget() } -> std::same_as<bool>;
                })
    return rule.has_budget();
  else
    return false;
}

/// Cuts trusted weights at `cap` (0: never) and scales them by a power of two to at most one: no sum of weights
/// overflows, no share of one is lost below the normal numbers. `equal` says whether they all agree.
inline errc tame_weights(detail::slice<double> w, double cap, bool& equal) noexcept {
  double largest = 0;
  equal = true;
  for (double& x : w) {
    if (cap > 0 && x > cap) x = cap;
    equal = equal && x == w[0];
    if (x > largest) largest = x;
  }
  if (!(largest > 0)) return errc::zero_weight_sum;
  const int e = detail::exponent_of(largest) + 1;
  const double first = detail::power_of_two(-(e / 2)), second = detail::power_of_two(-(e - e / 2));
  for (double& x : w) x = x * first * second;
  return errc::ok;
}

/// What every round has in common: which clients are admitted, which are lost on the way, and what is said of them.
class round_base {
protected:
  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

  round_base(const cohort& clients, detail::slice<const basic_named_tensor<void>> out, const options& how,
             round_buffers& b) noexcept
      : clients_(clients), out_(out), how_(how), b_(b), o_(b.result) {}

  /// Output, base and memory: what no client can cause.
  errc admit(bool& in_place) {
    if (const errc rc = admit_output(clients_, out_, how_, b_); rc != errc::ok) return rc;
    return admit_memory(clients_, out_, b_, in_place);
  }

  /// The first integer tensor that is not kept from the base, or null.
  const segment* averaged_integers() const noexcept {
    for (const segment& s : b_.segments.each())
      if (is_integer(s.type) && !s.keep) return &s;
    return nullptr;
  }

  /// Layouts and weights, by policy.
  template <class Void = void>
  errc admit_clients() {
    b_.fault.assign(clients_.size(), errc::ok);
    // One more for the trusted row.
    b_.fault_place.assign(clients_.size() + 1, nowhere);
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      std::size_t tensor = 0;
      std::string_view name;
      const errc fault = client_fault(clients_, i, out_, how_, b_, tensor, name);
      if (fault == errc::ok) continue;
      b_.fault[i] = fault;
      note<Void>(i, fault, tensor, name);
      // What no client can cause: a view of the caller's that points nowhere.
      const bool callers = fault != errc::client_layout && fault != errc::invalid_weight;
      if (callers || how_.on_bad_client != bad_client::reject) return fault;
    }
    return errc::ok;
  }

  /// The clients without fault, and their weights; at most `automatic` may be lost unless the caller says how many.
  errc take_present(std::size_t automatic) {
    b_.present.clear();
    b_.weights.clear();
    for (std::size_t i = 0; i < clients_.size(); ++i)
      if (b_.fault[i] == errc::ok) {
        b_.present.push_back(i);
        b_.weights.push_back(clients_.weight(i));
      }
    const std::size_t n = b_.present.size(), lost = clients_.size() - n;
    o_.used = n;
    if (lost > (how_.max_rejected == options::automatic ? automatic : how_.max_rejected))
      return errc::too_many_rejected;
    return n == 0 ? errc::too_few_clients : errc::ok;
  }

  /// The clients that a sweep found at fault, by policy.
  template <class Void = void>
  errc drop_bad() {
    errc first = errc::ok;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      const std::size_t place = b_.fault_place[i];
      if (place == nowhere || b_.fault[i] != errc::ok) continue;
      b_.fault[i] = static_cast<errc>(place % fault_reasons);
      if (first == errc::ok) first = b_.fault[i];
      note<Void>(i, b_.fault[i], place / fault_reasons, out_[place / fault_reasons].name);
    }
    return how_.on_bad_client == bad_client::reject ? errc::ok : first;
  }

  template <class Pass>
  findings look(Pass& over, bool checked, bool writes) {
    const findings f = over.sweep(checked, writes);
    ++o_.passes;
    blame(f);
    return f;
  }

  /// The tensor that a refused sweep is about.
  void blame(const findings& f) noexcept {
    if (f.code == errc::ok || f.tensor >= out_.size()) return;
    o_.tensor = f.tensor;
    o_.tensor_name = out_[f.tensor].name;
  }

  template <class Void = void>
  void note(std::size_t client, errc reason, std::size_t tensor, std::string_view name) {
    const rejection r{client, clients_.id(client), reason, tensor, name};
    std::size_t at = o_.rejected.size();
    o_.rejected.push_back(r);
    for (; at > 0 && o_.rejected[at - 1].client > client; --at) std::swap(o_.rejected[at], o_.rejected[at - 1]);
  }

  const cohort& clients_;
  detail::slice<const basic_named_tensor<void>> out_;
  const options& how_;
  round_buffers& b_;
  outcome& o_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ROUND_BASE_HPP
