// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_ROUNDS_HPP
#define FEDAGG_TESTS_SUPPORT_ROUNDS_HPP

#include <cstddef>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>
#include <fedagg/rules/median.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

#include "numeric.hpp"

/// What the tests of bad input share: rounds whose output shows whether it was touched.
namespace rounds {

using fedagg::bad_client;
using fedagg::errc;
using fedagg::options;
using fedagg::output;
// `write` and `read` are also POSIX functions.
using mode = fedagg::write;

/// Memory that shows whether anything was written to it.
template <class T>
struct guarded {
  std::vector<T> data;
  explicit guarded(std::size_t size) : data(size) { reset(); }
  void reset() { std::memset(static_cast<void*>(data.data()), 0xa5, data.size() * sizeof(T)); }
  bool untouched() const {
    const auto* p = reinterpret_cast<const unsigned char*>(data.data());
    for (std::size_t i = 0; i < data.size() * sizeof(T); ++i)
      if (p[i] != 0xa5) return false;
    return true;
  }
};

// On bits: a build with -ffast-math may take no NaN for one.
inline constexpr std::uint32_t bad_floats[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x7f800001u, 0xffbfffffu};
inline constexpr std::uint64_t bad_doubles[] = {0x7ff8000000000000u, 0x7ff0000000000000u, 0xfff0000000000000u,
                                                0x7ff0000000000001u, 0xfff7ffffffffffffu};
inline constexpr std::uint16_t bad_halves[] = {0x7e00u, 0x7c00u, 0xfc00u, 0x7c01u, 0xfdffu};
inline constexpr std::uint16_t bad_brains[] = {0x7fc0u, 0x7f80u, 0xff80u, 0x7f81u, 0xffbfu};
inline constexpr std::size_t bad_kinds = 5;

/// NaN, Inf, -Inf and two signalling NaNs.
template <class T>
void spoil(T& x, std::size_t kind) {
  const void* bits = &bad_floats[kind];
  if constexpr (std::is_same_v<T, double>) bits = &bad_doubles[kind];
  if constexpr (std::is_same_v<T, fedagg::float16>) bits = &bad_halves[kind];
  if constexpr (std::is_same_v<T, fedagg::bfloat16>) bits = &bad_brains[kind];
  std::memcpy(static_cast<void*>(&x), bits, sizeof x);
}

inline const char* name_of(bad_client p) {
  return p == bad_client::reject ? "reject" : p == bad_client::fail ? "fail" : "propagate";
}
inline const char* name_of(mode m) { return m == mode::atomic ? "atomic" : "direct"; }

/// A rule that sees the base: the middle of the smallest and the largest update.
struct midrange {
  static constexpr const char* name = "midrange";
  static constexpr auto fields() { return std::tuple{}; }
  template <class Lanes>
  void operator()(fedagg::column<Lanes> x, Lanes& out) const {
    Lanes low = x[0], high = x[0];
    for (std::size_t i = 1; i < x.size(); ++i) {
      low = min(low, x[i]);
      high = max(high, x[i]);
    }
    out = low + (high - low) * Lanes(typename Lanes::value_type(0.5));
  }
};

/// A rule that must know where the clients started: the sum of the updates.
struct sum_of_updates {
  static constexpr const char* name = "sum_of_updates";
  static constexpr bool needs_origin = true;
  static constexpr auto fields() { return std::tuple{}; }
  template <class Lanes>
  void operator()(fedagg::column<Lanes> x, Lanes& out) const {
    out = x[0];
    for (std::size_t i = 1; i < x.size(); ++i) out += x[i];
  }
};

/// Calls f with each rule of the library that works on five clients and may lose two, and with a user's.
template <class F>
void on_each_rule(const F& f) {
  f(fedagg::mean{});
  f(fedagg::median{});
  f(fedagg::median{.even = fedagg::middle::lower, .weighting = fedagg::weights::trusted});
  f(fedagg::trimmed_mean{.trim = 1});
  f(fedagg::trimmed_mean{.mass = 0.2, .weighting = fedagg::weights::trusted});
  f(midrange{});
}

} // namespace rounds

#endif // FEDAGG_TESTS_SUPPORT_ROUNDS_HPP
