// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_LIBTORCH_HPP
#define FEDAGG_ADAPTERS_LIBTORCH_HPP

#include <cstddef>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <fedagg/core/model_view.hpp>
#include <fedagg/core/tensor_view.hpp>

namespace fedagg::inline FEDAGG_ABI {
namespace detail {

/// `dtype::other` for complex, quantised and smaller types.
template <class ScalarType>
constexpr dtype torch_dtype(ScalarType type) noexcept {
  if constexpr (requires { ScalarType::UInt64; }) { // since 2.3
    if (type == ScalarType::UInt16) return dtype::u16;
    if (type == ScalarType::UInt32) return dtype::u32;
    if (type == ScalarType::UInt64) return dtype::u64;
  }
  switch (type) {
  case ScalarType::Double:
    return dtype::f64;
  case ScalarType::Float:
    return dtype::f32;
  case ScalarType::Half:
    return dtype::f16;
  case ScalarType::BFloat16:
    return dtype::bf16;
  case ScalarType::Long:
    return dtype::i64;
  case ScalarType::Int:
    return dtype::i32;
  case ScalarType::Short:
    return dtype::i16;
  case ScalarType::Char:
    return dtype::i8;
  case ScalarType::Byte:
    return dtype::u8;
  case ScalarType::Bool:
    return dtype::boolean;
  default:
    return dtype::other;
  }
}

inline any_mutable_tensor torch_view(const at::Tensor& t) {
  if (!t.defined() || !t.device().is_cpu() || t.layout() != at::kStrided)
    return any_mutable_tensor::refused(errc::null_data);
  const dtype type = torch_dtype(t.scalar_type());
  // A negative or conjugate that is still to be computed: memory holds other values.
  if (type == dtype::other || t.is_neg() || t.is_conj()) return any_mutable_tensor::refused(errc::unsupported_element);
  const auto sizes = t.sizes();
  std::vector<std::size_t> shape(sizes.begin(), sizes.end());
  if (t.is_contiguous()) return {type, t.data_ptr(), shape};
  const auto steps = t.strides();
  const std::vector<std::ptrdiff_t> strides(steps.begin(), steps.end());
  return {type, t.data_ptr(), shape, strides};
}

/// A tensor is a handle that shares its memory, and a temporary may hold the last share: it is refused like a
/// container.
template <>
struct foreign_tensor<at::Tensor> {
  static any_mutable_tensor view(const at::Tensor& t) noexcept {
    try {
      return torch_view(t);
    } catch (const std::bad_alloc&) {
      return any_mutable_tensor::refused(errc::out_of_memory);
    } catch (...) { // kinds of tensors that have neither sizes nor memory: nested, batched
      return any_mutable_tensor::refused(errc::null_data);
    }
  }
};

// torch::nn names what is in a module by pairs, TorchScript by structures.
decltype(auto) torch_name(const auto& item) {
  if constexpr (requires { item.key(); })
    return item.key();
  else
    return (item.name);
}
decltype(auto) torch_value(const auto& item) {
  if constexpr (requires { item.key(); })
    return item.value();
  else
    return (item.value);
}

/// A module, or what points to one.
template <class M>
const auto& torch_module_of(const M& module) {
  if constexpr (requires { module.named_parameters(false); })
    return module;
  else
    return *module;
}

} // namespace detail

template <class M>
concept torch_module = requires(const M& module) {
  detail::torch_module_of(module).named_parameters(false);
  detail::torch_module_of(module).named_buffers(false);
  detail::torch_module_of(module).named_children();
};

/// The tensors of a module by name, as views of their memory: a model wherever one is expected. It owns the names, and
/// a share of the memory, so that a view is never left without either. What is written through it autograd does not
/// see: no version is counted (but see `mark_written`), and no gradient flows.
class torch_model {
public:
  using named = std::pair<std::string, at::Tensor>;

  torch_model() = default;
  /// Views of the tensors, in this order; integer tensors are treated as `counters` says.
  explicit torch_model(std::vector<named> tensors, integers counters = integers::average)
      : tensors_(std::move(tensors)) {
    shares_.reserve(tensors_.size());
    for (const auto& [name, tensor] : tensors_) {
      view_.add(name, tensor, counters);
      shares_.push_back(tensor.has_storage() ? tensor.storage() : at::Storage());
    }
    input_ = view_;
  }
  // Views of the names: the vector keeps its memory when it is moved.
  torch_model(torch_model&&) = default;
  torch_model& operator=(torch_model&&) = default;

