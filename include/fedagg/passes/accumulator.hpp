// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ACCUMULATOR_HPP
#define FEDAGG_PASSES_ACCUMULATOR_HPP

#include <cstddef>
#include <new>
#include <string_view>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// The weighted mean (FedAvg, McMahan et al. 2017, arXiv:1602.05629) of clients that arrive one after the other.
/// Holds one double per coordinate whatever the number of clients; accumulators of the same layout merge, so that
/// servers can form a tree. A client is looked at as a whole before any of it is added. Sums are in double in the order
/// of the calls: the result is within (n + 1) 2^-53 sum |w x| / sum w of the exact mean, then rounded to the output's
/// type. Integer tensors are averaged and rounded half to even; those with `integers::keep` are not touched.
template <class Void = void>
class basic_mean_accumulator {
public:
  /// Takes names, element types, shapes and integer policies from a model; its values are not looked at.
  /// A model that cannot be summed gives an accumulator whose `status()` says why and which refuses everything.
  explicit basic_mean_accumulator(const model_view& layout) {
    for (const auto& e : layout.entries()) {
      tensor t;
      t.name = names_.size();
      t.name_size = e.name.size();
      names_.insert(names_.end(), e.name.begin(), e.name.end());
      t.layout = e.tensor;
      t.first = size_;
      t.kept = !is_floating(e.tensor.type()) && e.policy == integers::keep;
      if (e.tensor.status() != errc::ok)
        status_ = e.tensor.status();
      else if (!t.kept && !is_floating(e.tensor.type()) && !is_integer(e.tensor.type()))
        status_ = errc::unsupported_element;
      // Whole vectors for every tensor, so that no vector is shared between two tasks.
      if (!t.kept && status_ == errc::ok) size_ += (e.tensor.size() + padding - 1) / padding * padding;
      tensors_.push_back(t);
    }
    sums_.assign(size_, 0.0);
  }

  /// Adds a client. `client_layout`, `invalid_weight`, `non_finite` or `integer_range` if it cannot be used; nothing of
  /// it is added then. O(d), two reads of the client.
  [[nodiscard]] errc try_absorb(const model_view& client, double weight = 1, executor_ref executor = {}) noexcept {
    if (const errc rc = admit(client); rc != errc::ok) return rc;
    const impl::fp_guard guard;
    if (!detail::valid_weight(weight)) return errc::invalid_weight;
    const double total = weight_ + weight;
    if (!is_finite(total)) return errc::overflow;
    // The first tensor at fault decides, whichever thread comes first.
    constexpr std::size_t none = static_cast<std::size_t>(-1), reasons = 64;
    std::size_t found = none;
    const errc looked = each_tile(executor, [&](const tensor& t, std::size_t k, std::size_t begin, std::size_t end) {
      if (t.kept) return;
      if (const errc rc = look(client.entries()[k].tensor, begin, end); rc != errc::ok)
        detail::lower_to(found, k * reasons + static_cast<std::size_t>(rc));
    });
    if (looked != errc::ok) return looked;
    if (found != none) return static_cast<errc>(found % reasons);
    const errc added = each_tile(executor, [&](const tensor& t, std::size_t k, std::size_t begin, std::size_t end) {
      if (!t.kept) add(t, client.entries()[k].tensor, weight, begin, end);
    });
    // An executor that lost a part of the sum has spoiled it: no later result may come from it.
    if (added != errc::ok) return status_ = added;
    weight_ = total;
    ++clients_;
    return errc::ok;
  }

  /// Adds another accumulator's clients. `layout_mismatch` if it is not of this layout; nothing is lost then.
  [[nodiscard]] errc try_merge(const basic_mean_accumulator& other) noexcept {
    if (status_ != errc::ok) return status_;
    if (other.status_ != errc::ok) return other.status_;
    if (tensors_.size() != other.tensors_.size()) return errc::layout_mismatch;
    for (std::size_t k = 0; k < tensors_.size(); ++k) {
      const tensor &a = tensors_[k], &b = other.tensors_[k];
      if (name_of(a) != other.name_of(b) || a.layout.type() != b.layout.type() || !same_shape(a.layout, b.layout) ||
          a.kept != b.kept)
        return errc::layout_mismatch;
    }
    const impl::fp_guard guard;
    if (!is_finite(weight_ + other.weight_)) return errc::overflow;
    for (std::size_t i = 0; i < size_; ++i) sums_[i] += other.sums_[i];
    weight_ += other.weight_;
    clients_ += other.clients_;
    return errc::ok;
  }

