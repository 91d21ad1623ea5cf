// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_FED_DYN_HPP
#define FEDAGG_OPTIMIZERS_FED_DYN_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The server's half of FedDyn (Acar et al. 2021, arXiv:2111.04263): h -= alpha |S| / N delta, theta = mean - h / alpha,
/// where the mean is the plain one over the participants and `server_step_options::participation` is |S| / N. The
/// clients' half is client/feddyn.hpp. The schedule has nothing to act on.
struct fed_dyn {
  double alpha = 0.1; ///< of the clients' penalty

  static constexpr const char* name = "fed_dyn";
  static constexpr std::size_t slots = 1;
  static constexpr auto fields() {
    return std::tuple{field{"alpha", &fed_dyn::alpha, 1e-12, 1e12, "of the clients' penalty"}};
  }
  double initial(std::size_t) const noexcept { return 0; }

  struct at_coordinate {
    double alpha, share;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      s[0] -= L(share) * in[0];
      x = x + in[0] - s[0] / L(alpha);
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    return {alpha, alpha * round.participation};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_FED_DYN_HPP
