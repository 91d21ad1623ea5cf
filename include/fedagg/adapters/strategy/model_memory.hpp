// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_STRATEGY_MODEL_MEMORY_HPP
#define FEDAGG_ADAPTERS_STRATEGY_MODEL_MEMORY_HPP

#include <cstddef>
#include <cstring>
#include <vector>

#include <fedagg/core/model_view.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Memory for a model of the very types and shapes of another one, row-major, which it keeps for the next round. Names
/// are borrowed from the model it was made like.
class model_memory {
public:
  /// A view's own status, `unsupported_element` or `size_overflow`. Throws std::bad_alloc.
  errc like(const mutable_model_view& model) {
    view_.clear();
    std::size_t blocks = 0;
    constexpr std::size_t most = static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(block);
    for (const auto& e : model.entries()) {
      if (e.tensor.status() != errc::ok) return e.tensor.status();
      if (size_of(e.tensor.type()) == 0) return errc::unsupported_element;
      const std::size_t own = blocks_of(e.tensor);
      if (own > most - blocks) return errc::size_overflow;
      blocks += own;
    }
    if (memory_.size() < blocks) memory_.resize(blocks);
    block* at = memory_.data();
    for (const auto& e : model.entries()) {
      view_.add(e.name, any_mutable_tensor(e.tensor.type(), at, e.tensor.shape()), e.policy);
      at += blocks_of(e.tensor);
    }
    return errc::ok;
  }

  /// Begins with the values of that model, or with zeros.
  void fill(const mutable_model_view& model, bool zeros) noexcept {
    for (std::size_t k = 0; k < view_.size(); ++k) {
      const any_mutable_tensor& own = view_.entries()[k].tensor;
      if (own.size() == 0) continue;
      if (zeros)
        std::memset(own.data(), 0, own.size() * size_of(own.type()));
      else
        gather(model.entries()[k].tensor, 0, own.size(), own.data());
    }
  }

  const mutable_model_view& view() const noexcept { return view_; }

private:
  struct alignas(64) block {
    std::byte bytes[64];
  };
  static std::size_t blocks_of(const any_mutable_tensor& t) noexcept {
    // At least one, so that a pointer behind the last block is none to elements.
    return (t.size() * size_of(t.type()) + sizeof(block)) / sizeof(block);
  }

  std::vector<block> memory_;
  mutable_model_view view_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_ADAPTERS_STRATEGY_MODEL_MEMORY_HPP
