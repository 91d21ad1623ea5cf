// SPDX-License-Identifier: MIT
#include <fedagg/attacks/optimal.hpp>

#include <fedagg/attacks/alie.hpp>
#include <fedagg/attacks/inner_product.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/rules/median.hpp>
#include <fedagg/rules/trimmed_mean.hpp>

#include "compiled/rules.hpp"
#include "support/attacks.hpp"

using namespace attacks;
using fedagg::alie;
using fedagg::alie_side;
using fedagg::inner_product;
using fedagg::line_search;
using fedagg::optimal;

static_assert(fedagg::rule_value<optimal<alie>> && fedagg::rule_value<optimal<inner_product>>);

namespace {

/// A rule of the library as the server runs it.
template <class Rule>
auto server(const Rule& rule) {
  return [rule]<class T>(std::span<const std::span<const T>> honest, std::span<T> out) {
    fedagg::cohort clients;
    for (const auto& row : honest) clients.add(row);
    fedagg::workspace space;
    return fedagg::try_aggregate(rule, clients, out, space);
  };
}

/// The damage of a factor, from scratch.
template <class T, class A, class F>
real damage(A attack, double factor, const matrix<T>& x, std::size_t hostile, const F& aggregate) {
  attack.*A::searched() = factor;
  const auto row = craft(attack, x).row;
  auto all = rows(x);
  for (std::size_t i = 0; i < hostile; ++i) all.push_back(row);
  std::vector<T> out(x.d);
  REQUIRE(aggregate(std::span<const std::span<const T>>(all), std::span<T>(out)) == errc::ok);
  std::vector<real> mean;
  for (std::size_t j = 0; j < x.d; ++j) mean.push_back(static_cast<real>(moments(x.column(j)).mean));
  std::vector<double> got;
  for (const T v : out) got.push_back(value(v));
  return std::sqrt(square_distance(mean, got));
}

template <class T, class A, class F>
void check(const optimal<A>& attack, const matrix<T>& x, std::size_t hostile, const F& aggregate) {
  const auto m = craft(attack, x, hostile, 0, std::span<const T>(), aggregate);
  REQUIRE(m.code == errc::ok);
  CHECK(m.space.evaluations == static_cast<std::size_t>(attack.steps + attack.refinements + 2));
  CHECK(m.space.strength >= attack.low);
  CHECK(m.space.strength <= attack.high);
  A chosen = attack.base;
  chosen.*A::searched() = m.space.strength;
  CHECK(same_bits(m.row, craft(chosen, x).row));
  const real own = damage(attack.base, m.space.strength, x, hostile, aggregate);
  CHECK(std::abs(m.space.damage - own) <= 1e-12L * (own + 1));
  // No point of a grid thirty times as fine is worse for the server by more than its own spacing explains.
  real best = 0;
  for (int i = 0; i <= 1000; ++i)
    best = std::max(best, damage(attack.base, attack.low + (attack.high - attack.low) * i / 1000, x, hostile, aggregate));
  INFO("factor " << m.space.strength << " damage " << m.space.damage << " best " << static_cast<double>(best));
  CHECK(m.space.damage >= 0.995L * best);
}

struct counted {
  int* made;
  int calls = 0;
  counted(int* m) : made(m) {}
  counted(const counted& c) : made(c.made), calls(c.calls) { ++*made; }
  /// A server that turns hostile to who calls it twice.
  errc operator()(std::span<const std::span<const double>> all, std::span<double> out) {
    if (++calls > 1) return errc::rule_failed;
    for (std::size_t j = 0; j < out.size(); ++j) out[j] = all.back()[j];
    return errc::ok;
  }
};

} // namespace

TEST_CASE("the factor found does as much harm as any other") {
  for (const std::size_t hostile : {1u, 3u}) {
    auto x = sample<double>(kind::normal, 9, 40, hostile);
    for (double& v : x.data) v += 0.2;
    const auto h = static_cast<std::int64_t>(hostile);
    check(optimal<inner_product>{}, x, hostile, server(fedagg::trimmed_mean{.trim = h}));
    check(optimal<inner_product>{.high = 3}, x, hostile, server(fedagg::median{}));
    check(optimal<alie>{}, x, hostile, server(fedagg::trimmed_mean{.trim = h}));
    check(optimal<alie>{.base = {.side = alie_side::above}, .low = 0.5, .high = 2.5}, x, hostile, server(fedagg::median{}));
  }
  const auto x = sample<float>(kind::normal, 9, 40, 1);
  check(optimal<alie>{}, x, 2, server(fedagg::median{}));
}

TEST_CASE("golden sections reach a peak between the grid's points") {
  // The aggregate is 4 - (t - pi)^2 where the hostile row is -t: the peak is known.
  matrix<double> x(1, 1);
  x.data = {1};
  const auto peak = [](std::span<const std::span<const double>> all, std::span<double> out) {
    const double t = -all.back()[0];
    out[0] = 1 + 40 - (t - 3.141592653589793) * (t - 3.141592653589793);
    return errc::ok;
  };
  const auto m = craft(optimal<inner_product>{.refinements = 60}, x, 1, 0, std::span<const double>(), peak);
  REQUIRE(m.code == errc::ok);
  // A parabola is flat to rounding within the root of it.
  CHECK(std::abs(m.space.strength - 3.141592653589793) < 1e-6);
  CHECK(std::abs(m.space.damage - 40) < 1e-12);
  const auto coarse = craft(optimal<inner_product>{.steps = 11, .refinements = 0}, x, 1, 0, std::span<const double>(), peak);
  CHECK(coarse.space.strength == 3);
  CHECK(coarse.space.evaluations == 11);
  // At either end of the range too.
  CHECK(craft(optimal<inner_product>{.low = 5}, x, 1, 0, std::span<const double>(), peak).space.strength == 5);
  CHECK(craft(optimal<inner_product>{.high = 2}, x, 1, 0, std::span<const double>(), peak).space.strength == 2);
}

