// SPDX-License-Identifier: MIT
#include <fedagg/client/ditto.hpp>

#include "support/memory_archive.hpp"
#include "support/quadratics.hpp"

using namespace numeric;
using fedagg::ditto;
using fedagg::errc;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::precision;
using fedagg::write;

namespace {

template <class V>
std::span<const V> values(const ditto& d, std::size_t k = 0) {
  const auto& t = d.personal().entries()[k].tensor;
  return {static_cast<const V*>(t.data()), t.size()};
}

template <class W, class V>
void check_bits(std::size_t d) {
  const auto w = sample<W>(kind::normal, 2, d, 51);
  const auto g = sample<W>(kind::normal, 1, d, 52);
  const model_view start(w.row(0)), global(w.row(1)), gradient(g.row(0));
  ditto own(model_layout(start), std::is_same_v<V, float> ? precision::f32 : precision::f64);
  REQUIRE(own.try_start(start) == errc::ok);
  std::vector<V> want(d), before;
  for (std::size_t j = 0; j < d; ++j) want[j] = static_cast<V>(value(w.at(0, j)));
  CHECK(std::equal(want.begin(), want.end(), values<V>(own).begin()));
  std::vector<W> added(g.row(0).begin(), g.row(0).end());
  REQUIRE(own.try_add_gradient(0.6, global, mutable_model_view(added)) == errc::ok);
  const errc rc = [&] {
    const mode callers(worst);
    return own.try_step(0.2, 0.6, global, gradient);
  }();
  REQUIRE(rc == errc::ok);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) {
    const double v = value(want[j]);
    const double pulled = kept(value(g.at(0, j)) + kept(0.6 * kept(v - value(w.at(1, j)))));
    wrong += bits_of(added[j]) != bits_of(stored<W>(pulled));
    wrong += bits_of(values<V>(own)[j]) != bits_of(stored<V>(kept(v - kept(0.2 * pulled))));
  }
  CHECK(wrong == 0);
}

} // namespace

TEST_CASE("Ditto's steps, bit for bit") {
  for (const std::size_t d : {0u, 1u, 9u, 700u}) {
    check_bits<float, double>(d);
    check_bits<float, float>(d);
    check_bits<double, double>(d);
  }
}

TEST_CASE("rounds of Ditto with partial participation follow the paper, and end at the personal minimum") {
  const quadratics::problem p(4, 6, 2);
  const double eta = 0.1, lambda = 0.5;
  std::vector<double> x(p.size, 1.0);
  const model_layout layout{model_view(x)};
  std::vector<ditto> own(p.clients, ditto(layout));
  std::vector<std::vector<long double>> exact(p.clients, std::vector<long double>(p.size, 1.0L));
  std::vector<long double> z(p.size, 1.0L);
  for (auto& d : own) REQUIRE(d.try_start(model_view(x)) == errc::ok);
  const auto round_of = [&](std::size_t round) {
    const auto who = quadratics::participants(round, p.clients, 2);
    std::vector<double> sum(p.size);
    std::vector<long double> exact_sum(p.size);
    for (const std::size_t i : who) {
      std::vector<double> y = x;
      std::vector<long double> u = z;
      for (int k = 0; k < 3; ++k) {
        const auto g = p.gradient(i, y);
        const auto h = p.gradient(i, u);
        for (std::size_t j = 0; j < p.size; ++j) y[j] -= eta * g[j], u[j] -= static_cast<long double>(eta) * h[j];
        const auto v = values<double>(own[i]);
        const auto at_v = p.gradient(i, std::vector<double>(v.begin(), v.end()));
        own[i].step(eta, lambda, model_view(x), model_view(at_v));
        const auto at_exact = p.gradient(i, exact[i]);
        for (std::size_t j = 0; j < p.size; ++j)
          exact[i][j] -= static_cast<long double>(eta) *
                         (at_exact[j] + static_cast<long double>(lambda) * (exact[i][j] - z[j]));
      }
      for (std::size_t j = 0; j < p.size; ++j) sum[j] += y[j], exact_sum[j] += u[j];
    }
    for (std::size_t j = 0; j < p.size; ++j) {
      x[j] = sum[j] / static_cast<double>(who.size());
      z[j] = exact_sum[j] / static_cast<long double>(who.size());
    }
  };
  for (std::size_t round = 0; round < 5; ++round) {
    round_of(round);
    for (std::size_t i = 0; i < p.clients; ++i) {
      const auto v = values<double>(own[i]);
      CHECK(quadratics::distance(std::vector<double>(v.begin(), v.end()), exact[i]) < 1e-13);
    }
  }
  for (int k = 0; k < 1000; ++k) {
    const auto v = values<double>(own[1]);
    const auto g = p.gradient(1, std::vector<double>(v.begin(), v.end()));
    own[1].step(eta, lambda, model_view(x), model_view(g));
  }
  for (std::size_t j = 0; j < p.size; ++j)
    CHECK(values<double>(own[1])[j] ==
          Approx((p.a[1][j] * p.b[1][j] + lambda * x[j]) / (p.a[1][j] + lambda)).epsilon(1e-12));
}

