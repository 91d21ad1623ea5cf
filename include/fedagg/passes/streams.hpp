// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_STREAMS_HPP
#define FEDAGG_PASSES_STREAMS_HPP

#include <array>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/options.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/kernels/bounds.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/kernels/lanes.hpp>
#include <fedagg/kernels/parts/stream.hpp>
#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/round/tasks.hpp>
#include <fedagg/passes/streams/table.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A step over coordinates: `inputs` streams are read, `updates` streams are read and written, a coordinate of each at
/// a time, in double: `template <class L> void operator()(const L* in, L* io) const`, L being `lanes`. A small copyable
/// value; its members are the step's numbers. With a member `outputs`, that many updates, the last ones, are only
/// written: what they held is not read, and io[k] is zero when the step begins.
template <class S>
concept stream_step = std::copyable<S> &&(S::inputs + S::updates <= max_streams) && (S::updates >= 1) &&
                      requires(const S& s, const lanes<double, impl::on_baseline>* in,
                               lanes<double, impl::on_baseline>* io) {
  s(in, io);
};

/// The same without anything written: the step fills `sums` values per coordinate, each of which is summed over all of
/// them: `template <class L> void operator()(const L* in, L* values) const`.
template <class S>
concept stream_sum = std::copyable<S> &&(S::inputs >= 1 && S::inputs <= max_streams) &&
                     (S::sums >= 1 && S::sums <= 4) &&
                     requires(const S& s, const lanes<double, impl::on_baseline>* in,
                              lanes<double, impl::on_baseline>* values) {
  s(in, values);
};

/// The tensor that a call was refused for.
struct stream_fault {
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t tensor = none;
  std::string_view name = {};
};

/// How a step is run; it says itself what is computed.
struct stream_options {
  /// `direct` writes while it looks: after `non_finite` or `overflow` the streams that are written are spoiled and must
  /// be restored by the caller. `atomic` looks first, at the cost of a second read: a refused call changes nothing.
  fedagg::write write = fedagg::write::direct;
  executor_ref executor = {};
  /// Coordinates per task, 0 for a choice by size. Never changes a bit of the result.
  std::size_t grain = 0;
  stream_fault* fault = nullptr;
};

namespace impl {

/// Runs a step over the tensors of a table, in tasks of `grain` coordinates.
template <class Step>
class stream_pass {
public:
  stream_pass(const Step& step, const stream_table& table, const stream_options& how) noexcept
      : step_(step), table_(table), how_(how), grain_(how.grain && stream_step<Step> ? how.grain : default_grain) {}

  /// The step, on all streams; `atomic` looks first.
  errc run() noexcept {
    if (how_.write == write::atomic)
      if (const errc rc = look(); rc != errc::ok) return rc;
    return write_now();
  }
  errc look() noexcept {
    store_ = false;
    return sweep();
  }
  errc write_now() noexcept {
    store_ = true;
    return sweep();
  }

  /// The sums of the step's values: of fixed lanes of fixed chunks, put together in order.
  errc total(std::span<double> out) {
    partial_.assign(tasks() * out.size(), 0.0);
    if (const errc rc = sweep(); rc != errc::ok) return rc;
    const fp_guard guard;
    for (std::size_t k = 0; k < out.size(); ++k) {
      out[k] = 0;
      for (std::size_t t = k; t < partial_.size(); t += out.size()) out[k] = FEDAGG_FP_KEEP(out[k] + partial_[t]);
      if (!is_finite(out[k])) return errc::overflow;
    }
    return errc::ok;
  }

private:
  static constexpr unsigned unsure = ~0u;
  static constexpr std::size_t default_grain = 65536, tile = 256, reasons = 64, inputs = Step::inputs;
  static constexpr std::size_t updates = [] {
    if constexpr (stream_step<Step>)
      return std::size_t{Step::updates};
    else
      return std::size_t{0};
  }();
  /// How many of the streams that are written are read before.
  static constexpr std::size_t read_first = [] {
    if constexpr (requires { Step::outputs; })
      return updates - Step::outputs;
    else
      return updates;
  }();

  errc sweep() noexcept {
    found_ = stream_fault::none;
    if (const errc rc = run_tasks(how_.executor, tasks(), [this](std::size_t index) { part(index); }); rc != errc::ok)
      return rc;
    if (found_ == stream_fault::none) return errc::ok;
    if (how_.fault) *how_.fault = {table_.position(found_ / reasons), table_.name(found_ / reasons)};
    return static_cast<errc>(found_ % reasons);
  }

