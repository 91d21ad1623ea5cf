// SPDX-License-Identifier: MIT
#include <fedagg/secure/ring_codec.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <fedagg/core/random.hpp>
#include <fedagg/optimizers/fed_adam.hpp>

#include "support/allocations.hpp"
#include "support/numeric.hpp"

using fedagg::errc;
using fedagg::integers;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::ring_clip;
using fedagg::ring_codec;
using fedagg::ring_parameters;
using fedagg::ring_report;
using fedagg::ring_totals;
using fedagg::ring_value;
using fedagg::ring_vector;
using namespace numeric;

namespace {

/// Repeatable; worth nothing as a secret.
struct philox_words {
  fedagg::random_stream stream;
  std::vector<std::uint32_t> given = {};
  explicit philox_words(std::uint64_t seed) : stream(seed, "rounding") {}
  void fill(std::span<std::uint32_t> words) {
    for (std::uint32_t& w : words) given.push_back(w = static_cast<std::uint32_t>(stream()));
  }
};

/// The same word for ever.
struct constant_words {
  std::uint32_t word;
  bool fill(std::span<std::uint32_t> words) {
    for (std::uint32_t& w : words) w = word;
    return true;
  }
};

static_assert(fedagg::random_words<philox_words> && fedagg::random_words<constant_words> && !fedagg::random_words<int>);

bool same(const ring_vector& a, const ring_vector& b) {
  if (!(a.layout() == b.layout())) return false;
  for (std::size_t k = 0; k < a.size(); ++k)
    for (std::size_t i = 0; i < a.layout().segment(k).count; ++i)
      if (a.value(k, i) != b.value(k, i)) return false;
  return true;
}

bool all_zero(const ring_vector& v) {
  for (std::size_t k = 0; k < v.size(); ++k)
    for (std::size_t i = 0; i < v.layout().segment(k).count; ++i)
      if (v.value(k, i) != 0) return false;
  return true;
}

ring_codec made(const ring_parameters& how, const fedagg::model_layout& layout = {}) {
  ring_codec codec;
  REQUIRE(ring_codec::try_make(how, layout, codec) == errc::ok);
  return codec;
}

/// w clip(x) s, rounded with the word u by the definition.
std::int64_t rounded(double x, std::uint64_t w, const ring_codec& codec, std::uint32_t u) {
  const double c = codec.parameters().clip;
  volatile double ws = static_cast<double>(w) * codec.scale();
  volatile double most = ws * c, v = ws * x;
  double z = v;
  if (z > most) z = most;
  if (z < -most) z = -most;
  // Half to even, of a number below 2^63.
  const quad scaled = multiply(quad(z), quad(0x1p+32));
  const bool negative = scaled < 0;
  __extension__ typedef __int128 wide;
  auto whole = static_cast<wide>(magnitude(scaled));
  const quad rest = magnitude(scaled) - static_cast<quad>(whole);
  if (rest > quad(0.5) || (rest == quad(0.5) && (whole & 1) != 0)) ++whole;
  return static_cast<std::int64_t>(((negative ? -whole : whole) + u) >> 32);
}

template <class T>
void check_encoding(unsigned bits, std::uint64_t weight) {
  // Strided, empty, scalar, longer than a tile.
  constexpr std::size_t rows = 37, columns = 61;
  std::mt19937_64 random(bits);
  std::vector<T> grid(rows * columns * 2), line(2500), one(1), none;
  const auto draw = [&](std::vector<T>& x) {
    for (T& v : x) v = stored<T>(uniform(random) * 1.3);
  };
  draw(grid), draw(line), draw(one);
  const std::size_t shape[] = {columns, rows};
  const std::ptrdiff_t strides[] = {2, 2 * columns};
  model_view model;
  model.add("grid", fedagg::tensor_view<const T>(grid.data(), shape, strides)).add("line", line).add("none", none);
  model.add("one", one);
  const ring_codec codec = made({.max_clients = 5, .max_weight = 100, .bits = bits, .clip = 1.1,
                                 .extras = {{"a", 10, 0x1p+8}, {"b", 1000}}},
                                model);
  REQUIRE(codec.layout().size() == 5);
  CHECK(codec.layout().segment(0) == fedagg::ring_segment{64, 4});
  CHECK(codec.layout().segment(1) == fedagg::ring_segment{bits, rows * columns});
  philox_words words(bits);
  ring_vector out;
  ring_report report;
  REQUIRE(codec.try_encode(model, weight, {{"b", 17}, {"a", -3.25}}, words, out, {.report = &report}) == errc::ok);

  INFO(format<T>::name << ' ' << bits << " bits, weight " << weight);
  REQUIRE(words.given.size() == 2 + grid.size() / 2 + line.size() + 1);
  CHECK(out.value(0, 0) == 1);
  CHECK(out.value(0, 1) == weight);
  CHECK(out.signed_value(0, 2) == -3 * 256 - 64);
  CHECK(out.signed_value(0, 3) == 17);
  std::size_t at = 2, wrong = 0, clipped = 0;
  const auto check = [&](std::size_t segment, std::size_t i, T x) {
    if (out.signed_value(segment, i) != rounded(value(x), weight, codec, words.given[at++])) ++wrong;
    if (weight != 0 && magnitude(quad(value(x))) > quad(1.1)) ++clipped;
  };
  for (std::size_t i = 0; i < rows * columns; ++i) check(1, i, grid[i % rows * 2 * columns + i / rows * 2]);
  for (std::size_t i = 0; i < line.size(); ++i) check(2, i, line[i]);
  check(4, 0, one[0]);
  CHECK(wrong == 0);
  CHECK(report.clipped == clipped);
  if (weight != 0) CHECK(clipped > 100);

  on_each_isa([&](fedagg::isa) {
    for (const fedagg::write how : {fedagg::write::atomic, fedagg::write::direct}) {
      philox_words again(bits);
      ring_vector other;
      const errc rc = [&] {
        const mode callers(worst);
        return codec.try_encode(model, weight, {{"a", -3.25}, {"b", 17}}, again, other, {.write = how});
      }();
      REQUIRE(rc == errc::ok);
      CHECK(same(other, out));
    }
  });
}

} // namespace

