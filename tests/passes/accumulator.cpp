// SPDX-License-Identifier: MIT
#include <fedagg/passes/accumulator.hpp>

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>

#include "support/numeric.hpp"
#include "support/streams.hpp"

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

TEST_CASE("a plain mean stays within its bound in every order, tree and thread") {
  const std::size_t n = 13;
  for (const std::size_t d : {70u, 40000u}) {
    const auto x = sample<double>(kind::normal, n, d, 9);
    std::mt19937_64 random(n);
    std::vector<double> w(n);
    for (double& v : w) v = 1 + uniform(random) / 3;
    std::vector<reference> want;
    for (std::size_t j = 0; j < d; ++j) want.push_back(weighted_mean(x.column(j), w));
    const mean_accumulator empty(row_of(x, 0));
    streams::each_way(empty, streams::arrivals(x, w), n, [&](const char* way, const mean_accumulator& sums) {
      INFO(way << " d=" << d);
      CHECK(sums.clients() == n);
      const auto got = finished<double>(sums, d);
      REQUIRE(got.size() == d);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < d; ++j) wrong += !rounds_to<double>(got[j], want[j].exact, want[j].error);
      CHECK(wrong == 0);
    });
  }
}

TEST_CASE("no client of many at once is lost, doubled or halved") {
  // Integers: every order gives the same bits. One tile, several, and more threads than processors.
  for (const std::size_t d : {5u, 100u, 70000u}) {
    const std::size_t n = 60;
    auto x = sample<float>(kind::ties, n, d, 4);
    std::vector<double> w(n);
    mean_accumulator want(row_of(x, 0));
    for (std::size_t i = 0; i < n; ++i) {
      w[i] = static_cast<double>(i % 5 + 1);
      if (i % 4 == 1) {
        x.at(i, i % 8 == 1 ? 0 : d - 1) = std::bit_cast<float>(0x7fc00000);
        CHECK(want.try_absorb(row_of(x, i), w[i]) == errc::non_finite);
      } else {
        REQUIRE(want.try_absorb(row_of(x, i), w[i]) == errc::ok);
      }
    }
    mean_accumulator sums(row_of(x, 0));
    CHECK(streams::absorb_at_once(sums, streams::arrivals(x, w), 5) == want.clients());
    CHECK(sums.clients() == want.clients());
    CHECK(sums.weight() == want.weight());
    CHECK(same_bits(finished<float>(want, d), finished<float>(sums, d)));
  }
}

TEST_CASE("threads that add to one small tile all the time lose nothing") {
  const std::vector<float> ones(2000, 1.0f);
  const fedagg::model_view client(ones);
  mean_accumulator sums(client);
  constexpr std::size_t each = 600, count = 3;
  std::atomic<std::size_t> ready{0}, failed{0};
  std::vector<std::thread> pool;
  for (std::size_t t = 0; t < count; ++t)
    pool.emplace_back([&] {
      for (++ready; ready < count;) std::this_thread::yield();
      for (std::size_t i = 0; i < each; ++i) failed += sums.try_absorb(client) != errc::ok;
    });
  for (auto& t : pool) t.join();
  CHECK(failed == 0);
  CHECK(sums.clients() == count * each);
  CHECK(sums.weight() == count * each);
  std::vector<float> out(ones.size());
  REQUIRE(sums.try_finish(out, 1) == errc::ok);
  CHECK(out == std::vector<float>(ones.size(), static_cast<float>(count * each)));
}

TEST_CASE("the sum can be divided by what the caller says") {
  const std::vector<float> a{1, 2, -8}, b{3, 4, 16};
  std::vector<float> out(3);
  mean_accumulator sums{fedagg::model_view(a)};
  CHECK(sums.try_finish(out, 2) == errc::empty_cohort);
  REQUIRE(sums.try_absorb(a, 0.5) == errc::ok);
  REQUIRE(sums.try_absorb(b, 0) == errc::ok);
  REQUIRE(sums.try_finish(out, 2) == errc::ok);
  CHECK(out == std::vector<float>{0.25f, 0.5f, -2});
  REQUIRE(sums.try_finish(out, 1) == errc::ok);
  CHECK(out == std::vector<float>{0.5f, 1, -4});
  for (const double bad : {0.0, -1.0, std::bit_cast<double>(0x7ff0000000000000), std::bit_cast<double>(0x7ff8000000000000)})
    CHECK(sums.try_finish(out, bad) == errc::bad_parameter);
  CHECK(out[0] == 0.5f);
}

