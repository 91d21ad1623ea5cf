// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstring>
#include <vector>

#include <fedagg/passes/gram.hpp>

#include "support/rounds.hpp"

using fedagg::errc;
using fedagg::gram_query;
using fedagg::gram_table;
using numeric::format;
using numeric::kind;
using numeric::matrix;
using numeric::same_bits;
using numeric::sample;
using numeric::threads;
using numeric::value;

namespace {

enum class as { models, based, updates };
constexpr as all_ways[] = {as::models, as::based, as::updates};
const char* name_of(as way) { return way == as::models ? "models" : way == as::based ? "with a base" : "updates"; }

/// A base of values up to one, honest rows that differ from it by `far`, and from each other by `apart`.
template <class T>
struct rows {
  matrix<T> x;
  std::vector<T> base;
  rows(std::size_t n, std::size_t d, double far, double apart, std::uint64_t seed) : x(n, d), base(d) {
    std::mt19937_64 random(seed + n * 1000 + d);
    for (std::size_t j = 0; j < d; ++j) {
      const double b = numeric::uniform(random), together = far * numeric::uniform(random);
      base[j] = numeric::stored<T>(b);
      for (std::size_t i = 0; i < n; ++i)
        x.at(i, j) = numeric::stored<T>(b + together + apart * numeric::uniform(random));
    }
  }
  void attack(std::size_t i, double scale, std::uint64_t seed = 3) {
    std::mt19937_64 random(seed);
    for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = numeric::stored<T>(scale * numeric::uniform(random));
  }
  fedagg::cohort cohort(as way) const {
    fedagg::cohort c;
    for (std::size_t i = 0; i < x.n; ++i) c.add(x.row(i));
    if (way == as::based) c.base(base);
    if (way == as::updates) c.updates();
    return c;
  }
};

template <class T>
long double square_distance(const matrix<T>& x, std::size_t i, std::size_t k) {
  long double sum = 0;
  for (std::size_t j = 0; j < x.d; ++j) {
    const long double d = static_cast<long double>(value(x.at(i, j))) - static_cast<long double>(value(x.at(k, j)));
    sum += d * d;
  }
  return sum;
}
template <class T>
long double product(const rows<T>& r, as way, std::size_t i, std::size_t k) {
  long double sum = 0;
  for (std::size_t j = 0; j < r.x.d; ++j) {
    const long double b = way == as::based ? static_cast<long double>(value(r.base[j])) : 0;
    sum += (static_cast<long double>(value(r.x.at(i, j))) - b) * (static_cast<long double>(value(r.x.at(k, j))) - b);
  }
  return sum;
}

template <class T>
std::vector<long double> all_distances(const matrix<T>& x) {
  std::vector<long double> d(x.n * x.n);
  for (std::size_t i = 0; i < x.n; ++i)
    for (std::size_t k = 0; k < i; ++k) d[i * x.n + k] = d[k * x.n + i] = square_distance(x, i, k);
  return d;
}

/// The contract: distances to 1e-5 of themselves, products to 1e-6 of the norms' product.
template <class T>
void check(const rows<T>& r, as way, const std::vector<long double>& exact, unsigned most_passes = 2) {
  const std::size_t n = r.x.n;
  const fedagg::cohort c = r.cohort(way);
  gram_table t;
  errc rc = errc::ok;
  {
    const numeric::mode callers(numeric::worst);
    rc = fedagg::try_gram(c, t);
  }
  INFO(format<T>::name << " n=" << n << " d=" << r.x.d << " " << name_of(way));
  REQUIRE(rc == errc::ok);
  REQUIRE(t.order() == n);
  REQUIRE(t.clients().size() == n);
  REQUIRE(t.distances().size() == n * n);
  CHECK(t.passes() >= 1);
  CHECK(t.passes() <= most_passes);
  std::size_t wrong = 0;
  double worst = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < n; ++k) {
      const double got = t.distances()[i * n + k];
      const long double want = exact[i * n + k], error = std::fabs(static_cast<long double>(got) - want);
      wrong += !fedagg::is_finite(got) || !(error <= 1e-5L * want);
      if (want > 0 && static_cast<double>(error / want) > worst) worst = static_cast<double>(error / want);
    }
  INFO("largest relative error " << worst);
  CHECK(wrong == 0);
  if (way == as::models) {
    CHECK(t.products().empty());
    CHECK(t.square_norms().empty());
    CHECK(!t.view().has_origin);
    return;
  }
  REQUIRE(t.products().size() == n * n);
  for (std::size_t i = 0; i < n; ++i) {
    const long double own = product(r, way, i, i);
    wrong += !(std::fabs(static_cast<long double>(t.square_norms()[i]) - own) <= 1e-6L * own);
    wrong += t.square_norms()[i] != t.products()[i * n + i];
    for (std::size_t k = i < 3 ? 0 : i - 1; k < i; ++k) {
      const long double size = std::sqrt(own * product(r, way, k, k)), want = product(r, way, i, k);
      wrong += !(std::fabs(static_cast<long double>(t.products()[i * n + k]) - want) <= 1e-6L * size);
      wrong += t.products()[i * n + k] != t.products()[k * n + i];
    }
  }
  CHECK(wrong == 0);
}

