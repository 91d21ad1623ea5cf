// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_DITTO_HPP
#define FEDAGG_CLIENT_DITTO_HPP

#include <cstddef>

#include <fedagg/core/element.hpp>
#include <fedagg/core/model_buffer.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Ditto: every client also trains a model v of its own that is pulled towards the global one, the minimum of its own
/// loss plus lambda/2 |v - w_t|^2 (Li et al. 2021, arXiv:2012.04221). v never leaves the client; what is sent, and how
/// the server aggregates, is any other algorithm's business. Holds v: the floating tensors of the model.
class ditto {
public:
  static constexpr const char* kind = "ditto";
  static constexpr unsigned version = 1;

  ditto() = default;
  /// A personal model of the layout's floating tensors, zero until `try_start`. Throws std::bad_alloc; a layout that
  /// cannot be held shows in `status()`.
  explicit ditto(const model_layout& layout, precision type = precision::f64) : personal_(layout, type) {}

  errc status() const noexcept { return personal_.status(); }
  /// v, to compute gradients at; also to be written, for another optimizer than `step`.
  const mutable_model_view& personal() noexcept { return personal_.model(); }
  const model_view& personal() const noexcept { return personal_.model(); }

  /// v = the model. One pass. `layout_mismatch`, `overlapping_output` before the first write; `non_finite`, `overflow`:
  /// v is as it was, or spoiled with `write::direct`.
  [[nodiscard]] errc try_start(const model_view& model, const stream_options& how = {.write = write::atomic}) noexcept {
    if (status() != errc::ok) return status();
    return impl::update_floating(copy_step{}, {&model}, {&personal_.model()}, how);
  }
  void start(const model_view& model, const stream_options& how = {.write = write::atomic}) {
    impl::checked(how, [&](const auto& own) { return try_start(model, own); });
  }

  /// gradient += lambda (v - w_t), the gradient of the local loss having been taken at v: FedProx's with v for w. One
  /// pass. `bad_parameter` unless lambda is finite and not negative; else refused as `proximal_term::try_add_gradient`.
  [[nodiscard]] errc try_add_gradient(double lambda, const model_view& global, const mutable_model_view& gradient,
                                      const stream_options& how = {}) const noexcept {
    if (status() != errc::ok) return status();
    if (!impl::is_not_negative(lambda)) return errc::bad_parameter;
    return impl::update_floating(impl::pull_step{lambda}, {&personal_.model(), &global}, {&gradient}, how);
  }
  void add_gradient(double lambda, const model_view& global, const mutable_model_view& gradient,
                    const stream_options& how = {}) const {
    impl::checked(how, [&](const auto& own) { return try_add_gradient(lambda, global, gradient, own); });
  }

  /// v -= eta (gradient + lambda (v - w_t)): the paper's step in one pass. `bad_parameter` unless eta > 0 and lambda >=
  /// 0, both finite; `non_finite`, `overflow`: v is as it was, or spoiled with `write::direct`, which saves a read.
  [[nodiscard]] errc try_step(double eta, double lambda, const model_view& global, const model_view& gradient,
                              const stream_options& how = {.write = write::atomic}) noexcept {
    if (status() != errc::ok) return status();
    if (!impl::is_not_negative(lambda) || !impl::is_positive(eta)) return errc::bad_parameter;
    return impl::update_floating(descent_step{eta, lambda}, {&global, &gradient}, {&personal_.model()}, how);
  }
  void step(double eta, double lambda, const model_view& global, const model_view& gradient,
            const stream_options& how = {.write = write::atomic}) {
    impl::checked(how, [&](const auto& own) { return try_step(eta, lambda, global, gradient, own); });
  }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    return impl::archive_finite(a, "personal", personal_);
  }

private:
  struct copy_step {
    static constexpr std::size_t inputs = 1, updates = 1, outputs = 1;
    template <class L>
    void operator()(const L* in, L* io) const {
      io[0] = in[0];
    }
  };
  struct descent_step {
    static constexpr std::size_t inputs = 2, updates = 1;
    double eta, lambda;
    template <class L>
    void operator()(const L* in, L* io) const {
      io[0] = io[0] - L(eta) * (in[1] + L(lambda) * (io[0] - in[0]));
    }
  };

  model_buffer personal_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_DITTO_HPP
