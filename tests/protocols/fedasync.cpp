// SPDX-License-Identifier: MIT
#include <fedagg/protocols/fedasync.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "support/async_model.hpp"
#include "support/numeric.hpp"

using fedagg::aging;
using fedagg::errc;
using fedagg::fedasync;
using fedagg::fully_async;
using fedagg::integers;
using fedagg::model_view;
using fedagg::mutable_model_view;
using namespace numeric;

namespace {

struct subject {
  std::vector<float> global = {1, -2}, model = {3, 4};
  fedasync how;
  fully_async server;

  subject(const fedasync& h, std::uint64_t first) : how(h), server(global, h, first) {}
  errc receive(const std::string& id, std::uint64_t from, bool usable) {
    const std::vector<float> bad = {1, std::numeric_limits<float>::quiet_NaN()};
    const auto before = global;
    const errc rc = server.try_receive(id, from, usable ? model : bad, global);
    CHECK((rc == errc::ok) == (global != before));
    // Never quite there: every model changes something.
    global = {1, -2};
    return rc;
  }
  errc flush() { return errc::ok; }
  void reload(std::uint64_t bound) {
    fedagg_test::memory_archive a;
    REQUIRE(a.save(server) == errc::ok);
    how.max_staleness = bound;
    fully_async fresh(global, how, 99);
    REQUIRE(a.load(fresh) == errc::ok);
    server = std::move(fresh);
  }
};

quad power_of(quad x, double a) {
  // Of the exponents used here.
  if (a == 0.5) {
    quad r = __builtin_sqrt(static_cast<double>(x));
    for (int i = 0; i < 3; ++i) r = divide(add(r, divide(x, r)), 2);
    return r;
  }
  return multiply(x, x);
}

/// s by the paper, in higher precision.
quad s_of(const fedagg::staleness& s, std::uint64_t age) {
  switch (s.kind) {
  case aging::polynomial:
    return divide(1, power_of(quad(age + 1), s.a));
  case aging::hinge:
    return static_cast<double>(age) <= s.b ? quad(1) : divide(1, add(multiply(s.a, quad(static_cast<double>(age) - s.b)), 1));
  default:
    return 1;
  }
}

template <class T>
void check_rounds(std::size_t d, bool strided, kind values) {
  const fedagg::staleness functions[] = {
      {.kind = aging::polynomial, .a = 0.5}, {.kind = aging::polynomial, .a = 2}, {.kind = aging::hinge, .a = 10, .b = 2},
      {.kind = aging::constant}};
  for (const auto& s : functions) {
    const auto sent = sample<T>(values, 6, d, 21);
    const std::size_t step = strided ? 3 : 1, shape[] = {d};
    const std::ptrdiff_t steps[] = {static_cast<std::ptrdiff_t>(step)};
    std::vector<T> memory(d * step, stored<T>(0.25));
    const fedagg::tensor_view<T> global(memory.data(), shape, steps);
    const mutable_model_view target(global);
    fully_async server(target, {.alpha = 0.6, .max_staleness = 5, .staleness = s});
    // Every client answers one of the versions before: ages 0, 1, 2, 3, 0, 5.
    const std::uint64_t ages[] = {0, 1, 2, 3, 0, 5};
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < 6; ++i) {
      std::vector<quad> x(d);
      for (std::size_t j = 0; j < d; ++j) x[j] = value(memory[j * step]);
      const errc rc = [&] {
        const mode callers(worst);
        return server.try_receive(std::to_string(i), i - ages[i], model_view(sent.row(i)), target);
      }();
      REQUIRE(rc == errc::ok);
      const quad share = multiply(quad(0.6), s_of(s, ages[i]));
      for (std::size_t j = 0; j < d; ++j) {
        const quad y = value(sent.at(i, j)), size = magnitude(x[j]) + magnitude(y);
        const quad exact = add(multiply(1 - share, x[j]), multiply(share, y));
        // The share's and 1 - share's roundings, the products' and the sum's; what lies below the subnormals.
        wrong += !rounds_to<T>(memory[j * step], exact, size * 6 * quad(unit) + 2 * quad(power(-1074)));
        const quad low = x[j] < y ? x[j] : y, high = x[j] < y ? y : x[j];
        wrong += quad(value(memory[j * step])) < low || quad(value(memory[j * step])) > high;
      }
      for (std::size_t j = 0; strided && j < memory.size(); ++j)
        if (j % step != 0) wrong += value(memory[j]) != 0.25;
    }
    INFO(format<T>::name << " d=" << d << " " << name_of(values));
    CHECK(wrong == 0);
    CHECK(server.model_version() == 6);
  }
}