template <class T>
void check_all_ways(const rows<T>& r) {
  const auto exact = all_distances(r.x);
  for (const as way : all_ways) check(r, way, exact);
}

template <class T>
constexpr double closest = std::is_same_v<T, float> || std::is_same_v<T, double> ? 1e-6 : 0.1;
template <class T>
constexpr double largest = std::is_same_v<T, fedagg::float16> ? 6e4 : 1e38;

template <class T>
void check_shapes() {
  for (const std::size_t n : {2u, 3u, 4u, 5u, 7u, 20u, 33u})
    for (const std::size_t d : {1u, 7u, 8u, 9u, 1023u, 1024u, 1025u})
      if (n * d < 25000) check_all_ways(rows<T>(n, d, 0.1, n % 2 ? closest<T> : 0.1, 1));
}

std::vector<double> everything(const gram_table& t) {
  std::vector<double> all(t.distances().begin(), t.distances().end());
  all.insert(all.end(), t.products().begin(), t.products().end());
  all.insert(all.end(), t.square_norms().begin(), t.square_norms().end());
  return all;
}

} // namespace

TEST_CASE("distances are right to 1e-5 and products to 1e-6 for every shape and type") {
  SECTION("f32") { check_shapes<float>(); }
  SECTION("f64") { check_shapes<double>(); }
  SECTION("f16") { check_shapes<fedagg::float16>(); }
  SECTION("bf16") { check_shapes<fedagg::bfloat16>(); }
  SECTION("many rows") {
    check_all_ways(rows<float>(100, 1030, 0.1, 1e-6, 2));
    check_all_ways(rows<float>(65, 517, 0.1, 0.1, 2));
    check_all_ways(rows<float>(200, 270, 0.1, 1e-6, 2));
  }
  SECTION("many coordinates") {
    check_all_ways(rows<float>(5, 70000, 1e-3, 1e-6, 2));
    check_all_ways(rows<double>(3, 70000, 1e-3, 1e-9, 2));
    check_all_ways(rows<fedagg::bfloat16>(3, 70000, 0.1, 0.1, 2));
  }
}

