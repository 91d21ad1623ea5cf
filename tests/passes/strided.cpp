// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <fedagg/passes/strided.hpp>

#include "compiled/rules.hpp"
#include "support/rounds.hpp"

using namespace rounds;
using fedagg::any_mutable_tensor;
using fedagg::any_tensor;
using fedagg::dtype;
using fedagg::tensor_view;
namespace impl = fedagg::impl;

namespace {

struct layout {
  std::vector<std::size_t> shape;
  std::vector<std::ptrdiff_t> strides;
  std::size_t size() const {
    std::size_t n = 1;
    for (const std::size_t s : shape) n *= s;
    return n;
  }
  /// Where element i (row-major) lies, by the definition of strides.
  std::ptrdiff_t offset(std::size_t i) const {
    std::ptrdiff_t at = 0;
    for (std::size_t k = shape.size(); k-- > 0; i /= shape[k])
      at += static_cast<std::ptrdiff_t>(i % shape[k]) * strides[k];
    return at;
  }
};

/// Random shapes and strides: negative, zero, gaps, transposed, single elements with any stride.
layout random_layout(std::mt19937_64& random, bool output) {
  layout l;
  const std::size_t rank = random() % 5;
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < rank; ++k) {
    l.shape.push_back(1 + random() % 5);
    order.push_back(k);
  }
  std::shuffle(order.begin(), order.end(), random);
  l.strides.resize(rank);
  std::ptrdiff_t step = 1;
  for (const std::size_t k : order) {
    step *= 1 + static_cast<std::ptrdiff_t>(random() % 2);
    l.strides[k] = random() % 4 == 0 ? -step : step;
    if (!output && random() % 5 == 0) l.strides[k] = 0;
    step *= static_cast<std::ptrdiff_t>(l.shape[k]);
  }
  return l;
}

constexpr std::size_t middle = 20000;

template <class T>
void gathers_and_scatters() {
  std::mt19937_64 random(sizeof(T));
  std::vector<T> memory(2 * middle), packed(700), back;
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<T>(i * 2654435761u);
  for (int round = 0; round < 300; ++round) {
    const layout l = random_layout(random, true);
    const any_mutable_tensor t(fedagg::dtype_of<T>, memory.data() + middle, l.shape, l.strides);
    const std::size_t begin = random() % l.size(), count = random() % (l.size() - begin + 1);
    impl::gather(any_tensor(t), begin, count, packed.data());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i)
      wrong += packed[i] != memory[static_cast<std::size_t>(static_cast<std::ptrdiff_t>(middle) + l.offset(begin + i))];
    CHECK(wrong == 0);
    back = memory;
    for (std::size_t i = 0; i < count; ++i) {
      packed[i] = static_cast<T>(random());
      back[static_cast<std::size_t>(static_cast<std::ptrdiff_t>(middle) + l.offset(begin + i))] = packed[i];
    }
    impl::scatter(t, begin, count, packed.data());
    // Every element, and nothing beside them.
    CHECK(memory == back);
  }
}

} // namespace

TEST_CASE("gather and scatter touch the elements that shape and strides name, in row-major order") {
  gathers_and_scatters<std::uint8_t>();
  gathers_and_scatters<std::uint16_t>();
  gathers_and_scatters<std::uint32_t>();
  gathers_and_scatters<std::uint64_t>();
}

TEST_CASE("strided rounds give the bits of packed ones, for every rule") {
  std::mt19937_64 random(17);
  std::vector<std::vector<float>> memory(6, std::vector<float>(2 * middle));
  for (std::size_t i = 0; i < 5; ++i)
    for (float& x : memory[i]) x = static_cast<float>(numeric::uniform(random));
  for (int round = 0; round < 40; ++round) {
    const layout to = random_layout(random, true);
    std::vector<layout> from(5);
    for (layout& l : from) {
      // Clients of the same shape, each with strides of its own.
      l.shape = to.shape;
      l.strides = random_layout(random, false).strides;
      l.strides.resize(l.shape.size(), 3);
    }
    numeric::matrix<float> packed(5, to.size());
    fedagg::cohort clients;
    for (std::size_t i = 0; i < 5; ++i) {
      for (std::size_t j = 0; j < packed.d; ++j)
        packed.at(i, j) = memory[i][static_cast<std::size_t>(static_cast<std::ptrdiff_t>(middle) + from[i].offset(j))];
      clients.add(tensor_view<const float>(memory[i].data() + middle, from[i].shape, from[i].strides));
    }
    on_each_rule([&](const auto& rule) {
      const auto want = numeric::aggregated(rule, packed);
      fedagg::workspace space;
      memory[5].assign(2 * middle, -7.0f);
      const tensor_view<float> out(memory[5].data() + middle, to.shape, to.strides);
      REQUIRE(fedagg::try_aggregate(rule, clients, out, space, {.grain = 1 + static_cast<std::size_t>(round)}) ==
              errc::ok);
      std::vector<float> expected(2 * middle, -7.0f);
      for (std::size_t j = 0; j < packed.d; ++j)
        expected[static_cast<std::size_t>(static_cast<std::ptrdiff_t>(middle) + to.offset(j))] = want[j];
      CHECK(numeric::same_bits(memory[5], expected));
    });
  }
}

