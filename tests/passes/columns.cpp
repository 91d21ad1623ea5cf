// SPDX-License-Identifier: MIT
#include <fedagg/passes/columns.hpp>

#include "compiled/rules.hpp"
#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;

namespace elsewhere {

struct midrange {
  static constexpr const char* name = "midrange";
  static constexpr auto fields() { return std::tuple{}; }
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    L low = x[0], high = x[0];
    for (const L& v : x) {
      low = min(low, v);
      high = max(high, v);
    }
    out = low + (high - low) / typename L::value_type(2);
  }
};

/// Not translation-equivariant: the base matters.
struct doubled {
  static constexpr const char* name = "doubled";
  static constexpr auto fields() { return std::tuple{}; }
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    out = x[0] + x[0];
  }
};

struct declared {
  double factor = 2;
  static constexpr const char* name = "declared";
  static constexpr auto fields() { return std::tuple{fedagg::field{"factor", &declared::factor, 0, 4, "a factor"}}; }
  static constexpr bool translation_equivariant = true;
  errc check(std::size_t, std::size_t present) const noexcept { return present < 3 ? errc::too_few_clients : errc::ok; }
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    out = x[2] * static_cast<typename L::value_type>(factor);
  }
};

struct inverse {
  static constexpr const char* name = "inverse";
  static constexpr auto fields() { return std::tuple{}; }
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    out = typename L::value_type(1) / x[0];
  }
};

} // namespace elsewhere

namespace {

/// low + (high - low) / 2 with a rounding after each operation, in C.
template <class C>
C midrange_of(const std::vector<double>& column) {
  const auto [low, high] = std::minmax_element(column.begin(), column.end());
  const auto spread = static_cast<C>(add(*high, -quad(*low)));
  return static_cast<C>(add(*low, divide(quad(spread), 2)));
}

template <class T, class C>
void check(std::size_t n, std::size_t d) {
  const auto x = sample<T>(kind::normal, n, d, 7);
  const auto got = aggregated(elsewhere::midrange{}, x);
  INFO(format<T>::name << " n=" << n << " d=" << d);
  REQUIRE(got.size() == d);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) wrong += value(got[j]) != value(stored<T>(static_cast<double>(midrange_of<C>(x.column(j)))));
  CHECK(wrong == 0);
}

template <class T, class C>
void check_sizes() {
  for (std::size_t d = 1; d <= 70; ++d) check<T, C>(3, d);
  for (std::size_t n = 1; n <= 40; ++n) check<T, C>(n, 21);
  for (const std::size_t n : {64u, 100u, 1000u}) check<T, C>(n, 45);
}

/// A matrix whose rows lie in memory in some other way.
template <class T>
struct strided {
  std::vector<T> memory;
  std::vector<std::size_t> shape;
  std::vector<std::ptrdiff_t> strides;
  std::size_t origin = 0;
  fedagg::tensor_view<T> view() { return fedagg::tensor_view<T>(memory.data() + origin, shape, strides); }
  T& at(std::size_t j) {
    auto offset = static_cast<std::ptrdiff_t>(origin);
    for (std::size_t k = shape.size(); k-- > 0; j /= shape[k]) offset += static_cast<std::ptrdiff_t>(j % shape[k]) * strides[k];
    return memory[static_cast<std::size_t>(offset)];
  }
};

template <class T>
strided<T> layout(int which) {
  strided<T> s;
  s.shape = {6, 5, 23};
  switch (which) {
  case 0: s.strides = {115, 23, 1}; break;                          // row-major
  case 1: s.strides = {1, 6, 30}; break;                            // column-major
  case 2: s.strides = {-115, 23, 1}, s.origin = 575; break;         // upside down
  case 3: s.strides = {-230, -46, -2}, s.origin = 1379; break;      // backwards, with gaps
  default: s.strides = {23, 138, 1}; break;                         // outer dimensions swapped
  }
  s.memory.assign(1400, stored<T>(77));
  return s;
}