TEST_CASE("values are clipped, scaled and rounded by the definition, on every instruction set") {
  standard_mode();
  for (const unsigned bits : {16u, 32u, 40u, 64u})
    for (const std::uint64_t weight : {1u, 93u, 0u}) {
      check_encoding<float>(bits, weight);
      check_encoding<double>(bits, weight);
      if (bits == 32) check_encoding<fedagg::float16>(bits, weight);
      if (bits == 32) check_encoding<fedagg::bfloat16>(bits, weight);
    }
  check_encoding<float>(11, 2);
}

TEST_CASE("the expectation is exact") {
  standard_mode();
  // Fractions of 8 bits, and every 256th part of the random words: each value is rounded up as often as it should be.
  const std::vector<double> x{0.5, -0.5, 0.00390625, 3.99609375, -3.99609375, 2, 0, -1.234375, 0.75};
  const ring_codec codec = made({.max_clients = 1000, .bits = 16, .clip = 4, .scale = 1}, model_view(x));
  std::vector<std::int64_t> sum(x.size());
  for (std::uint32_t part = 0; part < 256; ++part) {
    ring_vector out;
    REQUIRE(codec.try_encode(model_view(x), 1, {}, constant_words{part << 24}, out) == errc::ok);
    for (std::size_t i = 0; i < x.size(); ++i) sum[i] += out.signed_value(1, i);
  }
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(static_cast<double>(sum[i]) == 256 * x[i]);
}

TEST_CASE("the mean over many draws is unbiased") {
  standard_mode();
  constexpr std::size_t d = 200000;
  philox_words words(3);
  for (const double v : {0.3, -0.3, 7.001, -6.9999, 0.5}) {
    const std::vector<double> x(d, v);
    const ring_codec codec = made({.max_clients = 10, .clip = 8, .scale = 1}, model_view(x));
    ring_vector out;
    REQUIRE(codec.try_encode(model_view(x), 1, {}, words, out) == errc::ok);
    double sum = 0;
    for (std::size_t i = 0; i < d; ++i) sum += static_cast<double>(out.signed_value(1, i));
    const double fraction = v - std::floor(v), sd = std::sqrt(fraction * (1 - fraction) / static_cast<double>(d));
    CHECK(std::fabs(sum / static_cast<double>(d) - v) < 6 * sd + 0x1p-33);
  }
}

TEST_CASE("a configuration that just fits holds its extremes, and one beyond it is refused with the bits it needs") {
  standard_mode();
  const struct {
    std::uint32_t n;
    std::uint64_t w;
    double c, s;
    unsigned bits;
  } all[] = {{1, 1, 1, 126, 8},    {2, 1, 0.5, 125, 8}, {1, 1, 1, 2147483646, 32}, {3, 1, 1, 0, 8},
             {4, 5, 2, 0, 16},     {7, 1, 3, 0, 20},    {5, 100, 0.25, 0, 32},     {63, 1, 1, 0, 8},
             {100, 1000, 1e-3, 0, 48}, {3, 7, 1, 0, 64}, {1, 1, 1, 0, 64},         {1000, 1, 1e9, 0, 53}};
  for (const auto& a : all) {
    std::vector<double> x{a.c, -a.c, 1e300, -1e300, 0}, mean(5);
    const ring_parameters how{
        .max_clients = a.n, .max_weight = a.w, .bits = a.bits, .clip = a.c, .scale = a.s};
    const ring_codec codec = made(how, model_view(x));
    CHECK(codec.needed_bits() <= a.bits);
    INFO("n " << a.n << ", w " << a.w << ", C " << a.c << ", " << a.bits << " bits, scale " << codec.scale());
    for (const std::uint32_t word : {0u, 0xffffffffu}) {
      ring_vector one, sum;
      REQUIRE(codec.try_encode(model_view(x), a.w, {}, constant_words{word}, one) == errc::ok);
      REQUIRE(sum.try_reset(codec.layout()) == errc::ok);
      for (std::uint32_t i = 0; i < a.n; ++i) REQUIRE(fedagg::try_add(sum, one) == errc::ok);
      ring_totals totals;
      REQUIRE(codec.try_decode(sum, a.n, mutable_model_view(mean), totals) == errc::ok);
      CHECK(totals.weight == a.n * a.w);
      for (std::size_t i = 0; i < 5; ++i) {
        const double exact = i == 4 ? 0 : i % 2 == 0 ? a.c : -a.c;
        CHECK(std::fabs(mean[i] - exact) <= codec.error_bound(totals.weight, a.n));
      }
    }
    // The next scale is too large.
    ring_parameters more = how;
    more.scale = std::nextafter(codec.scale(), 1e300);
    ring_codec refused = codec;
    CHECK(ring_codec::try_make(more, model_view(x), refused) == errc::ring_too_narrow);
    CHECK(refused.needed_bits() == a.bits + 1);
    CHECK(refused.status() == errc::bad_parameter);
#if FEDAGG_EXCEPTIONS
    try {
      const ring_codec thrown(more, model_view(x));
      CHECK(false);
    } catch (const fedagg::error& e) {
      CHECK(e.code() == errc::ring_too_narrow);
      CHECK(std::string(e.what()).find(std::to_string(a.bits + 1) + " where there are " + std::to_string(a.bits)) !=
            std::string::npos);
    }
#endif
  }
}