TEST_CASE("a personal model survives what is refused, and a file") {
  std::vector<float> w{1, 2}, gradient{1, 1};
  std::vector<std::int64_t> counter{5};
  model_view model;
  model.add("w", w).add("steps", counter);
  ditto own{model_layout(model)};
  REQUIRE(own.try_start(model) == errc::ok);
  REQUIRE(own.personal().size() == 1);
  model_view g;
  g.add("w", gradient);
  const double inf = std::bit_cast<double>(0x7ff0000000000000u);
  for (const double bad : {0.0, -1.0, inf}) CHECK(own.try_step(bad, 1, model, g) == errc::bad_parameter);
  for (const double bad : {-1.0, inf}) CHECK(own.try_step(1, bad, model, g) == errc::bad_parameter);
  CHECK(own.try_step(1, 1, model, model_view(gradient)) == errc::layout_mismatch);
  gradient[1] = static_cast<float>(inf);
  CHECK(own.try_step(1, 1, model, g) == errc::non_finite);
  CHECK(values<double>(own)[0] == 1);
  mutable_model_view out;
  out.add("w", gradient);
  CHECK(own.try_add_gradient(-1, model, out) == errc::bad_parameter);
  CHECK(own.try_add_gradient(1, model, out, {.write = write::atomic}) == errc::non_finite);
  CHECK(gradient[0] == 1);
  gradient[1] = 0;

  fedagg_test::memory_archive file;
  REQUIRE(file.save(own) == errc::ok);
  ditto again;
  CHECK(again.try_step(1, 1, model, g) == errc::layout_mismatch);
  REQUIRE(file.load(again) == errc::ok);
  REQUIRE(again.try_step(0.5, 1, model, g) == errc::ok);
  REQUIRE(own.try_step(0.5, 1, model, g) == errc::ok);
  CHECK(values<double>(again)[0] == values<double>(own)[0]);
  for (auto& [name, item] : file.items)
    if (name.find("values") != std::string::npos) std::memcpy(item.bytes.data(), &inf, sizeof inf);
  ditto spoiled;
  CHECK(file.load(spoiled) == errc::file_format);

  const std::size_t huge[] = {PTRDIFF_MAX / 8};
  model_layout none;
  none.add("x", fedagg::dtype::bf16, huge);
  ditto impossible(none);
  CHECK(impossible.status() == errc::size_overflow);
  CHECK(impossible.try_step(1, 1, model, g) == errc::size_overflow);
  CHECK(impossible.try_start(model) == errc::size_overflow);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(own.step(0, 1, model, g), fedagg::error);
  CHECK_THROWS_AS(own.add_gradient(-1, model, out), fedagg::error);
  CHECK_THROWS_AS(own.start(g.entries().empty() ? model : model_view(gradient)), fedagg::error);
#endif
}
