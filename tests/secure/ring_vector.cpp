// SPDX-License-Identifier: MIT
#include <fedagg/secure/ring_vector.hpp>

#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/numeric.hpp"

using fedagg::errc;
using fedagg::ring_layout;
using fedagg::ring_vector;

namespace {

ring_layout layout_of(std::initializer_list<std::pair<unsigned, std::uint64_t>> segments) {
  ring_layout layout;
  for (const auto& [bits, count] : segments) REQUIRE(layout.try_add(bits, count) == errc::ok);
  return layout;
}

void fill(ring_vector& v, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t k = 0; k < v.size(); ++k)
    v.visit(k, [&](auto words) {
      for (auto& w : words) w = static_cast<std::remove_reference_t<decltype(w)>>(random());
    });
}

bool same(const ring_vector& a, const ring_vector& b) {
  if (!(a.layout() == b.layout())) return false;
  for (std::size_t k = 0; k < a.size(); ++k)
    for (std::size_t i = 0; i < a.layout().segment(k).count; ++i)
      if (a.value(k, i) != b.value(k, i)) return false;
  return true;
}

} // namespace

TEST_CASE("packing as another library's tests have it") {
  std::ifstream in(std::string(FEDAGG_TESTS_DIR "/data/packing.json"));
  const nlohmann::json entries = nlohmann::json::parse(in, nullptr, false);
  REQUIRE(entries.is_array());
  REQUIRE(entries.size() == 2);
  for (const auto& e : entries) {
    const auto bits = static_cast<unsigned>(std::bit_width(e["modulus"].get<std::uint64_t>() - 1));
    const auto values = e["values"].get<std::vector<std::uint32_t>>();
    const auto expected = e["bytes"].get<std::vector<std::uint8_t>>();
    std::vector<std::uint8_t> out(expected.size());
    REQUIRE(fedagg::impl::packed_size(bits, values.size()) == expected.size());
    fedagg::impl::pack_words(values.data(), bits, values.size(), out.data());
    CHECK(out == expected);
    if (bits < 8) continue;
    ring_vector v;
    REQUIRE(v.try_reset(layout_of({{bits, values.size()}})) == errc::ok);
    for (std::size_t i = 0; i < values.size(); ++i)
      v.words<std::uint16_t>(0)[i] = static_cast<std::uint16_t>(values[i]);
    std::fill(out.begin(), out.end(), std::uint8_t{0xff});
    CHECK(fedagg::try_pack(v, out) == errc::ok);
    CHECK(out == expected);
  }
}

TEST_CASE("a layout says where its segments are") {
  const ring_layout layout = layout_of({{64, 3}, {32, 17}, {9, 3}, {16, 0}, {17, 33}});
  CHECK(layout.size() == 5);
  CHECK(layout.word_bytes(0) == 8);
  CHECK(layout.word_bytes(1) == 4);
  CHECK(layout.word_bytes(2) == 2);
  CHECK(layout.word_bytes(4) == 4);
  const std::size_t offsets[] = {0, 64, 192, 256, 256}, packed[] = {0, 24, 92, 96, 96};
  for (std::size_t k = 0; k < 5; ++k) {
    CHECK(layout.offset(k) == offsets[k]);
    CHECK(layout.packed_offset(k) == packed[k]);
  }
  CHECK(layout.storage_bytes() == 256 + 192);
  CHECK(layout.packed_bytes() == 96 + (17 * 33 + 7) / 8);
  CHECK(layout == layout_of({{64, 3}, {32, 17}, {9, 3}, {16, 0}, {17, 33}}));
  CHECK(!(layout == layout_of({{64, 3}, {32, 17}, {9, 3}, {17, 33}})));
  CHECK(!(layout_of({{31, 4}}) == layout_of({{32, 4}})));
}

TEST_CASE("segments that are none, or too large for memory, are refused") {
  ring_layout layout = layout_of({{8, 5}});
  for (const unsigned bits : {0u, 1u, 7u, 65u, ~0u}) CHECK(layout.try_add(bits, 1) == errc::bad_parameter);
  for (const std::uint64_t count :
       {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 61, std::uint64_t{1} << 60})
    CHECK(layout.try_add(64, count) == errc::size_overflow);
  CHECK(layout == layout_of({{8, 5}}));
  // Each of them fits, but not all together.
  errc rc = errc::ok;
  for (int k = 0; k < 20 && rc == errc::ok; ++k) rc = layout.try_add(64, std::uint64_t{1} << 57);
  CHECK(rc == errc::size_overflow);
  ring_vector v;
  REQUIRE(v.try_reset(layout_of({{8, 5}})) == errc::ok);
  fill(v, 1);
  const std::uint64_t before = v.value(0, 4);
#if !defined(__SANITIZE_ADDRESS__)
  CHECK(v.try_reset(layout) == errc::out_of_memory);
#endif
  CHECK(v.layout() == layout_of({{8, 5}}));
  CHECK(v.value(0, 4) == before);
}

