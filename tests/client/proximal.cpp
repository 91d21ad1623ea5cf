// SPDX-License-Identifier: MIT
#include <fedagg/client/proximal.hpp>

#include "support/memory_archive.hpp"
#include "support/quadratics.hpp"

using namespace numeric;
using fedagg::adaptive_mu;
using fedagg::errc;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::proximal_term;
using fedagg::write;
using fedagg_test::memory_archive;

namespace {

template <class W, class G>
void check_gradient(std::size_t d) {
  const auto w = sample<W>(kind::normal, 2, d, 41);
  const auto g = sample<G>(kind::normal, 1, d, 42);
  std::vector<G> gradient(g.row(0).begin(), g.row(0).end());
  const model_view model(w.row(0)), global(w.row(1));
  const mutable_model_view out(gradient);
  const errc rc = [&] {
    const mode callers(worst);
    return proximal_term{0.3}.try_add_gradient(model, global, out);
  }();
  REQUIRE(rc == errc::ok);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) {
    const double pull = kept(0.3 * kept(value(w.at(0, j)) - value(w.at(1, j))));
    wrong += bits_of(gradient[j]) != bits_of(stored<G>(kept(value(g.at(0, j)) + pull)));
  }
  CHECK(wrong == 0);
}

} // namespace

TEST_CASE("the proximal gradient, bit for bit") {
  on_each_isa([](fedagg::isa) {
    for (const std::size_t d : {0u, 1u, 7u, 33u, 600u}) {
      check_gradient<float, float>(d);
      check_gradient<double, double>(d);
      check_gradient<float, double>(d);
      check_gradient<fedagg::bfloat16, float>(d);
    }
  });
  check_gradient<float, float>(65536 + 3);
}

TEST_CASE("the proximal value") {
  for (const std::size_t d : {0u, 1u, 17u, 5000u}) {
    const auto w = sample<float>(kind::normal, 2, d, 43);
    quad square = 0;
    for (std::size_t j = 0; j < d; ++j) {
      const quad difference = quad(value(w.at(0, j))) - quad(value(w.at(1, j)));
      square = add(square, multiply(difference, difference));
    }
    const quad want = multiply(0.35, square);
    const double got = proximal_term{0.7}.value(model_view(w.row(0)), model_view(w.row(1)));
    CHECK(magnitude(quad(got) - want) <= multiply(want, unit * (static_cast<double>(d) / 16 + 10)));
  }
}

TEST_CASE("five rounds of FedProx with partial participation, and where it ends") {
  const quadratics::problem p(5, 9, 1);
  const double eta = 0.05, mu = 0.8;
  std::vector<double> x(p.size, 0.5);
  std::vector<long double> exact(p.size, 0.5L);
  for (std::size_t round = 0; round < 5; ++round) {
    const auto who = quadratics::participants(round, p.clients, 3);
    std::vector<double> sum(p.size);
    std::vector<long double> exact_sum(p.size);
    for (const std::size_t i : who) {
      std::vector<double> y = x;
      std::vector<long double> z = exact;
      for (std::size_t k = 0; k < 4 + i; ++k) {
        auto g = p.gradient(i, y);
        proximal_term{mu}.add_gradient(model_view(y), model_view(x), mutable_model_view(g));
        for (std::size_t j = 0; j < p.size; ++j) y[j] -= eta * g[j];
        const auto h = p.gradient(i, z);
        const auto before = z;
        for (std::size_t j = 0; j < p.size; ++j)
          z[j] -= static_cast<long double>(eta) * (h[j] + static_cast<long double>(mu) * (before[j] - exact[j]));
      }
      for (std::size_t j = 0; j < p.size; ++j) sum[j] += y[j], exact_sum[j] += z[j];
    }
    for (std::size_t j = 0; j < p.size; ++j) {
      x[j] = sum[j] / static_cast<double>(who.size());
      exact[j] = exact_sum[j] / static_cast<long double>(who.size());
    }
    CHECK(quadratics::distance(x, exact) < 1e-13);
  }
  // To the end of a round: the local minimum of 1/2 a (y - b)^2 + mu/2 (y - x)^2 is (a b + mu x) / (a + mu).
  std::vector<double> y = x;
  for (std::size_t k = 0; k < 2000; ++k) {
    auto g = p.gradient(2, y);
    proximal_term{mu}.add_gradient(model_view(y), model_view(x), mutable_model_view(g));
    for (std::size_t j = 0; j < p.size; ++j) y[j] -= eta * g[j];
  }
  for (std::size_t j = 0; j < p.size; ++j)
    CHECK(y[j] == Approx((p.a[2][j] * p.b[2][j] + mu * x[j]) / (p.a[2][j] + mu)).epsilon(1e-12));
}

