// SPDX-License-Identifier: MIT
#include <fedagg/protocols/q_fedavg.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include <fedagg/rules/mean.hpp>

#include "compiled/rules.hpp"
#include "support/allocations.hpp"
#include "support/numeric.hpp"
#include "support/rounds.hpp"

using namespace numeric;
using fedagg::cohort;
using fedagg::errc;
using fedagg::options;
using fedagg::q_fedavg;
using fedagg::workspace;

namespace {

using real = long double;
using vector = std::vector<double>;
using rows = std::vector<vector>;

const double infinity = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
const double nan_value = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});

/// Algorithm 2 of the paper, line by line, in long double: Delta w_k = L (x - w_k), Delta_k = F_k^q Delta w_k,
/// h_k = q F_k^(q-1) |Delta w_k|^2 + L F_k^q, x -= sum Delta_k / sum h_k.
vector paper(const vector& x, const rows& w, const vector& losses, real q, real lr, real epsilon = 1e-10) {
  const real L = 1 / lr;
  std::vector<real> step(x.size(), 0);
  real h = 0;
  for (std::size_t k = 0; k < w.size(); ++k) {
    const real F = real(losses[k]) + epsilon;
    real square = 0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      const real d = L * (real(x[j]) - real(w[k][j]));
      square += d * d;
      step[j] += std::pow(F, q) * d;
    }
    h += q * std::pow(F, q - 1) * square + L * std::pow(F, q);
  }
  vector out(x.size());
  for (std::size_t j = 0; j < x.size(); ++j) out[j] = static_cast<double>(real(x[j]) - step[j] / h);
  return out;
}

struct taken {
  errc code = errc::ok;
  vector x;
  fedagg::outcome o;
};

/// One step from x, in place, called in the worst floating-point mode.
taken step(const q_fedavg& how, const vector& x, const rows& w, const vector& losses, const options& more = {}) {
  taken t{errc::ok, x, {}};
  cohort clients;
  const fedagg::model_view base(t.x);
  for (const vector& row : w) clients.add(row);
  clients.base(base);
  workspace space;
  const fedagg::mutable_model_view out(t.x);
  {
    const mode callers(worst);
    t.code = fedagg::try_aggregate(how, clients, losses, out, space, more);
  }
  t.o = space.result();
  return t;
}

double distance(const vector& a, const vector& b) {
  double most = 0;
  for (std::size_t j = 0; j < a.size(); ++j) most = std::max(most, std::abs(a[j] - b[j]));
  return most;
}

rows some_models(std::size_t n, std::size_t d, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  rows w(n, vector(d));
  for (vector& row : w)
    for (double& v : row) v = uniform(random);
  return w;
}

} // namespace

static_assert(fedagg::rule_value<q_fedavg>);

TEST_CASE("values of a run of Flower's QFedAvg, recomputed") {
  standard_mode();
  const vector expected[] = {{0.65, 1.95},
                             {0.7763982155570857, 1.9875839401398563},
                             {0.9315789473624931, 2.0578947368398337},
                             {0.9668603712658721, 2.06603712671746}};
  const double qs[] = {0, 0.1, 1, 5};
  for (int k = 0; k < 4; ++k) {
    const taken t = step({.q = qs[k], .learning_rate = 0.1}, {1, 2}, {{0.5, 1.5}, {0.8, 2.4}}, {0.5, 2});
    REQUIRE(t.code == errc::ok);
    CHECK(distance(t.x, expected[k]) <= 1e-12);
  }
}

