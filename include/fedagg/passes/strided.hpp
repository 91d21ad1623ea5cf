// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_STRIDED_HPP
#define FEDAGG_PASSES_STRIDED_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fedagg/core/any_tensor.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Visits elements [begin, begin + count) of a view in row-major order as runs: visit(element offset in memory, stride,
/// length, position). Trailing dimensions that continue each other are one run.
template <class Void, class Visit>
void for_each_run(const basic_any_tensor<Void>& t, std::size_t begin, std::size_t count, Visit&& visit) {
  std::size_t outer = t.rank(), run = 1;
  std::ptrdiff_t step = 1;
  while (outer > 0) {
    const std::size_t extent = t.extent(outer - 1);
    const std::ptrdiff_t stride = t.stride(outer - 1);
    if (extent != 1 && run != 1 && stride != step * static_cast<std::ptrdiff_t>(run)) break;
    if (extent != 1 && run == 1) step = stride;
    run *= extent;
    --outer;
  }
  for (std::size_t done = 0; done < count;) {
    std::size_t index = (begin + done) / run;
    const std::size_t inside = (begin + done) % run;
    std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(inside) * step;
    for (std::size_t k = outer; k-- > 0; index /= t.extent(k))
      offset += static_cast<std::ptrdiff_t>(index % t.extent(k)) * t.stride(k);
    const std::size_t length = run - inside < count - done ? run - inside : count - done;
    visit(offset, step, length, done);
    done += length;
  }
}

template <std::size_t Bytes>
inline void copy_run(const std::byte* from, std::ptrdiff_t from_step, std::byte* to, std::ptrdiff_t to_step,
                     std::size_t length) noexcept {
  constexpr auto bytes = static_cast<std::ptrdiff_t>(Bytes);
  for (std::size_t i = 0; i < length; ++i)
    std::memcpy(to + static_cast<std::ptrdiff_t>(i) * to_step * bytes,
                from + static_cast<std::ptrdiff_t>(i) * from_step * bytes, Bytes);
}

inline void copy_run(std::size_t bytes, const std::byte* from, std::ptrdiff_t from_step, std::byte* to,
                     std::ptrdiff_t to_step, std::size_t length) noexcept {
  if (from_step == 1 && to_step == 1) {
    std::memcpy(to, from, length * bytes);
    return;
  }
  switch (bytes) {
  case 8:
    return copy_run<8>(from, from_step, to, to_step, length);
  case 4:
    return copy_run<4>(from, from_step, to, to_step, length);
  case 2:
    return copy_run<2>(from, from_step, to, to_step, length);
  default:
    return copy_run<1>(from, from_step, to, to_step, length);
  }
}

/// Elements [begin, begin + count) of a view, packed.
inline void gather(const any_tensor& t, std::size_t begin, std::size_t count, void* to) noexcept {
  const std::size_t bytes = size_of(t.type());
  for_each_run(t, begin, count, [&](std::ptrdiff_t offset, std::ptrdiff_t step, std::size_t length, std::size_t at) {
    copy_run(bytes, static_cast<const std::byte*>(t.data()) + offset * static_cast<std::ptrdiff_t>(bytes), step,
             static_cast<std::byte*>(to) + at * bytes, 1, length);
  });
}

/// The other way round.
inline void scatter(const any_mutable_tensor& t, std::size_t begin, std::size_t count, const void* from) noexcept {
  const std::size_t bytes = size_of(t.type());
  for_each_run(t, begin, count, [&](std::ptrdiff_t offset, std::ptrdiff_t step, std::size_t length, std::size_t at) {
    copy_run(bytes, static_cast<const std::byte*>(from) + at * bytes, 1,
             static_cast<std::byte*>(t.data()) + offset * static_cast<std::ptrdiff_t>(bytes), step, length);
  });
}

