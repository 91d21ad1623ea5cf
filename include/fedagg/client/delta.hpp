// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CLIENT_DELTA_HPP
#define FEDAGG_CLIENT_DELTA_HPP

#include <cstddef>
#include <cstring>
#include <type_traits>

#include <fedagg/core/list.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/passes/streams/floating.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

namespace impl {

struct delta_step {
  static constexpr std::size_t inputs = 2, updates = 1, outputs = 1;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = in[0] - in[1];
  }
};
struct apply_delta_step {
  static constexpr std::size_t inputs = 2, updates = 1, outputs = 1;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = in[0] + in[1];
  }
};

/// a - b, or a + b, in the type itself; false if it does not fit.
template <class T>
bool exact_integer(T a, T b, bool difference, T& result) noexcept {
  using U = std::make_unsigned_t<T>;
  const auto r =
      static_cast<U>(difference ? static_cast<U>(a) - static_cast<U>(b) : static_cast<U>(a) + static_cast<U>(b));
  result = static_cast<T>(r);
  if constexpr (std::is_signed_v<T>)
    return difference ? (b < 0 ? result > a : result <= a) : (b < 0 ? result < a : result >= a);
  else
    return difference ? a >= b : result >= a;
}

/// An integer tensor out = a - b or a + b, element by element, or only a look whether all of them fit.
inline bool exact_integers(const any_tensor& a, const any_tensor& b, const any_mutable_tensor& out, bool difference,
                           bool store) noexcept {
  constexpr std::size_t tile = 256;
  bool fits = true;
  with_integer(out.type(), [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    T x[tile], y[tile];
    for (std::size_t at = 0; at < out.size(); at += tile) {
      const std::size_t count = out.size() - at < tile ? out.size() - at : tile;
      gather(a, at, count, x);
      gather(b, at, count, y);
      for (std::size_t i = 0; i < count; ++i) fits = exact_integer(x[i], y[i], difference, x[i]) && fits;
      if (store) scatter(out, at, count, x);
    }
  });
  return fits;
}

/// What a difference and its inverse share: integer tensors are looked at before anything is written, and written last.
template <class Step>
errc combine_models(const Step& step, bool difference, const model_view& a, const model_view& b,
                    const mutable_model_view& out, const stream_options& how) noexcept {
  const auto refuse = [&](errc rc, std::size_t k) {
    if (how.fault) *how.fault = {k, out.entries()[k].name};
    return rc;
  };
  return no_throw([&] {
    if (a.size() != out.size() || b.size() != out.size()) return errc::layout_mismatch;
    detail::list<byte_range> written;
    const auto whole = [&](std::size_t k) { // an integer tensor that takes part
      return !is_floating(out.entries()[k].tensor.type()) && out.entries()[k].policy != integers::keep;
    };
    for (std::size_t k = 0; k < out.size(); ++k) {
      const any_mutable_tensor& t = out.entries()[k].tensor;
      const any_tensor &x = a.entries()[k].tensor, &y = b.entries()[k].tensor;
      if (!whole(k) && !is_floating(t.type())) continue;
      for (const errc rc : {t.status(), x.status(), y.status()})
        if (rc != errc::ok) return refuse(rc, k);
      if (t.size() != 0) written.push_back(range_of(t));
      if (!whole(k)) continue;
      if (!is_integer(t.type())) return refuse(errc::unsupported_element, k);
      if (x.type() != t.type() || y.type() != t.type() || !same_shape(x, any_tensor(t)) ||
          !same_shape(y, any_tensor(t)))
        return refuse(errc::layout_mismatch, k);
      if (self_overlapping(t)) return refuse(errc::overlapping_output, k);
    }
    sort_ranges(written);
    for (std::size_t i = 1; i < written.size(); ++i)
      if (written[i].first < written[i - 1].last) return errc::overlapping_output;
    for (std::size_t k = 0; k < out.size(); ++k) {
      const any_mutable_tensor& t = out.entries()[k].tensor;
      if (!whole(k) && !is_floating(t.type())) continue;
      for (const model_view* m : {&a, &b})
        if (const any_tensor& x = m->entries()[k].tensor; !same_view(x, any_tensor(t)) && touches(written, range_of(x)))
          return refuse(errc::overlapping_output, k);
    }
    for (std::size_t k = 0; k < out.size(); ++k)
      if (whole(k) &&
          !exact_integers(a.entries()[k].tensor, b.entries()[k].tensor, out.entries()[k].tensor, difference, false))
        return refuse(errc::overflow, k);
    if (const errc rc = fedagg::try_update(step, {&a, &b}, {&out}, how); rc != errc::ok) return rc;
    for (std::size_t k = 0; k < out.size(); ++k)
      if (whole(k))
        exact_integers(a.entries()[k].tensor, b.entries()[k].tensor, out.entries()[k].tensor, difference, true);
    return errc::ok;
  });
}

} // namespace impl

/// out = local - global: what a client sends where updates are asked for. Floating tensors in double, rounded once to
/// the output's type; their types may differ between the models. Integer tensors: the exact difference in their own
/// type, which all three must share, or untouched where the output's entry says `integers::keep`; bool tensors must be
/// kept. `out` may be the very view of an input, and what it held does not matter. One pass, two reads and a write.
/// `layout_mismatch`, `unsupported_element`, `overlapping_output`, an integer difference that does not fit (`overflow`;
/// every negative one of an unsigned type) before the first write; `non_finite`, `overflow` of a floating result spoil
/// the floating tensors of `out` unless `how.write` is `atomic`.
[[nodiscard]] inline errc try_delta(const model_view& local, const model_view& global, const mutable_model_view& out,
                                    const stream_options& how = {}) noexcept {
  return impl::combine_models(impl::delta_step{}, true, local, global, out, how);
}
inline void delta(const model_view& local, const model_view& global, const mutable_model_view& out,
                  const stream_options& how = {}) {
  impl::checked(how, [&](const auto& own) { return try_delta(local, global, out, own); });
}

/// The inverse: out = global + delta, likewise. Integers come back exactly; floating values to a rounding of the delta
/// and one of the sum.
[[nodiscard]] inline errc try_apply_delta(const model_view& global, const model_view& delta,
                                          const mutable_model_view& out, const stream_options& how = {}) noexcept {
  return impl::combine_models(impl::apply_delta_step{}, false, global, delta, out, how);
}
inline void apply_delta(const model_view& global, const model_view& delta, const mutable_model_view& out,
                        const stream_options& how = {}) {
  impl::checked(how, [&](const auto& own) { return try_apply_delta(global, delta, out, own); });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CLIENT_DELTA_HPP
