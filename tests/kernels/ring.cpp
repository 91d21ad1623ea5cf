// SPDX-License-Identifier: MIT
#include <fedagg/kernels/parts/ring.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;

namespace {

/// floor((F + u) / 2^32), F = x factor clipped and rounded half to even, in exact arithmetic.
std::uint64_t residue_of(double x, const impl::ring_scaling& how, std::uint32_t u, bool& clipped) {
  volatile double product = x * how.factor;
  double z = product;
  clipped = z > how.limit || z < -how.limit;
  if (clipped) z = z > 0 ? how.limit : -how.limit;
  // z is an integer, or has a fraction of at most 2^53: in quad both halves are exact.
  const bool negative = z < 0;
  const quad magnitude_of_z = magnitude(quad(z));
  __extension__ typedef unsigned __int128 wide;
  auto whole = static_cast<wide>(magnitude_of_z);
  const quad rest = magnitude_of_z - static_cast<quad>(whole);
  if (rest > quad(0.5) || (rest == quad(0.5) && (whole & 1) != 0)) ++whole;
  __extension__ typedef __int128 signed_wide;
  const signed_wide f = negative ? -static_cast<signed_wide>(whole) : static_cast<signed_wide>(whole);
  return static_cast<std::uint64_t>((f + u) >> 32);
}

template <class T, class W>
void check_encode(double factor, double limit, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const std::size_t count : {0u, 1u, 3u, 7u, 8u, 9u, 15u, 16u, 17u, 33u, 100u}) {
    std::vector<T> x(count);
    std::vector<std::uint32_t> bits(count);
    std::vector<W> expected(count), plain(count);
    std::size_t clipped = 0;
    const impl::ring_scaling how{factor * 0x1p+32, limit * 0x1p+32};
    for (std::size_t j = 0; j < count; ++j) {
      // Integers, halves of the last random bit, anything; near the limit, beyond it, far beyond it.
      const double base = uniform(random) * limit / factor * (j % 5 == 0 ? 1.5 : 1);
      x[j] = stored<T>(j % 7 == 1 ? std::floor(base * factor) / factor : j % 11 == 3 ? base * 0x1p+60 : base);
      if (!fedagg::is_finite(value(x[j]))) x[j] = stored<T>(1);
      bits[j] = j % 4 == 0 ? 0 : j % 4 == 1 ? 0xffffffffu : static_cast<std::uint32_t>(random());
      bool beyond = false;
      expected[j] = static_cast<W>(residue_of(value(x[j]), how, bits[j], beyond));
      clipped += beyond;
    }
    on_each_isa([&](fedagg::isa which) {
      INFO(fedagg::name_of(which) << ' ' << format<T>::name << " into " << 8 * sizeof(W) << ", " << count);
      std::vector<W> out(count + 1, W{3});
      const std::size_t found = impl::on_active_isa([&](auto isa) {
        return impl::ring_kernel<decltype(isa)>::encode(x.data(), how, bits.data(), count, out.data());
      });
      CHECK(found == clipped);
      CHECK(out[count] == 3);
      out.pop_back();
      CHECK(out == expected);
    });
    // Without clipping, the same where nothing is clipped and the limit is not too far.
    if (!(how.limit < 0x1p+83)) continue;
    T largest{};
    for (std::size_t j = 0; j < count; ++j) {
      if (magnitude(multiply(value(x[j]), how.factor)) > quad(how.limit)) {
        x[j] = stored<T>(0);
        expected[j] = 0;
      }
      const double size = static_cast<double>(magnitude(value(x[j])));
      if (size > value(largest)) largest = stored<T>(size);
    }
    on_each_isa([&](fedagg::isa) {
      const auto inside = [&](const std::vector<T>& from) {
        return impl::on_active_isa([&](auto isa) {
          return impl::ring_kernel<decltype(isa)>::encode_inside(from.data(), how, bits_of(largest), bits.data(), count,
                                                                 plain.data());
        });
      };
      CHECK(inside(x));
      CHECK(plain == expected);
      // One value beyond it is seen wherever it is.
      for (std::size_t j = 0; j < count; ++j)
        for (const T planted : {std::bit_cast<T>(static_cast<typename format<T>::word>(bits_of(largest) + 1)),
                                stored<T>(-std::numeric_limits<double>::infinity()),
                                stored<T>(std::numeric_limits<double>::quiet_NaN())}) {
          std::vector<T> other = x;
          other[j] = planted;
          CHECK(!inside(other));
        }
    });
  }
}

