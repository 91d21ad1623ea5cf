// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_MIME_HPP
#define FEDAGG_CLIENT_MIME_HPP

#include <array>
#include <cstddef>
#include <span>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/element.hpp>
#include <fedagg/core/model_buffer.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// The optimizer that Mime imitates.
enum class mime_optimizer : unsigned char {
  momentum, ///< U = (1 - beta) g + beta m
  adam,     ///< U = ((1 - beta) g + beta m) / (sqrt v + epsilon)
};

/// The statistics of Mime's optimizer, zero at first, for the floating tensors of a model. The server renews them once
/// a round; the clients receive them and leave them as they are.
class mime_state {
public:
  static constexpr const char* kind = "mime";
  static constexpr unsigned version = 1;

  mime_state() = default;
  /// Throws std::bad_alloc; a layout that cannot be held shows in `status()`.
  explicit mime_state(const model_layout& layout, mime_optimizer optimizer = mime_optimizer::momentum,
                      precision type = precision::f64)
      : optimizer_(optimizer), m_(layout, type) {
    if (optimizer == mime_optimizer::adam) v_ = model_buffer(layout, type);
  }

  errc status() const noexcept { return m_.status() != errc::ok ? m_.status() : v_.status(); }
  mime_optimizer optimizer() const noexcept { return optimizer_; }
  /// m, and Adam's v (no tensor otherwise): to be sent, and written to where they are received. v is never negative.
  const mutable_model_view& first() noexcept { return m_.model(); }
  const model_view& first() const noexcept { return m_.model(); }
  const mutable_model_view& second() noexcept { return v_.model(); }
  const model_view& second() const noexcept { return v_.model(); }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    bool adam = optimizer_ == mime_optimizer::adam;
    if (const errc rc = a.value("adam", adam); rc != errc::ok) return rc;
    if (const errc rc = impl::archive_finite(a, "m", m_); rc != errc::ok) return rc;
    if (adam)
      if (const errc rc = impl::archive_finite(a, "v", v_); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    optimizer_ = adam ? mime_optimizer::adam : mime_optimizer::momentum;
    if (!adam) return errc::ok;
    double negative = 0;
    const errc rc = impl::total_floating(negative_sum{}, {&second_of(*this)}, std::span<double, 1>(&negative, 1), {});
    return rc == errc::ok && !(negative > 0) && m_.layout() == v_.layout() ? errc::ok : errc::file_format;
  }

private:
  struct negative_sum {
    static constexpr std::size_t inputs = 1, sums = 1;
    template <class L>
    void operator()(const L* in, L* values) const {
      values[0] = where_less(in[0], L(0), L(1), L(0));
    }
  };
  static const model_view& second_of(const mime_state& s) noexcept { return s.second(); }

  mime_optimizer optimizer_ = mime_optimizer::momentum;
  model_buffer m_, v_;
};

namespace impl {

template <bool Corrected, bool Adam>
struct mime_local_step {
  static constexpr std::size_t inputs = 2 + (Corrected ? 2 : 0) + (Adam ? 1 : 0), updates = 1;
  double beta, rest, epsilon, eta;
  template <class L>
  void operator()(const L* in, L* io) const {
    constexpr std::size_t m = Corrected ? 3 : 1;
    L g = in[0];
    if constexpr (Corrected) g = (in[0] - in[1]) + in[2];
    L u = L(rest) * g + L(beta) * in[m];
    if constexpr (Adam) u = u / (sqrt(in[m + 1]) + L(epsilon));
    io[0] = io[0] - L(eta) * u;
  }
};

struct mime_first_step {
  static constexpr std::size_t inputs = 1, updates = 1;
  double beta, rest;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = L(rest) * in[0] + L(beta) * io[0];
  }
};

struct mime_both_step {
  static constexpr std::size_t inputs = 1, updates = 2;
  double beta, rest, beta2, rest2;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = L(rest) * in[0] + L(beta) * io[0];
    io[1] = L(rest2) * (in[0] * in[0]) + L(beta2) * io[1];
  }
};

} // namespace impl

/// Mime and Mime Lite: local steps with the statistics of a server optimizer that are the same at every client and do
/// not move within a round, so that a client mimics what the optimizer would do with all data in one place (Karimireddy
/// et al. 2020, arXiv:2008.03606). The server's model is the mean of the clients'. All numbers are the optimizer's.
struct mime {
  double beta = 0.9;     ///< of m, 0 <= beta < 1
  double beta2 = 0.99;   ///< of v, 0 <= beta2 < 1
  double epsilon = 1e-3; ///< added to sqrt v, > 0

