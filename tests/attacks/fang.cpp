// SPDX-License-Identifier: MIT
#include <fedagg/attacks/fang.hpp>

#include <fedagg/rules/krum.hpp>
#include <fedagg/rules/median.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

#include "compiled/rules.hpp"
#include "support/attacks.hpp"
#include "support/geometry.hpp"

using namespace attacks;
using fedagg::fang;
using fedagg::fang_target;
using fedagg::nearest;

static_assert(fedagg::attack<fang>);

namespace {

/// From the honest extreme outwards, by the paper's four cases.
struct interval {
  quad near, far;
};
interval allowed(std::vector<double> x, double b, bool down) {
  std::sort(x.begin(), x.end());
  const double low = x.front(), high = x.back();
  if (down) return {low, low > 0 ? divide(low, b) : multiply(low, b)};
  return {high, high > 0 ? multiply(high, b) : divide(high, b)};
}

template <class T>
void check_intervals(const matrix<T>& x, double b, const std::vector<T>& direction) {
  const auto end = craft(fang{.b = b, .deterministic = true}, x, 2, 0, std::span<const T>(direction));
  const auto drawn = craft(fang{.b = b, .seed = 3}, x, 2, 0, std::span<const T>(direction));
  REQUIRE(end.code == errc::ok);
  REQUIRE(drawn.code == errc::ok);
  std::string wrong;
  for (std::size_t j = 0; j < x.d; ++j) {
    const auto column = x.column(j);
    const bool down = direction.empty() ? moments(column).mean > 0 : value(direction[j]) > 0;
    const interval i = allowed(column, b, down);
    if (!rounds_to<T>(end.row[j], i.far, magnitude(i.far) * unit)) wrong = "the end of " + std::to_string(j);
    const quad low = down ? i.far : i.near, high = down ? i.near : i.far;
    const quad slack = half_ulp<T>(magnitude(i.far) + magnitude(i.near));
    if (quad(value(drawn.row[j])) < low - slack || quad(value(drawn.row[j])) > high + slack) wrong = "the draw of " + std::to_string(j);
  }
  CHECK(wrong == "");
}

template <class T>
void check_all() {
  for (const double shift : {0.0, 0.5, 5.0, -5.0})
    for (const double b : {1.0, 2.0, 3.7})
      for (const std::size_t d : {1u, 256u, 600u}) {
        auto x = sample<T>(kind::normal, 7, d, 5);
        for (T& v : x.data) v = stored<T>(value(v) + shift);
        INFO(format<T>::name << " shift=" << shift << " b=" << b << " d=" << d);
        check_intervals(x, b, {});
        check_intervals(x, b, sample<T>(kind::ties, 1, d, 9).data);
      }
}

matrix<double> with(const matrix<double>& honest, const std::vector<double>& bad, std::size_t copies) {
  matrix<double> all(honest.n + copies, honest.d);
  std::copy(honest.data.begin(), honest.data.end(), all.data.begin());
  for (std::size_t c = 0; c < copies; ++c)
    std::copy(bad.begin(), bad.end(), all.data.begin() + static_cast<std::ptrdiff_t>((honest.n + c) * honest.d));
  return all;
}

/// Whether Krum, from the coordinates in long double, takes a hostile row.
bool taken(const fedagg::krum& rule, const matrix<double>& all, std::size_t honest) {
  shapes::matrix x;
  for (std::size_t i = 0; i < all.n; ++i) x.emplace_back(all.row(i).begin(), all.row(i).end());
  const auto a = shapes::solve(rule, shapes::shape(x));
  REQUIRE(a.code == errc::ok);
  return a.selected().at(0) >= honest;
}

/// The bound of the paper, from the coordinates.
real first_lambda(const matrix<double>& x, std::size_t c, std::size_t f) {
  const std::size_t m = x.n + c;
  real least = std::numeric_limits<real>::max(), furthest = 0;
  for (std::size_t i = 0; i < x.n; ++i) {
    std::vector<real> d;
    for (std::size_t j = 0; j < x.n; ++j)
      if (j != i) d.push_back(std::sqrt(square_distance(x.row(i), x.row(j))));
    std::sort(d.begin(), d.end());
    real sum = 0;
    for (std::size_t k = 0; k < std::min(d.size(), m - f - 2); ++k) sum += d[k];
    least = std::min(least, sum);
    furthest = std::max(furthest, std::sqrt(square_distance(std::vector<real>(x.d), x.row(i))));
  }
  return (least / static_cast<real>(std::max<std::size_t>(m - f, c + 2) - c - 1) + furthest) / std::sqrt(static_cast<real>(x.d));
}

} // namespace