  const mutable_model_view& model() const& noexcept { return view_; }
  const mutable_model_view& model() const&& = delete;
  operator const mutable_model_view&() const& noexcept { return view_; }
  operator const mutable_model_view&() const&& = delete;
  operator const model_view&() const& noexcept { return input_; }
  operator const model_view&() const&& = delete;

  std::size_t size() const noexcept { return tensors_.size(); }
  /// Handles on the tensors, with the names.
  std::span<const named> tensors() const noexcept { return tensors_; }

  /// False once a tensor has been given other memory, shape or type (by `to()`, `torch::load`, `set_data`): this then
  /// still sees the old one, and has to be made anew.
  bool current() const noexcept {
    for (std::size_t k = 0; k < tensors_.size(); ++k) {
      const any_tensor was = input_.entries()[k].tensor, now(fedagg::view(tensors_[k].second));
      if (was.status() != now.status() || was.data() != now.data() || was.type() != now.type() || !same_shape(was, now))
        return false;
      for (std::size_t d = 0; d < was.rank(); ++d)
        if (was.strides()[d] != now.strides()[d]) return false;
    }
    return true;
  }

  /// Counts a new version of every tensor, as an operation of torch's in place would: backward() through a graph that
  /// was recorded before then throws, where it would compute with values that are no longer those of its forward pass.
  void mark_written() const {
    for (const auto& [name, tensor] : tensors_)
      if (tensor.defined() && !tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
  }

private:
  std::vector<named> tensors_;
  std::vector<at::Storage> shares_;
  mutable_model_view view_;
  model_view input_;
};

namespace detail {

/// In the order of Python's `state_dict()`: a module's parameters, its buffers, then its children. A tensor that is
/// reached by several names comes once, by its first.
template <class M>
void collect_torch(const M& module, const std::string& prefix, bool buffers, std::vector<torch_model::named>& all) {
  const auto take = [&](const auto& items) {
    for (const auto& item : items) {
      const at::Tensor& tensor = torch_value(item);
      bool fresh = tensor.defined();
      for (const auto& [name, other] : all) fresh = fresh && !other.is_same(tensor);
      if (fresh) all.emplace_back(prefix + torch_name(item), tensor);
    }
  };
  take(module.named_parameters(false));
  if (buffers) take(module.named_buffers(false));
  for (const auto& item : module.named_children()) {
    const auto& child = torch_value(item);
    if constexpr (requires { child == nullptr; })
      if (child == nullptr) continue;
    collect_torch(torch_module_of(child), prefix + torch_name(item) + ".", buffers, all);
  }
}

template <class M>
std::vector<torch_model::named> torch_parameters(const M& module) {
  std::vector<torch_model::named> all, trained;
  collect_torch(torch_module_of(module), {}, false, all);
  for (auto& t : all)
    if (t.second.requires_grad()) trained.push_back(std::move(t));
  return trained;
}

} // namespace detail

/// What a client sends and a server keeps: parameters and buffers, by the names and in the order of Python's
/// `state_dict()` ("bn.weight", "bn.bias", "bn.running_mean", ...), tied tensors once. `module` is a module, a module
/// holder or a pointer to a module, of torch::nn or TorchScript.
template <torch_module M>
torch_model model_of(const M& module, integers counters = integers::average) {
  std::vector<torch_model::named> all;
  detail::collect_torch(detail::torch_module_of(module), {}, true, all);
  return torch_model(std::move(all), counters);
}

/// The parameters that are trained: those that require a gradient. In the order of `model_of`.
template <torch_module M>
torch_model parameters_of(const M& module) {
  return torch_model(detail::torch_parameters(module));
}

/// The gradients of `parameters_of`, by the parameters' names. One that is undefined (before the first backward pass,
/// or because the loss did not depend on the parameter) is set to zero first, so that terms can be added to it. To be
/// called after every backward pass: `zero_grad()` may have dropped the gradients' memory since the last.
template <torch_module M>
torch_model gradients_of(const M& module) {
  std::vector<torch_model::named> all = detail::torch_parameters(module);
  for (auto& [name, tensor] : all) {
    at::Tensor& gradient = tensor.mutable_grad();
    if (!gradient.defined()) gradient = tensor.new_zeros(tensor.sizes());
    tensor = at::Tensor(gradient);
  }
  return torch_model(std::move(all));
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ADAPTERS_LIBTORCH_HPP