namespace {

struct sample_model {
  std::vector<float> w = std::vector<float>(1500);
  std::vector<fedagg::bfloat16> b = std::vector<fedagg::bfloat16>(3);
  std::vector<std::int64_t> steps{0};
  std::vector<std::uint8_t> codes{0, 0};
  std::vector<std::int16_t> kept{5, 6};
  std::array<bool, 2> flags{true, false};

  explicit sample_model(std::uint64_t seed = 0) {
    std::mt19937_64 random(seed);
    for (float& x : w) x = static_cast<float>(uniform(random));
    for (auto& x : b) x = stored<fedagg::bfloat16>(uniform(random));
    steps[0] = static_cast<std::int64_t>(random() % 2000) - 1000;
    for (auto& x : codes) x = static_cast<std::uint8_t>(random());
  }
  template <class View = model_view>
  View view() {
    View v;
    v.add("w", w).add("steps", steps).add("b", b).add("codes", codes);
    v.add("kept", kept, integers::keep).add("flags", flags, integers::keep);
    return v;
  }
};

} // namespace

TEST_CASE("weighted means of whole models, with counts and metrics, within the stated error") {
  standard_mode();
  constexpr std::uint32_t n = 9;
  sample_model first;
  for (const unsigned bits : {12u, 20u, 32u, 50u}) {
    const ring_codec codec = made({.max_clients = 20, .max_weight = 700, .bits = bits,
                                   .extras = {{"correct", 700}, {"loss_sum", 1e5, 0x1p+20}}},
                                  first.view());
    CHECK(codec.layout().size() == 5);
    philox_words words(bits);
    ring_vector sum;
    std::vector<sample_model> clients;
    std::vector<std::uint64_t> weights;
    std::uint64_t total = 0;
    std::int64_t correct = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      clients.emplace_back(i + 1);
      weights.push_back(i == 3 ? 0 : i == 4 ? 700 : 10 * i + 1);
      total += weights.back();
      correct += i * i;
      ring_vector own;
      const errc rc = codec.try_encode(clients[i].view(), weights[i], {{"loss_sum", 0.1 * i}, {"correct", i * i}}, words, own);
      REQUIRE(rc == errc::ok);
      if (i == 0)
        sum = std::move(own);
      else
        REQUIRE(fedagg::try_add(sum, own) == errc::ok);
    }
    sample_model mean;
    mean.kept = {-1, -2};
    ring_totals totals;
    REQUIRE(codec.try_decode(sum, n, mean.view<mutable_model_view>(), totals) == errc::ok);
    CHECK(totals.clients == n);
    CHECK(totals.weight == total);
    REQUIRE(totals.find("correct") != nullptr);
    CHECK(totals.find("correct")->steps == correct);
    CHECK(std::fabs(totals["loss_sum"] - 3.6) <= n * 0x1p-20);
    CHECK(totals.find("nothing") == nullptr);

    const double bound = codec.error_bound(total, n);
    CHECK(bound == Approx(n / (codec.scale() * static_cast<double>(total)) + 0x1p-49).epsilon(1e-6));
    CHECK(codec.standard_error(total, n) == Approx((bound - 0x1p-49) / 6).epsilon(1e-6));
    quad worst_error = 0;
    for (std::size_t j = 0; j < first.w.size(); ++j) {
      quad exact = 0;
      for (std::uint32_t i = 0; i < n; ++i) exact = add(exact, multiply(quad(weights[i]), quad(clients[i].w[j])));
      exact = divide(exact, quad(total));
      const quad error = magnitude(quad(mean.w[j]) - exact);
      CHECK(error <= quad(bound) + half_ulp<float>(magnitude(exact) + quad(bound)));
      if (error > worst_error) worst_error = error;
    }
    if (bits <= 20) CHECK(worst_error > quad(bound / 8));
    for (std::size_t j = 0; j < 3; ++j) {
      quad exact = 0;
      for (std::uint32_t i = 0; i < n; ++i) exact = add(exact, multiply(quad(weights[i]), quad(value(clients[i].b[j]))));
      CHECK(rounds_to(mean.b[j], divide(exact, quad(total)), quad(bound)));
    }
    // Integers: the exact mean, half to even.
    const auto integer = [&](auto&& of) {
      std::int64_t s = 0;
      for (std::uint32_t i = 0; i < n; ++i) s += static_cast<std::int64_t>(weights[i]) * std::int64_t{of(clients[i])};
      const std::int64_t w = static_cast<std::int64_t>(total), down = (s - ((s % w) + w) % w) / w, rest = s - down * w;
      return down + (2 * rest > w || (2 * rest == w && (down & 1) != 0) ? 1 : 0);
    };
    CHECK(mean.steps[0] == integer([](sample_model& m) { return m.steps[0]; }));
    CHECK(mean.codes[0] == integer([](sample_model& m) { return m.codes[0]; }));
    CHECK(mean.codes[1] == integer([](sample_model& m) { return m.codes[1]; }));
    CHECK(mean.kept == std::vector<std::int16_t>{-1, -2});
    CHECK(mean.flags == std::array<bool, 2>{true, false});

    // The same bits everywhere; other floating types, any strides.
    on_each_isa([&](fedagg::isa) {
      sample_model other;
      ring_totals again;
      const mode callers(worst);
      REQUIRE(codec.try_decode(sum, n, other.view<mutable_model_view>(), again) == errc::ok);
      CHECK(same_bits(other.w, mean.w));
      CHECK(other.b == mean.b);
    });
    std::vector<double> spread(3000), wide(3);
    const std::size_t shape[] = {1500};
    const std::ptrdiff_t stride[] = {-2};
    mutable_model_view out;
    out.add("w", fedagg::tensor_view<double>(spread.data() + 2999, shape, stride)).add("steps", mean.steps).add("b", wide);
    out.add("codes", mean.codes).add("kept", mean.kept).add("flags", mean.flags);
    REQUIRE(codec.try_decode(sum, n, out, totals) == errc::ok);
    for (std::size_t j = 0; j < 1500; ++j)
      CHECK(magnitude(quad(static_cast<float>(spread[2999 - 2 * j])) - quad(mean.w[j])) <= 2 * half_ulp<float>(quad(mean.w[j])));
  }
}

