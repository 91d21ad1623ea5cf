// SPDX-License-Identifier: MIT
#include <fedagg/client/fednova.hpp>

#include <fedagg/rules/mean.hpp>

#include "compiled/rules.hpp"
#include "support/quadratics.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::fednova_steps;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::write;

namespace {

using wide = long double;

/// The coefficients a_1 .. a_tau of the gradients in (x - y) / eta, by stepping with one gradient at a time.
std::vector<wide> coefficients_of(const fednova_steps& way) {
  std::vector<wide> a;
  for (std::uint64_t j = 0; j < way.steps; ++j) {
    wide z = 0, u = 0;
    for (std::uint64_t k = 0; k < way.steps; ++k) {
      u = static_cast<wide>(way.momentum) * u + (k == j ? 1.0L : 0.0L) - static_cast<wide>(way.decay) * z;
      z += u;
    }
    a.push_back(z);
  }
  return a;
}

wide power_of(wide x, std::uint64_t n) {
  wide r = 1;
  while (n-- > 0) r *= x;
  return r;
}

struct client {
  std::uint64_t steps;
  double momentum, mu;
};

/// Local steps from x, in any number type.
template <class T>
std::vector<T> walk(const quadratics::problem& p, std::size_t i, const client& c, double eta, const std::vector<T>& x) {
  std::vector<T> y = x, u(p.size);
  for (std::uint64_t k = 0; k < c.steps; ++k) {
    const auto g = p.gradient(i, y);
    for (std::size_t j = 0; j < p.size; ++j) {
      u[j] = static_cast<T>(c.momentum) * u[j] + (g[j] + static_cast<T>(c.mu) * (y[j] - x[j]));
      y[j] -= static_cast<T>(eta) * u[j];
    }
  }
  return y;
}

} // namespace

TEST_CASE("the closed forms of FedNova's a") {
  const auto near = [](double got, wide want, double steps) {
    return magnitude(quad(got) - quad(want)) <= multiply(quad(want), (steps + 8) * 0x1p-50);
  };
  for (const std::uint64_t tau : {1u, 2u, 3u, 10u, 200u}) {
    const auto t = static_cast<wide>(tau);
    CHECK(fedagg::fednova_norm({tau}) == static_cast<double>(tau));
    for (const double rho : {0.1, 0.5, 0.9}) {
      const auto r = static_cast<wide>(rho);
      CHECK(near(fedagg::fednova_norm({tau, rho}), (t - r * (1 - power_of(r, tau)) / (1 - r)) / (1 - r), static_cast<double>(tau)));
    }
    for (const double decay : {0.001, 0.25, 1.0}) {
      const auto d = static_cast<wide>(decay);
      CHECK(near(fedagg::fednova_norm({tau, 0, decay}), (1 - power_of(1 - d, tau)) / d, static_cast<double>(tau)));
    }
  }
  // What has settled is not stepped through; closed forms at sizes where no loop would end in time.
  CHECK(fedagg::fednova_norm({std::uint64_t{1} << 32}) == 4294967296.0);
  CHECK(near(fedagg::fednova_norm({std::uint64_t{1} << 32, 0.5}), (4294967296.0L - 1) / 0.5L, 1000));
  CHECK(near(fedagg::fednova_norm({100000, 0, 0.5}), 2.0L, 100));
}

TEST_CASE("FedNova's a with momentum and a proximal term together") {
  for (const std::uint64_t tau : {1u, 2u, 7u, 40u})
    for (const double rho : {0.0, 0.3, 0.9, 0.99})
      for (const double decay : {0.0, 1e-5, 0.0025, 0.1, 1.0}) {
        const auto a = coefficients_of({tau, rho, decay});
        wide sum = 0, size = 0;
        bool negative = false;
        for (const wide c : a) sum += c, size += c < 0 ? -c : c, negative = negative || c < 0;
        INFO(tau << " " << rho << " " << decay);
        CHECK(fedagg::fednova_norm({tau, rho, decay}) == Approx(static_cast<double>(sum)).epsilon(1e-13));
        const double least = 1 - static_cast<double>(fedagg::detail::square_root(rho));
        if (decay <= least * least) {
          CHECK_FALSE(negative);
          CHECK(static_cast<double>(size) == static_cast<double>(sum));
        } else if (tau == 40 && rho == 0.9 && decay == 0.1) {
          CHECK(negative); // the condition says something
        }
      }
}

