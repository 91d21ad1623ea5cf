// SPDX-License-Identifier: MIT
#include <fedagg/passes/streams.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::model_view;
using fedagg::mutable_model_view;

namespace elsewhere {

/// Two streams read, two written; every operation of lanes occurs.
struct spring {
  static constexpr std::size_t inputs = 2, updates = 2;
  double stiffness = 0.3;
  template <class L>
  void operator()(const L* in, L* io) const {
    const L pull = L(stiffness) * (in[0] - io[0]);
    io[1] = io[1] * in[1] + pull;
    io[0] += io[1] / (sqrt(abs(in[1])) + L(0.125));
  }
};

/// The same on numbers, an operation after the other.
void spring_of(double stiffness, double a, double b, double& x, double& v) {
  const auto kept = [](double value) {
    volatile double stored = value;
    return stored;
  };
  const double pull = kept(stiffness * kept(a - x));
  v = kept(kept(v * b) + pull);
  volatile double divisor = kept(__builtin_sqrt(b < 0 ? -b : b)) + 0.125;
  x = kept(x + kept(v / divisor));
}

/// No input at all.
struct halve {
  static constexpr std::size_t inputs = 0, updates = 1;
  template <class L>
  void operator()(const L*, L* io) const {
    io[0] = io[0] * L(0.5);
  }
};

/// Hides what it reads from what it writes.
struct clip {
  static constexpr std::size_t inputs = 1, updates = 1;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = max(L(-1), min(L(1), in[0]));
  }
};

struct grow {
  static constexpr std::size_t inputs = 0, updates = 1;
  double factor;
  template <class L>
  void operator()(const L*, L* io) const {
    io[0] *= L(factor);
  }
};

/// The first update goes on, the second is only written.
struct split {
  static constexpr std::size_t inputs = 1, updates = 2, outputs = 1;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = io[0] + in[0];
    io[1] = io[1] + (io[0] - in[0] * L(0.5));
  }
};

/// Counts the vectors that it is asked about.
struct counted {
  static constexpr std::size_t inputs = 1, updates = 1;
  static inline std::size_t calls = 0;
  double factor = 1;
  template <class L>
  void operator()(const L* in, L* io) const {
    calls += !std::is_same_v<L, fedagg::impl::bounds>;
    io[0] = io[0] + L(factor) * in[0] / (sqrt(abs(in[0])) + L(0.125));
  }
};

struct products {
  static constexpr std::size_t inputs = 2, sums = 2;
  template <class L>
  void operator()(const L* in, L* values) const {
    values[0] = in[0] * in[1];
    values[1] = in[0] * in[0];
  }
};

} // namespace elsewhere

namespace {

using elsewhere::spring;

float nan_of(float) { return std::bit_cast<float>(0x7fc00000u); }
double nan_of(double) { return std::bit_cast<double>(0x7ff8000000000000u); }

static_assert(fedagg::stream_step<spring> && fedagg::stream_sum<elsewhere::products>);
static_assert(!fedagg::stream_sum<spring> && !fedagg::stream_step<elsewhere::products>);
static_assert(!fedagg::stream_step<int>);

template <class X, class S>
void check(std::size_t d, fedagg::write how_written, const fedagg::stream_options& base = {}) {
  const auto x = sample<X>(kind::normal, 3, d, 31);
  const auto s = sample<S>(kind::normal, 1, d, 32);
  std::vector<X> model(x.row(2).begin(), x.row(2).end());
  std::vector<S> speed(s.row(0).begin(), s.row(0).end());
  const auto a = x.row(0), b = x.row(1);
  const model_view in_a(a), in_b(b);
  const mutable_model_view io_x(model), io_v(speed);
  fedagg::stream_options how = base;
  how.write = how_written;
  errc rc = errc::ok;
  {
    const mode callers(worst);
    rc = fedagg::try_update(spring{}, {&in_a, &in_b}, {&io_x, &io_v}, how);
  }
  INFO(format<X>::name << " " << format<S>::name << " d=" << d);
  REQUIRE(rc == errc::ok);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) {
    double want_x = value(x.at(2, j)), want_v = value(s.at(0, j));
    elsewhere::spring_of(0.3, value(a[j]), value(b[j]), want_x, want_v);
    wrong += bits_of(model[j]) != bits_of(stored<X>(want_x));
    wrong += bits_of(speed[j]) != bits_of(stored<S>(want_v));
  }
  CHECK(wrong == 0);
}

