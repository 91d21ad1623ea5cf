// SPDX-License-Identifier: MIT
// What holds for every rule.
#include <cmath>

#include "laws/instances.hpp"

using namespace numeric;
using namespace laws;
using fedagg::errc;

namespace {

template <class T>
bool equal_values(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t j = 0; j < a.size(); ++j)
    if (value(a[j]) != value(b[j])) return false;
  return true;
}

template <class T>
matrix<T> shuffled(const matrix<T>& x, std::uint64_t seed) {
  std::vector<std::size_t> order(x.n);
  for (std::size_t i = 0; i < x.n; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
  matrix<T> y(x.n, x.d);
  for (std::size_t i = 0; i < x.n; ++i)
    for (std::size_t j = 0; j < x.d; ++j) y.at(i, j) = x.at(order[i], j);
  return y;
}

/// The largest distance that two results of the same exact value can have. Iterations stop close to it.
template <class R, class T>
bool close(T a, T b, const std::vector<double>& column) {
  const quad error = iterates<R> ? quad(0x1p20) * slack(column) : slack(column);
  const quad size = magnitude(value(a)) > magnitude(value(b)) ? magnitude(value(a)) : magnitude(value(b));
  return magnitude(quad(value(a)) - quad(value(b))) <= 2 * (half_ulp<T>(size + error) + error);
}

constexpr std::size_t sizes[] = {1, 2, 3, 4, 7, 8, 20, 33, 64, 65};

template <class T, class R>
void unanimity() {
  for (const std::size_t n : sizes)
    for (const R& given : instances<R>(n))
      for (const kind k : {kind::normal, kind::mixed, kind::large, kind::denormal}) {
        // Signs know no sizes; the norms of such doubles are beyond all numbers.
        if (!scales<R> || on_history<R> || (sizeof(T) == 8 && k == kind::large && fedagg::geometric_rule<R>)) continue;
        matrix<T> x(n, 37);
        const auto one = sample<T>(k, 1, 37, n);
        for (std::size_t i = 0; i < n; ++i) std::copy(one.data.begin(), one.data.end(), x.data.begin() + static_cast<std::ptrdiff_t>(i * 37));
        R rule = given;
        if constexpr (requires { rule.tau; }) rule.tau = 1e200;
        if constexpr (requires { rule.bound; }) rule.bound = 1e200;
        const auto got = result(rule, x, {}, {}, nullptr, {{}, one.data});
        INFO(format<T>::name << " " << name_of(k) << " n=" << n);
        if constexpr (sizeof(T) == 8) {
          // Sums of doubles round, and those of a mean lose what is below the smallest subnormal number.
          if (k == kind::denormal && sums_in_order<R>) continue;
          REQUIRE(got.size() == x.d);
          std::size_t wrong = 0;
          for (std::size_t j = 0; j < x.d; ++j) wrong += !rounds_to<T>(got[j], one.data[j], slack(x.column(j)));
          CHECK(wrong == 0);
        } else {
          CHECK(equal_values(got, one.data));
        }
      }
}

template <class T, class R>
void permutation() {
  for (const std::size_t n : sizes)
    for (const R& rule : instances<R>(n))
      for (const kind k : {kind::normal, kind::ties, kind::zeros, kind::mixed}) {
        // Of equals the first is chosen, and a few clients, or squares of doubles of all sizes, are often equal.
        if (fedagg::geometric_rule<R> && k != kind::normal && (k != kind::mixed || iterates<R> || std::is_same_v<R, fedagg::mda> || sizeof(T) == 8)) continue;
        if (selects<R> && n < 7) continue;
        if constexpr (std::is_same_v<R, fedagg::bulyan>)
          if (rule.f > 0) continue;
        // With one neighbour each, two rows that are nearest to each other have the same score.
        if (fedagg::selecting_rule<R> && n < 15) continue;
        const auto x = sample<T>(k, n, 41, n + 1);
        const auto a = result(rule, x), b = result(rule, shuffled(x, n));
        REQUIRE(a.size() == x.d);
        INFO(format<T>::name << " " << name_of(k) << " n=" << n);
        if constexpr (sums_in_order<R>) {
          REQUIRE(b.size() == x.d);
          std::size_t wrong = 0;
          for (std::size_t j = 0; j < x.d; ++j) wrong += !close<R>(a[j], b[j], x.column(j));
          CHECK(wrong == 0);
        } else {
          CHECK(same_bits(a, b));
        }
      }
}

/// With trusted weights the clients move with their weights.
template <class R>
void weighted_permutation() {
  for (const std::size_t n : {5u, 8u, 20u, 40u})
    for (const R& rule : trusting<R>(n)) {
      auto x = sample<double>(n % 2 ? kind::ties : kind::normal, n, 31, n);
      std::vector<double> w(n);
      std::mt19937_64 random(n);
      for (auto& v : w) v = static_cast<double>(random() % 4 + 1);
      errc rc = errc::ok;
      const auto a = result(rule, x, w, {}, &rc);
      if (rc == errc::weight_majority) continue;
      REQUIRE(rc == errc::ok);
      std::vector<std::size_t> order(n);
      for (std::size_t i = 0; i < n; ++i) order[i] = i;
      std::shuffle(order.begin(), order.end(), random);
      matrix<double> y(n, x.d);
      std::vector<double> v(n);
      for (std::size_t i = 0; i < n; ++i) {
        v[i] = w[order[i]];
        for (std::size_t j = 0; j < x.d; ++j) y.at(i, j) = x.at(order[i], j);
      }
      const auto b = result(rule, y, v);
      if constexpr (sums_in_order<R>) {
        REQUIRE(b.size() == x.d);
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < x.d; ++j) wrong += !close<R>(a[j], b[j], x.column(j));
        CHECK(wrong == 0);
      } else {
        CHECK(same_bits(a, b));
      }
    }
}

