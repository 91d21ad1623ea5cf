// SPDX-License-Identifier: MIT
#include "server.hpp"

#include <utility>

#include <fedagg/optimizers/fed_adam.hpp>
#include <fedagg/optimizers/scaffold_server.hpp>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>
#include <fedagg/rules/median.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

namespace hospitals {

fedagg::outcome aggregate(rule how, const fedagg::cohort& clients, const fedagg::mutable_model_view& out) {
  switch (how) {
  case rule::median:
    return fedagg::aggregate(fedagg::median{}, clients, out);
  case rule::trimmed_mean:
    return fedagg::aggregate(fedagg::trimmed_mean{.trim = 1}, clients, out);
  case rule::mean:
    break;
  }
  return fedagg::aggregate(fedagg::mean{}, clients, out);
}

std::string name_of(const strategy& s) {
  static constexpr const char* methods[] = {"FedAvg", "FedProx", "FedAdam", "SCAFFOLD"};
  const char* method_name = methods[static_cast<std::size_t>(s.with)];
  if (s.how == rule::mean) return method_name;
  const std::string name = s.how == rule::median ? "median" : "trimmed mean";
  return s.with == method::plain ? name : name + " + " + method_name;
}

server::server(const strategy& how, Eigen::Index features)
    : how_(how), global_(features), none_(features), zero_(view_of(std::as_const(none_))) {}

update server::base() const {
  return {global_, how_.with == method::scaffold ? std::optional<model>(none_) : std::nullopt};
}

fedagg::outcome server::round(fedagg::cohort clients) {
  const update before = base();
  clients.base(view_of(before));
  update all = before;
  fedagg::outcome done = aggregate(how_.how, clients, view_of(all));
  const fedagg::model_view mean = view_of(std::as_const(all.trained));
  if (how_.with == method::fedadam) {
    fedagg::step(fedagg::fed_adam{}, view_of(global_), fedagg::pseudo_gradient::model(mean), state_);
  } else if (how_.with == method::scaffold) {
    const fedagg::model_view changes = view_of(std::as_const(*all.change));
    const double share = static_cast<double>(done.used) / static_cast<double>(done.clients);
    fedagg::step(fedagg::scaffold_server{}, view_of(global_), fedagg::pseudo_gradient::model(mean), state_,
                 {.participation = share}, {&changes});
  } else {
    global_ = all.trained;
  }
  return done;
}

} // namespace hospitals
