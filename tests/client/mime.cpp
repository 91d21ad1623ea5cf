// SPDX-License-Identifier: MIT
#include <fedagg/client/mime.hpp>

#include "support/memory_archive.hpp"
#include "support/quadratics.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::mime;
using fedagg::mime_optimizer;
using fedagg::mime_state;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::precision;
using fedagg::write;

namespace {

std::span<double> values(const mutable_model_view& m) {
  const auto& t = m.entries()[0].tensor;
  return {static_cast<double*>(t.data()), t.size()};
}

/// Every operation by itself, as the header has them.
template <class W>
void check_bits(std::size_t d, mime_optimizer optimizer, bool corrected) {
  const auto m = sample<W>(kind::normal, 4, d, 101); // g, g0, c, y
  const mime numbers{.beta = 0.7, .beta2 = 0.8, .epsilon = 0.01};
  mime_state state(model_layout(model_view(m.row(0))), optimizer);
  const bool adam = optimizer == mime_optimizer::adam;
  std::vector<double> first(d), second(d);
  std::vector<W> y(m.row(3).begin(), m.row(3).end());
  const model_view g(m.row(0)), g0(m.row(1)), c(m.row(2));
  const mutable_model_view model(y);
  std::size_t wrong = 0;
  for (int round = 0; round < 2; ++round) {
    auto before = y;
    const errc rc = [&] {
      const mode callers(worst);
      const errc stepped =
          corrected ? numbers.try_step(0.3, state, g, g0, c, model) : numbers.try_step(0.3, state, g, model);
      return stepped == errc::ok ? numbers.try_renew(c, state) : stepped;
    }();
    REQUIRE(rc == errc::ok);
    const double rest = kept(1 - 0.7), rest2 = kept(1 - 0.8);
    for (std::size_t j = 0; j < d; ++j) {
      double u = value(m.at(0, j));
      if (corrected) u = kept(kept(u - value(m.at(1, j))) + value(m.at(2, j)));
      u = kept(kept(rest * u) + kept(0.7 * first[j]));
      if (adam) {
        volatile double divisor = kept(__builtin_sqrt(second[j])) + 0.01;
        u = kept(u / divisor);
      }
      wrong += bits_of(y[j]) != bits_of(stored<W>(kept(value(before[j]) - kept(0.3 * u))));
      const double s = value(m.at(2, j));
      first[j] = kept(kept(rest * s) + kept(0.7 * first[j]));
      second[j] = kept(kept(rest2 * kept(s * s)) + kept(0.8 * second[j]));
      wrong += bits_of(values(state.first())[j]) != bits_of(first[j]);
      if (adam) wrong += bits_of(values(state.second())[j]) != bits_of(second[j]);
    }
  }
  CHECK(wrong == 0);
}

struct by_the_paper {
  std::vector<long double> x, m, v;
};

/// A round of algorithm 1, both ways; gradients are of all of a client's data, bent by the step's number so that batches
/// are told apart.
void round_of(const quadratics::problem& p, const std::vector<std::size_t>& who, bool lite, const mime& numbers,
              double eta, std::vector<double>& x, mime_state& state, by_the_paper* r) {
  const auto s = static_cast<double>(who.size());
  std::vector<double> c(p.size), sum(p.size);
  std::vector<long double> c_r(p.size), sum_r(p.size);
  for (const std::size_t i : who) {
    const auto g = p.gradient(i, x);
    for (std::size_t j = 0; j < p.size; ++j) c[j] += g[j] / s;
    if (!r) continue;
    const auto h = p.gradient(i, r->x);
    for (std::size_t j = 0; j < p.size; ++j) c_r[j] += h[j] / static_cast<long double>(s);
  }
  // A batch's gradient: of one that pulls a little elsewhere.
  const auto batch = [&](std::size_t i, std::size_t k, const auto& y) {
    auto g = p.gradient(i, y);
    for (std::size_t j = 0; j < p.size; ++j) g[j] = g[j] * static_cast<std::remove_cvref_t<decltype(g[0])>>(k % 2 ? 0.75 : 1.25);
    return g;
  };
  for (const std::size_t i : who) {
    std::vector<double> y = x;
    for (std::size_t k = 0; k < 4; ++k) {
      const auto g = batch(i, k, y), g0 = batch(i, k, x);
      if (lite)
        numbers.step(eta, state, model_view(g), mutable_model_view(y));
      else
        numbers.step(eta, state, model_view(g), model_view(g0), model_view(c), mutable_model_view(y));
    }
    for (std::size_t j = 0; j < p.size; ++j) sum[j] += y[j];
    if (!r) continue;
    std::vector<long double> z = r->x;
    for (std::size_t k = 0; k < 4; ++k) {
      const auto g = batch(i, k, z), g0 = batch(i, k, r->x);
      for (std::size_t j = 0; j < p.size; ++j) {
        const long double d = lite ? g[j] : g[j] - g0[j] + c_r[j];
        long double u = (1 - static_cast<long double>(numbers.beta)) * d + static_cast<long double>(numbers.beta) * r->m[j];
        if (state.optimizer() == mime_optimizer::adam)
          u /= __builtin_sqrtl(r->v[j]) + static_cast<long double>(numbers.epsilon);
        z[j] -= static_cast<long double>(eta) * u;
      }
    }
    for (std::size_t j = 0; j < p.size; ++j) sum_r[j] += z[j];
  }
  for (std::size_t j = 0; j < p.size; ++j) x[j] = sum[j] / s;
  numbers.renew(model_view(c), state);
  if (!r) return;
  for (std::size_t j = 0; j < p.size; ++j) {
    r->x[j] = sum_r[j] / static_cast<long double>(s);
    const auto b = static_cast<long double>(numbers.beta), b2 = static_cast<long double>(numbers.beta2);
    r->m[j] = (1 - b) * c_r[j] + b * r->m[j];
    r->v[j] = (1 - b2) * c_r[j] * c_r[j] + b2 * r->v[j];
  }
}

} // namespace

