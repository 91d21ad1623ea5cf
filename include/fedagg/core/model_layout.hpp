// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MODEL_LAYOUT_HPP
#define FEDAGG_CORE_MODEL_LAYOUT_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <fedagg/core/model_view.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// An owning copy of what a model is without its values: names, element types, shapes and integer policies, in order.
/// Shapes are those of the views: of a rank beyond `max_rank` the leading dimensions are one.
class model_layout {
public:
  static constexpr const char* kind = "model_layout";
  static constexpr unsigned version = 1;

  model_layout() = default;

  /// Values are not looked at. A model with a view that cannot be used gives a layout whose `status()` says why.
  /// Throws std::bad_alloc.
  template <class Void>
  model_layout(const basic_model_view<Void>& model) : model_layout(model.entries()) {}
  template <class Void>
  explicit model_layout(std::span<const basic_named_tensor<Void>> tensors) {
    tensors_.reserve(tensors.size());
    for (const auto& t : tensors) {
      if (status_ == errc::ok) status_ = t.tensor.status();
      append(t.name, t.tensor.type(), t.tensor.shape(), t.tensor.size(), t.policy);
    }
  }

  /// Appends a tensor of which only this is known. `size_overflow` (also in `status()`) if no memory holds the shape.
  /// Throws std::bad_alloc.
  errc add(std::string_view name, dtype type, std::span<const std::size_t> shape, integers policy = integers::average) {
    static constexpr char some = 0;
    const any_tensor view(type, &some, shape);
    if (status_ == errc::ok) status_ = view.status();
    append(name, type, view.shape(), view.size(), policy);
    return view.status();
  }

  /// `ok`, or why nothing may be done with a model of this layout.
  errc status() const noexcept { return status_; }
  /// How many tensors.
  std::size_t size() const noexcept { return tensors_.size(); }
  std::string_view name(std::size_t k) const noexcept {
    const std::size_t first = k == 0 ? 0 : tensors_[k - 1].name_end;
    return {names_.data() + first, tensors_[k].name_end - first};
  }
  dtype type(std::size_t k) const noexcept { return tensors_[k].type; }
  std::span<const std::size_t> shape(std::size_t k) const noexcept {
    const std::size_t first = k == 0 ? 0 : tensors_[k - 1].shape_end;
    return std::span<const std::size_t>(extents_).subspan(first, tensors_[k].shape_end - first);
  }
  integers policy(std::size_t k) const noexcept { return tensors_[k].policy; }
  /// Of one tensor, of all before it, and of all. No sum is above PTRDIFF_MAX.
  std::size_t elements(std::size_t k) const noexcept { return tensors_[k].elements; }
  std::size_t elements_before(std::size_t k) const noexcept { return tensors_[k].before; }
  std::size_t elements() const noexcept {
    return tensors_.empty() ? 0 : tensors_.back().before + tensors_.back().elements;
  }

  /// `ok` if a model may be used where this layout is asked for: same names, element types and shapes, in order. Else
  /// `client_layout`, a view's own `status()`, or this layout's. Integer policies are the output's affair: not
  /// compared.
  template <class Void>
  errc matches(std::span<const basic_named_tensor<Void>> model) const noexcept {
    if (status_ != errc::ok) return status_;
    if (model.size() != size()) return errc::client_layout;
    for (std::size_t k = 0; k < size(); ++k) {
      const auto& t = model[k].tensor;
      if (t.status() != errc::ok) return t.status();
      if (!same(k, model[k].name, t.type(), t.shape(), t.size())) return errc::client_layout;
    }
    return errc::ok;
  }
  template <class Void>
  errc matches(const basic_model_view<Void>& model) const noexcept {
    return matches(model.entries());
  }
  errc matches(const model_layout& other) const noexcept {
    if (status_ != errc::ok) return status_;
    if (other.status_ != errc::ok) return other.status_;
    if (other.size() != size()) return errc::client_layout;
    for (std::size_t k = 0; k < size(); ++k)
      if (!same(k, other.name(k), other.type(k), other.shape(k), other.elements(k))) return errc::client_layout;
    return errc::ok;
  }

  /// Everything, integer policies and status included.
  friend bool operator==(const model_layout&, const model_layout&) = default;

