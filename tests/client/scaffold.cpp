// SPDX-License-Identifier: MIT
#include <fedagg/client/scaffold.hpp>
#include <fedagg/optimizers/scaffold_server.hpp>

#include "support/memory_archive.hpp"
#include "support/quadratics.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::precision;
using fedagg::scaffold_client;
using fedagg::write;

namespace {

template <class C>
std::span<const C> values(const scaffold_client& s) {
  const auto& t = s.control().entries()[0].tensor;
  return {static_cast<const C*>(t.data()), t.size()};
}

/// Both options, a correction in between: W is the models' type, C that of the state.
template <class W, class C>
void check_bits(std::size_t d) {
  const auto m = sample<W>(kind::normal, 4, d, 61); // gradient, c, x, y
  scaffold_client own(model_layout(model_view(m.row(0))), std::is_same_v<C, float> ? precision::f32 : precision::f64);
  std::vector<double> change(d, std::bit_cast<double>(0x7ff8000000000000u));
  std::vector<W> gradient(m.row(2).begin(), m.row(2).end());
  std::vector<C> c_i(d);
  const auto compare = [&](const char* what) {
    INFO(what << " " << d);
    CHECK((d == 0 || std::memcmp(c_i.data(), values<C>(own).data(), d * sizeof(C)) == 0));
  };
  std::size_t wrong = 0;
  const auto call = [&](auto&& f) {
    const mode callers(worst);
    return f();
  };
  REQUIRE(call([&] { return own.try_renew(model_view(m.row(0)), mutable_model_view(change)); }) == errc::ok);
  for (std::size_t j = 0; j < d; ++j) {
    wrong += bits_of(change[j]) != bits_of(value(m.at(0, j)) - 0.0);
    c_i[j] = stored<C>(value(m.at(0, j)));
  }
  compare("option I");
  REQUIRE(call([&] { return own.try_correct(model_view(m.row(1)), mutable_model_view(gradient)); }) == errc::ok);
  for (std::size_t j = 0; j < d; ++j) {
    const double correction = kept(value(m.at(1, j)) - value(c_i[j]));
    wrong += bits_of(gradient[j]) != bits_of(stored<W>(kept(value(m.at(2, j)) + correction)));
  }
  REQUIRE(call([&] {
            return own.try_renew(model_view(m.row(1)), model_view(m.row(2)), model_view(m.row(3)), 7, 0.1,
                                 mutable_model_view(change));
          }) == errc::ok);
  for (std::size_t j = 0; j < d; ++j) {
    volatile double length = kept(7 * 0.1);
    const double mean = kept(kept(value(m.at(2, j)) - value(m.at(3, j))) / length);
    const double renewed = kept(kept(value(c_i[j]) - value(m.at(1, j))) + mean);
    wrong += bits_of(change[j]) != bits_of(kept(renewed - value(c_i[j])));
    c_i[j] = stored<C>(renewed);
  }
  compare("option II");
  CHECK(wrong == 0);
}

/// SCAFFOLD as the paper's algorithm 1 has it, in long double.
struct by_the_paper {
  std::vector<long double> x, c;
  std::vector<std::vector<long double>> c_i;
};

enum class option { gradient, difference };

/// A round of both; `momentum` shows that the correction enters the gradient before it. The server's half is
/// scaffold_server; beside it the paper's: x += eta_g mean (y - x), c += |S| / N mean (c_i+ - c_i).
void round_of(const quadratics::problem& p, const std::vector<std::size_t>& who, option which, double momentum,
              std::vector<double>& x, std::vector<double>& c, fedagg::optimizer_state& server,
              std::vector<scaffold_client>& own, by_the_paper* r) {
  const double eta = 0.05, eta_g = 1;
  const std::size_t steps = 4;
  const auto n = static_cast<double>(p.clients), s = static_cast<double>(who.size());
  std::vector<double> moved(p.size), changed(p.size);
  std::vector<long double> moved_r(p.size), changed_r(p.size);
  for (const std::size_t i : who) {
    std::vector<double> y = x, v(p.size), change(p.size);
    for (std::size_t k = 0; k < steps; ++k) {
      auto g = p.gradient(i, y);
      own[i].correct(model_view(c), mutable_model_view(g));
      for (std::size_t j = 0; j < p.size; ++j) v[j] = momentum * v[j] + g[j], y[j] -= eta * v[j];
    }
    const auto at_start = p.gradient(i, x);
    if (which == option::gradient)
      own[i].renew(model_view(at_start), mutable_model_view(change));
    else
      own[i].renew(model_view(c), model_view(x), model_view(y), steps, eta, mutable_model_view(change));
    for (std::size_t j = 0; j < p.size; ++j) moved[j] += y[j] - x[j], changed[j] += change[j];
    if (!r) continue;
    const auto eta_r = static_cast<long double>(eta);
    std::vector<long double> z = r->x, u(p.size);
    for (std::size_t k = 0; k < steps; ++k) {
      const auto g = p.gradient(i, z);
      for (std::size_t j = 0; j < p.size; ++j) {
        u[j] = static_cast<long double>(momentum) * u[j] + (g[j] - r->c_i[i][j] + r->c[j]);
        z[j] -= eta_r * u[j];
      }
    }
    const auto at_x = p.gradient(i, r->x);
    for (std::size_t j = 0; j < p.size; ++j) {
      const long double plus = which == option::gradient
                                   ? at_x[j]
                                   : r->c_i[i][j] - r->c[j] + (r->x[j] - z[j]) / (static_cast<long double>(steps) * eta_r);
      moved_r[j] += z[j] - r->x[j];
      changed_r[j] += plus - r->c_i[i][j];
      r->c_i[i][j] = plus;
    }
  }
  for (double& v : moved) v /= s;
  for (double& v : changed) v /= s;
  const model_view delta(moved), controls(changed);
  fedagg::step(fedagg::scaffold_server{.learning_rate = eta_g}, mutable_model_view(x), fedagg::pseudo_gradient::delta(delta),
               server, {.participation = s / n}, {&controls});
  const auto renewed = server.slots()[0].values<double>(0);
  c.assign(renewed.begin(), renewed.end());
  if (!r) return;
  for (std::size_t j = 0; j < p.size; ++j) {
    r->x[j] += static_cast<long double>(eta_g) * moved_r[j] / static_cast<long double>(s);
    r->c[j] += changed_r[j] / static_cast<long double>(n);
  }
}

} // namespace

