// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_FILE_WRITER_HPP
#define FEDAGG_FORMATS_SAFETENSORS_FILE_WRITER_HPP

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
  /// All tensors, one behind the other.
  std::span<std::byte> data() const noexcept {
    return file_.bytes().empty() ? std::span<std::byte>{} : file_.bytes().subspan(header_size_);
  }

  /// Replaces a metadata text by one of the same length, which may depend on what was filled in: a checksum.
  /// `bad_parameter` if there is no such key, the length differs, or a character stands for itself in no JSON text.
  [[nodiscard]] errc try_replace(std::string_view key, std::string_view value, file_error& error) noexcept {
    return impl::without_throwing(file_.path(), error, [&] {
      std::string known, wanted;
      impl::append_json(known, key);
      known += ":\"";
      impl::append_json(wanted, value);
      const std::span<std::byte> all = file_.bytes();
      const std::string_view header(reinterpret_cast<const char*>(all.data()), all.empty() ? 0 : header_size_);
      // A quote inside of a text is escaped: one behind a brace or a comma begins a key.
      std::size_t at = header.find(known, 9);
      while (at != std::string_view::npos && header[at - 1] != '{' && header[at - 1] != ',')
        at = header.find(known, at + 1);
      const std::size_t begin = at == std::string_view::npos ? at : at + known.size();
      if (begin == std::string_view::npos || wanted.size() != value.size() + 2 || !is_utf8(value) ||
          header.find('"', begin) != begin + value.size())
        return error.set(errc::bad_parameter, file_.path(), "no metadata text of this key and length");
      std::memcpy(all.data() + begin, value.data(), value.size());
      return errc::ok;
    });
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

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_SAFETENSORS_FILE_WRITER_HPP