TEST_CASE("Mime's steps and statistics, bit for bit") {
  for (const std::size_t d : {0u, 1u, 9u, 300u})
    for (const mime_optimizer optimizer : {mime_optimizer::momentum, mime_optimizer::adam})
      for (const bool corrected : {false, true}) {
        check_bits<float>(d, optimizer, corrected);
        check_bits<double>(d, optimizer, corrected);
      }
}

TEST_CASE("rounds of Mime and Mime Lite with partial participation follow the paper") {
  const quadratics::problem p(5, 7, 11);
  for (const mime_optimizer optimizer : {mime_optimizer::momentum, mime_optimizer::adam})
    for (const bool lite : {false, true}) {
      const mime numbers{.beta = 0.8, .beta2 = 0.9, .epsilon = 0.1};
      std::vector<double> x(p.size, 0.25);
      mime_state state(model_layout(model_view(x)), optimizer);
      by_the_paper r{std::vector<long double>(p.size, 0.25L), std::vector<long double>(p.size), std::vector<long double>(p.size)};
      for (std::size_t round = 0; round < 6; ++round) {
        round_of(p, quadratics::participants(round, p.clients, 3), lite, numbers, 0.02, x, state, &r);
        CHECK(quadratics::distance(x, r.x) < 1e-12);
        const auto m = values(state.first());
        CHECK(quadratics::distance(std::vector<double>(m.begin(), m.end()), r.m) < 1e-12);
        if (optimizer != mime_optimizer::adam) continue;
        const auto v = values(state.second());
        CHECK(quadratics::distance(std::vector<double>(v.begin(), v.end()), r.v) < 1e-12);
      }
    }
}

TEST_CASE("Mime's error with unlike clients is far below that of Mime Lite, which drifts like FedAvg") {
  const quadratics::problem p(5, 7, 12);
  const auto best = p.optimum(std::vector<double>(p.clients, 1.0));
  const std::vector<std::size_t> all{0, 1, 2, 3, 4};
  const mime numbers{.beta = 0.5};
  double error[2];
  for (const bool lite : {false, true}) {
    std::vector<double> x(p.size);
    mime_state state{model_layout(model_view(x))};
    for (int round = 0; round < 600; ++round) round_of(p, all, lite, numbers, 0.05, x, state, nullptr);
    error[lite] = quadratics::distance(x, best);
  }
  CHECK(error[0] < 1e-10); // x* is where c is zero and every corrected gradient is: a fixed point
  CHECK(error[1] > 5e-3);
}

