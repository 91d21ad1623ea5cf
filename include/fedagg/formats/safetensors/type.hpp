// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_TYPE_HPP
#define FEDAGG_FORMATS_SAFETENSORS_TYPE_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fedagg/core/element.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// An element type of the safetensors format, in the order by which the Python package lays files out (last one first).
enum class safetensors_type : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};

/// How many there are.
inline constexpr std::size_t safetensors_type_count = 22;

/// The name in the file: "BF16".
constexpr const char* name_of(safetensors_type type) noexcept {
  constexpr const char* names[safetensors_type_count] = {
      "BOOL", "F4",  "F6_E2M3", "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
      "I16",  "U16", "F16",     "BF16",    "I32", "U32", "F32",     "C64",     "F64",     "I64",         "U64"};
  return names[static_cast<std::size_t>(type)];
}

/// Bits per element: 4 and 6 for the types that are packed without regard to bytes.
constexpr unsigned bits_of(safetensors_type type) noexcept {
  constexpr unsigned char bits[safetensors_type_count] = {8,  4,  6,  6,  8,  8,  8,  8,  8,  8,  8,
                                                          16, 16, 16, 16, 32, 32, 32, 64, 64, 64, 64};
  return bits[static_cast<std::size_t>(type)];
}

/// What the library computes with; `dtype::other` for a type that it only carries.
constexpr dtype element_type(safetensors_type type) noexcept {
  switch (type) {
  case safetensors_type::boolean:
    return dtype::boolean;
  case safetensors_type::u8:
    return dtype::u8;
  case safetensors_type::i8:
    return dtype::i8;
  case safetensors_type::i16:
    return dtype::i16;
  case safetensors_type::u16:
    return dtype::u16;
  case safetensors_type::f16:
    return dtype::f16;
  case safetensors_type::bf16:
    return dtype::bf16;
  case safetensors_type::i32:
    return dtype::i32;
  case safetensors_type::u32:
    return dtype::u32;
  case safetensors_type::f32:
    return dtype::f32;
  case safetensors_type::f64:
    return dtype::f64;
  case safetensors_type::i64:
    return dtype::i64;
  case safetensors_type::u64:
    return dtype::u64;
  default:
    return dtype::other;
  }
}

/// The type of this name, or nothing.
constexpr std::optional<safetensors_type> find_safetensors_type(std::string_view name) noexcept {
  for (std::size_t k = 0; k < safetensors_type_count; ++k)
    if (name == name_of(static_cast<safetensors_type>(k))) return static_cast<safetensors_type>(k);
  return std::nullopt;
}

/// The type in which a view's elements are stored; nothing for `dtype::other`.
constexpr std::optional<safetensors_type> find_safetensors_type(dtype type) noexcept {
  for (std::size_t k = 0; k < safetensors_type_count && type != dtype::other; ++k)
    if (type == element_type(static_cast<safetensors_type>(k))) return static_cast<safetensors_type>(k);
  return std::nullopt;
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_FORMATS_SAFETENSORS_TYPE_HPP
