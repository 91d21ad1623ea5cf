// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_SERVER_STEP_HPP
#define FEDAGG_PASSES_SERVER_STEP_HPP

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/core/schedule.hpp>
#include <fedagg/core/tensor_roles.hpp>
#include <fedagg/passes/server_step/state.hpp>
#include <fedagg/passes/streams.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// What a step is told of its round.
struct server_round {
  std::uint64_t number = 0; ///< steps before this one
  double rate = 1;          ///< the schedule's factor on the learning rate
  double participation = 1; ///< clients of this round over all clients, |S| / N
};

/// A server optimizer: a rule-like value (hyper-parameters, `name`, `fields()`) with `slots`, the number of states it
/// keeps per coordinate, `initial(k)`, what slot k starts with, and `step(server_round)`, a small value to call with a
/// coordinate: `template <class L> void operator()(const L* aggregates, L& x, L* slots) const`. The first aggregate is
/// the pseudo-gradient delta = mean - x, a direction of descent. Optional: `aggregates`, how many there are (1).
template <class O>
concept server_optimizer = rule_value<O> && (O::slots + 2 <= max_streams) &&
    requires(const O& o, const server_round& r, const lanes<double, impl::on_baseline>* in,
             lanes<double, impl::on_baseline>& x, lanes<double, impl::on_baseline>* slots) {
  { o.initial(std::size_t{}) } -> std::same_as<double>;
  o.step(r)(in, x, slots);
};

/// The aggregate of a round, and what it is: never guessed. The view is borrowed.
class pseudo_gradient {
public:
  /// The clients sent models: this is their aggregate, delta = it - x.
  static pseudo_gradient model(const model_view& aggregate) noexcept { return {aggregate, true}; }
  static pseudo_gradient model(const model_view&& aggregate) = delete;
  /// The clients sent updates (local - global), or a base was given: this is their aggregate, delta itself.
  static pseudo_gradient delta(const model_view& aggregate) noexcept { return {aggregate, false}; }
  static pseudo_gradient delta(const model_view&& aggregate) = delete;

  const model_view& view() const noexcept { return *view_; }
  bool is_model() const noexcept { return is_model_; }

private:
  pseudo_gradient(const model_view& view, bool is_model) noexcept : view_(&view), is_model_(is_model) {}

  const model_view* view_;
  bool is_model_;
};

/// How a server step is run.
struct server_step_options {
  tensor_roles roles = {};
  schedule rate = {};
  /// |S| / N, more than 0 and at most 1: scaffold and fed_dyn need it.
  double participation = 1;
  /// `atomic` looks at everything first, so that a refused step has changed neither the model nor the state. `direct`
  /// saves that read; where it is refused for `non_finite` or `overflow`, both are spoiled, which the state's `status()`
  /// says from then on.
  fedagg::write write = fedagg::write::atomic;
  executor_ref executor = {};
  stream_fault* fault = nullptr;
};

namespace impl {

template <class O>
constexpr std::size_t aggregates_of = [] {
  if constexpr (requires { O::aggregates; })
    return std::size_t{O::aggregates};
  else
    return std::size_t{1};
}();

/// An optimizer's step as one over streams: x and its slots are written.
template <class Step, std::size_t Aggregates, std::size_t Slots>
struct server_stream {
  static constexpr std::size_t inputs = Aggregates, updates = 1 + Slots;
  Step step;
  bool model; // the first aggregate is one
  template <class L>
  FEDAGG_FLATTEN_TOO void operator()(const L* in, L* io) const {
    L aggregates[Aggregates];
    for (std::size_t k = 0; k < Aggregates; ++k) aggregates[k] = in[k];
    if (model) aggregates[0] = in[0] - io[0];
    step(static_cast<const L*>(aggregates), io[0], io + 1);
  }
};

template <class Optimizer>
class server_stepper {
public:
  using extras = std::array<const model_view*, aggregates_of<Optimizer> - 1>;

  server_stepper(const Optimizer& o, const mutable_model_view& x, const pseudo_gradient& g, const extras& more,
                 optimizer_state& s, const server_step_options& how) noexcept
      : o_(o), x_(x), g_(g), more_(more), s_(s), how_(how) {}

