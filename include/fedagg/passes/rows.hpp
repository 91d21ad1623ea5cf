// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ROWS_HPP
#define FEDAGG_PASSES_ROWS_HPP

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/options.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

template <class>
class rows_pass;

/// What one sweep says of one client's floating-point tensors, taken from the base where there is one.
struct row_summary {
  double squared_norm = 0; ///< NaN or Inf if the client sent such; Inf beyond the range of double
  std::size_t elements = 0;
  std::size_t positive = 0; ///< counts are zero unless asked for
  std::size_t negative = 0;
  std::size_t zero = 0;
  std::size_t non_finite = 0;
  errc fault = errc::ok; ///< client_layout: not of the first client's (the base's) layout, nothing was computed
};

/// What pass rows may be asked for besides the norms.
struct rows_request {
  detail::slice<const model_view> others = {}; ///< extra rows: inner products of each client with each of them
  bool counts = false;
  std::size_t first_tensor = 0; ///< of those in scope, only [first_tensor, last_tensor)
  std::size_t last_tensor = static_cast<std::size_t>(-1);
};

/// Results and memory of pass rows, kept by the caller.
class row_table {
public:
  detail::slice<const row_summary> rows() const noexcept { return rows_.each(); }
  /// The inner product of client i with extra row k, both taken from the base.
  double inner(std::size_t i, std::size_t k) const noexcept { return inner_[i * others_ + k]; }
  /// For a refused call: the tensor it is about.
  std::string_view tensor_name() const noexcept { return tensor_name_; }

private:
  template <class>
  friend class rows_pass;

  struct tensor_plan {
    const named_tensor* layout;
    std::size_t first_chunk;
  };

  detail::list<row_summary> rows_;
  detail::list<double> inner_;
  detail::list<tensor_plan> plan_;
  detail::list<const any_tensor*> views_; // tensor by tensor: clients, extra rows, base
  detail::list<impl::row_partial> partial_;
  detail::list<double> partial_inner_;
  detail::list<std::byte> scratch_;
  detail::list<unsigned char> slots_;
  std::string_view tensor_name_;
  std::size_t others_ = 0;
};

/// Pass rows: norms, inner products with extra rows, counts of signs and of NaN and Inf; O(n (k + 1) d), one read of
/// the cohort. Sums are in double over fixed blocks merged by index: the same bits on every instruction set, thread
/// count and task size. A template so that a program that never runs it does not compile its kernels.
template <class Void = void>
class rows_pass {
public:
  /// `only`: the clients to look at, ascending; all if there are none.
  rows_pass(const cohort& clients, const rows_request& request, row_table& table, const options& how,
            detail::slice<const std::size_t> only = {})
      : clients_(clients), request_(request), t_(table), how_(how), only_(only) {}

  errc run() {
    t_.rows_.assign(clients_.size(), {});
    t_.plan_.clear();
    t_.tensor_name_ = {};
    t_.others_ = request_.others.size();
    n_ = clients_.size();
    if (n_ == 0) return errc::empty_cohort;
    const std::size_t k = request_.others.size();
    t_.inner_.assign(n_ * k, 0.0);
    if (const errc rc = plan(); rc != errc::ok) return rc;
    t_.partial_.assign(chunks_ * n_, {});
    t_.partial_inner_.assign(chunks_ * n_ * k, 0.0);
    const std::size_t width = how_.executor.concurrency() < chunks_ ? how_.executor.concurrency() : chunks_;
    t_.slots_.assign(width, 0);
    // A block of the client, of every extra row and of the base, packed.
    slot_bytes_ = staged_ ? (k + 2) * impl::row_block * sizeof(double) : 0;
    t_.scratch_.resize(width * slot_bytes_);
    how_.executor(chunks_,
                  task(this, [](void* self, std::size_t i) noexcept { static_cast<rows_pass*>(self)->chunk(i); }));
    if (done_ != detail::all_tickets(chunks_)) return errc::executor_failed;
    merge();
    return errc::ok;
  }

private:
  detail::slice<const named_tensor> layout() const noexcept {
    return clients_.has_base() ? clients_.base_row() : clients_.row(only_.empty() ? 0 : only_[0]);
  }

  errc refuse(errc code, std::string_view name) noexcept {
    t_.tensor_name_ = name;
    return code;
  }

