// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ACCUMULATOR_HPP
#define FEDAGG_PASSES_ACCUMULATOR_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <fedagg/kernels/parts/absorb.hpp>
#include <fedagg/passes/accumulator/basic.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// Sums in double. A template so that a program that never uses it does not compile its kernels.
template <class Void>
class double_sums {
public:
  static constexpr const char* kind = "mean_accumulator";
  static constexpr unsigned version = 1;
  static constexpr bool takes_back = false;
  static constexpr bool notes = true;
  struct settings {};
  using term = double;
  using divisor = double;

  double_sums() = default;
  explicit double_sums(settings) noexcept {}

  settings how() const noexcept { return {}; }
  errc status() const noexcept { return errc::ok; }
  void resize(std::size_t size) {
    sums_.assign(size, 0.0);
    make_paper();
  }
  void clear() noexcept {
    for (double& x : sums_) x = 0;
    weight_ = 0;
  }

  errc weigh(double weight, term& t) const noexcept {
    t = weight;
    return weight > largest_weight ? errc::client_range : errc::ok;
  }
  errc fits(term t) const noexcept { return is_finite(weight_ + t) ? errc::ok : errc::overflow; }
  errc enter(term t, std::uint64_t) noexcept {
    if (const errc rc = fits(t); rc != errc::ok) return rc;
    weight_ += t;
    return errc::ok;
  }

  errc look(term t, const any_tensor& view, std::size_t begin, std::size_t end) const noexcept {
    if (const errc rc = look_for_non_finite(view, begin, end); rc != errc::ok || view.type() != dtype::f64) return rc;
    bool small = true;
    for_each_part(view, begin, end,
                  [&](const auto* x, std::size_t count, std::size_t) { small = small && bears(t, x, count); });
    return small ? errc::ok : errc::client_range;
  }

  errc add(term t, const any_tensor& view, std::size_t begin, std::size_t end, std::size_t first) noexcept {
    for_each_part(view, begin, end, [&](const auto* x, std::size_t count, std::size_t at) {
      on_active_isa(
          [&](auto tag) { absorb_kernel<decltype(tag)>::absorb(x, t, count, sums_.data() + first + (at - begin)); });
    });
    return errc::ok;
  }

  /// The same until the notes are full or something is not finite (`bad`); returns how many elements were added.
  std::size_t add_noting(term t, const any_tensor& view, std::size_t begin, std::size_t end, std::size_t first,
                         sum_notes& into, bool& bad) noexcept {
    std::size_t done = 0;
    bool going = true;
    const bool exact = for_each_part(view, begin, end, [&](const auto* x, std::size_t count, std::size_t at) {
      if (!going) return;
      bad = bad || !bears(t, x, count);
      going = !bad;
      if (!going) return;
      const std::size_t added = on_active_isa([&](auto tag) {
        return absorb_kernel<decltype(tag)>::absorb_noting(x, t, count, sums_.data() + first + (at - begin), into, bad);
      });
      done += added;
      going = added == count;
    });
    bad = bad || !exact;
    return done;
  }
  void take_back(term t, const any_tensor& view, std::size_t begin, std::size_t end, std::size_t first) noexcept {
    add(-t, view, begin, end, first);
  }
  /// Room for notes on one sum in 256.
  std::span<sum_note> paper() noexcept { return paper_; }

  errc join(const double_sums& other, std::uint64_t clients) noexcept { return enter(other.weight_, clients); }
  void merge(const double_sums& other, std::size_t first, std::size_t count) noexcept {
    for (std::size_t i = first; i < first + count; ++i) sums_[i] += other.sums_[i];
  }

  double weight() const noexcept { return weight_; }
  divisor total() const noexcept { return weight_; }
  static divisor given(double by) noexcept { return by; }
  void means(bool, std::size_t first, std::size_t count, divisor by, double* out) const noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      double hidden = by;
      FEDAGG_FP_HIDE(hidden);
      out[i] = sums_[first + i] / hidden;
    }
  }

  template <class Archive>
  errc archive(Archive& a, const sum_places& places, std::uint64_t, bool) {
    // Sums that have overflowed have no mean, and a file never holds them.
    if (!a.loading() && !finite()) return errc::overflow;
    if (const errc rc = a.value("weight", weight_); rc != errc::ok) return rc;
    if (const errc rc = archive_sums(a, "sums", places, 1, 1, sums_); rc != errc::ok) return rc;
    if (a.loading()) make_paper();
    return finite() && detail::valid_weight(weight_) ? errc::ok : errc::file_format;
  }

private:
  // No client may bring the sums near the end of the doubles, where one would spoil them for all: |w x| of a value is
  // at most 2^1000, so that 2^23 clients do not reach it.
  static constexpr double largest_weight = 0x1p+800, largest_product = 0x1p+1000;
  template <class T>
  static bool bears(term, const T*, std::size_t) noexcept {
    return true; // of a type below 2^128
  }
  static bool bears(term t, const double* x, std::size_t count) noexcept {
    // Of magnitudes as integers, which have the same order; a quotient beyond all doubles bears them all.
    const double limit = largest_product / t;
    std::int64_t most = 0, largest = 0;
    std::memcpy(&most, &limit, sizeof most);
    for (std::size_t i = 0; i < count; ++i) {
      std::int64_t word = 0;
      std::memcpy(&word, x + i, sizeof word);
      word &= INT64_MAX;
      largest = word > largest ? word : largest;
    }
    return largest <= most;
  }

  void make_paper() { paper_.resize(sums_.size() / (256 * sum_note::size) + 64); }
  bool finite() const noexcept {
    return !on_active_isa([&](auto tag) { return scan_kernel<decltype(tag)>::non_finite(sums_.data(), sums_.size()); });
  }

  std::vector<double> sums_;
  std::vector<sum_note> paper_;
  double weight_ = 0;
};

} // namespace impl

/// The weighted mean (FedAvg, McMahan et al. 2017, arXiv:1602.05629) of clients that arrive one after the other or at
/// once. Holds one double per coordinate whatever the number of clients; accumulators of the same layout merge, so that
/// servers can form a tree. A client is looked at as a whole before any of it is added. Sums are in double, in the
/// order in which clients come to a coordinate: whatever it is, the result is within (2 n + 1) 2^-53 sum |w x| / sum w
/// of the exact mean, then rounded to the output's type. Integer tensors are averaged and rounded half to even; those
/// with `integers::keep` are not touched.
using mean_accumulator = basic_accumulator<impl::double_sums<void>>;

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_ACCUMULATOR_HPP