  /// See core/archive.hpp. A layout whose status is not `ok` is not saved: that status is returned.
  template <class Archive>
  errc archive(Archive& a) {
    if (!a.loading() && status_ != errc::ok) return status_;
    std::vector<char> types;
    std::vector<std::uint8_t> names(names_.begin(), names_.end()), policies;
    std::vector<std::uint64_t> name_sizes, ranks, counts, extents(extents_.begin(), extents_.end());
    for (std::size_t k = 0; k < size(); ++k) {
      const std::string_view type_name = name_of(type(k));
      types.insert(types.end(), type_name.begin(), type_name.end());
      types.push_back(' ');
      name_sizes.push_back(name(k).size());
      ranks.push_back(shape(k).size());
      counts.push_back(elements(k));
      policies.push_back(policy(k) == integers::keep ? 1 : 0);
    }
    if (const errc rc = a.value("types", types); rc != errc::ok) return rc;
    if (const errc rc = a.array("names", names); rc != errc::ok) return rc;
    if (const errc rc = a.array("name_sizes", name_sizes); rc != errc::ok) return rc;
    if (const errc rc = a.array("ranks", ranks); rc != errc::ok) return rc;
    if (const errc rc = a.array("extents", extents); rc != errc::ok) return rc;
    if (const errc rc = a.array("elements", counts); rc != errc::ok) return rc;
    if (const errc rc = a.array("keep", policies); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;

    *this = {};
    const std::size_t n = name_sizes.size();
    if (ranks.size() != n || counts.size() != n || policies.size() != n) return errc::file_format;
    std::size_t name_at = 0, extent_at = 0, type_at = 0;
    std::vector<std::size_t> own;
    for (std::size_t k = 0; k < n; ++k) {
      if (name_sizes[k] > names.size() - name_at || ranks[k] > max_rank || ranks[k] > extents.size() - extent_at ||
          policies[k] > 1)
        return errc::file_format;
      std::size_t end = type_at;
      while (end < types.size() && types[end] != ' ') ++end;
      dtype type = dtype::f64;
      if (end == types.size() || !find_type({types.data() + type_at, end - type_at}, type)) return errc::file_format;
      type_at = end + 1;
      own.clear();
      for (std::size_t i = 0; i < ranks[k]; ++i) {
        if (extents[extent_at + i] > PTRDIFF_MAX) return errc::file_format;
        own.push_back(static_cast<std::size_t>(extents[extent_at + i]));
      }
      const std::string_view name(reinterpret_cast<const char*>(names.data()) + name_at,
                                  static_cast<std::size_t>(name_sizes[k]));
      if (add(name, type, own, policies[k] == 1 ? integers::keep : integers::average) != errc::ok)
        return errc::file_format;
      // A view without memory or dimensions has no element, a scalar has one.
      if (own.empty() && counts[k] == 0) tensors_.back().elements = 0;
      if (counts[k] != tensors_.back().elements) return errc::file_format;
      name_at += name.size();
      extent_at += own.size();
    }
    if (name_at != names.size() || extent_at != extents.size() || type_at != types.size() || status_ != errc::ok)
      return errc::file_format;
    return errc::ok;
  }

private:
  struct tensor {
    std::size_t name_end = 0, shape_end = 0, before = 0, elements = 0;
    dtype type = dtype::f32;
    integers policy = integers::average;
    friend bool operator==(const tensor&, const tensor&) = default;
  };

  static bool find_type(std::string_view name, dtype& type) noexcept {
    for (unsigned k = 0; k <= static_cast<unsigned>(dtype::other); ++k)
      if (name == name_of(static_cast<dtype>(k))) {
        type = static_cast<dtype>(k);
        return true;
      }
    return false;
  }

  bool same(std::size_t k, std::string_view other_name, dtype other_type, std::span<const std::size_t> other_shape,
            std::size_t other_elements) const noexcept {
    const auto own = shape(k);
    if (name(k) != other_name || type(k) != other_type || elements(k) != other_elements ||
        own.size() != other_shape.size())
      return false;
    for (std::size_t i = 0; i < own.size(); ++i)
      if (own[i] != other_shape[i]) return false;
    return true;
  }

  void append(std::string_view name, dtype type, std::span<const std::size_t> shape, std::size_t elements,
              integers policy) {
    const std::size_t before = this->elements();
    if (elements > static_cast<std::size_t>(PTRDIFF_MAX) - before && status_ == errc::ok) status_ = errc::size_overflow;
    names_.insert(names_.end(), name.begin(), name.end());
    extents_.insert(extents_.end(), shape.begin(), shape.end());
    tensors_.push_back({names_.size(), extents_.size(), before, status_ == errc::ok ? elements : 0, type, policy});
  }

  std::vector<char> names_;
  std::vector<std::size_t> extents_;
  std::vector<tensor> tensors_;
  errc status_ = errc::ok;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_MODEL_LAYOUT_HPP