  /// Where one has got to in a model: the next tensor, and how many in scope came before it.
  struct walk {
    std::size_t at = 0, seen = 0;
  };

  /// The next floating tensor in scope of a model, or null.
  const named_tensor* next(detail::slice<const named_tensor> model, walk& p) const noexcept {
    while (p.at < model.size()) {
      const named_tensor& e = model[p.at++];
      if (!how_.where.contains(e.name)) continue;
      const std::size_t position = p.seen++;
      if (position >= request_.first_tensor && position < request_.last_tensor && is_floating(e.tensor.type()))
        return &e;
    }
    return nullptr;
  }

  errc match(detail::slice<const named_tensor> model, std::size_t column) {
    walk at;
    for (std::size_t p = 0; p < t_.plan_.size(); ++p) {
      const named_tensor* want = t_.plan_[p].layout;
      const named_tensor* have = next(model, at);
      if (!have || have->name != want->name || have->tensor.type() != want->tensor.type() ||
          !same_shape(have->tensor, want->tensor))
        return refuse(errc::client_layout, want->name);
      if (have->tensor.status() != errc::ok) return refuse(have->tensor.status(), have->name);
      staged_ = staged_ || !have->tensor.contiguous();
      t_.views_[p * columns_ + column] = &have->tensor;
    }
    const named_tensor* surplus = next(model, at);
    return surplus ? refuse(errc::client_layout, surplus->name) : errc::ok;
  }

  errc plan() {
    walk at;
    std::size_t elements = 0;
    while (const named_tensor* e = next(layout(), at)) {
      t_.plan_.push_back({e, chunks_});
      const std::size_t size = e->tensor.status() == errc::ok ? e->tensor.size() : 0;
      chunks_ += size / impl::row_chunk + (size % impl::row_chunk != 0);
      elements += size;
    }
    columns_ = n_ + request_.others.size() + 1;
    t_.views_.assign(t_.plan_.size() * columns_, nullptr);
    for (std::size_t i = 0, k = 0; i < n_; ++i) {
      const bool skipped = !only_.empty() && (k == only_.size() || only_[k] != i);
      if (!skipped) ++k;
      const errc rc = skipped ? errc::client_layout : match(clients_.row(i), i);
      if (rc != errc::ok && rc != errc::client_layout) return rc;
      t_.rows_[i].fault = rc;
      t_.rows_[i].elements = rc == errc::ok ? elements : 0;
    }
    for (std::size_t k = 0; k < request_.others.size(); ++k)
      if (const errc rc = match(request_.others[k].each(), n_ + k); rc != errc::ok)
        return rc == errc::client_layout ? errc::layout_mismatch : rc;
    if (clients_.has_base())
      if (const errc rc = match(clients_.base_row(), columns_ - 1); rc != errc::ok) return rc;
    t_.tensor_name_ = {};
    return errc::ok;
  }

  void chunk(std::size_t index) noexcept {
    const impl::fp_guard guard;
    if (index < chunks_) {
      std::size_t p = 0;
      while (p + 1 < t_.plan_.size() && t_.plan_[p + 1].first_chunk <= index) ++p;
      std::size_t slot = 0;
      while (!detail::try_take(t_.slots_[slot])) slot = slot + 1 < t_.slots_.size() ? slot + 1 : 0;
      const std::size_t size = t_.plan_[p].layout->tensor.size();
      const std::size_t begin = (index - t_.plan_[p].first_chunk) * impl::row_chunk;
      const std::size_t end = size - begin < impl::row_chunk ? size : begin + impl::row_chunk;
      std::byte* scratch = t_.scratch_.data() + slot * slot_bytes_;
      // Norms alone read each client in one long burst; other rows and the base are read once a block for all clients.
      const bool alone = request_.others.empty() && !clients_.has_base();
      for (std::size_t first = 0; first < n_; first += alone ? 1 : n_)
        for (std::size_t at = begin; at < end; at += impl::row_block) {
          const std::size_t count = end - at < impl::row_block ? end - at : impl::row_block;
          impl::on_active_isa(
              [&](auto tag) { block<decltype(tag)>(index, p, at, count, first, alone ? first + 1 : n_, scratch); });
        }
      detail::give_back(t_.slots_[slot]);
    }
    detail::fetch_add(done_, detail::ticket(index));
  }