TEST_CASE("SCAFFOLD's client, bit for bit") {
  for (const std::size_t d : {0u, 1u, 9u, 300u, 700u}) {
    check_bits<float, double>(d);
    check_bits<float, float>(d);
    check_bits<double, double>(d);
    check_bits<fedagg::float16, double>(d);
  }
}

TEST_CASE("rounds of SCAFFOLD with partial participation follow the paper") {
  const quadratics::problem p(5, 7, 3);
  for (const option which : {option::gradient, option::difference})
    for (const double momentum : {0.0, 0.5}) {
      std::vector<double> x(p.size, 0.25), c(p.size);
      fedagg::optimizer_state server(precision::f64);
      std::vector<scaffold_client> own(p.clients, scaffold_client(model_layout(model_view(x))));
      by_the_paper r{std::vector<long double>(p.size, 0.25L), std::vector<long double>(p.size),
                  std::vector<std::vector<long double>>(p.clients, std::vector<long double>(p.size))};
      for (std::size_t round = 0; round < 6; ++round) {
        round_of(p, quadratics::participants(round, p.clients, 2), which, momentum, x, c, server, own, &r);
        CHECK(quadratics::distance(x, r.x) < 1e-13);
        CHECK(quadratics::distance(c, r.c) < 1e-13);
        for (std::size_t i = 0; i < p.clients; ++i) {
          const auto v = values<double>(own[i]);
          CHECK(quadratics::distance(std::vector<double>(v.begin(), v.end()), r.c_i[i]) < 1e-13);
        }
      }
      // The server's c is the mean of the clients'.
      for (std::size_t j = 0; j < p.size; ++j) {
        double mean = 0;
        for (const auto& client : own) mean += values<double>(client)[j] / static_cast<double>(p.clients);
        CHECK(c[j] == Approx(mean).margin(1e-13));
      }
    }
}