TEST_CASE("a hostile row cannot choose the accuracy of the others") {
  const auto attack = [](auto tag, double apart) {
    using T = decltype(tag);
    for (const std::size_t n : {3u, 5u, 20u})
      for (const std::size_t at : {std::size_t{0}, n / 2, n - 1})
        for (const double scale : {1.0, 1e3, 1e10, 1e19, 1e30, 1e38, 3.4e38, 1e150}) {
          if (scale > (std::is_same_v<T, float> || std::is_same_v<T, fedagg::bfloat16>
                           ? 3.4e38
                           : largest<T>)&&!std::is_same_v<T, double>)
            continue;
          rows<T> r(n, 300, 0.1, apart, 4);
          r.attack(at, scale);
          INFO("row " << at << " at scale " << scale);
          check_all_ways(r);
        }
  };
  SECTION("f32") { attack(float{}, 1e-6); }
  SECTION("f64") { attack(double{}, 1e-9); }
  SECTION("f16") { attack(fedagg::float16{}, 0.1); }
  SECTION("bf16") { attack(fedagg::bfloat16{}, 0.1); }
  SECTION("a minority of hostile rows") {
    rows<float> r(20, 3000, 0.1, 1e-6, 4);
    for (const std::size_t i : {0u, 1u, 6u, 12u, 13u, 17u, 18u, 19u}) r.attack(i, 1e30, i % 2 ? 3 : 5);
    check_all_ways(r);
  }
  SECTION("a majority of them") {
    rows<float> r(5, 3000, 0.1, 1e-6, 4);
    for (const std::size_t i : {0u, 2u, 3u}) r.attack(i, i == 2 ? -3.4e38 : 3.4e38, i);
    check_all_ways(r);
  }
  SECTION("a row that looks harmless where the centre is chosen") {
    for (const double scale : {1e20, 1e31, 1e38}) {
      rows<float> r(5, 3000, 0.1, 1e-6, 4);
      for (std::size_t j = 64; j < 3000; ++j) r.x.at(2, j) = static_cast<float>(j % 2 ? scale : -scale);
      for (std::size_t j = 0; j < 64; ++j) r.x.at(2, j) = r.x.at(1, j);
      check_all_ways(r);
    }
    rows<double> r(5, 3000, 0.1, 1e-6, 4);
    for (std::size_t j = 64; j < 3000; ++j) r.x.at(2, j) = j % 2 ? 1e300 : 3.0;
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j < 64; ++j) r.x.at(i, j) = i == 2 ? 1.0 : i < 2 ? 0.5 : 2.0;
    gram_table t;
    REQUIRE(fedagg::try_gram(r.cohort(as::models), t) == errc::ok);
    CHECK(t.faults()[2] == errc::client_range);
    REQUIRE(t.order() == 4);
    CHECK(t.clients()[2] == 3);
    CHECK(t.distances()[2 * 4 + 3] == Approx(static_cast<double>(square_distance(r.x, 3, 4))).epsilon(1e-5));
  }
}

TEST_CASE("a base of any size is no limit") {
  for (const double scale : {1e20, 1.1e31, 3e38}) {
    rows<float> r(5, 1500, 0.1, 0.1, 6);
    std::mt19937_64 random(7);
    for (std::size_t j = 0; j < 1500; ++j) {
      r.base[j] = static_cast<float>(scale * numeric::uniform(random));
      for (std::size_t i = 0; i < 5; ++i) r.x.at(i, j) = static_cast<float>(scale * numeric::uniform(random));
    }
    check_all_ways(r);
  }
}

TEST_CASE("a second pass is made only where rows are close for their norms") {
  const auto passes = [](const rows<float>& r, as way) {
    gram_table t;
    REQUIRE(fedagg::try_gram(r.cohort(way), t) == errc::ok);
    return t.passes();
  };
  rows<float> independent(9, 2000, 0, 0.03, 8);
  CHECK(passes(independent, as::based) == 1);
  CHECK(passes(independent, as::models) == 1);
  CHECK(passes(independent, as::updates) == 2); // about zero they share the base
  rows<float> close(9, 2000, 0.1, 1e-6, 8);
  CHECK(passes(close, as::models) == 1);
  CHECK(passes(close, as::based) == 2);
  CHECK(passes(close, as::updates) == 2);
  for (const std::size_t at : {0u, 4u, 8u}) {
    close.attack(at, 1e30);
    CHECK(passes(close, as::models) == 1);
    close = rows<float>(9, 2000, 0.1, 1e-6, 8);
  }
}

TEST_CASE("equal rows are at distance zero") {
  for (const as way : all_ways) {
    rows<float> r(6, 1100, 0.1, 0.1, 9);
    for (std::size_t j = 0; j < 1100; ++j) r.x.at(5, j) = r.x.at(1, j);
    r.attack(3, 1e38);
    gram_table t;
    REQUIRE(fedagg::try_gram(r.cohort(way), t) == errc::ok);
    CHECK(t.distances()[5 * 6 + 1] == 0);
    CHECK(t.distances()[1 * 6 + 5] == 0);
    CHECK(t.distances()[5 * 6 + 2] == t.distances()[1 * 6 + 2]);
    for (std::size_t i = 0; i < 6; ++i) CHECK(t.distances()[i * 7] == 0);
  }
}