TEST_CASE("the paper's algorithm over rounds, for some of the clients at a time") {
  standard_mode();
  std::mt19937_64 random(3);
  for (const double q : {0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0})
    for (const double lr : {0.01, 1.0, 30.0}) {
      vector x(13, 0.5), want = x;
      for (int round = 0; round < 4; ++round) {
        // Two to seven of them, with the losses that they would report.
        const std::size_t n = 2 + random() % 6;
        const rows w = some_models(n, x.size(), random());
        vector losses(n);
        for (double& f : losses) f = std::exp(2 * uniform(random));
        const taken t = step({.q = q, .learning_rate = lr}, x, w, losses);
        want = paper(want, w, losses, q, lr);
        INFO("q=" << q << " lr=" << lr << " round " << round);
        REQUIRE(t.code == errc::ok);
        CHECK(distance(t.x, want) <= 1e-13);
        CHECK(t.o.rejected.empty());
        CHECK(t.o.used == n);
        x = t.x;
      }
    }
}

TEST_CASE("the coefficients are not made to sum to one: the model keeps what they lack") {
  standard_mode();
  const taken t = step({.q = 1, .learning_rate = 0.1}, {1, 2}, {{0.5, 1.5}, {0.8, 2.4}}, {0.5, 2});
  REQUIRE(t.o.coefficients.size() == 2);
  // c_k = F_k / sum (F_j + L |u_j|^2), from Lambda = 10 and |u|^2 = 0.5, 0.2.
  CHECK(t.o.coefficients[0] == Approx(0.5 / 9.5).epsilon(1e-9));
  CHECK(t.o.coefficients[1] == Approx(2 / 9.5).epsilon(1e-9));
}

TEST_CASE("q = 0 is the unweighted mean bit for bit, whatever the losses and the weights") {
  for (const std::size_t n : {1u, 2u, 3u, 7u, 20u})
    for (const std::size_t d : {1u, 300u, 5000u}) {
      const auto x = sample<float>(kind::normal, n, d, 5);
      std::vector<float> base(d, 0.25f), fair(d), plain(d);
      cohort clients;
      for (std::size_t i = 0; i < n; ++i) clients.add(x.row(i), {.weight = static_cast<double>(i)});
      clients.base(base);
      vector losses(n, 3.0);
      losses[0] = 0;
      workspace space;
      REQUIRE(fedagg::try_aggregate(q_fedavg{.q = 0, .learning_rate = 0.1}, clients, losses, fair, space) == errc::ok);
      CHECK_FALSE(space.result().weights_used);
      clients.weights(vector(n, 1.0));
      REQUIRE(fedagg::try_aggregate(fedagg::mean{}, clients, plain, space) == errc::ok);
      CHECK(same_bits(fair, plain));
    }
}

TEST_CASE("steps reach the optimum of sum F^(q+1), and losses are the closer together the larger q is") {
  standard_mode();
  // F = w^2 and 2 (w - 3)^2, one gradient step each: w = c (3 - w) with c = 2^((q+1)/(2q+1)).
  double before = 100;
  for (const double q : {0.0, 0.5, 1.0, 4.0}) {
    vector x{0.5};
    for (int round = 0; round < 2000; ++round) {
      const double w = x[0], lr = 0.1;
      const taken t = step({.q = q, .learning_rate = lr}, x, {{w - lr * 2 * w}, {w - lr * 4 * (w - 3)}}, {w * w, 2 * (w - 3) * (w - 3)});
      REQUIRE(t.code == errc::ok);
      x = t.x;
    }
    const double c = std::pow(2, (q + 1) / (2 * q + 1)), w = x[0];
    CHECK(std::abs(w - 3 * c / (1 + c)) < 1e-8);
    const double apart = std::abs(w * w - 2 * (w - 3) * (w - 3));
    CHECK(apart < before);
    before = apart;
  }
}

