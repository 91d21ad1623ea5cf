// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_FILE_HPP
#define FEDAGG_FORMATS_SAFETENSORS_FILE_HPP

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <fedagg/core/model_view.hpp>
#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/io/mapped_file.hpp>
#include <fedagg/formats/safetensors/header_reader.hpp>
#include <fedagg/formats/safetensors/tensor.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A safetensors file, mapped read-only; move-only. Only the header is read on opening, and all of it is checked.
/// Views stay valid while this object, or the one it is moved into, lives.
class safetensors_file {
public:
  safetensors_file() = default;
  safetensors_file(safetensors_file&&) = default;
  safetensors_file& operator=(safetensors_file&&) = default;

  /// Opens and checks a file; `file` is untouched unless the result is `ok`, else `error` says why.
  /// `file_not_found`, `file_io` (not readable, not a regular file), `file_truncated`, `json_type` (a value of the
  /// wrong type, a key missing or unknown), `size_overflow`, `out_of_memory`, `file_format` for everything else.
  [[nodiscard]] static errc try_open(const std::string& path, safetensors_file& file, file_error& error) noexcept {
    mapped_file mapped;
    if (const errc code = mapped_file::try_open(path, mapped, error); code != errc::ok) return code;
    safetensors_file opened;
    if (const errc code = opened.load(mapped.bytes(), path, error); code != errc::ok) return code;
    opened.mapped_ = std::move(mapped);
    file = std::move(opened);
    return errc::ok;
  }

  /// The same for bytes that lie in memory and outlive this object; `name` stands for the file in messages.
  [[nodiscard]] static errc try_parse(std::span<const std::byte> bytes, std::string_view name, safetensors_file& file,
                                      file_error& error) noexcept {
    safetensors_file parsed;
    if (const errc code = parsed.load(bytes, name, error); code != errc::ok) return code;
    file = std::move(parsed);
    return errc::ok;
  }

  /// Throws `fedagg::error`, whose text names the file and the tensor.
  static safetensors_file open(const std::string& path) {
    safetensors_file file;
    file_error error;
    if (try_open(path, file, error) != errc::ok) impl::raise(error);
    return file;
  }
  static safetensors_file parse(std::span<const std::byte> bytes, std::string_view name = "(memory)") {
    safetensors_file file;
    file_error error;
    if (try_parse(bytes, name, file, error) != errc::ok) impl::raise(error);
    return file;
  }

  /// As it was given on opening.
  const std::string& name() const noexcept { return name_; }
  const safetensors_metadata& metadata() const noexcept { return header_.metadata; }
  /// In the order of their data.
  std::span<const safetensors_tensor> tensors() const noexcept { return header_.tensors; }
  /// Every tensor as a view, in the order of `tensors()`; `dtype::other` for types that cannot be computed with.
  const model_view& model() const noexcept { return model_; }

  /// Null if there is none of this name.
  const safetensors_tensor* find(std::string_view tensor) const noexcept {
    return impl::find_tensor(header_.tensors, header_.by_name, tensor);
  }
  /// For an entry of `tensors()`.
  any_tensor view(const safetensors_tensor& tensor) const noexcept {
    return {element_type(tensor.type), bytes(tensor).data(), tensor.shape};
  }
  std::span<const std::byte> bytes(const safetensors_tensor& tensor) const noexcept {
    return data_.subspan(tensor.begin, tensor.end - tensor.begin);
  }
  /// All tensors, one behind the other.
  std::span<const std::byte> data() const noexcept { return data_; }

private:
  errc load(std::span<const std::byte> bytes, std::string_view name, file_error& error) noexcept {
    return impl::without_throwing(name, error, [&] {
      name_ = name;
      const errc code = impl::read_safetensors_header(bytes, name, header_, error);
      if (code != errc::ok) return code;
      data_ = bytes.subspan(header_.data);
      for (const safetensors_tensor& tensor : header_.tensors) model_.add(tensor.name, view(tensor));
      return errc::ok;
    });
  }

  std::string name_;
  mapped_file mapped_;
  impl::safetensors_header header_;
  std::span<const std::byte> data_;
  model_view model_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_SAFETENSORS_FILE_HPP
