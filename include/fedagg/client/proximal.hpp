// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_PROXIMAL_HPP
#define FEDAGG_CLIENT_PROXIMAL_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/element.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// FedProx: mu/2 |w - w_t|^2 on top of the local loss, w_t being the round's global model (Li et al. 2020,
/// arXiv:1812.06127). Only floating tensors take part; integer tensors may be missing in any of the models.
struct proximal_term {
  double mu = 1;

  /// gradient += mu (w - w_t), in double, rounded once. To be called before momentum. One pass, two reads and an
  /// update. `bad_parameter` unless mu is finite and not negative, `layout_mismatch`, `overlapping_output` before the
  /// first write; `non_finite`, `overflow` spoil the gradient unless `how.write` is `atomic`.
  [[nodiscard]] errc try_add_gradient(const model_view& model, const model_view& global,
                                      const mutable_model_view& gradient,
                                      const stream_options& how = {}) const noexcept {
    if (!impl::is_not_negative(mu)) return errc::bad_parameter;
    return impl::update_floating(impl::pull_step{mu}, {&model, &global}, {&gradient}, how);
  }
  void add_gradient(const model_view& model, const model_view& global, const mutable_model_view& gradient,
                    const stream_options& how = {}) const {
    impl::checked(how, [&](const auto& own) { return try_add_gradient(model, global, gradient, own); });
  }

  /// mu/2 |w - w_t|^2, within d / 16 2^-53 of it, d coordinates. One pass. Refused as `try_add_gradient`; `overflow` if
  /// it leaves the range of double. `value` is untouched then.
  [[nodiscard]] errc try_value(const model_view& model, const model_view& global, double& value,
                               const stream_options& how = {}) const noexcept {
    if (!impl::is_not_negative(mu)) return errc::bad_parameter;
    double square = 0;
    const errc rc =
        impl::total_floating(impl::distance_sum{}, {&model, &global}, std::span<double, 1>(&square, 1), how);
    if (rc != errc::ok) return rc;
    const impl::fp_guard guard;
    const double result = detail::times(detail::times(mu, 0.5), square);
    if (!is_finite(result)) return errc::overflow;
    value = result;
    return errc::ok;
  }
  double value(const model_view& model, const model_view& global, const stream_options& how = {}) const {
    double result = 0;
    impl::checked(how, [&](const auto& own) { return try_value(model, global, result, own); });
    return result;
  }
};

/// Numbers of `adaptive_mu`; the defaults are the paper's.
struct adaptive_mu_settings {
  double start = 0;        ///< the paper: 1 where the data are IID, else 0
  double step = 0.1;       ///< what mu changes by, > 0
  std::uint64_t falls = 5; ///< falls of the loss in a row before mu is lowered, >= 1
};

/// FedProx's mu from one round to the next: `step` up when the global loss rises, `step` down (never below 0) after
/// `falls` falls in a row, which are then counted anew (Li et al. 2020, section 5.3.2). A loss that stays the same ends
/// a row. State to be saved.
class adaptive_mu {
public:
  static constexpr const char* kind = "adaptive_mu";
  static constexpr unsigned version = 1;

  adaptive_mu() noexcept : adaptive_mu(adaptive_mu_settings{}) {}
  /// `status()` is `bad_parameter` if a setting is outside its range.
  explicit adaptive_mu(const adaptive_mu_settings& settings) noexcept : settings_(settings), base_(settings.start) {
    const bool good = impl::is_not_negative(settings.start) && impl::is_positive(settings.step) && settings.falls >= 1;
    status_ = good ? errc::ok : errc::bad_parameter;
  }

  errc status() const noexcept { return status_; }
  const adaptive_mu_settings& settings() const noexcept { return settings_; }
  double mu() const noexcept {
    const impl::fp_guard guard;
    return at(steps_);
  }

  /// Takes the global loss of a round; the first one is only compared with. `non_finite`, `overflow` (of mu): nothing
  /// is changed then.
  [[nodiscard]] errc try_report(double loss) noexcept {
    if (status_ != errc::ok) return status_;
    if (!is_finite(loss)) return errc::non_finite;
    const impl::fp_guard guard;
    const bool rises = seen_ && loss > last_, falls = seen_ && loss < last_;
    if (rises && !is_finite(at(steps_ + 1))) return errc::overflow;
    in_row_ = falls ? in_row_ + 1 : 0;
    if (rises) ++steps_;
    if (in_row_ >= settings_.falls) {
      in_row_ = 0;
      if (at(--steps_) <= 0) base_ = 0, steps_ = 0;
    }
    last_ = loss;
    seen_ = true;
    return errc::ok;
  }
  void report(double loss) {
    if (const errc rc = try_report(loss); rc != errc::ok) impl::raise(rc);
  }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    if (!a.loading() && status_ != errc::ok) return status_;
    if (const errc rc = a.value("start", settings_.start); rc != errc::ok) return rc;
    if (const errc rc = a.value("step", settings_.step); rc != errc::ok) return rc;
    if (const errc rc = a.value("falls", settings_.falls); rc != errc::ok) return rc;
    if (const errc rc = a.value("base", base_); rc != errc::ok) return rc;
    if (const errc rc = a.value("steps", steps_); rc != errc::ok) return rc;
    if (const errc rc = a.value("last_loss", last_); rc != errc::ok) return rc;
    if (const errc rc = a.value("seen", seen_); rc != errc::ok) return rc;
    if (const errc rc = a.value("in_row", in_row_); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    status_ = adaptive_mu(settings_).status_;
    constexpr std::int64_t most = std::int64_t{1} << 53;
    const bool good = status_ == errc::ok && is_finite(base_) && base_ >= 0 && steps_ >= -most && steps_ <= most &&
                      is_finite(mu()) && mu() >= 0 && is_finite(last_) && in_row_ < settings_.falls &&
                      (seen_ || (in_row_ == 0 && steps_ == 0));
    return good ? errc::ok : errc::file_format;
  }

private:
  // A multiple of the step, so that as many steps down as up lead back to the very start.
  double at(std::int64_t steps) const noexcept {
    return detail::plus(base_, detail::times(static_cast<double>(steps), settings_.step));
  }

  adaptive_mu_settings settings_;
  double base_ = 0, last_ = 0;
  std::int64_t steps_ = 0;
  std::uint64_t in_row_ = 0;
  bool seen_ = false;
  errc status_ = errc::ok;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_PROXIMAL_HPP
