// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <fedagg/secure/protocol/key_schedule.hpp>
#include <fedagg/secure/ring_vector.hpp>

#include "support/catch.hpp"
#include "support/toy_suite.hpp"

using namespace fedagg;
using fedagg_test::toy_suite;

namespace {

struct pair {
  secret_key secret;
  public_key shown = {};
  explicit pair(std::uint64_t seed) {
    toy_suite s(seed, 1);
    s.random(secret.bytes());
    s.agreement_public(secret, shown);
  }
};
using plain = std::vector<std::uint8_t>;
plain of(const secret_key& k) { return {k.data(), k.data() + 32}; }
plain of(const digest& d) { return {d.begin(), d.end()}; }

digest context_of_byte(std::uint8_t x) {
  digest d = {};
  d[31] = x;
  return d;
}

} // namespace

TEST_CASE("both sides of a pair have the same keys, and the other way round another one") {
  const toy_suite suite;
  const digest context = context_of_byte(1);
  const key_schedule<toy_suite> keys(suite, context);
  const pair a(1), b(2);
  for (const auto& [i, j] : {std::pair<std::uint32_t, std::uint32_t>{3, 8}, {8, 3}, {0, 999999}}) {
    secret_key a_to_b, a_from_b, b_to_a, b_from_a;
    REQUIRE(keys.share_keys(a.secret, b.shown, i, j, a_to_b, a_from_b));
    REQUIRE(keys.share_keys(b.secret, a.shown, j, i, b_to_a, b_from_a));
    CHECK(of(a_to_b) == of(b_from_a));
    CHECK(of(a_from_b) == of(b_to_a));
    CHECK(of(a_to_b) != of(a_from_b));
    mask_key mine, theirs;
    REQUIRE(keys.pair_mask(a.secret, b.shown, i, j, mine));
    REQUIRE(keys.pair_mask(b.secret, a.shown, j, i, theirs));
    CHECK(of(mine.key) == of(theirs.key));
    CHECK(mine.subtract == (i > j));
    CHECK(theirs.subtract != mine.subtract);
    CHECK(of(mine.key) != of(a_to_b));
    CHECK(of(mine.key) != of(a_from_b));
  }
}

TEST_CASE("a key of low order is refused") {
  const toy_suite suite;
  const digest context = {};
  const key_schedule<toy_suite> keys(suite, context);
  const pair a(1);
  secret_key to, from;
  mask_key mask;
  CHECK_FALSE(keys.share_keys(a.secret, public_key{}, 0, 1, to, from));
  CHECK_FALSE(keys.pair_mask(a.secret, public_key{}, 0, 1, mask));
}

TEST_CASE("every key and hash is of its purpose, its clients and its round") {
  const toy_suite suite;
  const pair a(1), b(2);
  std::vector<plain> all;
  const std::uint8_t share[] = {1, 2, 3}, other_share[] = {1, 2, 4};
  for (const std::uint8_t round : {std::uint8_t{1}, std::uint8_t{2}}) {
    const digest context = context_of_byte(round);
    const key_schedule<toy_suite> keys(suite, context);
    for (const auto& [i, j] : {std::pair<std::uint32_t, std::uint32_t>{3, 8}, {8, 3}, {3, 9}, {4, 8}}) {
      secret_key to, from;
      mask_key mask;
      if (i < j) {
        REQUIRE(keys.share_keys(a.secret, b.shown, i, j, to, from));
        all.push_back(of(to));
        all.push_back(of(from));
        REQUIRE(keys.pair_mask(a.secret, b.shown, i, j, mask));
        all.push_back(of(mask.key));
      }
      for (const share_of kind : {share_of::self_mask, share_of::mask_key})
        for (const bytes_view s : {bytes_view(share), bytes_view(other_share), bytes_view(share).first(2)})
          all.push_back(of(keys.share_hash(kind, i, j, s)));
      const digest x = context_of_byte(7), y = context_of_byte(8);
      all.push_back(of(keys.share_binding(i, j, x, x, y)));
      all.push_back(of(keys.share_binding(i, j, x, y, x)));
      all.push_back(of(keys.share_binding(i, j, y, x, x)));
    }
    for (const std::uint32_t i : {3u, 4u})
      for (const pair* p : {&a, &b}) {
        mask_key mask;
        mask.subtract = true;
        keys.self_mask(p->secret, i, mask);
        CHECK_FALSE(mask.subtract);
        all.push_back(of(mask.key));
        all.push_back(of(keys.seed_hash(p->secret, i)));
      }
    all.push_back(of(keys.survivors(share, other_share)));
    all.push_back(of(keys.survivors(other_share, share)));
    all.push_back(of(keys.survivors(share, share)));
  }
  const std::size_t count = all.size();
  std::sort(all.begin(), all.end());
  CHECK(static_cast<std::size_t>(std::unique(all.begin(), all.end()) - all.begin()) == count);
}

