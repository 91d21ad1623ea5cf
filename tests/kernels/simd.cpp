// SPDX-License-Identifier: MIT
#include <fedagg/kernels/simd.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::bfloat16;
using fedagg::float16;
namespace impl = fedagg::impl;

namespace {

template <class Isa>
using convert = impl::convert_kernel<Isa>;

template <class H>
H from_double(double x) {
  return stored<H>(x);
}

/// What is called on vectors must be compiled for their target, so these loops stand where the kernels stand.
template <class Isa>
struct loops;
#define FEDAGG_TEST_LOOPS(ISA, TARGET)                                                                                 \
  template <>                                                                                                          \
  struct loops<impl::ISA> {                                                                                            \
    using c = convert<impl::ISA>;                                                                                      \
    template <class H>                                                                                                 \
    TARGET static void store(const double* x, std::size_t count, H* out) {                                             \
      for (std::size_t j = 0; j < count; j += c::wide) c::store_wide(out + j, c::load_wide(x + j));                    \
    }                                                                                                                  \
    TARGET static void odd(const double* x, std::size_t count, float* out) {                                           \
      for (std::size_t j = 0; j < count; j += c::wide)                                                                 \
        impl::simd<impl::ISA>::store(out + j, c::round_to_odd(c::load_wide(x + j)));                                   \
    }                                                                                                                  \
  };
FEDAGG_TEST_LOOPS(on_baseline, )
#if FEDAGG_X86
FEDAGG_TEST_LOOPS(on_avx2, [[gnu::target("avx2,fma,f16c")]])
FEDAGG_TEST_LOOPS(on_avx512, [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]])
#endif
#undef FEDAGG_TEST_LOOPS

/// Every pattern of a half, NaN included.
template <class H>
std::vector<H> every_half() {
  std::vector<H> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].bits = static_cast<std::uint16_t>(i);
  return all;
}

template <class H>
void check_widen() {
  standard_mode();
  const auto all = every_half<H>();
  std::vector<float> wide(all.size());
  impl::on_active_isa([&](auto tag) { convert<decltype(tag)>::widen(all.data(), all.size(), wide.data()); });
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const float want = fedagg::to_float(all[i]);
    // A NaN may be made quiet on the way.
    if (fedagg::is_finite(want) || (bits_of(want) & 0x7fffffu) == 0) wrong += bits_of(wide[i]) != bits_of(want);
    else wrong += fedagg::is_finite(wide[i]) || (bits_of(wide[i]) & 0x7fffffu) == 0;
  }
  CHECK(wrong == 0);
}

/// Doubles around every half, every midpoint of two, and a hair beside each.
template <class H>
void check_store() {
  standard_mode();
  const auto all = every_half<H>();
  std::vector<double> x;
  for (const H h : all) {
    const double v = value(h);
    if (!fedagg::is_finite(v)) continue;
    const H above{static_cast<std::uint16_t>(h.bits + 1)};
    const double w = fedagg::is_finite(value(above)) ? value(above) : v;
    const double middle = v / 2 + w / 2;
    for (const double y : {v, middle, middle * (1 + 0x1p-52), middle * (1 - 0x1p-52), middle * (1 + 0x1p-30), v * (1 - 0x1p-24)}) x.push_back(y);
  }
  std::mt19937_64 random(1);
  while (x.size() % 64) x.push_back(uniform(random));
  for (int i = 0; i < 64 * 1000; ++i) x.push_back(finite_pattern<double>(random));
  for (int i = 0; i < 64 * 1000; ++i) x.push_back(uniform(random) * power(static_cast<int>(random() % 60) - 40));
  std::vector<H> got(x.size());
  impl::on_active_isa([&](auto tag) { loops<decltype(tag)>::store(x.data(), x.size(), got.data()); });
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.size(); ++j) wrong += got[j].bits != from_double<H>(x[j]).bits;
  CHECK(wrong == 0);
}

template <class H>
void check_narrow() {
  standard_mode();
  std::mt19937_64 random(2);
  for (std::size_t count = 1; count <= 70; ++count) {
    std::vector<float> x(count);
    for (auto& v : x) v = finite_pattern<float>(random);
    std::vector<H> got(count + 1, H{0xabcd});
    impl::on_active_isa([&](auto tag) { convert<decltype(tag)>::narrow(x.data(), count, got.data()); });
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < count; ++j) wrong += got[j].bits != from_double<H>(static_cast<double>(x[j])).bits;
    INFO("count " << count);
    CHECK(wrong == 0);
    CHECK(got[count].bits == 0xabcd);
  }
}

