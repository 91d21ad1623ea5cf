// SPDX-License-Identifier: MIT
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <fedagg/passes/aggregate.hpp>
#if defined(__x86_64__)
#include <cfenv>
#endif

#include "compiled/rules.hpp"
#include "support/rounds.hpp"

using namespace rounds;
using fedagg::cohort;
using fedagg::integers;
using fedagg::mean;
using fedagg::median;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::tensor_view;
using fedagg::trimmed_mean;
using fedagg::weights;

namespace {

template <class T, class Rule>
std::vector<T> result_of(const Rule& rule, const cohort& clients, std::size_t size, const options& how = {}) {
  std::vector<T> out(size);
  fedagg::workspace space;
  const errc rc = fedagg::try_aggregate(rule, clients, out, space, how);
  INFO(rule.name << ": " << fedagg::message(rc));
  CHECK(rc == errc::ok);
  return out;
}

/// The mean of a column of small integers, rounded half to even.
std::int64_t half_even(std::int64_t sum, std::int64_t count) {
  std::int64_t low = sum / count - (sum % count < 0);
  const std::int64_t rest = sum - low * count;
  return low + (2 * rest > count || (2 * rest == count && low % 2 != 0));
}

template <class T>
void integers_round_half_even() {
  using limits = std::numeric_limits<T>;
  const T low = sizeof(T) == 8 ? static_cast<T>(limits::is_signed ? -1000 : 0) : limits::min();
  const T high = sizeof(T) == 8 ? static_cast<T>(1000) : limits::max();
  // Ties to either side, both ends of the type, and negative ones.
  const std::vector<T> a = {low, high, 1, 2, low, 0, 7}, b = {low, high, 2, 3, static_cast<T>(low + 1), 1, 8};
  cohort clients;
  clients.add(a).add(b);
  const auto out = result_of<T>(mean{}, clients, a.size());
  const auto middle = result_of<T>(median{}, clients, a.size());
  for (std::size_t j = 0; j < a.size(); ++j) {
    const auto want = static_cast<T>(half_even(static_cast<std::int64_t>(a[j]) + static_cast<std::int64_t>(b[j]), 2));
    CHECK(out[j] == want);
    CHECK(middle[j] == want);
  }
}

} // namespace

TEST_CASE("integers of every size are averaged half to even") {
  integers_round_half_even<std::int8_t>();
  integers_round_half_even<std::int16_t>();
  integers_round_half_even<std::int32_t>();
  integers_round_half_even<std::int64_t>();
  integers_round_half_even<std::uint8_t>();
  integers_round_half_even<std::uint16_t>();
  integers_round_half_even<std::uint32_t>();
  integers_round_half_even<std::uint64_t>();
}

TEST_CASE("a result beyond an integer type's range is an overflow, not a wrapped number") {
  std::vector<std::int8_t> x(3, 100);
  std::vector<std::uint8_t> u(3, 200), base(3, 250);
  for (const mode m : {mode::direct, mode::atomic}) {
    guarded<std::int8_t> out(3);
    guarded<std::uint8_t> whole(3);
    cohort signs, bytes;
    signs.add(x).add(x).updates();
    bytes.add(u).add(u).add(u).add(u).add(u).add(u).base(base);
    fedagg::workspace space;
    CHECK(fedagg::try_aggregate(sum_of_updates{}, signs, out.data, space, {.write = m}) == errc::overflow);
    CHECK((m == mode::direct || out.untouched()));
    // 250 - 6 * 50 lies below zero.
    CHECK(fedagg::try_aggregate(sum_of_updates{}, bytes, whole.data, space, {.write = m}) == errc::overflow);
    CHECK((m == mode::direct || whole.untouched()));
  }
}

