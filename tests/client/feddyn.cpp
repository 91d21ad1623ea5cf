// SPDX-License-Identifier: MIT
#include <fedagg/client/feddyn.hpp>
#include <fedagg/optimizers/fed_dyn.hpp>

#include "support/memory_archive.hpp"
#include "support/quadratics.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::feddyn_client;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::precision;
using fedagg::write;

namespace {

template <class C>
std::span<const C> values(const feddyn_client& s) {
  const auto& t = s.gradient().entries()[0].tensor;
  return {static_cast<const C*>(t.data()), t.size()};
}

template <class W, class C>
void check_bits(std::size_t d) {
  const auto m = sample<W>(kind::normal, 3, d, 71); // gradient, theta, theta_t
  feddyn_client own(model_layout(model_view(m.row(0))), std::is_same_v<C, float> ? precision::f32 : precision::f64);
  const model_view theta(m.row(1)), start(m.row(2));
  std::vector<C> g_k(d);
  std::size_t wrong = 0;
  for (int round = 0; round < 2; ++round) {
    std::vector<W> gradient(m.row(0).begin(), m.row(0).end());
    const errc corrected = [&] {
      const mode callers(worst);
      return own.try_correct(0.3, theta, start, mutable_model_view(gradient));
    }();
    REQUIRE(corrected == errc::ok);
    REQUIRE(own.try_renew(0.3, theta, start) == errc::ok);
    for (std::size_t j = 0; j < d; ++j) {
      const double pull = kept(0.3 * kept(value(m.at(1, j)) - value(m.at(2, j))));
      const double rest = kept(value(m.at(0, j)) - value(g_k[j]));
      wrong += bits_of(gradient[j]) != bits_of(stored<W>(kept(rest + pull)));
      g_k[j] = stored<C>(kept(value(g_k[j]) - pull));
    }
    CHECK((d == 0 || std::memcmp(g_k.data(), values<C>(own).data(), d * sizeof(C)) == 0));
  }
  CHECK(wrong == 0);
}

struct by_the_paper {
  std::vector<long double> theta, h;
  std::vector<std::vector<long double>> g;
};

/// A round of `steps` local steps and the server's half, fed_dyn; beside it the paper's: h -= alpha/m sum (theta_k -
/// theta), theta = mean of the theta_k - h / alpha, m being all clients.
void round_of(const quadratics::problem& p, const std::vector<std::size_t>& who, std::size_t steps,
              std::vector<double>& theta, fedagg::optimizer_state& server, std::vector<feddyn_client>& own, by_the_paper* r) {
  const double eta = 0.1, alpha = 0.5;
  const auto alpha_r = static_cast<long double>(alpha), eta_r = static_cast<long double>(eta);
  std::vector<double> sum(p.size);
  std::vector<long double> sum_r(p.size), moved_r(p.size);
  for (const std::size_t i : who) {
    std::vector<double> y = theta;
    for (std::size_t k = 0; k < steps; ++k) {
      auto g = p.gradient(i, y);
      own[i].correct(alpha, model_view(y), model_view(theta), mutable_model_view(g));
      for (std::size_t j = 0; j < p.size; ++j) y[j] -= eta * g[j];
    }
    own[i].renew(alpha, model_view(y), model_view(theta));
    for (std::size_t j = 0; j < p.size; ++j) sum[j] += y[j];
    if (!r) continue;
    std::vector<long double> z = r->theta;
    for (std::size_t k = 0; k < steps; ++k) {
      const auto g = p.gradient(i, z);
      for (std::size_t j = 0; j < p.size; ++j)
        z[j] -= eta_r * (g[j] - r->g[i][j] + alpha_r * (z[j] - r->theta[j]));
    }
    for (std::size_t j = 0; j < p.size; ++j) {
      r->g[i][j] -= alpha_r * (z[j] - r->theta[j]);
      sum_r[j] += z[j];
      moved_r[j] += z[j] - r->theta[j];
    }
  }
  const auto s = static_cast<double>(who.size()), m = static_cast<double>(p.clients);
  for (double& x : sum) x /= s;
  const model_view mean(sum);
  fedagg::step(fedagg::fed_dyn{.alpha = alpha}, mutable_model_view(theta), fedagg::pseudo_gradient::model(mean), server,
               {.participation = s / m});
  if (!r) return;
  for (std::size_t j = 0; j < p.size; ++j) {
    r->h[j] -= alpha_r / static_cast<long double>(m) * moved_r[j];
    r->theta[j] = sum_r[j] / static_cast<long double>(s) - r->h[j] / alpha_r;
  }
}

} // namespace

TEST_CASE("FedDyn's client, bit for bit") {
  for (const std::size_t d : {0u, 1u, 9u, 300u, 700u}) {
    check_bits<float, double>(d);
    check_bits<float, float>(d);
    check_bits<double, double>(d);
  }
}

