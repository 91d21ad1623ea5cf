// SPDX-License-Identifier: MIT
#include <fedagg/passes/binned_accumulator.hpp>

#include "support/streams.hpp"

using namespace numeric;
using fedagg::binned_accumulator;
using fedagg::errc;

namespace {

const double not_a_number = std::bit_cast<double>(0x7ff8000000000000);
const double infinity = std::bit_cast<double>(0x7ff0000000000000);

/// The exact mean and the promised bound, divided in at least 113 bits.
reference exact_mean(const std::vector<double>& x, const std::vector<double>& w) {
  quad sum = 0, size = 0, largest = 0, total = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const quad product = multiply(w[i], x[i]);
    sum = add(sum, product);
    size = add(size, magnitude(product));
    largest = std::max(largest, magnitude(product));
    total = add(total, w[i]);
  }
  // What lies below the smallest double is lost, once per product.
  const quad lost = quad(x.size()) * (largest * quad(0x1p-80) + quad(power(-1074)));
  const quad exact = divide(sum, total);
  return {exact, divide(lost + size * quad(unit), total) + 4 * quad(unit) * magnitude(exact)};
}

template <class T>
void check(kind k, std::size_t n, std::size_t d, int weighting) {
  const auto x = sample<T>(k, n, d, 31);
  std::mt19937_64 random(n * d);
  std::vector<double> w(n, 1.0);
  if (weighting > 0)
    for (double& v : w) v = weighting == 1 ? static_cast<double>(random() % 900 + 1) : 1 + uniform(random) / 3;
  const binned_accumulator empty(fedagg::model_view(x.row(0)));
  INFO(format<T>::name << " " << name_of(k) << " n=" << n << " d=" << d << " weighting " << weighting);
  std::vector<T> want;
  std::uint64_t weight = 0;
  streams::each_way(empty, streams::arrivals(x, w), n, [&](const char* way, const binned_accumulator& sums) {
    INFO(way);
    CHECK(sums.clients() == n);
    const auto got = streams::finished<T>(sums, d);
    if (want.empty()) {
      want = got;
      weight = bits_of(sums.weight());
    }
    CHECK(bits_of(sums.weight()) == weight);
    CHECK(same_bits(want, got));
  });
  REQUIRE(want.size() == d);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) {
    const reference r = exact_mean(x.column(j), w);
    wrong += !rounds_to<T>(want[j], r.exact, r.error);
  }
  CHECK(wrong == 0);
}

template <class T>
void check_kinds() {
  for (const kind k : {kind::normal, kind::mixed, kind::denormal, kind::zeros})
    for (int weighting = 0; weighting < 3; ++weighting) check<T>(k, 7, 41, weighting);
  check<T>(kind::large, 5, 41, 0);
  for (const std::size_t d : {1u, 7u, 8u, 9u, 63u, 65u, 700u}) check<T>(kind::normal, 3, d, 2);
  for (const std::size_t n : {1u, 2u, 30u}) check<T>(kind::ties, n, 20, 1);
}

} // namespace

TEST_CASE("a binned mean has the same bits for every order, tree, thread and instruction set, within its bound") {
  SECTION("f32") { check_kinds<float>(); }
  SECTION("f64") { check_kinds<double>(); }
  SECTION("f16") { check_kinds<fedagg::float16>(); }
  SECTION("bf16") { check_kinds<fedagg::bfloat16>(); }
  SECTION("several tiles") { check<float>(kind::mixed, 6, 40000, 1); }
}

TEST_CASE("what cancels leaves the exact rest, where a plain sum has lost it") {
  const std::vector<double> a{1e300, 1, 1e-300}, b{1, 1e16, 1e-310}, c{-1e300, -1e16, -1e-300};
  std::vector<double> out(3);
  binned_accumulator sums{fedagg::model_view(a)};
  for (const auto* x : {&a, &b, &c}) REQUIRE(sums.try_absorb(*x) == errc::ok);
  REQUIRE(sums.try_finish(out, 1) == errc::ok);
  // 1 stands 2^-996 below 1e300, beyond three digits; the others are exact.
  CHECK(out == std::vector<double>{0, 1, 1e-310});
  CHECK(sums.try_finish(out, -1) == errc::bad_parameter);
}

