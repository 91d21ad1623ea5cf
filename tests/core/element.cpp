// SPDX-License-Identifier: MIT
#include <bit>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include <fedagg/core/element.hpp>

#include "support/catch.hpp"

using fedagg::bfloat16;
using fedagg::dtype;
using fedagg::float16;

namespace {

/// 2^e for -1022 <= e <= 1023.
double power(int e) { return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52); }

/// A binary format as IEEE 754 defines it: sign, exponent, fraction.
struct layout {
  int fraction, exponent;
  int bias() const { return (1 << (exponent - 1)) - 1; }
  std::uint64_t infinity() const { return ((std::uint64_t{1} << exponent) - 1) << fraction; }
  std::uint64_t sign() const { return std::uint64_t{1} << (fraction + exponent); }

  /// The value of a non-negative pattern up to infinity, which counts as the next power of two. Exact: the narrowest
  /// values here are 2^-149, far inside the doubles.
  double value(std::uint64_t pattern) const {
    const int e = static_cast<int>(pattern >> fraction);
    const auto m = static_cast<double>(pattern & ((std::uint64_t{1} << fraction) - 1));
    if (e == 0) return m * power(1 - bias() - fraction);
    return (m + power(fraction)) * power(e - bias() - fraction);
  }
};
constexpr layout half{10, 5}, brain{7, 8}, single{23, 8};

/// Rounds by search among all patterns: nearest, ties to the even pattern, Inf from half a step beyond the largest.
std::uint64_t nearest(const layout& to, double x) {
  const std::uint64_t sign = std::bit_cast<std::uint64_t>(x) >> 63 ? to.sign() : 0;
  const double size = x < 0 ? -x : x;
  if (size >= to.value(to.infinity())) return sign | to.infinity();
  std::uint64_t low = 0, high = to.infinity();
  while (high - low > 1) {
    const std::uint64_t middle = (low + high) / 2;
    if (to.value(middle) <= size)
      low = middle;
    else
      high = middle;
  }
  const double tie = (to.value(low) + to.value(high)) / 2;
  return sign | (size < tie ? low : size > tie ? high : low % 2 == 0 ? low : high);
}

template <class T>
T rounded(double x) {
  if constexpr (std::is_same_v<T, float16>)
    return fedagg::to_float16(x);
  else
    return fedagg::to_bfloat16(x);
}
template <class T>
constexpr layout layout_of = std::is_same_v<T, float16> ? half : brain;

double step(double x, int by) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) +
                               static_cast<std::uint64_t>(static_cast<std::int64_t>(by)));
}

template <class T>
std::size_t wrong_widenings() {
  const layout f = layout_of<T>;
  std::size_t wrong = 0;
  for (std::uint32_t p = 0; p < 65536; ++p) {
    const auto wide = std::bit_cast<std::uint32_t>(fedagg::to_float(T{static_cast<std::uint16_t>(p)}));
    const std::uint64_t magnitude = p & 0x7fffu, wide_magnitude = wide & 0x7fffffffu;
    bool right = (wide >> 31) == (p >> 15);
    if (magnitude > f.infinity())
      right = right && wide_magnitude > single.infinity();
    else if (magnitude == f.infinity())
      right = right && wide_magnitude == single.infinity();
    else
      right = right && single.value(wide_magnitude) == f.value(magnitude) && wide_magnitude < single.infinity();
    wrong += !right;
  }
  return wrong;
}

/// Every value, every tie and the doubles next to both.
template <class T>
std::size_t wrong_roundings() {
  const layout f = layout_of<T>;
  std::size_t wrong = 0;
  const auto check = [&](double x) {
    wrong += rounded<T>(x).bits != nearest(f, x);
    wrong += rounded<T>(-x).bits != nearest(f, -x);
  };
  for (std::uint64_t p = 0; p < f.infinity(); ++p) {
    const double here = f.value(p), tie = (here + f.value(p + 1)) / 2;
    for (const int by : {-1, 0, 1}) {
      if (p > 0) check(step(here, by));
      check(step(tie, by));
    }
  }
  return wrong;
}

} // namespace

