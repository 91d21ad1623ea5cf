// SPDX-License-Identifier: MIT
#include <fedagg/passes/fixed_point_accumulator.hpp>

#include "support/streams.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::fixed_point;
using fedagg::fixed_point_accumulator;

namespace {

const double not_a_number = std::bit_cast<double>(0x7ff8000000000000);
const double infinity = std::bit_cast<double>(0x7ff0000000000000);

template <class T>
void check(std::size_t n, std::size_t d, const fixed_point& how, bool counts) {
  auto x = sample<T>(kind::normal, n, d, 21);
  std::mt19937_64 random(n * d);
  std::vector<double> w(n);
  for (double& v : w) v = counts ? static_cast<double>(random() % 1000) : how.rounded(1.1 + uniform(random));
  w[0] = how.largest_weight;
  const fixed_point_accumulator empty(fedagg::model_view(x.row(0)), how);
  REQUIRE(empty.status() == errc::ok);
  INFO(format<T>::name << " n=" << n << " d=" << d << " counts " << counts);
  std::vector<T> want;
  double total = 0;
  for (const double v : w) total += v;
  streams::each_way(empty, streams::arrivals(x, w), n, [&](const char* way, const fixed_point_accumulator& sums) {
    INFO(way);
    CHECK(sums.clients() == n);
    CHECK(sums.weight() == total);
    const auto got = streams::finished<T>(sums, d);
    if (want.empty()) want = got;
    CHECK(same_bits(want, got));
  });
  REQUIRE(want.size() == d);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) {
    quad sum = 0, size = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const quad product = multiply(w[i], value(x.at(i, j)));
      sum = add(sum, product);
      size = add(size, magnitude(product));
    }
    const quad exact = divide(sum, total);
    const quad error = divide(quad(n) * quad(how.grid / 2) + size * quad(unit), total) + 3 * quad(unit) * magnitude(exact);
    wrong += !rounds_to<T>(want[j], exact, error);
  }
  CHECK(wrong == 0);
}

template <class T>
void check_sizes() {
  for (const bool counts : {true, false}) {
    const double weight_grid = counts ? 1.0 : 0x1p-20;
    const auto how = fixed_point::finest(2, counts ? 1000 : 4, 64, weight_grid);
    REQUIRE(how.status() == errc::ok);
    for (const std::size_t d : {1u, 7u, 8u, 9u, 63u, 65u, 700u}) check<T>(3, d, how, counts);
    for (const std::size_t n : {1u, 2u, 17u}) check<T>(n, 70, how, counts);
  }
}

} // namespace

TEST_CASE("a fixed-point mean has the same bits for every order, tree, thread and instruction set, within its bound") {
  SECTION("f32") { check_sizes<float>(); }
  SECTION("f64") { check_sizes<double>(); }
  SECTION("f16") { check_sizes<fedagg::float16>(); }
  SECTION("bf16") { check_sizes<fedagg::bfloat16>(); }
  SECTION("several tiles") { check<float>(9, 40000, fixed_point::finest(2, 1000, 64), true); }
}

TEST_CASE("the finest grid uses 63 bits, and none that could overflow") {
  for (const double range : {1.0, 3.0, 1e-9, 1e12})
    for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{4096}, std::uint64_t{1} << 40}) {
      const auto f = fixed_point::finest(range, 8, n);
      REQUIRE(f.status() == errc::ok);
      auto finer = f;
      finer.grid /= 2;
      CHECK(finer.status() == errc::bad_parameter);
    }
  const auto good = fixed_point::finest(1, 8, 100);
  const std::vector<float> layout(3);
  const auto refused = [&](auto change) {
    fixed_point f = good;
    change(f);
    CHECK(f.status() == errc::bad_parameter);
    fixed_point_accumulator sums(fedagg::model_view(layout), f);
    CHECK(sums.status() == errc::bad_parameter);
    CHECK(sums.try_absorb(layout) == errc::bad_parameter);
  };
  refused([](fixed_point& f) { f = fixed_point{}; });
  refused([](fixed_point& f) { f.clients = 0; });
  refused([](fixed_point& f) { f.clients = std::uint64_t{1} << 63; });
  refused([](fixed_point& f) { f.grid *= 0.75; });
  refused([](fixed_point& f) { f.grid = 0; });
  refused([](fixed_point& f) { f.grid = -f.grid; });
  refused([](fixed_point& f) { f.grid = 0x1p-900; });
  refused([](fixed_point& f) { f.weight_grid = 0.3; });
  refused([](fixed_point& f) { f.largest = not_a_number; });
  refused([](fixed_point& f) { f.largest = infinity; });
  refused([](fixed_point& f) { f.largest = -1; });
  refused([](fixed_point& f) { f.largest_weight = 0; });
  CHECK(fixed_point::finest(not_a_number, 1, 10).status() == errc::bad_parameter);
  CHECK(fixed_point::finest(1e300, 1e300, 10).status() == errc::bad_parameter);
}

