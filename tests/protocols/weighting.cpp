// SPDX-License-Identifier: MIT
#include <fedagg/protocols/weighting.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>

#include "compiled/rules.hpp"
#include "support/exponentials.hpp"

using namespace numeric;
using fedagg::decay;
using fedagg::errc;
using fedagg::loss_form;
using fedagg::loss_weighting;
using fedagg::staleness;

namespace {

using vector = std::vector<double>;
using real = long double;

const double infinity = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
const double nan_value = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
constexpr double most = fedagg::detail::largest_double;

bool is_nan(double x) { return (std::bit_cast<std::uint64_t>(x) << 1) > (std::uint64_t{0x7ff} << 53); }
bool near(double got, real want, real relative = 1e-15L) { return std::abs(got - want) <= relative * std::abs(want); }

/// Called in the worst floating-point mode.
template <class F>
errc call(const F& f) {
  const mode callers(worst);
  return f();
}

/// The level of a cap by bisection on share * sum min(w, t) - t, which rises and then falls.
real level_of(real share, const vector& w) {
  real low = 0, high = 0;
  for (const double x : w) high = std::max(high, real(x));
  for (const double x : w)
    if (x > 0 && (low == 0 || x < low)) low = x;
  for (int k = 0; k < 200; ++k) {
    const real t = (low + high) / 2;
    real sum = 0;
    for (const double x : w) sum += std::min(real(x), t);
    (share * sum >= t ? low : high) = t;
  }
  return high;
}

} // namespace

static_assert(fedagg::rule_value<loss_weighting>);

TEST_CASE("sample counts are weights as they are") {
  standard_mode();
  const std::vector<std::uint64_t> n{5, 0, 7, std::uint64_t{1} << 53};
  CHECK(fedagg::sample_weights(n) == vector{5, 0, 7, 0x1p53});
  vector out{-1, -1, -1};
  CHECK(fedagg::try_sample_weights(n, out) == errc::weight_count);
  CHECK(fedagg::try_sample_weights({}, {}) == errc::empty_cohort);
  CHECK(fedagg::try_sample_weights(std::vector<std::uint64_t>{0, 0, 0}, out) == errc::zero_weight_sum);
  CHECK(fedagg::try_sample_weights(std::vector<std::uint64_t>{1, (std::uint64_t{1} << 53) + 1, 1}, out) == errc::integer_range);
  CHECK(out == vector{-1, -1, -1});
  CHECK(fedagg::uniform_weights(3) == vector{1, 1, 1});
  CHECK(fedagg::try_uniform_weights({}) == errc::empty_cohort);
}

TEST_CASE("losses as a softmax, and as a power") {
  standard_mode();
  std::mt19937_64 random(1);
  for (const double strength : {0.0, 1.0, 0.3, -2.0, 40.0})
    for (const auto form : {loss_form::softmax, loss_form::power}) {
      if (form == loss_form::power && strength < 0) continue;
      vector losses(17), out(17);
      for (double& f : losses) f = 1 + uniform(random);
      REQUIRE(call([&] { return fedagg::try_loss_weights({form, strength}, losses, out); }) == errc::ok);
      const auto [low, high] = std::minmax_element(losses.begin(), losses.end());
      for (std::size_t i = 0; i < losses.size(); ++i) {
        const double by = strength < 0 ? *low : *high;
        const quad want = form == loss_form::softmax ? exponential_of(multiply(strength, add(losses[i], -by)))
                                                     : power_of(losses[i] / by, strength);
        // The quotient is rounded, and then raised.
        CHECK(near(out[i], static_cast<real>(want), 1e-15L * (2 + std::abs(real(strength)))));
      }
      CHECK(*std::max_element(out.begin(), out.end()) == 1);
    }
}

TEST_CASE("losses that are zero, huge or far apart give weights and no NaN") {
  standard_mode();
  const auto of = [](loss_weighting how, const vector& losses) {
    vector out(losses.size());
    const errc rc = call([&] { return fedagg::try_loss_weights(how, losses, out); });
    return rc == errc::ok ? out : vector{};
  };
  CHECK(of({loss_form::power, 2}, {0, 0}) == vector{1, 1});
  CHECK(of({loss_form::power, 0}, {0, 3}) == vector{1, 1});
  CHECK(of({loss_form::power, 2}, {0, 3, 6}) == vector{0, 0.25, 1});
  CHECK(of({loss_form::power, 1}, {most, most / 4}) == vector{1, 0.25});
  CHECK(of({loss_form::softmax, 1}, {most, -most, 0}) == vector{1, 0, 0});
  CHECK(of({loss_form::softmax, -1}, {most, -most, 0}) == vector{0, 1, 0});
  CHECK(of({loss_form::softmax, 0}, {most, -most, 0}) == vector{1, 1, 1});
  CHECK(of({loss_form::softmax, -0.0}, {1, 2}) == vector{1, 1});
  CHECK(of({loss_form::softmax, 9007199254740992.0}, {most, -most}) == vector{1, 0});
  CHECK(of({loss_form::softmax, 1}, {-3}) == vector{1});
}