TEST_CASE("the Gram matrix has the same bits on every instruction set, thread count, grain and layout") {
  const auto run = [](auto tag, std::size_t n, std::size_t d, as way) {
    using T = decltype(tag);
    rows<T> r(n, d, 0.1, closest<T>, 10);
    r.attack(n / 2, 1e3);
    std::vector<double> want;
    numeric::on_each_isa([&](fedagg::isa which) {
      for (const std::size_t count : {1u, 3u})
        for (const bool strided : {false, true}) {
          fedagg::cohort clients = r.cohort(way);
          std::vector<T> wide(strided ? 2 * n * d : 0);
          if (strided) {
            clients.clear();
            for (std::size_t i = 0; i < n; ++i) {
              for (std::size_t j = 0; j < d; ++j) wide[2 * (i * d + j)] = r.x.at(i, j);
              const std::size_t shape[] = {d};
              const std::ptrdiff_t step[] = {2};
              clients.add(fedagg::tensor_view<const T>(wide.data() + 2 * i * d, shape, step));
            }
            if (way == as::based) clients.base(r.base);
            if (way == as::updates) clients.updates();
          }
          threads pool{count};
          fedagg::options how;
          how.executor = pool;
          how.grain = count == 1 ? 0 : 1000;
          gram_table t;
          REQUIRE(fedagg::try_gram(clients, t, {}, how) == errc::ok);
          const auto got = everything(t);
          if (want.empty()) want = got;
          INFO(format<T>::name << " " << name_of(way) << " " << fedagg::name_of(which) << " threads " << count
                               << (strided ? " strided" : ""));
          CHECK(same_bits(want, got));
        }
    });
  };
  for (const as way : all_ways) {
    run(float{}, 7, 40000, way);
    run(double{}, 5, 40000, way);
    run(fedagg::float16{}, 6, 20000, way);
    run(fedagg::bfloat16{}, 6, 20000, way);
  }
}

TEST_CASE("rows with NaN or Inf are named and leave the others as they are") {
  for (const as way : {as::based, as::updates})
    for (std::size_t which = 0; which < rounds::bad_kinds; ++which)
      for (const std::size_t row : {0u, 3u, 6u})
        for (const std::size_t at : {0u, 1023u, 17000u, 33332u}) {
          rows<float> r(7, 33333, 0.1, 0.1, 11);
          fedagg::cohort without;
          for (std::size_t i = 0; i < 7; ++i)
            if (i != row) without.add(r.x.row(i));
          if (way == as::based) without.base(r.base);
          if (way == as::updates) without.updates();
          rounds::spoil(r.x.at(row, at), which);
          gram_table t, alone;
          REQUIRE(fedagg::try_gram(r.cohort(way), t) == errc::ok);
          REQUIRE(fedagg::try_gram(without, alone) == errc::ok);
          REQUIRE(t.order() == 6);
          for (std::size_t i = 0; i < 7; ++i) CHECK(t.faults()[i] == (i == row ? errc::non_finite : errc::ok));
          for (std::size_t i = 0; i < 6; ++i) CHECK(t.clients()[i] == i + (i >= row));
          CHECK(same_bits(everything(t), everything(alone)));
          if (which != 0) break;
        }
  SECTION("models without a base, the centre among them") {
    rows<float> r(5, 3000, 0.1, 1e-6, 11);
    for (std::size_t i = 0; i < 5; ++i) {
      rows<float> spoilt = r;
      rounds::spoil(spoilt.x.at(i, 2500), i);
      gram_table t;
      REQUIRE(fedagg::try_gram(spoilt.cohort(as::models), t) == errc::ok);
      REQUIRE(t.order() == 4);
      CHECK(t.faults()[i] == errc::non_finite);
      std::size_t wrong = 0;
      for (std::size_t a = 0; a < 4; ++a)
        for (std::size_t b = 0; b < a; ++b) {
          const long double want = square_distance(r.x, t.clients()[a], t.clients()[b]);
          wrong += !(std::fabs(static_cast<long double>(t.distances()[a * 4 + b]) - want) <= 1e-5L * want);
        }
      CHECK(wrong == 0);
    }
  }
  SECTION("every type and squares beyond double") {
    rows<double> r(4, 50, 0.1, 0.1, 11);
    r.x.at(2, 7) = 1e160;
    rounds::spoil(r.x.at(0, 49), 1);
    gram_table t;
    REQUIRE(fedagg::try_gram(r.cohort(as::updates), t) == errc::ok);
    CHECK(t.faults()[0] == errc::non_finite);
    CHECK(t.faults()[2] == errc::client_range);
    CHECK(t.order() == 2);
    rows<fedagg::float16> h(4, 50, 0.1, 0.1, 11);
    rounds::spoil(h.x.at(1, 3), 2);
    REQUIRE(fedagg::try_gram(h.cohort(as::based), t) == errc::ok);
    CHECK(t.faults()[1] == errc::non_finite);
    rows<fedagg::bfloat16> b(4, 50, 0.1, 0.1, 11);
    rounds::spoil(b.x.at(3, 3), 3);
    REQUIRE(fedagg::try_gram(b.cohort(as::based), t) == errc::ok);
    CHECK(t.faults()[3] == errc::non_finite);
    CHECK(t.order() == 3);
  }
  SECTION("squares whose sum alone overflows") {
    rows<double> r(3, 40000, 0.1, 0.1, 11);
    for (std::size_t j = 0; j < 40000; ++j) r.x.at(1, j) = 1e152;
    gram_table t;
    REQUIRE(fedagg::try_gram(r.cohort(as::updates), t) == errc::ok);
    CHECK(t.faults()[1] == errc::client_range);
    CHECK(t.order() == 2);
  }
}

