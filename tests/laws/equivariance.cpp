// SPDX-License-Identifier: MIT
// What a change of all clients does to the result of every rule.
#include "laws/subject.hpp"

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

template <class T>
void unanimity(const family& rules) {
  const nature& is = *rules.is;
  for (const std::size_t n : sizes)
    for (const auto& rule : rules.instances(n))
      for (const kind k : {kind::normal, kind::mixed, kind::large, kind::denormal}) {
        // Signs know no sizes; the norms of such doubles are beyond all numbers.
        if (!is.scales || is.on_history || (sizeof(T) == 8 && k == kind::large && is.geometric)) continue;
        matrix<T> x(n, 37);
        const auto one = sample<T>(k, 1, 37, n);
        for (std::size_t i = 0; i < n; ++i) std::copy(one.data.begin(), one.data.end(), x.data.begin() + static_cast<std::ptrdiff_t>(i * 37));
        const auto got = result(*rule->boundless(), x, {}, {}, nullptr, {{}, one.data});
        INFO(format<T>::name << " " << name_of(k) << " n=" << n);
        if constexpr (sizeof(T) == 8) {
          // Sums of doubles round, and those of a mean lose what is below the smallest subnormal number.
          if (k == kind::denormal && is.sums_in_order) continue;
          REQUIRE(got.size() == x.d);
          std::size_t wrong = 0;
          for (std::size_t j = 0; j < x.d; ++j) wrong += !rounds_to<T>(got[j], one.data[j], slack(x.column(j)));
          CHECK(wrong == 0);
        } else {
          CHECK(equal_values(got, one.data));
        }
      }
}

template <class T>
void permutation(const family& rules) {
  const nature& is = *rules.is;
  for (const std::size_t n : sizes)
    for (const auto& rule : rules.instances(n))
      for (const kind k : {kind::normal, kind::ties, kind::zeros, kind::mixed}) {
        // Of equals the first is chosen, and a few clients, or squares of doubles of all sizes, are often equal; beside
        // the largest of clients of all sizes the others all reach equally far in the direction of that one.
        if (is.geometric && k != kind::normal && (k != kind::mixed || is.iterates || is.searches || is.spectral || sizeof(T) == 8)) continue;
        if (is.selects && n < 7) continue;
        if (!rule->permutes()) continue;
        // With one neighbour each, two rows that are nearest to each other have the same score.
        if (is.selecting && n < 15) continue;
        const auto x = sample<T>(k, n, 41, n + 1);
        const auto a = result(*rule, x), b = result(*rule, shuffled(x, n));
        REQUIRE(a.size() == x.d);
        INFO(format<T>::name << " " << name_of(k) << " n=" << n);
        if (is.sums_in_order) {
          REQUIRE(b.size() == x.d);
          CHECK(apart(is, a, b, x) == 0);
        } else {
          CHECK(same_bits(a, b));
        }
      }
}

/// With trusted weights the clients move with their weights.
void weighted_permutation(const family& rules) {
  const nature& is = *rules.is;
  for (const std::size_t n : {5u, 8u, 20u, 40u})
    for (const auto& rule : rules.trusting(n)) {
      auto x = sample<double>(n % 2 ? kind::ties : kind::normal, n, 31, n);
      std::vector<double> w(n);
      std::mt19937_64 random(n);
      for (auto& v : w) v = static_cast<double>(random() % 4 + 1);
      errc rc = errc::ok;
      const auto a = result(*rule, x, w, {}, &rc);
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
      const auto b = result(*rule, y, v);
      if (is.sums_in_order) {
        REQUIRE(b.size() == x.d);
        CHECK(apart(is, a, b, x) == 0);
      } else {
        CHECK(same_bits(a, b));
      }
    }
}

