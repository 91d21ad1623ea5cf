// SPDX-License-Identifier: MIT
#include <fedagg/protocols/afl.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::afl;
using fedagg::afl_state;
using fedagg::errc;

namespace {

using real = long double;
using vector = std::vector<double>;
using places = std::vector<std::size_t>;

const double infinity = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
const double nan_value = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});

/// The projection by the definition of Duchi et al., in long double.
std::vector<real> projected(const std::vector<real>& v) {
  std::vector<real> sorted = v;
  std::sort(sorted.rbegin(), sorted.rend());
  real sum = 0, theta = 0;
  for (std::size_t j = 0; j < sorted.size(); ++j) {
    sum += sorted[j];
    const real t = (sum - 1) / real(j + 1);
    if (sorted[j] - t > 0) theta = t;
  }
  std::vector<real> out;
  for (const real x : v) out.push_back(std::max(x - theta, real(0)));
  return out;
}

real distance(std::span<const double> a, const std::vector<real>& b) {
  real most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

vector kept(std::span<const double> x) { return {x.begin(), x.end()}; }

/// An archive in memory.
struct memory {
  bool reading = false;
  std::map<std::string, std::uint64_t> values;
  std::map<std::string, vector> arrays;
  bool loading() const { return reading; }
  errc value(std::string_view name, std::uint64_t& x) {
    if (!reading) values[std::string(name)] = x;
    else x = values[std::string(name)];
    return errc::ok;
  }
  errc array(std::string_view name, vector& x) {
    if (!reading) arrays[std::string(name)] = x;
    else x = arrays[std::string(name)];
    return errc::ok;
  }
};

} // namespace

static_assert(fedagg::rule_value<afl>);

TEST_CASE("lambda follows the losses and stays on the simplex, step by step as the paper has it") {
  standard_mode();
  std::mt19937_64 random(1);
  for (const std::size_t n : {1u, 2u, 5u, 40u})
    for (const double step : {0.0, 0.01, 0.3, 10.0}) {
      afl_state state(n);
      std::vector<real> want(n, 1 / real(n));
      CHECK(distance(state.lambda(), want) < 2e-17L);
      for (int round = 0; round < 8; ++round) {
        // All of them, or some: their losses then count n / |S| times.
        places who;
        for (std::size_t i = 0; i < n; ++i)
          if (round % 2 == 0 || random() % 2) who.push_back(i);
        if (who.empty()) who.push_back(0);
        std::shuffle(who.begin(), who.end(), random);
        vector losses(who.size());
        for (double& f : losses) f = 1 + uniform(random);
        for (std::size_t k = 0; k < who.size(); ++k) want[who[k]] += real(step) * real(n) / real(who.size()) * losses[k];
        want = projected(want);
        {
          const mode callers(worst);
          if (state.try_update({.step = step}, who, losses) != errc::ok) want.clear();
        }
        REQUIRE(want.size() == n);
        INFO("n=" << n << " step=" << step << " round " << round);
        CHECK(distance(state.lambda(), want) < 1e-14L);
        CHECK(state.rounds() == static_cast<std::uint64_t>(round + 1));
      }
    }
}

TEST_CASE("the worst mixture of clients is found: gradient descent against it reaches the minimax point") {
  standard_mode();
  // Losses (w - 0)^2 and 2 (w - 3)^2: equal where w = sqrt 2 (3 - w), and no mixture of the two is worse.
  afl_state state(2);
  double w = 0;
  real average = 0, sum = 0;
  for (int round = 1; round <= 40000; ++round) {
    const auto lambda = state.lambda();
    w -= 0.5 / std::sqrt(round) * (lambda[0] * 2 * w + lambda[1] * 4 * (w - 3));
    const vector losses{w * w, 2 * (w - 3) * (w - 3)};
    REQUIRE(state.try_update({.step = 0.1 / std::sqrt(round)}, losses) == errc::ok);
    average += w / std::sqrt(real(round));
    sum += 1 / std::sqrt(real(round));
  }
  const real best = 3 * std::sqrt(real(2)) / (1 + std::sqrt(real(2)));
  CHECK(std::abs(average / sum - best) < 0.02L);
}

TEST_CASE("participants in another order, and saved and loaded: the same bits") {
  const places who{3, 0, 2}, turned{2, 3, 0};
  afl_state a(4), b(4);
  REQUIRE(a.try_update({.step = 0.1}, who, vector{1, 0.3, 2}) == errc::ok);
  REQUIRE(b.try_update({.step = 0.1}, turned, vector{2, 1, 0.3}) == errc::ok);
  CHECK(kept(a.lambda()) == kept(b.lambda()));
  memory m;
  REQUIRE(a.archive(m) == errc::ok);
  m.reading = true;
  afl_state loaded;
  REQUIRE(loaded.archive(m) == errc::ok);
  CHECK(loaded.rounds() == 1);
  CHECK(kept(loaded.lambda()) == kept(a.lambda()));
  REQUIRE(loaded.try_update({.step = 0.1}, who, vector{1, 0.3, 2}) == errc::ok);
  REQUIRE(a.try_update({.step = 0.1}, who, vector{1, 0.3, 2}) == errc::ok);
  CHECK(kept(loaded.lambda()) == kept(a.lambda()));
}

