// SPDX-License-Identifier: MIT
#include <fedagg/passes/accumulator.hpp>

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::mean_accumulator;

namespace {

template <class T>
fedagg::model_view row_of(const matrix<T>& x, std::size_t i) {
  return fedagg::model_view(x.row(i));
}

/// What clients first..last-1 add up to, absorbed in the worst floating-point mode.
template <class T>
mean_accumulator absorbed(const matrix<T>& x, const std::vector<double>& w, std::size_t first, std::size_t last) {
  mean_accumulator sum(row_of(x, 0));
  for (std::size_t i = first; i < last; ++i) {
    const fedagg::model_view client = row_of(x, i);
    const mode callers(worst);
    if (sum.try_absorb(client, w[i]) != errc::ok) sum.clear();
  }
  return sum;
}

template <class T>
std::vector<T> finished(const mean_accumulator& sum, std::size_t d) {
  std::vector<T> out(d);
  errc rc = errc::ok;
  {
    const fedagg::mutable_model_view view(out);
    const mode callers(worst);
    rc = sum.try_finish(view);
  }
  if (rc != errc::ok) out.clear();
  return out;
}

template <class T>
void check(std::size_t n, std::size_t d, int weighting) {
  const auto x = sample<T>(kind::normal, n, d, 12);
  std::mt19937_64 random(n + d);
  std::vector<double> w(n, 1.0);
  for (auto& v : w) v = weighting == 0 ? 1.0 : weighting == 1 ? static_cast<double>(random() % 900 + 1) : 1 + uniform(random) / 3;
  const auto sum = absorbed(x, w, 0, n);
  CHECK(sum.clients() == n);
  const auto got = finished<T>(sum, d);
  INFO(format<T>::name << " n=" << n << " d=" << d << " weighting " << weighting);
  REQUIRE(got.size() == d);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) {
    const reference r = weighted_mean(x.column(j), w);
    wrong += !rounds_to<T>(got[j], r.exact, r.error);
  }
  CHECK(wrong == 0);
  // A tree of two gives the same mean, whatever the split.
  for (std::size_t split = 0; split <= n; split += n / 3 + 1) {
    auto left = absorbed(x, w, 0, split);
    const auto right = absorbed(x, w, split, n);
    REQUIRE(left.try_merge(right) == errc::ok);
    CHECK(left.clients() == n);
    const auto merged = finished<T>(left, d);
    REQUIRE(merged.size() == d);
    wrong = 0;
    for (std::size_t j = 0; j < d; ++j) {
      const reference r = weighted_mean(x.column(j), w);
      wrong += !rounds_to<T>(merged[j], r.exact, r.error);
    }
    CHECK(wrong == 0);
  }
}

template <class T>
void check_sizes() {
  for (int weighting = 0; weighting < 3; ++weighting) {
    for (std::size_t d = 1; d <= 70; d += 3) check<T>(4, d, weighting);
    for (const std::size_t d : {511u, 512u, 513u, 1300u}) check<T>(3, d, weighting);
    for (const std::size_t n : {1u, 2u, 9u, 40u}) check<T>(n, 33, weighting);
  }
}

} // namespace

TEST_CASE("absorbing one by one, and merging, gives the exact mean to its roundings") {
  SECTION("f32") { check_sizes<float>(); }
  SECTION("f64") { check_sizes<double>(); }
  SECTION("f16") { check_sizes<fedagg::float16>(); }
  SECTION("bf16") { check_sizes<fedagg::bfloat16>(); }
}

TEST_CASE("an accumulator gives the same bits on every instruction set and thread count") {
  const std::size_t n = 5, d = 140000;
  const auto x = sample<float>(kind::normal, n, d, 13);
  const std::vector<double> w = {0.1, 0.7, 1.3, 0.9, 2.1};
  std::vector<float> want;
  on_each_isa([&](fedagg::isa which) {
    for (const std::size_t count : {std::size_t{1}, std::size_t{3}}) {
      mean_accumulator sum(row_of(x, 0));
      threads pool{count};
      for (std::size_t i = 0; i < n; ++i) REQUIRE(sum.try_absorb(row_of(x, i), w[i], pool) == errc::ok);
      const auto got = finished<float>(sum, d);
      if (want.empty()) want = got;
      INFO(fedagg::name_of(which) << " threads " << count);
      CHECK(same_bits(want, got));
    }
  });
  CHECK(want.size() == d);
}