TEST_CASE("every coordinate lies between the honest extreme and b times it, against the direction") {
  SECTION("f32") { check_all<float>(); }
  SECTION("f64") { check_all<double>(); }
  SECTION("f16") { check_all<fedagg::float16>(); }
  SECTION("bf16") { check_all<fedagg::bfloat16>(); }
}

TEST_CASE("the sign of the extreme is tested on both sides") {
  // Direction up with a negative and a positive least value, down with a negative and a positive greatest.
  matrix<double> x(2, 4);
  x.data = {-1, 1, -4, -1, 3, 3, -2, 0.5};
  x.at(1, 3) = 0.25;
  CHECK(craft(fang{.deterministic = true}, x).row == std::vector<double>{-2, 0.5, -1, 0.5});
  // A published code tests the greatest value on both sides: its first coordinate would be -0.5, between the honest ones.
  CHECK(craft(fang{.deterministic = true}, x).row[0] < -1);
}

TEST_CASE("draws are uniform and named by their seed") {
  matrix<double> x(2, 20000);
  for (double& v : x.data) v = 1;
  const auto row = craft(fang{.b = 3, .seed = 1}, x).row;
  real mean = 0, square = 0;
  for (const double v : row) {
    const real share = (1 - real(v)) / (1 - 1 / real(3));
    mean += share / 20000;
    square += share * share / 20000;
  }
  CHECK(std::abs(mean - 0.5L) < 5 * std::sqrt(1 / (12 * 20000.0L)));
  CHECK(std::abs(square - 1 / 3.0L) < 5 * std::sqrt(4 / (45 * 20000.0L)));
  CHECK(same_bits(row, craft(fang{.b = 3, .seed = 1}, x).row));
  CHECK(!same_bits(row, craft(fang{.b = 3, .seed = 2}, x).row));
  fedagg::random_stream stream(1, "fang");
  const real first = 1 - real(stream() >> 11) / 9007199254740992.0L * (1 - 1 / real(3));
  CHECK(std::abs(row[0] - first) < 1e-15L);
}

