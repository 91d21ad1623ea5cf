// SPDX-License-Identifier: MIT
#include <fedagg/client/clipping.hpp>

#include "support/numeric.hpp"

using namespace numeric;
using fedagg::clip_result;
using fedagg::errc;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::write;

namespace {

/// Exact but for the roundings of quad, also for values near the ends of the range.
template <class T>
quad square_of(const std::vector<T>& x, double scale = 1) {
  quad sum = 0;
  for (const T v : x) {
    const quad s = multiply(value(v), scale);
    sum = add(sum, multiply(s, s));
  }
  return sum;
}

template <class T>
std::vector<T> random(kind k, std::size_t d, std::uint64_t seed) {
  const auto m = sample<T>(k, 1, d, seed);
  return {m.row(0).begin(), m.row(0).end()};
}

/// Clips in the worst mode; checks the norm, that the result is not above the bound, and not far below it.
template <class T>
void check(std::vector<T> x, double bound, double scale = 1) {
  const auto before = x;
  clip_result r;
  const errc rc = [&] {
    const mode callers(worst);
    return fedagg::try_clip_norm(mutable_model_view(x), bound, r);
  }();
  REQUIRE(rc == errc::ok);
  const quad square = square_of(before, scale), error = (static_cast<double>(x.size()) / 8 + 30) * unit;
  INFO(format<T>::name << " d=" << x.size() << " bound " << bound << " norm " << r.norm);
  const quad own = multiply(r.norm, scale);
  CHECK(magnitude(multiply(own, own) - square) <= multiply(square, error));
  if (!(r.norm > bound)) {
    CHECK(r.factor == 1);
    CHECK(same_bits(x, before));
    return;
  }
  const quad reach = multiply(bound, scale);
  CHECK(square_of(x, scale) <= multiply(reach, reach));
  // No more is taken off than the roundings call for: twice the unit of the type, and what subnormal numbers lose.
  const quad least = multiply(reach, 1 - 4 * power(-format<T>::digits) - 1e-11) -
                     multiply(multiply(2 * static_cast<double>(x.size()), power(format<T>::least - format<T>::digits + 1)), scale) -
                     multiply(16 * power(-1074), scale);
  if (least > 0) CHECK(square_of(x, scale) >= multiply(least, least));
  const auto once = x;
  clip_result again;
  REQUIRE(fedagg::try_clip_norm(mutable_model_view(x), bound, again) == errc::ok);
  CHECK(again.factor == 1);
  CHECK(same_bits(x, once));
}

} // namespace

TEST_CASE("a clipped model's norm is never above the bound") {
  for (const std::size_t d : {0u, 1u, 2u, 9u, 300u, 5000u})
    for (const double bound : {0.1, 0.7, 1.0, 30.0, 1e-3, 123.0}) {
      check(random<float>(kind::normal, d, 111), bound);
      check(random<double>(kind::normal, d, 112), bound);
      check(random<fedagg::float16>(kind::normal, d, 113), bound);
      check(random<fedagg::bfloat16>(kind::normal, d, 114), bound);
      check(random<float>(kind::constant, d, 115), bound);
      check(random<double>(kind::zeros, d, 116), bound);
    }
  check(random<float>(kind::normal, 70001, 117), 5);
  // All values rounded up by nearly half a unit: the bound holds only if that was thought of.
  for (int k = 0; k < 400; ++k) check(std::vector<fedagg::bfloat16>(64, fedagg::to_bfloat16(1.0 + k / 128.0)), 1.0);
  for (int k = 0; k < 100; ++k) check(std::vector<float>(1, 1.0f + static_cast<float>(k) * 0x1p-23f), 1.0 - k * 0x1p-40);
}

TEST_CASE("norms whose squares are beyond the range of double") {
  for (const std::size_t d : {1u, 9u, 500u}) {
    for (const double bound : {1.0, 1e300, 1e-3, 1e-160, 1e-300}) {
      auto x = random<double>(kind::normal, d, 118);
      for (double& v : x) v *= 1e306;
      check(x, bound, 0x1p-1000);
    }
    for (const double bound : {1e-200, 1e-290, 1e-305, 1e-310, 4e-324}) {
      auto x = random<double>(kind::normal, d, 119);
      for (double& v : x) v *= 1e-190;
      check(x, bound, 0x1p620);
    }
    check(random<double>(kind::denormal, d, 120), 1e-315, 0x1p1000);
    check(random<float>(kind::denormal, d, 121), 1e-40);
    check(random<float>(kind::large, d, 122), 1.0);
    check(random<float>(kind::large, d, 122), 1e38);
    check(random<fedagg::float16>(kind::denormal, d, 123), 2e-6);
  }
  // One huge value among tiny ones, in either order.
  std::vector<double> x(100, 1e-300);
  x[57] = 1e300;
  CHECK(fedagg::l2_norm(model_view(x)) == 1e300);
  std::vector<double> most(4, 1.7e308);
  double norm = 3;
  CHECK(fedagg::try_l2_norm(model_view(most), norm) == errc::client_range);
  clip_result r{5, 6};
  CHECK(fedagg::try_clip_norm(mutable_model_view(most), 1, r) == errc::client_range);
  CHECK(norm == 3);
  CHECK(r.factor == 6);
  CHECK(most == std::vector<double>(4, 1.7e308));
  CHECK(fedagg::l2_norm(model_view{}) == 0);
}