TEST_CASE("the error bound is nearly reached") {
  standard_mode();
  // Every value lies just above a step, and is rounded up.
  constexpr std::uint32_t n = 50;
  const std::vector<double> x{0x1p-31, 1 + 0x1p-31};
  const ring_codec codec = made({.max_clients = n, .bits = 16, .clip = 2, .scale = 1}, model_view(x));
  ring_vector one, sum;
  REQUIRE(codec.try_encode(model_view(x), 1, {}, constant_words{0xffffffff}, one) == errc::ok);
  REQUIRE(sum.try_reset(codec.layout()) == errc::ok);
  for (std::uint32_t i = 0; i < n; ++i) REQUIRE(fedagg::try_add(sum, one) == errc::ok);
  std::vector<double> mean(2);
  ring_totals totals;
  REQUIRE(codec.try_decode(sum, n, mutable_model_view(mean), totals) == errc::ok);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(mean[i] - x[i] <= codec.error_bound(n, n));
    CHECK(mean[i] - x[i] > 0.999999 * codec.error_bound(n, n));
  }
}

TEST_CASE("what a client may not send is refused before anything is written") {
  standard_mode();
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  sample_model good(1);
  for (const ring_clip by : {ring_clip::range, ring_clip::norm}) {
    const ring_codec codec = made({.max_clients = 10, .max_weight = 50, .clip_by = by, .max_integer = 1000,
                                   .extras = {{"a", 5}, {"b", 1e3, 0.5}}},
                                  good.view());
    philox_words words(1);
    ring_vector out, before;
    const std::vector<ring_value> extras{{"a", 1}, {"b", 2}};
    REQUIRE(codec.try_encode(good.view(), 1, extras, words, out) == errc::ok);
    REQUIRE(before.try_copy(out) == errc::ok);
    ring_report report;
    const auto encode = [&](auto weight, const std::vector<ring_value>& e, fedagg::write how = fedagg::write::atomic) {
      return codec.try_encode(good.view(), weight, e, words, out, {.write = how, .report = &report});
    };
    CHECK(encode(-1, extras) == errc::invalid_weight);
    CHECK(encode(std::int64_t{INT64_MIN}, extras) == errc::invalid_weight);
    CHECK(encode(static_cast<signed char>(-1), extras) == errc::invalid_weight);
    CHECK(encode(51, extras) == errc::value_range);
    CHECK(encode(~std::uint64_t{0}, extras) == errc::value_range);
    CHECK(encode(1, {}) == errc::client_layout);
    CHECK(encode(1, {{"a", 1}}) == errc::client_layout);
    CHECK(encode(1, {{"a", 1}, {"a", 1}}) == errc::client_layout);
    CHECK(encode(1, {{"a", 1}, {"c", 1}}) == errc::client_layout);
    CHECK(encode(1, {{"a", 1}, {"b", 1}, {"c", 1}}) == errc::client_layout);
    for (const double x : {inf, -inf, nan}) CHECK(encode(1, {{"a", 1}, {"b", x}}) == errc::non_finite);
    CHECK(encode(1, {{"a", 5.0001}, {"b", 1}}) == errc::value_range);
    CHECK(encode(1, {{"a", 5}, {"b", -1000.001}}) == errc::value_range);
    CHECK(same(out, before));

    for (const double x : {inf, -inf, nan})
      for (const std::size_t at : {0u, 700u, 1499u}) {
        const float kept = good.w[at];
        good.w[at] = static_cast<float>(x);
        CHECK(encode(1, extras) == errc::non_finite);
        CHECK(report.fault.name == "w");
        CHECK(encode(0, extras) == errc::non_finite);
        CHECK(same(out, before));
        CHECK(encode(1, extras, fedagg::write::direct) == errc::non_finite);
        CHECK(report.fault.name == "w");
        CHECK((same(out, before) || all_zero(out)));
        REQUIRE(out.try_copy(before) == errc::ok);
        CHECK(encode(0, extras, fedagg::write::direct) == errc::non_finite);
        REQUIRE(out.try_copy(before) == errc::ok);
        good.w[at] = kept;
        const fedagg::bfloat16 other = good.b[2];
        good.b[2] = stored<fedagg::bfloat16>(x);
        CHECK(encode(1, extras) == errc::non_finite);
        CHECK(report.fault.name == "b");
        CHECK(report.fault.tensor == 2);
        CHECK(same(out, before));
        good.b[2] = other;
      }
    for (const std::int64_t x : {std::int64_t{1001}, std::int64_t{-1001}, std::int64_t{INT64_MIN}}) {
      const std::int64_t kept = good.steps[0];
      good.steps[0] = x;
      CHECK(encode(1, extras) == errc::value_range);
      CHECK(report.fault.name == "steps");
      good.steps[0] = kept;
    }
    good.kept[0] = 32767; // not looked at
    CHECK(encode(50, extras) == errc::ok);
    REQUIRE(out.try_copy(before) == errc::ok);

    // Other models.
    std::vector<float> w(1500), shorter(1499);
    const auto refused = [&](const model_view& m) {
      CHECK(codec.try_encode(m, 1, extras, words, out) == errc::client_layout);
      CHECK(same(out, before));
    };
    refused({});
    refused(w);
    sample_model other(2);
    for (int change = 0; change < 4; ++change) {
      model_view m;
      if (change == 0)
        m.add("w", shorter);
      else
        m.add(change == 1 ? "v" : "w", w);
      if (change == 2)
        m.add("steps", other.codes);
      else
        m.add("steps", other.steps);
      m.add("b", other.b).add("codes", other.codes);
      if (change != 3) m.add("kept", other.kept);
      refused(m.add("flags", other.flags));
    }
    model_view broken;
    const std::size_t size[] = {1500};
    broken.add("w", fedagg::tensor_view<float>(nullptr, size)).add("steps", other.steps).add("b", other.b);
    broken.add("codes", other.codes).add("kept", other.kept).add("flags", other.flags);
    CHECK(codec.try_encode(broken, 1, extras, words, out) == errc::null_data);
    CHECK(same(out, before));
  }
  ring_vector out;
  CHECK(ring_codec().try_encode(good.view(), 1, {}, constant_words{0}, out) == errc::bad_parameter);
  CHECK(ring_codec().try_encode(good.view(), -1, {}, constant_words{0}, out) == errc::bad_parameter);
}

