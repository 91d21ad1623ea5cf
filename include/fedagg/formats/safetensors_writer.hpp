// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_WRITER_HPP
#define FEDAGG_FORMATS_SAFETENSORS_WRITER_HPP

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <fedagg/core/model_view.hpp>
#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/file_writer.hpp>
#include <fedagg/formats/safetensors/tensor.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

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
      impl::gather(model.entries()[k].tensor, 0, model.entries()[k].tensor.size(),
                   writer.bytes(writer.tensors()[k]).data());
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
