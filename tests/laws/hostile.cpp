// SPDX-License-Identifier: MIT
// What hostile, broken and absent clients can do to every rule.
#include "laws/subject.hpp"

using namespace numeric;
using namespace laws;
using fedagg::errc;

namespace {

template <class T>
void far_away(const family& rules) {
  const nature& is = *rules.is;
  for (const std::size_t n : {3u, 5u, 8u, 20u, 21u, 50u})
    for (const auto& rule : rules.instances(n)) {
      const std::size_t f = rule->budget(n);
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
          if (honest && is.root_counts) more.trusted.assign(x.row(i).begin(), x.row(i).end());
        }
        const auto got = result(*rule, x, {}, {}, nullptr, more);
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

template <class T>
void absent(const family& rules) {
  const nature& is = *rules.is;
  using word = typename format<T>::word;
  constexpr word infinity = static_cast<word>(((word{1} << (sizeof(T) * 8 - format<T>::digits)) - 1) << (format<T>::digits - 1));
  for (const std::size_t n : {4u, 9u, 20u, 34u})
    for (const auto& rule : rules.instances(n)) {
      const auto honest = sample<T>(kind::normal, n, 700, n);
      matrix<T> all(n + 1, honest.d);
      const std::size_t bad = n / 2;
      for (std::size_t i = 0; i <= n; ++i)
        for (std::size_t j = 0; j < all.d; ++j) all.at(i, j) = i == bad ? stored<T>(1) : honest.at(i < bad ? i : i - 1, j);
      if (!rule->reads_all()) continue;
      if (rule->by_fraction() && rule->budget(n) != rule->budget(n + 1)) continue;
      const auto want = result(*rule, honest);
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
            const auto got = result(*rule, x, {}, how);
            if (is.iterates) {
              REQUIRE(got.size() == x.d);
              CHECK(apart(is, want, got, honest) == 0);
            } else {
              CHECK(same_bits(want, got));
            }
          }
        }
    }
}

} // namespace

FEDAGG_LAW("hostile clients within the budget that send huge values cannot leave the honest range", far_away)
FEDAGG_LAW("a client with a NaN or Inf is as good as absent", absent)

TEST_CASE("a chain answers as if a client with NaN or Inf were absent") {
  for (const auto& chain : chains())
    DYNAMIC_SECTION(chain->is.name) {
      const auto x = sample<float>(kind::normal, 12, 90, 4);
      matrix<float> rest(11, 90), y = x;
      for (std::size_t i = 0; i < 11; ++i) std::copy(x.row(i).begin(), x.row(i).end(), rest.data.begin() + static_cast<std::ptrdiff_t>(90 * i));
      y.at(11, 45) = std::bit_cast<float>(0x7fc00000u);
      for (const auto when : {fedagg::write::direct, fedagg::write::atomic}) {
        fedagg::options how;
        how.write = when;
        const auto want = result(*chain, rest, {}, how);
        REQUIRE(want.size() == 90);
        CHECK(same_bits(want, result(*chain, y, {}, how)));
      }
    }
}

TEST_CASE("a budget of half the clients is too much, and one that was not given is none") {
  for (const family& rules : families()) {
    if (!rules.is->has_f) continue;
    DYNAMIC_SECTION(rules.is->name) {
      for (const std::size_t n : {1u, 2u, 5u, 8u}) {
        const auto x = sample<float>(kind::normal, n, 5, n);
        errc rc = errc::ok;
        const auto half = static_cast<std::int64_t>(n + 1) / 2 + rules.is->root_counts;
        CHECK(result(*rules.plain->with_f(half), x, {}, {}, &rc).empty());
        CHECK(rc == errc::too_few_clients);
        CHECK(result(*rules.plain->with_f(fedagg::unset), x, {}, {}, &rc).empty());
        CHECK(rc == errc::bad_parameter);
      }
    }
  }
}

TEST_CASE("empty cohorts and strangers are refused with the output untouched") {
  for (const family& rules : families())
    DYNAMIC_SECTION(rules.is->name) {
      const auto x = sample<float>(kind::normal, 9, 6, 3);
      for (const auto& rule : rules.instances(9))
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
          CHECK(rule->aggregate(none, out, space, how) == errc::empty_cohort);
          const errc rc = rule->aggregate(strangers, out, space, how);
          CHECK((rc == errc::too_few_clients || rc == errc::too_many_rejected));
          CHECK(space.result().state == fedagg::output::untouched);
          CHECK(out == std::vector<float>(6, 77));
          std::vector<float> want(6);
          if (rule->by_fraction()) continue;
          fedagg::cohort others;
          for (std::size_t i = 0; i < 9; ++i) others.add(x.row(i));
          others.history(known);
          others.updates().trusted(root);
          REQUIRE(rule->aggregate(others, want, space, how) == errc::ok);
          REQUIRE(rule->aggregate(one, out, space, how) == errc::ok);
          CHECK(same_bits(want, out));
          REQUIRE(space.result().rejected.size() == 1);
          CHECK(space.result().rejected[0].reason == errc::client_layout);
        }
    }
}
