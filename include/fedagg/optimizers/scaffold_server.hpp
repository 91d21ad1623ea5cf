// SPDX-License-Identifier: MIT
#ifndef FEDAGG_OPTIMIZERS_SCAFFOLD_SERVER_HPP
#define FEDAGG_OPTIMIZERS_SCAFFOLD_SERVER_HPP

#include <cstddef>
#include <tuple>

#include <fedagg/core/rule.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The server's half of SCAFFOLD (Karimireddy et al. 2020, arXiv:1910.06378): x += eta_g delta, c += |S| / N delta_c,
/// where delta and delta_c are the means over the participants of y_i - x and of c_i+ - c_i, and
/// `server_step_options::participation` is |S| / N. delta_c is the further aggregate of the step; c is slot 0 of the
/// state and goes to the clients of the next round (client/scaffold.hpp).
struct scaffold_server {
  double learning_rate = 1;

  static constexpr const char* name = "scaffold_server";
  static constexpr std::size_t slots = 1, aggregates = 2;
  static constexpr auto fields() {
    return std::tuple{field{"learning_rate", &scaffold_server::learning_rate, 0, 1e6, "eta_g"}};
  }
  double initial(std::size_t) const noexcept { return 0; }

  struct at_coordinate {
    double eta, share;
    template <class L>
    void operator()(const L* in, L& x, L* s) const {
      x += L(eta) * in[0];
      s[0] += L(share) * in[1];
    }
  };
  template <class Round>
  at_coordinate step(const Round& round) const noexcept {
    return {learning_rate * round.rate, round.participation};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_OPTIMIZERS_SCAFFOLD_SERVER_HPP
