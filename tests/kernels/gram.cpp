// SPDX-License-Identifier: MIT
#include <fedagg/kernels/simd.hpp>

#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;

namespace {

enum class what { exact, rounded, differences };
constexpr what all_kinds_of_sums[] = {what::exact, what::rounded, what::differences};

/// The definition, one rounding at a time: coordinate j belongs to lane j mod 8, lanes l and l + 4 are added up, then 2
/// and 1 apart.
double defined(what kind, const std::vector<double>& x, const std::vector<double>& y, std::size_t count) {
  volatile double lane[8] = {};
  for (std::size_t j = 0; j < count; ++j) {
    volatile double term = kind == what::differences ? x[j] - y[j] : x[j];
    term = term * (kind == what::differences ? term : y[j]);
    lane[j % 8] = lane[j % 8] + term;
  }
  for (std::size_t half = 4; half > 0; half /= 2)
    for (std::size_t l = 0; l < half; ++l) lane[l] = lane[l] + lane[l + half];
  return lane[0];
}

template <class Isa>
void run(what kind, const impl::gram_tile& t, double* into) {
  impl::add_tile(impl::gram_kernel<Isa>::calls().blocks[static_cast<int>(kind)], t, into);
}

/// Whether the instruction set in use does what is defined, for floats (exact products) or doubles.
void check(what kind, std::size_t order, std::size_t count, bool some_blocks) {
  standard_mode();
  constexpr std::size_t block = 64, stride = block + 8;
  std::mt19937_64 random(order * 100 + count);
  std::vector<std::vector<double>> x(order, std::vector<double>(count));
  for (auto& row : x)
    for (double& v : row) {
      v = uniform(random) * power(static_cast<int>(random() % 20) - 10);
      if (kind == what::exact) v = static_cast<double>(static_cast<float>(v));
    }
  fedagg::impl::on_active_isa([&](auto tag) {
    using k = impl::gram_kernel<decltype(tag)>;
    // Behind the rows there are others up to a whole register block.
    std::vector<double> memory((order + 3) * stride + 8, 1e300);
    auto* rows = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64 / 8;
    for (std::size_t i = 0; i < order; ++i)
      k::calls().doubles(x[i].data(), nullptr, count, rows + i * stride, block);
    impl::gram_tile t;
    t.rows = rows;
    t.stride = stride;
    t.order = order;
    t.count = count;
    t.block = block;
    const std::size_t panels = (order + k::panel - 1) / k::panel;
    std::vector<unsigned char> wanted(panels * (panels + 1) / 2);
    for (std::size_t i = 0; i < wanted.size(); i += 2) wanted[i] = 1;
    if (some_blocks) t.wanted = wanted.data();
    std::vector<double> into(order * (order + 1) / 2, 0.25);
    run<decltype(tag)>(kind, t, into.data());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < order; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        const std::size_t which = i / k::panel * (i / k::panel + 1) / 2 + j / k::panel;
        volatile double want = 0.25;
        if (!some_blocks || wanted[which]) want = want + defined(kind, x[i], x[j], count);
        wrong += bits_of(into[i * (i + 1) / 2 + j]) != bits_of(static_cast<double>(want));
      }
    INFO("kind " << static_cast<int>(kind) << " rows " << order << " coordinates " << count
                 << (some_blocks ? " some blocks" : ""));
    CHECK(wrong == 0);
  });
}

} // namespace

TEST_CASE("sums of a tile are as defined, to the bit") {
  for (const what kind : all_kinds_of_sums) {
    for (std::size_t order = 1; order <= 13; ++order)
      for (const std::size_t count : {1u, 7u, 8u, 9u, 31u, 64u}) check(kind, order, count, false);
    for (std::size_t count = 1; count <= 64; ++count) check(kind, 5, count, false);
    for (const std::size_t order : {5u, 9u, 12u}) check(kind, order, 40, true);
  }
}

TEST_CASE("rows are centred in the arithmetic that is asked for") {
  standard_mode();
  std::mt19937_64 random(5);
  fedagg::impl::on_active_isa([&](auto tag) {
    using k = impl::gram_kernel<decltype(tag)>;
    constexpr std::size_t block = 32, per_part = block / k::parts;
    for (std::size_t count = 1; count <= block; ++count) {
      std::vector<float> x(count), c(count);
      std::vector<double> wide(count);
      for (std::size_t j = 0; j < count; ++j) {
        x[j] = finite_pattern<float>(random);
        c[j] = j % 3 ? static_cast<float>(uniform(random)) : x[j] * 1.0000001f;
        wide[j] = uniform(random);
      }
      std::vector<double> single(block, 7), both(block, 7), alone(block, 7);
      const std::vector<double> doubles(x.begin(), x.end());
      k::calls().floats_less(x.data(), c.data(), count, single.data(), block);
      k::calls().doubles_less(doubles.data(), wide.data(), count, both.data(), block);
      k::calls().floats(x.data(), nullptr, count, alone.data(), block);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < (count + 7) / 8 * 8; ++j) {
        // Where coordinate j lies: parts of `wide` lanes, one after the other.
        const std::size_t at = j % 8 / k::wide * per_part + j / 8 * k::wide + j % k::wide;
        volatile float difference = j < count ? x[j] - c[j] : 0.0f;
        volatile double rounded = j < count ? static_cast<double>(x[j]) - wide[j] : 0.0;
        wrong += bits_of(single[at]) != bits_of(static_cast<double>(difference));
        wrong += bits_of(both[at]) != bits_of(static_cast<double>(rounded));
        wrong += bits_of(alone[at]) != bits_of(j < count ? static_cast<double>(x[j]) : 0.0);
      }
      INFO("coordinates " << count);
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("values too large for a centre are found wherever they stand") {
  const auto on = [](auto tag, auto below, auto limit, auto nan) {
    using k = impl::gram_kernel<decltype(tag)>;
    using T = decltype(below);
    for (std::size_t count = 1; count <= 40; ++count)
      for (std::size_t at = 0; at < count; at += 3) {
        std::vector<T> x(count, below);
        CHECK(!k::far(x.data(), count));
        x[at] = -limit;
        CHECK(k::far(x.data(), count));
        x[at] = nan;
        CHECK(k::far(x.data(), count));
      }
  };
  fedagg::impl::on_active_isa([&](auto tag) {
    on(tag, std::bit_cast<float>(0x72ffffffu), 0x1p103f, std::bit_cast<float>(0xffc00000u));
    on(tag, std::bit_cast<double>(std::uint64_t{0x58efffffffffffff}), 0x1p400,
       std::bit_cast<double>(std::uint64_t{0xfff8000000000000}));
  });
}