TEST_CASE("a finite result that overflows the output type is a typed refusal that names the tensor") {
  const auto check = [](auto tag, double value) {
    using T = decltype(tag);
    std::vector<T> fine(4, numeric::stored<T>(0.5)), x(40, numeric::stored<T>(0.25));
    x[39] = numeric::stored<T>(value);
    model_view client;
    client.add("fine", fine).add("large", x);
    cohort clients;
    clients.add(client).add(client).add(client).updates();
    for (const mode m : {mode::direct, mode::atomic}) {
      guarded<T> a(4), b(40);
      mutable_model_view out;
      out.add("fine", a.data).add("large", b.data);
      fedagg::workspace space;
      CHECK(fedagg::try_aggregate(sum_of_updates{}, clients, out, space, {.write = m}) == errc::overflow);
      CHECK(space.result().tensor_name == "large");
      CHECK(space.result().rejected.empty());
      CHECK(a.untouched() == (m == mode::atomic));
      CHECK(b.untouched() == (m == mode::atomic));
      // The mean of the same values fits.
      CHECK(fedagg::try_aggregate(mean{}, clients, out, space, {.write = m}) == errc::ok);
      CHECK(numeric::value(b.data[39]) == numeric::value(x[39]));
    }
  };
  check(float{}, 3e38);
  check(double{}, 1e308);
  check(fedagg::float16{}, 60000);
  check(fedagg::bfloat16{}, 3e38);
}

TEST_CASE("sums near 1e308 and 1e38 do not overflow where the result does not") {
  const auto most = std::bit_cast<double>(std::uint64_t{0x7fefffffffffffff});
  for (const std::size_t n : {1u, 2u, 5u, 20u, 100u}) {
    for (const double big : {most, 1e308, -1e308}) {
      std::vector<double> x(9, big);
      cohort clients;
      for (std::size_t i = 0; i < n; ++i) clients.add(x);
      INFO(n << " clients of " << big);
      on_each_rule([&](const auto& rule) {
        if (n < 3 && std::string(rule.name) == "trimmed_mean") return;
        const auto out = result_of<double>(rule, clients, 9);
        // One rounding per client, of a sum of equal values.
        for (const double y : out)
          CHECK(numeric::magnitude(numeric::quad(y) - big) <= numeric::quad(n) * 0x1p-52 * numeric::magnitude(big));
      });
    }
    std::vector<float> x(9, 3.4e38f);
    cohort clients;
    for (std::size_t i = 0; i < n; ++i) clients.add(x);
    CHECK(result_of<float>(mean{}, clients, 9) == x);
  }
}

TEST_CASE("no coordinates and one client work where the rule allows it") {
  std::vector<float> none, one = {1, -2, 3};
  for (const std::size_t n : {1u, 2u, 7u}) {
    cohort empty;
    for (std::size_t i = 0; i < n; ++i) empty.add(none);
    on_each_rule([&](const auto& rule) {
      if (n < 3 && std::string(rule.name) == "trimmed_mean") return;
      result_of<float>(rule, empty, 0);
    });
  }
  cohort alone;
  alone.add(one);
  CHECK(result_of<float>(mean{}, alone, 3) == one);
  CHECK(result_of<float>(median{}, alone, 3) == one);
  CHECK(result_of<float>(trimmed_mean{.trim = 0}, alone, 3) == one);
  CHECK(result_of<float>(midrange{}, alone, 3) == one);
  // A model without tensors is a model.
  cohort nothing;
  nothing.add(model_view{}).add(model_view{});
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(mean{}, nothing, mutable_model_view{}, space) == errc::ok);
}

