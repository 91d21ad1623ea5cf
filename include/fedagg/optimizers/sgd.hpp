// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_SGD_HPP
#define FEDAGG_OPTIMIZERS_SGD_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// x += eta delta: FedAvg (McMahan et al. 2017, arXiv:1602.05629) with a server learning rate, SGD of Reddi et al. 2021
/// (arXiv:2003.00295). With eta = 1 the step ends at the aggregate, up to one rounding.
struct sgd {
  double learning_rate = 1;

  static constexpr const char* name = "sgd";
  static constexpr std::size_t slots = 0;
  static constexpr auto fields() {
    return std::tuple{field{"learning_rate", &sgd::learning_rate, 0, 1e6, "eta"}};
  }
  double initial(std::size_t) const noexcept { return 0; }

  struct at_coordinate {
    double eta;
    template <class L>
    void operator()(const L* in, L& x, L*) const {
      x += L(eta) * in[0];
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    return {learning_rate * round.rate};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_SGD_HPP
