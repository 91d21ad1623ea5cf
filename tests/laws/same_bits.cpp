// SPDX-License-Identifier: MIT
// The same bits on every instruction set, thread count, tile size and layout, in this build whatever its flags.
#include "laws/instances.hpp"

using namespace numeric;
using namespace laws;
using fedagg::errc;

namespace {

/// Everything that a compiler would like to contract, reassociate or replace by a reciprocal.
struct tempting {
  static constexpr const char* name = "tempting";
  static constexpr auto fields() { return std::tuple{}; }
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    using T = typename L::value_type;
    L sum = T(0), squares = T(0);
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += x[i] * T(0.3);
      squares += x[i] * x[i] + T(1e-3);
    }
    const L center = sum / static_cast<T>(x.size());
    L rest = T(0);
    for (const L& v : x) rest += (v - center) / squares + (v + sum) - v;
    x.sort();
    out = rest * center - squares / (T(3) + abs(x[0])) + min(x[0] * center, max(sum, rest)) / T(7);
  }
};

template <class T>
void check(const subject& rule, const matrix<T>& x, const std::vector<double>& w) {
  fedagg::use_isa(fedagg::isa::baseline);
  errc refused = errc::ok;
  const auto want = result(rule, x, w, {}, &refused);
  INFO(rule.is.name << " " << format<T>::name << " n=" << x.n << " d=" << x.d << (w.empty() ? " unweighted" : " weighted"));
  if (refused == errc::weight_majority) return;
  REQUIRE(refused == errc::ok);
  // Column-major rows: three dimensions, the first one fastest.
  const std::size_t shape[] = {x.d / 10, 5, 2};
  const std::ptrdiff_t strides[] = {10, 1, 5};
  // Sums over coordinates are taken in the order of the shape or, where all views agree, of memory.
  std::vector<T> in_shape_order;
  if (rule.is.geometric && x.d % 10 == 0) {
    const auto place = [](std::size_t j) { return j / 10 * 10 + j % 10 / 2 + 5 * (j % 2); };
    matrix<T> y(x.n, x.d);
    const auto root = some_root<T>(x.d);
    setting<T> more;
    for (std::size_t j = 0; j < x.d; ++j) {
      for (std::size_t i = 0; i < x.n; ++i) y.at(i, j) = x.at(i, place(j));
      if (rule.is.wants_root) more.trusted.push_back(root[place(j)]);
    }
    const auto got = result(rule, y, w, {}, nullptr, more);
    REQUIRE(got.size() == x.d);
    in_shape_order.resize(x.d);
    for (std::size_t j = 0; j < x.d; ++j) in_shape_order[place(j)] = got[j];
  }
  std::string wrong;
  threads three{3}; // an lvalue: options borrow it
  on_each_isa([&](fedagg::isa which) {
    for (const std::size_t grain : {0u, 1u, 7u, 64u, 513u}) {
      if (grain == 1 && x.d > 300) continue;
      for (const bool parallel : {false, true}) {
        fedagg::options how;
        how.grain = grain;
        if (parallel) how.executor = three;
        if (!same_bits(want, result(rule, x, w, how))) wrong = std::string(fedagg::name_of(which)) + " grain " + std::to_string(grain) + (parallel ? " parallel" : "");
      }
    }
    if (x.d % 10 == 0) {
      // Both ways of walking the same memory: the output is told the same strides, or walks in order.
      fedagg::cohort clients, sums;
      for (std::size_t i = 0; i < x.n; ++i) clients.add(fedagg::tensor_view<const T>(x.row(i).data(), shape, strides));
      remember(rule.is, clients, sums);
      if (!w.empty()) clients.weights(w);
      if (rule.is.updates) clients.updates();
      const auto root = some_root<T>(x.d);
      if (rule.is.wants_root)
        clients.trusted(fedagg::tensor_view<const T>(root.data(), shape, strides));
      for (const bool same : {true, false}) {
        std::vector<T> out(x.d), ordered(x.d);
        const auto view = same ? fedagg::tensor_view<T>(out.data(), shape, strides) : fedagg::tensor_view<T>(out.data(), shape);
        fedagg::workspace space;
        if (rule.aggregate(clients, view, space, {}) != errc::ok) wrong = "refused";
        for (std::size_t a = 0, j = 0; a < shape[0]; ++a)
          for (std::size_t b = 0; b < 5; ++b)
            for (std::size_t c = 0; c < 2; ++c, ++j) ordered[10 * a + b + 5 * c] = same ? out[10 * a + b + 5 * c] : out[j];
        if (!same_bits(want, ordered) && !same_bits(in_shape_order, ordered)) wrong = std::string(fedagg::name_of(which)) + " strided";
      }
    }
  });
  CHECK(wrong == "");
}