template <class T>
void check_sizes() {
  for (const std::size_t d : {1u, 7u, 64u, 65u, 255u, 257u, 1000u})
    for (const bool strided : {false, true}) check_rounds<T>(d, strided, kind::normal);
  for (const kind k : {kind::large, kind::denormal, kind::mixed}) check_rounds<T>(100, false, k);
}

} // namespace

TEST_CASE("a server takes what the plain model of it takes, whatever is called") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const std::uint64_t bound = seed % 5, first = seed % 3 == 0 ? 0 : 7;
    subject s({.max_staleness = bound}, first);
    async_model::random_calls(s, 1, false, bound, seed, 1200);
  }
}

TEST_CASE("FedAsync, step by step, in place, and never beyond the two models") {
  SECTION("f32") { check_sizes<float>(); }
  SECTION("f64") { check_sizes<double>(); }
  SECTION("f16") { check_sizes<fedagg::float16>(); }
  SECTION("bf16") { check_sizes<fedagg::bfloat16>(); }
}

TEST_CASE("a model that agrees changes nothing, and with alpha 1 a fresh one is taken as it is") {
  const auto x = sample<double>(kind::mixed, 2, 500, 4);
  for (const double alpha : {0.1, 0.6, 1.0}) {
    std::vector<double> global(x.row(0).begin(), x.row(0).end());
    const auto before = global;
    const mutable_model_view target(global);
    fully_async server(target, {.alpha = alpha});
    REQUIRE(server.try_receive("a", 0, model_view(x.row(0)), target) == errc::ok);
    CHECK(same_bits(global, before));
    REQUIRE(server.try_receive("b", 1, model_view(x.row(1)), target) == errc::ok);
    CHECK((global == std::vector<double>(x.row(1).begin(), x.row(1).end())) == (alpha == 1));
  }
  // At the end of the range nothing overflows.
  std::vector<double> far = {std::numeric_limits<double>::max()}, also = far;
  fully_async server(far, {.alpha = 0.1});
  for (std::uint64_t v = 0; v < 20; ++v) REQUIRE(server.try_receive("a", v, also, far) == errc::ok);
  CHECK(far == also);
}

TEST_CASE("the same bits on every instruction set and thread count") {
  const std::size_t d = 140000;
  const auto x = sample<float>(kind::normal, 2, d, 9);
  std::vector<float> want;
  on_each_isa([&](fedagg::isa which) {
    for (const std::size_t count : {std::size_t{1}, std::size_t{3}}) {
      std::vector<float> global(x.row(0).begin(), x.row(0).end());
      const mutable_model_view target(global);
      fully_async server(target, {.alpha = 0.3});
      threads pool{count};
      REQUIRE(server.try_receive("a", 0, model_view(x.row(1)), target, pool) == errc::ok);
      if (want.empty()) want = global;
      INFO(fedagg::name_of(which) << " threads " << count);
      CHECK(same_bits(want, global));
    }
  });
}

TEST_CASE("models of many tensors: counters are mixed and rounded, or kept") {
  std::vector<float> w = {1, 2}, client_w = {3, 2};
  std::vector<std::int64_t> n(300, 10), client_n(300, 13), kept = {5}, client_kept = {INT64_MAX};
  std::vector<std::uint8_t> small = {0, 255}, client_small = {255, 255};
  mutable_model_view global;
  global.add("w", w).add("n", n).add("kept", kept, integers::keep).add("small", small);
  model_view model;
  model.add("w", client_w).add("n", client_n).add("kept", client_kept).add("small", client_small);
  fully_async server(global, {.alpha = 0.5});
  client_n[299] = 11;
  REQUIRE(server.try_receive("a", 0, model, global) == errc::ok);
  CHECK(w == std::vector<float>{2, 2});
  CHECK(n[0] == 12);   // 11.5
  CHECK(n[299] == 10); // 10.5
  CHECK(kept[0] == 5);
  CHECK(small == std::vector<std::uint8_t>{128, 255});
  client_n[5] = (std::int64_t{1} << 53) + 1;
  CHECK(server.try_receive("b", 1, model, global) == errc::integer_range);
  CHECK(w == std::vector<float>{2, 2});
}

