// SPDX-License-Identifier: MIT
#include <fedagg/passes/gram_tiles.hpp>

#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;
using impl::gram_source;

namespace {

/// One tensor of n rows and the memory for a task.
template <class T>
struct one_tensor {
  std::vector<fedagg::any_tensor> tensors;
  std::vector<const fedagg::any_tensor*> views;
  fedagg::detail::segment from;
  impl::gram_part part;
  gram_source source;
  std::vector<std::byte> bytes;

  explicit one_tensor(const matrix<T>& x, gram_source::centring centre) {
    for (std::size_t i = 0; i < x.n; ++i) tensors.emplace_back(fedagg::view(x.row(i)));
    for (const auto& t : tensors) views.push_back(&t);
    views.push_back(nullptr);
    from.type = fedagg::dtype_of<T>;
    part.from = &from;
    part.count = x.d;
    source.parts = {&part, 1};
    source.views = views.data();
    source.order = x.n;
    source.centre = centre;
    bytes.resize(impl::gram_tiles<>::bytes(source) + 64);
  }
  std::byte* memory() { return bytes.data() + (64 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 64) % 64; }
};

const impl::gram_calls& calls() {
  return fedagg::impl::on_active_isa(
      [](auto tag) -> const impl::gram_calls& { return impl::gram_kernel<decltype(tag)>::calls(); });
}

/// A float of a tile, whatever it has become.
double value(const impl::gram_tile& t, std::size_t row, std::size_t j) {
  return calls().float_size == 8 ? static_cast<const double*>(t.rows[row])[j]
                                 : static_cast<double>(static_cast<const float*>(t.rows[row])[j]);
}

} // namespace

TEST_CASE("chunks cover the tiles, are few, and depend on the shape alone") {
  for (const std::size_t order : {1u, 20u, 64u, 65u, 128u, 129u, 1000u, 5000u})
    for (const std::size_t tiles : {0u, 1u, 15u, 16u, 17u, 4095u, 4096u, 4097u, 1000000u}) {
      gram_source s;
      s.order = order;
      s.tiles = tiles;
      s.cut();
      INFO("order " << order << " tiles " << tiles);
      CHECK(s.chunks * s.tiles_per_chunk >= tiles);
      CHECK((tiles == 0 ? s.chunks == 0 : (s.chunks - 1) * s.tiles_per_chunk < tiles));
      CHECK(s.chunks <= 256);
      CHECK((s.chunks <= 16 || s.chunks * impl::gram_pair(order, 0) <= std::size_t{1} << 22));
      CHECK(s.tiles_per_chunk * s.block() >= 16384);
      CHECK(s.block(fedagg::dtype::f64) <= s.block());
    }
}

TEST_CASE("a tile belongs to the last part that starts before it") {
  std::vector<impl::gram_part> parts(5);
  const std::size_t first[] = {0, 1, 4, 5, 9};
  for (std::size_t i = 0; i < 5; ++i) parts[i].first_tile = first[i];
  gram_source s;
  s.parts = parts;
  const std::size_t want[] = {0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 4};
  for (std::size_t tile = 0; tile < 11; ++tile) CHECK(s.part_of(tile) == want[tile]);
}

TEST_CASE("the centre of models is a row of the lower middle norm, lowest index first, never a bad one") {
  const auto centre_of = [&](std::vector<float> scales, bool far_later = false) {
    matrix<float> x(scales.size(), 100);
    for (std::size_t i = 0; i < x.n; ++i)
      for (std::size_t j = 0; j < 100; ++j) x.at(i, j) = scales[i] * static_cast<float>(j + 1);
    if (far_later)
      for (std::size_t i = 0; i < x.n; ++i) x.at(i, 99) = 1e38f;
    one_tensor<float> one(x, gram_source::centring::middle_row);
    impl::gram_tiles<> t(one.source, one.memory());
    t.choose_middle(0, 0, 100);
    CHECK(t.centre(0, 0, 100));
    CHECK(&t.products(0) == &calls().blocks[static_cast<int>(impl::gram_kind::exact)]);
    const auto tile = t.load(0, 0, 100, nullptr);
    // The row that became zero is the centre.
    for (std::size_t i = 0; i < x.n; ++i) {
      bool zero = true;
      for (std::size_t j = 0; j < 3; ++j) zero = zero && value(tile, i, j) == 0;
      if (zero) return i;
    }
    return x.n;
  };
  const float inf = std::bit_cast<float>(0x7f800000u);
  CHECK(centre_of({5, 1, 3}) == 2);
  CHECK(centre_of({1, 4, 3, 2}) == 3);
  CHECK(centre_of({7, 7, 7}) == 0);
  CHECK(centre_of({1e30f, 2, 1e30f, 1, 3}) == 4);
  CHECK(centre_of({inf, 2, inf, 1, inf}) == 3);
  CHECK(centre_of({1, 2, 3}, true) == 3);
}

