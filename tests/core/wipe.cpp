// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstring>

#include <fedagg/core/wipe.hpp>

#include "support/catch.hpp"

using fedagg::wipe;

namespace {

bool all(const unsigned char* data, std::size_t size, unsigned char value) {
  for (std::size_t i = 0; i < size; ++i)
    if (data[i] != value) return false;
  return true;
}

} // namespace

TEST_CASE("wiping leaves zeros") {
  unsigned char bytes[33];
  std::memset(bytes, 7, sizeof bytes);
  wipe(bytes, 32);
  CHECK(all(bytes, 32, 0));
  CHECK(bytes[32] == 7);
  wipe(bytes + 32, 0);
  CHECK(bytes[32] == 7);
  wipe(nullptr, 0);
}