template <class X, class S>
void check_sizes() {
  for (std::size_t d = 0; d <= 40; ++d) check<X, S>(d, fedagg::write::direct);
  for (const std::size_t d : {255u, 256u, 257u, 600u}) check<X, S>(d, fedagg::write::atomic);
  const threads pool{3};
  fedagg::stream_options how;
  how.executor = pool;
  for (const std::size_t grain : {std::size_t{1}, std::size_t{13}, std::size_t{0}}) {
    how.grain = grain;
    check<X, S>(70, fedagg::write::direct, how);
  }
  how.grain = 0;
  check<X, S>(3 * 65536 + 5, fedagg::write::direct, how);
}

} // namespace

TEST_CASE("a step over streams of floats rounds once") { check_sizes<float, float>(); }
TEST_CASE("a step over streams of doubles rounds as written") { check_sizes<double, double>(); }
TEST_CASE("a step over streams of several types") {
  check_sizes<float, double>();
  check_sizes<fedagg::bfloat16, float>();
  check_sizes<fedagg::float16, double>();
}

TEST_CASE("strides are followed, and integer tensors are left alone") {
  std::vector<float> memory(600), want(300);
  std::vector<std::int64_t> counter{7}, other{9};
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  const std::size_t shape[] = {300};
  const std::ptrdiff_t stride[] = {-2};
  mutable_model_view m;
  m.add("w", fedagg::tensor_view<float>(memory.data() + 598, shape, stride));
  m.add("n", counter);
  REQUIRE(fedagg::try_update(elsewhere::halve{}, {}, {&m}) == errc::ok);
  for (std::size_t i = 0; i < memory.size(); ++i) CHECK(memory[i] == (i % 2 ? static_cast<float>(i) : static_cast<float>(i) / 2));
  CHECK(counter[0] == 7);
}

TEST_CASE("what is not finite is found in every stream, also where the step hides it") {
  on_each_isa([](fedagg::isa) {
    for (const std::size_t d : {1u, 19u, 300u})
      for (const std::size_t at : {std::size_t{0}, d / 2, d - 1})
        for (const float bad : {std::bit_cast<float>(0x7f800000u), std::bit_cast<float>(0xffc00001u)})
          for (const bool in_input : {true, false})
            for (const bool as_double : {false, true}) {
              std::vector<float> in(d, 1), io(d, 2), first;
              std::vector<double> wide(d, 2);
              (in_input ? in[at] : io[at]) = bad;
              if (!in_input && as_double) wide[at] = std::bit_cast<double>(0x7ff0000000000000u);
              first = io;
              std::vector<float> before(1, 0.5f), before_io(1, 0.5f);
              model_view a;
              a.add("ok", before);
              a.add("bad", in);
              mutable_model_view b;
              b.add("ok", before_io);
              if (as_double) b.add("bad", wide);
              else b.add("bad", io);
              fedagg::stream_fault fault;
              fedagg::stream_options how;
              how.fault = &fault;
              how.write = fedagg::write::atomic;
              CHECK(fedagg::try_update(elsewhere::clip{}, {&a}, {&b}, how) == errc::non_finite);
              CHECK(fault.tensor == 1);
              CHECK(fault.name == "bad");
              CHECK(same_bits(io, first));
              CHECK(before_io[0] == 0.5f);
              how.write = fedagg::write::direct;
              CHECK(fedagg::try_update(elsewhere::clip{}, {&a}, {&b}, how) == errc::non_finite);
            }
  });
}

TEST_CASE("what an output holds before is not looked at") {
  const auto check_types = [](auto number, auto output) {
    for (const std::size_t d : {1u, 7u, 8u, 31u, 300u})
      for (const fedagg::write how : {fedagg::write::direct, fedagg::write::atomic}) {
        std::vector<decltype(number)> in(d), io(d);
        std::vector<decltype(output)> out(d, nan_of(output));
        for (std::size_t j = 0; j < d; ++j) in[j] = static_cast<decltype(number)>(j), io[j] = 2;
        const model_view a(in);
        const mutable_model_view b(io), c(out);
        REQUIRE(fedagg::try_update(elsewhere::split{}, {&a}, {&b, &c}, {.write = how}) == errc::ok);
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < d; ++j) {
          wrong += io[j] != static_cast<decltype(number)>(j + 2);
          wrong += out[j] != static_cast<decltype(output)>(2 + 0.5 * static_cast<double>(j));
        }
        CHECK(wrong == 0);
        // The very view of an input.
        std::vector<decltype(number)> again(d, 2);
        const mutable_model_view e(again), f(in);
        REQUIRE(fedagg::try_update(elsewhere::split{}, {&a}, {&e, &f}, {.write = how}) == errc::ok);
        CHECK(in[d - 1] == static_cast<decltype(number)>(2 + 0.5 * static_cast<double>(d - 1)));
        in[d - 1] = std::bit_cast<float>(0x7fc00000u);
        CHECK(fedagg::try_update(elsewhere::split{}, {&a}, {&b, &c}, {.write = how}) == errc::non_finite);
      }
  };
  on_each_isa([&](fedagg::isa) {
    check_types(1.0f, 1.0f);
    check_types(1.0f, 1.0);
  });
}