template <class T, class Rule>
void check_strided(const Rule& rule) {
  const std::size_t n = 5, d = 690;
  const auto x = sample<T>(kind::normal, n, d, 8);
  const auto want = aggregated(rule, x);
  REQUIRE(want.size() == d);
  for (int in = -1; in < 5; ++in)
    for (int to = 0; to < 5; ++to) {
      std::vector<strided<T>> rows;
      for (std::size_t i = 0; i < n; ++i) {
        rows.push_back(layout<T>(in < 0 ? static_cast<int>(i) : in));
        for (std::size_t j = 0; j < d; ++j) rows[i].at(j) = x.at(i, j);
      }
      fedagg::cohort clients;
      for (auto& r : rows) clients.add(r.view());
      for (const std::size_t grain : {std::size_t{0}, std::size_t{100}}) {
        auto out = layout<T>(to);
        fedagg::workspace space;
        fedagg::options how;
        how.grain = grain;
        REQUIRE(fedagg::try_aggregate(rule, clients, out.view(), space, how) == errc::ok);
        std::size_t wrong = 0, touched = 0;
        for (std::size_t j = 0; j < d; ++j) {
          wrong += bits_of(out.at(j)) != bits_of(want[j]);
          out.at(j) = stored<T>(77);
        }
        for (const T& v : out.memory) touched += bits_of(v) != bits_of(stored<T>(77));
        INFO(format<T>::name << " from layout " << in << " to " << to << " grain " << grain);
        CHECK(wrong == 0);
        CHECK(touched == 0);
      }
    }
}

} // namespace

TEST_CASE("a rule of the user's sees every column, in every element type") {
  SECTION("f32") { check_sizes<float, float>(); }
  SECTION("f64") { check_sizes<double, double>(); }
  SECTION("f16, computed in float") { check_sizes<fedagg::float16, float>(); }
  SECTION("bf16, computed in float") { check_sizes<fedagg::bfloat16, float>(); }
}

TEST_CASE("with a base a rule sees differences and its result is added again") {
  for (const std::size_t d : {1u, 7u, 33u}) {
    const auto x = sample<float>(kind::ties, 3, d, 1);
    std::vector<float> base(d), out(d);
    for (std::size_t j = 0; j < d; ++j) base[j] = static_cast<float>(j);
    fedagg::cohort clients;
    for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
    clients.base(base);
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(elsewhere::doubled{}, clients, out, space) == errc::ok);
    for (std::size_t j = 0; j < d; ++j) CHECK(out[j] == 2 * (x.at(0, j) - base[j]) + base[j]);
    // The one alias that is allowed.
    REQUIRE(fedagg::try_aggregate(elsewhere::doubled{}, clients, base, space) == errc::ok);
    CHECK(same_bits(out, base));
  }
}

TEST_CASE("optional members are honoured") {
  const auto x = sample<float>(kind::ties, 3, 20, 2);
  std::vector<float> base(20, 5.0f), out(20);
  fedagg::cohort clients;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  clients.base(base);
  fedagg::workspace space;
  REQUIRE(fedagg::try_aggregate(elsewhere::declared{}, clients, out, space) == errc::ok);
  for (std::size_t j = 0; j < 20; ++j) CHECK(out[j] == 2 * x.at(2, j));
  CHECK(fedagg::try_aggregate(elsewhere::declared{5}, clients, out, space) == errc::bad_parameter);
  fedagg::cohort two;
  two.add(x.row(0)).add(x.row(1));
  CHECK(fedagg::try_aggregate(elsewhere::declared{}, two, out, space) == errc::too_few_clients);
}

TEST_CASE("a rule that divides does so on real coordinates only") {
  for (std::size_t d = 1; d <= 40; ++d) {
    matrix<double> x(1, d);
    for (auto& v : x.data) v = 4;
    const auto got = aggregated(elsewhere::inverse{}, x);
    INFO("d=" << d);
    REQUIRE(got.size() == d);
    CHECK(got[d - 1] == 0.25);
  }
  matrix<double> zero(1, 5);
  errc rc = errc::ok;
  CHECK(aggregated(elsewhere::inverse{}, zero, {}, {}, &rc).empty());
  CHECK(rc == errc::overflow);
}

TEST_CASE("any strides in and out give the same bits, and nothing between them is touched") {
  SECTION("f32") { check_strided<float>(elsewhere::midrange{}); }
  SECTION("f64") { check_strided<double>(elsewhere::midrange{}); }
  SECTION("f16") { check_strided<fedagg::float16>(elsewhere::midrange{}); }
}

TEST_CASE("integers are computed in double") {
  std::vector<std::vector<std::int16_t>> x = {{-7, 3, 100, 32767}, {2, 4, -100, 32767}, {5, 8, 1, 32765}};
  fedagg::cohort clients;
  for (auto& r : x) clients.add(r);
  std::vector<std::int16_t> out(4);
  fedagg::workspace space;
  REQUIRE(fedagg::try_aggregate(elsewhere::midrange{}, clients, out, space) == errc::ok);
  // -1, 5.5 to even, 0, 32766.
  CHECK(out == std::vector<std::int16_t>{-1, 6, 0, 32766});
}
