// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_RING_CODEC_ENCODE_HPP
#define FEDAGG_SECURE_RING_CODEC_ENCODE_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include <fedagg/client/clipping.hpp>
#include <fedagg/core/any_tensor.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/kernels/parts/ring.hpp>
#include <fedagg/passes/strided.hpp>
#include <fedagg/secure/secret.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A source of random bits: `fill(words)` fills all of them; it returns nothing, or a bool or an errc that says whether
/// it could. A server that can predict what decides the rounding learns more of a value than its residue: a
/// cryptographic generator with a fresh secret key, `chacha20_stream` say.
// clang-format off
template <class R>
concept random_words = requires(R& r, std::span<std::uint32_t> words) {
  requires std::is_void_v<decltype(r.fill(words))> || std::is_same_v<decltype(r.fill(words)), bool> ||
               std::is_same_v<decltype(r.fill(words)), errc>;
};
// clang-format on

namespace impl {

/// Few enough that the random words of a tile wait in the nearest cache.
inline constexpr std::size_t ring_tile = 1024;

/// False if there are none, or the source threw.
template <class R>
bool fill_words(R& random, std::span<std::uint32_t> words) noexcept {
  using result = decltype(random.fill(words));
#if FEDAGG_EXCEPTIONS
  try {
#endif
    if constexpr (std::is_same_v<result, errc>)
      return random.fill(words) == errc::ok;
    else if constexpr (std::is_same_v<result, bool>)
      return random.fill(words);
    else
      return random.fill(words), true;
#if FEDAGG_EXCEPTIONS
  } catch (...) {
    return false;
  }
#endif
}

/// Memory that is wiped when it goes.
template <class T, std::size_t N>
struct wiped {
  alignas(64) T at[N];
  ~wiped() { wipe(at, sizeof at); }
};

template <class T>
T stored_as(double x) noexcept {
  if constexpr (std::is_same_v<T, float16>)
    return to_float16(x);
  else if constexpr (std::is_same_v<T, bfloat16>)
    return to_bfloat16(x);
  else
    return static_cast<T>(x);
}

/// Calls f with a typed pointer to the elements of a floating type.
template <class F>
decltype(auto) with_floating(dtype type, const void* p, F&& f) {
  switch (type) {
  case dtype::f64:
    return f(static_cast<const double*>(p));
  case dtype::f32:
    return f(static_cast<const float*>(p));
  case dtype::f16:
    return f(static_cast<const float16*>(p));
  default:
    return f(static_cast<const bfloat16*>(p));
  }
}

/// Calls f(elements, count, position) for tiles of a view, each in a row: where they lie, or gathered into `space`.
template <class F>
bool for_each_ring_tile(const any_tensor& t, std::byte* space, F&& f) {
  const std::size_t bytes = size_of(t.type());
  for (std::size_t at = 0; at < t.size(); at += ring_tile) {
    const std::size_t count = t.size() - at < ring_tile ? t.size() - at : ring_tile;
    const std::byte* from = space;
    if (t.contiguous())
      from = static_cast<const std::byte*>(t.data()) + at * bytes;
    else
      gather(t, at, count, space);
    if (!f(static_cast<const void*>(from), count, at)) return false;
  }
  return true;
}

inline bool has_non_finite(const any_tensor& t) noexcept {
  if (t.contiguous())
    return on_active_isa(
        [&](auto isa) { return scan_kernel<decltype(isa)>::non_finite(t.type(), t.data(), t.size()); });
  wiped<std::byte, ring_tile * 8> space;
  return !for_each_ring_tile(t, space.at, [&](const void* p, std::size_t count, std::size_t) {
    return on_active_isa([&](auto isa) { return !scan_kernel<decltype(isa)>::non_finite(t.type(), p, count); });
  });
}

/// A tensor's values that are so small, by far the most, need no clipping, and are finite.
inline double surely_inside(const ring_scaling& how) noexcept {
  const double most = how.factor > 0 ? detail::quotient(how.limit, how.factor) : detail::largest_double;
  return is_finite(most) ? detail::times(most, 1 - 0x1p-50) : detail::largest_double;
}

/// Residues of a floating tensor; `look` says that its values may be NaN or Inf. `no_randomness`, `non_finite`: after a
/// part is written.
template <class Word, class R>
errc encode_floating(const any_tensor& t, const ring_scaling& how, bool look, R& random, Word* out,
                     std::uint64_t& clipped) {
  wiped<std::byte, ring_tile * 8> space;
  wiped<std::uint32_t, ring_tile> bits;
  const double inside = round_down(t.type(), surely_inside(how));
  errc rc = errc::ok;
  for_each_ring_tile(t, space.at, [&](const void* p, std::size_t count, std::size_t at) {
    if (!fill_words(random, std::span<std::uint32_t>(bits.at, count))) {
      rc = errc::no_randomness;
      return false;
    }
    on_active_isa([&](auto isa) {
      using kernel = ring_kernel<decltype(isa)>;
      with_floating(t.type(), p, [&]<class T>(const T* x) {
        const auto most = std::bit_cast<typename kernel::template word_of<T>>(stored_as<T>(inside));
        if (how.limit < 0x1p+83 && kernel::encode_inside(x, how, most, bits.at, count, out + at)) return;
        if (look && scan_kernel<decltype(isa)>::non_finite(x, count))
          rc = errc::non_finite;
        else
          clipped += kernel::encode(x, how, bits.at, count, out + at);
      });
    });
    return rc == errc::ok;
  });
  return rc;
}

/// Calls f with the magnitude, the two's complement and the position of every element of an integer tensor, until it
/// returns false.
template <class F>
bool for_each_integer(const any_tensor& t, F&& f) {
  wiped<std::byte, ring_tile * 8> space;
  return for_each_ring_tile(t, space.at, [&](const void* p, std::size_t count, std::size_t at) {
    bool go_on = true;
    with_integer(t.type(), [&]<class T>(T*) {
      for (std::size_t i = 0; i < count && go_on; ++i) {
        T x;
        std::memcpy(&x, static_cast<const T*>(p) + i, sizeof x);
        const auto word = static_cast<std::uint64_t>(x);
        go_on = f(std::is_signed_v<T> && x < 0 ? 0 - word : word, word, at + i);
      }
    });
    return go_on;
  });
}

} // namespace impl
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_RING_CODEC_ENCODE_HPP