TEST_CASE("a trusted row is one more row") {
  for (const as way : all_ways) {
    rows<float> r(6, 2100, 0.1, 0.1, 12);
    fedagg::cohort c;
    for (std::size_t i = 0; i < 5; ++i) c.add(r.x.row(i));
    if (way == as::based) c.base(r.base);
    if (way == as::updates) c.updates();
    const fedagg::model_view trusted(r.x.row(5));
    gram_table t;
    REQUIRE(fedagg::try_gram(c, t, {.trusted = &trusted}) == errc::ok);
    REQUIRE(t.order() == 6);
    CHECK(t.clients().size() == 5);
    const fedagg::geometry g = t.view();
    CHECK(g.rows == 5);
    CHECK(g.has_trusted);
    CHECK(g.order() == 6);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < 6; ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        const long double want = square_distance(r.x, i, k);
        wrong += !(std::fabs(static_cast<long double>(g.square_distance(i, k)) - want) <= 1e-5L * want);
      }
      if (g.has_origin) wrong += g.with_trusted[i] != g.product(i, 5);
    }
    CHECK(wrong == 0);
    rounds::spoil(r.x.at(5, 2000), 0);
    CHECK(fedagg::try_gram(c, t, {.trusted = &trusted}) == errc::non_finite);
    CHECK(t.order() == 0);
  }
  rows<float> r(3, 40, 0.1, 0.1, 12);
  const std::vector<float> shorter(39);
  const fedagg::model_view trusted(shorter);
  gram_table t;
  CHECK(fedagg::try_gram(r.cohort(as::based), t, {.trusted = &trusted}) == errc::layout_mismatch);
  rounds::spoil(r.base[5], 0);
  CHECK(fedagg::try_gram(r.cohort(as::based), t) == errc::non_finite);
}

