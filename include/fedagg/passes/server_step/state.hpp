// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_SERVER_STEP_STATE_HPP
#define FEDAGG_PASSES_SERVER_STEP_STATE_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/model_buffer.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/passes/streams/table.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

namespace impl {
template <class Optimizer>
class server_stepper;
}

/// What an optimizer remembers between rounds: its slots (moments, say), one value for each trained coordinate, and the
/// number of rounds. Empty until the first step, which gives it the model's layout; it belongs to that optimizer and to
/// that layout from then on. Saved and loaded like every state (docs/formats/saved_state.md).
class optimizer_state {
public:
  static constexpr const char* kind = "optimizer_state";
  static constexpr unsigned version = 1;

  /// What the slots are kept in. Arithmetic is in double either way.
  explicit optimizer_state(precision type = precision::f32) noexcept : precision_(type) {}

  /// Steps that were taken.
  std::uint64_t round() const noexcept { return round_; }
  precision type() const noexcept { return precision_; }
  /// The name of the optimizer that it belongs to; empty before the first step.
  std::string_view optimizer() const noexcept { return {name_.data(), name_.size()}; }
  /// One for each slot of the optimizer, in its order, with the names and shapes of the trained tensors.
  std::span<const model_buffer> slots() const noexcept { return slots_; }
  /// Not `ok` once a step with `write::direct` failed half way: nothing may be built on what is left of it.
  errc status() const noexcept { return status_; }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    if (!a.loading() && status_ != errc::ok) return status_;
    bool wide = precision_ == precision::f64;
    std::uint64_t count = slots_.size();
    if (const errc rc = a.value("optimizer", name_); rc != errc::ok) return rc;
    if (const errc rc = a.value("round", round_); rc != errc::ok) return rc;
    if (const errc rc = a.value("f64", wide); rc != errc::ok) return rc;
    if (const errc rc = a.value("slots", count); rc != errc::ok) return rc;
    if (a.loading()) {
      if (count > max_streams) return errc::file_format;
      precision_ = wide ? precision::f64 : precision::f32;
      slots_.assign(static_cast<std::size_t>(count), {});
    }
    for (std::size_t k = 0; k < slots_.size(); ++k) {
      const char part[] = {'s', 'l', 'o', 't', '_', static_cast<char>('0' + k)};
      if (const errc rc = archive_part(a, std::string_view(part, sizeof part), slots_[k]); rc != errc::ok) return rc;
    }
    if (!a.loading()) return errc::ok;
    for (const model_buffer& slot : slots_)
      if (slot.type() != precision_ || slot.layout() != slots_[0].layout() || !finite(slot)) return errc::file_format;
    return errc::ok;
  }

private:
  template <class>
  friend class impl::server_stepper;

  static bool finite(const model_buffer& slot) noexcept {
    for (const auto& e : slot.model().entries())
      if (impl::on_active_isa([&](auto isa) {
            return impl::scan_kernel<decltype(isa)>::non_finite(e.tensor.type(), e.tensor.data(), e.tensor.size());
          }))
        return false;
    return true;
  }

  std::vector<char> name_;
  std::vector<model_buffer> slots_;
  std::uint64_t round_ = 0;
  precision precision_ = precision::f32;
  errc status_ = errc::ok;
  impl::stream_table table_; // memory of the last step, for the next one
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_SERVER_STEP_STATE_HPP