  /// Writes the mean of what was absorbed; may be called again after more. `empty_cohort` without a client,
  /// `zero_weight_sum`, `layout_mismatch` or `overlapping_output` before the first write; `overflow` if a sum or a
  /// result left its type's range (the tensors before it are written then).
  [[nodiscard]] errc try_finish(const mutable_model_view& out) const noexcept {
    const impl::fp_guard guard;
    if (status_ != errc::ok) return status_;
    if (clients_ == 0) return errc::empty_cohort;
    if (!(weight_ > 0)) return errc::zero_weight_sum;
    if (out.size() != tensors_.size()) return errc::layout_mismatch;
    for (std::size_t k = 0; k < tensors_.size(); ++k) {
      const auto& e = out.entries()[k];
      if (e.tensor.status() != errc::ok) return e.tensor.status();
      if (e.name != name_of(tensors_[k]) || e.tensor.type() != tensors_[k].layout.type() ||
          !same_shape(any_tensor(e.tensor), tensors_[k].layout))
        return errc::layout_mismatch;
      if (impl::self_overlapping(e.tensor)) return errc::overlapping_output;
      const impl::byte_range own = impl::range_of(e.tensor);
      for (std::size_t i = 0; i < k; ++i) {
        const impl::byte_range other = impl::range_of(out.entries()[i].tensor);
        if (own.first < other.last && other.first < own.last) return errc::overlapping_output;
      }
    }
    for (std::size_t k = 0; k < tensors_.size(); ++k)
      if (!tensors_[k].kept && !write(tensors_[k], out.entries()[k].tensor)) return errc::overflow;
    return errc::ok;
  }

  /// The same calls, throwing fedagg::error.
  void absorb(const model_view& client, double weight = 1, executor_ref executor = {}) {
    require(try_absorb(client, weight, executor));
  }
  void merge(const basic_mean_accumulator& other) { require(try_merge(other)); }
  void finish(const mutable_model_view& out) const { require(try_finish(out)); }

  std::size_t clients() const noexcept { return clients_; }
  double weight() const noexcept { return weight_; }
  errc status() const noexcept { return status_; }

  /// Forgets the clients and keeps the memory.
  void clear() noexcept {
    for (double& x : sums_) x = 0;
    weight_ = 0;
    clients_ = 0;
  }

private:
  static constexpr std::size_t padding = 64;
  static constexpr std::size_t grain = 65536; // a multiple of the padding

  struct tensor {
    std::size_t name = 0, name_size = 0, first = 0;
    any_tensor layout;
    bool kept = false;
  };

  static void require(errc rc) {
    if (rc != errc::ok) impl::raise(rc);
  }

  std::string_view name_of(const tensor& t) const noexcept { return {names_.data() + t.name, t.name_size}; }

  errc admit(const model_view& client) const noexcept {
    if (status_ != errc::ok) return status_;
    if (client.size() != tensors_.size()) return errc::client_layout;
    for (std::size_t k = 0; k < tensors_.size(); ++k) {
      const auto& e = client.entries()[k];
      if (e.tensor.status() != errc::ok) return e.tensor.status();
      if (e.name != name_of(tensors_[k]) || e.tensor.type() != tensors_[k].layout.type() ||
          !same_shape(e.tensor, tensors_[k].layout))
        return errc::client_layout;
    }
    return errc::ok;
  }

  /// Runs f(tensor, index, begin, end) for every tile of every tensor.
  template <class F>
  errc each_tile(executor_ref executor, const F& f) const noexcept {
    struct loop {
      const basic_mean_accumulator& self;
      const F& f;
      std::size_t done = 0;
    } l{*this, f};
    std::size_t tiles = 0;
    for (const tensor& t : tensors_) tiles += (t.layout.size() + grain - 1) / grain;
    const task one(&l, [](void* context, std::size_t index) noexcept {
      auto& in = *static_cast<loop*>(context);
      const impl::fp_guard guard;
      std::size_t k = 0, at = index;
      for (; k < in.self.tensors_.size(); ++k) {
        const std::size_t own = (in.self.tensors_[k].layout.size() + grain - 1) / grain;
        if (at < own) break;
        at -= own;
      }
      if (k < in.self.tensors_.size()) {
        const std::size_t size = in.self.tensors_[k].layout.size();
        in.f(in.self.tensors_[k], k, at * grain, size - at * grain < grain ? size : (at + 1) * grain);
      }
      detail::fetch_add(in.done, detail::ticket(index));
    });
#if FEDAGG_EXCEPTIONS
    try {
      executor(tiles, one);
    } catch (...) {
      return errc::executor_failed;
    }
#else
    executor(tiles, one);
#endif
    return l.done == detail::all_tickets(tiles) ? errc::ok : errc::executor_failed;
  }

