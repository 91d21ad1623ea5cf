// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_FED_YOGI_HPP
#define FEDAGG_OPTIMIZERS_FED_YOGI_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/bias_correction.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// FedYogi (Reddi et al. 2021, arXiv:2003.00295, Algorithm 2): as FedAdam, but the second moment moves by a step whose
/// size does not depend on it: v -= (1 - beta2) delta^2 sign(v - delta^2).
struct fed_yogi {
  double learning_rate = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double tau = 1e-3;
  double initial_v = unset;
  bias_correction correction = bias_correction::none;

  static constexpr const char* name = "fed_yogi";
  static constexpr std::size_t slots = 2;
  static constexpr auto fields() {
    using o = fed_yogi;
    return std::tuple{field{"learning_rate", &o::learning_rate, 0, 1e6, "eta"},
                      field{"beta1", &o::beta1, 0, 0.999999, "share of the first moment that is kept"},
                      field{"beta2", &o::beta2, 0, 0.999999, "1 - beta2 is the second moment's step"},
                      field{"tau", &o::tau, 1e-30, 1e6, "degree of adaptivity: what is added to the root"},
                      field{"initial_v", &o::initial_v, unset, 1e12, "what the second moment starts with; tau^2"},
                      field{"correction", &o::correction, 0, 2, "how the moments' bias is corrected"}};
  }
  /// As Flower 1.28 has it: v starts at zero.
  static fed_yogi flower() noexcept { return {.initial_v = 0}; }
  errc check() const noexcept { return initial_v != unset && initial_v < 0 ? errc::bad_parameter : errc::ok; }
  double initial(std::size_t k) const noexcept { return k == 0 ? 0 : initial_v == unset ? tau * tau : initial_v; }

  struct at_coordinate {
    double eta, beta1, rest1, rest2, tau, second;
    bool corrects;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      const L& delta = in[0];
      const L square = delta * delta;
      s[0] = L(beta1) * s[0] + L(rest1) * delta;
      const L part = L(rest2) * square;
      s[1] = impl::not_negative_if(s[1] + where_less(s[1], square, part, where_less(square, s[1], -part, L(0))), s[1]);
      x += L(eta) * s[0] / (sqrt(corrects ? L(second) * s[1] : s[1]) + L(tau));
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    const detail::moment_factors f = detail::factors_of(correction, beta1, beta2, round.number);
    return {learning_rate * round.rate * f.rate, beta1, 1 - beta1, 1 - beta2, tau, f.second, f.second != 1};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_FED_YOGI_HPP