TEST_CASE("without random bits nothing is left behind") {
  struct exhausted {
    int left;
    errc fill(std::span<std::uint32_t> words) {
      for (std::uint32_t& w : words) w = 1;
      return left-- > 0 ? errc::ok : errc::size_overflow;
    }
  };
  std::vector<float> x(5000, 0.5f);
  const ring_codec codec = made({.max_clients = 2, .extras = {{"a", 5}}}, model_view(x));
  for (int left = 0; left < 6; ++left) {
    ring_vector out;
    REQUIRE(codec.try_encode(model_view(x), 1, {{"a", 1}}, constant_words{0}, out) == errc::ok);
    CHECK(codec.try_encode(model_view(x), 1, {{"a", 1}}, exhausted{left}, out) == errc::no_randomness);
    CHECK(all_zero(out));
  }
#if FEDAGG_EXCEPTIONS
  struct thrower {
    void fill(std::span<std::uint32_t>) { throw 1; }
  };
  ring_vector out;
  CHECK(codec.try_encode(model_view(x), 1, {{"a", 1}}, thrower{}, out) == errc::no_randomness);
#endif
}

TEST_CASE("sums that such clients cannot have sent are refused, with the output untouched") {
  standard_mode();
  sample_model one(1);
  const ring_codec codec = made({.max_clients = 10, .max_weight = 50, .bits = 24, .max_integer = 1000,
                                 .extras = {{"a", 5}}},
                                one.view());
  const auto head = [](ring_vector& v) { return v.words<std::uint64_t>(0); };
  const auto encoded = [&] {
    ring_vector v;
    REQUIRE(codec.try_encode(one.view(), 50, {{"a", 5}}, constant_words{7}, v) == errc::ok);
    return v;
  };
  const auto decode = [&](const ring_vector& v, std::uint32_t clients, errc expected) {
    sample_model mean(7), before(7);
    ring_totals totals{77, 78, {}};
    CHECK(codec.try_decode(v, clients, mean.view<mutable_model_view>(), totals) == expected);
    const bool untouched = same_bits(mean.w, before.w) && mean.b == before.b && mean.steps == before.steps &&
                           mean.codes == before.codes && totals.clients == 77 && totals.weight == 78;
    CHECK(untouched == (expected != errc::ok));
  };
  decode(encoded(), 1, errc::ok);
  decode(encoded(), 2, errc::bad_sum);
  decode(encoded(), 0, errc::bad_parameter);
  decode(encoded(), 11, errc::bad_parameter);
  ring_vector v;
  for (const std::uint64_t check : {std::uint64_t{0}, std::uint64_t{2}, ~std::uint64_t{0}, (std::uint64_t{1} << 32) + 1}) {
    head(v = encoded())[0] = check;
    decode(v, 1, errc::bad_sum);
  }
  for (const std::uint64_t weight : {std::uint64_t{0}, std::uint64_t{51}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    head(v = encoded())[1] = weight;
    decode(v, 1, errc::bad_sum);
  }
  for (const std::int64_t extra : {6, -6}) {
    head(v = encoded())[2] = static_cast<std::uint64_t>(extra);
    decode(v, 1, errc::bad_sum);
  }
  // A floating value: the weight's share of the range and one for the rounding.
  const auto most = static_cast<std::int64_t>(codec.scale() * 50) + 1;
  for (const std::size_t at : {0u, 777u, 1499u}) {
    (v = encoded()).words<std::uint32_t>(1)[at] = static_cast<std::uint32_t>(most);
    decode(v, 1, errc::ok);
    v.words<std::uint32_t>(1)[at] = static_cast<std::uint32_t>(-most);
    decode(v, 1, errc::ok);
    v.words<std::uint32_t>(1)[at] = static_cast<std::uint32_t>(most + 1);
    decode(v, 1, errc::bad_sum);
    v.words<std::uint32_t>(1)[at] = static_cast<std::uint32_t>(-most - 1);
    decode(v, 1, errc::bad_sum);
  }
  (v = encoded()).words<std::uint64_t>(2)[0] = 50000;
  decode(v, 1, errc::ok);
  v.words<std::uint64_t>(2)[0] = 50001;
  decode(v, 1, errc::bad_sum);
  v.words<std::uint64_t>(2)[0] = static_cast<std::uint64_t>(-50001);
  decode(v, 1, errc::bad_sum);
  // A mean that its type does not hold: an unsigned one below zero.
  (v = encoded()).words<std::uint64_t>(4)[1] = static_cast<std::uint64_t>(-50);
  decode(v, 1, errc::overflow);
  v.words<std::uint64_t>(4)[1] = 256 * 50 - 25;
  decode(v, 1, errc::overflow);
  v.words<std::uint64_t>(4)[1] = 256 * 50 - 26;
  decode(v, 1, errc::ok);
  decode(ring_vector(), 1, errc::layout_mismatch);

  // Outputs that cannot be written.
  ring_totals totals;
  sample_model mean;
  mutable_model_view twice;
  std::vector<float> w(1500), small(1499);
  twice.add("w", w).add("steps", mean.steps).add("b", std::span<float>(w.data(), 3)).add("codes", mean.codes);
  twice.add("kept", mean.kept).add("flags", mean.flags);
  CHECK(codec.try_decode(encoded(), 1, twice, totals) == errc::overlapping_output);
  mutable_model_view folded;
  const std::size_t shape[] = {1500};
  const std::ptrdiff_t stride[] = {0};
  folded.add("w", fedagg::tensor_view<float>(w.data(), shape, stride)).add("steps", mean.steps).add("b", mean.b);
  folded.add("codes", mean.codes).add("kept", mean.kept).add("flags", mean.flags);
  CHECK(codec.try_decode(encoded(), 1, folded, totals) == errc::overlapping_output);
  CHECK(codec.try_decode(encoded(), 1, mutable_model_view(small), totals) == errc::layout_mismatch);
  CHECK(codec.try_decode(encoded(), 1, mutable_model_view(), totals) == errc::layout_mismatch);
  CHECK(ring_codec().try_decode(encoded(), 1, mutable_model_view(), totals) == errc::bad_parameter);
}

TEST_CASE("means that overflow a short type are refused") {
  standard_mode();
  const std::vector<double> x{1, -65519, 3}, y{1, 65520, 3};
  std::vector<fedagg::float16> half(3, fedagg::float16{0x1234});
  std::vector<float> single(3);
  std::vector<double> huge{0x1p+140, 0, 0};
  ring_totals totals;
  const ring_codec codec = made({.max_clients = 1, .bits = 64, .clip = 1e5, .scale = 0x1p+40}, model_view(x));
  ring_vector v;
  REQUIRE(codec.try_encode(model_view(y), 1, {}, constant_words{0}, v) == errc::ok);
  CHECK(codec.try_decode(v, 1, mutable_model_view(half), totals) == errc::overflow);
  for (const auto h : half) CHECK(h.bits == 0x1234);
  REQUIRE(codec.try_encode(model_view(x), 1, {}, constant_words{0}, v) == errc::ok);
  CHECK(codec.try_decode(v, 1, mutable_model_view(half), totals) == errc::ok);
  CHECK(half[1].bits == 0xfbff);
  const ring_codec far = made({.max_clients = 1, .bits = 16, .clip = 0x1p+140}, model_view(huge));
  REQUIRE(far.try_encode(model_view(huge), 1, {}, constant_words{0}, v) == errc::ok);
  CHECK(far.try_decode(v, 1, mutable_model_view(single), totals) == errc::overflow);
  CHECK(far.try_decode(v, 1, mutable_model_view(huge), totals) == errc::ok);
}

TEST_CASE("clipping by the norm") {
  standard_mode();
  std::vector<float> a{3, 0, -4}, b{12};
  std::vector<std::int32_t> count{1000000};
  model_view model;
  model.add("a", a).add("count", count).add("b", b);
  const ring_codec codec = made({.max_clients = 3, .bits = 32, .clip = 6.5, .clip_by = ring_clip::norm}, model);
  ring_report report;
  ring_vector v;
  REQUIRE(codec.try_encode(model, 1, {}, constant_words{0}, v, {.report = &report}) == errc::ok);
  CHECK(report.norm == Approx(13));
  CHECK(report.factor <= 0.5);
  CHECK(report.factor == Approx(0.5).epsilon(1e-12));
  CHECK(report.clipped == 0);
  CHECK(a == std::vector<float>{3, 0, -4});
  const double step = 1 / codec.scale(), expected[] = {1.5, 0, -2};
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(std::fabs(static_cast<double>(v.signed_value(1, i)) * step - expected[i]) <= step * 1.0001);
  CHECK(v.signed_value(2, 0) == 1000000);
  a = {0.5, 0, 0}, b = {0};
  REQUIRE(codec.try_encode(model, 1, {}, constant_words{0}, v, {.report = &report}) == errc::ok);
  CHECK(report.norm == 0.5);
  CHECK(report.factor == 1);
  a = {0, 0, 0};
  REQUIRE(codec.try_encode(model, 1, {}, constant_words{0}, v, {.report = &report}) == errc::ok);
  CHECK(report.norm == 0);
  // One coordinate that holds the whole norm, which is measured with an error: it stays within the ring.
  std::mt19937_64 random(4);
  for (int k = 0; k < 200; ++k) {
    std::vector<double> x{0, uniform(random) * power(k % 50 - 20), 0};
    const double c = (x[1] < 0 ? -x[1] : x[1]) * (1 + (k % 5 - 2) * 0x1p-52);
    if (!(c > 0x1p-200)) continue;
    const ring_codec one = made({.max_clients = 1, .bits = 9, .clip = c, .clip_by = ring_clip::norm}, model_view(x));
    REQUIRE(one.try_encode(model_view(x), 1, {}, constant_words{0xffffffff}, v) == errc::ok);
    CHECK(v.signed_value(1, 1) <= 255);
    CHECK(v.signed_value(1, 1) >= -255);
    CHECK(std::fabs(static_cast<double>(v.signed_value(1, 1))) >= 253);
  }
  std::vector<double> huge(4, 1.7e308);
  const ring_codec large = made({.max_clients = 1, .clip_by = ring_clip::norm}, model_view(huge));
  CHECK(large.try_encode(model_view(huge), 1, {}, constant_words{0}, v) == errc::client_range);
  huge[0] = huge[1] = huge[2] = huge[3] = 1e306;
  CHECK(large.try_encode(model_view(huge), 1, {}, constant_words{0}, v) == errc::client_range);
  CHECK(large.try_encode(model_view(huge), 0, {}, constant_words{0}, v) == errc::ok);
}

TEST_CASE("counts alone, integers alone, no element, one client") {
  standard_mode();
  ring_vector v;
  ring_totals totals;
  // A bank: a roster far too large for the ring of a model that there is not.
  const ring_codec counts = made({.max_clients = 4000000000u, .bits = 8, .extras = {{"frauds", 1e6}, {"checked", 1e9}}});
  CHECK(counts.layout().packed_bytes() == 32);
  REQUIRE(counts.try_encode({}, 1, {{"frauds", 3}, {"checked", 1e9}}, constant_words{9}, v) == errc::ok);
  REQUIRE(counts.try_decode(v, 1, {}, totals) == errc::ok);
  CHECK(totals.find("frauds")->steps == 3);
  CHECK(totals.find("checked")->steps == 1000000000);
  CHECK(totals.find("checked")->value == 1e9);

  std::vector<std::int8_t> a{127, -128, 1};
  std::vector<std::uint64_t> b{~std::uint64_t{0}, 7};
  model_view model;
  model.add("a", a).add("b", b);
  const ring_codec whole = made({.max_clients = 3, .max_weight = 9}, model);
  CHECK(whole.parameters().max_integer == static_cast<std::uint64_t>(INT64_MAX) / 27);
  CHECK(whole.try_encode(model, 1, {}, constant_words{9}, v) == errc::value_range);
  b[0] = 5;
  REQUIRE(whole.try_encode(model, 9, {}, constant_words{9}, v) == errc::ok);
  std::vector<std::int8_t> mean_a(3);
  std::vector<std::uint64_t> mean_b(2);
  mutable_model_view mean;
  mean.add("a", mean_a).add("b", mean_b);
  REQUIRE(whole.try_decode(v, 1, mean, totals) == errc::ok);
  CHECK(mean_a == a);
  CHECK(mean_b == b);

  std::vector<float> none;
  const ring_codec empty = made({.max_clients = 3}, model_view(none));
  REQUIRE(empty.try_encode(model_view(none), 1, {}, constant_words{9}, v) == errc::ok);
  CHECK(v.size() == 2);
  CHECK(empty.try_decode(v, 1, mutable_model_view(none), totals) == errc::ok);

  std::vector<bool> no_data;
  std::array<bool, 2> flags{};
  model_view unsupported;
  unsupported.add("flags", flags);
  ring_codec codec;
  CHECK(ring_codec::try_make({.max_clients = 3}, unsupported, codec) == errc::unsupported_element);
  CHECK(ring_codec::try_make({.max_clients = 3, .max_weight = 1, .extras = {{"a", 0x1p+62}}}, {}, codec) == errc::ring_too_narrow);
  CHECK(codec.needed_bits() == 65);
  CHECK(ring_codec::try_make({.max_clients = 3, .max_weight = std::uint64_t{1} << 62}, {}, codec) == errc::ring_too_narrow);
  CHECK(codec.needed_bits() == 65);
  CHECK(ring_codec::try_make({.max_clients = 3, .max_integer = std::uint64_t{1} << 62}, model, codec) == errc::ring_too_narrow);
  CHECK(ring_codec::try_make({}, {}, codec) == errc::bad_parameter);
}

TEST_CASE("two codecs describe themselves alike if and only if all that must agree does") {
  struct bytes {
    std::vector<std::uint8_t> all;
    void update(fedagg::bytes_view part) { all.insert(all.end(), part.begin(), part.end()); }
  };
  std::vector<float> w(6);
  std::vector<std::int32_t> c(1);
  const auto described = [&](const ring_parameters& p, std::string_view name = "w", integers policy = integers::average,
                             bool square = false) {
    const std::size_t shapes[2][2] = {{6, 1}, {2, 3}};
    model_view m;
    m.add(name, fedagg::tensor_view<const float>(w.data(), shapes[square])).add("c", c, policy);
    bytes sink;
    made(p, m).describe(sink);
    return sink.all;
  };
  const auto good = [] {
    return ring_parameters{.max_clients = 10, .max_weight = 7, .bits = 30, .extras = {{"a", 5, 2}, {"bc", 6}}};
  };
  const std::vector<std::uint8_t> same_as = described(good());
  CHECK(described(good()) == same_as);
  // What is chosen is described as if it had been given.
  ring_parameters chosen = good();
  chosen.scale = good().safe_scale();
  chosen.max_integer = good().safe_integer();
  CHECK(described(chosen) == same_as);
  std::vector<std::vector<std::uint8_t>> all{same_as};
  const auto differs = [&](auto&& change) {
    ring_parameters p = good();
    change(p);
    all.push_back(described(p));
  };
  differs([](ring_parameters& p) { p.max_clients = 11; });
  differs([](ring_parameters& p) { p.max_weight = 8; });
  differs([](ring_parameters& p) { p.bits = 31; });
  differs([](ring_parameters& p) { p.clip = 2; });
  differs([](ring_parameters& p) { p.clip_by = ring_clip::norm; });
  differs([](ring_parameters& p) { p.scale = 3; });
  differs([](ring_parameters& p) { p.max_integer = 3; });
  differs([](ring_parameters& p) { p.content = fedagg::ring_content::models; });
  differs([](ring_parameters& p) { p.extras[0].name = "x"; });
  differs([](ring_parameters& p) { p.extras[0].largest = 4; });
  differs([](ring_parameters& p) { p.extras[0].scale = 4; });
  differs([](ring_parameters& p) { p.extras.pop_back(); });
  differs([](ring_parameters& p) { p.extras = {{"ab", 5, 2}, {"c", 6}}; });
  all.push_back(described(good(), "v"));
  all.push_back(described(good(), "w", integers::keep));
  all.push_back(described(good(), "w", integers::average, true));
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) CHECK(all[i] != all[k]);
}

