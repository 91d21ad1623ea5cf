// SPDX-License-Identifier: MIT
#include <cstdint>

#include <fedagg/core/arena.hpp>

#include "support/allocations.hpp"
#include "support/catch.hpp"

using fedagg::arena;

namespace {

struct mark {
  char c;
  double d;
};

/// Takes of growing size, each filled; true if none was overwritten by a later one and all came as zeros.
bool round_of(arena& memory, std::size_t takes) {
  std::span<std::size_t> kept[40];
  bool fine = true;
  for (std::size_t i = 0; i < takes; ++i) {
    kept[i] = memory.take<std::size_t>(3 * i + 1);
    for (std::size_t& x : kept[i]) {
      fine = fine && x == 0;
      x = i + 1;
    }
  }
  for (std::size_t i = 0; i < takes; ++i)
    for (const std::size_t x : kept[i]) fine = fine && x == i + 1;
  return fine;
}

} // namespace

TEST_CASE("what is taken is zero, aligned, and stays until the reset") {
  arena memory;
  for (int round = 0; round < 3; ++round) {
    CHECK(round_of(memory, 40));
    memory.reset();
  }
  const auto bytes = memory.take<unsigned char>(3);
  const auto numbers = memory.take<double>(5);
  const auto marks = memory.take<mark>(2);
  CHECK(bytes.size() == 3);
  CHECK(reinterpret_cast<std::uintptr_t>(numbers.data()) % alignof(std::max_align_t) == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(marks.data()) % alignof(std::max_align_t) == 0);
}

TEST_CASE("nothing is nothing, also of an arena without memory") {
  arena memory;
  CHECK(memory.take<double>(0).empty());
  memory.reset();
  CHECK(memory.take<double>(0).empty());
}

TEST_CASE("from the third round of a size on nothing is allocated") {
  arena memory;
  for (int round = 0; round < 2; ++round) {
    CHECK(round_of(memory, 40));
    memory.reset();
  }
  const std::size_t before = allocations::count;
  const bool fine = round_of(memory, 40);
  memory.reset();
  const bool again = round_of(memory, 20);
  CHECK(allocations::count == before);
  CHECK((fine && again));
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("sizes beyond all memory, and memory that runs out") {
  arena memory;
  for (const std::size_t size :
       {static_cast<std::size_t>(-1) / 32, static_cast<std::size_t>(-1) / 8, static_cast<std::size_t>(-1)}) {
    // A sanitizer would end the program over a request of this size.
    bool thrown = false;
    try {
      const allocations::limit nothing(0);
      static_cast<void>(memory.take<double>(size));
    } catch (const std::bad_alloc&) {
      thrown = true;
    }
    CHECK(thrown);
  }
  for (std::size_t left = 0; left < 12; ++left) {
    arena other;
    {
      const allocations::limit limit(left);
      try {
        static_cast<void>(round_of(other, 40));
        other.reset();
      } catch (const std::bad_alloc&) {
      }
    }
    // It can be used as before.
    CHECK(round_of(other, 40));
    other.reset();
    CHECK(round_of(other, 40));
  }
}
#endif
