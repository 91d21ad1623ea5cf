// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_TENSOR_HPP
#define FEDAGG_FORMATS_SAFETENSORS_TENSOR_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/formats/safetensors/type.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a safetensors header says about one tensor: its name, element type, shape, and bytes [begin, end) of the data.
struct safetensors_tensor {
  std::string name;
  safetensors_type type = safetensors_type::f32;
  std::vector<std::size_t> shape;
  std::size_t begin = 0;
  std::size_t end = 0;

  friend bool operator==(const safetensors_tensor&, const safetensors_tensor&) = default;
};

/// The `__metadata__` of a file: texts by name.
using safetensors_metadata = std::map<std::string, std::string, std::less<>>;

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

inline constexpr std::string_view safetensors_metadata_key = "__metadata__";
inline constexpr std::size_t safetensors_header_limit = 100'000'000;

/// The bytes that a type and a shape take; `size_overflow`, or `bad_parameter` if they end inside a byte. A zero extent
/// makes the tensor empty, but the other extents must still be a shape that exists.
inline errc safetensors_bytes(safetensors_type type, std::span<const std::size_t> shape, std::size_t& bytes) noexcept {
  const std::size_t bits = bits_of(type);
  const std::size_t limit = static_cast<std::size_t>(PTRDIFF_MAX) / ((bits + 7) / 8);
  std::size_t count = 1;
  bool empty = false;
  for (const std::size_t extent : shape) {
    empty = empty || extent == 0;
    if (extent == 0) continue;
    if (count > limit / extent) return errc::size_overflow;
    count *= extent;
  }
  if (empty) count = 0;
  bytes = count / 8 * bits + count % 8 * bits / 8;
  return count % 8 * bits % 8 == 0 ? errc::ok : errc::bad_parameter;
}

/// Positions in alphabetical order, for look-up and to find names that occur twice.
inline std::vector<std::size_t> order_by_name(std::span<const safetensors_tensor> tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });
  return order;
}

/// The first name that occurs twice, or null.
inline const std::string* find_duplicate(std::span<const safetensors_tensor> tensors,
                                         std::span<const std::size_t> order) noexcept {
  for (std::size_t k = 1; k < order.size(); ++k)
    if (tensors[order[k]].name == tensors[order[k - 1]].name) return &tensors[order[k]].name;
  return nullptr;
}

inline const safetensors_tensor* find_tensor(std::span<const safetensors_tensor> tensors,
                                             std::span<const std::size_t> order, std::string_view name) noexcept {
  const auto found = std::lower_bound(order.begin(), order.end(), name,
                                      [&](std::size_t k, std::string_view n) { return tensors[k].name < n; });
  return found != order.end() && tensors[*found].name == name ? &tensors[*found] : nullptr;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_FORMATS_SAFETENSORS_TENSOR_HPP