TEST_CASE("a decoded mean is what a server optimizer steps by") {
  standard_mode();
  std::vector<double> x{1, 2, 3}, plain = x, mean(3);
  const std::vector<double> u[] = {{0.5, -0.25, 0}, {0.25, 0.5, -1}};
  const ring_codec codec = made({.max_clients = 2, .max_weight = 3, .bits = 40, .scale = 0x1p+20}, model_view(u[0]));
  ring_vector sum, own;
  REQUIRE(codec.try_encode(model_view(u[0]), 3, {}, constant_words{0}, sum) == errc::ok);
  REQUIRE(codec.try_encode(model_view(u[1]), 1, {}, constant_words{0}, own) == errc::ok);
  REQUIRE(fedagg::try_add(sum, own) == errc::ok);
  ring_totals totals;
  REQUIRE(codec.try_decode(sum, 2, mutable_model_view(mean), totals) == errc::ok);
  // Multiples of the step: nothing was rounded.
  std::vector<double> exact(3);
  for (std::size_t i = 0; i < 3; ++i) exact[i] = (3 * u[0][i] + u[1][i]) / 4;
  CHECK(mean == exact);
  fedagg::optimizer_state a, b;
  const model_view decoded(mean), direct(exact);
  const fedagg::fed_adam adam;
  REQUIRE(fedagg::try_step(adam, mutable_model_view(x), codec.gradient(decoded), a) == errc::ok);
  REQUIRE(fedagg::try_step(adam, mutable_model_view(plain), fedagg::pseudo_gradient::delta(direct), b) == errc::ok);
  CHECK(x == plain);
  CHECK(!codec.gradient(decoded).is_model());
  const ring_codec models = made({.max_clients = 2, .content = fedagg::ring_content::models}, model_view(u[0]));
  CHECK(models.gradient(decoded).is_model());
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("every allocation may fail") {
  sample_model model(1), mean;
  const model_view view = model.view();
  const mutable_model_view out = mean.view<mutable_model_view>();
  const fedagg::model_layout layout(view);
  const ring_parameters how{.max_clients = 4, .extras = {{"correct", 100}}};
  std::size_t failed = 0;
  for (std::size_t left = 0;; ++left) {
    ring_codec codec;
    ring_vector v;
    ring_totals totals;
    const allocations::limit limit(left);
    errc rc = ring_codec::try_make(how, layout, codec);
    if (rc == errc::ok) rc = codec.try_encode(view, 1, {{"correct", 93}}, constant_words{1}, v);
    if (rc == errc::ok) rc = codec.try_decode(v, 1, out, totals);
    if (rc == errc::ok) break;
    CHECK(rc == errc::out_of_memory);
    ++failed;
  }
  CHECK(failed > 8);
}

TEST_CASE("the calls that throw say what and where") {
  std::vector<float> w(3, 1.f), mean(3);
  model_view model;
  model.add("layer.weight", w);
  const ring_codec codec({.max_clients = 4, .max_weight = 10, .extras = {{"correct", 100}}}, model);
  philox_words words(1);
  const ring_vector v = codec.encode(model, 10, {{"correct", 93}}, words);
  mutable_model_view out;
  out.add("layer.weight", mean);
  const ring_totals totals = codec.decode(v, 1, out);
  CHECK(totals["correct"] == 93);
  CHECK_THROWS_AS(totals["wrong"], fedagg::error);
  w[1] = std::numeric_limits<float>::infinity();
  try {
    static_cast<void>(codec.encode(model, 10, {{"correct", 93}}, words));
    CHECK(false);
  } catch (const fedagg::error& e) {
    CHECK(e.code() == errc::non_finite);
    CHECK(std::string(e.what()).find("layer.weight") != std::string::npos);
  }
  CHECK_THROWS_AS(codec.decode(v, 2, out), fedagg::error);
}
#endif
