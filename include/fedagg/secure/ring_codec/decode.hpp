// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_RING_CODEC_DECODE_HPP
#define FEDAGG_SECURE_RING_CODEC_DECODE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include <fedagg/core/selection.hpp>
#include <fedagg/kernels/parts/ring.hpp>
#include <fedagg/passes/strided.hpp>
#include <fedagg/secure/ring_codec/encode.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A sum over the weight, rounded half to even. The weight is positive.
inline std::int64_t integer_mean(std::int64_t sum, std::uint64_t weight) noexcept {
  const std::uint64_t magnitude = sum < 0 ? 0 - static_cast<std::uint64_t>(sum) : static_cast<std::uint64_t>(sum);
  std::uint64_t q = magnitude / weight;
  const std::uint64_t rest = magnitude % weight;
  if (rest > weight - rest || (rest == weight - rest && (q & 1) != 0)) ++q;
  return static_cast<std::int64_t>(sum < 0 ? 0 - q : q);
}

inline bool fits_integer(dtype type, std::int64_t x) noexcept {
  bool fits = false;
  with_integer(type, [&]<class T>(T*) {
    if constexpr (std::is_signed_v<T>)
      fits = x >= INT64_MIN >> (64 - 8 * sizeof(T)) && x <= INT64_MAX >> (64 - 8 * sizeof(T));
    else
      fits = x >= 0 && static_cast<std::uint64_t>(x) <= ~std::uint64_t{0} >> (64 - 8 * sizeof(T));
  });
  return fits;
}

/// Whether a mean fits the type it will be rounded to.
inline bool fits_floating(dtype type, std::int64_t sum, double divisor) noexcept {
  const double mean = detail::quotient(static_cast<double>(sum), divisor);
  if (!is_finite(mean)) return false;
  switch (type) {
  case dtype::f64:
    return true;
  case dtype::f32:
    return is_finite(static_cast<float>(mean));
  case dtype::f16:
    return (to_float16(mean).bits & 0x7c00u) != 0x7c00u;
  default:
    return (to_bfloat16(mean).bits & 0x7f80u) != 0x7f80u;
  }
}

/// Calls f(to, count, position) for tiles of a view to write: where it lies, or in a row before it is scattered.
template <class F>
void for_each_output_tile(const any_mutable_tensor& t, F&& f) {
  const std::size_t bytes = size_of(t.type());
  alignas(64) std::byte space[ring_tile * 8];
  for (std::size_t at = 0; at < t.size(); at += ring_tile) {
    const std::size_t count = t.size() - at < ring_tile ? t.size() - at : ring_tile;
    if (t.contiguous()) {
      f(static_cast<void*>(static_cast<std::byte*>(t.data()) + at * bytes), count, at);
    } else {
      f(static_cast<void*>(space), count, at);
      scatter(t, at, count, space);
    }
  }
}

template <class Word>
void decode_floating(const Word* words, unsigned bits, double divisor, const any_mutable_tensor& out) noexcept {
  for_each_output_tile(out, [&](void* to, std::size_t count, std::size_t at) {
    on_active_isa([&](auto isa) {
      with_floating(out.type(), to, [&]<class T>(const T* p) {
        ring_kernel<decltype(isa)>::decode(words + at, bits, divisor, count, const_cast<T*>(p));
      });
    });
  });
}

inline void decode_integers(const std::uint64_t* words, std::uint64_t weight, const any_mutable_tensor& out) noexcept {
  for_each_output_tile(out, [&](void* to, std::size_t count, std::size_t at) {
    with_integer(out.type(), [&]<class T>(T*) {
      for (std::size_t i = 0; i < count; ++i) {
        const auto x = static_cast<T>(integer_mean(static_cast<std::int64_t>(words[at + i]), weight));
        std::memcpy(static_cast<T*>(to) + i, &x, sizeof x);
      }
    });
  });
}

template <class Word>
ring_extremes extremes_of(const Word* words, unsigned bits, std::size_t count) noexcept {
  return on_active_isa([&](auto isa) { return ring_kernel<decltype(isa)>::extremes(words, bits, count); });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_SECURE_RING_CODEC_DECODE_HPP
