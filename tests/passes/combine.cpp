// SPDX-License-Identifier: MIT
#include <fedagg/passes/combine.hpp>

#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;

namespace {

template <class T>
std::vector<T> run(const matrix<T>& x, const std::vector<double>& a, double divisor, std::size_t begin, std::size_t end, unsigned* seen = nullptr) {
  std::vector<const void*> rows;
  for (std::size_t i = 0; i < x.n; ++i) rows.push_back(x.row(i).data());
  std::vector<T> out(x.d, stored<T>(77));
  const impl::combine_pass pass(a, divisor);
  std::vector<std::byte> scratch(pass.scratch_bytes() + 64, std::byte{0x7f}); // nothing is expected of it
  auto* aligned = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
  const auto once = [&](bool past_cache) {
    return pass.run(fedagg::dtype_of<T>, rows.data(), nullptr, begin, end, out.data(), {false, past_cache}, aligned);
  };
  const unsigned flags = once(false);
  const auto first = out;
  // Streaming past the cache changes nothing.
  CHECK(once(true) == flags);
  CHECK((flags != 0 || same_bits(first, out)));
  if (seen) *seen = flags;
  return first;
}

/// Any coefficients, negative ones too, against the exact sum; every coordinate outside of the range stays.
template <class T>
void check(std::size_t n, std::size_t d, std::size_t begin, std::size_t end, bool short_coefficients) {
  const auto x = sample<T>(kind::normal, n, d, 5);
  std::mt19937_64 random(n + d);
  std::vector<double> a(n);
  for (auto& v : a) v = short_coefficients ? static_cast<double>(static_cast<int>(random() % 64) - 32) : uniform(random);
  const double divisor = 0.75 + static_cast<double>(random() % 8);
  unsigned seen = 0;
  const auto got = run(x, a, divisor, begin, end, &seen);
  std::size_t wrong = seen != 0;
  for (std::size_t j = 0; j < d; ++j) {
    if (j < begin || j >= end) {
      wrong += bits_of(got[j]) != bits_of(stored<T>(77));
      continue;
    }
    quad sum = 0, size = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const quad product = multiply(a[i], value(x.at(i, j)));
      sum = add(sum, product);
      size = add(size, magnitude(product));
    }
    // A rounding per product, one per addition, one of the quotient (which for double is the last).
    wrong += !rounds_to<T>(got[j], divide(sum, divisor), divide(quad(2 * n) * unit * size, divisor));
  }
  INFO(format<T>::name << " n=" << n << " [" << begin << ", " << end << ") of " << d << (short_coefficients ? " short" : " long"));
  CHECK(wrong == 0);
}

template <class T>
void check_ranges() {
  for (const bool s : {false, true}) {
    for (std::size_t d = 1; d <= 70; ++d) check<T>(3, d, 0, d, s);
    for (const std::size_t d : {511u, 512u, 513u, 1024u, 1025u, 1600u}) check<T>(6, d, 0, d, s);
    for (const std::size_t begin : {1u, 3u, 7u, 63u, 511u, 513u}) check<T>(5, 1200, begin, 1200 - begin / 2, s);
    for (std::size_t n = 0; n <= 12; ++n) check<T>(n, 35, 2, 33, s);
    // Around a block of sums that wait, with one group of clients, two and three.
    for (const std::size_t n : {impl::sum_streams_few, impl::sum_streams_few + 1, 2 * impl::sum_streams + 1})
      for (const std::size_t d : {impl::sum_block - 1, impl::sum_block, impl::sum_block + 1}) check<T>(n, d, 0, d, s);
    check<T>(impl::sum_streams_few + 1, 2 * impl::sum_block + 33, 5, 2 * impl::sum_block + 30, s);
    check<T>(100, 70, 0, 70, s);
  }
}

} // namespace

TEST_CASE("sums of any coefficients are exact to their roundings, at every length and offset") {
  SECTION("f32") { check_ranges<float>(); }
  SECTION("f64") { check_ranges<double>(); }
  SECTION("f16") { check_ranges<fedagg::float16>(); }
  SECTION("bf16") { check_ranges<fedagg::bfloat16>(); }
}

TEST_CASE("a quotient is rounded as a quotient, not as a product with a reciprocal") {
  // 49 * (1 / 49) is below 1 in double.
  matrix<double> x(1, 600);
  for (std::size_t j = 0; j < x.d; ++j) x.at(0, j) = static_cast<double>(j);
  for (const double divisor : {3.0, 7.0, 49.0, 107.0, 161.0}) {
    const auto got = run(x, {1.0}, divisor, 0, x.d);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < x.d; ++j) wrong += !rounds_to<double>(got[j], divide(static_cast<double>(j), divisor));
    INFO("divisor " << divisor);
    CHECK(wrong == 0);
  }
}

TEST_CASE("the sums tell of NaN, Inf and overflow wherever they are") {
  for (const std::size_t d : {1u, 9u, 600u})
    for (std::size_t at = 0; at < d; at += d / 9 + 1) {
      matrix<float> x(5, d);
      unsigned seen = 7;
      run(x, std::vector<double>(5, 0.25), 1.25, 0, d, &seen);
      CHECK(seen == 0);
      x.at(4, at) = std::bit_cast<float>(at % 2 ? 0x7f800000u : 0xffc00001u);
      run(x, std::vector<double>(5, 0.25), 1.25, 0, d, &seen);
      CHECK(seen == impl::saw_non_finite);
      x.at(4, at) = 3e38f;
      run(x, std::vector<double>(5, 1.0), 0.5, 0, d, &seen);
      CHECK(seen == impl::saw_overflow);
    }
}

TEST_CASE("subnormal doubles add up to the same bits on each instruction set") {
  const auto x = sample<double>(kind::denormal, 9, 200, 3);
  for (const double a : {0.25, 0.125, 0.0625}) {
    std::vector<double> first;
    on_each_isa([&](fedagg::isa which) {
      const auto got = run(x, std::vector<double>(9, a), 9 * a, 0, x.d);
      if (first.empty()) first = got;
      INFO(fedagg::name_of(which) << " coefficient " << a);
      CHECK(same_bits(first, got));
    });
  }
}
