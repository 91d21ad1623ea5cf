// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_WRITER_HPP
#define FEDAGG_FORMATS_SAFETENSORS_WRITER_HPP

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fedagg/core/model_view.hpp>
#include <fedagg/formats/io/atomic_file.hpp>
#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/header_writer.hpp>
#include <fedagg/formats/safetensors/tensor.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A safetensors file that is filled in place through a mapping and appears under its name, complete, on commit.
/// Move-only. Without a commit nothing is left behind and a file of this name stays as it was. What is not filled is
/// zero. Views are invalid after the commit.
class safetensors_writer {
public:
  safetensors_writer() = default;
  safetensors_writer(safetensors_writer&&) = default;
  safetensors_writer& operator=(safetensors_writer&&) = default;

  /// Lays the file out and reserves its space. Of each tensor the name, type and shape are read; its offsets are chosen
  /// here. `writer` is untouched unless the result is `ok`, else `error` says why: `bad_parameter` (a name that occurs
  /// twice, is not UTF-8, or is `__metadata__`), `size_overflow`, `file_not_found` (no such folder), `file_io`.
  [[nodiscard]] static errc try_create(const std::string& path, std::span<const safetensors_tensor> tensors,
                                       const safetensors_metadata& metadata, safetensors_writer& writer,
                                       file_error& error) noexcept {
    return impl::without_throwing(path, error, [&] {
      safetensors_writer created;
      created.tensors_.assign(tensors.begin(), tensors.end());
      std::string header;
      errc code = impl::write_safetensors_header(created.tensors_, metadata, path, header, error);
      if (code != errc::ok) return code;
      std::size_t end = 0;
      for (const safetensors_tensor& tensor : created.tensors_) end = tensor.end > end ? tensor.end : end;
      code = atomic_file::try_create(path, header.size() + end, created.file_, error);
      if (code != errc::ok) return code;
      std::memcpy(created.file_.bytes().data(), header.data(), header.size());
      created.header_size_ = header.size();
      created.by_name_ = impl::order_by_name(created.tensors_);
      for (const safetensors_tensor& tensor : created.tensors_) created.model_.add(tensor.name, created.view(tensor));
      writer = std::move(created);
      return errc::ok;
    });
  }

  /// Throws `fedagg::error`, whose text names the file and the tensor.
  static safetensors_writer create(const std::string& path, std::span<const safetensors_tensor> tensors,
                                   const safetensors_metadata& metadata = {}) {
    safetensors_writer writer;
    file_error error;
    if (try_create(path, tensors, metadata, writer, error) != errc::ok) impl::raise(error);
    return writer;
  }

  /// As declared, in that order, with the offsets filled in.
  std::span<const safetensors_tensor> tensors() const noexcept { return tensors_; }
  /// Every tensor as an output, in the order of `tensors()`.
  const mutable_model_view& model() const noexcept { return model_; }

  /// Null if there is none of this name.
  const safetensors_tensor* find(std::string_view tensor) const noexcept {
    return impl::find_tensor(tensors_, by_name_, tensor);
  }
  /// For an entry of `tensors()`.
  any_mutable_tensor view(const safetensors_tensor& tensor) const noexcept {
    return {element_type(tensor.type), bytes(tensor).data(), tensor.shape};
  }
  std::span<std::byte> bytes(const safetensors_tensor& tensor) const noexcept {
    return file_.bytes().subspan(header_size_ + tensor.begin, tensor.end - tensor.begin);
  }

  /// Flushes and renames. After a failure the old file is as it was, and the temporary is gone.
  [[nodiscard]] errc try_commit(file_error& error) noexcept {
    model_.clear();
    return file_.try_commit(error);
  }
  void commit() {
    file_error error;
    if (try_commit(error) != errc::ok) impl::raise(error);
  }

private:
  std::vector<safetensors_tensor> tensors_;
  std::vector<std::size_t> by_name_;
  mutable_model_view model_;
  atomic_file file_;
  std::size_t header_size_ = 0;
};

namespace impl {

/// Copies a tensor of any strides into row-major order; `out` has room for it.
inline void gather(const any_tensor& tensor, std::byte* out) noexcept {
  const std::size_t bytes = size_of(tensor.type());
  const auto* const data = static_cast<const std::byte*>(tensor.data());
  if (tensor.size() == 0) return;
  if (tensor.contiguous()) {
    std::memcpy(out, data, tensor.size() * bytes);
    return;
  }
  const auto shape = tensor.shape();
  const auto strides = tensor.strides();
  const std::size_t last = shape.size() - 1;
  const auto width = static_cast<std::ptrdiff_t>(bytes);
  std::size_t index[max_rank] = {};
  std::ptrdiff_t offset = 0;
  for (std::size_t row = 0; row < tensor.size() / shape[last]; ++row) {
    for (std::size_t k = 0; k < shape[last]; ++k, out += bytes)
      std::memcpy(out, data + (offset + static_cast<std::ptrdiff_t>(k) * strides[last]) * width, bytes);
    for (std::size_t k = last; k-- > 0;) {
      offset += strides[k];
      if (++index[k] < shape[k]) break;
      offset -= static_cast<std::ptrdiff_t>(shape[k]) * strides[k];
      index[k] = 0;
    }
  }
}

} // namespace impl

/// Writes a model to a file: all of it, or nothing. Tensors of any strides are gathered into row-major order.
/// `unsupported_element` for `dtype::other`, whose bytes only `safetensors_writer` knows; a view's own `status()` if it
/// may not be read; else as `safetensors_writer`.
[[nodiscard]] inline errc try_save_safetensors(const std::string& path, const model_view& model,
                                               const safetensors_metadata& metadata, file_error& error) noexcept {
  return impl::without_throwing(path, error, [&] {
    std::vector<safetensors_tensor> tensors;
    for (const named_tensor& entry : model.entries()) {
      if (entry.tensor.status() != errc::ok)
        return error.set(entry.tensor.status(), path, entry.name, "this view cannot be read");
      const auto type = find_safetensors_type(entry.tensor.type());
      if (!type) return error.set(errc::unsupported_element, path, entry.name, "its type has no name in the format");
      const auto shape = entry.tensor.shape();
      tensors.push_back({std::string(entry.name), *type, {shape.begin(), shape.end()}});
    }
    safetensors_writer writer;
    if (const errc code = safetensors_writer::try_create(path, tensors, metadata, writer, error); code != errc::ok)
      return code;
    for (std::size_t k = 0; k < tensors.size(); ++k)
      impl::gather(model.entries()[k].tensor, writer.bytes(writer.tensors()[k]).data());
    return writer.try_commit(error);
  });
}

/// Throws `fedagg::error`, whose text names the file and the tensor.
inline void save_safetensors(const std::string& path, const model_view& model,
                             const safetensors_metadata& metadata = {}) {
  file_error error;
  if (try_save_safetensors(path, model, metadata, error) != errc::ok) impl::raise(error);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_SAFETENSORS_WRITER_HPP