TEST_CASE("rounds of FedNova with partial participation follow the paper, in both of its forms") {
  const quadratics::problem p(5, 7, 8);
  const client clients[] = {{2, 0, 0}, {5, 0.9, 0}, {9, 0, 0.5}, {3, 0.5, 0.2}, {7, 0, 0}};
  const double weight[] = {10, 30, 20, 5, 35}, eta = 0.02;
  std::vector<double> x(p.size, 0.5), x2(p.size, 0.5);
  std::vector<wide> exact(p.size, 0.5L);
  for (std::size_t round = 0; round < 5; ++round) {
    const auto who = quadratics::participants(round, p.clients, 3);
    std::vector<std::vector<double>> normal, deltas;
    std::vector<double> norms, weights;
    wide total = 0, tau_eff = 0;
    std::vector<wide> step(p.size);
    for (const std::size_t i : who) total += static_cast<wide>(weight[i]);
    for (const std::size_t i : who) {
      const client& c = clients[i];
      const fednova_steps way{c.steps, c.momentum, eta * c.mu};
      norms.push_back(fedagg::fednova_norm(way));
      weights.push_back(weight[i]);
      const auto y = walk(p, i, c, eta, x), y2 = walk(p, i, c, eta, x2);
      std::vector<double> d(p.size, std::bit_cast<double>(0x7ff8000000000000u)), delta(p.size);
      fedagg::normalised_gradient(model_view(x), model_view(y), eta, norms.back(), mutable_model_view(d));
      for (std::size_t j = 0; j < p.size; ++j) delta[j] = y2[j] - x2[j];
      normal.push_back(d);
      deltas.push_back(delta);
      wide a = 0;
      for (const wide v : coefficients_of(way)) a += v;
      tau_eff += static_cast<wide>(weight[i]) / total * a;
      const auto z = walk(p, i, c, eta, exact);
      for (std::size_t j = 0; j < p.size; ++j)
        step[j] += static_cast<wide>(weight[i]) / total * ((exact[j] - z[j]) / (static_cast<wide>(eta) * a));
    }
    for (std::size_t j = 0; j < p.size; ++j) exact[j] -= static_cast<wide>(eta) * tau_eff * step[j];

    std::vector<double> c(who.size());
    const auto nova = fedagg::fednova_coefficients(norms, weights, c);
    CHECK(nova.tau_eff == Approx(static_cast<double>(tau_eff)).epsilon(1e-13));
    for (std::size_t j = 0; j < p.size; ++j)
      for (std::size_t k = 0; k < who.size(); ++k)
        x[j] -= eta * nova.tau_eff * weights[k] / static_cast<double>(total) * normal[k][j];
    // Any weighted mean of the deltas will do.
    fedagg::cohort updates;
    for (const auto& delta : deltas) updates.add(delta);
    updates.weights(c);
    std::vector<double> mean(p.size);
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(fedagg::mean{}, updates, mean, space) == errc::ok);
    for (std::size_t j = 0; j < p.size; ++j) x2[j] += nova.total * mean[j];
    CHECK(quadratics::distance(x, exact) < 1e-13);
    CHECK(quadratics::distance(x2, exact) < 1e-13);
  }
}

TEST_CASE("FedNova's error goes to zero with the step size, FedAvg's does not") {
  const quadratics::problem p(4, 5, 9);
  const client clients[] = {{1, 0, 0}, {4, 0.5, 0}, {8, 0, 0}, {2, 0, 0}};
  const std::vector<double> weights{1, 2, 3, 4};
  const auto best = p.optimum(weights);
  std::vector<double> nova_error, average_error;
  for (const double eta : {0.04, 0.02, 0.01}) {
    std::vector<double> x(p.size), average(p.size), norms, c(4);
    for (const client& one : clients) norms.push_back(fedagg::fednova_norm({one.steps, one.momentum, 0}));
    fedagg::fednova_coefficients(norms, weights, c);
    for (int round = 0; round < 2500; ++round) {
      const auto from = x, from_average = average;
      for (std::size_t i = 0; i < p.clients; ++i) {
        const auto y = walk(p, i, clients[i], eta, from), z = walk(p, i, clients[i], eta, from_average);
        for (std::size_t j = 0; j < p.size; ++j) {
          x[j] += c[i] * (y[j] - from[j]);
          average[j] += weights[i] / 10 * (z[j] - from_average[j]);
        }
      }
    }
    nova_error.push_back(quadratics::distance(x, best));
    average_error.push_back(quadratics::distance(average, best));
  }
  for (std::size_t k = 1; k < 3; ++k) {
    CHECK(nova_error[k] / nova_error[k - 1] == Approx(0.5).margin(0.06));
    CHECK(average_error[k] / average_error[k - 1] > 0.8);
  }
  CHECK(average_error[2] > 10 * nova_error[2]);
}