TEST_CASE("many tensors, a range of them, a scope, integers and a sample of coordinates") {
  constexpr std::size_t n = 4;
  const auto a = sample<float>(kind::normal, n, 1500, 1);
  const auto b = sample<double>(kind::normal, n, 77, 2);
  const auto c = sample<fedagg::float16>(kind::normal, n, 1030, 3);
  const std::vector<std::int64_t> counter(n, 7);
  std::vector<float> none;
  fedagg::cohort clients;
  for (std::size_t i = 0; i < n; ++i) {
    fedagg::model_view m;
    const std::span<const std::int64_t> count(&counter[i], 1);
    m.add("a", a.row(i)).add("empty", none).add("count", count).add("b", b.row(i)).add("c", c.row(i));
    clients.add(m);
  }
  clients.updates();
  const auto near = [&](const gram_table& t, const auto& want) {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < i; ++k) {
        const long double exact = want(i, k);
        wrong += !(std::fabs(static_cast<long double>(t.distances()[i * n + k]) - exact) <= 1e-5L * exact);
      }
    return wrong == 0;
  };
  gram_table t;
  REQUIRE(fedagg::try_gram(clients, t) == errc::ok);
  CHECK(near(t, [&](auto i, auto k) {
    return square_distance(a, i, k) + square_distance(b, i, k) + square_distance(c, i, k);
  }));
  REQUIRE(fedagg::try_gram(clients, t, {.first_tensor = 2, .last_tensor = 4}) == errc::ok);
  CHECK(near(t, [&](auto i, auto k) { return square_distance(b, i, k); }));
  fedagg::options only_c;
  only_c.where = fedagg::scope::matching("c");
  REQUIRE(fedagg::try_gram(clients, t, {}, only_c) == errc::ok);
  CHECK(near(t, [&](auto i, auto k) { return square_distance(c, i, k); }));
  REQUIRE(fedagg::try_gram(clients, t, {.first_tensor = 1, .last_tensor = 3}) == errc::ok);
  CHECK(t.distances()[1] == 0);
  fedagg::options nothing;
  nothing.where = fedagg::scope::matching("d");
  CHECK(fedagg::try_gram(clients, t, {}, nothing) == errc::empty_scope);

  std::vector<std::size_t> some;
  for (std::size_t j = 3; j < 2600; j += j < 40 ? 1 : 2) some.push_back(j);
  some.push_back(2606);
  REQUIRE(fedagg::try_gram(clients, t, {.sample = some}) == errc::ok);
  CHECK(near(t, [&](std::size_t i, std::size_t k) {
    long double sum = 0;
    for (const std::size_t j : some) {
      const auto at = [&](std::size_t row) {
        return j < 1500 ? value(a.at(row, j)) : j < 1577 ? value(b.at(row, j - 1500)) : value(c.at(row, j - 1577));
      };
      const long double difference = static_cast<long double>(at(i)) - static_cast<long double>(at(k));
      sum += difference * difference;
    }
    return sum;
  }));
  const std::size_t twice[] = {1, 5, 5}, back[] = {9, 3}, beyond[] = {1, 2607};
  CHECK(fedagg::try_gram(clients, t, {.sample = twice}) == errc::bad_parameter);
  CHECK(fedagg::try_gram(clients, t, {.sample = back}) == errc::bad_parameter);
  CHECK(fedagg::try_gram(clients, t, {.sample = beyond}) == errc::bad_parameter);
}

TEST_CASE("clients of another layout are left out and the caller's mistakes are refused") {
  rows<float> r(4, 100, 0.1, 0.1, 13);
  const std::vector<float> shorter(99);
  fedagg::cohort c;
  c.add(r.x.row(0)).add(shorter).add(r.x.row(2)).updates();
  gram_table t;
  REQUIRE(fedagg::try_gram(c, t) == errc::ok);
  CHECK(t.order() == 2);
  CHECK(t.faults()[1] == errc::client_layout);
  CHECK(t.clients()[1] == 2);
  fedagg::cohort empty;
  CHECK(fedagg::try_gram(empty, t) == errc::empty_cohort);
  CHECK(t.order() == 0);
  fedagg::cohort one;
  one.add(r.x.row(0)).updates();
  REQUIRE(fedagg::try_gram(one, t) == errc::ok);
  CHECK(t.order() == 1);
  CHECK(t.distances()[0] == 0);
  CHECK(t.square_norms()[0] > 0);
  one.clear();
  one.add(std::span<const float>(static_cast<const float*>(nullptr), 5));
  CHECK(fedagg::try_gram(one, t) == errc::null_data);
  const auto lazy = [](std::size_t, fedagg::task) {};
  fedagg::options how;
  how.executor = lazy;
  CHECK(fedagg::try_gram(c, t, {}, how) == errc::executor_failed);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(fedagg::gram(empty), fedagg::error);
#endif
  CHECK(fedagg::gram(c).order() == 2);
}
