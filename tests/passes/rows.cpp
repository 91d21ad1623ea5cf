// SPDX-License-Identifier: MIT
#include <fedagg/passes/rows.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;

namespace {

/// x - base, rounded once in double: what the pass defines.
template <class T>
double minus(const matrix<T>& x, std::size_t i, std::size_t j, const std::vector<T>& base) {
  if (base.empty()) return value(x.at(i, j));
  return static_cast<double>(add(value(x.at(i, j)), -quad(value(base[j]))));
}

template <class T>
void check(kind k, std::size_t n, std::size_t d, bool with_base) {
  const auto x = sample<T>(k, n, d, 14);
  const auto extra = sample<T>(k, 2, d, 15);
  std::vector<T> base;
  if (with_base) {
    const auto b = sample<T>(k, 1, d, 16);
    base = b.data;
    // Differences that are exactly zero must be counted as zeros.
    for (std::size_t j = 0; j < d; j += 3) base[j] = x.at(0, j);
  }
  fedagg::cohort clients;
  for (std::size_t i = 0; i < n; ++i) clients.add(x.row(i));
  if (with_base) clients.base(base);
  const fedagg::model_view others[] = {fedagg::model_view(extra.row(0)), fedagg::model_view(extra.row(1))};
  fedagg::row_table table;
  errc rc = errc::ok;
  {
    const mode callers(worst);
    rc = fedagg::try_rows(clients, table, {.others = others, .counts = true});
  }
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " d=" << d << (with_base ? " with a base" : ""));
  REQUIRE(rc == errc::ok);
  REQUIRE(table.rows().size() == n);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < n; ++i) {
    quad square = 0, inner[2] = {}, size[2] = {};
    std::size_t positive = 0, negative = 0;
    for (std::size_t j = 0; j < d; ++j) {
      const double v = minus(x, i, j, base);
      square = add(square, multiply(v, v));
      positive += v > 0;
      negative += v < 0;
      for (std::size_t e = 0; e < 2; ++e) {
        const quad product = multiply(v, minus(extra, e, j, base));
        inner[e] = add(inner[e], product);
        size[e] = add(size[e], magnitude(product));
      }
    }
    // One rounding per product and at most one per addition in each lane, block and chunk; products of double lose what
    // is below the smallest subnormal.
    const quad share = quad(d / 16 + 64) * unit, lost = std::is_same_v<T, double> ? quad(d) * power(-1074) : quad(0);
    const auto& row = table.rows()[i];
    wrong += magnitude(quad(row.squared_norm) - square) > square * share + lost;
    for (std::size_t e = 0; e < 2; ++e) wrong += magnitude(quad(table.inner(i, e)) - inner[e]) > size[e] * share + lost;
    wrong += row.elements != d || row.positive != positive || row.negative != negative || row.zero != d - positive - negative || row.non_finite != 0;
    wrong += row.fault != errc::ok;
  }
  CHECK(wrong == 0);
}

template <class T>
void check_sizes() {
  for (const bool base : {false, true}) {
    for (std::size_t d = 1; d <= 70; d += d < 36 ? 1 : 3) check<T>(kind::normal, 2, d, base);
    for (const std::size_t d : {4095u, 4096u, 4097u, 9000u}) check<T>(kind::normal, 3, d, base);
    for (const kind k : {kind::ties, kind::zeros, kind::denormal}) check<T>(k, 3, 333, base);
  }
  check<T>(kind::normal, 1, 70001, false);
}

} // namespace

TEST_CASE("norms, inner products and counts of signs are the exact ones to their roundings") {
  SECTION("f32") { check_sizes<float>(); }
  SECTION("f64") { check_sizes<double>(); }
  SECTION("f16") { check_sizes<fedagg::float16>(); }
  SECTION("bf16") { check_sizes<fedagg::bfloat16>(); }
}

TEST_CASE("rows give the same bits on every instruction set, thread count and layout") {
  const std::size_t n = 3, d = 140000;
  auto x = sample<double>(kind::normal, n, d, 17);
  std::vector<double> want;
  on_each_isa([&](fedagg::isa which) {
    for (const std::size_t count : {std::size_t{1}, std::size_t{3}})
      for (const bool strided : {false, true}) {
        // The same values, a row of them twice as wide.
        std::vector<double> wide(2 * n * d, 1e300);
        fedagg::cohort clients;
        for (std::size_t i = 0; i < n; ++i) {
          if (!strided) {
            clients.add(x.row(i));
            continue;
          }
          for (std::size_t j = 0; j < d; ++j) wide[2 * (i * d + j)] = x.at(i, j);
          const std::size_t shape[] = {d};
          const std::ptrdiff_t step[] = {2};
          clients.add(fedagg::tensor_view<const double>(wide.data() + 2 * i * d, shape, step));
        }
        const fedagg::model_view others[] = {fedagg::model_view(x.row(0))};
        threads pool{count};
        fedagg::options how;
        how.executor = pool;
        fedagg::row_table table;
        REQUIRE(fedagg::try_rows(clients, table, {.others = others}, how) == errc::ok);
        std::vector<double> got;
        for (std::size_t i = 0; i < n; ++i) {
          got.push_back(table.rows()[i].squared_norm);
          got.push_back(table.inner(i, 0));
        }
        if (want.empty()) want = got;
        INFO(fedagg::name_of(which) << " threads " << count << (strided ? " strided" : ""));
        CHECK(same_bits(want, got));
      }
  });
}

TEST_CASE("NaN and Inf are counted and told by the norm") {
  for (const std::size_t d : {1u, 17u, 5000u}) {
    auto x = sample<float>(kind::normal, 2, d, 18);
    for (auto& v : x.data) v = v < 0 ? -1.0f : 1.0f;
    const std::uint32_t bad[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xff800001u};
    std::size_t planted = 0;
    for (std::size_t j = 0; j < d; j += d / 4 + 1) x.at(1, j) = std::bit_cast<float>(bad[planted++]);
    fedagg::cohort clients;
    clients.add(x.row(0)).add(x.row(1));
    fedagg::row_table table;
    REQUIRE(fedagg::try_rows(clients, table, {.counts = true}) == errc::ok);
    CHECK(table.rows()[0].non_finite == 0);
    CHECK(table.rows()[0].squared_norm == static_cast<double>(d));
    CHECK(table.rows()[1].non_finite == planted);
    CHECK(table.rows()[1].positive + table.rows()[1].negative == d - planted);
    CHECK(!fedagg::is_finite(table.rows()[1].squared_norm));
  }
}
