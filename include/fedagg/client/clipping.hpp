// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_CLIPPING_HPP
#define FEDAGG_CLIENT_CLIPPING_HPP

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <fedagg/core/element.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// What clipping did to a model or a tensor.
struct clip_result {
  double norm = 0;   ///< before
  double factor = 1; ///< what every value was multiplied by, 1 if nothing was written
};

namespace impl {

struct scaled_square_sum {
  static constexpr std::size_t inputs = 1, sums = 1;
  double scale; // a power of two
  template <class L>
  void operator()(const L* in, L* values) const {
    const L x = in[0] * L(scale);
    values[0] = x * x;
  }
};
struct clip_scale_step {
  static constexpr std::size_t inputs = 0, updates = 1;
  double first, second;
  template <class L>
  void operator()(const L*, L* io) const {
    io[0] = (io[0] * L(first)) * L(second);
  }
};
struct clip_value_step {
  static constexpr std::size_t inputs = 0, updates = 1;
  double bound;
  template <class L>
  void operator()(const L*, L* io) const {
    const L below = where_less(L(bound), io[0], L(bound), io[0]);
    io[0] = where_less(below, L(-bound), L(-bound), below);
  }
};

/// The norm is root 2^-shift, off by at most a factor of 1 +- `error`.
struct measured_norm {
  double root = 0, error = 0;
  int shift = 0;

  double value() const noexcept {
    const fp_guard guard;
    return detail::quotient(root, detail::power_of_two(shift));
  }
};

inline errc measure_norm(const model_view& model, const stream_options& how, measured_norm& out) noexcept {
  double square = 0;
  int shift = 0;
  const auto sum = [&] {
    return total_floating(scaled_square_sum{detail::power_of_two(shift)}, {&model}, std::span<double, 1>(&square, 1),
                          how);
  };
  errc rc = sum();
  // Squares that overflow, or whose last digits may have been lost below the least double: once more, in the middle.
  if (rc == errc::overflow)
    shift = -600, rc = sum();
  else if (rc == errc::ok && square < 0x1p-900)
    shift = 600, rc = sum();
  if (rc != errc::ok) return rc;
  std::size_t longest = 0, tasks = 0;
  for (const auto& e : model.entries()) {
    if (!is_floating(e.tensor.type())) continue;
    longest = e.tensor.size() > longest ? e.tensor.size() : longest;
    tasks += e.tensor.size() / 65536 + 1;
  }
  const fp_guard guard;
  out.root = detail::square_root(square);
  out.shift = shift;
  // Sums of sixteen lanes over 65536 coordinates, put together in order, of rounded squares.
  out.error = detail::times(static_cast<double>((longest < 65536 ? longest : 65536) / 16 + tasks + 10), 0x1p-53);
  return is_finite(out.value()) ? errc::ok : errc::client_range;
}

/// How far the types of a model round: relatively, and where numbers are subnormal.
struct rounding_of_types {
  double relative = 0, absolute = 0;
  std::size_t elements = 0;

  explicit rounding_of_types(const model_view& model) noexcept {
    for (const auto& e : model.entries()) {
      if (!is_floating(e.tensor.type())) continue;
      elements += e.tensor.size();
      const dtype t = e.tensor.type();
      const double r = t == dtype::f64 ? 0x1p-53 : t == dtype::f32 ? 0x1p-24 : t == dtype::f16 ? 0x1p-11 : 0x1p-8;
      const double a = t == dtype::f64 ? 0x1p-1074 : t == dtype::f32 ? 0x1p-150 : t == dtype::f16 ? 0x1p-25 : 0x1p-134;
      relative = r > relative ? r : relative;
      absolute = a > absolute ? a : absolute;
    }
  }
};

/// The step that brings a norm down to the bound. Twice the norm's error is taken off, so that the model that was
/// clipped is not clipped again; and what rounding to the types can add.
inline clip_scale_step scale_to(double bound, const measured_norm& norm, const rounding_of_types& types) noexcept {
  const fp_guard guard;
  const double margin =
      detail::plus(types.relative, detail::plus(detail::times(2, norm.error), detail::times(16, 0x1p-53)));
  const double subnormal = detail::times(types.absolute, detail::square_root(static_cast<double>(types.elements)));
  const double reach = detail::plus(bound, -detail::plus(subnormal, 0x1p-1072));
  if (!(reach > 0)) return {1, 0};
  // First by a power of two that brings the norm near 1: bound / norm may be subnormal, with no digits to spare.
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(norm.root) >> 52) - 1023 - norm.shift;
  const int lift = exponent > 1022 ? -1022 : exponent < -1000 ? 1000 : -exponent;
  const double lifted = detail::times(norm.root, detail::power_of_two(lift - norm.shift));
  return {detail::power_of_two(lift), detail::times(detail::quotient(reach, lifted), detail::plus(1, -margin))};
}