TEST_CASE("a loss that makes no sense becomes a weight that the round rejects") {
  standard_mode();
  vector out(4);
  REQUIRE(fedagg::try_loss_weights({}, vector{1, nan_value, 1, -infinity}, out) == errc::ok);
  CHECK(out[0] == 1);
  CHECK(is_nan(out[1]));
  CHECK(out[2] == 1);
  CHECK(is_nan(out[3]));
  REQUIRE(fedagg::try_loss_weights({loss_form::power, 1}, vector{1, -1, 2, 0}, out) == errc::ok);
  CHECK(out[0] == 0.5);
  CHECK(is_nan(out[1]));

  const std::vector<float> a{1, 2}, b{100, 100}, c{3, 4}, d{0, 0};
  fedagg::cohort clients;
  clients.add(a).add(b, {.weight = 1, .id = "b"}).add(c).add(d).weights(out);
  std::vector<float> global(2);
  fedagg::workspace space;
  REQUIRE(fedagg::try_aggregate(fedagg::mean{}, clients, global, space) == errc::ok);
  REQUIRE(space.result().rejected.size() == 1);
  CHECK(space.result().rejected[0].id == "b");
  CHECK(space.result().rejected[0].reason == errc::invalid_weight);
  CHECK(global[0] == (0.5f * 1 + 3) / 1.5f);

  vector same{7, 7, 7, 7};
  CHECK(fedagg::try_loss_weights({}, vector{nan_value, infinity, nan_value, nan_value}, same) == errc::zero_weight_sum);
  CHECK(fedagg::try_loss_weights({loss_form::power, -1}, vector{1, 2, 3, 4}, same) == errc::bad_parameter);
  CHECK(fedagg::try_loss_weights({loss_form::power, infinity}, vector{1, 2, 3, 4}, same) == errc::bad_parameter);
  CHECK(fedagg::try_loss_weights({loss_form::softmax, nan_value}, vector{1, 2, 3, 4}, same) == errc::bad_parameter);
  CHECK(fedagg::try_loss_weights({}, vector{1, 2, 3}, same) == errc::weight_count);
  CHECK(fedagg::try_loss_weights({}, {}, {}) == errc::empty_cohort);
  CHECK(same == vector{7, 7, 7, 7});
}

TEST_CASE("weights by age") {
  standard_mode();
  const std::vector<std::uint64_t> ages{0, 3, 8};
  CHECK(fedagg::staleness_weights({}, ages) == vector{1, 0.5, 1.0 / 3});
  CHECK(fedagg::staleness_weights({.kind = decay::hinge, .a = 1, .b = 3}, ages) == vector{1, 1, 1.0 / 6});
  vector out(3, 7);
  CHECK(fedagg::try_staleness_weights({.kind = decay::polynomial}, ages, out) == errc::bad_parameter);
  CHECK(fedagg::try_staleness_weights({}, std::vector<std::uint64_t>{1}, out) == errc::weight_count);
  CHECK(fedagg::try_staleness_weights({.kind = decay::polynomial, .a = 1e15}, std::vector<std::uint64_t>{5, 6, 7}, out) ==
        errc::zero_weight_sum);
  CHECK(out == vector{7, 7, 7});
}

TEST_CASE("products of weights stay in range, and what is no weight stays none") {
  standard_mode();
  const auto product = [](const vector& f, vector w) {
    return call([&] { return fedagg::try_multiply_weights(f, w); }) == errc::ok ? w : vector{};
  };
  CHECK(product({2, 3, 0}, {10, 0.1, 5}) == vector{20, 3 * 0.1, 0});
  const vector large = product({most, 1, most}, {most, 1, most / 2});
  REQUIRE(large.size() == 3);
  CHECK(large[0] == 2 * large[2]);
  CHECK(large[1] < 0x1p-1000);
  const vector small = product({0x1p-1000, 0x1p-1001}, {0x1p-1000, 0x1p-1000});
  REQUIRE(small.size() == 2);
  CHECK(small[0] > 0);
  CHECK(small[0] == 2 * small[1]);
  // Each other's reciprocals.
  CHECK(product({0x1p-1074, 0x1p1023}, {0x1p1023, 0x1p-1074}) == vector{0x1p-51, 0x1p-51});
  const vector bad = product({1, nan_value, 2, 2}, {1, 1, -1, infinity});
  REQUIRE(bad.size() == 4);
  CHECK(bad[0] == 1);
  CHECK(is_nan(bad[1]));
  CHECK(is_nan(bad[2]));
  CHECK(is_nan(bad[3]));
  vector same{1, 2};
  CHECK(fedagg::try_multiply_weights(vector{0, 0}, same) == errc::zero_weight_sum);
  CHECK(fedagg::try_multiply_weights(vector{1}, same) == errc::weight_count);
  CHECK(same == vector{1, 2});
}

