// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_Q_FEDAVG_HPP
#define FEDAGG_PROTOCOLS_Q_FEDAVG_HPP

#include <cstddef>
#include <span>
#include <tuple>
#include <utility>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/power.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/aggregate.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// q-FedAvg (Li, Sanjabi, Beirami, Smith 2020, arXiv:1905.10497): a step that counts clients more the higher their loss
/// F_k on the model x they were sent. With L = 1 / learning_rate, the clients' step size, and u_k = w_k - x:
/// x += sum_k L F_k^q u_k / sum_k (q F_k^(q-1) L^2 |u_k|^2 + L F_k^q).
/// The coefficients are never made to sum to one: what they lack keeps x. q = 0 is the unweighted mean, bit for bit.
/// Losses are claims: one client that reports a huge one decides alone. Ignores weights.
struct q_fedavg {
  double q = unset;
  double learning_rate = unset; ///< of the clients: 1 / L
  double epsilon = 1e-10;       ///< added to every loss, as the authors' code does

  static constexpr const char* name = "q_fedavg";
  static constexpr auto fields() {
    return std::tuple{
        field{"q", &q_fedavg::q, 0, any_count, "how much more high losses count"},
        field{"learning_rate", &q_fedavg::learning_rate, 0, detail::largest_double, "the clients' step size, 1 / L"},
        field{"epsilon", &q_fedavg::epsilon, 0, any_count, "added to every loss"}};
  }
};

namespace detail {

/// What is wrong with a loss that a client reports.
constexpr errc loss_fault(double loss) noexcept {
  return !is_finite(loss) ? errc::non_finite : loss < 0 ? errc::value_range : errc::ok;
}

/// The step as a rule on the clients' norms.
struct fair_rule {
  q_fedavg how;
  std::span<const double> losses;
  std::size_t clients = 0, may_lose = 0;
  bool refuse = false; ///< a bad loss fails the call

  static constexpr const char* name = "q_fedavg";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr bool needs_origin = true;
  static constexpr auto fields() { return std::tuple{}; }

  errc coefficients(const geometry& g, arena&, solution& s) const noexcept {
    double largest = 0;
    std::size_t good = 0;
    for (std::size_t i = 0; i < g.rows; ++i) {
      const double loss = losses[g.client(i)];
      const errc fault = loss_fault(loss);
      if (fault != errc::ok && refuse) return fault;
      if (fault != errc::ok) continue;
      ++good;
      if (const double f = saturating_plus(loss, how.epsilon); f > largest) largest = f;
    }
    if (clients - good > may_lose) return errc::too_many_rejected;
    if (good == 0) return errc::too_few_clients;
    s.breakdown = 0;
    s.whole = how.q == 0;
    double sum = 0;
    for (std::size_t i = 0; i < g.rows; ++i) {
      const double loss = losses[g.client(i)];
      if (loss_fault(loss) != errc::ok) continue;
      // All in units of the largest loss, which leaves the quotient as it is and nothing to overflow but the bound.
      const double f = largest > 0 ? quotient(saturating_plus(loss, how.epsilon), largest) : 0;
      s.coefficients[i] = power(f, how.q);
      sum = saturating_plus(sum, saturating_plus(s.coefficients[i], curvature(f, largest, g.square_norms[i])));
    }
    // No loss at all and q > 0: the gradient is zero, and the model stays.
    if (!(sum > 0)) sum = 1;
    const double scale = power_of_two(-exponent_of(sum) / 2),
                 rest = power_of_two(-exponent_of(sum) - 1 + exponent_of(sum) / 2);
    for (std::size_t i = 0; i < g.rows; ++i) s.coefficients[i] = times(times(s.coefficients[i], scale), rest);
    s.divisor = times(times(sum, scale), rest);
    return errc::ok;
  }

private:
  /// q F^(q-1) L |u|^2 in units of largest^q, f = F / largest.
  double curvature(double f, double largest, double square_norm) const noexcept {
    if (how.q == 0 || square_norm == 0) return 0;
    if (!(largest > 0)) return how.q > 1 ? 0 : largest_double;
    const double steep = times(power(f, how.q - 1), how.q);
    const double long_one = quotient(quotient(square_norm, largest), how.learning_rate);
    if (steep == 0) return 0;
    const double product = is_finite(long_one) && is_finite(steep) ? times(steep, long_one) : largest_double;
    return is_finite(product) ? product : largest_double;
  }
};

} // namespace detail
} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// One step of q-FedAvg from the cohort's base (or for declared updates, the step alone) into `out`, which may be the
/// base; `losses` are those of the clients on the base, one each. A loss that is NaN or Inf (`non_finite`) or negative
/// (`value_range`) is its client's fault and handled by the policy, like everything that `try_aggregate` finds.
/// `weight_count` unless there is one loss per client; `bad_parameter`, `missing_origin`. Never throws; allocates
/// nothing in the steady state.
[[nodiscard]] inline errc try_aggregate(const q_fedavg& how, const cohort& clients, std::span<const double> losses,
                                        const mutable_model_view& out, workspace& space,
                                        const options& options = {}) noexcept {
  const impl::fp_guard guard;
  outcome& o = space.buffers().result;
  o.clear();
  o.clients = clients.size();
  if (!impl::parameters_in_range(how) || !(how.learning_rate > 0)) return o.code = errc::bad_parameter;
  if (losses.size() != clients.size()) return o.code = errc::weight_count;
  if (clients.size() == 0) return o.code = errc::empty_cohort;
  const std::size_t automatic = (clients.size() - 1) / 2;
  const std::size_t may_lose = options.max_rejected == fedagg::options::automatic ? automatic : options.max_rejected;
  const detail::fair_rule rule{how, losses, clients.size(), may_lose, options.on_bad_client == bad_client::fail};
  const errc rc = try_aggregate(rule, clients, out, space, options);
#if FEDAGG_EXCEPTIONS
  try {
#endif
    for (std::size_t i = 0; i < losses.size(); ++i) {
      const errc fault = detail::loss_fault(losses[i]);
      if (fault == errc::ok) continue;
      std::size_t at = 0;
      while (at < o.rejected.size() && o.rejected[at].client < i) ++at;
      if (at < o.rejected.size() && o.rejected[at].client == i) continue;
      o.rejected.push_back({i, clients.id(i), fault, 0, {}});
      for (std::size_t k = o.rejected.size(); --k > at;) std::swap(o.rejected[k], o.rejected[k - 1]);
      if (o.used > 0) --o.used;
    }
#if FEDAGG_EXCEPTIONS
  } catch (...) {
    return o.code = errc::out_of_memory;
  }
#endif
  return rc;
}

/// The same with everything owned: returns the outcome, throws fedagg::error where the step is refused.
inline outcome aggregate(const q_fedavg& how, const cohort& clients, std::span<const double> losses,
                         const mutable_model_view& out, const options& options = {}) {
  workspace space;
  if (try_aggregate(how, clients, losses, out, space, options) != errc::ok) impl::raise_refused(space.result());
  return std::move(space.buffers().result);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_Q_FEDAVG_HPP
