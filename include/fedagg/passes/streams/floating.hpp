// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_STREAMS_FLOATING_HPP
#define FEDAGG_PASSES_STREAMS_FLOATING_HPP

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/passes/streams.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Finite and above zero, finite and not below; by the bits, so that no caller's mode takes a subnormal number for
/// zero.
constexpr bool is_positive(double x) noexcept { return std::bit_cast<std::uint64_t>(x) - 1 < 0x7ff0000000000000u - 1; }
constexpr bool is_not_negative(double x) noexcept {
  return is_positive(x) || std::bit_cast<std::uint64_t>(x) << 1 == 0;
}

/// The floating tensors of a model, in order: the model itself if it has no other.
template <class Void>
class floating_part {
public:
  explicit floating_part(const basic_model_view<Void>& model) : model_(&model) {
    for (const auto& e : model.entries()) all_ = all_ && is_floating(e.tensor.type());
    if (all_) return;
    for (const auto& e : model.entries())
      if (is_floating(e.tensor.type())) own_.add(e.name, e.tensor, e.policy);
  }
  const basic_model_view<Void>* get() const noexcept { return all_ ? model_ : &own_; }
  /// Where its tensor k is in the model.
  std::size_t position(std::size_t k) const noexcept {
    std::size_t at = 0;
    for (;; ++at)
      if (is_floating(model_->entries()[at].tensor.type()) && k-- == 0) return at;
  }

private:
  const basic_model_view<Void>* model_;
  basic_model_view<Void> own_;
  bool all_ = true;
};

/// A refused call's tensor, as a place in the model that `part` is of.
template <class Void>
void tell_fault(const stream_fault& fault, const floating_part<Void>& part, stream_fault* to) noexcept {
  if (!to || fault.tensor == stream_fault::none) return;
  *to = {fault.tensor < part.get()->size() ? part.position(fault.tensor) : stream_fault::none, fault.name};
}

/// `try_update` for models of which some, like state and gradients, lack the integer tensors that others have: only
/// the floating tensors are compared and stepped over. A fault's position is that in the first of the updates.
template <stream_step Step, std::size_t... I, std::size_t... O>
errc update_floating(const Step& step, const std::array<const model_view*, Step::inputs>& in,
                     const std::array<const mutable_model_view*, Step::updates>& io, const stream_options& how,
                     std::index_sequence<I...>, std::index_sequence<O...>) {
  [[maybe_unused]] const std::array<floating_part<const void>, sizeof...(I)> inputs{
      floating_part<const void>(*in[I])...};
  const std::array<floating_part<void>, sizeof...(O)> updates{floating_part<void>(*io[O])...};
  stream_fault fault;
  stream_options own = how;
  own.fault = &fault;
  const errc rc = fedagg::try_update(step, {inputs[I].get()...}, {updates[O].get()...}, own);
  if (rc != errc::ok) tell_fault(fault, updates[0], how.fault);
  return rc;
}
template <stream_step Step>
[[nodiscard]] errc update_floating(const Step& step, const std::array<const model_view*, Step::inputs>& in,
                                   const std::array<const mutable_model_view*, Step::updates>& io,
                                   const stream_options& how) noexcept {
  return no_throw([&] {
    return update_floating(step, in, io, how, std::make_index_sequence<Step::inputs>{},
                           std::make_index_sequence<Step::updates>{});
  });
}

/// `try_total`, likewise.
template <stream_sum Step, std::size_t... I>
errc total_floating(const Step& step, const std::array<const model_view*, Step::inputs>& in,
                    std::span<double, Step::sums> out, const stream_options& how, std::index_sequence<I...>) {
  [[maybe_unused]] const std::array<floating_part<const void>, sizeof...(I)> inputs{
      floating_part<const void>(*in[I])...};
  stream_fault fault;
  stream_options own = how;
  own.fault = &fault;
  const errc rc = fedagg::try_total(step, {inputs[I].get()...}, out, own);
  if (rc != errc::ok) tell_fault(fault, inputs[0], how.fault);
  return rc;
}
template <stream_sum Step>
[[nodiscard]] errc total_floating(const Step& step, const std::array<const model_view*, Step::inputs>& in,
                                  std::span<double, Step::sums> out, const stream_options& how) noexcept {
  return no_throw([&] { return total_floating(step, in, out, how, std::make_index_sequence<Step::inputs>{}); });
}

/// io[0] += rate (in[0] - in[1]): the gradient of rate / 2 |in[0] - in[1]|^2.
struct pull_step {
  static constexpr std::size_t inputs = 2, updates = 1;
  double rate;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = io[0] + L(rate) * (in[0] - in[1]);
  }
};

/// |in[0] - in[1]|^2.
struct distance_sum {
  static constexpr std::size_t inputs = 2, sums = 1;
  template <class L>
  void operator()(const L* in, L* values) const {
    const L difference = in[0] - in[1];
    values[0] = difference * difference;
  }
};

/// Nothing but a look at every value.
struct look_sum {
  static constexpr std::size_t inputs = 1, sums = 1;
  template <class L>
  void operator()(const L*, L* values) const {
    values[0] = L(0);
  }
};

/// `ok` if every floating value of the model is finite, else `non_finite`, or why it cannot be looked at.
[[nodiscard]] inline errc look_at(const model_view& model, const stream_options& how = {}) noexcept {
  double none = 0;
  return total_floating(look_sum{}, {&model}, std::span<double, 1>(&none, 1), how);
}

/// Archives a buffer as a part of an object; one with values that are not finite is not loaded.
template <class Archive, class Buffer>
errc archive_finite(Archive& a, std::string_view part, Buffer& buffer) {
  if (const errc rc = archive_part(a, part, buffer); rc != errc::ok) return rc;
  return a.loading() && look_at(buffer.model()) != errc::ok ? errc::file_format : errc::ok;
}

/// Runs a call that takes options and returns a code; throws what it was refused for, with the tensor's name.
template <class Call>
void checked(const stream_options& how, const Call& call) {
  stream_fault fault;
  stream_options own = how;
  if (!own.fault) own.fault = &fault;
  if (const errc rc = call(own); rc != errc::ok) raise(rc, own.fault->name);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_STREAMS_FLOATING_HPP
