// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_FEDDYN_HPP
#define FEDAGG_CLIENT_FEDDYN_HPP

#include <cstddef>

#include <fedagg/core/element.hpp>
#include <fedagg/core/model_buffer.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A FedDyn client's g_k, its gradient at its last local optimum, zero at first, for the floating tensors of a model
/// (Acar et al. 2021, arXiv:2111.04263). In a round the client minimises its loss - <g_k, theta> + alpha/2 |theta -
/// theta_t|^2: the gradient of every local step is corrected; after the last one g_k is renewed. The server's half is
/// an optimizer's business and must have the same alpha. State to be saved.
class feddyn_client {
public:
  static constexpr const char* kind = "feddyn_client";
  static constexpr unsigned version = 1;

  feddyn_client() = default;
  /// Throws std::bad_alloc; a layout that cannot be held shows in `status()`.
  explicit feddyn_client(const model_layout& layout, precision type = precision::f64) : gradient_(layout, type) {}

  errc status() const noexcept { return gradient_.status(); }
  /// g_k.
  const model_view& gradient() const noexcept { return gradient_.model(); }

  /// gradient = (gradient - g_k) + alpha (theta - theta_t), to be called before momentum. In double, rounded once. One
  /// pass. `bad_parameter` unless alpha > 0 and finite, `layout_mismatch`, `overlapping_output` before the first write;
  /// `non_finite`, `overflow` spoil the gradient unless `how.write` is `atomic`.
  [[nodiscard]] errc try_correct(double alpha, const model_view& model, const model_view& global,
                                 const mutable_model_view& gradient, const stream_options& how = {}) const noexcept {
    if (status() != errc::ok) return status();
    if (!impl::is_positive(alpha)) return errc::bad_parameter;
    return impl::update_floating(correction_step{alpha}, {&model, &global, &gradient_.model()}, {&gradient}, how);
  }
  void correct(double alpha, const model_view& model, const model_view& global, const mutable_model_view& gradient,
               const stream_options& how = {}) const {
    impl::checked(how, [&](const auto& own) { return try_correct(alpha, model, global, gradient, own); });
  }

  /// g_k -= alpha (theta_k - theta_t), theta_k being where the local steps ended. One pass. Refused as `try_correct`,
  /// but g_k stays as it was after `non_finite` and `overflow`; with `write::direct`, which saves a read, it is spoiled
  /// then.
  [[nodiscard]] errc try_renew(double alpha, const model_view& local, const model_view& global,
                               const stream_options& how = {.write = write::atomic}) noexcept {
    if (status() != errc::ok) return status();
    if (!impl::is_positive(alpha)) return errc::bad_parameter;
    return impl::update_floating(impl::pull_step{-alpha}, {&local, &global}, {&gradient_.model()}, how);
  }
  void renew(double alpha, const model_view& local, const model_view& global,
             const stream_options& how = {.write = write::atomic}) {
    impl::checked(how, [&](const auto& own) { return try_renew(alpha, local, global, own); });
  }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    return impl::archive_finite(a, "gradient", gradient_);
  }

private:
  struct correction_step {
    static constexpr std::size_t inputs = 3, updates = 1;
    double alpha;
    template <class L>
    void operator()(const L* in, L* io) const {
      io[0] = (io[0] - in[2]) + L(alpha) * (in[0] - in[1]);
    }
  };

  model_buffer gradient_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_FEDDYN_HPP