TEST_CASE("a model of every element type is one round") {
  const auto run = [](const auto& rule) {
    std::vector<std::vector<double>> f64;
    std::vector<std::vector<fedagg::float16>> f16;
    std::vector<std::vector<std::int32_t>> i32;
    std::vector<std::vector<std::uint8_t>> u8;
    float scalars[4] = {1, 2, 3, 10};
    for (int i = 0; i < 4; ++i) {
      f64.push_back({0.5 * i, -1.0 * i});
      f16.push_back({fedagg::to_float16(i), fedagg::to_float16(2 * i)});
      i32.push_back({i, 10 * i, -i});
      u8.push_back({static_cast<std::uint8_t>(i)});
    }
    cohort clients;
    for (std::size_t i = 0; i < 4; ++i) {
      model_view m;
      m.add("f64", f64[i])
          .add("f16", f16[i])
          .add("scalar", tensor_view<float>(&scalars[i], std::span<const std::size_t>{}));
      m.add("i32", i32[i]).add("counter", u8[i]);
      clients.add(m);
    }
    std::vector<double> a(2), base_a(2);
    std::vector<fedagg::float16> b(2), base_b(2, fedagg::to_float16(0));
    float c = 0, base_c = 0;
    std::vector<std::int32_t> d(3), base_d(3);
    std::vector<std::uint8_t> e(1), base_e(1, 77);
    mutable_model_view out, base;
    out.add("f64", a).add("f16", b).add("scalar", tensor_view<float>(&c, std::span<const std::size_t>{})).add("i32", d);
    out.add("counter", e, integers::keep);
    base.add("f64", base_a)
        .add("f16", base_b)
        .add("scalar", tensor_view<float>(&base_c, std::span<const std::size_t>{}));
    base.add("i32", base_d).add("counter", base_e);
    clients.base(base);
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(rule, clients, out, space) == errc::ok);
    const bool average = std::string(rule.name) == "mean";
    CHECK(a == std::vector<double>{0.75, -1.5});
    CHECK(fedagg::to_float(b[1]) == 3.0f);
    CHECK(c == (average ? 4.0f : std::string(rule.name) == "midrange" ? 5.5f : 2.5f));
    CHECK(d == std::vector<std::int32_t>{2, 15, -2});
    CHECK(e[0] == 77);
  };
  on_each_rule([&](const auto& rule) {
    // By mass, parts of clients count; the lower of two middle values is no mean.
    if constexpr (requires { rule.mass; })
      if (rule.mass > 0) return;
    if constexpr (requires { rule.even; })
      if (rule.even == fedagg::middle::lower) return;
    run(rule);
  });
}

TEST_CASE("the output may be the base itself, for every rule, type and layout") {
  on_each_rule([](const auto& rule) {
    const auto check = [&](auto tag) {
      using T = decltype(tag);
      const auto x = numeric::sample<T>(numeric::kind::normal, 5, 24, 8);
      auto base = numeric::sample<T>(numeric::kind::normal, 1, 48, 9).data;
      const std::size_t shape[] = {6, 4};
      for (const std::vector<std::ptrdiff_t>& strides :
           {std::vector<std::ptrdiff_t>{4, 1}, std::vector<std::ptrdiff_t>{1, 6}, std::vector<std::ptrdiff_t>{8, 2},
            std::vector<std::ptrdiff_t>{-4, -1}}) {
        const std::size_t first = strides[0] < 0 ? 23 : 0;
        for (const mode m : {mode::direct, mode::atomic})
          for (const bool spoiled : {false, true}) {
            auto rows = x;
            if (spoiled) spoil(rows.at(2, 13), 0);
            std::vector<T> apart(48), same = base;
            cohort one, two;
            for (std::size_t i = 0; i < 5; ++i) {
              const tensor_view<const T> row(rows.row(i).data(), shape);
              one.add(row);
              two.add(row);
            }
            one.base(tensor_view<T>(base.data() + first, shape, strides));
            const tensor_view<T> alias(same.data() + first, shape, strides);
            two.base(alias);
            fedagg::workspace space;
            const tensor_view<T> out(apart.data() + first, shape, strides);
            REQUIRE(fedagg::try_aggregate(rule, one, out, space, {.write = m, .grain = 5}) == errc::ok);
            REQUIRE(fedagg::try_aggregate(rule, two, alias, space, {.write = m, .grain = 5}) == errc::ok);
            std::size_t wrong = 0;
            for (std::size_t i = 0; i < 6; ++i)
              for (std::size_t j = 0; j < 4; ++j) {
                const auto at = static_cast<std::ptrdiff_t>(first) + static_cast<std::ptrdiff_t>(i) * strides[0] +
                                static_cast<std::ptrdiff_t>(j) * strides[1];
                const auto k = static_cast<std::size_t>(at);
                wrong += std::memcmp(&apart[k], &same[k], sizeof(T)) != 0;
                same[k] = base[k];
              }
            INFO(rule.name << " stride " << strides[0] << " " << name_of(m) << (spoiled ? " spoiled" : ""));
            CHECK(wrong == 0);
            // Nothing between the elements was written.
            CHECK(numeric::same_bits(same, base));
          }
      }
    };
    check(float{});
    check(double{});
    check(fedagg::bfloat16{});
  });
}