TEST_CASE("Mime's statistics survive what is refused, and a file") {
  std::vector<float> y{1, 2}, g{1, -1};
  std::vector<std::int64_t> counter{5};
  model_view gradient;
  gradient.add("w", g);
  mutable_model_view model;
  model.add("steps", counter).add("w", y);
  const mime numbers{};
  mime_state state(model_layout(model), mime_optimizer::adam), plain{model_layout(model)};
  const double inf = std::bit_cast<double>(0x7ff0000000000000u);
  for (const double bad : {0.0, -1.0, inf}) {
    CHECK(numbers.try_step(bad, state, gradient, model) == errc::bad_parameter);
    CHECK(numbers.try_step(bad, state, gradient, gradient, gradient, model) == errc::bad_parameter);
    CHECK(mime{.epsilon = bad}.try_step(1, state, gradient, model) == errc::bad_parameter);
  }
  for (const double bad : {1.0, -0.1, inf}) {
    CHECK(mime{.beta = bad}.try_renew(gradient, state) == errc::bad_parameter);
    CHECK(mime{.beta2 = bad}.try_renew(gradient, state) == errc::bad_parameter);
  }
  CHECK(numbers.try_renew(model_view(g), state) == errc::layout_mismatch);
  REQUIRE(numbers.try_renew(gradient, state) == errc::ok);
  REQUIRE(numbers.try_renew(gradient, plain) == errc::ok);
  CHECK(plain.second().size() == 0);
  const double first = values(state.first())[0], second = values(state.second())[0];
  CHECK(first == Approx(0.1));
  CHECK(second == Approx(0.01));
  g[1] = static_cast<float>(inf);
  fedagg::stream_fault fault;
  CHECK(numbers.try_renew(gradient, state) == errc::non_finite);
  CHECK(numbers.try_step(1, state, gradient, model, {.write = write::atomic, .fault = &fault}) == errc::non_finite);
  CHECK(fault.tensor == 1);
  CHECK(values(state.first())[0] == first);
  CHECK(y == std::vector<float>{1, 2});
  g[1] = -1;

  fedagg_test::memory_archive file;
  REQUIRE(file.save(state) == errc::ok);
  CHECK(file.twice.empty());
  mime_state again;
  REQUIRE(file.load(again) == errc::ok);
  CHECK(again.optimizer() == mime_optimizer::adam);
  std::vector<float> z = y;
  mutable_model_view other;
  other.add("w", z);
  REQUIRE(numbers.try_step(0.1, state, gradient, model) == errc::ok);
  REQUIRE(numbers.try_step(0.1, again, gradient, other) == errc::ok);
  CHECK(y == z);
  const auto spoiled = [&](const char* name, double x) {
    fedagg_test::memory_archive bad = file;
    std::memcpy(bad.items.at(name).bytes.data(), &x, sizeof x);
    mime_state loaded;
    return bad.load(loaded);
  };
  CHECK(spoiled("v.values.0", 4) == errc::ok);
  CHECK(spoiled("v.values.0", -4) == errc::file_format);
  CHECK(spoiled("m.values.0", -4) == errc::ok);
  CHECK(spoiled("m.values.0", inf) == errc::file_format);
  fedagg_test::memory_archive mixed = file;
  mixed.items.at("adam").bytes[0] = std::byte{0};
  mime_state half;
  REQUIRE(mixed.load(half) == errc::ok);
  CHECK(half.second().size() == 0);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(numbers.step(0, state, gradient, model), fedagg::error);
  CHECK_THROWS_AS(numbers.step(0, state, gradient, gradient, gradient, model), fedagg::error);
  CHECK_THROWS_AS(numbers.renew(model_view(g), state), fedagg::error);
#endif
}
