// SPDX-License-Identifier: MIT
#include <fedagg/kernels/binned.hpp>

#include <fedagg/kernels/simd.hpp>

#include "support/exact_sum.hpp"
#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;

namespace {

std::vector<double> any_doubles(std::size_t n, int lowest, int highest, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> x(n);
  for (double& v : x) {
    const int e = lowest + static_cast<int>(random() % static_cast<unsigned>(highest - lowest + 1));
    // Exponent e, any fraction and sign; subnormal below.
    const std::uint64_t fraction = random() & 0xfffffffffffff, sign = random() & std::uint64_t{1} << 63;
    v = std::bit_cast<double>(sign | static_cast<std::uint64_t>(e + 1023) << 52 | fraction);
  }
  return x;
}

bool same(const impl::binned_sum& a, const impl::binned_sum& b) {
  return a.level == b.level && std::equal(a.word, a.word + impl::bin_words, b.word);
}

} // namespace

TEST_CASE("the level of a number is the lowest whose first digit holds it") {
  standard_mode();
  for (int e = -1074; e <= 1023; ++e)
    for (const double x : {power(e), -power(e), std::bit_cast<double>(std::bit_cast<std::uint64_t>(power(e)) + 1)}) {
      const unsigned level = impl::bin_level(x);
      REQUIRE(level <= impl::bin_top);
      INFO(text(x));
      CHECK(magnitude(multiply(x, impl::bin_scale(level))) <= quad(impl::bin_limit));
      if (level > 0) CHECK(magnitude(multiply(x, impl::bin_scale(level - 1))) > quad(impl::bin_limit));
    }
  CHECK(impl::bin_level(0) == 0);
  CHECK(impl::bin_level(std::numeric_limits<double>::max()) == impl::bin_top);
}

TEST_CASE("a binned sum does not depend on order or grouping, and is exact to 2^-80 of the largest number") {
  standard_mode();
  const struct {
    int lowest, highest;
  } ranges[] = {{-1023, 1023}, {-20, 3}, {-1023, -1000}, {1015, 1023}, {-60, 60}, {0, 0}};
  for (const auto& range : ranges)
    for (const std::size_t n : {1u, 2u, 3u, 50u, 1000u}) {
      auto x = any_doubles(n, range.lowest, range.highest, n);
      impl::binned_sum all;
      exact_sum exact;
      double largest = 0;
      for (const double v : x) {
        all.add(v);
        exact.add(v);
        largest = std::max(largest, v < 0 ? -v : v);
      }
      std::mt19937_64 random(n);
      std::shuffle(x.begin(), x.end(), random);
      impl::binned_sum left, right;
      for (const double v : x) (random() % 3 == 0 ? left : right).add(v);
      left.add(right);
      INFO("exponents " << range.lowest << " to " << range.highest << " n=" << n);
      CHECK(same(all, left));
      // What it differs from the exact sum by, all scaled so that nothing leaves the doubles.
      const impl::scaled_double value = all.value();
      exact.add(-value.value, value.exponent);
      const int shift = range.highest > 900 ? -200 : range.highest < -900 ? 900 : 0;
      const double scaled_largest = largest * power(shift);
      const double rounding = (value.value < 0 ? -value.value : value.value) * power(-53) *
                              (value.exponent + shift > 900 ? 0 : power(value.exponent + shift));
      CHECK(exact.magnitude(shift) <= static_cast<double>(n) * scaled_largest * 0x1p-80 + rounding);
    }
}

TEST_CASE("what cancels leaves the small number behind") {
  standard_mode();
  impl::binned_sum sum;
  for (const double x : {1.0, 0x1p+30, 0x1p-20, -0x1p+30, -1.0}) sum.add(x);
  CHECK(impl::quotient(sum.value(), {1, 0}) == 0x1p-20);
  sum.add(-0x1p-20);
  CHECK(sum.value().value == 0);
  // As many as fit, of the largest digit.
  impl::binned_sum many;
  for (int k = 0; k < 10; ++k) many.add(-0x1p-3);
  for (int k = 0; k < 20; ++k) many.add(impl::binned_sum(many));
  CHECK(impl::quotient(many.value(), {1, 0}) == -10 * 0x1p+17);
}