TEST_CASE("a spoiled element is found through any strides, and what lies between the elements is not read") {
  for (const std::ptrdiff_t stride : {-3, -1, 0, 2, 5}) {
    std::vector<float> good(2000, 1), bad(2000, 1);
    // All that is not an element is a NaN.
    for (std::size_t i = 0; i < good.size(); ++i)
      if (stride == 0 ? i != 1000 : (static_cast<std::ptrdiff_t>(i) - 1000) % stride != 0) spoil(good[i], 0);
    const std::size_t shape[] = {100};
    const std::ptrdiff_t strides[] = {stride};
    spoil(bad[static_cast<std::size_t>(1000 + 99 * stride)], 2);
    fedagg::cohort clients;
    clients.add(tensor_view<const float>(good.data() + 1000, shape, strides));
    clients.add(tensor_view<const float>(bad.data() + 1000, shape, strides));
    clients.add(tensor_view<const float>(good.data() + 1000, shape, strides));
    std::vector<float> out(100);
    fedagg::workspace space;
    INFO("stride " << stride);
    REQUIRE(fedagg::try_aggregate(fedagg::median{}, clients, out, space) == errc::ok);
    REQUIRE(space.result().rejected.size() == 1);
    CHECK(space.result().rejected[0].client == 1);
    CHECK(out == std::vector<float>(100, 1));
  }
}

TEST_CASE("doubles round half to even, whatever their size") {
  const std::pair<double, double> cases[] = {{0.5, 0},
                                             {1.5, 2},
                                             {2.5, 2},
                                             {-0.5, 0},
                                             {-1.5, -2},
                                             {-2.5, -2},
                                             {0.49999999999999994, 0},
                                             {4503599627370495.5, 4503599627370496.0},
                                             {4503599627370494.5, 4503599627370494.0},
                                             {4503599627370497.0, 4503599627370497.0},
                                             {9007199254740993.0, 9007199254740992.0},
                                             {-3.2, -3},
                                             {1e300, 1e300}};
  for (const auto& [x, want] : cases) CHECK(impl::round_half_even(x) == want);
}

TEST_CASE("doubles beyond an integer type's range fit no integer; its ends do") {
  const auto check = [](auto tag) {
    using T = decltype(tag);
    constexpr dtype type = fedagg::dtype_of<T>;
    T to[1];
    const auto fits = [&](double x) {
      to[0] = 42;
      const bool good = impl::doubles_to_integer(type, &x, 1, to);
      if (!good) CHECK(to[0] == 42);
      return good;
    };
    const double bits = static_cast<double>(sizeof(T) * 8 - std::numeric_limits<T>::is_signed);
    const double limit = numeric::power(static_cast<int>(bits));
    CHECK_FALSE(fits(limit));
    CHECK_FALSE(fits(std::bit_cast<double>(bad_doubles[0])));
    CHECK_FALSE(fits(std::bit_cast<double>(bad_doubles[1])));
    CHECK_FALSE(fits(std::bit_cast<double>(bad_doubles[2])));
    if constexpr (sizeof(T) < 8) {
      CHECK(fits(limit - 1));
      CHECK(to[0] == std::numeric_limits<T>::max());
      CHECK_FALSE(fits(limit - 0.5));
      CHECK(fits(limit - 0.75));
    }
    if constexpr (std::numeric_limits<T>::is_signed) {
      CHECK(fits(-limit));
      CHECK(to[0] == std::numeric_limits<T>::min());
      CHECK_FALSE(fits(sizeof(T) < 8 ? -limit - 0.75 : -limit * (1 + 0x1p-52)));
    } else {
      CHECK(fits(-0.5));
      CHECK(to[0] == 0);
      CHECK_FALSE(fits(-0.75));
    }
  };
  check(std::int8_t{});
  check(std::int16_t{});
  check(std::int32_t{});
  check(std::int64_t{});
  check(std::uint8_t{});
  check(std::uint16_t{});
  check(std::uint32_t{});
  check(std::uint64_t{});
}