TEST_CASE("all 65536 patterns widen to the value that IEEE 754 gives them") {
  CHECK(wrong_widenings<float16>() == 0);
  CHECK(wrong_widenings<bfloat16>() == 0);
}

TEST_CASE("all values, all ties and their neighbours round to nearest, ties to even, once") {
  CHECK(wrong_roundings<float16>() == 0);
  CHECK(wrong_roundings<bfloat16>() == 0);
}

TEST_CASE("random doubles of every magnitude round as a search among all patterns does") {
  std::mt19937_64 random(1);
  std::size_t wrong = 0;
  for (int i = 0; i < 200000; ++i) {
    // Exponents from below the smallest subnormal to beyond the largest number of either format.
    const std::uint64_t e = 1023 - 160 + random() % 300;
    const double x = std::bit_cast<double>((random() & 0x800fffffffffffffu) | e << 52);
    wrong += fedagg::to_float16(x).bits != nearest(half, x);
    wrong += fedagg::to_bfloat16(x).bits != nearest(brain, x);
  }
  CHECK(wrong == 0);
}

TEST_CASE("known roundings") {
  CHECK(fedagg::to_float16(65504).bits == 0x7bff);
  CHECK(fedagg::to_float16(65519.999).bits == 0x7bff);
  CHECK(fedagg::to_float16(65520).bits == 0x7c00);
  CHECK(fedagg::to_float16(-65520).bits == 0xfc00);
  CHECK(fedagg::to_float16(power(-24)).bits == 1);
  CHECK(fedagg::to_float16(power(-25)).bits == 0);
  CHECK(fedagg::to_float16(step(power(-25), 1)).bits == 1);
  CHECK(fedagg::to_float16(3 * power(-25)).bits == 2);
  CHECK(fedagg::to_bfloat16(1).bits == 0x3f80);
  CHECK(fedagg::to_bfloat16(power(127) * 1.9999).bits == 0x7f80);
  // By way of float this would be a tie that goes down.
  CHECK(fedagg::to_bfloat16(1 + power(-8) + power(-40)).bits == 0x3f81);
  CHECK(fedagg::to_float16(1 + power(-11) + power(-40)).bits == 0x3c01);
}

TEST_CASE("numbers beyond every half, zeros, infinities and subnormal doubles") {
  const auto f16 = [](std::uint64_t bits) { return fedagg::to_float16(std::bit_cast<double>(bits)).bits; };
  const auto bf16 = [](std::uint64_t bits) { return fedagg::to_bfloat16(std::bit_cast<double>(bits)).bits; };
  const std::uint64_t sign = std::uint64_t{1} << 63;
  for (const std::uint64_t tiny :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xfffffffffffff}, std::uint64_t{1} << 52}) {
    CHECK(f16(tiny) == 0);
    CHECK(f16(tiny | sign) == 0x8000);
    CHECK(bf16(tiny) == 0);
    CHECK(bf16(tiny | sign) == 0x8000);
  }
  for (const std::uint64_t huge : {std::uint64_t{0x7fefffffffffffff}, std::uint64_t{0x7ff0000000000000}}) {
    CHECK(f16(huge) == 0x7c00);
    CHECK(f16(huge | sign) == 0xfc00);
    CHECK(bf16(huge) == 0x7f80);
    CHECK(bf16(huge | sign) == 0xff80);
  }
}

TEST_CASE("NaN stays NaN whatever its payload, signalling or not") {
  for (const std::uint64_t payload :
       {std::uint64_t{1}, std::uint64_t{1} << 41, std::uint64_t{1} << 51, std::uint64_t{0xfffffffffffff}})
    for (const std::uint64_t sign : {std::uint64_t{0}, std::uint64_t{1} << 63}) {
      const double x = std::bit_cast<double>(sign | 0x7ff0000000000000u | payload);
      CHECK((fedagg::to_float16(x).bits & 0x7fffu) > 0x7c00u);
      CHECK((fedagg::to_bfloat16(x).bits & 0x7fffu) > 0x7f80u);
      CHECK_FALSE(fedagg::is_finite(x));
    }
}

