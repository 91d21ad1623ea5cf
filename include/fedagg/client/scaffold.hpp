// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_SCAFFOLD_HPP
#define FEDAGG_CLIENT_SCAFFOLD_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/element.hpp>
#include <fedagg/core/model_buffer.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A SCAFFOLD client's control variate c_i, zero at first, for the floating tensors of a model (Karimireddy et al.
/// 2020, arXiv:1910.06378). In a round: the gradient of every local step is corrected by c - c_i, before momentum;
/// after the last one c_i is renewed, and its change sent along with the model. The server's halves, x += eta_g mean (y
/// - x) and c += |S|/N mean (c_i+ - c_i), are the optimizers' business. State to be saved: a client that forgets c_i
/// while the server's c remembers it does not converge to the optimum.
class scaffold_client {
public:
  static constexpr const char* kind = "scaffold_client";
  static constexpr unsigned version = 1;

  scaffold_client() = default;
  /// Throws std::bad_alloc; a layout that cannot be held shows in `status()`.
  explicit scaffold_client(const model_layout& layout, precision type = precision::f64) : control_(layout, type) {}

  errc status() const noexcept { return control_.status(); }
  /// c_i.
  const model_view& control() const noexcept { return control_.model(); }

  /// gradient += c - c_i, to be called before momentum and weight decay have seen the gradient. In double, rounded
  /// once. One pass. `layout_mismatch`, `overlapping_output` before the first write; `non_finite`, `overflow` spoil the
  /// gradient unless `how.write` is `atomic`.
  [[nodiscard]] errc try_correct(const model_view& server_control, const mutable_model_view& gradient,
                                 const stream_options& how = {}) const noexcept {
    if (status() != errc::ok) return status();
    return impl::update_floating(correction_step{}, {&server_control, &control_.model()}, {&gradient}, how);
  }
  void correct(const model_view& server_control, const mutable_model_view& gradient,
               const stream_options& how = {}) const {
    impl::checked(how, [&](const auto& own) { return try_correct(server_control, gradient, own); });
  }

  /// Option I: c_i+ = the client's gradient at the server's model x, over all of its data. `change` becomes c_i+ - c_i;
  /// what it held does not matter. One pass. Refused as `try_renew` below.
  [[nodiscard]] errc try_renew(const model_view& gradient_at_global, const mutable_model_view& change,
                               const stream_options& how = {.write = write::atomic}) noexcept {
    if (status() != errc::ok) return status();
    return impl::update_floating(gradient_step{}, {&gradient_at_global}, {&control_.model(), &change}, how);
  }
  void renew(const model_view& gradient_at_global, const mutable_model_view& change,
             const stream_options& how = {.write = write::atomic}) {
    impl::checked(how, [&](const auto& own) { return try_renew(gradient_at_global, change, own); });
  }

  /// Option II: c_i+ = (c_i - c) + (x - y) / (K eta), the mean of the K gradients that led from the server's model x to
  /// the client's y with learning rate eta. Where the rate changes within a round, its sum is K eta: give 1 and the
  /// sum. `change` becomes c_i+ - c_i, before c_i+ is rounded to the state's precision; what it held does not matter.
  /// One pass. `bad_parameter` for K = 0 or unless eta > 0 and K eta is finite; `layout_mismatch`, `overlapping_output`
  /// before the first write. `non_finite`, `overflow`: c_i is as it was; with `write::direct`, which saves a read, it
  /// is spoiled then.
  [[nodiscard]] errc try_renew(const model_view& server_control, const model_view& global, const model_view& local,
                               std::uint64_t steps, double eta, const mutable_model_view& change,
                               const stream_options& how = {.write = write::atomic}) noexcept {
    if (status() != errc::ok) return status();
    if (steps == 0 || !impl::is_positive(eta)) return errc::bad_parameter;
    double length = 0;
    {
      const impl::fp_guard guard;
      length = detail::times(static_cast<double>(steps), eta);
    }
    if (!is_finite(length)) return errc::bad_parameter;
    return impl::update_floating(difference_step{length}, {&server_control, &global, &local},
                                 {&control_.model(), &change}, how);
  }
  void renew(const model_view& server_control, const model_view& global, const model_view& local, std::uint64_t steps,
             double eta, const mutable_model_view& change, const stream_options& how = {.write = write::atomic}) {
    impl::checked(how,
                  [&](const auto& own) { return try_renew(server_control, global, local, steps, eta, change, own); });
  }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    return impl::archive_finite(a, "control", control_);
  }

private:
  struct correction_step {
    static constexpr std::size_t inputs = 2, updates = 1;
    template <class L>
    void operator()(const L* in, L* io) const {
      io[0] = io[0] + (in[0] - in[1]);
    }
  };
  struct gradient_step {
    static constexpr std::size_t inputs = 1, updates = 2, outputs = 1;
    template <class L>
    void operator()(const L* in, L* io) const {
      io[1] = in[0] - io[0];
      io[0] = in[0];
    }
  };
  struct difference_step {
    static constexpr std::size_t inputs = 3, updates = 2, outputs = 1;
    double length;
    template <class L>
    void operator()(const L* in, L* io) const {
      const L renewed = (io[0] - in[0]) + (in[1] - in[2]) / L(length);
      io[1] = renewed - io[0];
      io[0] = renewed;
    }
  };

  model_buffer control_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_SCAFFOLD_HPP