TEST_CASE("of equal factors the lowest is taken") {
  const auto x = sample<double>(kind::normal, 3, 4, 1);
  const auto deaf = [](std::span<const std::span<const double>>, std::span<double> out) {
    for (double& v : out) v = 7;
    return errc::ok;
  };
  for (const line_search s : {line_search::grid, line_search::shrinking}) {
    const auto m = craft(optimal<inner_product>{.low = 0.25, .search = s}, x, 1, 0, std::span<const double>(), deaf);
    REQUIRE(m.code == errc::ok);
    CHECK(m.space.strength == 0.25);
  }
}

TEST_CASE("every try has a copy of the server's rule and state of its own") {
  const auto x = sample<double>(kind::normal, 3, 4, 1);
  int made = 0;
  const counted rule(&made);
  const auto m = craft(optimal<inner_product>{.steps = 5, .refinements = 0}, x, 1, 0, std::span<const double>(), rule);
  CHECK(m.code == errc::ok);
  CHECK(m.space.strength == 10);
  CHECK(made == 5);
  CHECK(rule.calls == 0);

  // A rule that draws from its stream: the server's own does not move.
  struct noisy {
    fedagg::random_stream stream;
    errc operator()(std::span<const std::span<const double>> all, std::span<double> out) {
      for (double& v : out) v = all.back()[0] * static_cast<double>(stream.below(1000));
      return errc::ok;
    }
  } server_rule{fedagg::random_stream(1, "server")};
  REQUIRE(craft(optimal<inner_product>{}, x, 1, 0, std::span<const double>(), server_rule).code == errc::ok);
  CHECK(server_rule.stream() == fedagg::random_stream(1, "server")());
}

TEST_CASE("a refused round is passed over, and only if all are, its code returned") {
  matrix<double> x(2, 1);
  x.data = {1, 1};
  const auto wary = [](std::span<const std::span<const double>> all, std::span<double> out) {
    if (all.back()[0] < -4) return errc::too_many_rejected;
    out[0] = all.back()[0];
    return errc::ok;
  };
  const auto m = craft(optimal<inner_product>{.refinements = 50}, x, 1, 0, std::span<const double>(), wary);
  REQUIRE(m.code == errc::ok);
  CHECK(m.space.strength <= 4);
  CHECK(m.space.strength > 3.999);
  CHECK(craft(optimal<inner_product>{.low = 5}, x, 1, 0, std::span<const double>(), wary).code == errc::too_many_rejected);
  // Rows that do not fit into the element type are passed over likewise.
  const auto small = sample<fedagg::float16>(kind::constant, 3, 4, 1);
  const auto last = [](std::span<const std::span<const fedagg::float16>> all, std::span<fedagg::float16> out) {
    for (std::size_t j = 0; j < out.size(); ++j) out[j] = all.back()[j];
    return errc::ok;
  };
  const auto fits = craft(optimal<inner_product>{.high = 1e6}, small, 1, 0, std::span<const fedagg::float16>(), last);
  REQUIRE(fits.code == errc::ok);
  CHECK(fits.space.strength < 65520 / 0.69);
  CHECK(fits.space.strength > 0.99 * 65504 / 0.71);
}

TEST_CASE("what optimal refuses") {
  const auto last = [](std::span<const std::span<const float>> all, std::span<float> out) {
    for (std::size_t j = 0; j < out.size(); ++j) out[j] = all.back()[j];
    return errc::ok;
  };
  check_refusals(optimal<inner_product>{}, 1, last);
  check_non_finite(optimal<inner_product>{}, last);
  const auto x = sample<float>(kind::normal, 3, 4, 1);
  const auto code = [&](const auto& a, std::size_t hostile = 1) { return craft(a, x, hostile, 0, std::span<const float>(), last).code; };
  CHECK(code(optimal<inner_product>{}, 0) == errc::bad_parameter);
  CHECK(code(optimal<inner_product>{.low = 3, .high = 3}) == errc::bad_parameter);
  CHECK(code(optimal<inner_product>{.low = 3, .high = 2}) == errc::bad_parameter);
  CHECK(code(optimal<inner_product>{.low = -1}) == errc::bad_parameter);
  CHECK(code(optimal<inner_product>{.steps = 1}) == errc::bad_parameter);
  CHECK(code(optimal<inner_product>{.refinements = -1}) == errc::bad_parameter);
  CHECK(code(optimal<inner_product>{.search = static_cast<line_search>(2)}) == errc::bad_parameter);
  CHECK(code(optimal<alie>{.base = {.ddof = 2}}) == errc::bad_parameter);
}
