// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ACCUMULATOR_PLACES_HPP
#define FEDAGG_PASSES_ACCUMULATOR_PLACES_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <fedagg/core/model_layout.hpp>
#include <fedagg/passes/admission.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Coordinates that are added under one lock, and that a task works on.
inline constexpr std::size_t sum_tile = 16384;
/// Sums of a tensor start at a multiple of it, so that tiles share no vector and no line.
inline constexpr std::size_t sum_padding = 64;

/// Where an accumulator holds the sums of a model's tensors, and which pieces they are added in.
class sum_places {
public:
  struct tile {
    std::size_t tensor = 0;
    std::size_t begin = 0; ///< elements of the tensor
    std::size_t end = 0;
    std::size_t first = 0; ///< where the sum of element `begin` is
  };

  sum_places() = default;
  explicit sum_places(model_layout layout) : layout_(static_cast<model_layout&&>(layout)), status_(layout_.status()) {
    tensors_.reserve(layout_.size());
    for (std::size_t k = 0; k < layout_.size(); ++k) {
      tensor t;
      t.kept = !is_floating(layout_.type(k)) && layout_.policy(k) == integers::keep;
      if (status_ == errc::ok && !t.kept && !is_floating(layout_.type(k)) && !is_integer(layout_.type(k)))
        status_ = errc::unsupported_element;
      t.first = sums_;
      t.first_tile = tiles_;
      if (!t.kept) {
        const std::size_t size = layout_.elements(k);
        if (size > static_cast<std::size_t>(PTRDIFF_MAX) / 64 - sums_ && status_ == errc::ok)
          status_ = errc::size_overflow;
        if (status_ == errc::ok) {
          sums_ += (size + sum_padding - 1) / sum_padding * sum_padding;
          tiles_ += (size + sum_tile - 1) / sum_tile;
        }
      }
      tensors_.push_back(t);
    }
  }

  const model_layout& layout() const noexcept { return layout_; }
  errc status() const noexcept { return status_; }
  /// Sums, padding included, and tiles.
  std::size_t sums() const noexcept { return sums_; }
  std::size_t tiles() const noexcept { return tiles_; }
  bool kept(std::size_t k) const noexcept { return tensors_[k].kept; }
  std::size_t first(std::size_t k) const noexcept { return tensors_[k].first; }

  tile at(std::size_t index) const noexcept {
    // The last tensor whose first tile is not behind it; those without a tile stand before the one that has it.
    std::size_t low = 0, high = tensors_.size();
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      (tensors_[middle].first_tile <= index ? low : high) = middle;
    }
    const std::size_t begin = (index - tensors_[low].first_tile) * sum_tile, size = layout_.elements(low);
    return {low, begin, size - begin < sum_tile ? size : begin + sum_tile, tensors_[low].first + begin};
  }

  /// `client_layout` or a view's own status.
  errc admit(const model_view& client) const noexcept { return layout_.matches(client); }

  /// `layout_mismatch` unless the other's sums are of the same tensors.
  errc admit(const sum_places& other) const noexcept {
    if (layout_.matches(other.layout_) != errc::ok) return errc::layout_mismatch;
    for (std::size_t k = 0; k < tensors_.size(); ++k)
      if (tensors_[k].kept != other.tensors_[k].kept) return errc::layout_mismatch;
    return errc::ok;
  }

  /// `layout_mismatch`, `overlapping_output`, or a view's own status.
  errc admit(const mutable_model_view& out) const noexcept {
    if (const errc rc = layout_.matches(out); rc != errc::ok)
      return rc == errc::client_layout ? errc::layout_mismatch : rc;
    const auto entries = out.entries();
    for (std::size_t k = 0; k < entries.size(); ++k) {
      if (self_overlapping(entries[k].tensor)) return errc::overlapping_output;
      const byte_range own = range_of(entries[k].tensor);
      for (std::size_t i = 0; i < k; ++i) {
        const byte_range other = range_of(entries[i].tensor);
        if (own.first < other.last && other.first < own.last) return errc::overlapping_output;
      }
    }
    return errc::ok;
  }

private:
  struct tensor {
    std::size_t first = 0, first_tile = 0;
    bool kept = false;
  };

  model_layout layout_;
  std::vector<tensor> tensors_;
  std::size_t sums_ = 0, tiles_ = 0;
  errc status_ = errc::ok;
};

/// Archives `width` values per coordinate, an array "name.k" for tensor k; its elements are counted up to a multiple of
/// `unit`. Values are zero where nothing was saved. Throws std::bad_alloc.
template <class Archive, class T>
errc archive_sums(Archive& a, std::string_view name, const sum_places& places, std::size_t width, std::size_t unit,
                  std::vector<T>& values) {
  const auto each = [&](const auto& f) {
    std::vector<char> full;
    for (std::size_t k = 0; k < places.layout().size(); ++k) {
      if (places.kept(k)) continue;
      full.assign(name.begin(), name.end());
      full.push_back('.');
      char digits[20];
      std::size_t count = 0;
      for (std::size_t left = k; count == 0 || left != 0; left /= 10)
        digits[count++] = static_cast<char>('0' + left % 10);
      while (count != 0) full.push_back(digits[--count]);
      const std::size_t size = (places.layout().elements(k) + unit - 1) / unit * unit;
      if (const errc rc = f(std::string_view(full.data(), full.size()), width * places.first(k), width * size);
          rc != errc::ok)
        return rc;
    }
    return errc::ok;
  };
  if (a.loading()) {
    // A file that names a large model and does not hold it takes no memory.
    const errc rc = each([&](std::string_view full, std::size_t, std::size_t size) {
      std::size_t saved = 0;
      const errc counted = a.count(full, saved);
      return counted != errc::ok ? counted : saved != size ? errc::file_format : errc::ok;
    });
    if (rc != errc::ok) return rc;
    values.assign(width * places.sums(), T{});
  }
  return each([&](std::string_view full, std::size_t first, std::size_t size) {
    return a.array(full, std::span<T>(values.data() + first, size));
  });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ACCUMULATOR_PLACES_HPP