/// A shift of the clients alone shifts the result: nothing is measured from an origin.
template <class R>
constexpr bool shifts_alone = !requires { R::needs_origin; };

template <class T, class R>
void translation() {
  // A history is one of updates and does not move.
  if (on_history<R>) return;
  for (const std::size_t n : sizes)
    for (const R& rule : instances<R>(n))
      for (const bool based : {false, true}) {
        if (!based && !shifts_alone<R>) continue;
        // Small multiples of 1/64: moved by 3 they are exact in every format but the shortest.
        matrix<T> x(n + 2, 50), y(n + 2, 50);
        std::mt19937_64 random(n);
        for (std::size_t k = 0; k < x.data.size(); ++k) {
          const double v = static_cast<double>(random() % 64) / 64;
          x.data[k] = stored<T>(v);
          y.data[k] = stored<T>(v + 3);
        }
        const auto moved = [&](matrix<T>& m) {
          const auto row = [&](std::size_t i) { return std::vector<T>(m.row(i).begin(), m.row(i).end()); };
          setting<T> more{based ? row(n) : std::vector<T>(), row(n + 1)};
          m.data.resize(n * m.d);
          m.n = n;
          return result(rule, m, {}, {}, nullptr, more);
        };
        const auto a = moved(x), b = moved(y);
        REQUIRE((a.size() == x.d && b.size() == x.d));
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < x.d; ++j) {
          // Each result is rounded once: the larger one to half a unit at 4, the other to less than that. A rule that
          // sees the base rounds once more, to what the base is added to.
          const quad error = (iterates<R> ? quad(0x1p20) : quad(2)) * slack(y.column(j)) +
                             (half_ulp<T>(value(b[j])) + half_ulp<T>(value(a[j]))) * (based ? 2 : 1);
          wrong += magnitude(quad(value(b[j])) - quad(value(a[j])) - 3) > error;
        }
        INFO(format<T>::name << " n=" << n << (based ? " with a base" : ""));
        CHECK(wrong == 0);
      }
}