TEST_CASE("a caller who has looked need not have it done again") {
  const auto x = sample<float>(kind::normal, 3, 1000, 8);
  mean_accumulator looked(row_of(x, 0)), trusted(row_of(x, 0));
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(looked.try_absorb(row_of(x, i), 2) == errc::ok);
    REQUIRE(trusted.try_absorb(row_of(x, i), 2, {}, fedagg::client_check::done) == errc::ok);
  }
  CHECK(same_bits(finished<float>(looked, 1000), finished<float>(trusted, 1000)));
}

namespace {

/// Clients of one kind after the other, some with a value that is not finite: looked at while they are added, they give
/// the bits that they give when they are looked at before, and a bad one leaves no trace.
template <class T>
void check_fused(std::size_t d, bool counts, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<T> layout(d);
  mean_accumulator before{fedagg::model_view(layout)}, fused = before, shared = before;
  threads pool{3};
  for (const kind k : {kind::normal, kind::normal, kind::mixed, kind::large, kind::denormal, kind::zeros, kind::normal}) {
    // Sums beyond the doubles are not saved.
    if (std::is_same_v<T, double> && k == kind::large) continue;
    auto x = sample<T>(k, 1, d, random());
    const double w = counts ? static_cast<double>(random() % 900 + 1) : 1 + uniform(random) / 3;
    for (int spoilt = 2; spoilt >= 0; --spoilt) {
      const std::size_t at = spoilt == 2 ? d - 1 : random() % d;
      const T good = x.at(0, at);
      if (spoilt != 0) x.at(0, at) = std::bit_cast<T>(static_cast<typename format<T>::word>(
                           std::is_same_v<T, fedagg::float16> ? 0x7c00 : static_cast<typename format<T>::word>(-1)));
      const errc want = spoilt ? errc::non_finite : errc::ok;
      const auto client = row_of(x, 0);
      INFO(format<T>::name << " d=" << d << " " << name_of(k) << " counts " << counts << " spoilt " << spoilt);
      CHECK(before.try_absorb(client, w) == want);
      CHECK(fused.try_absorb(client, w, {}, fedagg::client_check::fused) == want);
      CHECK(shared.try_absorb(client, w, pool, fedagg::client_check::fused) == want);
      x.at(0, at) = good;
      fedagg_test::memory_archive a, b, c;
      REQUIRE(a.save(before) == errc::ok);
      REQUIRE(b.save(fused) == errc::ok);
      REQUIRE(c.save(shared) == errc::ok);
      CHECK(a.items == b.items);
      CHECK(a.items == c.items);
    }
  }
}

} // namespace

TEST_CASE("a client that is looked at while it is added is added as well, or leaves no trace") {
  for (const bool counts : {true, false}) {
    for (const std::size_t d : {1u, 7u, 15u, 16u, 17u, 100u, 3000u}) {
      check_fused<float>(d, counts, d);
      check_fused<double>(d, counts, d);
      check_fused<fedagg::float16>(d, counts, d);
      check_fused<fedagg::bfloat16>(d, counts, d);
    }
    check_fused<float>(70000, counts, 1);
  }
}

TEST_CASE("integer and strided tensors are looked at while they are added") {
  std::vector<std::int64_t> steps(1200, 3);
  std::vector<float> block(2400, 0.1f);
  const std::size_t shape[] = {1200};
  const std::ptrdiff_t stride[] = {2};
  fedagg::model_view model;
  model.add("steps", steps);
  model.add("strided", fedagg::tensor_view<const float>(block.data(), shape, stride));
  mean_accumulator before(model), fused(model);
  const auto absorb = [&](double w, errc want) {
    CHECK(before.try_absorb(model, w) == want);
    CHECK(fused.try_absorb(model, w, {}, fedagg::client_check::fused) == want);
    fedagg_test::memory_archive a, b;
    REQUIRE(a.save(before) == errc::ok);
    REQUIRE(b.save(fused) == errc::ok);
    CHECK(a.items == b.items);
  };
  absorb(0.3, errc::ok);
  steps[1100] = std::int64_t{1} << 60;
  absorb(0.3, errc::integer_range);
  steps[1100] = 5;
  block[2398] = std::bit_cast<float>(0x7f800000);
  absorb(7, errc::non_finite);
  block[2399] = block[2398];
  block[2398] = -3;
  absorb(1.7, errc::ok);
}