TEST_CASE("a result that the stream's type cannot hold") {
  on_each_isa([](fedagg::isa) {
    for (const std::size_t d : {1u, 8u, 33u, 700u}) {
      std::vector<float> x(d, 1.0f);
      x[d - 1] = 3e38f;
      const auto first = x;
      const mutable_model_view m(x);
      CHECK(fedagg::try_update(elsewhere::grow{2}, {}, {&m}, {.write = fedagg::write::atomic}) == errc::overflow);
      CHECK(same_bits(x, first));
      CHECK(fedagg::try_update(elsewhere::grow{1.1}, {}, {&m}, {.write = fedagg::write::atomic}) == errc::ok);
      std::vector<fedagg::float16> h(d, fedagg::to_float16(1.0));
      h[d - 1] = fedagg::to_float16(65504.0);
      const mutable_model_view n(h);
      CHECK(fedagg::try_update(elsewhere::grow{1.1}, {}, {&n}) == errc::overflow);
    }
  });
}

TEST_CASE("atomic asks the step for results only where the streams' bounds do not decide") {
  on_each_isa([](fedagg::isa) {
    const auto calls = [](double factor, fedagg::write how, errc want) {
      std::vector<float> a(200000), b(a.size(), 2);
      for (std::size_t j = 0; j < a.size(); ++j) a[j] = static_cast<float>(j) - 77777;
      const auto first = b;
      const model_view in(a);
      const mutable_model_view io(b);
      elsewhere::counted::calls = 0;
      CHECK(fedagg::try_update(elsewhere::counted{factor}, {&in}, {&io}, {.write = how}) == want);
      CHECK(same_bits(b, first) == (want != errc::ok));
      return elsewhere::counted::calls;
    };
    using enum fedagg::write;
    const std::size_t once = calls(1, direct, errc::ok);
    CHECK(calls(1, atomic, errc::ok) == once);
    // Bounds divide the largest value by the least root; 5e35 times 350 fits, times 122223 / 0.125 it does not.
    CHECK(calls(5e35, atomic, errc::ok) == 2 * once);
    CHECK(calls(2e36, atomic, errc::overflow) == once);
  });
}

namespace {

template <class T>
void check_ranges() {
  on_each_isa([](fedagg::isa) {
    std::size_t wrong = 0;
    for (std::size_t d = 0; d <= 70; ++d)
      for (std::size_t at = 0; at < d || at == 0; ++at)
        for (const T value : {T(3), T(-3), T(0), nan_of(T()), static_cast<T>(std::bit_cast<float>(0xff800000u))}) {
          std::vector<T> a(d, 1), b(d, T(0.5));
          if (d != 0) b[at] = value;
          const T* from[2] = {a.data(), b.data()};
          fedagg::impl::stream_range r[2];
          fedagg::impl::on_active_isa(
              [&](auto isa) { fedagg::impl::stream_kernel<decltype(isa)>::template ranges<2>(from, d, r); });
          wrong += !r[0].finite || r[0].low != 0 || r[0].high != (d != 0 ? 1 : 0);
          const bool finite = d == 0 || fedagg::is_finite(value);
          wrong += r[1].finite != finite;
          if (!finite || d == 0) continue;
          const double high = value == T(0) ? (d > 1 ? 0.5 : 0) : 3;
          wrong += r[1].high != high || r[1].low != (value < T(0) ? -3 : 0);
        }
    CHECK(wrong == 0);
  });
}

} // namespace

TEST_CASE("the bounds of what streams hold") {
  check_ranges<float>();
  check_ranges<double>();
}