/// That a model can be written at all, whatever its values are.
inline errc admit_clipping(const mutable_model_view& model, stream_fault* fault) noexcept {
  return no_throw([&] {
    const floating_part<void> part(model);
    stream_table table;
    stream_fault found;
    const errc rc =
        table.fill(std::array<const model_view*, 0>{}, std::array<const mutable_model_view*, 1>{part.get()}, &found);
    tell_fault(found, part, fault);
    return rc;
  });
}

/// The largest number of the type that is not above the bound.
inline double round_down(dtype type, double bound) noexcept {
  if (type == dtype::f64) return bound;
  if (type == dtype::f32) {
    std::uint32_t bits = std::bit_cast<std::uint32_t>(static_cast<float>(bound));
    if (bits >= 0x7f800000u || static_cast<double>(std::bit_cast<float>(bits)) > bound) --bits;
    return static_cast<double>(std::bit_cast<float>(bits));
  }
  const auto down = [&](auto rounded, std::uint16_t infinity) {
    if (rounded.bits >= infinity || static_cast<double>(to_float(rounded)) > bound) --rounded.bits;
    return static_cast<double>(to_float(rounded));
  };
  return type == dtype::f16 ? down(to_float16(bound), 0x7c00) : down(to_bfloat16(bound), 0x7f80);
}

} // namespace impl

/// The Euclidean norm of a model's floating tensors, also where its square is beyond the range of double. Within (d/16
/// + 11 + d/65536) 2^-53 of it, relatively, d coordinates, d/16 at most 4096. One pass; two where values lie near the
/// ends of the range. `non_finite`; `client_range` if the norm itself is beyond the range. `norm` is untouched then.
[[nodiscard]] inline errc try_l2_norm(const model_view& model, double& norm, const stream_options& how = {}) noexcept {
  impl::measured_norm m;
  if (const errc rc = impl::measure_norm(model, how, m); rc != errc::ok) return rc;
  norm = m.value();
  return errc::ok;
}
inline double l2_norm(const model_view& model, const stream_options& how = {}) {
  double norm = 0;
  impl::checked(how, [&](const auto& own) { return try_l2_norm(model, norm, own); });
  return norm;
}

/// Clips by the global norm: if the norm of the floating tensors together exceeds `bound`, all of them are multiplied
/// by bound / norm, taken so much lower that no rounding lifts the norm of what is written above the bound: by the unit
/// of the coarsest type (2^-24 for f32, 2^-8 for bf16) and the error of the norm. A model that is not above the bound,
/// one of norm zero among them, is not written to; its true norm may be above by the error of `l2_norm`. Clipping what
/// was clipped changes nothing. Integer tensors are left alone. One pass, and a second one that writes if need be;
/// whatever is refused (`bad_parameter` unless the bound is positive and finite, `overlapping_output`, `non_finite`,
/// `client_range`) is refused before the first write.
[[nodiscard]] inline errc try_clip_norm(const mutable_model_view& model, double bound, clip_result& result,
                                        const stream_options& how = {}) noexcept {
  if (!impl::is_positive(bound)) return errc::bad_parameter;
  if (const errc rc = impl::admit_clipping(model, how.fault); rc != errc::ok) return rc;
  return impl::no_throw([&] {
    const model_view view(model);
    impl::measured_norm m;
    if (const errc rc = impl::measure_norm(view, how, m); rc != errc::ok) return rc;
    const impl::fp_guard guard;
    clip_result done;
    impl::clip_scale_step step{1, 1};
    done.norm = m.value();
    if (done.norm > bound) step = impl::scale_to(bound, m, impl::rounding_of_types(view));
    done.factor = detail::times(step.first, step.second);
    if (done.norm > bound) {
      stream_options own = how;
      own.write = write::direct;
      if (const errc rc = impl::update_floating(step, {}, {&model}, own); rc != errc::ok) return rc;
    }
    result = done;
    return errc::ok;
  });
}
inline clip_result clip_norm(const mutable_model_view& model, double bound, const stream_options& how = {}) {
  clip_result result;
  impl::checked(how, [&](const auto& own) { return try_clip_norm(model, bound, result, own); });
  return result;
}