TEST_CASE("median and trimmed mean are pushed against the direction in every coordinate") {
  auto honest = sample<double>(kind::normal, 8, 200, 4);
  for (double& v : honest.data) v += 0.3;
  const auto all = with(honest, craft(fang{.seed = 1}, honest, 3).row, 3);
  for (const bool trimmed : {false, true}) {
    const auto before = trimmed ? aggregated(fedagg::trimmed_mean{.trim = 0}, honest) : aggregated(fedagg::median{}, honest);
    const auto after = trimmed ? aggregated(fedagg::trimmed_mean{.trim = 3}, all) : aggregated(fedagg::median{}, all);
    REQUIRE(before.size() == 200);
    REQUIRE(after.size() == 200);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < 200 && !trimmed; ++j) wrong += moments(honest.column(j)).mean > 0 ? !(after[j] < before[j]) : !(after[j] > before[j]);
    // The trimmed mean of the honest middle: three hostile values displace the three extremes of that side.
    for (std::size_t j = 0; j < 200 && trimmed; ++j) {
      auto c = honest.column(j);
      std::sort(c.begin(), c.end());
      const bool down = moments(c).mean > 0;
      const real want = down ? (real(c[0]) + c[1] + c[2] + c[3] + c[4]) / 5 : (real(c[3]) + c[4] + c[5] + c[6] + c[7]) / 5;
      wrong += !(std::abs(after[j] - want) < 1e-14L);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("Krum takes the crafted row, and would not take one twice as far") {
  std::size_t halved = 0, won = 0;
  for (const std::size_t n : {5u, 9u, 20u, 30u})
    for (std::size_t f = 1; 2 * f + 3 <= n; f += 2)
      for (const double shift : {0.0, 0.4, 3.0}) {
        auto honest = sample<double>(kind::normal, n - f, 300, n * 10 + f);
        for (double& v : honest.data) v += shift;
        for (int preset = 0; preset < 4; ++preset) {
          const auto h = static_cast<std::int64_t>(f);
          const fedagg::krum rule = preset == 0 ? fedagg::krum::blanchard(h) : preset == 1 ? fedagg::krum::byzfl(h) : preset == 2 ? fedagg::krum::fedlib(h) : fedagg::krum::fedml(h);
          const fang a{.target = fang_target::krum, .neighbours = rule.neighbours, .power = rule.power};
          const auto m = craft(a, honest, f);
          INFO("n=" << n << " f=" << f << " shift=" << shift << " preset=" << preset << " lambda=" << m.space.strength);
          REQUIRE(m.code == errc::ok);
          REQUIRE(m.space.evaluations >= 1);
          const real first = first_lambda(honest, f, f);
          const real halvings = std::exp2(real(m.space.evaluations - 1));
          CHECK(std::abs(m.space.strength * halvings - first) <= 1e-12L * first);
          std::size_t wrong = 0;
          for (std::size_t j = 0; j < 300; ++j) wrong += m.row[j] != (moments(honest.column(j)).mean > 0 ? -1 : 1) * m.space.strength;
          CHECK(wrong == 0);
          CHECK(taken(rule, with(honest, m.row, f), n - f) == !m.space.gave_up);
          won += !m.space.gave_up;
          if (m.space.evaluations == 1) continue;
          ++halved;
          auto twice = m.row;
          for (double& v : twice) v *= 2;
          CHECK(!taken(rule, with(honest, twice, f), n - f));
        }
      }
  CHECK(halved > 50);
  CHECK(won > 50);
}

TEST_CASE("Krum's f is not the number of hostile rows, and the row that it takes is another") {
  std::size_t won = 0, missed = 0;
  for (const std::size_t n : {9u, 20u, 30u})
    for (const std::size_t hostile : {1u, 2u, 5u, 9u})
      for (std::size_t f = 0; 2 * f + 3 <= n; f += 2) {
        if (2 * hostile + 3 > n || f == hostile) continue;
        auto honest = sample<double>(kind::normal, n - hostile, 20, n * 100 + hostile * 10 + f);
        for (double& v : honest.data) v += 0.3 * static_cast<double>(f % 3);
        const fedagg::krum server{.f = static_cast<std::int64_t>(f)};
        const auto m = craft(fang{.target = fang_target::krum, .f = server.f}, honest, hostile);
        INFO("n=" << n << " hostile=" << hostile << " f=" << f << " lambda=" << m.space.strength);
        REQUIRE(m.code == errc::ok);
        const real first = first_lambda(honest, hostile, f);
        CHECK(std::abs(m.space.strength * std::exp2(real(m.space.evaluations - 1)) - first) <= 1e-12L * first);
        CHECK(taken(server, with(honest, m.row, hostile), n - hostile) == !m.space.gave_up);
        won += !m.space.gave_up;
        if (m.space.evaluations > 1) {
          auto twice = m.row;
          for (double& v : twice) v *= 2;
          CHECK(!taken(server, with(honest, twice, hostile), n - hostile));
        }
        // Aimed at a Krum with another f it misses this one, or goes less far.
        const auto other = craft(fang{.target = fang_target::krum}, honest, hostile);
        REQUIRE(other.code == errc::ok);
        missed += !m.space.gave_up && !taken(server, with(honest, other.row, hostile), n - hostile);
      }
  CHECK(won > 10);
  CHECK(missed > 0);
}

TEST_CASE("the search for lambda gives up below its threshold, and says so") {
  auto honest = sample<double>(kind::normal, 8, 40, 3);
  for (double& v : honest.data) v += 50;
  const auto m = craft(fang{.target = fang_target::krum, .threshold = 1}, honest, 1);
  REQUIRE(m.code == errc::ok);
  CHECK(m.space.gave_up);
  CHECK(m.space.strength >= 1);
  CHECK(m.space.strength < 2);
  CHECK(!taken(fedagg::krum::blanchard(1), with(honest, m.row, 1), 8));
  // Without a threshold it ends all the same.
  CHECK(craft(fang{.target = fang_target::krum, .threshold = 0}, honest, 1).space.gave_up);
}

TEST_CASE("lambda is what the element type holds") {
  const auto x = sample<fedagg::bfloat16>(kind::normal, 9, 50, 3);
  const auto m = craft(fang{.target = fang_target::krum}, x, 3);
  REQUIRE(m.code == errc::ok);
  for (const auto v : m.row) CHECK(std::abs(value(v)) == m.space.strength);
}

TEST_CASE("the direction is an argument, and zero has none") {
  const auto honest = sample<double>(kind::normal, 9, 6, 3);
  const std::vector<double> direction{1, -2, 0, 3, 0, -1};
  const auto m = craft(fang{.target = fang_target::krum}, honest, 3, 0, std::span<const double>(direction));
  REQUIRE(m.code == errc::ok);
  for (std::size_t j = 0; j < 6; ++j) CHECK(m.row[j] == (direction[j] > 0 ? -1 : direction[j] < 0 ? 1 : 0) * m.space.strength);
  const std::vector<double> none(6);
  const auto still = craft(fang{.target = fang_target::krum}, honest, 3, 0, std::span<const double>(none));
  REQUIRE(still.code == errc::ok);
  CHECK(still.space.no_direction);
  CHECK(still.row == none);
  // For median and trimmed mean a zero counts as negative: the hostile value lies above.
  const auto up = craft(fang{.deterministic = true}, honest, 3, 0, std::span<const double>(none)).row;
  for (std::size_t j = 0; j < 6; ++j) {
    const auto c = honest.column(j);
    CHECK(up[j] >= *std::max_element(c.begin(), c.end()));
  }
}

TEST_CASE("what fang refuses") {
  check_refusals(fang{.seed = 1});
  check_refusals(fang{.deterministic = true});
  check_non_finite(fang{.seed = 1});
  const auto x = sample<float>(kind::normal, 9, 4, 1);
  CHECK(craft(fang{}, x).code == errc::bad_parameter);
  CHECK(craft(fang{.b = 0.5, .seed = 1}, x).code == errc::bad_parameter);
  CHECK(craft(fang{.target = static_cast<fang_target>(2), .seed = 1}, x).code == errc::bad_parameter);
  CHECK(craft(fang{.b = 1e39, .deterministic = true}, x).code == errc::overflow);
  const fang krum{.target = fang_target::krum};
  CHECK(craft(krum, x, 0).code == errc::bad_parameter);
  CHECK(craft(krum, x, 2, 12).code == errc::bad_parameter);
  CHECK(craft(krum, x, 2, 11).code == errc::ok);
  CHECK(craft(krum, x, 6).code == errc::ok);
  CHECK(craft(krum, x, 7).code == errc::too_few_clients);
  CHECK(craft(fang{.target = fang_target::krum, .f = 5}, x, 7).code == errc::ok);
  CHECK(craft(fang{.target = fang_target::krum, .f = 7}, x, 7).code == errc::too_few_clients);
  CHECK(craft(fang{.target = fang_target::krum, .f = -2}, x, 7).code == errc::bad_parameter);
  CHECK(craft(fang{.target = fang_target::krum, .power = 5}, x, 2).code == errc::bad_parameter);
  CHECK(craft(fang{.target = fang_target::krum, .neighbours = static_cast<nearest>(4)}, x, 2).code == errc::bad_parameter);
  CHECK(craft(fang{.target = fang_target::krum, .threshold = -1}, x, 2).code == errc::bad_parameter);
  auto bad = x;
  bad.at(8, 3) = std::bit_cast<float>(0x7fc00000u);
  CHECK(craft(krum, bad, 2).code == errc::non_finite);
  const std::vector<float> nowhere{1, 2, std::bit_cast<float>(0x7f800000u), 4};
  CHECK(craft(krum, x, 2, 0, std::span<const float>(nowhere)).code == errc::non_finite);
}