TEST_CASE("a broken executor spoils an accumulator for good") {
  const auto x = sample<float>(kind::normal, 1, 100000, 8);
  const auto all = [](std::size_t count, fedagg::task body) {
    for (std::size_t i = 0; i < count; ++i) body(i);
  };
  int call = 0;
  const auto forgets = [&](std::size_t count, fedagg::task body) { all(++call == 2 ? count - 1 : count, body); };
  mean_accumulator sums(row_of(x, 0));
  CHECK(sums.try_absorb(row_of(x, 0), 1, forgets) == errc::executor_failed);
  CHECK(sums.status() == errc::executor_failed);
  CHECK(sums.try_absorb(row_of(x, 0)) == errc::executor_failed);
  std::vector<float> out(x.d);
  CHECK(sums.try_finish(out) == errc::executor_failed);
  fedagg_test::memory_archive archive;
  CHECK(archive.save(sums) == errc::executor_failed);
}

TEST_CASE("a saved sum goes on where it was, and a forged one is refused") {
  const std::size_t d = 67;
  const auto x = sample<float>(kind::normal, 4, d, 1);
  const mean_accumulator empty(row_of(x, 0));
  auto sums = empty;
  REQUIRE(streams::absorb_all(sums, streams::arrivals(x, {1, 10.5, 3, 0})));
  streams::check_saved<float>(sums, empty, d);
  const double not_a_number = std::bit_cast<double>(0x7ff8000000000000), infinity = std::bit_cast<double>(0x7ff0000000000000);
  streams::check_refused(sums, "sums.0", not_a_number);
  streams::check_refused(sums, "sums.0", -infinity);
  streams::check_refused(sums, "weight", not_a_number);
  streams::check_refused(sums, "weight", -1.0);
  streams::check_refused(sums, "clients", UINT64_MAX);
  streams::check_refused(sums, "clients", std::uint64_t{0});
  // A layout of more memory than there is, without the values.
  streams::check_refused(sums, "layout.extents", std::uint64_t{1} << 50);
  const std::vector<float> other(d + 1);
  fedagg_test::memory_archive archive;
  REQUIRE(archive.save(sums) == errc::ok);
  mean_accumulator wrong{fedagg::model_view(other)};
  CHECK(archive.load(wrong) == errc::state_mismatch);
}

TEST_CASE("no client brings the sums near the end of the doubles") {
  const std::vector<double> large{1, 0x1p+1000}, larger{1, -0x1p+1001}, infinite{1, std::bit_cast<double>(0x7ff0000000000000)};
  const std::vector<float> narrow{3e38f, 1};
  for (const auto check : {fedagg::client_check::here, fedagg::client_check::fused}) {
    mean_accumulator sum{fedagg::model_view(large)};
    REQUIRE(sum.try_absorb(large, 1, {}, check) == errc::ok);
    CHECK(sum.try_absorb(large, 1.5, {}, check) == errc::client_range);
    CHECK(sum.try_absorb(larger, 1, {}, check) == errc::client_range);
    CHECK(sum.try_absorb(infinite, 0x1p-1000, {}, check) == errc::non_finite);
    CHECK(sum.try_absorb(larger, 0.5, {}, check) == errc::ok);
    CHECK(sum.try_absorb(larger, 0, {}, check) == errc::ok);
    CHECK(sum.clients() == 3);
    std::vector<double> out(2);
    REQUIRE(sum.try_finish(out) == errc::ok);
    CHECK(out == std::vector<double>{1, 0});
    // Weights that would take floats there.
    mean_accumulator floats{fedagg::model_view(narrow)};
    CHECK(floats.try_absorb(narrow, 0x1p+801, {}, check) == errc::client_range);
    CHECK(floats.try_absorb(narrow, 0x1p+800, {}, check) == errc::ok);
    CHECK(floats.clients() == 1);
  }
}
