// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MODEL_BUFFER_HPP
#define FEDAGG_CORE_MODEL_BUFFER_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <fedagg/core/element.hpp>
#include <fedagg/core/model_layout.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The element type of what is remembered about a model.
enum class precision : unsigned char { f32, f64 };

/// Tensors of a model's names and shapes with memory of their own: what an optimizer, a control variate or a history
/// remembers. All are f32 or all are f64; contiguous, row-major, zero at first, each at a multiple of 64 bytes.
/// Copies are deep.
class model_buffer {
public:
  static constexpr const char* kind = "model_buffer";
  static constexpr unsigned version = 1;

  model_buffer() = default;

  /// One tensor for each floating tensor of the model. A layout that no memory can hold, or whose own `status()` is not
  /// `ok`, gives an empty buffer whose `status()` says why. Throws std::bad_alloc.
  explicit model_buffer(const model_layout& model, precision type = precision::f64) {
    build(model, type, [&](std::size_t k) { return is_floating(model.type(k)); });
  }
  /// One for each tensor k of the model for which `select(k)` is true; integer tensors may be among them.
  template <class Select>
  model_buffer(const model_layout& model, precision type, const Select& select) {
    build(model, type, select);
  }

  model_buffer(const model_buffer& other)
      : layout_(other.layout_), sources_(other.sources_), blocks_(other.blocks_), precision_(other.precision_),
        status_(other.status_) {
    point();
  }
  // Vectors keep their memory when they are moved: the views stay right.
  model_buffer(model_buffer&&) = default;
  model_buffer& operator=(const model_buffer& other) {
    if (this != &other) *this = model_buffer(other);
    return *this;
  }
  model_buffer& operator=(model_buffer&&) = default;

  errc status() const noexcept { return status_; }
  precision type() const noexcept { return precision_; }
  /// How many tensors.
  std::size_t size() const noexcept { return layout_.size(); }
  /// Of the buffer: the selected tensors, all of type `type()`.
  const model_layout& layout() const noexcept { return layout_; }
  /// Where tensor k of the buffer was in the model; ascending.
  std::size_t source(std::size_t k) const noexcept { return sources_[k]; }
  std::span<const std::size_t> sources() const noexcept { return sources_; }

  /// Views of the tensors, valid until the buffer is assigned to or destroyed; a move takes them along.
  const mutable_model_view& model() noexcept { return model_; }
  const model_view& model() const noexcept { return const_model_; }

  /// The elements of tensor k; T is float or double, as `type()` says.
  template <class T>
  std::span<T> values(std::size_t k) noexcept {
    return {static_cast<T*>(model_.entries()[k].tensor.data()), layout_.elements(k)};
  }
  template <class T>
  std::span<const T> values(std::size_t k) const noexcept {
    return {static_cast<const T*>(const_model_.entries()[k].tensor.data()), layout_.elements(k)};
  }

  /// Sets every element, rounded to the buffer's precision.
  void fill(double value) noexcept {
    for (std::size_t k = 0; k < size(); ++k) {
      if (precision_ == precision::f64)
        for (double& x : values<double>(k)) x = value;
      else
        for (float& x : values<float>(k)) x = static_cast<float>(value);
    }
  }

  /// Same layout, sources, precision, and values bit for bit.
  friend bool operator==(const model_buffer& a, const model_buffer& b) noexcept {
    if (a.precision_ != b.precision_ || a.status_ != b.status_ || a.layout_ != b.layout_ || a.sources_ != b.sources_)
      return false;
    for (std::size_t k = 0; k < a.size(); ++k) {
      const auto &x = a.const_model_.entries()[k].tensor, &y = b.const_model_.entries()[k].tensor;
      if (x.size() != 0 && std::memcmp(x.data(), y.data(), x.size() * size_of(x.type())) != 0) return false;
    }
    return true;
  }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    if (!a.loading() && status_ != errc::ok) return status_;
    bool wide = precision_ == precision::f64;
    std::vector<std::uint64_t> sources(sources_.begin(), sources_.end());
    model_layout layout;
    if (!a.loading()) layout = layout_;
    if (const errc rc = a.value("f64", wide); rc != errc::ok) return rc;
    if (const errc rc = a.layout("layout", layout); rc != errc::ok) return rc;
    if (const errc rc = a.array("sources", sources); rc != errc::ok) return rc;
    if (a.loading()) {
      *this = {};
      if (sources.size() != layout.size()) return errc::file_format;
      for (std::size_t k = 0; k < layout.size(); ++k) {
        std::size_t count = 0;
        if (const errc rc = a.count(values_name(k), count); rc != errc::ok) return rc;
        // Memory is taken only for what the file has.
        if (layout.type(k) != (wide ? dtype::f64 : dtype::f32) || layout.elements(k) != count ||
            sources[k] > PTRDIFF_MAX || (k != 0 && sources[k] <= sources[k - 1]))
          return errc::file_format;
        sources_.push_back(static_cast<std::size_t>(sources[k]));
      }
      layout_ = std::move(layout);
      precision_ = wide ? precision::f64 : precision::f32;
      if (!allocate()) return errc::file_format;
    }
    for (std::size_t k = 0; k < size(); ++k) {
      const auto name = values_name(k);
      const errc rc = wide ? a.array(name, values<double>(k)) : a.array(name, values<float>(k));
      if (rc != errc::ok) return rc;
    }
    return errc::ok;
  }