TEST_CASE("integer tensors take no part and may be missing; what cannot be used is refused") {
  std::vector<float> w{1, 2}, global{0, 0}, gradient{5, 5};
  std::vector<std::int64_t> counter{3}, other{4};
  model_view model, server;
  model.add("steps", counter).add("w", w);
  server.add("steps", other).add("w", global);
  mutable_model_view out;
  out.add("w", gradient);
  fedagg::stream_fault fault;
  const proximal_term one{1};
  REQUIRE(one.try_add_gradient(model, server, out) == errc::ok);
  CHECK(gradient == std::vector<float>{6, 7});
  CHECK(one.value(model, server) == 2.5);

  const double nan = std::bit_cast<double>(0x7ff8000000000000u);
  double value = 9;
  for (const double bad : {-1e-9, nan, std::bit_cast<double>(0x7ff0000000000000u)}) {
    CHECK(proximal_term{bad}.try_add_gradient(model, server, out) == errc::bad_parameter);
    CHECK(proximal_term{bad}.try_value(model, server, value) == errc::bad_parameter);
  }
  CHECK(one.try_add_gradient(server, model_view(w), out, {.fault = &fault}) == errc::layout_mismatch);
  CHECK(fault.name == "w");
  w[1] = static_cast<float>(nan);
  CHECK(one.try_add_gradient(model, server, out, {.write = write::atomic, .fault = &fault}) == errc::non_finite);
  CHECK(fault.tensor == 0);
  mutable_model_view longer;
  longer.add("steps", counter).add("w", gradient);
  CHECK(one.try_add_gradient(model, server, longer, {.write = write::atomic, .fault = &fault}) == errc::non_finite);
  CHECK(fault.tensor == 1);
  CHECK(one.try_value(model, server, value) == errc::non_finite);
  CHECK(gradient == std::vector<float>{6, 7});
  w[1] = 3e38f;
  CHECK(proximal_term{100}.try_add_gradient(model, server, out, {.write = write::atomic}) == errc::overflow);
  CHECK(gradient == std::vector<float>{6, 7});
  std::vector<double> huge{1e200}, zero{0};
  CHECK(one.try_value(model_view(huge), model_view(zero), value) == errc::overflow);
  CHECK(value == 9);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(proximal_term{-1}.add_gradient(model, server, out), fedagg::error);
  CHECK_THROWS_AS(proximal_term{-1}.value(model, server), fedagg::error);
#endif
}

TEST_CASE("mu goes up with the loss, and down after five falls in a row") {
  adaptive_mu mu;
  const auto report = [&](double loss) { REQUIRE(mu.try_report(loss) == errc::ok); };
  report(10);
  CHECK(mu.mu() == 0);
  report(11);
  CHECK(mu.mu() == 0.1);
  report(12);
  CHECK(mu.mu() == 0.2);
  for (const double loss : {11, 10, 9, 8}) report(loss);
  CHECK(mu.mu() == 0.2);
  report(7);
  CHECK(mu.mu() == 0.1);
  for (const double loss : {6, 5, 4, 3}) report(loss); // four, and then one that is the same
  report(3);
  for (const double loss : {2.9, 2.8, 2.7, 2.6}) report(loss);
  CHECK(mu.mu() == 0.1);
  report(2.5);
  CHECK(mu.mu() == 0); // the very start again
  for (int k = 0; k < 20; ++k) report(2.4 - 0.01 * k);
  CHECK(mu.mu() == 0);
  report(5);
  CHECK(mu.mu() == 0.1);

  // A start that is no multiple of the step stops at zero.
  adaptive_mu from({.start = 0.25, .step = 0.2, .falls = 1});
  for (const double loss : {5, 4, 3, 2}) REQUIRE(from.try_report(loss) == errc::ok);
  CHECK(from.mu() == 0);
  REQUIRE(from.try_report(9) == errc::ok);
  CHECK(from.mu() == 0.2);
}

TEST_CASE("an adaptive mu is saved with all it remembers, and refuses what it cannot be") {
  adaptive_mu mu({.start = 1, .step = 0.1, .falls = 3});
  for (const double loss : {5.0, 6.0, 5.5, 5.25}) REQUIRE(mu.try_report(loss) == errc::ok);
  const double nan = std::bit_cast<double>(0x7ff8000000000000u);
  CHECK(mu.try_report(nan) == errc::non_finite);
  memory_archive file;
  REQUIRE(file.save(mu) == errc::ok);
  CHECK(file.twice.empty());
  adaptive_mu again;
  REQUIRE(file.load(again) == errc::ok);
  CHECK(again.mu() == 1.1);
  REQUIRE(again.try_report(5) == errc::ok);
  REQUIRE(mu.try_report(5) == errc::ok);
  CHECK(again.mu() == 1);
  CHECK(again.mu() == mu.mu());
  CHECK(again.settings().falls == 3);

  const auto spoiled = [&](const char* name, auto x) {
    memory_archive other = file;
    std::memcpy(other.items.at(name).bytes.data(), &x, sizeof x);
    adaptive_mu loaded;
    return other.load(loaded);
  };
  CHECK(spoiled("base", 1.0) == errc::ok);
  CHECK(spoiled("base", nan) == errc::file_format);
  CHECK(spoiled("base", -1.0) == errc::file_format);
  CHECK(spoiled("steps", std::int64_t{-20}) == errc::file_format);
  CHECK(spoiled("steps", INT64_MIN) == errc::file_format);
  CHECK(spoiled("in_row", std::uint64_t{3}) == errc::file_format);
  CHECK(spoiled("falls", std::uint64_t{0}) == errc::file_format);
  CHECK(spoiled("step", 0.0) == errc::file_format);
  CHECK(spoiled("last_loss", nan) == errc::file_format);
  CHECK(spoiled("seen", false) == errc::file_format);
  adaptive_mu none({.start = -1});
  CHECK(none.status() == errc::bad_parameter);
  CHECK(none.try_report(1) == errc::bad_parameter);
  CHECK(file.save(none) == errc::bad_parameter);
  adaptive_mu steep({.start = 1.7e308, .step = 1e308});
  REQUIRE(steep.try_report(1) == errc::ok);
  CHECK(steep.try_report(2) == errc::overflow);
  CHECK(steep.mu() == 1.7e308);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(steep.report(2), fedagg::error);
#endif
}