TEST_CASE("SCAFFOLD reaches the optimum of unlike clients, where FedAvg stalls") {
  const quadratics::problem p(5, 7, 4);
  const auto best = p.optimum(std::vector<double>(p.clients, 1.0));
  for (const option which : {option::gradient, option::difference}) {
    std::vector<double> x(p.size), c(p.size);
    fedagg::optimizer_state server(precision::f64);
    std::vector<scaffold_client> own(p.clients, scaffold_client(model_layout(model_view(x))));
    for (std::size_t round = 0; round < 400; ++round)
      round_of(p, quadratics::participants(round, p.clients, 3), which, 0, x, c, server, own, nullptr);
    CHECK(quadratics::distance(x, best) < 1e-10);
  }
  // The same steps without the correction, everyone taking part.
  std::vector<double> x(p.size);
  for (std::size_t round = 0; round < 400; ++round) {
    std::vector<double> sum(p.size);
    for (std::size_t i = 0; i < p.clients; ++i) {
      std::vector<double> y = x;
      for (int k = 0; k < 4; ++k) {
        const auto g = p.gradient(i, y);
        for (std::size_t j = 0; j < p.size; ++j) y[j] -= 0.05 * g[j];
      }
      for (std::size_t j = 0; j < p.size; ++j) sum[j] += y[j];
    }
    for (std::size_t j = 0; j < p.size; ++j) x[j] = sum[j] / static_cast<double>(p.clients);
  }
  CHECK(quadratics::distance(x, best) > 1e-2);
}

TEST_CASE("a control variate survives what is refused, and a file") {
  std::vector<float> x{1, 2}, y{0, 0}, c{0.5, 0.5};
  std::vector<std::int64_t> counter{5};
  model_view global, local, server;
  global.add("steps", counter).add("w", x);
  local.add("steps", counter).add("w", y);
  server.add("w", c);
  scaffold_client own{model_layout(global)};
  std::vector<double> change(2, 7);
  mutable_model_view out;
  out.add("w", change);
  const double inf = std::bit_cast<double>(0x7ff0000000000000u);
  CHECK(own.try_renew(server, global, local, 0, 0.1, out) == errc::bad_parameter);
  for (const double bad : {0.0, -0.1, inf}) CHECK(own.try_renew(server, global, local, 1, bad, out) == errc::bad_parameter);
  CHECK(own.try_renew(server, global, local, 1u << 20, 1e307, out) == errc::bad_parameter);
  CHECK(own.try_renew(server, global, local, 1, 0.1, mutable_model_view(change)) == errc::layout_mismatch);
  const std::span<float> shifted(x.data() + 1, 1);
  mutable_model_view overlapping;
  overlapping.add("w", shifted);
  CHECK(own.try_renew(server, overlapping) == errc::layout_mismatch);
  CHECK(change == std::vector<double>{7, 7});
  REQUIRE(own.try_renew(server, global, local, 2, 0.25, out) == errc::ok);
  CHECK(change == std::vector<double>{1.5, 3.5});
  CHECK(values<double>(own)[1] == 3.5);

  y[1] = static_cast<float>(inf);
  fedagg::stream_fault fault;
  fedagg::stream_options how{.write = write::atomic, .fault = &fault};
  CHECK(own.try_renew(server, global, local, 2, 0.25, out, how) == errc::non_finite);
  CHECK(fault.name == "w");
  CHECK(own.try_renew(local, out) == errc::non_finite);
  CHECK(values<double>(own)[0] == 1.5);
  CHECK(change == std::vector<double>{1.5, 3.5});
  mutable_model_view g;
  g.add("w", y);
  CHECK(own.try_correct(server, g, {.write = write::atomic}) == errc::non_finite);
  CHECK(y[0] == 0);

  fedagg_test::memory_archive file;
  REQUIRE(file.save(own) == errc::ok);
  scaffold_client again;
  REQUIRE(file.load(again) == errc::ok);
  y[1] = 0;
  REQUIRE(again.try_correct(server, g) == errc::ok);
  CHECK(y == std::vector<float>{-1, -3});
  for (auto& [name, item] : file.items)
    if (name.find("values") != std::string::npos) std::memcpy(item.bytes.data(), &inf, sizeof inf);
  scaffold_client spoiled;
  CHECK(file.load(spoiled) == errc::file_format);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(own.renew(server, global, local, 0, 0.1, out), fedagg::error);
  CHECK_THROWS_AS(own.renew(model_view(change), out), fedagg::error);
  CHECK_THROWS_AS(own.correct(model_view(c), g), fedagg::error);
#endif
}