TEST_CASE("nothing is written for a model that is refused") {
  std::vector<float> x = {1, 2, 3, 4};
  const std::vector<float> before = x, good = {5, 6, 7, 8}, bad = {5, 6, 7, std::numeric_limits<float>::infinity()};
  const std::vector<float> longer(5);
  fully_async server(x, {.max_staleness = 1}, 4);
  CHECK(server.try_receive("a", 4, bad, x) == errc::non_finite);
  CHECK(server.try_receive("a", 4, longer, x) == errc::client_layout);
  CHECK(server.try_receive("a", 5, good, x) == errc::value_range);
  CHECK(server.try_receive("a", 3, good, x) == errc::stale_client);
  CHECK(server.try_receive(std::string(1025, 'x'), 4, good, x) == errc::unknown_client);
  std::vector<float> other(5, 1.0f);
  CHECK(server.try_receive("a", 4, good, other) == errc::layout_mismatch);
  CHECK(server.try_receive("a", 4, x, x) == errc::overlapping_output);
  const std::size_t shape[] = {4};
  const std::ptrdiff_t nowhere[] = {0};
  CHECK(server.try_receive("a", 4, good, fedagg::tensor_view<float>(x.data(), shape, nowhere)) ==
        errc::overlapping_output);
  CHECK(x == before);
  CHECK(server.model_version() == 4);
  CHECK(server.taken() == 0);
  CHECK(server.refused() == 8);
  CHECK(server.try_receive("a", 4, good, x) == errc::ok);
  CHECK(x != before);
  const auto after = x;
  CHECK(server.try_receive("a", 4, good, x) == errc::duplicate_client);
  CHECK(server.try_receive("b", 4, good, x) == errc::ok);
  CHECK(server.try_receive("c", 4, good, x) == errc::stale_client);
  CHECK(x != after);

  std::vector<std::int64_t> pair(4, 1);
  mutable_model_view twice;
  twice.add("a", std::span<std::int64_t>(pair).subspan(0, 3)).add("b", std::span<std::int64_t>(pair).subspan(2, 2));
  std::vector<std::int64_t> p(3), q(2);
  fully_async overlapping(twice);
  CHECK(overlapping.try_receive("a", 0, model_view().add("a", p).add("b", q), twice) == errc::overlapping_output);
  CHECK(pair == std::vector<std::int64_t>(4, 1));
}

TEST_CASE("parameters that are impossible") {
  std::vector<float> x = {1}, y = {2};
  for (const double alpha : {0.0, -0.1, 1.1, std::bit_cast<double>(0x7ff8000000000000u)})
    CHECK(fully_async(x, {.alpha = alpha}).try_receive("a", 0, y, x) == errc::bad_parameter);
  CHECK(fully_async(x, {.staleness = {.kind = aging::polynomial}}).try_receive("a", 0, y, x) == errc::bad_parameter);
  CHECK(x[0] == 1);
  CHECK(fully_async(x).weight(0) == 0.6);
  CHECK(fully_async(x).weight(1) == 0);
}

TEST_CASE("an executor that fails is told, and counts as no version") {
  std::vector<float> x(200000, 1.0f);
  const std::vector<float> y(200000, 2.0f);
  fully_async server(x);
  auto loses = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 1; i < count; ++i) t(i);
  };
  CHECK(server.try_receive("a", 0, y, x, loses) == errc::executor_failed);
  CHECK(server.model_version() == 0);
}

TEST_CASE("hostile files") {
  std::vector<float> x = {1};
  const std::vector<float> y = {2};
  fully_async server(x, {.max_staleness = 3});
  for (std::uint64_t v = 0; v < 9; ++v) REQUIRE(server.try_receive(v % 2 ? "a" : "bb", v, y, x) == errc::ok);
  fedagg_test::memory_archive saved;
  REQUIRE(saved.save(server) == errc::ok);
  CHECK(async_model::remembered(server) == 3);
  async_model::hostile_files(saved, [&] { return fully_async(x, {.max_staleness = 3}); });
}
