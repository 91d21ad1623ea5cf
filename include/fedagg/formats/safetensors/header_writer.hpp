// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_HEADER_WRITER_HPP
#define FEDAGG_FORMATS_SAFETENSORS_HEADER_WRITER_HPP

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/tensor.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Appends a JSON string with the escapes that the Python package's writer uses.
inline void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    constexpr std::string_view short_escapes = "\"\"\\\\\bb\ff\nn\rr\tt";
    std::size_t k = 0;
    while (k < short_escapes.size() && short_escapes[k] != c) k += 2;
    if (k < short_escapes.size()) {
      out += '\\';
      out += short_escapes[k + 1];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

inline void append_json(std::string& out, const safetensors_tensor& tensor) {
  append_json(out, std::string_view(tensor.name));
  out += ":{\"dtype\":\"";
  out += name_of(tensor.type);
  out += "\",\"shape\":[";
  for (std::size_t k = 0; k < tensor.shape.size(); ++k) {
    if (k != 0) out += ',';
    out += std::to_string(tensor.shape[k]);
  }
  out += "],\"data_offsets\":[" + std::to_string(tensor.begin) + ',' + std::to_string(tensor.end) + "]}";
}

/// Refuses what no file may hold, gives every tensor its place, and writes what stands before the data.
/// Tensors lie in the Python package's order, by type (widest first) and then by name, which keeps them aligned.
inline errc write_safetensors_header(std::span<safetensors_tensor> tensors, const safetensors_metadata& metadata,
                                     std::string_view file, std::string& header, file_error& error) {
  static_assert(std::endian::native == std::endian::little, "the format is little-endian, and so is the machine");
  for (const auto& [key, value] : metadata)
    if (!is_utf8(key) || !is_utf8(value)) return error.set(errc::bad_parameter, file, "metadata that is not UTF-8");
  for (const safetensors_tensor& tensor : tensors) {
    if (tensor.name == safetensors_metadata_key)
      return error.set(errc::bad_parameter, file, tensor.name, "this name belongs to the format");
    if (!is_utf8(tensor.name)) return error.set(errc::bad_parameter, file, tensor.name, "its name is not UTF-8");
    if (static_cast<std::size_t>(tensor.type) >= safetensors_type_count)
      return error.set(errc::bad_parameter, file, tensor.name, "a type that is not one of the format");
  }
  if (const std::string* twice = find_duplicate(tensors, order_by_name(tensors)))
    return error.set(errc::bad_parameter, file, *twice, "two tensors have this name");

  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tensors[a].type != tensors[b].type ? tensors[a].type > tensors[b].type : tensors[a].name < tensors[b].name;
  });
  std::size_t end = 0;
  for (const std::size_t k : order) {
    std::size_t bytes = 0;
    errc code = safetensors_bytes(tensors[k].type, tensors[k].shape, bytes);
    if (code == errc::bad_parameter)
      return error.set(code, file, tensors[k].name, "its last element ends inside a byte");
    if (code == errc::ok && bytes > static_cast<std::size_t>(PTRDIFF_MAX) - safetensors_header_limit - 8 - end)
      code = errc::size_overflow;
    if (code != errc::ok) return error.set(code, file, tensors[k].name, "its shape overflows");
    tensors[k].begin = end;
    tensors[k].end = end += bytes;
  }

  header.assign(8, '\0');
  header += '{';
  if (!metadata.empty()) {
    append_json(header, safetensors_metadata_key);
    header += ":{";
    for (const auto& [key, value] : metadata) {
      if (header.back() != '{') header += ',';
      append_json(header, std::string_view(key));
      header += ':';
      append_json(header, std::string_view(value));
    }
    header += '}';
  }
  for (const std::size_t k : order) {
    if (header.back() != '{') header += ',';
    append_json(header, tensors[k]);
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::uint64_t length = header.size() - 8;
  if (length > safetensors_header_limit)
    return error.set(errc::size_overflow, file, "its header would be longer than 100 MB, which the format forbids");
  std::memcpy(header.data(), &length, sizeof length);
  return errc::ok;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_FORMATS_SAFETENSORS_HEADER_WRITER_HPP
