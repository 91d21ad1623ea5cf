// SPDX-License-Identifier: MIT
#include <fedagg/client/delta.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::integers;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::write;

namespace {

template <class T, class Out>
void check_bits(std::size_t d) {
  const auto m = sample<T>(kind::normal, 2, d, 91);
  std::vector<Out> out(d, std::bit_cast<Out>(static_cast<typename format<Out>::word>(~0ull)));
  std::vector<T> back(m.row(0).begin(), m.row(0).end());
  const mutable_model_view delta(out), in_place(back);
  const errc rc = [&] {
    const mode callers(worst);
    return fedagg::try_delta(model_view(m.row(0)), model_view(m.row(1)), delta);
  }();
  REQUIRE(rc == errc::ok);
  REQUIRE(fedagg::try_delta(in_place, model_view(m.row(1)), in_place) == errc::ok);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < d; ++j) {
    volatile double difference = value(m.at(0, j)) - value(m.at(1, j));
    wrong += bits_of(out[j]) != bits_of(stored<Out>(difference));
    wrong += bits_of(back[j]) != bits_of(stored<T>(difference));
  }
  REQUIRE(fedagg::try_apply_delta(model_view(m.row(1)), delta, in_place) == errc::ok);
  for (std::size_t j = 0; j < d; ++j) {
    volatile double sum = value(m.at(1, j)) + value(out[j]);
    wrong += bits_of(back[j]) != bits_of(stored<T>(sum));
  }
  CHECK(wrong == 0);
}

template <class T>
void check_integers() {
  constexpr T low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
  const T some[] = {low, static_cast<T>(low + 1), 0, 1, 2, static_cast<T>(high / 2), static_cast<T>(high - 1), high};
  for (const T a : some)
    for (const T b : some) {
      std::vector<T> x(300, a), y(300, b), out(300, 42);
      x[299] = y[299] = 5;
      __extension__ using exact = __int128;
      for (const bool difference : {true, false}) {
        const exact want = difference ? static_cast<exact>(a) - b : static_cast<exact>(a) + b;
        const bool fits = want >= low && want <= high;
        std::fill(out.begin(), out.end(), T{42});
        const errc rc = difference ? fedagg::try_delta(model_view(x), model_view(y), mutable_model_view(out))
                                   : fedagg::try_apply_delta(model_view(x), model_view(y), mutable_model_view(out));
        CHECK(rc == (fits ? errc::ok : errc::overflow));
        CHECK(out[0] == (fits ? static_cast<T>(want) : T{42}));
        CHECK(out[299] == (!fits ? T{42} : difference ? T{0} : T{10}));
      }
    }
}

} // namespace

TEST_CASE("differences of floating tensors and their inverse, bit for bit") {
  on_each_isa([](fedagg::isa) {
    for (const std::size_t d : {0u, 1u, 9u, 300u}) {
      check_bits<float, float>(d);
      check_bits<double, double>(d);
      check_bits<float, double>(d);
      check_bits<double, float>(d);
      check_bits<fedagg::bfloat16, float>(d);
      check_bits<fedagg::float16, fedagg::float16>(d);
    }
  });
  check_bits<float, float>(65536 * 2 + 9);
}

TEST_CASE("differences of integer tensors are exact or refused") {
  check_integers<std::int8_t>();
  check_integers<std::uint8_t>();
  check_integers<std::int16_t>();
  check_integers<std::uint16_t>();
  check_integers<std::int32_t>();
  check_integers<std::uint32_t>();
  check_integers<std::int64_t>();
  check_integers<std::uint64_t>();
}