TEST_CASE("several tensors, single precision, threads and grains: the same bits, close to the reference") {
  for (const std::size_t d : {1u, 31u, 4097u, 20001u}) {
    const auto x = sample<float>(kind::normal, 5, d, 6);
    const std::vector<float> base(d, 0.125f);
    const vector losses{0.5, 1, 2, 0.1, 3};
    std::vector<float> first;
    for (const std::size_t grain : {0u, 1000u}) {
      cohort clients;
      for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
      clients.base(base);
      std::vector<float> out(d);
      workspace space;
      const threads pool{3};
      options how;
      how.grain = grain;
      if (grain) how.executor = pool;
      REQUIRE(fedagg::try_aggregate(q_fedavg{.q = 2, .learning_rate = 0.5}, clients, losses, out, space, how) == errc::ok);
      if (grain == 0) first = out;
      else CHECK(same_bits(out, first));
    }
    rows w(x.n, vector(d));
    for (std::size_t i = 0; i < x.n; ++i)
      for (std::size_t j = 0; j < d; ++j) w[i][j] = value(x.at(i, j));
    const vector want = paper(vector(d, 0.125), w, losses, 2, 0.5);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < d; ++j) wrong += !rounds_to<float>(first[j], want[j], 1e-12);
    CHECK(wrong == 0);
  }
}

TEST_CASE("declared updates give the step alone") {
  const rows w = some_models(4, 9, 8);
  const vector losses{1, 2, 3, 4}, zero(9, 0.0);
  cohort clients;
  for (const vector& row : w) clients.add(row);
  clients.updates();
  vector out(9);
  workspace space;
  REQUIRE(fedagg::try_aggregate(q_fedavg{.q = 1, .learning_rate = 0.1}, clients, losses, out, space) == errc::ok);
  CHECK(distance(out, paper(zero, w, losses, 1, 0.1)) <= 1e-14);
}

TEST_CASE("no loss, no update, no epsilon: named cases and never 0 / 0") {
  standard_mode();
  const vector x{1, 2};
  const rows w{{0.5, 1.5}, {0.8, 2.4}}, same{x, x};
  const auto at = [&](double q, const rows& models, const vector& losses, double epsilon) {
    const taken t = step({.q = q, .learning_rate = 0.1, .epsilon = epsilon}, x, models, losses);
    CHECK(t.code == errc::ok);
    return t.x;
  };
  for (const double q : {0.5, 1.0, 2.0}) {
    INFO("q=" << q);
    // Nobody has any loss: the gradient of sum F^(q+1) is zero.
    CHECK(at(q, w, {0, 0}, 0) == x);
    // Nobody has moved.
    CHECK(at(q, same, {1, 2}, 0) == x);
    CHECK(at(q, same, {0, 0}, 0) == x);
    CHECK(at(q, same, {0, 0}, 1e-10) == x);
    // With the authors' epsilon, as their formula has it.
    CHECK(distance(at(q, w, {0, 0}, 1e-10), paper(x, w, {0, 0}, q, 0.1)) <= 1e-13);
    CHECK(distance(at(q, w, {0, 2}, 1e-10), paper(x, w, {0, 2}, q, 0.1)) <= 1e-13);
  }
  CHECK(distance(at(2, w, {0, 2}, 0), paper(x, w, {0, 2}, 2, 0.1, 0)) <= 1e-15);
  CHECK(distance(at(1, w, {0, 2}, 0), paper(x, w, {0, 2}, 1, 0.1, 0)) <= 1e-15);
  // Below q = 1 a loss of zero is infinitely curved, unless that client has not moved.
  CHECK(at(0.5, w, {0, 2}, 0) == x);
  CHECK(distance(at(0.5, {x, w[1]}, {0, 2}, 0), paper(x, {w[1]}, {2}, 0.5, 0.1, 0)) <= 1e-15);
  CHECK(at(0, w, {0, 0}, 0) == vector{0.65, 1.95});
}