template <class T>
void check_all(const family& rules, std::size_t n, std::size_t d, kind k) {
  const auto x = sample<T>(k, n, d, 17);
  std::mt19937_64 random(n);
  std::vector<double> counts(n), digits(n);
  for (auto& v : counts) v = static_cast<double>(random() % 1000 + 500);
  for (auto& v : digits) v = 1 + uniform(random) / 3;
  for (const auto& rule : rules.instances(n)) {
    check(*rule, x, {});
    if (rules.is->linear) {
      check(*rule, x, counts);
      check(*rule, x, digits);
    }
  }
  for (const auto& rule : rules.trusting(n)) check(*rule, x, digits);
}

void check_rule(const family& rules) {
  for (const std::size_t n : {1u, 3u, 7u, 20u, 33u, 65u}) {
    const std::size_t d = n == 7 ? 1310 : 230;
    check_all<float>(rules, n, d, n == 20 ? kind::mixed : kind::normal);
    check_all<double>(rules, n, d, n == 20 ? kind::mixed : kind::normal);
    check_all<fedagg::float16>(rules, n, d + 1, kind::normal);
    check_all<fedagg::bfloat16>(rules, n, d + 1, kind::normal);
  }
  check_all<double>(rules, 9, 230, kind::denormal);
  check_all<float>(rules, 9, 230, kind::denormal);
  check_all<float>(rules, 9, 230, kind::zeros);
}

/// Puts the chosen instruction set back.
struct keep_isa {
  fedagg::isa before = fedagg::active_isa();
  ~keep_isa() { fedagg::use_isa(before); }
};

} // namespace

TEST_CASE("every rule gives the same bits on every instruction set, thread count, grain and layout") {
  const keep_isa keep;
  for (const family& rules : families())
    DYNAMIC_SECTION(rules.is->name) { check_rule(rules); }
}

TEST_CASE("so does a rule of the user's with products, sums and quotients") {
  const keep_isa keep;
  const subject_of<tempting> rule(tempting{});
  for (const std::size_t n : {1u, 3u, 7u, 20u, 33u}) {
    check(rule, sample<float>(kind::normal, n, 230, 18), {});
    check(rule, sample<double>(kind::normal, n, 230, 18), {});
    check(rule, sample<fedagg::float16>(kind::normal, n, 230, 18), {});
    check(rule, sample<fedagg::bfloat16>(kind::normal, n, 231, 18), {});
    check(rule, sample<double>(kind::denormal, n, 231, 18), {});
    check(rule, sample<float>(kind::zeros, n, 231, 18), {});
  }
}

TEST_CASE("so do chains") {
  const keep_isa keep;
  for (const auto& chain : chains())
    DYNAMIC_SECTION(chain->is.name) {
      for (const std::size_t n : {5u, 12u, 33u}) {
        check(*chain, sample<float>(kind::normal, n, 1310, 18), {});
        check(*chain, sample<double>(kind::normal, n, 230, 18), {});
        check(*chain, sample<fedagg::float16>(kind::normal, n, 231, 18), {});
        check(*chain, sample<fedagg::bfloat16>(kind::normal, n, 231, 18), {});
        check(*chain, sample<float>(kind::mixed, n, 230, 18), {});
        check(*chain, sample<float>(kind::zeros, n, 231, 18), {});
      }
    }
}