  errc run() {
    if (s_.status_ != errc::ok) return s_.status_;
    if (!detail::parameters_in_range(o_) || !detail::parameters_in_range(how_.rate) || !is_finite(how_.participation) ||
        !(how_.participation > 0) || how_.participation > 1)
      return errc::bad_parameter;
    if constexpr (requires { o_.check(); })
      if (const errc rc = o_.check(); rc != errc::ok) return rc;
    if (const errc rc = lay_out(); rc != errc::ok) return rc;
    const bool fresh = s_.optimizer().empty();
    std::vector<model_buffer> made;
    if (fresh) {
      if (const errc rc = make_slots(made); rc != errc::ok) return rc;
    } else if (const errc rc = match_slots(); rc != errc::ok) {
      return rc;
    }
    std::vector<model_buffer>& slots = fresh ? made : s_.slots_;
    if (const errc rc = fill(slots); rc != errc::ok) return rc;
    if (const errc rc = take_aggregates(false); rc != errc::ok) return rc;
    std::vector<char> name;
    if (fresh) name.assign(Optimizer::name, Optimizer::name + std::string_view(Optimizer::name).size());

    const server_round now{s_.round_, how_.rate(s_.round_), how_.participation};
    const auto step = o_.step(now);
    using stream = server_stream<std::remove_const_t<decltype(step)>, aggregates_of<Optimizer>, Optimizer::slots>;
    const stream over{step, g_.is_model()};
    const stream_options streams{.write = how_.write, .executor = how_.executor, .fault = how_.fault};
    stream_pass<stream> pass(over, s_.table_, streams);
    errc rc = how_.write == write::atomic ? pass.look() : errc::ok;
    if (rc != errc::ok) return rc;
    // Only an executor that fails, or what `direct` has not looked at, can still go wrong.
    if (rc = pass.write_now(); rc != errc::ok) return s_.status_ = rc;
    if (rc = take_aggregates(true); rc != errc::ok) return s_.status_ = rc;
    if (fresh) {
      s_.slots_ = std::move(made);
      s_.name_ = std::move(name);
    }
    ++s_.round_;
    return errc::ok;
  }

private:
  errc refuse(errc rc, std::size_t k) const noexcept {
    if (how_.fault) *how_.fault = {k, x_.entries()[k].name};
    return rc;
  }

  role role_of(std::size_t k) const noexcept {
    return how_.roles.of(x_.entries()[k].name, x_.entries()[k].tensor.type());
  }

  /// Model and aggregate have the same tensors; element types may differ only between floating ones.
  errc lay_out() const noexcept {
    const auto& in = g_.view().entries();
    if (in.size() != x_.size()) return errc::layout_mismatch;
    bool any = x_.size() == 0;
    for (std::size_t k = 0; k < x_.size(); ++k) {
      const auto &a = x_.entries()[k], &b = x_.entries()[k];
      const auto& from = in[k];
      if (a.name != from.name) return refuse(errc::layout_mismatch, k);
      const role what = role_of(k);
      any = any || what != role::keep;
      if (what == role::keep) continue;
      if (a.tensor.status() != errc::ok) return refuse(a.tensor.status(), k);
      if (from.tensor.status() != errc::ok) return refuse(from.tensor.status(), k);
      if (!same_shape(any_tensor(b.tensor), from.tensor)) return refuse(errc::layout_mismatch, k);
      if (is_floating(a.tensor.type()) ? !is_floating(from.tensor.type()) : a.tensor.type() != from.tensor.type())
        return refuse(errc::layout_mismatch, k);
      if (!is_floating(a.tensor.type()) && !is_integer(a.tensor.type())) {
        if (a.tensor.type() == dtype::other || !g_.is_model()) return refuse(errc::unsupported_element, k);
      }
    }
    return any ? errc::ok : errc::empty_scope;
  }

  errc make_slots(std::vector<model_buffer>& slots) const {
    const model_layout layout(x_);
    if (layout.status() != errc::ok) return layout.status();
    slots.resize(Optimizer::slots);
    for (std::size_t k = 0; k < Optimizer::slots; ++k) {
      const errc rc = try_make_buffer(
          layout, s_.precision_, [&](std::size_t t) { return role_of(t) == role::train; }, slots[k]);
      if (rc != errc::ok) return rc;
      slots[k].fill(o_.initial(k));
    }
    return errc::ok;
  }

  errc match_slots() const noexcept {
    if (s_.optimizer() != Optimizer::name || s_.slots_.size() != Optimizer::slots) return errc::state_mismatch;
    for (const model_buffer& slot : s_.slots_) {
      std::size_t at = 0;
      for (std::size_t k = 0; k < x_.size(); ++k) {
        if (role_of(k) != role::train) continue;
        if (at == slot.size() || slot.source(at) != k || slot.layout().name(at) != x_.entries()[k].name ||
            !same_shape(any_tensor(x_.entries()[k].tensor), slot.model().entries()[at].tensor))
          return refuse(errc::state_mismatch, k);
        ++at;
      }
      if (at != slot.size()) return errc::state_mismatch;
    }
    return errc::ok;
  }

  /// A further aggregate of tensor k, the `trained`-th that is trained: from a model like x, or of trained tensors only.
  const any_tensor* extra(std::size_t i, std::size_t k, std::size_t trained) const noexcept {
    const auto entries = more_[i]->entries();
    const std::size_t at = entries.size() == x_.size() ? k : trained;
    return at < entries.size() && entries[at].name == x_.entries()[k].name ? &entries[at].tensor : nullptr;
  }