template <class T, class R>
void scale() {
  if (!scales<R>) return;
  for (const std::size_t n : sizes)
    for (const R& rule : instances<R>(n)) {
      const auto x = sample<T>(kind::normal, n, 45, n + 2);
      const auto root = some_root<T>(x.d);
      const auto a = result(rule, x, {}, {}, nullptr, {{}, root});
      REQUIRE(a.size() == x.d);
      for (const double factor : {4.0, 0.0625}) {
        matrix<T> y = x;
        std::vector<T> want = a;
        bool normal = true;
        for (auto& v : y.data) v = stored<T>(value(v) * factor);
        std::vector<T> far(root);
        for (std::size_t j = 0; j < x.d; ++j) {
          far[j] = stored<T>(value(root[j]) * factor);
          normal = normal && value(far[j]) == value(root[j]) * factor;
        }
        for (auto& v : want) {
          normal = normal && (value(v) == 0 || magnitude(value(v)) > power(format<T>::least + 8));
          v = stored<T>(value(v) * factor);
        }
        // Half precision loses bits of what becomes subnormal.
        for (std::size_t k = 0; k < x.data.size(); ++k) normal = normal && value(y.data[k]) == value(x.data[k]) * factor;
        INFO(format<T>::name << " n=" << n << " factor " << factor);
        if (normal || sizeof(T) > 2) CHECK(equal_values(result(scaled(rule, factor), y, {}, {}, nullptr, {{}, far}), want));
      }
      if (!has_no_lower_side(rule)) continue;
      // Sums of the same values in the opposite order may round in another way.
      matrix<T> y = x;
      for (auto& v : y.data) v = stored<T>(-value(v));
      std::vector<T> opposite(root);
      for (auto& v : opposite) v = stored<T>(-value(v));
      const auto b = result(rule, y, {}, {}, nullptr, {{}, opposite});
      REQUIRE(b.size() == x.d);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < x.d; ++j) wrong += !close<R>(a[j], stored<T>(-value(b[j])), x.column(j));
      CHECK(wrong == 0);
    }
}

/// Within its budget no hostile client moves a coordinate out of the honest clients' range.
template <class T, class R>
void hostile() {
  for (const std::size_t n : {3u, 5u, 8u, 20u, 21u, 50u})
    for (const R& rule : instances<R>(n)) {
      const std::size_t f = budget(rule, n);
      if (f == 0) continue;
      for (const double huge : {1e30, -1e30, 3e38, 60000.0}) {
        auto x = sample<T>(kind::normal, n, 29, n);
        for (std::size_t i = 0; i < f; ++i)
          for (std::size_t j = 0; j < x.d; ++j) {
            const T v = stored<T>(huge * (i % 2 && huge == 3e38 ? -1 : 1));
            x.at((i * 7) % n, j) = fedagg::is_finite(value(v)) ? v : stored<T>(huge < 0 ? -65504 : 65504);
          }
        // The server's own row is an honest one.
        setting<T> more;
        for (std::size_t i = 0; i < n && more.trusted.empty(); ++i) {
          bool honest = true;
          for (std::size_t b = 0; b < f; ++b) honest = honest && (b * 7) % n != i;
          if (honest && std::is_same_v<R, fedagg::monna>) more.trusted.assign(x.row(i).begin(), x.row(i).end());
        }
        const auto got = result(rule, x, {}, {}, nullptr, more);
        REQUIRE(got.size() == x.d);
        std::size_t outside = 0;
        for (std::size_t j = 0; j < x.d; ++j) {
          double low = 1e300, high = -1e300;
          for (std::size_t i = 0; i < n; ++i) {
            bool honest = true;
            for (std::size_t b = 0; b < f; ++b) honest = honest && (b * 7) % n != i;
            if (!honest) continue;
            low = std::min(low, value(x.at(i, j)));
            high = std::max(high, value(x.at(i, j)));
          }
          outside += !(value(got[j]) >= low && value(got[j]) <= high);
        }
        INFO(format<T>::name << " n=" << n << " f=" << f << " value " << huge);
        CHECK(outside == 0);
      }
    }
}

