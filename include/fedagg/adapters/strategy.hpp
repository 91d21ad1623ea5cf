// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_STRATEGY_HPP
#define FEDAGG_ADAPTERS_STRATEGY_HPP

#include <cstddef>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include <fedagg/adapters/strategy/any_chain.hpp>
#include <fedagg/adapters/strategy/any_optimizer.hpp>
#include <fedagg/adapters/strategy/description.hpp>
#include <fedagg/adapters/strategy/model_memory.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/protocols/weighting.hpp>
#include <fedagg/secure/ring_codec.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// How a round of a strategy is run.
struct strategy_options {
  executor_ref executor = {};
  fedagg::write write = fedagg::write::atomic; ///< of the optimizer's step
  /// For `scaffold_server`, and only for it: what each client's control changed by, c_i+ - c_i, in the order of the
  /// clients, for the trained tensors in the model's order and of the model's element types.
  const cohort* control_changes = nullptr;
};

/// Runs a strategy's rounds: weights, mixing and rule on the clients' rows, then the optimizer's step on the model, in
/// place. Keeps the optimizer's state and the memory of one aggregate.
class strategy_server {
public:
  /// `how` must have passed `check()`.
  explicit strategy_server(strategy how)
      : how_(std::move(how)), state_(how_.server.state == state_precision::f64 ? precision::f64 : precision::f32) {}

  /// One round. The cohort has models or updates, as the strategy says, and neither a base nor weights of its own beyond
  /// the clients' claims; its trusted row and history are used. Changes of controls are aggregated by the same mixing
  /// and rule; a client whose one row is rejected is left out of both. A refused round leaves model and state as they
  /// were, with `write::atomic`. Errors of `try_aggregate` and `try_step`, `bad_parameter` for changes of controls that
  /// are missing, too many or not asked for; `result()` tells of the clients.
  [[nodiscard]] errc try_round(const cohort& clients, const mutable_model_view& model,
                               const strategy_options& options = {}) noexcept {
    space_.buffers().result.clear();
    control_space_.buffers().result.clear();
#if FEDAGG_EXCEPTIONS
    try {
      return round(clients, model, options);
    } catch (const std::bad_alloc&) {
      return errc::out_of_memory;
    }
#else
    return round(clients, model, options);
#endif
  }
  void round_or_raise(const cohort& clients, const mutable_model_view& model, const strategy_options& options = {}) {
    if (const errc rc = try_round(clients, model, options); rc != errc::ok) {
      for (const outcome* o : {&space_.result(), &control_space_.result()})
        if (o->code != errc::ok) impl::raise_refused(*o);
      impl::raise(rc, fault_.name);
    }
  }

  /// The same with what secure aggregation opened: the sum of so many clients' vectors, encoded by this codec. What
  /// `ring_codec::try_decode` and `try_step` return; `bad_parameter` for a strategy that is not `secure`.
  [[nodiscard]] errc try_secure_round(const ring_codec& codec, const ring_vector& sum, std::uint32_t clients,
                                      const mutable_model_view& model, ring_totals& totals,
                                      const strategy_options& options = {}) noexcept {
    return impl::no_throw([&] {
      fault_ = {};
      if (!how_.secure) return errc::bad_parameter;
      const bool updates = codec.parameters().content == ring_content::updates;
      if (updates != (how_.server.send == client_rows::updates)) return errc::bad_parameter;
      if (const errc rc = aggregate_.like(model); rc != errc::ok) return rc;
      aggregate_.fill(model, updates); // tensors that are not sent stay as they are
      if (const errc rc = codec.try_decode(sum, clients, aggregate_.view(), totals); rc != errc::ok) return rc;
      return apply(clients, updates, model, options);
    });
  }

