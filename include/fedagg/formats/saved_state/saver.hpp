// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAVED_STATE_SAVER_HPP
#define FEDAGG_FORMATS_SAVED_STATE_SAVER_HPP

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/file_writer.hpp>
#include <fedagg/formats/saved_state/container.hpp>
#include <fedagg/formats/saved_state/text.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// The archive that writes. It is called twice with the same objects in the same order: first to learn what there is,
/// then, given a writer that has room for it, to fill it. So nothing is copied but into the file.
class state_saver {
public:
  state_saver(std::string_view file, file_error& error) noexcept : file_(file), error_(error) {}

  safetensors_metadata metadata;
  std::vector<safetensors_tensor> tensors;

  /// From here on arrays are copied.
  void fill(const safetensors_writer& writer) noexcept { writer_ = &writer; }
  bool filled() const noexcept { return next_ == tensors.size(); }
  void entry(std::string_view name) {
    name_ = name;
    name_ += '/';
    prefix_ = name_.size();
  }

  bool loading() const noexcept { return false; }
  template <state_text T>
  errc value(std::string_view name, const T& x) {
    return text(full(name), to_state_text(x));
  }
  template <element T>
  errc array(std::string_view name, const std::vector<T>& x) {
    return array(name, std::span<const T>(x));
  }
  template <class T>
  errc array(std::string_view name, std::span<T> x) {
    const std::size_t shape[] = {x.size()};
    return tensor(name, any_tensor(dtype_of<T>, x.data(), shape));
  }
  errc count(std::string_view, std::size_t&) noexcept { return errc::ok; }
  errc layout(std::string_view name, model_layout& x) { return archive_part(*this, name, x); }

  /// Of any strides.
  errc tensor(std::string_view name, const any_tensor& x) {
    if (x.status() != errc::ok) return error_.set(x.status(), file_, "state", full(name), "this view cannot be read");
    const auto type = find_safetensors_type(x.type());
    if (!type)
      return error_.set(errc::unsupported_element, file_, "state", full(name), "its type has no name in the format");
    if (writer_ == nullptr) {
      tensors.push_back({full(name), *type, {x.shape().begin(), x.shape().end()}});
      return errc::ok;
    }
    const safetensors_tensor* room = filled() ? nullptr : &writer_->tensors()[next_++];
    if (room == nullptr || room->name != full(name) || room->type != *type ||
        room->end - room->begin != x.size() * size_of(x.type()))
      return changed(full(name));
    gather(x, 0, x.size(), writer_->bytes(*room).data());
    return errc::ok;
  }

  /// A metadata text, of a key that occurs once.
  errc text(std::string key, std::string value) {
    if (writer_ == nullptr) {
      const auto [at, fresh] = metadata.try_emplace(std::move(key), std::move(value));
      return fresh ? errc::ok : error_.set(errc::bad_parameter, file_, "state", at->first, "occurs twice in a state");
    }
    const auto found = metadata.find(key);
    return found != metadata.end() && found->second == value ? errc::ok : changed(key);
  }

private:
  errc changed(std::string_view name) noexcept {
    return error_.set(errc::bad_parameter, file_, "state", name, "changed while it was saved");
  }

  const std::string& full(std::string_view name) {
    name_.resize(prefix_);
    return name_ += name;
  }

  std::string_view file_;
  file_error& error_;
  const safetensors_writer* writer_ = nullptr;
  std::string name_;
  std::size_t prefix_ = 0, next_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_FORMATS_SAVED_STATE_SAVER_HPP