template <class T>
void check_scan() {
  using word = typename format<T>::word;
  constexpr word exponent = static_cast<word>(((word{1} << (sizeof(T) * 8 - format<T>::digits)) - 1) << (format<T>::digits - 1));
  std::mt19937_64 random(3);
  for (std::size_t count = 0; count <= 300; count += count < 70 ? 1 : 23) {
    std::vector<T> x(count + 1);
    for (auto& v : x) v = finite_pattern<T>(random);
    x[count] = std::bit_cast<T>(exponent);
    const auto found = [&] {
      return impl::on_active_isa([&](auto tag) { return impl::scan_kernel<decltype(tag)>::non_finite(x.data(), count); });
    };
    std::size_t wrong = found();
    for (std::size_t j = 0; j < count; ++j) {
      const T kept = x[j];
      // Inf, a quiet NaN, and the NaN with the smallest payload and the sign.
      for (const word bad : {exponent, static_cast<word>(exponent | exponent >> 1), static_cast<word>(word{1} << (sizeof(T) * 8 - 1) | exponent | word{1})}) {
        x[j] = std::bit_cast<T>(bad);
        wrong += !found();
      }
      x[j] = kept;
    }
    INFO(format<T>::name << " count " << count);
    CHECK(wrong == 0);
  }
}

} // namespace

TEST_CASE("halves widen exactly, every one of them") {
  SECTION("f16") { check_widen<float16>(); }
  SECTION("bf16") { check_widen<bfloat16>(); }
}

TEST_CASE("doubles are rounded to halves once, ties to even") {
  SECTION("f16") { check_store<float16>(); }
  SECTION("bf16") { check_store<bfloat16>(); }
}

TEST_CASE("floats are narrowed at every length, and nothing behind them is touched") {
  SECTION("f16") { check_narrow<float16>(); }
  SECTION("bf16") { check_narrow<bfloat16>(); }
}

TEST_CASE("a NaN or Inf is found at every place") {
  SECTION("f32") { check_scan<float>(); }
  SECTION("f64") { check_scan<double>(); }
  SECTION("f16") { check_scan<float16>(); }
  SECTION("bf16") { check_scan<bfloat16>(); }
}

TEST_CASE("rounding to odd keeps exact values and makes the others odd neighbours") {
  standard_mode();
  std::mt19937_64 random(4);
  std::size_t wrong = 0;
  for (int round = 0; round < 4000; ++round) {
    double x[16];
    float y[16];
    for (auto& v : x) v = round % 4 == 0 ? static_cast<double>(finite_pattern<float>(random)) : uniform(random) * power(static_cast<int>(random() % 300) - 200);
    impl::on_active_isa([&](auto tag) { loops<decltype(tag)>::odd(x, 16, y); });
    for (std::size_t i = 0; i < 16; ++i) {
      const quad error = magnitude(quad(static_cast<double>(y[i])) - quad(x[i]));
      const bool exact = static_cast<double>(static_cast<float>(x[i])) == x[i];
      wrong += exact ? error != 0 : !((bits_of(y[i]) & 1u) && error < 2 * half_ulp<float>(x[i]));
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("the order image sorts as IEEE's total order and is its own inverse") {
  // On the portable vectors of the baseline: a wider vector may not be passed around outside of its own target.
  using s = impl::simd<impl::on_baseline>;
  constexpr std::size_t n = s::template width<std::int32_t>;
  using words = impl::vec<std::int32_t, n>;
  std::mt19937_64 random(5);
  std::size_t wrong = 0;
  for (int round = 0; round < 2000; ++round) {
    words x{};
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<std::int32_t>(random() >> (round % 2 ? 0 : 33));
    const words y = s::order_image(x), z = s::order_image(y);
    for (std::size_t i = 0; i < n; ++i) {
      wrong += z[i] != x[i];
      // A sign and a magnitude give this integer.
      const std::int32_t magnitude = x[i] & 0x7fffffff;
      wrong += y[i] != (x[i] < 0 ? -magnitude - 1 : magnitude);
    }
  }
  CHECK(wrong == 0);
}