TEST_CASE("streams that cannot be stepped over are refused before anything is written") {
  std::vector<float> a(8, 1), b(8, 2), c(7, 1);
  std::vector<std::int32_t> n(8, 1);
  const model_view in(a), shorter(c), integer(n);
  const mutable_model_view out(b), input_memory(a);
  const auto call = [](const model_view& x, const mutable_model_view& y) {
    return fedagg::try_update(elsewhere::clip{}, {&x}, {&y});
  };
  CHECK(call(shorter, out) == errc::layout_mismatch);
  CHECK(call(integer, out) == errc::unsupported_element);
  CHECK(call(in, input_memory) == errc::ok); // the very same view
  const std::span<float> left(a.data(), 7), right(a.data() + 1, 7);
  const model_view l(left);
  CHECK(call(l, mutable_model_view(right)) == errc::overlapping_output);
  mutable_model_view twice;
  twice.add("x", left).add("y", right);
  model_view two;
  two.add("x", c).add("y", c);
  CHECK(call(two, twice) == errc::overlapping_output);
  mutable_model_view renamed;
  renamed.add("x", left).add("z", b);
  fedagg::stream_fault fault;
  CHECK(fedagg::try_update(elsewhere::clip{}, {&two}, {&renamed}, {.fault = &fault}) == errc::layout_mismatch);
  CHECK(fault.tensor == 1);
  CHECK(call(model_view{}, out) == errc::layout_mismatch);
  const fedagg::tensor_view<float> null(nullptr, 3);
  CHECK(call(model_view(null), mutable_model_view(left)) == errc::null_data);
  const std::size_t shape[] = {3};
  const std::ptrdiff_t still[] = {0};
  mutable_model_view same_place;
  same_place.add("", fedagg::tensor_view<float>(b.data(), shape, still));
  std::vector<float> three(3, 1);
  CHECK(call(model_view(three), same_place) == errc::overlapping_output);
  CHECK(a == std::vector<float>(8, 1));
  CHECK(b == std::vector<float>(8, 2));
  const auto lazy = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 1; i < count; ++i) t(i);
  };
  CHECK(fedagg::try_update(elsewhere::clip{}, {&in}, {&out}, {.executor = lazy}) == errc::executor_failed);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(fedagg::update(elsewhere::clip{}, {&shorter}, {&out}), fedagg::error);
  const auto throwing = [](std::size_t, fedagg::task) { throw 1; };
  CHECK(fedagg::try_update(elsewhere::clip{}, {&in}, {&out}, {.executor = throwing}) == errc::executor_failed);
#endif
}

namespace {

template <class T>
void check_total(std::size_t d) {
  const auto x = sample<T>(kind::normal, 2, d, 33);
  quad dot = 0, square = 0, size = 0;
  for (std::size_t j = 0; j < d; ++j) {
    const quad a = value(x.at(0, j)), b = value(x.at(1, j));
    dot = add(dot, multiply(a, b));
    square = add(square, multiply(a, a));
    size = add(size, magnitude(multiply(a, b)));
  }
  const model_view a(x.row(0)), b(x.row(1));
  std::array<double, 2> first{};
  bool begun = false;
  on_each_isa([&](fedagg::isa) {
    for (const std::size_t count : {1u, 3u}) {
      const threads pool{count};
      std::array<double, 2> got{};
      const errc rc = [&] {
        const mode callers(worst);
        return fedagg::try_total(elsewhere::products{}, {&a, &b}, std::span<double, 2>(got), {.executor = pool, .grain = 100 * count});
      }();
      REQUIRE(rc == errc::ok);
      if (!begun) first = got;
      begun = true;
      CHECK(got == first);
    }
  });
  INFO(format<T>::name << " d=" << d);
  // Products of doubles are rounded; of each lane's sum of a chunk and of the chunks.
  const double roundings = 4096 + 8 + static_cast<double>(d) / 65536;
  const double least = d < 65536 ? static_cast<double>(d) / 16 + 6 : roundings;
  CHECK(magnitude(quad(first[0]) - dot) <= multiply(size, unit * least));
  CHECK(magnitude(quad(first[1]) - square) <= multiply(square, unit * least));
}

} // namespace

TEST_CASE("sums of a step's values") {
  for (const std::size_t d : {0u, 1u, 7u, 15u, 16u, 17u, 300u, 65535u, 65536u, 200001u}) {
    check_total<float>(d);
    check_total<double>(d);
  }
  check_total<fedagg::bfloat16>(517);
}

TEST_CASE("sums over several tensors; what cannot be summed is refused") {
  std::vector<double> a{1, 2, 3}, b{4}, big{1e200};
  model_view m, n;
  m.add("a", a).add("b", b);
  n.add("a", a).add("c", b);
  const auto sums = fedagg::total(elsewhere::products{}, {&m, &m});
  CHECK(sums[0] == 30);
  std::array<double, 2> out{5, 5};
  CHECK(fedagg::try_total(elsewhere::products{}, {&m, &n}, std::span<double, 2>(out)) == errc::layout_mismatch);
  const model_view large(big);
  CHECK(fedagg::try_total(elsewhere::products{}, {&large, &large}, std::span<double, 2>(out)) == errc::overflow);
  a[1] = std::bit_cast<double>(0x7ff8000000000000u);
  CHECK(fedagg::try_total(elsewhere::products{}, {&m, &m}, std::span<double, 2>(out)) == errc::non_finite);
  CHECK(out == std::array<double, 2>{5, 5});
}