TEST_CASE("an in-place round that reads the base is refused without a trace, in either mode") {
  std::vector<float> good(30, 1), bad(30, 2);
  spoil(bad[29], 1);
  for (const mode m : {mode::direct, mode::atomic}) {
    guarded<float> model(30);
    cohort clients;
    clients.add(good).add(bad).add(bad).base(model.data);
    fedagg::workspace space;
    CHECK(fedagg::try_aggregate(midrange{}, clients, model.data, space, {.write = m, .grain = 7}) ==
          errc::too_many_rejected);
    CHECK(model.untouched());
    CHECK(space.result().state == output::untouched);
  }
}

TEST_CASE("a base shifts what a rule sees and is added again") {
  std::vector<float> a = {11, 22}, b = {13, 26}, base = {10, 20};
  cohort clients;
  clients.add(a).add(b).base(base);
  CHECK(result_of<float>(sum_of_updates{}, clients, 2) == std::vector<float>{14, 28});
  CHECK(result_of<float>(mean{}, clients, 2) == std::vector<float>{12, 24});
}

TEST_CASE("the scope of each tensor is that of the whole model for rules of coordinates") {
  const auto x = numeric::sample<float>(numeric::kind::normal, 5, 60, 3);
  cohort clients;
  for (std::size_t i = 0; i < 5; ++i) {
    model_view m;
    m.add("a", x.row(i).first(25)).add("b", x.row(i).subspan(25));
    clients.add(m);
  }
  on_each_rule([&](const auto& rule) {
    std::vector<float> one(60), two(60);
    const auto run = [&](std::vector<float>& to, const options& how) {
      mutable_model_view out;
      out.add("a", std::span<float>(to).first(25)).add("b", std::span<float>(to).subspan(25));
      fedagg::workspace space;
      REQUIRE(fedagg::try_aggregate(rule, clients, out, space, how) == errc::ok);
    };
    run(one, {});
    run(two, {.where = fedagg::scope::each_tensor()});
    CHECK(numeric::same_bits(one, two));
  });
}

TEST_CASE("trusted weights: equal ones give the unweighted bits, however small or large") {
  const auto x = numeric::sample<float>(numeric::kind::mixed, 7, 50, 5);
  for (const double w : {1.0, 0.1, 1e-300, 1e300, 0x1p-1022, 0x1.fffffffffffffp1023, 4.9406564584124654e-324}) {
    const std::vector<double> all(7, w);
    INFO("weight " << w);
    CHECK(numeric::same_bits(numeric::aggregated(median{}, x),
                             numeric::aggregated(median{.weighting = weights::trusted}, x, all)));
    CHECK(numeric::same_bits(numeric::aggregated(trimmed_mean{.trim = 2}, x),
                             numeric::aggregated(trimmed_mean{.trim = 2, .weighting = weights::trusted}, x, all)));
    CHECK(numeric::same_bits(numeric::aggregated(mean{}, x), numeric::aggregated(mean{}, x, all)));
    CHECK(numeric::aggregated(trimmed_mean{.mass = 0.2, .weighting = weights::trusted}, x, all).size() == 50);
  }
}