TEST_CASE("a tile asks for the next one only where there is one in memory") {
  matrix<float> x(3, 2100);
  one_tensor<float> one(x, gram_source::centring::none);
  impl::gram_tiles<> t(one.source, one.memory());
  const auto first = t.load(0, 0, 1024, nullptr), last = t.load(0, 2048, 52, nullptr);
  REQUIRE(first.ahead_rows == 3);
  CHECK(last.ahead_rows == 0);
  const auto again = t.load(0, 0, 1024, nullptr);
  for (std::size_t i = 0; i < 3; ++i) {
    // A page, so that nothing is left out and nothing lies in two.
    const auto* next = reinterpret_cast<const std::byte*>(x.row(i).data() + 1024);
    CHECK(again.ahead[i] >= next);
    CHECK(again.ahead[i] < next + 4096);
    CHECK(reinterpret_cast<std::uintptr_t>(again.ahead[i]) % again.ahead_bytes == 0);
  }
  CHECK(again.ahead_bytes == 4096);
  const unsigned char wanted[] = {0, 1, 0};
  CHECK(t.load(0, 0, 1024, wanted).ahead_rows == 1);
}

TEST_CASE("rows are used where they lie, but what is centred, a fraction of a group, or a half") {
  matrix<float> x(7, 1024);
  for (std::size_t i = 0; i < x.n; ++i)
    for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = static_cast<float>(i * 10000 + j);
  const bool in_place = calls().float_size == sizeof(float);
  one_tensor<float> one(x, gram_source::centring::none);
  impl::gram_tiles<> t(one.source, one.memory());
  const auto whole = t.load(0, 8, 16, nullptr);
  CHECK(whole.count == 16);
  for (std::size_t i = 0; i < x.n; ++i) {
    CHECK((whole.rows[i] == x.row(i).data() + 8) == in_place);
    CHECK(value(whole, i, 3) == x.at(i, 11));
  }
  for (std::size_t i = x.n; i < x.n + impl::gram_panel - 1; ++i) CHECK(whole.rows[i] != nullptr);
  const auto fraction = t.load(0, 8, 13, nullptr);
  CHECK(fraction.count == 16);
  for (std::size_t i = 0; i < x.n; ++i) {
    CHECK(fraction.rows[i] != x.row(i).data() + 8);
    for (std::size_t j = 0; j < 16; ++j) CHECK(value(fraction, i, j) == (j < 13 ? x.at(i, j + 8) : 0.0f));
  }
  const unsigned char wanted[] = {0, 1, 0, 0, 1, 0, 0};
  const auto some = t.load(0, 0, 1024, wanted);
  // Differences are taken of doubles.
  for (const std::size_t i : {1u, 4u}) CHECK(static_cast<const double*>(some.rows[i])[5] == x.at(i, 5));
  for (std::size_t i = 0; i < x.n + impl::gram_panel - 1; ++i) CHECK(some.rows[i] != nullptr);

  one_tensor<float> centred(x, gram_source::centring::last_row);
  impl::gram_tiles<> c(centred.source, centred.memory());
  REQUIRE(c.centre(0, 8, 16));
  const auto less = c.load(0, 8, 16, nullptr);
  for (std::size_t i = 0; i < x.n; ++i) CHECK(value(less, i, 3) == x.at(i, 11) - x.at(6, 11));

  matrix<fedagg::bfloat16> h(2, 16);
  for (std::size_t j = 0; j < h.d; ++j) h.at(1, j) = {static_cast<std::uint16_t>(0x3f80 + j)};
  one_tensor<fedagg::bfloat16> halves(h, gram_source::centring::none);
  impl::gram_tiles<> u(halves.source, halves.memory());
  const auto wide = u.load(0, 0, 16, nullptr);
  for (std::size_t j = 0; j < h.d; ++j) CHECK(value(wide, 1, j) == 1 + static_cast<double>(j) / 128);
}

TEST_CASE("rows of doubles are used where they lie; of many, those that lie on whole lines") {
  for (const std::size_t n : {3u, 65u})
    for (const std::size_t at : {0u, 1u}) {
      matrix<double> x(n, 32);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < x.d; ++j) x.at(i, j) = static_cast<double>(i * 100 + j);
      one_tensor<double> one(x, gram_source::centring::none);
      impl::gram_tiles<> t(one.source, one.memory());
      CHECK(&t.products(0) == &calls().blocks[static_cast<int>(impl::gram_kind::rounded)]);
      const auto tile = t.load(0, at, 16, nullptr);
      for (std::size_t i = 0; i < n; ++i) {
        const double* from = x.row(i).data() + at;
        CHECK((tile.rows[i] == from) == (n == 3 || reinterpret_cast<std::uintptr_t>(from) % 64 == 0));
        CHECK(static_cast<const double*>(tile.rows[i])[5] == x.at(i, at + 5));
      }
    }
}