private:
  struct alignas(64) block {
    std::byte bytes[64];
  };

  /// "values.12"
  class values_name {
  public:
    explicit values_name(std::size_t k) noexcept {
      char digits[20];
      std::size_t count = 0;
      do digits[count++] = static_cast<char>('0' + k % 10);
      while ((k /= 10) != 0);
      while (count != 0) text_[size_++] = digits[--count];
    }
    operator std::string_view() const noexcept { return {text_, size_}; }

  private:
    char text_[32] = "values.";
    std::size_t size_ = 7;
  };

  template <class Select>
  void build(const model_layout& model, precision type, const Select& select) {
    precision_ = type;
    status_ = model.status();
    for (std::size_t k = 0; k < model.size() && status_ == errc::ok; ++k) {
      if (!select(k)) continue;
      status_ = layout_.add(model.name(k), type == precision::f64 ? dtype::f64 : dtype::f32, model.shape(k));
      sources_.push_back(k);
    }
    if (status_ == errc::ok && !allocate()) status_ = errc::size_overflow;
    if (status_ == errc::ok) return;
    layout_ = {};
    sources_.clear();
  }

  std::size_t blocks_of(std::size_t k) const noexcept {
    const std::size_t width = precision_ == precision::f64 ? 8 : 4;
    return (layout_.elements(k) + 64 / width - 1) / (64 / width);
  }

  bool allocate() {
    std::size_t count = 0;
    constexpr std::size_t most = static_cast<std::size_t>(PTRDIFF_MAX) / 64;
    for (std::size_t k = 0; k < size(); ++k) {
      if (blocks_of(k) > most - count) return false;
      count += blocks_of(k);
    }
    blocks_.assign(count, block{});
    point();
    return true;
  }

  void point() {
    model_.clear();
    const_model_.clear();
    block* at = blocks_.data();
    for (std::size_t k = 0; k < size(); ++k) {
      const any_mutable_tensor tensor(layout_.type(k), at, layout_.shape(k));
      model_.add(layout_.name(k), tensor, layout_.policy(k));
      const_model_.add(layout_.name(k), tensor, layout_.policy(k));
      at += blocks_of(k);
    }
  }

  model_layout layout_;
  std::vector<std::size_t> sources_;
  std::vector<block> blocks_;
  mutable_model_view model_;
  model_view const_model_;
  precision precision_ = precision::f64;
  errc status_ = errc::ok;
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Makes a buffer without throwing: `out_of_memory`, or what its `status()` would be; `buffer` is untouched then.
template <class Select>
[[nodiscard]] errc try_make_buffer(const model_layout& model, precision type, const Select& select,
                                   model_buffer& buffer) noexcept {
#if FEDAGG_EXCEPTIONS
  try {
#endif
    model_buffer made(model, type, select);
    if (made.status() != errc::ok) return made.status();
    buffer = std::move(made);
    return errc::ok;
#if FEDAGG_EXCEPTIONS
  } catch (...) {
    return errc::out_of_memory;
  }
#endif
}
[[nodiscard]] inline errc try_make_buffer(const model_layout& model, precision type, model_buffer& buffer) noexcept {
  return try_make_buffer(
      model, type, [&](std::size_t k) { return is_floating(model.type(k)); }, buffer);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_CORE_MODEL_BUFFER_HPP
