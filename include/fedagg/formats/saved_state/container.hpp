// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAVED_STATE_CONTAINER_HPP
#define FEDAGG_FORMATS_SAVED_STATE_CONTAINER_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/formats/io/checksum.hpp>
#include <fedagg/formats/io/utf8.hpp>
#include <fedagg/formats/safetensors/tensor.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// What archives itself: see core/archive.hpp.
template <class T>
concept archivable = requires {
  { T::kind } -> std::convertible_to<std::string_view>;
  { T::version } -> std::convertible_to<unsigned>;
};

namespace impl {

// How a state lies in a safetensors file. Metadata:
//   format = fedagg-state, format_version, library, checksum
//   kind:E, version:E, configuration:E   of entry E; the last one only if there is one
//   E/name                               a value
// Tensors: E/name, an array, or a tensor of the model E. No E contains '/', so nothing here is ambiguous.
inline constexpr std::string_view state_format = "fedagg-state";
inline constexpr std::uint64_t state_format_version = 1;
inline constexpr std::string_view state_model_kind = "model", state_value_kind = "value";

inline bool is_state_entry(std::string_view name) noexcept {
  return !name.empty() && name.find('/') == std::string_view::npos && is_utf8(name);
}

inline std::string state_key(std::string_view what, std::string_view entry) {
  std::string key(what);
  key += ':';
  key += entry;
  return key;
}

/// Of everything in the file that has a meaning: all metadata but the checksum itself, what the header says of each
/// tensor, and all data.
inline std::uint64_t state_checksum(const safetensors_metadata& metadata, std::span<const safetensors_tensor> tensors,
                                    std::span<const std::byte> data) {
  std::vector<std::byte> header;
  const auto number = [&](std::uint64_t x) {
    const std::size_t at = header.size();
    header.resize(at + sizeof x);
    std::memcpy(header.data() + at, &x, sizeof x);
  };
  const auto text = [&](std::string_view x) {
    // In words of its own, so that one wrong byte is within one word.
    number(x.size());
    const std::size_t at = header.size();
    header.resize(at + (x.size() + 7) / 8 * 8);
    if (!x.empty()) std::memcpy(header.data() + at, x.data(), x.size());
  };
  for (const auto& [key, value] : metadata) {
    if (key == "checksum") continue;
    text(key);
    text(value);
  }
  for (const std::size_t k : order_by_name(tensors)) {
    const safetensors_tensor& tensor = tensors[k];
    text(tensor.name);
    text(name_of(tensor.type));
    number(tensor.shape.size());
    for (const std::size_t extent : tensor.shape) number(extent);
    number(tensor.begin);
    number(tensor.end);
  }
  return checksum(data, checksum(header));
}

} // namespace impl
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_SAVED_STATE_CONTAINER_HPP
