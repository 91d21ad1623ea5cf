// SPDX-License-Identifier: MIT
#include <cstdint>
#include <vector>

#include <fedagg/secure/protocol/client_set.hpp>
#include <fedagg/secure/protocol/transcript.hpp>
#include <fedagg/secure/protocol/wire.hpp>

#include "support/catch.hpp"
#include "support/toy_suite.hpp"

using namespace fedagg;

TEST_CASE("numbers and bytes are read as they were written") {
  std::vector<std::uint8_t> out;
  const std::uint8_t some[] = {9, 8, 7};
  wire_writer(out).u8(1).u32(0x04030201).u64(0x0807060504030201).bytes(some);
  CHECK(out == std::vector<std::uint8_t>{1, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7});
  wire_reader r(out);
  CHECK(r.u8() == 1);
  CHECK(r.u32() == 0x04030201);
  CHECK(r.u64() == 0x0807060504030201);
  CHECK(r.left() == 3);
  CHECK_FALSE(r.done());
  CHECK(r.array<3>() == std::array<std::uint8_t, 3>{9, 8, 7});
  CHECK(r.done());
}

TEST_CASE("past the end everything is zero, for good") {
  const std::uint8_t some[] = {1, 2, 3};
  for (int what = 0; what < 5; ++what) {
    wire_reader r(some);
    if (what == 0) CHECK(r.u32() == 0);
    if (what == 1) CHECK(r.u64() == 0);
    if (what == 2) CHECK(r.bytes(4).empty());
    if (what == 3) CHECK(r.array<4>() == std::array<std::uint8_t, 4>{});
    if (what == 4) {
      secret_bytes<4> s;
      s.data()[0] = 7;
      r.secret(s);
      CHECK(s.data()[0] == 0);
    }
    CHECK_FALSE(r.ok());
    CHECK(r.u8() == 0);
    CHECK(r.bytes(0).empty());
    CHECK_FALSE(r.done());
  }
}

TEST_CASE("a buffer of secrets grows and keeps what it has") {
  secret_buffer b;
  std::vector<std::uint8_t> expected;
  for (int k = 0; k < 300; ++k) {
    const std::vector<std::uint8_t> part(static_cast<std::size_t>(k % 17), static_cast<std::uint8_t>(k));
    wire_writer(b).bytes(part);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  REQUIRE(b.size() == expected.size());
  CHECK(std::memcmp(b.data(), expected.data(), expected.size()) == 0);
}

TEST_CASE("no two lists of parts hash alike") {
  using hash = transcript<fedagg_test::toy_suite>;
  const std::uint8_t text[] = {1, 2, 3};
  const bytes_view t(text);
  std::vector<digest> all = {
      hash("a").finish(),
      hash("b").finish(),
      hash("a").bytes(t).finish(),
      hash("a").bytes(t.first(1)).bytes(t.subspan(1)).finish(),
      hash("a").bytes(t.first(2)).bytes(t.subspan(2)).finish(),
      hash("a").bytes({}).finish(),
      hash("a").bytes({}).bytes({}).finish(),
      hash("a").number(0).number(0).finish(),
      hash("a").number(1).finish(),
  };
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      INFO(i << " " << j);
      // A number is eight bytes, and so is the length of no bytes.
      if (i == 7 && j == 6) continue;
      CHECK(all[i] != all[j]);
    }
  CHECK(hash("a").bytes(t).finish() == all[2]);
}

TEST_CASE("sets of clients") {
  for (const std::uint32_t n : {1u, 7u, 8u, 9u, 100u}) {
    client_set s(n), other(n);
    CHECK(s.size() == 0);
    CHECK(s.bytes().size() == client_set::bytes_for(n));
    for (std::uint32_t i = 0; i < n; i += 3) s.insert(i);
    s.insert(n); // nobody
    CHECK(s.size() == (n + 2) / 3);
    for (std::uint32_t i = 0; i < n + 20; ++i) CHECK(s.contains(i) == (i < n && i % 3 == 0));
    client_set copy;
    REQUIRE(client_set::from_bytes(n, s.bytes(), copy) == errc::ok);
    CHECK(copy == s);
    CHECK(other.within(s));
    CHECK_FALSE(s.within(other));
    CHECK_FALSE(s.within(client_set(n + 1)));
    CHECK(copy.size() == s.size());
    s.insert(0); // again
    s.erase(n);
    CHECK(copy == s);
    s.erase(0);
    s.erase(0);
    CHECK(s.size() + 1 == copy.size());
    CHECK(s.within(copy));
    CHECK_FALSE(copy.within(s));
    std::vector<std::uint8_t> bytes(copy.bytes().begin(), copy.bytes().end());
    bytes.push_back(0);
    CHECK(client_set::from_bytes(n, bytes, copy) == errc::message_format);
    bytes.pop_back();
    if (n % 8 != 0) {
      bytes.back() = static_cast<std::uint8_t>(bytes.back() | 1u << (n % 8));
      CHECK(client_set::from_bytes(n, bytes, copy) == errc::message_format);
    }
    bytes.pop_back();
    CHECK(client_set::from_bytes(n, bytes, copy) == errc::message_format);
  }
}