/// A client that sends NaN or Inf, anywhere, is as good as absent; what the rule was told stays as it was.
template <class T, class R>
void absent() {
  using word = typename format<T>::word;
  constexpr word infinity = static_cast<word>(((word{1} << (sizeof(T) * 8 - format<T>::digits)) - 1) << (format<T>::digits - 1));
  for (const std::size_t n : {4u, 9u, 20u, 34u})
    for (const R& rule : instances<R>(n)) {
      const auto honest = sample<T>(kind::normal, n, 700, n);
      matrix<T> all(n + 1, honest.d);
      const std::size_t bad = n / 2;
      for (std::size_t i = 0; i <= n; ++i)
        for (std::size_t j = 0; j < all.d; ++j) all.at(i, j) = i == bad ? stored<T>(1) : honest.at(i < bad ? i : i - 1, j);
      if constexpr (requires { rule.fraction; })
        if (rule.fraction >= 0 && budget(rule, n) != budget(rule, n + 1)) continue;
      const auto want = result(rule, honest);
      REQUIRE(want.size() == honest.d);
      for (const std::size_t at : {std::size_t{0}, std::size_t{1}, std::size_t{333}, all.d - 1})
        for (const word w : {infinity, static_cast<word>(infinity | 1u), static_cast<word>(infinity | word{1} << (sizeof(T) * 8 - 1))}) {
          auto x = all;
          x.at(bad, at) = std::bit_cast<T>(w);
          for (const auto when : {fedagg::write::direct, fedagg::write::atomic}) {
            fedagg::options how;
            how.write = when;
            how.grain = 100;
            INFO(format<T>::name << " n=" << n << " at " << at);
            const auto got = result(rule, x, {}, how);
            if constexpr (iterates<R>) {
              REQUIRE(got.size() == x.d);
              std::size_t wrong = 0;
              for (std::size_t j = 0; j < x.d; ++j) wrong += !close<R>(want[j], got[j], honest.column(j));
              CHECK(wrong == 0);
            } else {
              CHECK(same_bits(want, got));
            }
          }
        }
    }
}

/// A cohort twice has the same mean, and the same median and trimmed mean with twice the clients trimmed.
template <class T, class R>
void duplicates() {
  if (!doubles<R>) return;
  for (const std::size_t n : sizes)
    for (const R& rule : instances<R>(n)) {
      const auto x = sample<T>(kind::normal, n, 33, n + 4);
      matrix<T> twice(2 * n, x.d);
      for (std::size_t i = 0; i < 2 * n; ++i)
        for (std::size_t j = 0; j < x.d; ++j) twice.at(i, j) = x.at(i % n, j);
      const auto a = result(rule, x), b = result(doubled(rule, n), twice);
      REQUIRE((a.size() == x.d && b.size() == x.d));
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < x.d; ++j) wrong += !close<R>(a[j], b[j], twice.column(j));
      INFO(format<T>::name << " n=" << n);
      CHECK(wrong == 0);
    }
}

/// Coordinates know nothing of each other.
template <class T, class R>
void locality() {
  if (!is_local<R>) return;
  const std::size_t n = 9;
  const auto x = sample<T>(kind::normal, n, 600, 5);
  for (const R& rule : instances<R>(n)) {
    const auto whole = result(rule, x);
    REQUIRE(whole.size() == x.d);
    for (const std::size_t d : {1u, 5u, 17u, 64u, 513u})
      for (const std::size_t from : {0u, 3u, 70u}) {
        matrix<T> part(n, d);
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < d; ++j) part.at(i, j) = x.at(i, from + j);
        CHECK(same_bits(result(rule, part), std::vector<T>(whole.begin() + static_cast<std::ptrdiff_t>(from), whole.begin() + static_cast<std::ptrdiff_t>(from + d))));
      }
  }
}

#define FEDAGG_LAW(sentence, law)                                                                                      \
  TEST_CASE(sentence) {                                                                                                \
    for_each_rule([](auto rule) {                                                                                      \
      using R = decltype(rule);                                                                                        \
      DYNAMIC_SECTION(R::name) {                                                                                       \
        law<float, R>();                                                                                               \
        law<double, R>();                                                                                              \
        law<fedagg::float16, R>();                                                                                     \
        law<fedagg::bfloat16, R>();                                                                                    \
      }                                                                                                                \
    });                                                                                                                \
  }

} // namespace

