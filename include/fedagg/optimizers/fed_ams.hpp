// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_FED_AMS_HPP
#define FEDAGG_OPTIMIZERS_FED_AMS_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// FedAMS (Wang, Lin, Chen 2022, arXiv:2205.05719): FedAdam's moments, and the step's divisor never shrinks:
/// h = max(h, v, epsilon), x += eta m / sqrt h. m, v and h start at zero.
struct fed_ams {
  double learning_rate = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double epsilon = 1e-3;

  static constexpr const char* name = "fed_ams";
  static constexpr std::size_t slots = 3;
  static constexpr auto fields() {
    using o = fed_ams;
    return std::tuple{field{"learning_rate", &o::learning_rate, 0, 1e6, "eta"},
                      field{"beta1", &o::beta1, 0, 1, "share of the first moment that is kept"},
                      field{"beta2", &o::beta2, 0, 1, "share of the second moment that is kept"},
                      field{"epsilon", &o::epsilon, 1e-60, 1e6, "the least divisor, before the root"}};
  }
  double initial(std::size_t) const noexcept { return 0; }

  struct at_coordinate {
    double eta, beta1, rest1, beta2, rest2, epsilon;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      const L& delta = in[0];
      s[0] = L(beta1) * s[0] + L(rest1) * delta;
      s[1] = L(beta2) * s[1] + L(rest2) * (delta * delta);
      const L least = where_less(s[1], L(epsilon), L(epsilon), s[1]);
      s[2] = where_less(s[2], least, least, s[2]);
      x += L(eta) * s[0] / sqrt(s[2]);
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    return {learning_rate * round.rate, beta1, 1 - beta1, beta2, 1 - beta2, epsilon};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_FED_AMS_HPP