TEST_CASE("quotients reach where doubles do not") {
  standard_mode();
  CHECK(impl::quotient({0x1p+62, 1000}, {0x1p+60, 1000}) == 4);
  CHECK(impl::quotient({3, -1100}, {2, -1100}) == 1.5);
  CHECK(impl::quotient({1, 3000}, {0x1p+63, 2900}) == 0x1p+37);
  CHECK(impl::quotient({1, -3000}, {1, 0}) == 0);
  CHECK(!fedagg::is_finite(impl::quotient({1, 3000}, {1, 0})));
  CHECK(impl::quotient({1, -1074}, {1, 0}) == power(-1074));
  CHECK(impl::quotient({0x1p+62, 0}, impl::scaled(power(-1074))) == impl::quotient({0x1p+62, 1074}, {1, 0}));
  CHECK(impl::quotient({0x1p-1000, 0}, impl::scaled(power(-1074))) == 0x1p+74);
}

TEST_CASE("the kernel adds what the scalar adds, on every instruction set") {
  for (const std::size_t count : {1u, 2u, 3u, 7u, 8u, 9u, 15u, 33u, 200u}) {
    const std::size_t blocks = (count + 7) / 8;
    std::vector<impl::binned_sum> want(count);
    std::vector<std::vector<double>> rows;
    for (std::uint64_t i = 0; i < 6; ++i)
      rows.push_back(i % 2 == 0 ? any_doubles(count, -1023, 1000, i + count) : any_doubles(count, -10, 10, i));
    const double factor = 1.37;
    standard_mode();
    for (const auto& row : rows)
      for (std::size_t j = 0; j < count; ++j) want[j].add(static_cast<double>(row[j] * factor));
    on_each_isa([&](fedagg::isa which) {
      std::vector<std::int64_t> words(blocks * 8 * impl::bin_words);
      std::vector<std::uint8_t> levels(blocks * 8);
      for (const auto& row : rows)
        impl::on_active_isa([&](auto tag) {
          impl::binned_kernel<decltype(tag)>::absorb(row.data(), factor, count, words.data(), levels.data());
        });
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < count; ++j) {
        impl::binned_sum got;
        got.level = levels[j];
        for (std::size_t k = 0; k < impl::bin_words; ++k) got.word[k] = words[j / 8 * 24 + k * 8 + j % 8];
        wrong += !same(got, want[j]);
      }
      INFO(fedagg::name_of(which) << " count " << count);
      CHECK(wrong == 0);
    });
  }
}

TEST_CASE("integers of products are those of the definition, and what was added can be taken back") {
  const std::size_t count = 517;
  std::mt19937_64 random(7);
  std::vector<double> x(count);
  for (double& v : x) v = uniform(random) * 1000;
  x[3] = 0.5, x[4] = 1.5, x[5] = -2.5;
  standard_mode();
  on_each_isa([&](fedagg::isa which) {
    impl::on_active_isa([&](auto tag) {
      using kernel = impl::fixed_kernel<decltype(tag)>;
      std::vector<std::uint64_t> acc((count + 63) / 64 * 64, 5);
      CHECK_FALSE(kernel::template absorb<false>(x.data(), 1.0, 1000.0, count, acc.data()));
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < count; ++j) {
        // Nearest integer, the even one of two.
        auto whole = static_cast<std::int64_t>(x[j]);
        const double rest = x[j] - static_cast<double>(whole), far = rest < 0 ? -rest : rest;
        if (far > 0.5 || (far == 0.5 && whole % 2 != 0)) whole += rest < 0 ? -1 : 1;
        wrong += static_cast<std::int64_t>(acc[j]) != whole + 5;
      }
      INFO(fedagg::name_of(which));
      CHECK(wrong == 0);
      for (const double bad : {1000.5, -1e300, std::bit_cast<double>(0x7ff0000000000000), std::bit_cast<double>(0xfff8000000000001)})
        for (const std::size_t at : {std::size_t{0}, count - 1}) {
          auto y = x;
          y[at] = bad;
          const auto before = acc;
          CHECK(kernel::template absorb<false>(y.data(), 1.0, 1000.0, count, acc.data()));
          CHECK(kernel::beyond(y.data(), 1.0, 1000.0, count));
          CHECK(kernel::template absorb<true>(y.data(), 1.0, 1000.0, count, acc.data()));
          CHECK(acc == before);
        }
      CHECK_FALSE(kernel::beyond(x.data(), 1.0, 1000.0, count));
    });
  });
}
