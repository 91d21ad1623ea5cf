// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_FEDASYNC_HPP
#define FEDAGG_PROTOCOLS_FEDASYNC_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/staleness.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/inspect.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/strided.hpp>
#include <fedagg/protocols/round/gate.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The numbers of FedAsync. `staleness` is the paper's s: constant, polynomial (a = 0.5) or hinge (a = 10, b = 4).
struct fedasync {
  double alpha = 0.6;               ///< what a fresh model counts against the server's
  std::uint64_t max_staleness = 16; ///< versions that a model may be behind
  fedagg::staleness staleness = {.kind = decay::polynomial, .a = 0.5};

  static constexpr const char* name = "fedasync";
  static constexpr auto fields() {
    return std::tuple{
        field{"alpha", &fedasync::alpha, 0, 1, "what a fresh model counts against the server's"},
        field{"max_staleness", &fedasync::max_staleness, 0, any_count, "versions that a model may be behind"}};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// x <- keep x + take y, between the two whatever the roundings: a model that agrees changes nothing.
struct mix_step {
  static constexpr std::size_t inputs = 1, updates = 1;
  double keep = 0, take = 1;

  template <class L>
  void operator()(const L* in, L* io) const {
    const L mixed = L(keep) * io[0] + L(take) * in[0];
    const L low = where_less(in[0], io[0], in[0], io[0]), high = where_less(in[0], io[0], io[0], in[0]);
    const L below = where_less(high, mixed, high, mixed);
    io[0] = where_less(below, low, low, below);
  }
};

} // namespace impl

/// Asynchronous federated optimization (FedAsync: Xie et al. 2019, arXiv:1903.03934): every model that arrives is mixed
/// into the server's at once, x <- (1 - alpha_t) x + alpha_t x_client with alpha_t = alpha s(age), in place. One that
/// is too old, from the future, or there already is refused, and nothing is written before a model has been looked at
/// as a whole. No threads of its own: one call at a time.
class fully_async : public impl::version_gate {
public:
  static constexpr const char* kind = "fully_async";
  static constexpr unsigned version = 1;

  /// The names, element types, shapes and integer policies of the model; `first` is the version to begin with.
  explicit fully_async(const model_view& layout, const fedasync& how = {}, std::uint64_t first = 0)
      : version_gate(how.max_staleness, first), how_(how), layout_(layout) {}

  /// `bad_parameter` unless 0 < alpha <= 1 and the staleness is possible; the layout's own.
  errc status() const noexcept {
    if (!is_finite(how_.alpha) || !(how_.alpha > 0) || how_.alpha > 1) return errc::bad_parameter;
    if (const errc rc = how_.staleness.status(); rc != errc::ok) return rc;
    return layout_.status();
  }
  const fedasync& how() const noexcept { return how_; }

  /// alpha_t for a model that started from this version; 0 for one that is not taken.
  double weight(std::uint64_t from) const noexcept {
    const impl::fp_guard guard;
    return from > model_version() || from < oldest()
               ? 0
               : detail::times(how_.alpha, how_.staleness(model_version() - from));
  }

  /// Mixes a client's model, which started from version `from` of the server's, into `global` and begins the next
  /// version. `value_range` for a version that is yet to come, `stale_client`, `duplicate_client` for a second model of
  /// one client from one version, `unknown_client` for an id beyond 1024 bytes, `client_layout`, `non_finite`,
  /// `integer_range`; `layout_mismatch` and `overlapping_output` for `global`: nothing has been written then, and it
  /// may be sent again. Integer tensors are mixed and rounded half to even, or kept. After `executor_failed`, or
  /// `non_finite` because of a NaN of its own, `global` is spoiled. Two reads of the client's model; the same bits on
  /// every machine.
  [[nodiscard]] errc try_receive(std::string_view client, std::uint64_t from, const model_view& model,
                                 const mutable_model_view& global, executor_ref executor = {}) noexcept {
    if (const errc rc = status(); rc != errc::ok) return rc;
    if (const errc rc = admit(client, from); rc != errc::ok) return refuse(rc);
    if (layout_.matches(global) != errc::ok) return refuse(errc::layout_mismatch);
    if (const errc rc = try_inspect(model, layout_, executor); rc != errc::ok) return refuse(rc);
    if (const errc rc = admit_memory(model, global); rc != errc::ok) return refuse(rc);
    const impl::fp_guard guard;
    const double share = weight(from);
    const impl::mix_step step{detail::plus(1, -share), share};
    if (const errc rc = try_update(step, {&model}, {&global}, {.executor = executor}); rc != errc::ok)
      return refuse(rc);
    for (std::size_t k = 0; k < layout_.size(); ++k)
      if (is_integer(layout_.type(k)) && layout_.policy(k) != integers::keep)
        mix(step, model.entries()[k].tensor, global.entries()[k].tensor);
    take(client, from);
    advance();
    return errc::ok;
  }

  /// Version, and who has answered which. Loading works on an object made for the same layout; its own parameters stay.
  template <class Archive>
  errc archive(Archive& a) {
    return archive_gate(a);
  }

private:
  /// The model that is written may not share memory with itself or with the client's.
  errc admit_memory(const model_view& model, const mutable_model_view& global) noexcept {
#if FEDAGG_EXCEPTIONS
    try {
#endif
      ranges_.clear();
      for (const auto& e : global.entries()) {
        if (impl::self_overlapping(e.tensor)) return errc::overlapping_output;
        if (e.tensor.size() != 0) ranges_.push_back(impl::range_of(e.tensor));
      }
      impl::sort_ranges(ranges_);
      for (std::size_t i = 1; i < ranges_.size(); ++i)
        if (ranges_[i].first < ranges_[i - 1].last) return errc::overlapping_output;
      for (const auto& e : model.entries())
        if (impl::touches(ranges_, impl::range_of(e.tensor))) return errc::overlapping_output;
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      return errc::out_of_memory;
    }
#endif
    return errc::ok;
  }

  /// An integer tensor; those are counters, and small.
  static void mix(const impl::mix_step& step, const any_tensor& from, const any_mutable_tensor& to) noexcept {
    constexpr std::size_t part = 128;
    std::byte packed[part * 8];
    double x[part], y[part];
    for (std::size_t at = 0; at < to.size(); at += part) {
      const std::size_t count = to.size() - at < part ? to.size() - at : part;
      impl::gather(from, at, count, packed);
      impl::integers_to_double(from.type(), packed, count, y);
      impl::gather(any_tensor(to), at, count, packed);
      impl::integers_to_double(to.type(), packed, count, x);
      for (std::size_t i = 0; i < count; ++i) {
        const double mixed = detail::plus(detail::times(step.keep, x[i]), detail::times(step.take, y[i]));
        const double low = x[i] < y[i] ? x[i] : y[i], high = x[i] < y[i] ? y[i] : x[i];
        x[i] = mixed < low ? low : mixed > high ? high : mixed;
      }
      impl::doubles_to_integer(to.type(), x, count, packed);
      impl::scatter(to, at, count, packed);
    }
  }

  fedasync how_;
  model_layout layout_;
  detail::list<detail::byte_range> ranges_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_FEDASYNC_HPP
