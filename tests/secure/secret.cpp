// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

#include <fedagg/secure/secret.hpp>

#include "support/catch.hpp"

using fedagg::secret_bytes;

static_assert(std::is_same_v<fedagg::signing_key, secret_bytes<64>>);
template <class T>
concept comparable = requires(const T& a) { a == a; };
static_assert(!comparable<fedagg::secret_key>);

namespace {

bool all(const unsigned char* data, std::size_t size, unsigned char value) {
  for (std::size_t i = 0; i < size; ++i)
    if (data[i] != value) return false;
  return true;
}

} // namespace

TEST_CASE("a secret is zero at first and wiped when it goes") {
  alignas(secret_bytes<32>) unsigned char memory[sizeof(secret_bytes<32>)];
  std::memset(memory, 9, sizeof memory);
  auto* secret = new (memory) secret_bytes<32>;
  CHECK(all(memory, sizeof memory, 0));
  std::memset(secret->data(), 5, secret->size());
  CHECK(all(memory, sizeof memory, 5));
  secret->~secret_bytes();
  // Read through a pointer that the compiler cannot follow: the object is gone.
  const volatile unsigned char* left = memory;
  for (std::size_t i = 0; i < sizeof memory; ++i) CHECK(left[i] == 0);
}

TEST_CASE("a secret copies its bytes") {
  std::uint8_t from[16];
  for (std::uint8_t i = 0; i < 16; ++i) from[i] = i;
  const secret_bytes<16> a{std::span<const std::uint8_t, 16>(from)};
  secret_bytes<16> b = a;
  CHECK(std::memcmp(b.bytes().data(), from, 16) == 0);
  b.clear();
  CHECK(b.data()[15] == 0);
  CHECK(a.data()[15] == 15);
}