TEST_CASE("a whole model: weights, a counter, one that is kept, a mask") {
  std::vector<float> w{1.5, 2}, w0{1, 1}, dw{9, 9};
  std::vector<std::int64_t> n{(std::int64_t{1} << 60) + 1}, n0{std::int64_t{1} << 60}, dn{0};
  std::vector<std::uint8_t> kept{1}, kept0{2}, dkept{77};
  const bool mask[] = {true}, mask0[] = {false};
  bool dmask[] = {true};
  model_view local, global;
  local.add("w", w).add("n", n).add("kept", kept).add("mask", std::span(mask));
  global.add("w", w0).add("n", n0).add("kept", kept0).add("mask", std::span(mask0));
  mutable_model_view out;
  out.add("w", dw).add("n", dn).add("kept", dkept, integers::keep).add("mask", std::span(dmask), integers::keep);
  REQUIRE(fedagg::try_delta(local, global, out) == errc::ok);
  CHECK(dw == std::vector<float>{0.5, 1});
  CHECK(dn[0] == 1);
  CHECK(dkept[0] == 77);
  CHECK(dmask[0]);
  REQUIRE(fedagg::try_apply_delta(global, out, out) == errc::ok);
  CHECK(dw == w);
  CHECK(dn == n);

  fedagg::stream_fault fault;
  const fedagg::stream_options how{.write = write::atomic, .fault = &fault};
  mutable_model_view averaged;
  averaged.add("w", dw).add("n", dn).add("kept", dkept).add("mask", std::span(dmask), integers::keep);
  CHECK(fedagg::try_delta(local, global, averaged, how) == errc::overflow);
  CHECK(fault.name == "kept");
  mutable_model_view masked;
  masked.add("w", dw).add("n", dn).add("kept", dkept, integers::keep).add("mask", std::span(dmask));
  CHECK(fedagg::try_delta(local, global, masked, how) == errc::unsupported_element);
  CHECK(fault.tensor == 3);
  w[1] = std::bit_cast<float>(0x7fc00000u);
  CHECK(fedagg::try_delta(local, global, out, how) == errc::non_finite);
  CHECK(fault.name == "w");
  w[1] = 3e38f, w0[1] = -3e38f;
  CHECK(fedagg::try_delta(local, global, out, how) == errc::overflow);
  CHECK(dw == std::vector<float>{1.5, 2}); // as it was
  CHECK(dn == n);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(fedagg::delta(local, global, out), fedagg::error);
  CHECK_THROWS_AS(fedagg::apply_delta(local, model_view(w), out), fedagg::error);
#endif
}

TEST_CASE("models that do not fit together, and memory that overlaps, are refused before the first write") {
  std::vector<float> x{1, 2, 3}, y{4, 5, 6}, out{7, 8, 9};
  std::vector<std::int32_t> n{1, 2, 3, 4};
  std::vector<std::int64_t> m{1, 2, 3};
  const auto call = [](const model_view& a, const model_view& b, const mutable_model_view& c) {
    return fedagg::try_delta(a, b, c);
  };
  const std::span<std::int32_t> first(n.data(), 3), second(n.data() + 1, 3);
  CHECK(call(model_view(first), model_view(first), mutable_model_view(second)) == errc::overlapping_output);
  CHECK(call(model_view(first), model_view(m), mutable_model_view(first)) == errc::layout_mismatch);
  CHECK(call(model_view(x), model_view(y), mutable_model_view{}) == errc::layout_mismatch);
  mutable_model_view named;
  named.add("w", out);
  CHECK(call(model_view(x), model_view(y), named) == errc::layout_mismatch);
  // Two tensors of the output in one place, an integer and a floating one.
  alignas(8) std::byte place[16] = {};
  mutable_model_view twice;
  const std::size_t shape[] = {3};
  twice.add("a", fedagg::any_mutable_tensor(fedagg::dtype::f32, place, shape));
  twice.add("b", fedagg::any_mutable_tensor(fedagg::dtype::i32, place, shape));
  model_view both;
  both.add("a", x).add("b", first);
  CHECK(call(both, both, twice) == errc::overlapping_output);
  // An integer output over a floating input.
  mutable_model_view over;
  over.add("a", out).add("b", fedagg::any_mutable_tensor(fedagg::dtype::i32, x.data(), shape));
  CHECK(call(both, both, over) == errc::overlapping_output);
  CHECK(n == std::vector<std::int32_t>{1, 2, 3, 4});
  CHECK(out == std::vector<float>{7, 8, 9});
  CHECK(x == std::vector<float>{1, 2, 3});
  // Strides are followed.
  std::vector<std::int32_t> spread{1, 0, 2, 0, 3, 0};
  const std::ptrdiff_t back[] = {-2};
  const fedagg::tensor_view<std::int32_t> reversed(spread.data() + 4, shape, back);
  REQUIRE(call(model_view(reversed), model_view(first), mutable_model_view(reversed)) == errc::ok);
  CHECK(spread == std::vector<std::int32_t>{-2, 0, 0, 0, 2, 0});
}
