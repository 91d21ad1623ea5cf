// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_HEADER_READER_HPP
#define FEDAGG_FORMATS_SAFETENSORS_HEADER_READER_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/tensor.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// The checked content of a header; `data` is where the tensors' bytes begin in the file.
struct safetensors_header {
  std::vector<safetensors_tensor> tensors;
  std::vector<std::size_t> by_name;
  safetensors_metadata metadata;
  std::size_t data = 0;
};

/// Reads the JSON as it is parsed: nothing is nested deeper than the format, no key is lost because another has its
/// name, and no tree of values is built.
class safetensors_sax {
public:
  using json = nlohmann::json;

  safetensors_sax(std::string_view file, safetensors_header& header, file_error& error) noexcept
      : file_(file), header_(header), error_(error) {}

  bool start_object(std::size_t) {
    switch (at_) {
    case place::start:
      return go(place::top);
    case place::entry:
      seen_ = 0;
      return go(place::tensor);
    case place::metadata_value:
      return metadata_key_ ? wrong("a text") : go(place::metadata);
    default:
      return wrong(wanted());
    }
  }

  bool key(std::string& name) {
    switch (at_) {
    case place::top:
      if (name == safetensors_metadata_key) {
        if (std::exchange(has_metadata_, true)) return fail(errc::file_format, "__metadata__ occurs twice");
        return go(place::metadata_value);
      }
      header_.tensors.emplace_back().name = std::move(name);
      return go(place::entry);
    case place::tensor:
      if (name == "dtype") return once(1, place::dtype);
      if (name == "shape") return once(2, place::shape);
      if (name == "data_offsets") return once(4, place::offsets);
      return fail(errc::json_type, "an unknown key: \"" + name.substr(0, 60) + "\"");
    default:
      metadata_key_ = &*header_.metadata.try_emplace(std::move(name)).first;
      if (header_.metadata.size() == std::exchange(metadata_count_, header_.metadata.size()))
        return fail(errc::file_format,
                    "__metadata__ has this key twice: \"" + metadata_key_->first.substr(0, 60) + "\"");
      return go(place::metadata_value);
    }
  }

  bool end_object() {
    if (at_ == place::metadata) {
      metadata_key_ = nullptr;
      return go(place::top);
    }
    if (at_ == place::top) return go(place::end);
    if (seen_ != 7)
      return fail(errc::json_type, (seen_ & 1u) == 0   ? "has no dtype"
                                   : (seen_ & 2u) == 0 ? "has no shape"
                                                       : "has no data_offsets");
    return go(place::top);
  }

  bool start_array(std::size_t) {
    if (at_ == place::shape) return go(place::extent);
    offsets_ = 0;
    return at_ == place::offsets ? go(place::offset) : wrong(wanted());
  }

  bool end_array() {
    if (at_ == place::offset && offsets_ != 2) return wrong("two numbers");
    return go(place::tensor);
  }

  bool number_unsigned(std::uint64_t value) {
    if (at_ != place::extent && at_ != place::offset) return wrong(wanted());
    if (value > PTRDIFF_MAX) return fail(errc::size_overflow, "a number beyond the address space");
    safetensors_tensor& tensor = header_.tensors.back();
    if (at_ == place::extent) {
      tensor.shape.push_back(static_cast<std::size_t>(value));
    } else {
      if (offsets_ == 2) return wrong("two numbers");
      (offsets_++ == 0 ? tensor.begin : tensor.end) = static_cast<std::size_t>(value);
    }
    return true;
  }

  bool string(std::string& value) {
    if (at_ == place::dtype) {
      const auto type = find_safetensors_type(value);
      if (!type) return fail(errc::file_format, "an unknown dtype: \"" + value.substr(0, 60) + "\"");
      header_.tensors.back().type = *type;
      return go(place::tensor);
    }
    if (at_ != place::metadata_value || metadata_key_ == nullptr) return wrong(wanted());
    metadata_key_->second = std::move(value);
    return go(place::metadata);
  }

  bool null() { return wrong(wanted()); }
  bool boolean(bool) { return wrong(wanted()); }
  bool number_integer(std::int64_t) { return wrong(wanted()); }
  bool number_float(double, const std::string&) { return wrong(wanted()); }
  bool binary(json::binary_t&) { return wrong(wanted()); }

  template <class Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception&) {
    return fail(errc::file_format, "its header is not valid JSON at byte " + std::to_string(position));
  }