TEST_CASE("a vector begins with zeros, aligned, and gives its words by their width") {
  ring_vector v;
  CHECK(v.size() == 0);
  const ring_layout layout = layout_of({{64, 3}, {20, 100}, {12, 7}});
  REQUIRE(v.try_reset(layout) == errc::ok);
  CHECK(v.words<std::uint64_t>(0).size() == 3);
  CHECK(v.words<std::uint32_t>(0).empty());
  CHECK(v.words<std::uint32_t>(1).size() == 100);
  CHECK(v.words<std::uint16_t>(2).size() == 7);
  CHECK(v.words<std::uint64_t>(2).empty());
  for (std::size_t k = 0; k < 3; ++k)
    v.visit(k, [&](auto words) {
      CHECK(reinterpret_cast<std::uintptr_t>(words.data()) % 64 == 0);
      for (const auto w : words) CHECK(w == 0);
    });
  v.words<std::uint32_t>(1)[5] = 0xfff80001;
  CHECK(v.value(1, 5) == 0x80001);
  CHECK(v.signed_value(1, 5) == -0x7ffff);
  v.words<std::uint16_t>(2)[0] = 0x17ff;
  CHECK(v.signed_value(2, 0) == 0x7ff);
  v.words<std::uint64_t>(0)[2] = ~std::uint64_t{0};
  CHECK(v.value(0, 2) == ~std::uint64_t{0});
  CHECK(v.signed_value(0, 2) == -1);

  ring_vector copy;
  REQUIRE(copy.try_copy(v) == errc::ok);
  CHECK(same(copy, v));
  REQUIRE(copy.try_copy(copy) == errc::ok);
  CHECK(same(copy, v));
  const auto* at = v.words<std::uint64_t>(0).data();
  ring_vector moved(std::move(v));
  CHECK(moved.words<std::uint64_t>(0).data() == at);
  CHECK(same(moved, copy));
  v = std::move(moved);
  CHECK(same(v, copy));
  // A smaller one keeps the memory, which is zero again.
  REQUIRE(v.try_reset(layout_of({{64, 2}, {32, 4}})) == errc::ok);
  CHECK(v.words<std::uint64_t>(0).data() == at);
  for (std::size_t i = 0; i < 4; ++i) CHECK(v.value(1, i) == 0);
  copy.clear();
  CHECK(copy.value(1, 5) == 0);
  CHECK(copy.layout() == layout);
}

TEST_CASE("vectors are packed, unpacked and added for every width") {
  for (unsigned bits = 8; bits <= 64; ++bits) {
    const ring_layout layout = layout_of({{64, 2}, {bits, 77}, {bits, 0}, {13, 5}, {bits, 1}});
    ring_vector a, b, sum, expected;
    for (ring_vector* v : {&a, &b, &sum, &expected}) REQUIRE(v->try_reset(layout) == errc::ok);
    fill(a, bits);
    fill(b, 100 + bits);
    std::vector<std::uint8_t> bytes(layout.packed_bytes(), 0xff), other(layout.packed_bytes());
    REQUIRE(fedagg::try_pack(a, bytes) == errc::ok);
    REQUIRE(fedagg::try_pack(b, other) == errc::ok);
    REQUIRE(fedagg::try_unpack(bytes, sum) == errc::ok);
    INFO(bits << " bits");
    CHECK(same(sum, a));
    for (std::size_t k = 0; k < layout.size(); ++k)
      expected.visit(k, [&](auto words) {
        for (std::size_t i = 0; i < words.size(); ++i)
          words[i] = static_cast<typename decltype(words)::value_type>(a.value(k, i) + b.value(k, i));
      });
    numeric::on_each_isa([&](fedagg::isa) {
      REQUIRE(sum.try_copy(a) == errc::ok);
      CHECK(fedagg::try_add(sum, b) == errc::ok);
      CHECK(same(sum, expected));
      REQUIRE(sum.try_copy(a) == errc::ok);
      CHECK(fedagg::try_add_packed(other, sum) == errc::ok);
      CHECK(same(sum, expected));
    });
    // What is above the bits is never sent.
    std::vector<std::uint8_t> again(layout.packed_bytes());
    REQUIRE(fedagg::try_unpack(bytes, sum) == errc::ok);
    REQUIRE(fedagg::try_pack(sum, again) == errc::ok);
    CHECK(again == bytes);
  }
}

TEST_CASE("messages of another size, or with bits that mean nothing, are refused with nothing written") {
  const ring_layout layout = layout_of({{9, 3}, {32, 2}, {11, 9}});
  ring_vector v, before;
  REQUIRE(v.try_reset(layout) == errc::ok);
  fill(v, 3);
  REQUIRE(before.try_copy(v) == errc::ok);
  std::vector<std::uint8_t> bytes(layout.packed_bytes() + 1);
  for (const std::size_t size : {std::size_t{0}, layout.packed_bytes() - 1, layout.packed_bytes() + 1}) {
    const std::span<std::uint8_t> part(bytes.data(), size);
    CHECK(fedagg::try_pack(v, part) == errc::message_format);
    CHECK(fedagg::try_unpack(part, v) == errc::message_format);
    CHECK(fedagg::try_add_packed(part, v) == errc::message_format);
  }
  bytes.resize(layout.packed_bytes());
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{0});
    bytes[bit / 8] = static_cast<std::uint8_t>(1u << bit % 8);
    const bool means_nothing = (bit >= 27 && bit < 32) || bit >= 32 + 64 + 99;
    ring_vector w;
    REQUIRE(w.try_copy(before) == errc::ok);
    CHECK(fedagg::try_add_packed(bytes, w) == (means_nothing ? errc::message_format : errc::ok));
    CHECK(same(w, before) == means_nothing);
    REQUIRE(w.try_copy(before) == errc::ok);
    CHECK(fedagg::try_unpack(bytes, w) == (means_nothing ? errc::message_format : errc::ok));
    CHECK(same(w, before) == means_nothing);
    refused += means_nothing;
  }
  CHECK(refused == 10);
  CHECK(same(v, before));

  ring_vector other;
  REQUIRE(other.try_reset(layout_of({{9, 3}, {32, 2}, {11, 8}})) == errc::ok);
  CHECK(fedagg::try_add(v, other) == errc::layout_mismatch);
  CHECK(same(v, before));
  ring_vector none;
  CHECK(fedagg::try_pack(none, {}) == errc::ok);
  CHECK(fedagg::try_add_packed({}, none) == errc::ok);
}