TEST_CASE("trusted weights: a majority is refused, a cap takes it away") {
  std::vector<float> honest(6, 1), heavy(6, 100);
  for (const double claim : {4.0, 5.0, 1e9, 0x1p1023}) {
    cohort clients;
    for (int i = 0; i < 4; ++i) clients.add(honest, {.weight = 1});
    clients.add(heavy, {.weight = claim});
    fedagg::workspace space;
    guarded<float> out(6);
    INFO("claims " << claim);
    CHECK(fedagg::try_aggregate(median{.weighting = weights::trusted}, clients, out.data, space) ==
          errc::weight_majority);
    CHECK(fedagg::try_aggregate(trimmed_mean{.trim = 1, .weighting = weights::trusted}, clients, out.data, space) ==
          errc::weight_majority);
    CHECK(out.untouched());
    CHECK(space.result().state == output::untouched);
    CHECK(result_of<float>(median{.weighting = weights::trusted, .weight_cap = 2}, clients, 6) == honest);
    CHECK(result_of<float>(median{}, clients, 6) == honest);
  }
}

TEST_CASE("trusted weights: clients without weight have no say, and the outcome says what is trusted") {
  std::vector<float> a(4, 1), b(4, 2), c(4, 3), none(4, 1000);
  cohort clients;
  clients.add(a, {.weight = 2})
      .add(none, {.weight = 0})
      .add(b, {.weight = 2})
      .add(c, {.weight = 3})
      .add(none, {.weight = -0.0});
  std::vector<float> out(4);
  fedagg::workspace space;
  REQUIRE(fedagg::try_aggregate(median{.weighting = weights::trusted}, clients, out, space) == errc::ok);
  CHECK(out == b);
  CHECK(space.result().weights_used);
  CHECK(space.result().used == 5);
  CHECK(space.result().breakdown == 1);
  CHECK(space.result().breakdown_mass == 0.5);
  REQUIRE(fedagg::try_aggregate(median{}, clients, out, space) == errc::ok);
  CHECK(out == c);
  CHECK_FALSE(space.result().weights_used);
  CHECK(space.result().breakdown == 2);
}

TEST_CASE("weights that are left after a rejection may be all zero, and then the round is refused") {
  std::vector<float> good(6, 1), bad(6, 1);
  spoil(bad[0], 0);
  for (const mode m : {mode::direct, mode::atomic}) {
    cohort clients;
    clients.add(good, {.weight = 0}).add(bad, {.weight = 5}).add(good, {.weight = 0});
    guarded<float> out(6);
    fedagg::workspace space;
    CHECK(fedagg::try_aggregate(mean{}, clients, out.data, space, {.write = m}) == errc::zero_weight_sum);
    CHECK(out.untouched() == (m == mode::atomic));
  }
}

TEST_CASE("coefficients are the clients' shares, zero for the rejected") {
  std::vector<float> a(3, 1), bad(2);
  cohort clients;
  clients.add(a, {.weight = 1}).add(bad, {.weight = 9}).add(a, {.weight = 3});
  std::vector<float> out(3);
  const auto o = fedagg::aggregate(mean{}, clients, out);
  CHECK(o.coefficients == std::vector<double>{0.25, 0, 0.75});
  CHECK(o.weights_used);
  CHECK(o.rejected.size() == 1);
}

TEST_CASE("ten thousand clients, one of them spoiled") {
  constexpr std::size_t n = 10000, d = 40;
  auto x = numeric::sample<float>(numeric::kind::normal, n, d, 12);
  std::vector<double> w(n);
  for (std::size_t i = 0; i < n; ++i) w[i] = static_cast<double>(n - i);
  cohort clients, without;
  for (std::size_t i = 0; i < n; ++i) clients.add(x.row(i), {.weight = w[i]});
  for (std::size_t i = 0; i < n; ++i)
    if (i != 7777) without.add(x.row(i), {.weight = w[i]});
  on_each_rule([&](const auto& rule) {
    const auto want = result_of<float>(rule, without, d);
    const float saved = x.at(7777, 39);
    spoil(x.at(7777, 39), 3);
    const auto got = result_of<float>(rule, clients, d);
    x.at(7777, 39) = saved;
    INFO(rule.name);
    CHECK(numeric::same_bits(got, want));
  });
}