TEST_CASE("the formulas, by hand") {
  const toy_suite suite;
  const digest context = context_of_byte(5);
  const key_schedule<toy_suite> keys(suite, context);
  const pair a(1), b(2);
  std::vector<std::uint8_t> in;
  const auto number = [&](std::uint64_t x) {
    for (int k = 0; k < 8; ++k) in.push_back(static_cast<std::uint8_t>(x >> 8 * k));
  };
  const auto part = [&](bytes_view p) {
    number(p.size());
    in.insert(in.end(), p.begin(), p.end());
  };
  const auto label = [&](const char* text) {
    in.clear();
    part({reinterpret_cast<const std::uint8_t*>(text), std::strlen(text)});
    part(context);
  };
  const auto hash = [&] {
    toy_suite::hasher h;
    h.update(in);
    return h.finish();
  };
  secret_key shared, to, from, expected;
  mask_key mask;
  REQUIRE(suite.agree(a.secret, b.shown, shared));

  REQUIRE(keys.share_keys(a.secret, b.shown, 9, 2, to, from));
  label("fedagg share key");
  number(9);
  number(2);
  suite.derive(shared, hash(), expected);
  CHECK(of(to) == of(expected));

  REQUIRE(keys.pair_mask(a.secret, b.shown, 9, 2, mask));
  label("fedagg pair mask");
  number(2);
  number(9);
  suite.derive(shared, hash(), expected);
  CHECK(of(mask.key) == of(expected));

  keys.self_mask(a.secret, 9, mask);
  label("fedagg self mask");
  number(9);
  number(9);
  suite.derive(a.secret, hash(), expected);
  CHECK(of(mask.key) == of(expected));

  label("fedagg self mask hash");
  number(9);
  part(a.secret.bytes());
  CHECK((keys.seed_hash(a.secret, 9) == hash()));

  const std::uint8_t share[] = {1, 2, 3};
  label("fedagg share hash");
  number(2);
  number(9);
  number(4);
  part(share);
  CHECK((keys.share_hash(share_of::mask_key, 9, 4, share) == hash()));

  const digest x = context_of_byte(7), y = context_of_byte(8), z = context_of_byte(9);
  label("fedagg sealed shares");
  number(9);
  number(4);
  part(x);
  part(y);
  part(z);
  CHECK((keys.share_binding(9, 4, x, y, z) == hash()));

  label("fedagg survivors");
  part(share);
  part(x);
  CHECK((keys.survivors(share, x) == hash()));
}

TEST_CASE("a mask stands on every segment of a vector, each with a stream of its own") {
  ring_layout layout;
  REQUIRE(layout.try_add(16, 7) == errc::ok);
  REQUIRE(layout.try_add(32, 0) == errc::ok);
  REQUIRE(layout.try_add(32, 5) == errc::ok);
  REQUIRE(layout.try_add(64, 5) == errc::ok);
  REQUIRE(layout.try_add(32, 5) == errc::ok);
  ring_vector x;
  REQUIRE(x.try_reset(layout) == errc::ok);
  mask_key key;
  key.key.data()[3] = 9;
  REQUIRE(add_masks(chacha20_masks{}, x, std::span<const mask_key>(&key, 1)) == errc::ok);
  for (std::size_t k = 0; k < layout.size(); ++k) {
    std::vector<std::uint8_t> stream(static_cast<std::size_t>(layout.segment(k).count) * layout.word_bytes(k));
    REQUIRE(chacha20_masks{}.keystream(key.key, k, 0, stream));
    for (std::size_t i = 0; i < layout.segment(k).count; ++i) {
      std::uint64_t word = 0;
      for (std::size_t b = 0; b < layout.word_bytes(k); ++b)
        word |= std::uint64_t{stream[i * layout.word_bytes(k) + b]} << 8 * b;
      CHECK(x.value(k, i) == word);
    }
  }
  CHECK(x.value(2, 0) != x.value(4, 0));
  key.subtract = true;
  REQUIRE(add_masks(chacha20_masks{}, x, std::span<const mask_key>(&key, 1)) == errc::ok);
  for (std::size_t k = 0; k < layout.size(); ++k)
    for (std::size_t i = 0; i < layout.segment(k).count; ++i) CHECK(x.value(k, i) == 0);
}
