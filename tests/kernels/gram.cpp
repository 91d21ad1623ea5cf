// SPDX-License-Identifier: MIT
#include <fedagg/kernels/simd.hpp>

#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;

namespace {

using what = impl::gram_kind;
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

/// Whether the instruction set in use does what is defined, for floats (exact products) or doubles.
void check(what kind, std::size_t order, std::size_t count, bool some_blocks) {
  standard_mode();
  std::mt19937_64 random(order * 100 + count);
  std::vector<std::vector<double>> x(order, std::vector<double>(count));
  for (auto& row : x)
    for (double& v : row) {
      v = uniform(random) * power(static_cast<int>(random() % 20) - 10);
      if (kind == what::exact) v = static_cast<double>(static_cast<float>(v));
    }
  fedagg::impl::on_active_isa([&](auto tag) {
    using k = impl::gram_kernel<decltype(tag)>;
    const impl::gram_calls& calls = k::calls();
    const impl::gram_blocks& blocks = calls.blocks[static_cast<int>(kind)];
    // Rows of whole groups of lanes, anywhere in memory; behind the last one others up to a whole register block.
    const std::size_t padded = (count + 7) / 8 * 8;
    std::vector<std::vector<std::byte>> memory(order, std::vector<std::byte>(padded * sizeof(double) + 8));
    std::vector<const void*> rows;
    for (std::size_t i = 0; i < order; ++i) {
      const std::vector<float> single(x[i].begin(), x[i].end());
      std::byte* to = memory[i].data() + i % 2 * 8;
      kind == what::exact ? calls.floats(single.data(), nullptr, count, to)
                          : calls.doubles(x[i].data(), nullptr, count, to);
      rows.push_back(to);
    }
    rows.resize(order + impl::gram_panel - 1, rows[0]);
    // What is asked for need not be of any use.
    const std::vector<const std::byte*> ahead(order, memory[0].data());
    impl::gram_tile t;
    t.rows = rows.data();
    t.order = order;
    t.count = padded;
    t.ahead = ahead.data();
    t.ahead_rows = count % 2 * order;
    t.ahead_bytes = 64 * (count % 5);
    const std::size_t panels = (order + blocks.panel - 1) / blocks.panel;
    std::vector<unsigned char> wanted(panels * (panels + 1) / 2);
    for (std::size_t i = 0; i < wanted.size(); i += 2) wanted[i] = 1;
    if (some_blocks) t.wanted = wanted.data();
    std::vector<double> into(order * (order + 1) / 2, 0.25);
    impl::add_tile(blocks, t, into.data());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < order; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        const std::size_t which = i / blocks.panel * (i / blocks.panel + 1) / 2 + j / blocks.panel;
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
    for (const std::size_t count : {255u, 256u, 257u, 513u, 1024u}) check(kind, 7, count, false);
    for (std::size_t count = 1; count <= 64; ++count) check(kind, 5, count, false);
    for (const std::size_t order : {5u, 9u, 12u}) check(kind, order, 40, true);
  }
}

TEST_CASE("rows are centred in the arithmetic that is asked for") {
  standard_mode();
  std::mt19937_64 random(5);
  fedagg::impl::on_active_isa([&](auto tag) {
    using k = impl::gram_kernel<decltype(tag)>;
    constexpr std::size_t block = 32;
    using single = typename k::single;
    CHECK(k::calls().float_size == sizeof(single));
    for (std::size_t count = 1; count <= block; ++count) {
      std::vector<float> x(count), c(count);
      std::vector<double> wide(count);
      for (std::size_t j = 0; j < count; ++j) {
        x[j] = finite_pattern<float>(random);
        c[j] = j % 3 ? static_cast<float>(uniform(random)) : x[j] * 1.0000001f;
        wide[j] = uniform(random);
      }
      std::vector<single> less(block, 7), alone(block, 7);
      std::vector<double> both(block, 7), copy(block, 7), widened(block, 7);
      const std::vector<double> doubles(x.begin(), x.end());
      k::calls().floats(x.data(), c.data(), count, less.data());
      k::calls().floats(x.data(), nullptr, count, alone.data());
      k::calls().widened(x.data(), c.data(), count, widened.data());
      k::calls().doubles(doubles.data(), wide.data(), count, both.data());
      k::calls().doubles(doubles.data(), nullptr, count, copy.data());
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < (count + 7) / 8 * 8; ++j) {
        volatile float difference = j < count ? x[j] - c[j] : 0.0f;
        volatile double rounded = j < count ? static_cast<double>(x[j]) - wide[j] : 0.0;
        const double plain = j < count ? static_cast<double>(x[j]) : 0.0;
        wrong += bits_of(static_cast<double>(less[j])) != bits_of(static_cast<double>(difference));
        wrong += bits_of(widened[j]) != bits_of(static_cast<double>(difference));
        wrong += bits_of(static_cast<double>(alone[j])) != bits_of(plain);
        wrong += bits_of(both[j]) != bits_of(static_cast<double>(rounded));
        wrong += bits_of(copy[j]) != bits_of(plain);
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
