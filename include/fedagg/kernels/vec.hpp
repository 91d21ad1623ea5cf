// SPDX-License-Identifier: MIT
#ifndef FEDAGG_KERNELS_VEC_HPP
#define FEDAGG_KERNELS_VEC_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

template <std::size_t Bytes>
struct integer_of;
template <>
struct integer_of<2> {
  using type = std::int16_t;
};
template <>
struct integer_of<4> {
  using type = std::int32_t;
};
template <>
struct integer_of<8> {
  using type = std::int64_t;
};

#if FEDAGG_VECTORS

template <class T, std::size_t N>
struct vec_type {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <class T, std::size_t N>
using vec = typename vec_type<T, N>::type;

#else

/// What the kernels need of a vector, on a plain array: element-wise operators, comparisons giving all-ones masks.
template <class T, std::size_t N>
struct vec {
  T at[N];
  using mask = vec<typename integer_of<sizeof(T)>::type, N>;
  T& operator[](std::size_t i) { return at[i]; }
  const T& operator[](std::size_t i) const { return at[i]; }

#define FEDAGG_DETAIL_EACH(OP)                                                                                         \
  friend vec operator OP(const vec& a, const vec& b) {                                                                 \
    vec r;                                                                                                             \
    for (std::size_t i = 0; i < N; ++i) r.at[i] = static_cast<T>(a.at[i] OP b.at[i]);                                  \
    return r;                                                                                                          \
  }                                                                                                                    \
  friend vec operator OP(const vec& a, T b) {                                                                          \
    vec r;                                                                                                             \
    for (std::size_t i = 0; i < N; ++i) r.at[i] = static_cast<T>(a.at[i] OP b);                                        \
    return r;                                                                                                          \
  }
  FEDAGG_DETAIL_EACH(+)
  FEDAGG_DETAIL_EACH(-)
  FEDAGG_DETAIL_EACH(*)
  FEDAGG_DETAIL_EACH(/)
  FEDAGG_DETAIL_EACH(&)
  FEDAGG_DETAIL_EACH(|)
  FEDAGG_DETAIL_EACH(^)
  FEDAGG_DETAIL_EACH(>>)
  FEDAGG_DETAIL_EACH(<<)
#undef FEDAGG_DETAIL_EACH
#define FEDAGG_DETAIL_EACH(OP)                                                                                         \
  friend mask operator OP(const vec& a, const vec& b) {                                                                \
    mask r;                                                                                                            \
    for (std::size_t i = 0; i < N; ++i) r.at[i] = a.at[i] OP b.at[i] ? -1 : 0;                                         \
    return r;                                                                                                          \
  }                                                                                                                    \
  friend mask operator OP(const vec& a, T b) {                                                                         \
    mask r;                                                                                                            \
    for (std::size_t i = 0; i < N; ++i) r.at[i] = a.at[i] OP b ? -1 : 0;                                               \
    return r;                                                                                                          \
  }
  FEDAGG_DETAIL_EACH(<)
  FEDAGG_DETAIL_EACH(>)
  FEDAGG_DETAIL_EACH(==)
  FEDAGG_DETAIL_EACH(!=)
#undef FEDAGG_DETAIL_EACH
};

#endif

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_KERNELS_VEC_HPP
