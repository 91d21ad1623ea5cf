// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_FED_AVGM_HPP
#define FEDAGG_OPTIMIZERS_FED_AVGM_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Server momentum, FedAvgM (Hsu, Qi, Brown 2019, arXiv:1909.06335): v = beta v + delta, x += eta v; with `nesterov`
/// x += eta (delta + beta v). Works on whatever a rule made of the clients: on top of a robust rule it is that rule with
/// server momentum.
struct fed_avgm {
  double learning_rate = 1;
  double momentum = 0.9;
  bool nesterov = false;

  static constexpr const char* name = "fed_avgm";
  static constexpr std::size_t slots = 1;
  static constexpr auto fields() {
    return std::tuple{field{"learning_rate", &fed_avgm::learning_rate, 0, 1e6, "eta"},
                      field{"momentum", &fed_avgm::momentum, 0, 1, "beta"},
                      field{"nesterov", &fed_avgm::nesterov, 0, 1, "whether the step looks ahead"}};
  }
  double initial(std::size_t) const noexcept { return 0; }

  struct at_coordinate {
    double eta, beta;
    bool ahead;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      s[0] = L(beta) * s[0] + in[0];
      x += L(eta) * (ahead ? in[0] + L(beta) * s[0] : s[0]);
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    return {learning_rate * round.rate, momentum, nesterov};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_FED_AVGM_HPP