TEST_CASE("the global norm goes over all floating tensors and leaves the others") {
  std::vector<float> a{3, 0};
  std::vector<double> b{4};
  std::vector<std::int32_t> n{1000};
  mutable_model_view model;
  model.add("a", a).add("n", n).add("b", b);
  clip_result r = fedagg::clip_norm(model, 5);
  CHECK(r.norm == 5);
  CHECK(r.factor == 1);
  CHECK(a[0] == 3);
  r = fedagg::clip_norm(model, 2.5);
  CHECK(r.norm == 5);
  CHECK(r.factor == Approx(0.5).epsilon(1e-7));
  CHECK(r.factor < 0.5);
  CHECK(a[0] == Approx(1.5).epsilon(1e-6));
  CHECK(b[0] == Approx(2).epsilon(1e-6));
  CHECK(n[0] == 1000);
  std::vector<float> zero(9);
  r = fedagg::clip_norm(mutable_model_view(zero), 1);
  CHECK(r.norm == 0);
  CHECK(r.factor == 1);
}

TEST_CASE("each layer by its own norm") {
  std::vector<float> a{3, 4}, c{0, 0};
  std::vector<double> b{0.5};
  std::vector<std::int32_t> n{1000};
  mutable_model_view model;
  model.add("a", a).add("n", n).add("b", b).add("c", c);
  const double one[] = {1}, each[] = {0.25, 1, 0.125, 1};
  std::vector<clip_result> r(4, clip_result{9, 9});
  fedagg::clip_layers(model, one, r);
  CHECK(r[0].norm == 5);
  CHECK(r[0].factor == Approx(0.2).epsilon(1e-7));
  CHECK((r[1].norm == 0 && r[1].factor == 1));
  CHECK((r[2].norm == 0.5 && r[2].factor == 1));
  CHECK((r[3].norm == 0 && r[3].factor == 1));
  CHECK(square_of(a) <= quad(1));
  CHECK(b[0] == 0.5);
  fedagg::clip_layers(model, each);
  CHECK(square_of(a) <= quad(0.0625));
  CHECK(square_of(b) <= quad(0.015625));
  CHECK(n[0] == 1000);

  // Nothing is written if a later tensor cannot be used.
  const auto before = a;
  b[0] = std::bit_cast<double>(0x7ff0000000000000u);
  fedagg::stream_fault fault;
  const double small[] = {0.01};
  CHECK(fedagg::try_clip_layers(model, small, r, {.fault = &fault}) == errc::non_finite);
  CHECK(fault.tensor == 2);
  CHECK(fault.name == "b");
  CHECK(a == before);
  CHECK(r[0].norm == 5);
  const double two[] = {1, 1};
  CHECK(fedagg::try_clip_layers(model, two) == errc::bad_parameter);
  CHECK(fedagg::try_clip_layers(model, std::span(r.size() == 4 ? one : small), std::span(r).first(3)) == errc::bad_parameter);
  CHECK(fedagg::try_clip_layers(model, {}) == errc::bad_parameter);
}

