// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_SITE_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_SITE_HPP

#include <optional>

#include <fedagg/client/scaffold.hpp>

#include "logistic.hpp"
#include "strategy.hpp"

namespace hospitals {

/// What a hospital sends: its model, and with SCAFFOLD the change of its control variate.
struct update {
  model trained;
  std::optional<model> change;
};

fedagg::model_view view_of(const update& u);
fedagg::mutable_model_view view_of(update& u);

/// A hospital's half of a method, with what it keeps between rounds.
class site {
public:
  site(patients own, method with);

  /// Starts from the global model and the server's control variate.
  update round(const model& global, const fedagg::model_view& control);
  /// How many patients it trains on.
  Eigen::Index size() const { return own_.size(); }

private:
  patients own_;
  method with_;
  fedagg::scaffold_client control_;
};

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_SITE_HPP