/// What a hard cohort may end with: a result, or a reason that names the rule's own condition.
bool is_answer(errc rc) { return rc == errc::ok || rc == errc::too_few_clients || rc == errc::too_many_rejected || rc == errc::search_limit || rc == errc::no_client_selected; }

/// No rule of these leaves the box of the clients it used, the origin and the trusted row.
template <class T, class R>
void boxed(const R& rule, const matrix<T>& x, const char* what) {
  fedagg::cohort clients, sums;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  remember<R>(clients, sums);
  clients.updates();
  const std::vector<T> root = some_root<T>(x.d);
  clients.trusted(root);
  fedagg::workspace space;
  std::vector<T> first(x.d), second(x.d);
  const errc rc = fedagg::try_aggregate(rule, clients, first, space);
  INFO(what << " " << format<T>::name << " n=" << x.n << " d=" << x.d << ": " << fedagg::message(rc));
  CHECK(is_answer(rc));
  CHECK(space.result().iterations <= 10000001);
  CHECK(fedagg::try_aggregate(rule, clients, second, space) == rc);
  if (rc != errc::ok) return;
  CHECK(same_bits(first, second));
  if constexpr (scales<R> && !std::is_same_v<R, fedagg::robust_learning_rate> && !std::is_same_v<R, fedagg::fltrust>) {
    std::size_t outside = 0;
    for (std::size_t j = 0; j < x.d; ++j) {
      double low = 0, high = 0;
      const auto widen_to = [&](double v) {
        low = std::min(low, v);
        high = std::max(high, v);
      };
      widen_to(value(root[j]));
      for (std::size_t i = 0; i < x.n; ++i) {
        bool used = true;
        for (const auto& r : space.result().rejected) used = used && r.client != i;
        if (used) widen_to(value(x.at(i, j)));
      }
      const double slip = 1e-12 * (high - low);
      outside += !(fedagg::is_finite(value(first[j])) && value(first[j]) >= low - slip && value(first[j]) <= high + slip);
    }
    CHECK(outside == 0);
  }
}

/// Clients as they come in tests of nerves.
template <class T, class R>
void hard_cases(const R& rule, std::size_t n) {
  for (const std::size_t d : {1u, 2u, 3u, 37u}) {
    const auto honest = sample<T>(kind::normal, n, d, n);
    boxed(rule, honest, "as they come");
    for (const kind k : {kind::constant, kind::zeros, kind::ties, kind::denormal, kind::ascending})
      boxed(rule, sample<T>(k, n, d, n + 1), name_of(k));
    if (sizeof(T) < 8) boxed(rule, sample<T>(kind::large, n, d, n + 1), "large");
    auto x = honest;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < d; ++j) x.at(i, j) = honest.at(i / 2 * 2, j);
    boxed(rule, x, "pairs");
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < d; ++j) x.at(i, j) = stored<T>(value(honest.at(0, j)) * static_cast<double>(i % 4));
    boxed(rule, x, "on a line");
    x = honest;
    for (std::size_t j = 0; j < d; ++j) x.at(n - 1, j) = stored<T>(sizeof(T) > 2 || format<T>::digits == 8 ? 1e30 : 65504);
    boxed(rule, x, "one far away");
    for (std::size_t i = 0; i < n; ++i) {
      const T inf = std::bit_cast<T>(static_cast<typename format<T>::word>(((1ull << (sizeof(T) * 8 - format<T>::digits)) - 1) << (format<T>::digits - 1)));
      x.at(i, d - 1) = inf;
      if (i == 0 || i == n / 2 || i + 1 == n) boxed(rule, x, "some with Inf");
    }
  }
}

template <class T, class R>
void hard() {
  for (const std::size_t n : {1u, 2u, 3u, 5u, 12u})
    for (const R& rule : instances<R>(n)) hard_cases<T>(rule, n);
  for (const R& rule : instances<R>(200)) boxed(rule, sample<T>(kind::normal, 200, 7, 1), "many");
}