TEST_CASE("losses, updates and rates at the ends of their range") {
  standard_mode();
  const double most = fedagg::detail::largest_double;
  const vector x{1, 2};
  const rows w{{0.5, 1.5}, {0.8, 2.4}, {1.5, 1.0}};
  for (const double q : {0.1, 1.0, 7.0, 1e6})
    for (const double lr : {1e-300, 0.1, 1e300})
      for (const double epsilon : {0.0, 1e-10})
        for (const vector& losses : rows{{most, 1, 1}, {most, most, most}, {0x1p-1074, 0, 1}, {0x1p-1074, 0x1p-1074, 0}, {1e-200, 1e200, 0}}) {
          const taken t = step({.q = q, .learning_rate = lr, .epsilon = epsilon}, x, w, losses);
          REQUIRE(t.code == errc::ok);
          for (const double v : t.x) {
            CHECK(fedagg::is_finite(v));
            CHECK(v >= 0.5);
            CHECK(v <= 2.4);
          }
        }
  // Huge models beside a huge divisor.
  const vector far{1e300, -1e300};
  const taken t = step({.q = 1, .learning_rate = 1e-250}, far, {far, {1e300 + 1e285, -1e300}}, {1e-3, 1e-3});
  REQUIRE(t.code == errc::too_many_rejected);
  CHECK(t.o.rejected[0].reason == errc::client_range);
  const vector still{1e140, -1e300};
  const taken stays = step({.q = 1, .learning_rate = 1e-250}, still, {still, {1.5e140, -1e300}}, {1e-3, 1e-3});
  REQUIRE(stays.code == errc::ok);
  CHECK(stays.x == still);
  // One client claims to be worse off than the rest together: it decides alone.
  const taken claimed = step({.q = 2, .learning_rate = 1e9}, x, w, {1, 1e30, 1});
  CHECK(distance(claimed.x, w[1]) < 1e-6);
}

TEST_CASE("a bad loss is its client's fault, by the round's policy") {
  standard_mode();
  const vector x{1, 2};
  const rows w{{0.5, 1.5}, {9, 9}, {0.8, 2.4}, {7, 7}, {0.9, 2.2}};
  for (const double bad : {nan_value, infinity, -infinity, -1.0, -0x1p-1074}) {
    const vector losses{0.5, bad, 2, 1, 0.25};
    const taken t = step({.q = 1, .learning_rate = 0.1}, x, w, losses);
    REQUIRE(t.code == errc::ok);
    CHECK(distance(t.x, paper(x, {w[0], w[2], w[3], w[4]}, {0.5, 2, 1, 0.25}, 1, 0.1)) <= 1e-14);
    REQUIRE(t.o.rejected.size() == 1);
    CHECK(t.o.rejected[0].client == 1);
    CHECK(t.o.rejected[0].reason == (fedagg::is_finite(bad) ? errc::value_range : errc::non_finite));
    CHECK(t.o.used == 4);
    CHECK(t.o.coefficients[1] == 0);

    options strict;
    strict.on_bad_client = fedagg::bad_client::fail;
    const taken refused = step({.q = 1, .learning_rate = 0.1}, x, w, losses, strict);
    CHECK(refused.code == t.o.rejected[0].reason);
    CHECK(refused.x == x);
    CHECK(refused.o.state == fedagg::output::untouched);
    CHECK(refused.o.rejected.size() == 1);
  }
}

TEST_CASE("bad losses and bad models together, and no more than a round may lose") {
  standard_mode();
  const vector x{1, 2};
  rows w{{0.5, 1.5}, {9, 9}, {0.8, 2.4}, {7, 7}, {0.9, 2.2}};
  w[3][1] = nan_value;
  const taken t = step({.q = 1, .learning_rate = 0.1}, x, w, {0.5, -1, 2, 1, 0.25});
  REQUIRE(t.code == errc::ok);
  CHECK(distance(t.x, paper(x, {w[0], w[2], w[4]}, {0.5, 2, 0.25}, 1, 0.1)) <= 1e-14);
  REQUIRE(t.o.rejected.size() == 2);
  CHECK(t.o.rejected[0].client == 1);
  CHECK(t.o.rejected[1].client == 3);
  CHECK(t.o.used == 3);
  // The same client twice at fault is named once.
  const taken both = step({.q = 1, .learning_rate = 0.1}, x, w, {0.5, 1, 2, -1, 0.25});
  REQUIRE(both.code == errc::ok);
  CHECK(both.o.rejected.size() == 1);
  CHECK(both.o.used == 4);
  const taken many = step({.q = 1, .learning_rate = 0.1}, x, w, {-1, -1, 2, 1, 0.25});
  CHECK(many.code == errc::too_many_rejected);
  CHECK(many.x == x);
  CHECK(many.o.rejected.size() == 3);
  options none;
  none.max_rejected = 0;
  w[3][1] = 7;
  CHECK(step({.q = 1, .learning_rate = 0.1}, x, w, {0.5, -1, 2, 1, 1}, none).code == errc::too_many_rejected);
  options all;
  all.max_rejected = 5;
  CHECK(step({.q = 1, .learning_rate = 0.1}, x, w, vector(5, -1.0), all).code == errc::too_few_clients);
}

