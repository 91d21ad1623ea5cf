// SPDX-License-Identifier: MIT
// What holds for every rule.
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

/// The largest distance that two results of the same exact value can have.
template <class T>
bool close(T a, T b, const std::vector<double>& column) {
  const quad error = slack(column);
  const quad size = magnitude(value(a)) > magnitude(value(b)) ? magnitude(value(a)) : magnitude(value(b));
  return magnitude(quad(value(a)) - quad(value(b))) <= 2 * (half_ulp<T>(size + error) + error);
}

constexpr std::size_t sizes[] = {1, 2, 3, 4, 7, 8, 20, 33, 64, 65};

template <class T, class R>
void unanimity() {
  for (const std::size_t n : sizes)
    for (const R& rule : instances<R>(n))
      for (const kind k : {kind::normal, kind::mixed, kind::large, kind::denormal}) {
        matrix<T> x(n, 37);
        const auto one = sample<T>(k, 1, 37, n);
        for (std::size_t i = 0; i < n; ++i) std::copy(one.data.begin(), one.data.end(), x.data.begin() + static_cast<std::ptrdiff_t>(i * 37));
        const auto got = aggregated(rule, x);
        INFO(format<T>::name << " " << name_of(k) << " n=" << n);
        if constexpr (sizeof(T) == 8) {
          // Sums of doubles round, and those of a mean lose what is below the smallest subnormal number.
          if (k == kind::denormal && fedagg::linear_rule<R>) continue;
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
        const auto x = sample<T>(k, n, 41, n + 1);
        const auto a = aggregated(rule, x), b = aggregated(rule, shuffled(x, n));
        REQUIRE(a.size() == x.d);
        INFO(format<T>::name << " " << name_of(k) << " n=" << n);
        if constexpr (fedagg::linear_rule<R>) {
          REQUIRE(b.size() == x.d);
          std::size_t wrong = 0;
          for (std::size_t j = 0; j < x.d; ++j) wrong += !close(a[j], b[j], x.column(j));
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
      const auto a = aggregated(rule, x, w, {}, &rc);
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
      CHECK(same_bits(a, aggregated(rule, y, v)));
    }
}

template <class T, class R>
void translation() {
  for (const std::size_t n : sizes)
    for (const R& rule : instances<R>(n)) {
      // Small multiples of 1/64: moved by 3 they are exact in every format but the shortest.
      matrix<T> x(n, 50), y(n, 50);
      std::mt19937_64 random(n);
      for (std::size_t k = 0; k < x.data.size(); ++k) {
        const double v = static_cast<double>(random() % 64) / 64;
        x.data[k] = stored<T>(v);
        y.data[k] = stored<T>(v + 3);
      }
      const auto a = aggregated(rule, x), b = aggregated(rule, y);
      REQUIRE((a.size() == x.d && b.size() == x.d));
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < x.d; ++j) {
        // Each result is rounded once: the larger one to half a unit at 4, the other to less than that.
        const quad error = 2 * slack(y.column(j)) + half_ulp<T>(value(b[j])) + half_ulp<T>(value(a[j]));
        wrong += magnitude(quad(value(b[j])) - quad(value(a[j])) - 3) > error;
      }
      INFO(format<T>::name << " n=" << n);
      CHECK(wrong == 0);
    }
}

template <class T, class R>
void scale() {
  for (const std::size_t n : sizes)
    for (const R& rule : instances<R>(n)) {
      const auto x = sample<T>(kind::normal, n, 45, n + 2);
      const auto a = aggregated(rule, x);
      REQUIRE(a.size() == x.d);
      for (const double factor : {4.0, 0.0625}) {
        matrix<T> y = x;
        std::vector<T> want = a;
        bool normal = true;
        for (auto& v : y.data) v = stored<T>(value(v) * factor);
        for (auto& v : want) {
          normal = normal && (value(v) == 0 || magnitude(value(v)) > power(format<T>::least + 8));
          v = stored<T>(value(v) * factor);
        }
        // Half precision loses bits of what becomes subnormal.
        for (std::size_t k = 0; k < x.data.size(); ++k) normal = normal && value(y.data[k]) == value(x.data[k]) * factor;
        INFO(format<T>::name << " n=" << n << " factor " << factor);
        if (normal || sizeof(T) > 2) CHECK(equal_values(aggregated(rule, y), want));
      }
      if constexpr (requires { rule.even; })
        if (rule.even == fedagg::middle::lower) continue;
      // Sums of the same values in the opposite order may round in another way.
      matrix<T> y = x;
      for (auto& v : y.data) v = stored<T>(-value(v));
      const auto b = aggregated(rule, y);
      REQUIRE(b.size() == x.d);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < x.d; ++j) wrong += !close(a[j], stored<T>(-value(b[j])), x.column(j));
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
        const auto got = aggregated(rule, x);
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
      const auto want = aggregated(rule, honest);
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
            CHECK(same_bits(want, aggregated(rule, x, {}, how)));
          }
        }
    }
}

/// A cohort twice has the same mean, and the same median and trimmed mean with twice the clients trimmed.
template <class T, class R>
void duplicates() {
  for (const std::size_t n : sizes)
    for (R rule : instances<R>(n)) {
      const auto x = sample<T>(kind::normal, n, 33, n + 4);
      matrix<T> twice(2 * n, x.d);
      for (std::size_t i = 0; i < 2 * n; ++i)
        for (std::size_t j = 0; j < x.d; ++j) twice.at(i, j) = x.at(i % n, j);
      const auto a = aggregated(rule, x);
      if constexpr (requires { rule.trim; }) {
        rule.trim = 2 * static_cast<std::int64_t>(budget(rule, n));
        rule.fraction = fedagg::unset;
      }
      const auto b = aggregated(rule, twice);
      REQUIRE((a.size() == x.d && b.size() == x.d));
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < x.d; ++j) wrong += !close(a[j], b[j], twice.column(j));
      INFO(format<T>::name << " n=" << n);
      CHECK(wrong == 0);
    }
}

/// Coordinates know nothing of each other.
template <class T, class R>
void locality() {
  const std::size_t n = 9;
  const auto x = sample<T>(kind::normal, n, 600, 5);
  for (const R& rule : instances<R>(n)) {
    const auto whole = aggregated(rule, x);
    REQUIRE(whole.size() == x.d);
    for (const std::size_t d : {1u, 5u, 17u, 64u, 513u})
      for (const std::size_t from : {0u, 3u, 70u}) {
        matrix<T> part(n, d);
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < d; ++j) part.at(i, j) = x.at(i, from + j);
        CHECK(same_bits(aggregated(rule, part), std::vector<T>(whole.begin() + static_cast<std::ptrdiff_t>(from), whole.begin() + static_cast<std::ptrdiff_t>(from + d))));
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

FEDAGG_LAW("clients that agree get what they agree on", unanimity)
FEDAGG_LAW("the order of the clients does not matter", permutation)
FEDAGG_LAW("a common shift shifts the result", translation)
FEDAGG_LAW("a common factor scales the result", scale)
FEDAGG_LAW("hostile clients within the budget cannot leave the honest range", hostile)
FEDAGG_LAW("a client with a NaN or Inf is as good as absent", absent)
FEDAGG_LAW("a cohort counted twice gives the same result", duplicates)
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
    for (std::size_t j = 0; j < x.d; ++j) wrong += !close(a[j], b[j], x.column(j));
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