TEST_CASE("each coordinate, into the bound rounded down to its type") {
  const auto of = [](auto number, double bound, std::size_t d) {
    using T = decltype(number);
    auto x = random<T>(kind::mixed, d, 124);
    const auto before = x;
    REQUIRE(fedagg::try_clip_coordinates(mutable_model_view(x), bound) == errc::ok);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < d; ++j) {
      const double was = value(before[j]), is = value(x[j]);
      if (was <= bound && was >= -bound) {
        wrong += bits_of(x[j]) != bits_of(before[j]);
        continue;
      }
      wrong += !(is <= bound && is >= -bound) || (is < 0 && was > 0) || (is > 0 && was < 0);
      // The next number away from zero is beyond the bound.
      const auto next = std::bit_cast<T>(static_cast<typename format<T>::word>(bits_of(x[j]) + 1));
      const double further = value(next);
      wrong += fedagg::is_finite(further) && further <= bound && further >= -bound;
    }
    CHECK(wrong == 0);
  };
  for (const std::size_t d : {0u, 1u, 9u, 700u})
    for (const double bound : {0.1, 1.0, 0.3333333, 1e-39, 70000.0, 1e39, 5e-8}) {
      of(1.0f, bound, d);
      of(1.0, bound, d);
      of(fedagg::float16{}, bound, d);
      of(fedagg::bfloat16{}, bound, d);
    }
  std::vector<float> a{5, -5, 0.5};
  std::vector<double> b{7};
  std::vector<std::int32_t> n{1000};
  mutable_model_view model;
  model.add("a", a).add("n", n).add("b", b);
  fedagg::clip_coordinates(model, 1);
  CHECK(a == std::vector<float>{1, -1, 0.5});
  CHECK(b[0] == 1);
  CHECK(n[0] == 1000);
  a[0] = 3;
  b[0] = std::bit_cast<double>(0xfff8000000000000u);
  fedagg::stream_fault fault;
  CHECK(fedagg::try_clip_coordinates(model, 1, {.write = write::atomic, .fault = &fault}) == errc::non_finite);
  CHECK(fault.tensor == 2);
  CHECK(a[0] == 3);
  fault = {};
  CHECK(fedagg::try_clip_coordinates(model, 1, {.fault = &fault}) == errc::non_finite);
  CHECK(fault.tensor == 2);
}

TEST_CASE("what cannot be clipped is refused before the first write") {
  std::vector<float> x{3, 4};
  const float first = x[0];
  mutable_model_view model;
  model.add("x", x);
  clip_result r{1, 2};
  const double inf = std::bit_cast<double>(0x7ff0000000000000u), nan = std::bit_cast<double>(0x7ff8000000000000u);
  for (const double bad : {0.0, -1.0, inf, nan}) {
    CHECK(fedagg::try_clip_norm(model, bad, r) == errc::bad_parameter);
    CHECK(fedagg::try_clip_layers(model, std::span(&bad, 1)) == errc::bad_parameter);
    CHECK(fedagg::try_clip_coordinates(model, bad) == errc::bad_parameter);
  }
  mutable_model_view tied; // the same memory twice would be scaled twice
  tied.add("x", x).add("y", x);
  CHECK(fedagg::try_clip_norm(tied, 100, r) == errc::overlapping_output);
  const double one[] = {1};
  CHECK(fedagg::try_clip_layers(tied, one) == errc::overlapping_output);
  CHECK(fedagg::try_clip_coordinates(tied, 1) == errc::overlapping_output);
  CHECK(fedagg::try_clip_norm(mutable_model_view(fedagg::tensor_view<float>(nullptr, 3)), 1, r) == errc::null_data);
  for (const float bad : {std::bit_cast<float>(0x7f800000u), std::bit_cast<float>(0xffc00000u)}) {
    x[1] = bad;
    fedagg::stream_fault fault;
    CHECK(fedagg::try_clip_norm(model, 1, r, {.fault = &fault}) == errc::non_finite);
    CHECK(fault.name == "x");
    CHECK(fedagg::try_clip_layers(model, one) == errc::non_finite);
    CHECK(x[0] == first);
  }
  CHECK(r.norm == 1);
  const auto lazy = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 1; i < count; ++i) t(i);
  };
  x[1] = 4;
  CHECK(fedagg::try_clip_norm(model, 1, r, {.executor = lazy}) == errc::executor_failed);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(fedagg::clip_norm(model, 0), fedagg::error);
  CHECK_THROWS_AS(fedagg::clip_layers(model, {}), fedagg::error);
  CHECK_THROWS_AS(fedagg::clip_coordinates(model, -1), fedagg::error);
  CHECK_THROWS_AS(fedagg::l2_norm(model_view(fedagg::tensor_view<float>(nullptr, 3))), fedagg::error);
#endif
}

TEST_CASE("the same norm and the same values on every instruction set and with threads") {
  for (const std::size_t d : {19u, 70000u}) {
    std::vector<float> first;
    double norm = 0;
    on_each_isa([&](fedagg::isa) {
      for (const std::size_t count : {1u, 3u}) {
        const threads pool{count};
        auto x = random<float>(kind::normal, d, 125);
        clip_result r;
        REQUIRE(fedagg::try_clip_norm(mutable_model_view(x), 1, r, {.executor = pool}) == errc::ok);
        if (first.empty()) first = x, norm = r.norm;
        CHECK(same_bits(x, first));
        CHECK(r.norm == norm);
      }
    });
  }
}
