// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_FED_ADAM_HPP
#define FEDAGG_OPTIMIZERS_FED_ADAM_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/bias_correction.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// FedAdam (Reddi et al. 2021, arXiv:2003.00295, Algorithm 2): m = beta1 m + (1 - beta1) delta,
/// v = beta2 v + (1 - beta2) delta^2, x += eta m / (sqrt v + tau); v starts at `initial_v`, by default tau^2, and no
/// bias is corrected. `weight_decay` shrinks x by eta weight_decay beside the step (AdamW; Loshchilov, Hutter 2019,
/// arXiv:1711.05101).
struct fed_adam {
  double learning_rate = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double tau = 1e-3;
  double initial_v = unset;
  bias_correction correction = bias_correction::none;
  double weight_decay = 0;

  static constexpr const char* name = "fed_adam";
  static constexpr std::size_t slots = 2;
  static constexpr auto fields() {
    using o = fed_adam;
    return std::tuple{field{"learning_rate", &o::learning_rate, 0, 1e6, "eta"},
                      field{"beta1", &o::beta1, 0, 0.999999, "share of the first moment that is kept"},
                      field{"beta2", &o::beta2, 0, 0.999999, "share of the second moment that is kept"},
                      field{"tau", &o::tau, 1e-30, 1e6, "degree of adaptivity: what is added to the root"},
                      field{"initial_v", &o::initial_v, unset, 1e12, "what the second moment starts with; tau^2"},
                      field{"correction", &o::correction, 0, 2, "how the moments' bias is corrected"},
                      field{"weight_decay", &o::weight_decay, 0, 1e6, "decoupled decay of the model"}};
  }
  /// As Flower 1.28 has it.
  static fed_adam flower() noexcept { return {.initial_v = 0, .correction = bias_correction::flower}; }
  /// With Adam's own bias correction; v starts at zero.
  static fed_adam corrected() noexcept { return {.initial_v = 0, .correction = bias_correction::adam}; }
  errc check() const noexcept { return initial_v != unset && initial_v < 0 ? errc::bad_parameter : errc::ok; }
  double initial(std::size_t k) const noexcept { return k == 0 ? 0 : initial_v == unset ? tau * tau : initial_v; }

  struct at_coordinate {
    double eta, kept, beta1, rest1, beta2, rest2, tau, second;
    bool decays, corrects;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      const L& delta = in[0];
      s[0] = L(beta1) * s[0] + L(rest1) * delta;
      s[1] = L(beta2) * s[1] + L(rest2) * (delta * delta);
      if (decays) x *= L(kept);
      x += L(eta) * s[0] / (sqrt(corrects ? L(second) * s[1] : s[1]) + L(tau));
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    const detail::moment_factors f = detail::factors_of(correction, beta1, beta2, round.number);
    const double eta = learning_rate * round.rate, kept = 1 - eta * weight_decay;
    return {eta * f.rate, kept, beta1, 1 - beta1, beta2, 1 - beta2, tau, f.second, kept != 1, f.second != 1};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_FED_ADAM_HPP
