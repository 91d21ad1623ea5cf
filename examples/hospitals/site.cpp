// SPDX-License-Identifier: MIT
#include "site.hpp"

#include <utility>

#include <fedagg/client/proximal.hpp>

namespace hospitals {

fedagg::model_view view_of(const update& u) {
  fedagg::model_view all = view_of(u.trained);
  if (u.change) all.add("control.weight", u.change->weight).add("control.bias", u.change->bias);
  return all;
}
fedagg::mutable_model_view view_of(update& u) {
  fedagg::mutable_model_view all = view_of(u.trained);
  if (u.change) all.add("control.weight", u.change->weight).add("control.bias", u.change->bias);
  return all;
}

site::site(patients own, method with) : own_(std::move(own)), with_(with) {
  if (with_ == method::scaffold) control_ = fedagg::scaffold_client(view_of(model(own_.measured.cols())));
}

update site::round(const model& global, const fedagg::model_view& control) {
  update sent{global, {}};
  const fedagg::model_view start = view_of(global);
  if (with_ == method::fedprox) {
    train(sent.trained, own_, local_steps, [&](const auto& at, const auto& gradient) {
      fedagg::proximal_term{.mu = 1}.add_gradient(at, start, gradient);
    });
  } else if (with_ == method::scaffold) {
    train(sent.trained, own_, local_steps,
          [&](const auto&, const auto& gradient) { control_.correct(control, gradient); });
    sent.change.emplace(own_.measured.cols());
    control_.renew(control, start, view_of(std::as_const(sent.trained)), local_steps, learning_rate,
                   view_of(*sent.change));
  } else {
    train(sent.trained, own_, local_steps);
  }
  return sent;
}

} // namespace hospitals
