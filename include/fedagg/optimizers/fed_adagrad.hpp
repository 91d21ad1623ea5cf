// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_FED_ADAGRAD_HPP
#define FEDAGG_OPTIMIZERS_FED_ADAGRAD_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// FedAdagrad (Reddi et al. 2021, arXiv:2003.00295, Algorithm 2): m = beta1 m + (1 - beta1) delta, v += delta^2,
/// x += eta m / (sqrt v + tau); v starts at `initial_v`, by default tau^2.
struct fed_adagrad {
  double learning_rate = 0.1;
  double beta1 = 0;
  double tau = 1e-3;
  double initial_v = unset;

  static constexpr const char* name = "fed_adagrad";
  static constexpr std::size_t slots = 2;
  static constexpr auto fields() {
    using o = fed_adagrad;
    return std::tuple{field{"learning_rate", &o::learning_rate, 0, 1e6, "eta"},
                      field{"beta1", &o::beta1, 0, 1, "share of the first moment that is kept"},
                      field{"tau", &o::tau, 1e-30, 1e6, "degree of adaptivity: what is added to the root"},
                      field{"initial_v", &o::initial_v, unset, 1e12, "what the second moment starts with; tau^2"}};
  }
  /// As Flower 1.28 has it: v starts at zero.
  static fed_adagrad flower() noexcept { return {.initial_v = 0}; }
  errc check() const noexcept { return initial_v != unset && initial_v < 0 ? errc::bad_parameter : errc::ok; }
  double initial(std::size_t k) const noexcept { return k == 0 ? 0 : initial_v == unset ? tau * tau : initial_v; }

  struct at_coordinate {
    double eta, beta1, rest1, tau;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      const L& delta = in[0];
      s[0] = L(beta1) * s[0] + L(rest1) * delta;
      s[1] += delta * delta;
      x += L(eta) * s[0] / (sqrt(s[1]) + L(tau));
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    return {learning_rate * round.rate, beta1, 1 - beta1, tau};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_FED_ADAGRAD_HPP