template <class T>
void translation(const family& rules) {
  const nature& is = *rules.is;
  // A history is one of updates and does not move.
  if (is.on_history) return;
  for (const std::size_t n : sizes)
    for (const auto& rule : rules.instances(n))
      for (const bool based : {false, true}) {
        if (!based && !is.moves_alone) continue;
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
          return result(*rule, m, {}, {}, nullptr, more);
        };
        const auto a = moved(x), b = moved(y);
        REQUIRE((a.size() == x.d && b.size() == x.d));
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < x.d; ++j) {
          // Each result is rounded once: the larger one to half a unit at 4, the other to less than that. A rule that
          // sees the base rounds once more, to what the base is added to.
          const quad error = (is.iterates ? quad(0x1p20) : quad(2)) * slack(y.column(j)) +
                             (half_ulp<T>(value(b[j])) + half_ulp<T>(value(a[j]))) * (based ? 2 : 1);
          wrong += magnitude(quad(value(b[j])) - quad(value(a[j])) - 3) > error;
        }
        INFO(format<T>::name << " n=" << n << (based ? " with a base" : ""));
        CHECK(wrong == 0);
      }
}

template <class T>
void scale(const family& rules) {
  const nature& is = *rules.is;
  if (!is.scales) return;
  for (const std::size_t n : sizes)
    for (const auto& rule : rules.instances(n)) {
      const auto x = sample<T>(kind::normal, n, 45, n + 2);
      const auto root = some_root<T>(x.d);
      const auto a = result(*rule, x, {}, {}, nullptr, {{}, root});
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
        if (normal || sizeof(T) > 2) CHECK(equal_values(result(*rule->scaled(factor), y, {}, {}, nullptr, {{}, far}), want));
      }
      if (!rule->has_no_lower_side()) continue;
      // Sums of the same values in the opposite order may round in another way.
      matrix<T> y = x;
      for (auto& v : y.data) v = stored<T>(-value(v));
      std::vector<T> opposite(root);
      for (auto& v : opposite) v = stored<T>(-value(v));
      const auto b = result(*rule, y, {}, {}, nullptr, {{}, opposite});
      REQUIRE(b.size() == x.d);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < x.d; ++j) wrong += !close(is, a[j], stored<T>(-value(b[j])), x.column(j));
      CHECK(wrong == 0);
    }
}

template <class T>
void duplicates(const family& rules) {
  const nature& is = *rules.is;
  if (!is.doubles) return;
  for (const std::size_t n : sizes)
    for (const auto& rule : rules.instances(n)) {
      const auto x = sample<T>(kind::normal, n, 33, n + 4);
      matrix<T> twice(2 * n, x.d);
      for (std::size_t i = 0; i < 2 * n; ++i)
        for (std::size_t j = 0; j < x.d; ++j) twice.at(i, j) = x.at(i % n, j);
      const auto a = result(*rule, x), b = result(*rule->doubled(n), twice);
      REQUIRE((a.size() == x.d && b.size() == x.d));
      INFO(format<T>::name << " n=" << n);
      CHECK(apart(is, a, b, twice) == 0);
    }
}

template <class T>
void locality(const family& rules) {
  const nature& is = *rules.is;
  if (is.geometric) return;
  const std::size_t n = 9;
  const auto x = sample<T>(kind::normal, n, 600, 5);
  for (const auto& rule : rules.instances(n)) {
    const auto whole = result(*rule, x);
    REQUIRE(whole.size() == x.d);
    for (const std::size_t d : {1u, 5u, 17u, 64u, 513u})
      for (const std::size_t from : {0u, 3u, 70u}) {
        matrix<T> part(n, d);
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < d; ++j) part.at(i, j) = x.at(i, from + j);
        CHECK(same_bits(result(*rule, part), std::vector<T>(whole.begin() + static_cast<std::ptrdiff_t>(from), whole.begin() + static_cast<std::ptrdiff_t>(from + d))));
      }
  }
}

} // namespace

FEDAGG_LAW("clients that agree get what they agree on", unanimity)
FEDAGG_LAW("the order of the clients does not matter", permutation)
FEDAGG_LAW("a common shift shifts the result", translation)
FEDAGG_LAW("a common factor scales the result", scale)
FEDAGG_LAW("a cohort counted twice gives the same result", duplicates)
FEDAGG_LAW("a part of the coordinates gives that part of the result", locality)

TEST_CASE("trusted weights move with their clients") {
  for (const family& rules : families())
    DYNAMIC_SECTION(rules.is->name) { weighted_permutation(rules); }
}
