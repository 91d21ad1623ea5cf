// SPDX-License-Identifier: MIT
#include <fedagg/core/moments.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using namespace fedagg::detail;

namespace {

template <class T>
void check_moments() {
  for (const kind k : all_kinds)
    for (const std::size_t n : {1u, 2u, 5u, 40u}) {
      const auto x = sample<T>(k, n, 100, 3);
      const auto honest = rows(x);
      std::vector<double> mean(40), deviation(40);
      REQUIRE(tile_mean<T>(honest, 30, mean) == errc::ok);
      const errc rc = tile_deviation<T>(honest, 30, mean, static_cast<double>(n), deviation);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < 40; ++j) {
        const auto c = moments(x.column(30 + j));
        wrong += !rounds_to<double>(mean[j], c.mean, c.error + quad(power(-1074)));
        if (rc != errc::ok) continue;
        const real bound = real(n + 4) * real(unit) * c.deviation + static_cast<real>(c.error) + 1e-160L;
        wrong += !(std::abs(deviation[j] - c.deviation) <= bound);
      }
      INFO(format<T>::name << " " << name_of(k) << " n=" << n);
      CHECK(wrong == 0);
      CHECK((rc == errc::ok || (rc == errc::overflow && k == kind::large && sizeof(T) == 8)));
    }
}

} // namespace

TEST_CASE("means and deviations of a tile") {
  SECTION("f32") { check_moments<float>(); }
  SECTION("f64") { check_moments<double>(); }
  SECTION("f16") { check_moments<fedagg::float16>(); }
  SECTION("bf16") { check_moments<fedagg::bfloat16>(); }
}

TEST_CASE("for_each_mean visits every coordinate once, in tiles, and stops at an error") {
  const auto x = sample<float>(kind::normal, 3, 700, 1);
  const auto honest = rows(x);
  std::size_t next = 0;
  std::vector<std::size_t> tiles;
  CHECK(for_each_mean<float>(honest, 700, [&](std::size_t first, std::span<const double> mean) {
          CHECK(first == next);
          next += mean.size();
          tiles.push_back(mean.size());
          return errc::ok;
        }) == errc::ok);
  CHECK(tiles == std::vector<std::size_t>{256, 256, 188});
  std::size_t calls = 0;
  CHECK(for_each_mean<float>(honest, 700, [&](std::size_t, std::span<const double>) {
          ++calls;
          return errc::rule_failed;
        }) == errc::rule_failed);
  CHECK(calls == 1);
}

TEST_CASE("squared distances of tiles add up to those of the rows") {
  for (const double shift : {0.0, 1e6}) {
    auto x = sample<double>(kind::normal, 9, 603, 2);
    for (double& v : x.data) v += shift;
    const auto honest = rows(x);
    fedagg::arena memory;
    tile_distances d(9, memory);
    for (std::size_t first = 0; first < 603; first += moments_tile)
      d.add<double>(honest, first, std::min(moments_tile, 603 - first));
    for (std::size_t i = 0; i < 9; ++i)
      for (std::size_t j = 0; j < 9; ++j) {
        const real want = square_distance(x.row(i), x.row(j));
        CHECK(std::abs(d(i, j) - want) <= 1e-13L * want);
        CHECK(d(i, j) == d(j, i));
      }
  }
}

TEST_CASE("rounding to an element type, and its ends") {
  float f = 0;
  CHECK(round_to(0x1.fffffefp127, f));
  CHECK(f == std::numeric_limits<float>::max());
  CHECK(!round_to(0x1.ffffffp127, f));
  CHECK(!round_to(-0x1.ffffffp127, f));
  CHECK(!round_to(1e300, f));
  CHECK(!round_to(std::bit_cast<double>(std::uint64_t{0x7ff8} << 48), f));
  fedagg::float16 h{};
  CHECK(round_to(65519.0, h));
  CHECK(h.bits == 0x7bff);
  CHECK(!round_to(65520.0, h));
  fedagg::bfloat16 b{};
  CHECK(round_to(-3.38e38, b));
  CHECK(b.bits == 0xff7e);
  CHECK(!round_to(3.4e38, b));
  double d = 0;
  CHECK(round_to(1.7e308, d));
  CHECK(!round_to(std::bit_cast<double>(std::uint64_t{0x7ff} << 52), d));
}