  std::size_t tasks_of(std::size_t k) const noexcept {
    const std::size_t size = table_.size_of(k);
    return size / grain_ + (size % grain_ != 0);
  }
  std::size_t tasks() const noexcept {
    std::size_t count = 0;
    for (std::size_t k = 0; k < table_.size(); ++k) count += tasks_of(k);
    return count;
  }

  void part(std::size_t index) noexcept {
    std::size_t k = 0, at = index;
    for (; k < table_.size() && at >= tasks_of(k); ++k) at -= tasks_of(k);
    if (k < table_.size()) {
      const std::size_t size = table_.size_of(k), begin = at * grain_;
      const unsigned seen = over(k, begin, size - begin < grain_ ? size - begin : grain_, index);
      const errc rc = seen & saw_non_finite ? errc::non_finite : seen & saw_overflow ? errc::overflow : errc::ok;
      if (rc != errc::ok) detail::lower_to(found_, k * reasons + static_cast<std::size_t>(rc));
    }
  }

  /// Coordinates [begin, begin + count) of tensor k, which are task `index`.
  unsigned over(std::size_t k, std::size_t begin, std::size_t count, std::size_t index) noexcept {
    double lanes_of_sums[4 * row_lanes] = {};
    const unsigned seen = table_.plain(k, dtype::f32)   ? direct<float>(k, begin, count, lanes_of_sums)
                          : table_.plain(k, dtype::f64) ? direct<double>(k, begin, count, lanes_of_sums)
                                                        : converted(k, begin, count, lanes_of_sums);
    if constexpr (!stream_step<Step>)
      for (std::size_t s = 0; s < Step::sums; ++s) {
        double* sum = lanes_of_sums + s * row_lanes;
        for (std::size_t half = row_lanes / 2; half > 0; half /= 2)
          for (std::size_t i = 0; i < half; ++i) sum[i] = FEDAGG_FP_KEEP(sum[i] + sum[i + half]);
        partial_[index * Step::sums + s] = sum[0];
      }
    return seen;
  }

  template <class T>
  unsigned apply(const T* const* in, T* const* io, std::size_t count, bool store, double* sums) noexcept {
    return on_active_isa([&](auto isa) {
      using kernel = stream_kernel<decltype(isa)>;
      using value = lanes<double, decltype(isa)>;
      if constexpr (stream_step<Step>)
        return kernel::template run<value>(step_, in, io, count, store);
      else
        return kernel::template sum<value>(step_, in, count, sums);
    });
  }

  template <class T>
  unsigned direct(std::size_t k, std::size_t begin, std::size_t count, double* sums) noexcept {
    const T* in[inputs + 1] = {};
    T* io[updates + 1] = {};
    for (std::size_t i = 0; i < inputs; ++i) in[i] = static_cast<const T*>(table_.input(k, i).data()) + begin;
    for (std::size_t i = 0; i < updates; ++i) io[i] = static_cast<T*>(table_.update(k, i).data()) + begin;
    if constexpr (stream_step<Step> && requires(const Step& s, const bounds* a, bounds* b) { s(a, b); })
      if (!store_)
        if (const unsigned seen = foresee<T>(in, io, count); seen != unsure) return seen;
    return apply<T>(in, io, count, store_, sums);
  }

  /// Of a step that only looks: what is seen already in the bounds of what the streams hold, for much less than a step.
  template <class T>
  unsigned foresee(const T* const* in, T* const* io, std::size_t count) const noexcept {
    const T* from[inputs + read_first + 1];
    for (std::size_t i = 0; i < inputs; ++i) from[i] = in[i];
    for (std::size_t i = 0; i < read_first; ++i) from[inputs + i] = io[i];
    stream_range r[inputs + read_first + 1];
    if constexpr (inputs + read_first != 0)
      on_active_isa(
          [&](auto isa) { stream_kernel<decltype(isa)>::template ranges<inputs + read_first>(from, count, r); });
    bounds a[inputs + 1], b[updates];
    for (std::size_t i = 0; i < inputs + read_first; ++i) {
      if (!r[i].finite) return saw_non_finite;
      (i < inputs ? a[i] : b[i - inputs]) = bounds(r[i].low, r[i].high);
    }
    step_(static_cast<const bounds*>(a), static_cast<bounds*>(b));
    // Half the range leaves room for what rounding adds.
    constexpr double most = static_cast<double>((std::numeric_limits<T>::max)()) / 2;
    for (const bounds& v : b)
      if (!v.known() || v.low() < -most || v.high() > most) return unsure;
    return 0;
  }