TEST_CASE("with counts an accumulator's means of floats are the rule's, bit for bit") {
  // Counts below 2^29 make every product exact, and these sums as well; the order of sums is that of the clients.
  const auto x = sample<float>(kind::ties, 9, 300, 3);
  const std::vector<double> w = {10, 20, 30, 40, 5, 15, 60, 20, 7};
  CHECK(same_bits(finished<float>(absorbed(x, w, 0, 9), 300), aggregated(fedagg::mean{}, x, w)));
}

TEST_CASE("the caller's floating-point mode does not reach the weights") {
  const auto x = sample<double>(kind::normal, 6, 40, 5);
  for (const double scale : {1.0, 1e-310}) {
    std::vector<double> w = {0.1, 0.2, 0.3, 0.7, 1.1, 0.9};
    for (auto& v : w) v *= scale;
    mean_accumulator plain(row_of(x, 0));
    for (std::size_t i = 0; i < x.n; ++i) REQUIRE(plain.try_absorb(row_of(x, i), w[i]) == errc::ok);
    std::vector<double> want(x.d);
    INFO("scale " << text(scale));
    REQUIRE(plain.try_finish(want) == errc::ok);
    const auto sum = absorbed(x, w, 0, x.n);
    CHECK(std::bit_cast<std::uint64_t>(sum.weight()) == std::bit_cast<std::uint64_t>(plain.weight()));
    CHECK(same_bits(want, finished<double>(sum, x.d)));
  }
}

TEST_CASE("nothing of a client that cannot be used is added") {
  const auto x = sample<float>(kind::normal, 3, 1200, 6);
  const std::vector<double> w = {1, 2, 3};
  auto sum = absorbed(x, w, 0, 3);
  const auto before = finished<float>(sum, x.d);
  auto bad = sample<float>(kind::normal, 1, 1200, 7);
  for (const std::size_t at : {0u, 511u, 512u, 1199u}) {
    const float kept = bad.at(0, at);
    bad.at(0, at) = std::bit_cast<float>(at % 2 ? 0x7f800000u : 0x7fc00001u);
    CHECK(sum.try_absorb(row_of(bad, 0), 1) == errc::non_finite);
    bad.at(0, at) = kept;
  }
  CHECK(sum.try_absorb(row_of(bad, 0), -1) == errc::invalid_weight);
  CHECK(sum.try_absorb(row_of(bad, 0), std::bit_cast<double>(0x7ff8000000000000u)) == errc::invalid_weight);
  const auto other = sample<float>(kind::normal, 1, 1201, 7);
  CHECK(sum.try_absorb(row_of(other, 0), 1) == errc::client_layout);
  CHECK(sum.clients() == 3);
  CHECK(same_bits(before, finished<float>(sum, x.d)));
  CHECK(sum.try_merge(mean_accumulator(row_of(other, 0))) == errc::layout_mismatch);
  sum.clear();
  std::vector<float> out(x.d);
  CHECK(sum.try_finish(out) == errc::empty_cohort);
  REQUIRE(sum.try_absorb(row_of(x, 0), 0) == errc::ok);
  CHECK(sum.try_finish(out) == errc::zero_weight_sum);
}

TEST_CASE("integers add up exactly and are rounded half to even") {
  std::vector<std::int32_t> a = {1, 2, -3, 7}, b = {2, 3, -4, 8}, out(4);
  mean_accumulator sum{fedagg::model_view(a)};
  REQUIRE(sum.try_absorb(a, 1) == errc::ok);
  REQUIRE(sum.try_absorb(b, 1) == errc::ok);
  REQUIRE(sum.try_finish(out) == errc::ok);
  CHECK(out == std::vector<std::int32_t>{2, 2, -4, 8});
}