  const strategy& settings() const noexcept { return how_; }
  /// Of the last round's aggregation: of models or updates, where there are controls too.
  const outcome& result() const noexcept { return space_.result(); }
  /// Of the aggregation of controls alone, where clients that were rejected before are there with `invalid_weight`.
  const outcome& control_result() const noexcept { return control_space_.result(); }
  /// The tensor that the last step was refused for.
  const stream_fault& fault() const noexcept { return fault_; }
  optimizer_state& state() noexcept { return state_; }
  const optimizer_state& state() const noexcept { return state_; }

private:
  errc round(const cohort& clients, const mutable_model_view& model, const strategy_options& options) {
    fault_ = {};
    if ((how_.optimizer.aggregates() > 1) != (options.control_changes != nullptr)) return errc::bad_parameter;
    if (const errc rc = aggregate_.like(model); rc != errc::ok) return rc;
    cohort own = clients;
    const model_view base(model);
    const bool updates = how_.server.send == client_rows::updates;
    if (updates)
      own.updates();
    else
      own.base(base);
    if (const errc rc = weigh(own); rc != errc::ok) return rc;
    fedagg::options rule_options;
    rule_options.executor = options.executor;
    if (how_.server.on_bad_client == strategy_policy::fail) rule_options.on_bad_client = bad_client::fail;
    if (const errc rc = try_aggregate(how_.aggregation, own, aggregate_.view(), space_, rule_options); rc != errc::ok)
      return rc;
    if (options.control_changes)
      if (const errc rc = aggregate_controls(*options.control_changes, own, model, rule_options); rc != errc::ok)
        return rc;
    return apply(space_.result().used, updates, model, options);
  }

  /// The controls of the clients that are left, and, if more have to leave for theirs, the models once more without
  /// them: they were finite then.
  errc aggregate_controls(const cohort& changes, cohort& own, const mutable_model_view& model,
                          const fedagg::options& how) {
    if (changes.size() != own.size()) return errc::bad_parameter;
    mutable_model_view trained;
    for (const auto& e : model.entries())
      if (how_.roles.of(e.name, e.tensor.type()) == role::train) trained.add(e.name, e.tensor, e.policy);
    if (const errc rc = controls_.like(trained); rc != errc::ok) return rc;
    cohort others = changes;
    others.updates().weights(without(space_.result()));
    errc rc = try_aggregate(how_.aggregation, others, controls_.view(), control_space_, how);
    if (rc != errc::ok || control_space_.result().used == space_.result().used) return rc;
    own.weights(without(control_space_.result()));
    const std::vector<rejection> before = space_.result().rejected;
    rc = try_aggregate(how_.aggregation, own, aggregate_.view(), space_, how);
    // Why they had to leave, in place of the weight that made them.
    for (rejection& r : space_.buffers().result.rejected)
      for (const auto* reasons : {&control_space_.result().rejected, &before})
        for (const rejection& reason : *reasons)
          if (reason.client == r.client) r = {r.client, r.id, reason.reason, reason.tensor, reason.tensor_name};
    return rc;
  }

  /// The weights, with none that a round takes for those that another one has rejected.
  std::span<const double> without(const outcome& o) noexcept {
    for (const rejection& r : o.rejected) weights_[r.client] = -1;
    return weights_;
  }

  /// The optimizer's step with the aggregate of so many clients.
  errc apply(std::size_t clients, bool updates, const mutable_model_view& model, const strategy_options& options) {
    const model_view aggregate(aggregate_.view());
    server_step_options step;
    step.roles = how_.roles;
    step.rate = how_.rate;
    step.write = options.write;
    step.executor = options.executor;
    step.fault = &fault_;
    if (how_.server.clients != unset) {
      const double used = static_cast<double>(clients), all = static_cast<double>(how_.server.clients);
      if (used > all) return errc::bad_parameter;
      step.participation = used / all;
    }
    const auto g = updates ? pseudo_gradient::delta(aggregate) : pseudo_gradient::model(aggregate);
    const model_view controls(controls_.view());
    return try_step(how_.optimizer, model, g, state_, step, options.control_changes ? &controls : nullptr);
  }

  errc weigh(cohort& own) {
    if (own.status() != errc::ok) return own.status();
    weights_.resize(own.size());
    for (std::size_t i = 0; i < own.size(); ++i)
      weights_[i] = how_.weights.by == weight_source::uniform ? 1.0 : own.weight(i);
    if (how_.weights.share != unset && own.size() != 0)
      if (const errc rc = try_cap_weights(how_.weights.share, weights_); rc != errc::ok) return rc;
    own.weights(weights_);
    return errc::ok;
  }

  strategy how_;
  optimizer_state state_;
  workspace space_, control_space_;
  impl::model_memory aggregate_, controls_;
  std::vector<double> weights_;
  stream_fault fault_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_STRATEGY_HPP
