// SPDX-License-Identifier: MIT
#include <fedagg/rules/sign_guard.hpp>

#include <algorithm>

#include <fedagg/passes/aggregate.hpp>

#include "compiled/rules.hpp"
#include "support/geometry.hpp"

using namespace shapes;
using fedagg::row_signs;
using fedagg::sign_guard;

namespace {

constexpr double not_a_number = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});

struct guarded {
  errc code = errc::ok;
  std::vector<std::size_t> kept;
  exact mean;
};

/// The definition, from the updates.
guarded guard(const matrix& x, real low = 0.1L, real high = 3) {
  const std::size_t n = x.size(), d = x[0].size();
  std::vector<exact> shares;
  exact norms;
  for (const vector& row : x) {
    exact s(3, 0);
    for (const double v : row) s[v > 0 ? 0 : v < 0 ? 1 : 2] += 1 / real(d);
    shares.push_back(s);
    norms.push_back(norm(widen(row)));
  }
  const auto apart = [](const exact& a, const exact& b) { return norm(minus(a, b)); };
  exact a = shares[0], b = shares[0];
  real far = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j)
      if (apart(shares[i], shares[j]) > far * (1 + 1e-15L)) {
        far = apart(shares[i], shares[j]);
        a = shares[i];
        b = shares[j];
      }
  std::vector<bool> second(n, false);
  for (int step = 0; far > 0 && step < 100; ++step) {
    exact sums[2] = {exact(3, 0), exact(3, 0)};
    real count[2] = {};
    for (std::size_t i = 0; i < n; ++i) {
      second[i] = apart(shares[i], b) < apart(shares[i], a) - 1e-15L;
      for (std::size_t k = 0; k < 3; ++k) sums[second[i]][k] += shares[i][k];
      count[second[i]] += 1;
    }
    for (std::size_t k = 0; k < 3; ++k) a[k] = sums[0][k] / count[0], b[k] = sums[1][k] / count[1];
  }
  const auto many = static_cast<std::size_t>(std::count(second.begin(), second.end(), true));
  const bool wanted = 2 * many == n ? second[0] : 2 * many > n;
  exact sorted = norms;
  std::sort(sorted.begin(), sorted.end());
  const real median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
  guarded g;
  g.mean.assign(d, 0);
  for (std::size_t i = 0; i < n; ++i)
    if (second[i] == wanted && norms[i] >= low * median && norms[i] <= high * median) g.kept.push_back(i);
  if (g.kept.empty()) g.code = errc::no_client_selected;
  for (const std::size_t i : g.kept)
    for (std::size_t j = 0; j < d; ++j)
      g.mean[j] += (norms[i] > median ? median / norms[i] : real(1)) * x[i][j] / real(g.kept.size());
  return g;
}

std::vector<std::size_t> used(const fedagg::outcome& o) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < o.coefficients.size(); ++i)
    if (o.coefficients[i] != 0) rows.push_back(i);
  return rows;
}

vector run(const sign_guard& rule, const matrix& x, fedagg::workspace& space, const fedagg::options& how = {}) {
  fedagg::cohort clients;
  for (const vector& row : x) clients.add(row);
  clients.updates();
  vector out(x[0].size());
  static_cast<void>(fedagg::try_aggregate(rule, clients, out, space, how));
  return out;
}

void check(const matrix& x) {
  const guarded want = guard(x);
  fedagg::workspace space;
  const vector out = run(sign_guard{}, x, space);
  REQUIRE(space.result().code == want.code);
  if (want.code != errc::ok) return;
  CHECK(used(space.result()) == want.kept);
  real size = 0;
  for (const real v : want.mean) size = std::max(size, std::abs(v));
  check_near(widen(out), want.mean, 1e-13L * size);
  CHECK(space.result().breakdown == (x.size() - 1) / 2);
}

} // namespace