  template <class Isa>
  void block(std::size_t index, std::size_t p, std::size_t at, std::size_t count, std::size_t first, std::size_t last,
             std::byte* scratch) noexcept {
    switch (t_.plan_[p].layout->tensor.type()) {
    case dtype::f64:
      return block_as<Isa, double>(index, p, at, count, first, last, scratch);
    case dtype::f32:
      return block_as<Isa, float>(index, p, at, count, first, last, scratch);
    case dtype::f16:
      return block_as<Isa, float16>(index, p, at, count, first, last, scratch);
    default:
      return block_as<Isa, bfloat16>(index, p, at, count, first, last, scratch);
    }
  }

  template <class Isa, class T>
  void block_as(std::size_t index, std::size_t p, std::size_t at, std::size_t count, std::size_t first,
                std::size_t last, std::byte* scratch) noexcept {
    using kernel = impl::square_kernel<Isa>;
    const std::size_t k = request_.others.size();
    const auto fetch = [&](std::size_t column, std::size_t place) -> const T* {
      const any_tensor* view = t_.views_[p * columns_ + column];
      if (!view) return nullptr;
      if (view->contiguous()) return static_cast<const T*>(view->data()) + at;
      auto* to = scratch + place * impl::row_block * sizeof(double);
      impl::gather(*view, at, count, to);
      return reinterpret_cast<const T*>(to);
    };
    const T* base = fetch(columns_ - 1, k + 1);
    for (std::size_t i = first; i < last; ++i) {
      if (t_.rows_[i].fault != errc::ok) continue;
      const T* x = fetch(i, k);
      impl::row_partial& into = t_.partial_[index * n_ + i];
      if (request_.counts)
        kernel::template squares<true>(x, base, count, into);
      else
        kernel::template squares<false>(x, base, count, into);
      for (std::size_t e = 0; e < k; ++e)
        t_.partial_inner_[(index * n_ + i) * k + e] += kernel::inner(x, fetch(n_ + e, e), base, count);
    }
  }

  void merge() noexcept {
    const impl::fp_guard guard;
    const std::size_t k = request_.others.size();
    for (std::size_t chunk = 0; chunk < chunks_; ++chunk)
      for (std::size_t i = 0; i < n_; ++i) {
        const impl::row_partial& from = t_.partial_[chunk * n_ + i];
        row_summary& row = t_.rows_[i];
        row.squared_norm += from.square;
        row.positive += from.positive;
        row.negative += from.negative;
        row.non_finite += from.non_finite;
        for (std::size_t e = 0; e < k; ++e) t_.inner_[i * k + e] += t_.partial_inner_[(chunk * n_ + i) * k + e];
      }
    if (request_.counts)
      for (row_summary& row : t_.rows_.each()) row.zero = row.elements - row.positive - row.negative - row.non_finite;
  }

  const cohort& clients_;
  const rows_request& request_;
  row_table& t_;
  const options& how_;
  detail::slice<const std::size_t> only_;
  std::size_t n_ = 0, columns_ = 0, chunks_ = 0, slot_bytes_ = 0, done_ = 0;
  bool staged_ = false;
};

/// Runs pass rows over a cohort; never throws. Policies do not apply: what is wrong with a client stands in its row.
/// `layout_mismatch` if an extra row is not of the cohort's layout, with its tensor in `table.tensor_name()`.
template <class Void = void>
[[nodiscard]] errc try_rows(const cohort& clients, row_table& table, const rows_request& request = {},
                            const options& how = {}) noexcept {
#if FEDAGG_EXCEPTIONS
  try {
    return rows_pass<Void>(clients, request, table, how).run();
  } catch (const std::bad_alloc&) {
    return errc::out_of_memory;
  } catch (...) {
    return errc::executor_failed;
  }
#else
  return rows_pass<Void>(clients, request, table, how).run();
#endif
}

/// The same with its own table; throws fedagg::error.
template <class Void = void>
row_table rows(const cohort& clients, const rows_request& request = {}, const options& how = {}) {
  row_table table;
  if (const errc rc = try_rows<Void>(clients, table, request, how); rc != errc::ok)
    impl::raise(rc, table.tensor_name());
  return table;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_ROWS_HPP