FEDAGG_LAW("clients that agree get what they agree on", unanimity)
FEDAGG_LAW("the order of the clients does not matter", permutation)
FEDAGG_LAW("a common shift shifts the result", translation)
FEDAGG_LAW("a common factor scales the result", scale)
FEDAGG_LAW("hostile clients within the budget cannot leave the honest range", hostile)
FEDAGG_LAW("a client with a NaN or Inf is as good as absent", absent)
FEDAGG_LAW("a cohort counted twice gives the same result", duplicates)
FEDAGG_LAW("hard cohorts end with an answer that lies between the clients", hard)
FEDAGG_LAW("a part of the coordinates gives that part of the result", locality)

TEST_CASE("trusted weights move with their clients") {
  for_each_rule([](auto rule) {
    using R = decltype(rule);
    DYNAMIC_SECTION(R::name) { weighted_permutation<R>(); }
  });
}

TEST_CASE("without a budget the trimmed mean is the mean") {
  for (const std::size_t n : sizes) {
    const auto x = sample<double>(kind::normal, n, 40, n);
    const auto a = aggregated(fedagg::mean{}, x), b = aggregated(fedagg::trimmed_mean{.trim = 0}, x);
    REQUIRE((a.size() == x.d && b.size() == x.d));
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < x.d; ++j) wrong += !close<fedagg::mean>(a[j], b[j], x.column(j));
    INFO("n=" << n);
    CHECK(wrong == 0);
  }
}

TEST_CASE("with all but the middle trimmed the trimmed mean is the median") {
  for (const std::size_t n : sizes) {
    const auto x = sample<float>(kind::mixed, n, 40, n);
    CHECK(same_bits(aggregated(fedagg::median{}, x), aggregated(fedagg::trimmed_mean{.trim = static_cast<std::int64_t>((n - 1) / 2)}, x)));
  }
}

TEST_CASE("chains end with an answer that lies between the clients") {
  for_each_chain([](const char* name, auto chain) {
    DYNAMIC_SECTION(name) {
      for (const std::size_t n : {1u, 2u, 3u, 5u, 12u, 200u}) {
        hard_cases<float>(chain, n);
        hard_cases<double>(chain, n);
        hard_cases<fedagg::float16>(chain, n);
      }
    }
  });
}

TEST_CASE("a chain answers as if a client with NaN or Inf were absent") {
  for_each_chain([](const char* name, auto chain) {
    DYNAMIC_SECTION(name) {
      const auto x = sample<float>(kind::normal, 12, 90, 4);
      matrix<float> rest(11, 90), y = x;
      for (std::size_t i = 0; i < 11; ++i) std::copy(x.row(i).begin(), x.row(i).end(), rest.data.begin() + static_cast<std::ptrdiff_t>(90 * i));
      y.at(11, 45) = std::bit_cast<float>(0x7fc00000u);
      for (const auto when : {fedagg::write::direct, fedagg::write::atomic}) {
        fedagg::options how;
        how.write = when;
        const auto want = result(chain, rest, {}, how);
        REQUIRE(want.size() == 90);
        CHECK(same_bits(want, result(chain, y, {}, how)));
      }
    }
  });
}

TEST_CASE("a budget of half the clients is too much, and one that was not given is none") {
  for_each_rule([](auto rule) {
    using R = decltype(rule);
    if constexpr (requires { rule.f; }) {
      DYNAMIC_SECTION(R::name) {
        for (const std::size_t n : {1u, 2u, 5u, 8u}) {
          const auto x = sample<float>(kind::normal, n, 5, n);
          errc rc = errc::ok;
          rule.f = static_cast<std::int64_t>(n + 1) / 2 + std::is_same_v<R, fedagg::monna>;
          CHECK(result(rule, x, {}, {}, &rc).empty());
          CHECK(rc == errc::too_few_clients);
          rule.f = fedagg::unset;
          CHECK(result(rule, x, {}, {}, &rc).empty());
          CHECK(rc == errc::bad_parameter);
        }
      }
    }
  });
}