  /// Mime Lite: y -= eta U(gradient). In double, rounded once. Floating tensors only. One pass. `bad_parameter` unless
  /// eta is positive and finite and the numbers are in range, `layout_mismatch`, `overlapping_output` before the first
  /// write; `non_finite`, `overflow` spoil y unless `how.write` is `atomic`.
  [[nodiscard]] errc try_step(double eta, const mime_state& state, const model_view& gradient,
                              const mutable_model_view& model, const stream_options& how = {}) const noexcept {
    if (const errc rc = check(state); rc != errc::ok) return rc;
    if (!impl::is_positive(eta)) return errc::bad_parameter;
    if (state.optimizer() == mime_optimizer::momentum)
      return impl::update_floating(impl::mime_local_step<false, false>{beta, rest(beta), epsilon, eta},
                                   {&gradient, &state.first()}, {&model}, how);
    return impl::update_floating(impl::mime_local_step<false, true>{beta, rest(beta), epsilon, eta},
                                 {&gradient, &state.first(), &state.second()}, {&model}, how);
  }
  void step(double eta, const mime_state& state, const model_view& gradient, const mutable_model_view& model,
            const stream_options& how = {}) const {
    impl::checked(how, [&](const auto& own) { return try_step(eta, state, gradient, model, own); });
  }

  /// Mime: y -= eta U(gradient - gradient_at_global + server_gradient): the same batch's gradients at y and at the
  /// server's model x, and the mean of the clients' gradients over all of their data at x (SVRG). Refused as above.
  [[nodiscard]] errc try_step(double eta, const mime_state& state, const model_view& gradient,
                              const model_view& gradient_at_global, const model_view& server_gradient,
                              const mutable_model_view& model, const stream_options& how = {}) const noexcept {
    if (const errc rc = check(state); rc != errc::ok) return rc;
    if (!impl::is_positive(eta)) return errc::bad_parameter;
    if (state.optimizer() == mime_optimizer::momentum)
      return impl::update_floating(impl::mime_local_step<true, false>{beta, rest(beta), epsilon, eta},
                                   {&gradient, &gradient_at_global, &server_gradient, &state.first()}, {&model}, how);
    return impl::update_floating(impl::mime_local_step<true, true>{beta, rest(beta), epsilon, eta},
                                 {&gradient, &gradient_at_global, &server_gradient, &state.first(), &state.second()},
                                 {&model}, how);
  }
  void step(double eta, const mime_state& state, const model_view& gradient, const model_view& gradient_at_global,
            const model_view& server_gradient, const mutable_model_view& model, const stream_options& how = {}) const {
    impl::checked(how, [&](const auto& own) {
      return try_step(eta, state, gradient, gradient_at_global, server_gradient, model, own);
    });
  }

  /// The server's half, after the round: m = (1 - beta) c + beta m, v = (1 - beta2) c^2 + beta2 v, c being the mean of
  /// the participants' gradients over all of their data at the round's model. One pass. Refused as above; the
  /// statistics stay as they were then, or with `write::direct`, which saves a read, are spoiled by `non_finite` and
  /// `overflow`.
  [[nodiscard]] errc try_renew(const model_view& server_gradient, mime_state& state,
                               const stream_options& how = {.write = write::atomic}) const noexcept {
    if (const errc rc = check(state); rc != errc::ok) return rc;
    if (state.optimizer() == mime_optimizer::momentum)
      return impl::update_floating(impl::mime_first_step{beta, rest(beta)}, {&server_gradient}, {&state.first()}, how);
    return impl::update_floating(impl::mime_both_step{beta, rest(beta), beta2, rest(beta2)}, {&server_gradient},
                                 {&state.first(), &state.second()}, how);
  }
  void renew(const model_view& server_gradient, mime_state& state,
             const stream_options& how = {.write = write::atomic}) const {
    impl::checked(how, [&](const auto& own) { return try_renew(server_gradient, state, own); });
  }

private:
  static double rest(double decay) noexcept {
    const impl::fp_guard guard;
    return detail::plus(1, -decay);
  }
  errc check(const mime_state& state) const noexcept {
    if (state.status() != errc::ok) return state.status();
    const bool good = impl::is_not_negative(beta) && beta < 1 && impl::is_not_negative(beta2) && beta2 < 1 &&
                      impl::is_positive(epsilon);
    return good ? errc::ok : errc::bad_parameter;
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_MIME_HPP