TEST_CASE("the definition: ordinary lengths, ordinary signs, none longer than the median") {
  for (const std::size_t n : {1u, 2u, 3u, 8u, 21u})
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      // An odd number of coordinates, where no two pairs of clients differ as much by chance of rounding.
      auto x = cloud(n, 501, seed * 100 + n, 1, 0.2);
      for (std::size_t i = 0; i < n / 3; ++i)
        for (double& v : x[i * 3]) v = seed % 4 == 1 ? -v : seed % 4 == 2 ? 100 * v : seed % 4 == 3 ? (i % 2 ? 0.01 * v : v - 0.5) : v;
      INFO("n=" << n << " seed=" << seed);
      check(x);
    }
}

TEST_CASE("clusters: the larger one, of equal ones the first client's") {
  const vector up{1, 1, 1, 1}, down{-1, -1, -1, -1}, mixed{1, 1, -1, 0};
  fedagg::workspace space;
  const auto kept = [&](const matrix& x) {
    run(sign_guard{}, x, space);
    return used(space.result());
  };
  CHECK(kept({up, down, down}) == std::vector<std::size_t>{1, 2});
  CHECK(space.result().scores == std::vector<double>{2, 0, 0});
  CHECK(kept({up, down, down, up}) == std::vector<std::size_t>{0, 3});
  CHECK(kept({down, up, up, down}) == std::vector<std::size_t>{0, 3});
  CHECK(kept({up, up, up}) == std::vector<std::size_t>{0, 1, 2});
  CHECK(kept({mixed, up, down, mixed, mixed}) == std::vector<std::size_t>{0, 1, 3, 4});
  CHECK(kept({up}) == std::vector<std::size_t>{0});
}

TEST_CASE("mean shift leaves out who is like nobody, 2-means one of two halves") {
  const auto x = cloud(12, 601, 4, 1, 0.2);
  matrix attacked = x;
  for (const std::size_t i : {2u, 7u})
    for (double& v : attacked[i]) v = -v;
  const sign_guard shift{.clustering = fedagg::sign_clustering::mean_shift};
  fedagg::workspace space;
  const vector out = run(shift, attacked, space);
  REQUIRE(space.result().ok());
  const auto kept = used(space.result());
  CHECK(std::count(kept.begin(), kept.end(), 2) + std::count(kept.begin(), kept.end(), 7) == 0);
  CHECK(kept.size() >= 6);
  CHECK(space.result().scores[2] == 2);
  // What is kept is cut and averaged as ever.
  exact norms;
  for (const vector& row : attacked) norms.push_back(norm(widen(row)));
  exact sorted = norms, want(601, 0);
  std::sort(sorted.begin(), sorted.end());
  const real median = (sorted[5] + sorted[6]) / 2;
  for (const std::size_t i : kept)
    for (std::size_t j = 0; j < 601; ++j)
      want[j] += (norms[i] > median ? median / norms[i] : real(1)) * attacked[i][j] / real(kept.size());
  check_near(widen(out), want, 1e-13L);
  run(sign_guard{.clustering = static_cast<fedagg::sign_clustering>(2)}, x, space);
  CHECK(space.result().code == errc::bad_parameter);
}

TEST_CASE("lengths: zeros, and nobody left") {
  fedagg::workspace space;
  CHECK(run(sign_guard{}, matrix(3, vector{0, 0}), space) == vector{0, 0});
  CHECK(space.result().ok());
  // Most of them zero: the median is, and nothing longer is ordinary.
  CHECK(run(sign_guard{}, {{0, 0}, {5, 5}, {0, 0}}, space) == vector{0, 0});
  CHECK(used(space.result()) == std::vector<std::size_t>{0, 2});
  // The first is too short, the second of the other cluster.
  run(sign_guard{}, {{1, 1}, {-100, -100}}, space);
  CHECK(space.result().code == errc::no_client_selected);
  CHECK(run(sign_guard{.low = 0, .high = 1}, {{3, 4}, {6, 8}, {30, 40}}, space) == vector{4.5, 6});
  for (const sign_guard& bad : {sign_guard{.low = -1}, sign_guard{.low = 2, .high = 1}, sign_guard{.low = not_a_number}, sign_guard{.high = not_a_number}}) {
    run(bad, {{1, 1}, {1, 1}}, space);
    CHECK(space.result().code == errc::bad_parameter);
  }
}