TEST_CASE("what the call refuses") {
  const vector x{1, 2};
  const rows w{{0.5, 1.5}, {0.8, 2.4}};
  const vector losses{1, 2};
  CHECK(step({}, x, w, losses).code == errc::bad_parameter);
  CHECK(step({.q = 1}, x, w, losses).code == errc::bad_parameter);
  CHECK(step({.q = -1, .learning_rate = 1}, x, w, losses).code == errc::bad_parameter);
  CHECK(step({.q = 1, .learning_rate = 0}, x, w, losses).code == errc::bad_parameter);
  CHECK(step({.q = nan_value, .learning_rate = 1}, x, w, losses).code == errc::bad_parameter);
  CHECK(step({.q = 1, .learning_rate = 1, .epsilon = -1}, x, w, losses).code == errc::bad_parameter);
  CHECK(step({.q = 1, .learning_rate = 1}, x, w, {1}).code == errc::weight_count);
  CHECK(step({.q = 1, .learning_rate = 1}, x, {}, {}).code == errc::empty_cohort);
  cohort models;
  models.add(w[0]).add(w[1]);
  vector out(2);
  workspace space;
  CHECK(fedagg::try_aggregate(q_fedavg{.q = 1, .learning_rate = 1}, models, losses, out, space) == errc::missing_origin);
  CHECK(fedagg::try_aggregate(q_fedavg{.q = 0, .learning_rate = 1}, models, losses, out, space) == errc::missing_origin);
}

TEST_CASE("a steady state allocates nothing") {
  const rows w = some_models(6, 500, 9);
  const vector base(500, 0.5), losses{1, 2, -1, 4, 5, 6};
  cohort clients;
  for (const vector& row : w) clients.add(row);
  clients.base(base);
  vector out(500);
  const fedagg::mutable_model_view view(out);
  workspace space;
  for (int round = 0; round < 3; ++round)
    REQUIRE(fedagg::try_aggregate(q_fedavg{.q = 1, .learning_rate = 1}, clients, losses, view, space) == errc::ok);
  const std::size_t before = allocations::count;
  const errc rc = fedagg::try_aggregate(q_fedavg{.q = 1, .learning_rate = 1}, clients, losses, view, space);
  CHECK(allocations::count == before);
  CHECK(rc == errc::ok);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("the owning call returns the outcome, or throws its code") {
  const rows w{{0.5, 1.5}, {0.8, 2.4}};
  const vector base{1, 2};
  cohort clients;
  clients.add(w[0]).add(w[1]).base(base);
  vector out(2);
  CHECK(fedagg::aggregate(q_fedavg{.q = 0, .learning_rate = 1}, clients, vector{1, 2}, out).used == 2);
  CHECK(out == vector{0.65, 1.95});
  bool thrown = false;
  try {
    fedagg::aggregate(q_fedavg{}, clients, vector{1, 2}, out);
  } catch (const fedagg::error& e) {
    thrown = e.code() == errc::bad_parameter;
  }
  CHECK(thrown);
}
#endif