  /// Streams of several or short types, or of any strides: tile by tile through doubles, rounded once.
  unsigned converted(std::size_t k, std::size_t begin, std::size_t count, double* sums) noexcept {
    double tiles[inputs + updates][tile];
    const double* in[inputs + 1] = {};
    double* io[updates + 1] = {};
    for (std::size_t i = 0; i < inputs; ++i) in[i] = tiles[i];
    for (std::size_t i = 0; i < updates; ++i) io[i] = tiles[inputs + i];
    unsigned seen = 0;
    for (std::size_t at = begin; at < begin + count; at += tile) {
      const std::size_t size = begin + count - at < tile ? begin + count - at : tile;
      for (std::size_t i = 0; i < inputs; ++i) load_doubles(table_.input(k, i), at, size, tiles[i]);
      for (std::size_t i = 0; i < read_first; ++i) load_doubles(table_.update(k, i), at, size, tiles[inputs + i]);
      seen |= apply<double>(in, io, size, true, sums);
      for (std::size_t i = 0; i < updates; ++i)
        if (!store_doubles(table_.update(k, i), at, size, tiles[inputs + i], store_)) seen |= saw_overflow;
    }
    return seen;
  }

  const Step& step_;
  const stream_table& table_;
  const stream_options& how_;
  std::size_t grain_;
  bool store_ = true;
  std::size_t found_ = stream_fault::none;
  std::vector<double> partial_;
};

} // namespace impl

/// Applies the step to every floating tensor of models of one layout (names, shapes; element types may differ): all
/// arithmetic in double, each stream that is written rounded once to its own type. Integer and bool tensors have no
/// gradient: they are left alone. The models may share no memory but an input with an identical view of an output.
/// `layout_mismatch`, `overlapping_output`, a view's own status before the first write; `non_finite`, `overflow`: see
/// `stream_options::write`. One pass over memory; the same bits on every instruction set and with any executor.
template <stream_step Step>
[[nodiscard]] errc try_update(const Step& step, std::array<const model_view*, Step::inputs> in,
                              std::array<const mutable_model_view*, Step::updates> io,
                              const stream_options& how = {}) noexcept {
  return impl::no_throw([&] {
    impl::stream_table table;
    if (const errc rc = table.fill(in, io, how.fault); rc != errc::ok) return rc;
    return impl::stream_pass<Step>(step, table, how).run();
  });
}

template <stream_step Step>
void update(const Step& step, std::array<const model_view*, Step::inputs> in,
            std::array<const mutable_model_view*, Step::updates> io, const stream_options& how = {}) {
  stream_fault fault;
  stream_options own = how;
  if (!own.fault) own.fault = &fault;
  if (const errc rc = try_update(step, in, io, own); rc != errc::ok) impl::raise(rc, own.fault->name);
}

/// The sums of the step's values over every floating tensor of models of one layout, in double. Relative error of a sum
/// of values of one sign below d / 16 2^-53, d coordinates. Refused as `try_update`; `overflow` if a sum leaves the
/// range of double. `out` is untouched unless the result is `ok`.
template <stream_sum Step>
[[nodiscard]] errc try_total(const Step& step, std::array<const model_view*, Step::inputs> in,
                             std::span<double, Step::sums> out, const stream_options& how = {}) noexcept {
  return impl::no_throw([&] {
    impl::stream_table table;
    if (const errc rc = table.fill(in, std::array<const mutable_model_view*, 0>{}, how.fault); rc != errc::ok)
      return rc;
    double sums[Step::sums] = {};
    if (const errc rc = impl::stream_pass<Step>(step, table, how).total(sums); rc != errc::ok) return rc;
    for (std::size_t k = 0; k < Step::sums; ++k) out[k] = sums[k];
    return errc::ok;
  });
}

template <stream_sum Step>
std::array<double, Step::sums> total(const Step& step, std::array<const model_view*, Step::inputs> in,
                                     const stream_options& how = {}) {
  std::array<double, Step::sums> out{};
  stream_fault fault;
  stream_options own = how;
  if (!own.fault) own.fault = &fault;
  if (const errc rc = try_total(step, in, std::span<double, Step::sums>(out), own); rc != errc::ok)
    impl::raise(rc, own.fault->name);
  return out;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_STREAMS_HPP
