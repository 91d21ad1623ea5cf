// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_FEDNOVA_HPP
#define FEDAGG_CLIENT_FEDNOVA_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/element.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// How a client stepped: u = momentum u + gradient + mu (y - x), y -= eta u, `steps` times from u = 0.
struct fednova_steps {
  std::uint64_t steps = 1; ///< tau, 1 to 2^32
  double momentum = 0;     ///< rho, 0 <= rho < 1
  double decay = 0;        ///< eta mu of a proximal term, 0 <= eta mu <= 1
};

/// FedNova's a_i: the client's way is x - y = eta (a_1 g_1 + ... + a_tau g_tau), and a is the sum of its coefficients
/// (Wang et al. 2020, arXiv:2007.07481). tau for SGD, (tau - rho (1 - rho^tau)/(1 - rho))/(1 - rho) with momentum,
/// (1 - (1 - eta mu)^tau)/(eta mu) with a proximal term. For both together: z = (x - y)/eta obeys u = rho u + g - eta
/// mu z, z += u, which is linear in the gradients, so that the sum of the coefficients is what gradients of 1 give.
/// While eta mu <= (1 - sqrt rho)^2 no coefficient is negative and it is the paper's |a|_1; beyond, where the way
/// swings, it is still what a gradient that stays the same is multiplied by. Within tau 2^-50 of that, relatively.
/// O(tau). `bad_parameter` outside the ranges above; `a` is untouched then.
[[nodiscard]] inline errc try_fednova_norm(const fednova_steps& way, double& a) noexcept {
  constexpr std::uint64_t most = std::uint64_t{1} << 32;
  if (way.steps == 0 || way.steps > most || !impl::is_not_negative(way.momentum) || way.momentum >= 1 ||
      !impl::is_not_negative(way.decay) || way.decay > 1)
    return errc::bad_parameter;
  const impl::fp_guard guard;
  double z = 0, u = 0;
  std::uint64_t k = 0;
  for (; k < way.steps; ++k) {
    const double next = detail::plus(detail::times(way.momentum, u), detail::plus(1, -detail::times(way.decay, z)));
    // From here on every step is the same.
    if (next == u && (way.decay == 0 || next == 0)) break;
    u = next;
    z = detail::plus(z, u);
  }
  z = detail::plus(z, detail::times(static_cast<double>(way.steps - k), u));
  if (!(z > 0)) return errc::bad_parameter;
  a = z;
  return errc::ok;
}
inline double fednova_norm(const fednova_steps& way) {
  double a = 0;
  if (const errc rc = try_fednova_norm(way, a); rc != errc::ok) impl::raise(rc);
  return a;
}

namespace impl {

struct fednova_normal_step {
  static constexpr std::size_t inputs = 2, updates = 1, outputs = 1;
  double length;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = (in[0] - in[1]) / L(length);
  }
};

} // namespace impl

/// FedNova's normalised gradient d_i = (x - y_i) / (eta a_i); with eta = 1 a model's difference instead, (x - y_i) /
/// a_i. In double, rounded once; what `out` held does not matter, and it may be the very view of x or y. Floating
/// tensors only. One pass. `bad_parameter` unless eta, a and their product are positive and finite, `layout_mismatch`,
/// `overlapping_output` before the first write; `non_finite`, `overflow` spoil `out` unless `how.write` is `atomic`.
[[nodiscard]] inline errc try_normalised_gradient(const model_view& global, const model_view& local, double eta,
                                                  double a, const mutable_model_view& out,
                                                  const stream_options& how = {}) noexcept {
  if (!impl::is_positive(eta) || !impl::is_positive(a)) return errc::bad_parameter;
  double length = 0;
  {
    const impl::fp_guard guard;
    length = detail::times(eta, a);
  }
  if (!impl::is_positive(length)) return errc::bad_parameter;
  return impl::update_floating(impl::fednova_normal_step{length}, {&global, &local}, {&out}, how);
}
inline void normalised_gradient(const model_view& global, const model_view& local, double eta, double a,
                                const mutable_model_view& out, const stream_options& how = {}) {
  impl::checked(how, [&](const auto& own) { return try_normalised_gradient(global, local, eta, a, out, own); });
}

/// What goes with FedNova's coefficients.
struct fednova_round {
  double tau_eff = 0; ///< sum p_i a_i, or what was asked for
  double total = 0;   ///< of the coefficients
};

/// The coefficients on the clients' deltas y_i - x that make x + sum c_i (y_i - x) FedNova's x - eta tau_eff sum p_i
/// d_i: c_i = p_i tau_eff / a_i, p_i being weight i over the sum of the weights (uniform without any). They do not sum
/// to 1: a weighted mean of the deltas divides by their `total`, so that the server's step along that mean is `total`.
/// `tau_eff` = 0 takes sum p_i a_i, the paper's choice. `empty_cohort`, `weight_count` if a length differs,
/// `invalid_weight`, `zero_weight_sum`, `value_range` for an a_i that is not positive and finite, `bad_parameter` for a
/// tau_eff below 0, `overflow`; nothing is written then.
[[nodiscard]] inline errc try_fednova_coefficients(std::span<const double> norms, std::span<const double> weights,
                                                   std::span<double> coefficients, fednova_round& round,
                                                   double tau_eff = 0) noexcept {
  const std::size_t n = norms.size();
  if (n == 0) return errc::empty_cohort;
  if (coefficients.size() != n || (!weights.empty() && weights.size() != n)) return errc::weight_count;
  if (!impl::is_not_negative(tau_eff)) return errc::bad_parameter;
  const impl::fp_guard guard;
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double weight = weights.empty() ? 1 : weights[i];
    if (!detail::valid_weight(weight)) return errc::invalid_weight;
    if (!impl::is_positive(norms[i])) return errc::value_range;
    sum = detail::plus(sum, weight);
  }
  if (!is_finite(sum)) return errc::overflow;
  if (!(sum > 0)) return errc::zero_weight_sum;
  const auto share = [&](std::size_t i) { return detail::quotient(weights.empty() ? 1 : weights[i], sum); };
  fednova_round made{tau_eff, 0};
  if (!(tau_eff > 0)) {
    made.tau_eff = 0;
    for (std::size_t i = 0; i < n; ++i) made.tau_eff = detail::plus(made.tau_eff, detail::times(share(i), norms[i]));
  }
  const auto coefficient = [&](std::size_t i) {
    return detail::quotient(detail::times(share(i), made.tau_eff), norms[i]);
  };
  for (std::size_t i = 0; i < n; ++i) made.total = detail::plus(made.total, coefficient(i));
  if (!is_finite(made.tau_eff) || !is_finite(made.total)) return errc::overflow;
  for (std::size_t i = 0; i < n; ++i) coefficients[i] = coefficient(i);
  round = made;
  return errc::ok;
}
inline fednova_round fednova_coefficients(std::span<const double> norms, std::span<const double> weights,
                                          std::span<double> coefficients, double tau_eff = 0) {
  fednova_round round;
  if (const errc rc = try_fednova_coefficients(norms, weights, coefficients, round, tau_eff); rc != errc::ok)
    impl::raise(rc);
  return round;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_FEDNOVA_HPP