/// Clips by layer: every floating tensor by its own norm, as `clip_norm` does. `bounds` has one number for all, or one
/// for each tensor of the model; `results`, unless empty, one for each (norm 0, factor 1 for integer tensors). Nothing
/// is written before all tensors are looked at. `bad_parameter` for another number of bounds or results.
[[nodiscard]] inline errc try_clip_layers(const mutable_model_view& model, std::span<const double> bounds,
                                          std::span<clip_result> results = {},
                                          const stream_options& how = {}) noexcept {
  const std::size_t n = model.size();
  if ((bounds.size() != 1 && bounds.size() != n) || (!results.empty() && results.size() != n))
    return errc::bad_parameter;
  for (const double bound : bounds)
    if (!impl::is_positive(bound)) return errc::bad_parameter;
  if (const errc rc = impl::admit_clipping(model, how.fault); rc != errc::ok) return rc;
  return impl::no_throw([&] {
    const impl::fp_guard guard;
    std::vector<clip_result> done(n);
    std::vector<impl::clip_scale_step> steps(n, impl::clip_scale_step{1, 1});
    stream_options own = how;
    own.fault = nullptr;
    own.write = write::direct;
    const auto refuse = [&](errc rc, std::size_t k) {
      if (how.fault) *how.fault = {k, model.entries()[k].name};
      return rc;
    };
    const auto floating = [&](std::size_t k) { return is_floating(model.entries()[k].tensor.type()); };
    for (std::size_t k = 0; k < n; ++k) {
      if (!floating(k)) continue;
      model_view one;
      one.add({}, any_tensor(model.entries()[k].tensor));
      impl::measured_norm m;
      if (const errc rc = impl::measure_norm(one, own, m); rc != errc::ok) return refuse(rc, k);
      const double bound = bounds[bounds.size() == 1 ? 0 : k];
      done[k].norm = m.value();
      if (done[k].norm > bound) steps[k] = impl::scale_to(bound, m, impl::rounding_of_types(one));
      done[k].factor = detail::times(steps[k].first, steps[k].second);
    }
    for (std::size_t k = 0; k < n; ++k) {
      if (!floating(k) || !(done[k].norm > bounds[bounds.size() == 1 ? 0 : k])) continue;
      mutable_model_view one;
      one.add({}, model.entries()[k].tensor);
      if (const errc rc = fedagg::try_update(steps[k], {}, {&one}, own); rc != errc::ok) return refuse(rc, k);
    }
    for (std::size_t k = 0; k < results.size(); ++k) results[k] = done[k];
    return errc::ok;
  });
}
inline void clip_layers(const mutable_model_view& model, std::span<const double> bounds,
                        std::span<clip_result> results = {}, const stream_options& how = {}) {
  impl::checked(how, [&](const auto& own) { return try_clip_layers(model, bounds, results, own); });
}

/// Clips by coordinate: every value of the floating tensors into [-bound, bound], the bound rounded down to each
/// tensor's type: exact. One pass. `bad_parameter` unless the bound is positive and finite, `overlapping_output` before
/// the first write; `non_finite` spoils the model unless `how.write` is `atomic`.
[[nodiscard]] inline errc try_clip_coordinates(const mutable_model_view& model, double bound,
                                               const stream_options& how = {}) noexcept {
  if (!impl::is_positive(bound)) return errc::bad_parameter;
  if (const errc rc = impl::admit_clipping(model, how.fault); rc != errc::ok) return rc;
  return impl::no_throw([&] {
    if (how.write == write::atomic)
      if (const errc rc = impl::look_at(model_view(model), how); rc != errc::ok) return rc;
    for (const dtype type : {dtype::f64, dtype::f32, dtype::f16, dtype::bf16}) {
      mutable_model_view part;
      std::vector<std::size_t> position;
      for (std::size_t k = 0; k < model.size(); ++k) {
        const auto& e = model.entries()[k];
        if (e.tensor.type() != type) continue;
        part.add(e.name, e.tensor);
        position.push_back(k);
      }
      if (position.empty()) continue;
      stream_fault fault;
      stream_options own = how;
      own.fault = &fault;
      own.write = write::direct;
      const impl::fp_guard guard;
      const errc rc = fedagg::try_update(impl::clip_value_step{impl::round_down(type, bound)}, {}, {&part}, own);
      if (rc == errc::ok) continue;
      if (how.fault && fault.tensor < position.size()) *how.fault = {position[fault.tensor], fault.name};
      return rc;
    }
    return errc::ok;
  });
}
inline void clip_coordinates(const mutable_model_view& model, double bound, const stream_options& how = {}) {
  impl::checked(how, [&](const auto& own) { return try_clip_coordinates(model, bound, own); });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_CLIPPING_HPP
