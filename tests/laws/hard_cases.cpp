// SPDX-License-Identifier: MIT
// Clients as they come in tests of nerves: every rule and chain ends with an answer.
#include "laws/subject.hpp"

using namespace numeric;
using namespace laws;
using fedagg::errc;

namespace {

/// What a hard cohort may end with: a result, or a reason that names the rule's own condition.
bool is_answer(errc rc) { return rc == errc::ok || rc == errc::too_few_clients || rc == errc::too_many_rejected || rc == errc::search_limit || rc == errc::no_client_selected; }

/// No rule of these leaves the box of the clients it used, the origin and the trusted row.
template <class T>
void boxed(const subject& rule, const matrix<T>& x, const char* what) {
  fedagg::cohort clients, sums;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  remember(rule.is, clients, sums);
  clients.updates();
  const std::vector<T> root = some_root<T>(x.d);
  clients.trusted(root);
  fedagg::workspace space;
  std::vector<T> first(x.d), second(x.d);
  const errc rc = rule.aggregate(clients, first, space, {});
  INFO(what << " " << format<T>::name << " n=" << x.n << " d=" << x.d << ": " << fedagg::message(rc));
  CHECK(is_answer(rc));
  CHECK(space.result().iterations <= 10000001);
  CHECK(rule.aggregate(clients, second, space, {}) == rc);
  if (rc != errc::ok) return;
  CHECK(same_bits(first, second));
  if (rule.is.boxed) {
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
template <class T>
void hard_cases(const subject& rule, std::size_t n) {
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

template <class T>
void hard(const family& rules) {
  for (const std::size_t n : {1u, 2u, 3u, 5u, 12u})
    for (const auto& rule : rules.instances(n)) hard_cases<T>(*rule, n);
  for (const auto& rule : rules.instances(200)) boxed(*rule, sample<T>(kind::normal, 200, 7, 1), "many");
}

} // namespace

FEDAGG_LAW("hard cohorts end with an answer that lies between the clients", hard)

TEST_CASE("so do chains") {
  for (const auto& chain : chains())
    DYNAMIC_SECTION(chain->is.name) {
      for (const std::size_t n : {1u, 2u, 3u, 5u, 12u, 40u}) {
        hard_cases<float>(*chain, n);
        hard_cases<double>(*chain, n);
        hard_cases<fedagg::float16>(*chain, n);
      }
      boxed(*chain, sample<float>(kind::normal, 200, 7, 1), "many");
    }
}