TEST_CASE("sums beyond the doubles still have a mean") {
  const double most = std::numeric_limits<double>::max();
  const std::vector<double> x{most, -most};
  std::vector<double> out(2);
  binned_accumulator sums{fedagg::model_view(x)};
  for (int i = 0; i < 1000; ++i) REQUIRE(sums.try_absorb(x) == errc::ok);
  REQUIRE(sums.try_finish(out) == errc::ok);
  CHECK(out == x);
  CHECK(sums.try_finish(out, 999) == errc::overflow);
  // Weights of every size.
  binned_accumulator tiny{fedagg::model_view(x)};
  const std::vector<double> y{3, 6};
  for (int i = 0; i < 3; ++i) REQUIRE(tiny.try_absorb(y, power(-1074)) == errc::ok);
  REQUIRE(tiny.try_finish(out) == errc::ok);
  CHECK(out == y);
}

TEST_CASE("nothing of a client that cannot be used is added to a binned sum") {
  const std::vector<double> x{1, 2, 3};
  std::vector<double> out(3);
  binned_accumulator sums{fedagg::model_view(x)};
  REQUIRE(sums.try_absorb(x) == errc::ok);
  for (const double v : {not_a_number, infinity, -infinity}) {
    const std::vector<double> bad{1, v, 1e300};
    CHECK(sums.try_absorb(bad) == errc::non_finite);
  }
  const std::vector<double> large{1, 2, 1e200};
  CHECK(sums.try_absorb(large, 1e200) == errc::value_range);
  const std::vector<float> narrow{1, 2, 3e38f};
  binned_accumulator floats{fedagg::model_view(narrow)};
  CHECK(floats.try_absorb(narrow, 1e290) == errc::value_range);
  CHECK(floats.try_absorb(narrow, 1e260) == errc::ok);
  CHECK(sums.clients() == 1);
  CHECK(sums.weight() == 1);
  REQUIRE(sums.try_finish(out) == errc::ok);
  CHECK(out == x);
  sums.clear();
  CHECK(sums.try_finish(out) == errc::empty_cohort);
  REQUIRE(sums.try_absorb(x, 0) == errc::ok);
  CHECK(sums.try_finish(out) == errc::zero_weight_sum);
}

TEST_CASE("bad clients among many at once leave no trace in a binned sum") {
  const std::size_t n = 30, d = 50000;
  auto x = sample<float>(kind::mixed, n, d, 6);
  binned_accumulator want(fedagg::model_view(x.row(0)));
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 3 != 0)
      REQUIRE(want.try_absorb(fedagg::model_view(x.row(i))) == errc::ok);
    else
      x.at(i, i % 2 ? 0 : d - 1) = std::bit_cast<float>(0x7fc00000);
  }
  binned_accumulator sums(fedagg::model_view(x.row(0)));
  CHECK(streams::absorb_at_once(sums, streams::arrivals(x, std::vector<double>(n, 1.0)), 4) == want.clients());
  CHECK(sums.clients() == want.clients());
  CHECK(same_bits(streams::finished<float>(want, d), streams::finished<float>(sums, d)));
}

TEST_CASE("integer tensors add up exactly in bins") {
  std::vector<std::int64_t> a{std::int64_t{1} << 53, 1, -7}, b{-(std::int64_t{1} << 53), 2, -8}, out(3);
  binned_accumulator sums{fedagg::model_view(a)};
  REQUIRE(sums.try_absorb(a) == errc::ok);
  REQUIRE(sums.try_absorb(b) == errc::ok);
  REQUIRE(sums.try_finish(out) == errc::ok);
  CHECK(out == std::vector<std::int64_t>{0, 2, -8});
  a[0] += 1;
  CHECK(sums.try_absorb(a) == errc::integer_range);
}

TEST_CASE("a saved binned sum goes on where it was, and a forged one is refused") {
  const std::size_t d = 67;
  const auto x = sample<float>(kind::mixed, 4, d, 1);
  const binned_accumulator empty(fedagg::model_view(x.row(0)));
  auto sums = empty;
  REQUIRE(streams::absorb_all(sums, streams::arrivals(x, {1, 10.5, 3, 0})));
  streams::check_saved<float>(sums, empty, d);
  const std::int64_t most = std::int64_t{4} << 39;
  streams::check_refused(sums, "words.0", most + 1);
  streams::check_refused(sums, "words.0", INT64_MIN);
  streams::check_refused(sums, "levels.0", std::uint8_t{51});
  streams::check_refused(sums, "weight_level", std::uint64_t{51});
  streams::check_refused(sums, "weight.0", most + 1);
  streams::check_refused(sums, "weight.0", std::int64_t{-5});
  streams::check_refused(sums, "clients", std::uint64_t{1} << 24);
  streams::check_refused(sums, "clients", UINT64_MAX);
}
