// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAVED_STATE_LOADER_HPP
#define FEDAGG_FORMATS_SAVED_STATE_LOADER_HPP

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/file.hpp>
#include <fedagg/formats/saved_state/container.hpp>
#include <fedagg/formats/saved_state/text.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// The archive that reads one entry of a file. Takes no more memory than the file has bytes.
class state_loader {
public:
  state_loader(const safetensors_file& file, std::string_view entry, file_error& error)
      : file_(file), error_(error), name_(entry) {
    name_ += '/';
    prefix_ = name_.size();
  }

  bool loading() const noexcept { return true; }
  template <state_text T>
  errc value(std::string_view name, T& x) {
    const auto found = file_.metadata().find(full(name));
    if (found == file_.metadata().end()) return refuse("is missing");
    if (!from_state_text(found->second, x)) return refuse("is not a value of its type");
    ++used_;
    return errc::ok;
  }
  template <element T>
  errc array(std::string_view name, std::vector<T>& x) {
    std::span<const std::byte> bytes;
    if (const errc rc = find(name, dtype_of<T>, bytes); rc != errc::ok) return rc;
    x.resize(bytes.size() / sizeof(T));
    if (!x.empty()) std::memcpy(x.data(), bytes.data(), bytes.size());
    return errc::ok;
  }
  template <element T>
  errc array(std::string_view name, std::span<T> x) {
    std::span<const std::byte> bytes;
    if (const errc rc = find(name, dtype_of<T>, bytes); rc != errc::ok) return rc;
    if (bytes.size() != x.size_bytes()) return refuse("is not of the size that is expected");
    if (!x.empty()) std::memcpy(x.data(), bytes.data(), bytes.size());
    return errc::ok;
  }
  errc count(std::string_view name, std::size_t& n) {
    const safetensors_tensor* found = file_.find(full(name));
    if (found == nullptr || found->shape.size() != 1) return refuse("is missing, or no array");
    n = found->shape[0];
    return errc::ok;
  }
  errc layout(std::string_view name, model_layout& x) { return archive_part(*this, name, x); }

  /// True if nothing of the entry was left behind, and nothing was read twice.
  bool complete() {
    const std::string_view mine = full({});
    std::size_t there = 0;
    for (auto at = file_.metadata().lower_bound(mine); at != file_.metadata().end() && at->first.starts_with(mine);
         ++at)
      ++there;
    for (const safetensors_tensor& tensor : file_.tensors())
      if (tensor.name.starts_with(mine)) ++there;
    return there == used_;
  }

private:
  errc refuse(std::string_view why) noexcept {
    return error_.set(errc::file_format, file_.name(), "state", name_, why);
  }

  errc find(std::string_view name, dtype type, std::span<const std::byte>& bytes) {
    const safetensors_tensor* found = file_.find(full(name));
    if (found == nullptr) return refuse("is missing");
    if (element_type(found->type) != type || found->shape.size() != 1) return refuse("is not an array of its type");
    bytes = file_.bytes(*found);
    ++used_;
    return errc::ok;
  }

  const std::string& full(std::string_view name) {
    name_.resize(prefix_);
    return name_ += name;
  }

  const safetensors_file& file_;
  file_error& error_;
  std::string name_;
  std::size_t prefix_ = 0, used_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_FORMATS_SAVED_STATE_LOADER_HPP