private:
  enum class place { start, top, entry, tensor, dtype, shape, extent, offsets, offset, metadata, metadata_value, end };

  bool go(place next) noexcept {
    at_ = next;
    return true;
  }

  bool once(unsigned mark, place next) {
    if ((seen_ & mark) != 0) return fail(errc::file_format, "a key occurs twice");
    seen_ |= mark;
    return go(next);
  }

  const char* wanted() const noexcept {
    switch (at_) {
    case place::dtype:
      return "a text";
    case place::shape:
    case place::extent:
      return "a list of whole numbers, none negative";
    case place::offsets:
    case place::offset:
      return "two whole numbers, none negative";
    case place::metadata_value:
      return metadata_key_ != nullptr ? "a text" : "an object";
    default:
      return "an object";
    }
  }

  bool wrong(std::string_view wanted) {
    const char* what = at_ == place::dtype                                        ? "its dtype"
                       : at_ == place::shape || at_ == place::extent              ? "its shape"
                       : at_ == place::entry                                      ? "its entry"
                       : at_ == place::metadata_value && metadata_key_ == nullptr ? "__metadata__"
                       : at_ == place::metadata_value                             ? "each value of __metadata__"
                                                                                  : "its data_offsets";
    return fail(errc::json_type, std::string(what) + " must be " + std::string(wanted));
  }

  bool fail(errc code, std::string_view reason) {
    const bool inside = at_ >= place::entry && at_ <= place::offset && !header_.tensors.empty();
    if (inside)
      error_.set(code, file_, header_.tensors.back().name, reason);
    else
      error_.set(code, file_, reason);
    return false;
  }

  std::string_view file_;
  safetensors_header& header_;
  file_error& error_;
  place at_ = place::start;
  unsigned seen_ = 0;
  unsigned offsets_ = 0;
  bool has_metadata_ = false;
  std::size_t metadata_count_ = 0;
  safetensors_metadata::value_type* metadata_key_ = nullptr;
};

/// Each tensor fits its shape, and together they cover the data without hole or overlap. Leaves them in that order.
inline errc check_safetensors_layout(std::string_view file, std::size_t available, safetensors_header& header,
                                     file_error& error) {
  char reason[160];
  for (const safetensors_tensor& tensor : header.tensors) {
    if (tensor.begin > tensor.end)
      return error.set(errc::file_format, file, tensor.name, "its data ends before it begins");
    std::size_t bytes = 0;
    if (const errc code = safetensors_bytes(tensor.type, tensor.shape, bytes); code == errc::size_overflow)
      return error.set(code, file, tensor.name, "its shape overflows");
    else if (code != errc::ok)
      return error.set(errc::file_format, file, tensor.name, "its last element ends inside a byte");
    if (bytes != tensor.end - tensor.begin) {
      std::snprintf(reason, sizeof reason, "its shape takes %zu bytes, its data_offsets %zu", bytes,
                    tensor.end - tensor.begin);
      return error.set(errc::file_format, file, tensor.name, reason);
    }
  }
  header.by_name = order_by_name(header.tensors);
  if (const std::string* twice = find_duplicate(header.tensors, header.by_name))
    return error.set(errc::file_format, file, *twice, "two tensors have this name");

  const auto before = [](const safetensors_tensor& a, const safetensors_tensor& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  };
  if (!std::is_sorted(header.tensors.begin(), header.tensors.end(), before)) {
    std::stable_sort(header.tensors.begin(), header.tensors.end(), before);
    header.by_name = order_by_name(header.tensors);
  }
  std::size_t expected = 0;
  for (const safetensors_tensor& tensor : header.tensors) {
    if (tensor.begin != expected) {
      std::snprintf(reason, sizeof reason, "its data begins at byte %zu, %s byte %zu, where the data before it ends",
                    tensor.begin, tensor.begin < expected ? "before" : "behind", expected);
      return error.set(errc::file_format, file, tensor.name, reason);
    }
    if (tensor.end > available) {
      std::snprintf(reason, sizeof reason, "its data ends at byte %zu of %zu", tensor.end, available);
      return error.set(errc::file_truncated, file, tensor.name, reason);
    }
    expected = tensor.end;
  }
  if (expected == available) return errc::ok;
  std::snprintf(reason, sizeof reason, "%zu bytes follow the last tensor", available - expected);
  return header.tensors.empty() ? error.set(errc::file_format, file, reason)
                                : error.set(errc::file_format, file, header.tensors.back().name, reason);
}

/// Reads and checks everything that stands before the data. Memory grows with the header alone.
inline errc read_safetensors_header(std::span<const std::byte> bytes, std::string_view file, safetensors_header& header,
                                    file_error& error) {
  static_assert(std::endian::native == std::endian::little, "the format is little-endian, and so is the machine");
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length)
    return error.set(errc::file_truncated, file, "shorter than the length of its header");
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > safetensors_header_limit)
    return error.set(errc::file_format, file, "its header is longer than 100 MB, which the format forbids");
  if (length > bytes.size() - sizeof length)
    return error.set(errc::file_truncated, file, "its header ends behind the file");
  header.data = sizeof length + static_cast<std::size_t>(length);
  const auto* const text = reinterpret_cast<const char*>(bytes.data()) + sizeof length;
  const auto* const end = text + length;
  if (length == 0 || *text != '{') return error.set(errc::file_format, file, "its header does not begin with {");
  // The JSON parser takes a null byte for the end and would not look at what follows.
  if (std::memchr(text, 0, static_cast<std::size_t>(length)) != nullptr)
    return error.set(errc::file_format, file, "a null byte in its header");
  safetensors_sax sax(file, header, error);
  if (!nlohmann::json::sax_parse(text, end, &sax)) return error.code();
  return check_safetensors_layout(file, bytes.size() - header.data, header, error);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_FORMATS_SAFETENSORS_HEADER_READER_HPP