TEST_CASE("rounds of FedDyn with partial participation follow the paper") {
  const quadratics::problem p(5, 7, 5);
  std::vector<double> theta(p.size, 0.25);
  fedagg::optimizer_state server(precision::f64);
  std::vector<feddyn_client> own(p.clients, feddyn_client(model_layout(model_view(theta))));
  by_the_paper r{std::vector<long double>(p.size, 0.25L), std::vector<long double>(p.size),
              std::vector<std::vector<long double>>(p.clients, std::vector<long double>(p.size))};
  for (std::size_t round = 0; round < 6; ++round) {
    round_of(p, quadratics::participants(round, p.clients, 2), 6, theta, server, own, &r);
    const auto h = server.slots()[0].values<double>(0);
    CHECK(quadratics::distance(std::vector<double>(h.begin(), h.end()), r.h) < 1e-12);
    CHECK(quadratics::distance(theta, r.theta) < 1e-12);
    for (std::size_t i = 0; i < p.clients; ++i) {
      const auto v = values<double>(own[i]);
      CHECK(quadratics::distance(std::vector<double>(v.begin(), v.end()), r.g[i]) < 1e-12);
    }
  }
  // g_k is the gradient where the client ended, if it went to the end: condition (2) of the paper.
  std::vector<double> y = theta;
  for (int k = 0; k < 2000; ++k) {
    auto g = p.gradient(0, y);
    own[0].correct(0.5, model_view(y), model_view(theta), mutable_model_view(g));
    for (std::size_t j = 0; j < p.size; ++j) y[j] -= 0.1 * g[j];
  }
  own[0].renew(0.5, model_view(y), model_view(theta));
  const auto at_end = p.gradient(0, y);
  for (std::size_t j = 0; j < p.size; ++j) CHECK(values<double>(own[0])[j] == Approx(at_end[j]).margin(1e-12));
}

TEST_CASE("FedDyn reaches the optimum of unlike clients, where FedAvg stalls") {
  const quadratics::problem p(5, 7, 6);
  const auto best = p.optimum(std::vector<double>(p.clients, 1.0));
  std::vector<double> theta(p.size), x(p.size);
  fedagg::optimizer_state server(precision::f64);
  std::vector<feddyn_client> own(p.clients, feddyn_client(model_layout(model_view(theta))));
  for (std::size_t round = 0; round < 400; ++round) {
    round_of(p, quadratics::participants(round, p.clients, 3), 40, theta, server, own, nullptr);
    std::vector<double> sum(p.size);
    for (std::size_t i = 0; i < p.clients; ++i) {
      std::vector<double> y = x;
      for (int k = 0; k < 40; ++k) {
        const auto g = p.gradient(i, y);
        for (std::size_t j = 0; j < p.size; ++j) y[j] -= 0.1 * g[j];
      }
      for (std::size_t j = 0; j < p.size; ++j) sum[j] += y[j];
    }
    for (std::size_t j = 0; j < p.size; ++j) x[j] = sum[j] / static_cast<double>(p.clients);
  }
  CHECK(quadratics::distance(theta, best) < 1e-9);
  CHECK(quadratics::distance(x, best) > 1e-2);
}

TEST_CASE("a FedDyn client survives what is refused, and a file") {
  std::vector<float> theta{1, 2}, start{0, 0}, gradient{5, 5};
  std::vector<std::int64_t> counter{5};
  model_view model, global;
  model.add("w", theta).add("steps", counter);
  global.add("w", start).add("steps", counter);
  feddyn_client own{model_layout(model)};
  mutable_model_view out;
  out.add("w", gradient);
  const double inf = std::bit_cast<double>(0x7ff0000000000000u);
  for (const double bad : {0.0, -0.1, inf}) {
    CHECK(own.try_correct(bad, model, global, out) == errc::bad_parameter);
    CHECK(own.try_renew(bad, model, global) == errc::bad_parameter);
  }
  CHECK(own.try_renew(1, model, model_view(start)) == errc::layout_mismatch);
  REQUIRE(own.try_renew(2, model, global) == errc::ok);
  CHECK(values<double>(own)[1] == -4);
  theta[1] = static_cast<float>(inf);
  CHECK(own.try_renew(2, model, global) == errc::non_finite);
  CHECK(own.try_correct(2, model, global, out, {.write = write::atomic}) == errc::non_finite);
  CHECK(values<double>(own)[0] == -2);
  CHECK(gradient == std::vector<float>{5, 5});
  theta[1] = 2;

  fedagg_test::memory_archive file;
  REQUIRE(file.save(own) == errc::ok);
  feddyn_client again;
  CHECK(again.try_renew(2, model, global) == errc::layout_mismatch);
  REQUIRE(file.load(again) == errc::ok);
  REQUIRE(again.try_correct(2, model, global, out) == errc::ok);
  CHECK(gradient == std::vector<float>{9, 13});
  for (auto& [name, item] : file.items)
    if (name.find("values") != std::string::npos) std::memcpy(item.bytes.data(), &inf, sizeof inf);
  feddyn_client spoiled;
  CHECK(file.load(spoiled) == errc::file_format);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(own.renew(0, model, global), fedagg::error);
  CHECK_THROWS_AS(own.correct(0, model, global, out), fedagg::error);
#endif
}
