// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_SERVER_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_SERVER_HPP

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/outcome.hpp>
#include <fedagg/passes/server_step/state.hpp>

#include "site.hpp"

namespace hospitals {

/// A round by a rule: of models, or of whatever else the hospitals send.
fedagg::outcome aggregate(rule how, const fedagg::cohort& clients, const fedagg::mutable_model_view& out);

/// The server's half of a strategy, with what it keeps between rounds.
class server {
public:
  server(const strategy& how, Eigen::Index features);
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  const model& global() const { return global_; }
  /// SCAFFOLD's c; zero before the first round.
  const fedagg::model_view& control() const { return state_.slots().empty() ? zero_ : state_.slots()[0].model(); }
  /// What the hospitals' updates are seen from: the global model, and with SCAFFOLD no change of control variates.
  update base() const;

  /// Aggregates the hospitals' updates and takes the optimizer's step.
  fedagg::outcome round(fedagg::cohort clients);

private:
  strategy how_;
  model global_, none_;
  fedagg::model_view zero_;
  fedagg::optimizer_state state_;
};

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_SERVER_HPP