template <class T>
void check_types() {
  check_encode<T, std::uint16_t>(0x1p+10, 32767, 1);
  check_encode<T, std::uint16_t>(3.7, 100.25, 2);
  check_encode<T, std::uint32_t>(1e6 / 3, 2147483647, 3);
  check_encode<T, std::uint32_t>(0x1p+20, 0x1p+22, 4);
  check_encode<T, std::uint64_t>(0x1p+20, 0x1p+22, 5);
  check_encode<T, std::uint64_t>(1e14, 1e15, 6);
  check_encode<T, std::uint64_t>(0x1p+56, 0x1.fffffffffffffp+62, 7);
  check_encode<T, std::uint64_t>(0x1p+45, 0x1.8p+52, 8);
  check_encode<T, std::uint64_t>(0x1p+45, 0x1.fffffffffffffp+50, 9);
}

} // namespace

TEST_CASE("residues are what exact arithmetic gives, on every instruction set") {
  standard_mode();
  check_types<double>();
  check_types<float>();
  check_types<fedagg::float16>();
  check_types<fedagg::bfloat16>();
}

TEST_CASE("a value is rounded up by as many of the 2^32 random words as its fraction says") {
  standard_mode();
  std::mt19937_64 random(5);
  for (int k = 0; k < 2000; ++k) {
    // A fraction of 32 bits: exactly so many words u carry.
    const auto fraction = k < 4 ? static_cast<std::uint32_t>(k) * 0x55555555u : static_cast<std::uint32_t>(random());
    const auto whole = static_cast<std::int32_t>(random() % 200001) - 100000;
    const double x = whole + fraction * 0x1p-32;
    const impl::ring_scaling how{0x1p+32, 0x1p+60};
    const std::uint32_t below = 0u - fraction - (fraction != 0 ? 1u : 0u), from = 0u - fraction;
    const double in[] = {x, x, x, x};
    const std::uint32_t words[] = {0, below, fraction == 0 ? 0xffffffffu : from, 0xffffffffu};
    on_each_isa([&](fedagg::isa) {
      std::uint32_t out[4];
      std::uint64_t wide[4];
      impl::on_active_isa([&](auto isa) {
        impl::ring_kernel<decltype(isa)>::encode(in, how, words, 4, out);
        impl::ring_kernel<decltype(isa)>::encode(in, how, words, 4, wide);
      });
      const std::int32_t up = fraction == 0 ? 0 : 1;
      CHECK(static_cast<std::int32_t>(out[0]) == whole);
      if (fraction != 0) CHECK(static_cast<std::int32_t>(out[1]) == whole);
      CHECK(static_cast<std::int32_t>(out[2]) == whole + up);
      CHECK(static_cast<std::int32_t>(out[3]) == whole + up);
      for (int i = 0; i < 4; ++i)
        if (i != 1 || fraction != 0) CHECK(static_cast<std::int64_t>(wide[i]) == static_cast<std::int32_t>(out[i]));
    });
  }
}