TEST_CASE("the normalised gradient, bit for bit, also in place") {
  const auto check = [](auto number, std::size_t d) {
    using T = decltype(number);
    const auto m = sample<T>(kind::normal, 2, d, 81);
    std::vector<T> out(m.row(1).begin(), m.row(1).end());
    const mutable_model_view local(out);
    const errc rc = [&] {
      const mode callers(worst);
      return fedagg::try_normalised_gradient(model_view(m.row(0)), local, 0.1, 3, local);
    }();
    REQUIRE(rc == errc::ok);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < d; ++j) {
      volatile double length = 0.1, difference = value(m.at(0, j)) - value(m.at(1, j));
      length = length * 3;
      volatile double quotient = difference / length;
      wrong += bits_of(out[j]) != bits_of(stored<T>(quotient));
    }
    CHECK(wrong == 0);
  };
  for (const std::size_t d : {0u, 1u, 9u, 600u}) check(1.0f, d), check(1.0, d), check(fedagg::float16{}, d);
}

TEST_CASE("what FedNova cannot use is refused") {
  const double inf = std::bit_cast<double>(0x7ff0000000000000u);
  double a = 7;
  for (const fednova_steps& way : {fednova_steps{0}, fednova_steps{(std::uint64_t{1} << 32) + 1}, fednova_steps{1, 1}, fednova_steps{1, -0.1},
                                   fednova_steps{1, inf}, fednova_steps{1, 0, -1e-9}, fednova_steps{1, 0, 1.1}})
    CHECK(fedagg::try_fednova_norm(way, a) == errc::bad_parameter);
  CHECK(a == 7);
  std::vector<double> x{1, 2}, y{0, 0}, out{9, 9};
  const auto normal = [&](double eta, double norm) {
    return fedagg::try_normalised_gradient(model_view(x), model_view(y), eta, norm, mutable_model_view(out), {.write = write::atomic});
  };
  for (const double bad : {0.0, -1.0, inf}) {
    CHECK(normal(bad, 1) == errc::bad_parameter);
    CHECK(normal(1, bad) == errc::bad_parameter);
  }
  CHECK(normal(1e-200, 1e-200) == errc::bad_parameter);
  CHECK(normal(1e-308, 0.5) == errc::overflow);
  y[1] = inf;
  CHECK(normal(1, 1) == errc::non_finite);
  CHECK(out == std::vector<double>{9, 9});

  fedagg::fednova_round round;
  std::vector<double> c{5, 5};
  const auto coefficients = [&](std::vector<double> norms, std::vector<double> weights, double tau = 0) {
    return fedagg::try_fednova_coefficients(norms, weights, c, round, tau);
  };
  CHECK(coefficients({}, {}) == errc::empty_cohort);
  CHECK(coefficients({1}, {1}) == errc::weight_count);
  CHECK(coefficients({1, 1}, {1}) == errc::weight_count);
  CHECK(coefficients({1, 1}, {1, -1}) == errc::invalid_weight);
  CHECK(coefficients({1, 1}, {0, 0}) == errc::zero_weight_sum);
  CHECK(coefficients({1, 0}, {1, 1}) == errc::value_range);
  CHECK(coefficients({1, inf}, {1, 1}) == errc::value_range);
  CHECK(coefficients({1, 1}, {1, 1}, -1) == errc::bad_parameter);
  CHECK(coefficients({1, 1}, {1e308, 1e308}) == errc::overflow);
  CHECK(coefficients({1, 1e-300}, {1, 1}, 1e300) == errc::overflow);
  CHECK(c == std::vector<double>{5, 5});
  REQUIRE(coefficients({2, 4}, {}) == errc::ok);
  CHECK(c == std::vector<double>{0.75, 0.375});
  CHECK(round.tau_eff == 3);
  CHECK(round.total == 1.125);
  REQUIRE(coefficients({2, 4}, {0, 3}, 8) == errc::ok);
  CHECK(c == std::vector<double>{0, 2});
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(fedagg::fednova_norm({0}), fedagg::error);
  CHECK_THROWS_AS(fedagg::fednova_coefficients({}, {}, {}), fedagg::error);
#endif
}