TEST_CASE("finite is decided on bits") {
  for (const std::uint32_t sign : {0u, 0x80000000u}) {
    for (const std::uint32_t p : {0u, 1u, 0x7fffffu, 0x800000u, 0x7f7fffffu})
      CHECK(fedagg::is_finite(std::bit_cast<float>(p | sign)));
    for (const std::uint32_t p : {0x7f800000u, 0x7f800001u, 0x7fc00000u, 0x7fffffffu})
      CHECK_FALSE(fedagg::is_finite(std::bit_cast<float>(p | sign)));
  }
  for (const std::uint64_t sign : {std::uint64_t{0}, std::uint64_t{1} << 63}) {
    for (const std::uint64_t p : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x7fefffffffffffff}})
      CHECK(fedagg::is_finite(std::bit_cast<double>(p | sign)));
    for (const std::uint64_t p : {std::uint64_t{0x7ff0000000000000}, std::uint64_t{0x7ff0000000000001}})
      CHECK_FALSE(fedagg::is_finite(std::bit_cast<double>(p | sign)));
  }
}

TEST_CASE("sizes, names and kinds of the element types") {
  struct row {
    dtype type;
    std::size_t bytes;
    const char* name;
    bool floating, integer;
  };
  const row rows[] = {{dtype::f64, 8, "f64", true, false},       {dtype::f32, 4, "f32", true, false},
                      {dtype::f16, 2, "f16", true, false},       {dtype::bf16, 2, "bf16", true, false},
                      {dtype::i64, 8, "i64", false, true},       {dtype::i32, 4, "i32", false, true},
                      {dtype::i16, 2, "i16", false, true},       {dtype::i8, 1, "i8", false, true},
                      {dtype::u64, 8, "u64", false, true},       {dtype::u32, 4, "u32", false, true},
                      {dtype::u16, 2, "u16", false, true},       {dtype::u8, 1, "u8", false, true},
                      {dtype::boolean, 1, "bool", false, false}, {dtype::other, 0, "other", false, false}};
  for (const row& r : rows) {
    CHECK(fedagg::size_of(r.type) == r.bytes);
    CHECK(std::string(fedagg::name_of(r.type)) == r.name);
    CHECK(fedagg::is_floating(r.type) == r.floating);
    CHECK(fedagg::is_integer(r.type) == r.integer);
  }
}

static_assert(fedagg::dtype_of<const double> == dtype::f64);
static_assert(fedagg::dtype_of<float> == dtype::f32);
static_assert(fedagg::dtype_of<float16> == dtype::f16);
static_assert(fedagg::dtype_of<const bfloat16> == dtype::bf16);
static_assert(fedagg::dtype_of<bool> == dtype::boolean);
static_assert(fedagg::dtype_of<long long> == dtype::i64 && fedagg::dtype_of<unsigned long long> == dtype::u64);
static_assert(fedagg::dtype_of<std::int8_t> == dtype::i8 && fedagg::dtype_of<std::uint8_t> == dtype::u8);
static_assert(fedagg::dtype_of<std::int16_t> == dtype::i16 && fedagg::dtype_of<std::uint32_t> == dtype::u32);
static_assert(!fedagg::element<long double> && !fedagg::element<int*> && !fedagg::element<std::complex<float>>);
static_assert(!fedagg::element<std::byte> && !fedagg::element<void>);
#if defined(__SIZEOF_INT128__)
__extension__ typedef __int128 wide_integer;
static_assert(!fedagg::element<wide_integer>, "an integer of 128 bits is not one of 8");
#endif
static_assert(fedagg::to_float16(1.0).bits == 0x3c00 && fedagg::to_float(float16{0x3c00}) == 1.0f,
              "constant expressions");
