// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MODEL_VIEW_HPP
#define FEDAGG_CORE_MODEL_VIEW_HPP

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fedagg/core/list.hpp>
#include <fedagg/core/tensor_view.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What happens to an integer tensor (a BatchNorm counter, say). Read from the output's entry.
enum class integers : unsigned char {
  average, ///< the rule runs in double; the result is rounded half to even
  keep,    ///< the value of the cohort's base is kept; clients' values are not looked at
};

/// A tensor with its name; the name is borrowed like the data.
template <class Void>
struct basic_named_tensor {
  std::string_view name;
  basic_any_tensor<Void> tensor;
  integers policy = integers::average;
};

/// Ordered named tensors of mixed element types over memory that the training stack owns.
/// Two models have the same layout if names, element types and shapes agree in this order.
template <class Void>
class basic_model_view {
public:
  using entry = basic_named_tensor<Void>;

  basic_model_view() = default;

  /// A model of one nameless tensor.
  template <tensor_source S>
  requires std::convertible_to<decltype(fedagg::view(std::declval<S>())), basic_any_tensor<Void>>
  basic_model_view(S&& source) {
    add({}, static_cast<S&&>(source));
  }

  /// An output is also an input.
  basic_model_view(const basic_model_view<void>& other) requires(!std::is_same_v<Void, void>) {
    entries_.reserve(other.size());
    for (const auto& e : other.each()) entries_.push_back({e.name, e.tensor, e.policy});
  }
  basic_model_view(const basic_model_view&) = default;
  basic_model_view(basic_model_view&&) = default;
  basic_model_view& operator=(const basic_model_view&) = default;
  basic_model_view& operator=(basic_model_view&&) = default;

  /// Appends a tensor. `source` is an lvalue container, a span or a tensor_view; its memory and the name are borrowed.
  template <tensor_source S>
  requires std::convertible_to<decltype(fedagg::view(std::declval<S>())), basic_any_tensor<Void>> basic_model_view&
  add(std::string_view name, S&& source, integers policy = integers::average) {
    entries_.push_back({name, basic_any_tensor<Void>(fedagg::view(static_cast<S&&>(source))), policy});
    return *this;
  }
  basic_model_view& add(std::string_view name, const basic_any_tensor<Void>& tensor,
                        integers policy = integers::average) {
    entries_.push_back({name, tensor, policy});
    return *this;
  }

  std::span<const entry> entries() const noexcept { return entries_; }
  /// The library's own.
  detail::slice<const entry> each() const noexcept { return entries_.each(); }
  std::size_t size() const noexcept { return entries_.size(); }
  void clear() noexcept { entries_.clear(); }

private:
  detail::list<entry> entries_;
};

using named_tensor = basic_named_tensor<const void>;
using model_view = basic_model_view<const void>;
using mutable_model_view = basic_model_view<void>;

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_MODEL_VIEW_HPP