  /// The streams of the trained tensors, and no overlap of what is written.
  errc fill(std::vector<model_buffer>& slots) {
    stream_table& t = s_.table_;
    t.clear(aggregates_of<Optimizer>, 1 + Optimizer::slots);
    std::size_t trained = 0;
    for (std::size_t k = 0; k < x_.size(); ++k) {
      const auto& e = x_.entries()[k];
      if (role_of(k) == role::aggregate) {
        if (self_overlapping(e.tensor)) return refuse(errc::overlapping_output, k);
        t.writes(e.tensor);
        t.reads(g_.view().entries()[k].tensor);
      }
      if (role_of(k) != role::train) continue;
      const any_tensor* aggregates[aggregates_of<Optimizer>] = {&g_.view().entries()[k].tensor};
      for (std::size_t i = 1; i < aggregates_of<Optimizer>; ++i)
        if (aggregates[i] = extra(i - 1, k, trained); !aggregates[i]) return refuse(errc::layout_mismatch, k);
      const errc rc = t.add(
          k, e.name, [&](std::size_t i) -> const any_tensor& { return *aggregates[i]; },
          [&](std::size_t i) -> const any_mutable_tensor& {
            return i == 0 ? e.tensor : slots[i - 1].model().entries()[trained].tensor;
          });
      if (rc != errc::ok) return refuse(rc, k);
      ++trained;
    }
    return t.check_memory();
  }

  /// The tensors that take the aggregate's value; without `store` it only looks.
  errc take_aggregates(bool store) const noexcept {
    for (std::size_t k = 0; k < x_.size(); ++k)
      if (role_of(k) == role::aggregate) {
        const errc rc = take(x_.entries()[k].tensor, g_.view().entries()[k].tensor, store);
        if (rc != errc::ok) return refuse(rc, k);
      }
    return errc::ok;
  }

  errc take(const any_mutable_tensor& x, const any_tensor& from, bool store) const noexcept {
    constexpr std::size_t tile = 256;
    alignas(64) std::byte packed[tile * 8];
    double value[tile], old[tile];
    const fp_guard guard;
    for (std::size_t at = 0; at < x.size(); at += tile) {
      const std::size_t count = x.size() - at < tile ? x.size() - at : tile;
      if (g_.is_model() && x.type() == from.type() && !is_floating(x.type())) {
        gather(from, at, count, packed);
        if (store) scatter(x, at, count, packed);
        continue;
      }
      const auto read = [&](const any_tensor& t, double* to) {
        if (is_floating(t.type())) {
          load_doubles(t, at, count, to);
          return true;
        }
        gather(t, at, count, packed);
        return integers_to_double(t.type(), packed, count, to);
      };
      if (!read(from, value)) return errc::integer_range;
      for (std::size_t i = 0; i < count; ++i)
        if (!is_finite(value[i])) return errc::non_finite;
      if (!g_.is_model()) {
        if (!read(any_tensor(x), old)) return errc::integer_range;
        for (std::size_t i = 0; i < count; ++i) {
          if (!is_finite(old[i])) return errc::non_finite;
          value[i] = old[i] + value[i];
        }
      }
      if (is_floating(x.type())) {
        if (!store_doubles(x, at, count, value, store)) return errc::overflow;
      } else {
        if (!doubles_to_integer(x.type(), value, count, packed)) return errc::overflow;
        if (store) scatter(x, at, count, packed);
      }
    }
    return errc::ok;
  }

  const Optimizer& o_;
  const mutable_model_view& x_;
  const pseudo_gradient& g_;
  const extras& more_;
  optimizer_state& s_;
  const server_step_options& how_;
};

} // namespace impl

/// One step of a server optimizer, in place: trained tensors by the optimizer, others by their role. The aggregate has
/// the model's tensors (names, shapes; floating types may differ); `more` are the further aggregates of optimizers that
/// have some. Element types stay as they are; one pass over model, aggregates and state.
/// `bad_parameter`, `layout_mismatch`, `state_mismatch` (the state of another optimizer or model), `empty_scope`,
/// `overlapping_output`, `unsupported_element` and a view's own status before the first write; with `write::atomic`
/// also `non_finite` and `overflow`.
template <server_optimizer O>
[[nodiscard]] errc try_step(const O& optimizer, const mutable_model_view& model, const pseudo_gradient& aggregate,
                            optimizer_state& state, const server_step_options& how = {},
                            const typename impl::server_stepper<O>::extras& more = {}) noexcept {
  return impl::no_throw([&] {
    return impl::server_stepper<O>(optimizer, model, aggregate, more, state, how).run();
  });
}

/// Throws fedagg::error; the text names the tensor.
template <server_optimizer O>
void step(const O& optimizer, const mutable_model_view& model, const pseudo_gradient& aggregate, optimizer_state& state,
          const server_step_options& how = {}, const typename impl::server_stepper<O>::extras& more = {}) {
  stream_fault fault;
  server_step_options own = how;
  if (!own.fault) own.fault = &fault;
  if (const errc rc = try_step(optimizer, model, aggregate, state, own, more); rc != errc::ok)
    impl::raise(rc, own.fault->name);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_SERVER_STEP_HPP