  /// Calls f(typed pointer, elements, position) for the tile, packed where the view is strided.
  template <class F>
  static void packed(const any_tensor& view, std::size_t begin, std::size_t end, const F& f) {
    const std::size_t bytes = size_of(view.type());
    if (view.contiguous()) return f(static_cast<const std::byte*>(view.data()) + begin * bytes, end - begin, begin);
    alignas(64) std::byte space[512 * 8];
    for (std::size_t at = begin; at < end; at += 512) {
      const std::size_t count = end - at < 512 ? end - at : 512;
      impl::gather(view, at, count, space);
      f(static_cast<const std::byte*>(space), count, at);
    }
  }

  static errc look(const any_tensor& view, std::size_t begin, std::size_t end) noexcept {
    errc found = errc::ok;
    packed(view, begin, end, [&](const std::byte* p, std::size_t count, std::size_t) {
      if (is_integer(view.type())) {
        double as_double[512];
        for (std::size_t at = 0; at < count; at += 512)
          if (!impl::integers_to_double(view.type(), p + at * size_of(view.type()), count - at < 512 ? count - at : 512,
                                        as_double))
            found = errc::integer_range;
      } else if (impl::on_active_isa(
                     [&](auto tag) { return impl::scan_kernel<decltype(tag)>::non_finite(view.type(), p, count); })) {
        found = errc::non_finite;
      }
    });
    return found;
  }

  void add(const tensor& t, const any_tensor& view, double weight, std::size_t begin, std::size_t end) noexcept {
    packed(view, begin, end, [&](const std::byte* p, std::size_t count, std::size_t at) {
      double* acc = sums_.data() + t.first + at;
      impl::on_active_isa([&](auto tag) {
        using kernel = impl::sum_kernel<decltype(tag)>;
        switch (view.type()) {
        case dtype::f64:
          return kernel::absorb(reinterpret_cast<const double*>(p), weight, count, acc);
        case dtype::f32:
          return kernel::absorb(reinterpret_cast<const float*>(p), weight, count, acc);
        case dtype::f16:
          return kernel::absorb(reinterpret_cast<const float16*>(p), weight, count, acc);
        case dtype::bf16:
          return kernel::absorb(reinterpret_cast<const bfloat16*>(p), weight, count, acc);
        default:
          break;
        }
        for (std::size_t i = 0; i < count; i += 512) {
          double as_double[512];
          const std::size_t part = count - i < 512 ? count - i : 512;
          impl::integers_to_double(view.type(), p + i * size_of(view.type()), part, as_double);
          kernel::absorb(static_cast<const double*>(as_double), weight, part, acc + i);
        }
      });
    });
  }

  bool write(const tensor& t, const any_mutable_tensor& out) const noexcept {
    std::byte packed_out[512 * 8];
    double mean[512];
    bool fits = true;
    for (std::size_t at = 0; at < out.size() && fits; at += 512) {
      const std::size_t count = out.size() - at < 512 ? out.size() - at : 512;
      for (std::size_t i = 0; i < count; ++i) {
        double by = weight_;
        FEDAGG_FP_HIDE(by);
        mean[i] = sums_[t.first + at + i] / by;
        fits = fits && is_finite(mean[i]);
      }
      if (fits && is_integer(out.type()))
        fits = impl::doubles_to_integer(out.type(), mean, count, packed_out);
      else if (fits)
        fits = impl::on_active_isa([&](auto tag) {
          return impl::convert_kernel<decltype(tag)>::round_all(out.type(), mean, count, packed_out);
        });
      if (fits) impl::scatter(out, at, count, packed_out);
    }
    return fits;
  }

  std::vector<tensor> tensors_;
  std::vector<char> names_;
  std::vector<double> sums_;
  std::size_t size_ = 0;
  std::size_t clients_ = 0;
  double weight_ = 0;
  errc status_ = errc::ok;
};

/// A template underneath so that a program that never uses it does not compile its kernels.
using mean_accumulator = basic_mean_accumulator<>;

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_ACCUMULATOR_HPP