TEST_CASE("empty cohorts and strangers are refused with the output untouched") {
  for_each_rule([](auto kind_of_rule) {
    using R = decltype(kind_of_rule);
    DYNAMIC_SECTION(R::name) {
      const auto x = sample<float>(kind::normal, 9, 6, 3);
      for (const R& rule : instances<R>(9))
        for (const auto when : {fedagg::write::direct, fedagg::write::atomic}) {
          fedagg::options how;
          how.write = when;
          // A history is the server's and always of the right layout.
          fedagg::cohort none, strangers, one, known, known_one;
          const auto root = some_root<float>(6);
          for (std::size_t i = 0; i < 9; ++i) {
            strangers.add(x.row(i).first(5));
            if (i == 4) one.add(x.row(i).first(5));
            if (i == 4) known_one.add(x.row(i));
            one.add(x.row(i));
            known_one.add(x.row(i));
            known.add(x.row(i));
          }
          known.updates();
          known_one.updates();
          none.history(known);
          strangers.history(known);
          one.history(known_one);
          for (fedagg::cohort* c : {&none, &strangers, &one}) c->updates().trusted(root);
          fedagg::workspace space;
          std::vector<float> out(6, 77);
          CHECK(fedagg::try_aggregate(rule, none, out, space, how) == errc::empty_cohort);
          const errc rc = fedagg::try_aggregate(rule, strangers, out, space, how);
          CHECK((rc == errc::too_few_clients || rc == errc::too_many_rejected));
          CHECK(space.result().state == fedagg::output::untouched);
          CHECK(out == std::vector<float>(6, 77));
          std::vector<float> want(6);
          if constexpr (requires { rule.fraction; })
            if (rule.fraction >= 0) continue;
          fedagg::cohort others;
          for (std::size_t i = 0; i < 9; ++i) others.add(x.row(i));
          others.history(known);
          others.updates().trusted(root);
          REQUIRE(fedagg::try_aggregate(rule, others, want, space, how) == errc::ok);
          REQUIRE(fedagg::try_aggregate(rule, one, out, space, how) == errc::ok);
          CHECK(same_bits(want, out));
          REQUIRE(space.result().rejected.size() == 1);
          CHECK(space.result().rejected[0].reason == errc::client_layout);
        }
    }
  });
}

TEST_CASE("rules without a budget keep to their bounds") {
  // The norm of a result, and the distance of the geometric median from honest clients that hold a majority.
  const auto norm = [](const std::vector<double>& v, const std::vector<double>& from) {
    quad sum = 0;
    for (std::size_t j = 0; j < v.size(); ++j) sum = add(sum, multiply(quad(v[j]) - quad(from[j]), quad(v[j]) - quad(from[j])));
    return std::sqrt(static_cast<double>(sum));
  };
  const std::size_t n = 11, d = 17;
  const std::vector<double> zero(d);
  for (const double huge : {1e3, 1e30, -1e100}) {
    auto x = sample<double>(kind::normal, n, d, 6);
    for (const std::size_t i : {0u, 3u, 6u, 9u, 10u})
      for (std::size_t j = 0; j < d; ++j) x.at(i, j) = huge;
    const auto root = some_root<double>(d);
    INFO("huge " << huge);
    CHECK(norm(result(fedagg::fltrust{}, x), zero) <= norm(root, zero) * (1 + 1e-9));
    CHECK(norm(result(fedagg::norm_bounding{.bound = 0.75}, x), zero) <= 0.75 * (1 + 1e-9));
    CHECK(norm(result(fedagg::centered_clipping{.tau = 0.5, .iterations = 3}, x), zero) <= 1.5 * (1 + 1e-9));
    CHECK(norm(result(fedagg::centered_clipping{.tau = 0.5, .iterations = 3}, x, {}, {}, nullptr, {{}, root}), root) <= 1.5 * (1 + 1e-9));
    // Lopuhaa and Rousseeuw 1991: 2 (n - f) / (n - 2 f) times the largest honest distance from any point.
    double radius = 0;
    for (const std::size_t i : {1u, 2u, 4u, 5u, 7u, 8u}) radius = std::max(radius, norm({x.row(i).begin(), x.row(i).end()}, zero));
    CHECK(norm(result(fedagg::geometric_median{}, x), zero) <= 12 * radius);
  }
}