TEST_CASE("memory need not be aligned to its elements") {
  const auto check = [](auto tag) {
    using T = decltype(tag);
    const auto x = numeric::sample<T>(numeric::kind::normal, 5, 53, 6);
    on_each_rule([&](const auto& rule) {
      const auto want = numeric::aggregated(rule, x);
      std::vector<std::vector<unsigned char>> bytes(6, std::vector<unsigned char>(53 * sizeof(T) + 1));
      cohort clients;
      const std::size_t shape[] = {53};
      for (std::size_t i = 0; i < 5; ++i) {
        std::memcpy(bytes[i].data() + 1, x.row(i).data(), 53 * sizeof(T));
        model_view m;
        m.add({}, fedagg::any_tensor(fedagg::dtype_of<T>, bytes[i].data() + 1, shape));
        clients.add(m);
      }
      mutable_model_view out;
      out.add({}, fedagg::any_mutable_tensor(fedagg::dtype_of<T>, bytes[5].data() + 1, shape));
      fedagg::workspace space;
      REQUIRE(fedagg::try_aggregate(rule, clients, out, space) == errc::ok);
      CHECK(std::memcmp(bytes[5].data() + 1, want.data(), 53 * sizeof(T)) == 0);
    });
  };
  check(float{});
  check(double{});
  check(fedagg::float16{});
  check(fedagg::bfloat16{});
}

#if defined(__x86_64__)
TEST_CASE("the caller's rounding mode and flush-to-zero change no bit, and are kept") {
  const auto x = numeric::sample<double>(numeric::kind::normal, 5, 40, 3);
  const auto tiny = numeric::sample<float>(numeric::kind::denormal, 5, 40, 4);
  const std::vector<double> w = {0.1, 0.3, 0.7, 1.1, 0.9}, subnormal(5, 4.9406564584124654e-324);
  on_each_rule([&](const auto& rule) {
    const unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1f80);
    const auto want = numeric::aggregated(rule, x, w);
    const auto want_tiny = numeric::aggregated(rule, tiny, subnormal);
    // Round up, round to zero, flush and denormals are zero.
    for (const unsigned mode : {0x5f80u, 0x7f80u, 0x9fc0u}) {
      __builtin_ia32_ldmxcsr(mode);
      const auto got = numeric::aggregated(rule, x, w);
      const auto got_tiny = numeric::aggregated(rule, tiny, subnormal);
      const unsigned after = __builtin_ia32_stmxcsr();
      __builtin_ia32_ldmxcsr(0x1f80);
      INFO(rule.name << " mode " << mode);
      CHECK((after & 0xffc0u) == mode);
      CHECK(!got.empty());
      CHECK(numeric::same_bits(got, want));
      CHECK(numeric::same_bits(got_tiny, want_tiny));
    }
    __builtin_ia32_ldmxcsr(before);
  });
}
#endif

#if FEDAGG_EXCEPTIONS
TEST_CASE("the throwing call says who was at fault, where and why") {
  std::vector<float> good(4, 1), bad(4, 1), out(4);
  spoil(bad[2], 0);
  model_view a, b;
  a.add("head.weight", good);
  b.add("head.weight", bad);
  cohort clients;
  clients.add(a).add(b, {.id = "north"}).add(a);
  mutable_model_view m;
  m.add("head.weight", out);
  try {
    fedagg::aggregate(mean{}, clients, m, {.on_bad_client = bad_client::fail});
    FAIL("it returned");
  } catch (const fedagg::error& e) {
    CHECK(e.code() == errc::non_finite);
    const std::string text = e.what();
    for (const char* part : {"NaN or Inf", "north", "head.weight", "1"}) {
      INFO(text << " lacks " << part);
      CHECK(text.find(part) != std::string::npos);
    }
  }
}

TEST_CASE("names of any length and content fit an error's text") {
  for (const std::size_t size : {1u, 200u, 300u, 5000u}) {
    const std::string name(size, '%');
    std::vector<float> x(3);
    spoil(x[0], 0);
    model_view client;
    client.add(name, x);
    cohort clients;
    clients.add(client, {.id = name});
    std::vector<float> out(3);
    mutable_model_view m;
    m.add(name, out);
    CHECK_THROWS_AS(fedagg::aggregate(mean{}, clients, m), fedagg::error);
  }
}
#endif