TEST_CASE("weights are rounded to their grid half to even") {
  fixed_point f = fixed_point::finest(1, 8, 100, 0.25);
  CHECK(f.rounded(0.7) == 0.75);
  CHECK(f.rounded(0.125) == 0);
  CHECK(f.rounded(0.375) == 0.5);
  CHECK(f.rounded(0.6250001) == 0.75);
  CHECK(f.rounded(-0.375) == -0.5);
  CHECK(f.rounded(1e300) == 1e300);
}

TEST_CASE("at the edge of the range nothing overflows, and beyond it nothing is added") {
  // Every client at the limit, as many as are declared.
  const fixed_point how{4, 0x1p-49, 1, 1, 4095};
  REQUIRE(how.status() == errc::ok);
  std::vector<double> x{4, -4, 1.25}, out(3);
  fixed_point_accumulator sums(fedagg::model_view(x), how);
  for (int i = 0; i < 4095; ++i) REQUIRE(sums.try_absorb(x) == errc::ok);
  CHECK(sums.try_absorb(x) == errc::value_range);
  CHECK(sums.clients() == 4095);
  REQUIRE(sums.try_finish(out) == errc::ok);
  CHECK(out == x);

  sums.clear();
  REQUIRE(sums.try_absorb(x) == errc::ok);
  const std::vector<double> bad{4.0000001, -1e300, not_a_number, infinity, -infinity};
  for (const double v : bad)
    for (const std::size_t at : {0u, 2u}) {
      auto y = x;
      y[at] = v;
      CHECK(sums.try_absorb(y) == (fedagg::is_finite(v) ? errc::value_range : errc::non_finite));
    }
  CHECK(sums.try_absorb(x, 2) == errc::value_range);
  CHECK(sums.try_absorb(x, 0.5) == errc::value_range);
  CHECK(sums.try_absorb(x, -1) == errc::invalid_weight);
  CHECK(sums.try_absorb(x, not_a_number) == errc::invalid_weight);
  CHECK(sums.clients() == 1);
  CHECK(sums.weight() == 1);
  REQUIRE(sums.try_finish(out) == errc::ok);
  CHECK(out == x);
}

TEST_CASE("a bad client among many at once leaves no trace") {
  const std::size_t n = 40, d = 50000;
  auto x = sample<float>(kind::normal, n, d, 5);
  std::vector<double> w(n, 1.0);
  const auto how = fixed_point::finest(2, 1, 64);
  fixed_point_accumulator want(fedagg::model_view(x.row(0)), how);
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 3 != 0) {
      REQUIRE(want.try_absorb(fedagg::model_view(x.row(i))) == errc::ok);
      continue;
    }
    // NaN, far beyond, and just beyond, in tiles at both ends.
    x.at(i, i % 2 ? 0 : d - 1) = i % 9 == 0 ? std::bit_cast<float>(0x7fc00000) : i % 9 == 3 ? 1e38f : 2.0000002f;
  }
  fixed_point_accumulator sums(fedagg::model_view(x.row(0)), how);
  CHECK(streams::absorb_at_once(sums, streams::arrivals(x, w), 4) == want.clients());
  CHECK(sums.clients() == want.clients());
  CHECK(sums.weight() == want.weight());
  CHECK(same_bits(streams::finished<float>(want, d), streams::finished<float>(sums, d)));
}