namespace {

template <class W, class T>
void check_decode(unsigned bits, double divisor) {
  std::mt19937_64 random(bits);
  for (const std::size_t count : {0u, 1u, 5u, 8u, 16u, 17u, 40u}) {
    std::vector<W> words(count);
    std::vector<T> expected(count);
    for (std::size_t j = 0; j < count; ++j) {
      // The ends, and what is above the ring's bits does not count.
      const std::uint64_t one = 1;
      words[j] = static_cast<W>(j == 0 ? one << (bits - 1) : j == 1 ? (one << (bits - 1)) - 1 : random());
      const auto residue = static_cast<std::int64_t>(std::uint64_t{words[j]} << (64 - bits)) >> (64 - bits);
      volatile double wide = static_cast<double>(residue), by = divisor, one_over = 1 / by;
      volatile double mean = sizeof(T) == 8 ? wide / by : wide * one_over;
      expected[j] = stored<T>(mean);
    }
    on_each_isa([&](fedagg::isa which) {
      INFO(fedagg::name_of(which) << ' ' << bits << " bits to " << format<T>::name << ", " << count);
      std::vector<T> out(count);
      impl::on_active_isa([&](auto isa) {
        impl::ring_kernel<decltype(isa)>::decode(words.data(), bits, divisor, count, out.data());
      });
      CHECK(same_bits(out, expected));
    });
  }
}

} // namespace

TEST_CASE("signed residues over a divisor") {
  standard_mode();
  for (const double divisor : {1.0, 3.0, 1e9 / 7}) {
    for (const unsigned bits : {8u, 9u, 15u, 16u}) {
      check_decode<std::uint16_t, double>(bits, divisor);
      check_decode<std::uint16_t, float>(bits, divisor);
      check_decode<std::uint16_t, fedagg::float16>(bits, divisor);
      check_decode<std::uint16_t, fedagg::bfloat16>(bits, divisor);
    }
    for (const unsigned bits : {17u, 24u, 31u, 32u}) {
      check_decode<std::uint32_t, double>(bits, divisor);
      check_decode<std::uint32_t, float>(bits, divisor);
      check_decode<std::uint32_t, fedagg::float16>(bits, 1e6 * divisor);
      check_decode<std::uint32_t, fedagg::bfloat16>(bits, divisor);
    }
    for (const unsigned bits : {33u, 52u, 53u, 54u, 63u, 64u}) {
      check_decode<std::uint64_t, double>(bits, divisor);
      check_decode<std::uint64_t, float>(bits, divisor);
      check_decode<std::uint64_t, fedagg::bfloat16>(bits, divisor);
    }
  }
}

namespace {

template <class W>
void check_sums(unsigned bits) {
  std::mt19937_64 random(bits);
  for (const std::size_t count : {0u, 1u, 7u, 31u, 64u, 129u, 500u}) {
    std::vector<W> a(count), b(count), sum(count);
    impl::ring_extremes expected;
    for (std::size_t j = 0; j < count; ++j) {
      a[j] = static_cast<W>(random());
      b[j] = static_cast<W>(random());
      sum[j] = static_cast<W>(a[j] + b[j]);
      const auto v = static_cast<std::int64_t>(std::uint64_t{a[j]} << (64 - bits)) >> (64 - bits);
      if (j == 0 || v < expected.least) expected.least = v;
      if (j == 0 || v > expected.greatest) expected.greatest = v;
    }
    on_each_isa([&](fedagg::isa which) {
      INFO(fedagg::name_of(which) << ' ' << bits << " bits, " << count);
      std::vector<W> to = a;
      impl::on_active_isa([&](auto isa) {
        using kernel = impl::ring_kernel<decltype(isa)>;
        kernel::add(to.data(), b.data(), count);
        const impl::ring_extremes found = kernel::extremes(a.data(), bits, count);
        CHECK(found.least == expected.least);
        CHECK(found.greatest == expected.greatest);
      });
      CHECK(to == sum);
    });
  }
}

} // namespace

TEST_CASE("sums wrap around, and the extremes are those of signed residues") {
  for (const unsigned bits : {8u, 11u, 16u}) check_sums<std::uint16_t>(bits);
  for (const unsigned bits : {17u, 32u}) check_sums<std::uint32_t>(bits);
  for (const unsigned bits : {33u, 64u}) check_sums<std::uint64_t>(bits);
}