/// Calls f with a null pointer of the integer type.
template <class F>
void with_integer(dtype type, F&& f) {
  switch (type) {
  case dtype::i64:
    return f(static_cast<std::int64_t*>(nullptr));
  case dtype::i32:
    return f(static_cast<std::int32_t*>(nullptr));
  case dtype::i16:
    return f(static_cast<std::int16_t*>(nullptr));
  case dtype::i8:
    return f(static_cast<std::int8_t*>(nullptr));
  case dtype::u64:
    return f(static_cast<std::uint64_t*>(nullptr));
  case dtype::u32:
    return f(static_cast<std::uint32_t*>(nullptr));
  case dtype::u16:
    return f(static_cast<std::uint16_t*>(nullptr));
  case dtype::u8:
    return f(static_cast<std::uint8_t*>(nullptr));
  default:
    return;
  }
}

template <class T>
T load_as(const void* p) noexcept {
  T x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
template <class T>
void store_as(void* p, std::uint64_t word) noexcept {
  const T x = static_cast<T>(word);
  std::memcpy(p, &x, sizeof x);
}

/// Integers as doubles; false if one lies beyond 2^53 and so has none.
inline bool integers_to_double(dtype type, const void* from, std::size_t count, double* to) noexcept {
  const std::size_t bytes = size_of(type);
  const bool has_sign = type <= dtype::i8;
  const unsigned unused = static_cast<unsigned>(64 - 8 * bytes);
  bool exact = true;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* p = static_cast<const std::byte*>(from) + i * bytes;
    std::uint64_t word = 0;
    switch (bytes) {
    case 8:
      std::memcpy(&word, p, 8);
      break;
    case 4:
      word = load_as<std::uint32_t>(p);
      break;
    case 2:
      word = load_as<std::uint16_t>(p);
      break;
    default:
      word = load_as<std::uint8_t>(p);
    }
    // With the sign of the narrow type; without, what lies beyond 2^53 anyway may become negative.
    const auto value = has_sign ? static_cast<std::int64_t>(word << unused) >> unused : static_cast<std::int64_t>(word);
    constexpr std::int64_t limit = std::int64_t{1} << 53;
    exact = exact && value <= limit && value >= (has_sign ? -limit : 0);
    to[i] = static_cast<double>(value);
  }
  return exact;
}

/// A double rounded half to even, in arithmetic that no rounding mode or fast-math flag changes.
inline double round_half_even(double x) noexcept {
  const double magnitude = x < 0 ? -x : x;
  if (!(magnitude < 4503599627370496.0)) return x;
  auto whole = static_cast<std::int64_t>(magnitude);
  const double rest = magnitude - static_cast<double>(whole);
  if (rest > 0.5 || (rest == 0.5 && (whole & 1))) ++whole;
  return x < 0 ? -static_cast<double>(whole) : static_cast<double>(whole);
}

/// Doubles rounded half to even into integers; false if one is out of the type's range (nothing is written for it).
inline bool doubles_to_integer(dtype type, const double* from, std::size_t count, void* to) noexcept {
  const std::size_t bytes = size_of(type);
  const bool has_sign = type <= dtype::i8;
  const double limit = static_cast<double>(std::uint64_t{1} << (8 * bytes - (has_sign ? 2 : 1))) * 2;
  const double lowest = has_sign ? -limit : 0;
  bool fits = true;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = round_half_even(from[i]);
    if (!is_finite(from[i]) || !(x < limit && x >= lowest)) {
      fits = false;
      continue;
    }
    auto* p = static_cast<std::byte*>(to) + i * bytes;
    const std::uint64_t word =
        x < 0 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(x)) : static_cast<std::uint64_t>(x);
    switch (bytes) {
    case 8:
      std::memcpy(p, &word, 8);
      break;
    case 4:
      store_as<std::uint32_t>(p, word);
      break;
    case 2:
      store_as<std::uint16_t>(p, word);
      break;
    default:
      store_as<std::uint8_t>(p, word);
    }
  }
  return fits;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_STRIDED_HPP