TEST_CASE("hostile updates of any length move the result no further than an honest one") {
  for (const double far : {1e-30, 5.0, 1e30, 1e150})
    for (const bool negative : {false, true}) {
      auto x = cloud(11, 64, 5, 1, 0.3);
      real longest = 0;
      for (std::size_t i = 0; i < 11; ++i) {
        if (i % 2) for (double& v : x[i]) v = (negative ? -far : far) * (v + static_cast<double>(i));
        else longest = std::max(longest, norm(widen(x[i])));
      }
      fedagg::workspace space;
      const vector out = run(sign_guard{}, x, space);
      INFO("far=" << far << " negative=" << negative);
      if (space.result().ok()) CHECK(norm(widen(out)) <= longest * (1 + 1e-14L));
      else CHECK(space.result().code == errc::no_client_selected);
    }
}

TEST_CASE("models need a base, and each tensor is judged by itself where that is asked for") {
  const auto first = cloud(5, 33, 1, 1, 0.3), second = cloud(5, 65, 2, 1, -0.3);
  auto flipped = second;
  for (double& v : flipped[3]) v = -v;
  const auto moved = [](matrix x, double by) {
    for (vector& row : x)
      for (double& v : row) v += by;
    return x;
  };
  const matrix a = moved(first, 8), b = moved(flipped, 8);
  const vector a_base(33, 8.0), b_base(65, 8.0);
  std::vector<fedagg::model_view> models(5);
  fedagg::cohort clients;
  for (std::size_t i = 0; i < 5; ++i) clients.add(models[i].add("a", a[i]).add("b", b[i]));
  vector out_a(33), out_b(65);
  fedagg::mutable_model_view out;
  out.add("a", out_a).add("b", out_b);
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(sign_guard{}, clients, out, space) == errc::missing_origin);
  fedagg::model_view base;
  base.add("a", a_base).add("b", b_base);
  clients.base(base);
  const auto expect = [&](const vector& got, const matrix& rows, const vector& from) {
    matrix updates = rows;
    for (vector& row : updates)
      for (std::size_t j = 0; j < row.size(); ++j) row[j] -= from[j];
    exact want = guard(updates).mean;
    for (std::size_t j = 0; j < want.size(); ++j) want[j] += from[j];
    check_near(widen(got), want, 1e-12L);
  };
  REQUIRE(fedagg::try_aggregate(sign_guard{}, clients, out, space, {.where = fedagg::scope::each_tensor()}) == errc::ok);
  expect(out_a, a, a_base);
  expect(out_b, b, b_base);
  REQUIRE(fedagg::try_aggregate(sign_guard{}, clients, out, space) == errc::ok);
  matrix whole = a;
  vector whole_base = a_base, whole_out = out_a;
  for (std::size_t i = 0; i < 5; ++i) whole[i].insert(whole[i].end(), b[i].begin(), b[i].end());
  whole_base.insert(whole_base.end(), b_base.begin(), b_base.end());
  whole_out.insert(whole_out.end(), out_b.begin(), out_b.end());
  expect(whole_out, whole, whole_base);
}

TEST_CASE("a client with a NaN is left out, and the others keep their own signs") {
  auto x = cloud(7, 300, 3, 1, 0.2);
  for (double& v : x[4]) v = -v;
  auto rest = x;
  rest.erase(rest.begin() + 2);
  x[2][299] = not_a_number;
  fedagg::workspace space, other;
  CHECK(run(sign_guard{}, x, space) == run(sign_guard{}, rest, other));
  REQUIRE(space.result().rejected.size() == 1);
  CHECK(space.result().rejected[0].client == 2);
}