TEST_CASE("a file with something else than a point of the simplex is refused") {
  for (const vector& lambda : {vector{}, vector{0.5, 0.6}, vector{1.5, -0.5}, vector{nan_value, 1}, vector{infinity}, vector{0.4, 0.5},
                               vector{0, 0}}) {
    memory m;
    m.reading = true;
    m.arrays["lambda"] = lambda;
    afl_state loaded;
    CHECK(loaded.archive(m) == errc::file_format);
  }
}

TEST_CASE("weights of the participants") {
  afl_state state(3);
  REQUIRE(state.try_update({.step = 0.5}, vector{1, 0, 0}) == errc::ok);
  // (5/6, 1/3, 1/3) less 1/6 each.
  CHECK(state.weights(places{2, 0})[1] == Approx(2.0 / 3));
  CHECK(state.weights(places{2, 0})[0] == Approx(1.0 / 6));
  REQUIRE(state.try_update({.step = 100}, vector{1, 0, 0}) == errc::ok);
  CHECK(kept(state.lambda()) == vector{1, 0, 0});
  vector out{7, 7};
  CHECK(state.try_weights(places{1, 2}, out) == errc::zero_weight_sum);
  CHECK(state.try_weights(places{1, 3}, out) == errc::unknown_client);
  CHECK(state.try_weights(places{1, 1}, out) == errc::duplicate_client);
  CHECK(state.try_weights(places{1}, out) == errc::weight_count);
  CHECK(state.try_weights({}, {}) == errc::empty_cohort);
  CHECK(out == vector{7, 7});
}

TEST_CASE("losses that make no sense are left out and named; huge ones are claims") {
  standard_mode();
  afl_state state(4), without(4);
  REQUIRE(state.try_update({.step = 0.1}, places{3, 1, 0, 2}, vector{nan_value, 1, 2, -infinity}) == errc::ok);
  REQUIRE(without.try_update({.step = 0.1}, places{0, 1}, vector{2, 1}) == errc::ok);
  CHECK(kept(state.lambda()) == kept(without.lambda()));
  REQUIRE(state.rejected().size() == 2);
  CHECK(state.rejected()[0].client == 2);
  CHECK(state.rejected()[1].client == 3);
  CHECK(state.rejected()[1].reason == errc::non_finite);
  const vector before = kept(state.lambda());
  CHECK(state.try_update({.step = 0.1}, places{0}, vector{nan_value}) == errc::too_few_clients);
  CHECK(state.rejected().size() == 1);
  CHECK(kept(state.lambda()) == before);
  CHECK(state.rounds() == 1);
  // Below zero a loss is a loss.
  REQUIRE(state.try_update({.step = 0.1}, vector{-1, -1, -1, -1}) == errc::ok);
  CHECK(state.rejected().empty());
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(state.lambda()[i] - before[i]) < 1e-16);

  const double most = fedagg::detail::largest_double;
  REQUIRE(state.try_update({.step = most}, vector{most, 1, 1, -most}) == errc::ok);
  for (const double x : state.lambda()) CHECK(fedagg::is_finite(x));
  CHECK(state.lambda()[3] == 0);
  afl_state bounded(4), small(4);
  REQUIRE(bounded.try_update({.step = 0.1, .largest_loss = 2}, vector{1e30, 1, 1, 1}) == errc::ok);
  REQUIRE(small.try_update({.step = 0.1}, vector{2, 1, 1, 1}) == errc::ok);
  CHECK(kept(bounded.lambda()) == kept(small.lambda()));
}

TEST_CASE("what an update refuses leaves lambda as it was") {
  afl_state state(3);
  const vector before = kept(state.lambda());
  CHECK(state.try_update({}, vector{1, 2, 3}) == errc::bad_parameter);
  CHECK(state.try_update({.step = nan_value}, vector{1, 2, 3}) == errc::bad_parameter);
  CHECK(state.try_update({.step = 1, .largest_loss = -1}, vector{1, 2, 3}) == errc::bad_parameter);
  CHECK(state.try_update({.step = 1}, vector{1, 2}) == errc::weight_count);
  CHECK(state.try_update({.step = 1}, places{0, 3}, vector{1, 2}) == errc::unknown_client);
  CHECK(state.try_update({.step = 1}, places{0, 1, 0}, vector{1, 2, 3}) == errc::duplicate_client);
  CHECK(state.try_update({.step = 1}, places{}, vector{}) == errc::empty_cohort);
  CHECK(kept(state.lambda()) == before);
  CHECK(state.rounds() == 0);
  // Marks of a refused call are gone.
  CHECK(state.try_update({.step = 1}, places{0, 1}, vector{1, 2}) == errc::ok);
  afl_state nobody(0);
  CHECK(nobody.try_update({.step = 1}, vector{}) == errc::empty_cohort);
  afl_state empty;
  CHECK(empty.try_update({.step = 1}, places{0}, vector{1}) == errc::unknown_client);
}