TEST_CASE("a cap is the fixed point: the heaviest hold their share of what is left, and nobody else is touched") {
  standard_mode();
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 1 + random() % 40;
    vector w(n);
    for (double& x : w) x = std::exp(3 * (uniform(random) + uniform(random))) * (random() % 9 ? 1 : 0);
    const std::size_t positive = n - static_cast<std::size_t>(std::count(w.begin(), w.end(), 0.0));
    if (positive == 0) continue;
    const double share = std::min(1.0, (1.0 + std::abs(uniform(random)) * 3) / static_cast<double>(positive));
    vector got = w;
    REQUIRE(call([&] { return fedagg::try_cap_weights(share, got); }) == errc::ok);
    const real level = level_of(share, w);
    real sum = 0;
    for (const double x : got) sum += x;
    INFO("n=" << n << " share=" << text(share) << " round " << round);
    for (std::size_t i = 0; i < n; ++i) {
      CHECK(got[i] <= share * sum * (1 + 1e-14L));
      if (w[i] < level * (1 - 1e-12L)) CHECK(got[i] == w[i]);
      else CHECK(near(got[i], std::min(real(w[i]), level), 1e-12L));
    }
    // Any order of clients gives the same weights.
    vector turned(w.rbegin(), w.rend());
    REQUIRE(fedagg::try_cap_weights(share, turned) == errc::ok);
    CHECK(vector(turned.rbegin(), turned.rend()) == got);
    // Capping what is capped already changes nothing beyond rounding.
    vector again = got;
    REQUIRE(fedagg::try_cap_weights(share, again) == errc::ok);
    for (std::size_t i = 0; i < n; ++i) CHECK(near(again[i], got[i], 1e-13L));
  }
}

TEST_CASE("one step would not be enough: cutting one client puts the next one over its share") {
  vector w{1000, 100, 10, 1, 1, 1};
  REQUIRE(fedagg::try_cap_weights(0.25, w) == errc::ok);
  // Three are cut: t = (t + t + t + 3) / 4.
  CHECK(w == vector{3, 3, 3, 1, 1, 1});
  vector loose{5, 1, 1, 1, 1, 1};
  REQUIRE(fedagg::try_cap_weights(0.5, loose) == errc::ok);
  CHECK(loose == vector{5, 1, 1, 1, 1, 1});
  vector all{5, 1};
  REQUIRE(fedagg::try_cap_weights(1, all) == errc::ok);
  CHECK(all == vector{5, 1});
}

TEST_CASE("a share of one n-th makes all weights equal, and less is impossible") {
  for (std::size_t n = 1; n < 200; ++n) {
    vector w(n + 1, 0.0);
    for (std::size_t i = 0; i < n; ++i) w[i] = static_cast<double>(i + 2);
    INFO("n=" << n);
    REQUIRE(fedagg::try_cap_weights(1 / static_cast<double>(n), w) == errc::ok);
    CHECK(w[0] == 2);
    CHECK(w[n - 1] == 2);
    CHECK(w[n] == 0);
    CHECK(fedagg::try_cap_weights(1 / static_cast<double>(n) - 1e-6, w) == errc::bad_parameter);
  }
}

TEST_CASE("weights at the ends of the range are capped, and what is no weight is left alone") {
  standard_mode();
  vector w{most, most, most / 2, nan_value, -1, 0};
  REQUIRE(call([&] { return fedagg::try_cap_weights(0.35, w); }) == errc::ok);
  // t = 0.35 (2 t + M / 2).
  CHECK(near(w[0], real(0.35) / 2 / (1 - 2 * real(0.35)) * most));
  CHECK(w[0] == w[1]);
  CHECK(w[2] == most / 2);
  CHECK(is_nan(w[3]));
  CHECK(w[4] == -1);
  const double least = std::bit_cast<double>(std::uint64_t{1});
  vector tiny{4 * least, least, least, least};
  REQUIRE(call([&] { return fedagg::try_cap_weights(0.4, tiny); }) == errc::ok);
  CHECK(tiny[0] == 2 * least);
  vector far{most, least, least};
  REQUIRE(call([&] { return fedagg::try_cap_weights(0.5, far); }) == errc::ok);
  CHECK(far[0] == 2 * least);
  for (const double share : {0.0, -0.1, 1.1, nan_value, infinity}) CHECK(fedagg::try_cap_weights(share, far) == errc::bad_parameter);
  vector none{0, 0, nan_value};
  CHECK(fedagg::try_cap_weights(0.5, none) == errc::zero_weight_sum);
  CHECK(fedagg::try_cap_weights(0.5, {}) == errc::empty_cohort);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("the owning calls throw the same codes") {
  const auto code = [](const auto& f) {
    try {
      f();
    } catch (const fedagg::error& e) {
      return e.code();
    }
    return errc::ok;
  };
  CHECK(code([] { fedagg::sample_weights({}); }) == errc::empty_cohort);
  CHECK(code([] { fedagg::capped_weights(0.1, vector{1, 2}); }) == errc::bad_parameter);
  CHECK(code([] { fedagg::loss_weights({}, vector{nan_value}); }) == errc::zero_weight_sum);
  CHECK(fedagg::capped_weights(0.5, vector{7, 2, 1}) == vector{3, 2, 1});
}
#endif