TEST_CASE("integer tensors are exact, kept ones untouched, strided ones read as they lie") {
  std::vector<std::int64_t> steps{1000001, -7, 3}, counter{5};
  std::vector<float> block{1, 9, 2, 9, 3, 9};
  const std::size_t shape[] = {3};
  const std::ptrdiff_t stride[] = {2};
  fedagg::model_view model;
  model.add("steps", steps);
  model.add("kept", counter, fedagg::integers::keep);
  model.add("strided", fedagg::tensor_view<const float>(block.data(), shape, stride));
  const auto how = fixed_point::finest(4, 100, 10);
  fixed_point_accumulator sums(model, how);
  REQUIRE(sums.try_absorb(model, 3) == errc::ok);
  steps = {1000002, -8, 4};
  block = {2, 0, 3, 0, 4, 0};
  REQUIRE(sums.try_absorb(model, 1) == errc::ok);
  steps[0] = std::int64_t{1} << 54;
  CHECK(sums.try_absorb(model, 1) == errc::integer_range);
  steps[0] = std::int64_t{1} << 52;
  CHECK(sums.try_absorb(model, 1) == errc::value_range);
  std::vector<std::int64_t> steps_out(3), counter_out{42};
  std::vector<float> out(3);
  fedagg::mutable_model_view view;
  view.add("steps", steps_out);
  view.add("kept", counter_out, fedagg::integers::keep);
  view.add("strided", out);
  REQUIRE(sums.try_finish(view) == errc::ok);
  CHECK(steps_out == std::vector<std::int64_t>{1000001, -7, 3});
  CHECK(counter_out[0] == 42);
  CHECK(out == std::vector<float>{1.25f, 2.25f, 3.25f});
  REQUIRE(sums.try_finish(view, 2) == errc::ok);
  CHECK(steps_out == std::vector<std::int64_t>{2000002, -14, 6}); // 4000005 / 2 and 13 / 2 are halves
  CHECK(out == std::vector<float>{2.5f, 4.5f, 6.5f});
  CHECK(sums.try_finish(view, 0) == errc::bad_parameter);
}

TEST_CASE("accumulators with other settings or too many clients do not merge") {
  const std::vector<float> x{1, 2};
  const auto how = fixed_point::finest(4, 1, 3);
  fixed_point_accumulator a(fedagg::model_view(x), how), b(fedagg::model_view(x), fixed_point::finest(4, 1, 1000));
  REQUIRE(a.try_absorb(x) == errc::ok);
  REQUIRE(b.try_absorb(x) == errc::ok);
  CHECK(a.try_merge(b) == errc::state_mismatch);
  const fixed_point_accumulator copy = a;
  REQUIRE(a.try_merge(copy) == errc::ok);
  CHECK(a.try_merge(fixed_point_accumulator(a)) == errc::value_range);
  CHECK(a.clients() == 2);
}

TEST_CASE("a saved fixed-point sum goes on where it was, and a forged one is refused") {
  const std::size_t d = 67;
  const auto x = sample<float>(kind::normal, 4, d, 1);
  const auto how = fixed_point::finest(2, 10, 100);
  const fixed_point_accumulator empty(fedagg::model_view(x.row(0)), how);
  auto sums = empty;
  REQUIRE(streams::absorb_all(sums, streams::arrivals(x, {1, 10, 3, 0})));
  streams::check_saved<float>(sums, empty, d);
  streams::check_refused(sums, "sums.0", INT64_MAX);
  streams::check_refused(sums, "sums.0", INT64_MIN);
  streams::check_refused(sums, "sums.0", 4 * fixed_point::steps(how.largest, how.grid) + 1);
  streams::check_refused(sums, "weight", std::int64_t{-1});
  streams::check_refused(sums, "weight", std::int64_t{41});
  streams::check_refused(sums, "clients", std::uint64_t{101});
  streams::check_refused(sums, "clients", UINT64_MAX);
  streams::check_refused(sums, "grid", 0.3);
  streams::check_refused(sums, "grid", not_a_number);
  streams::check_refused(sums, "largest", how.largest * 1000);
  streams::check_refused(sums, "most_clients", std::uint64_t{99}, errc::state_mismatch, empty);
  const std::vector<float> other(d + 1);
  fedagg_test::memory_archive archive;
  REQUIRE(archive.save(sums) == errc::ok);
  fixed_point_accumulator wrong(fedagg::model_view(other), how);
  CHECK(archive.load(wrong) == errc::state_mismatch);
}
