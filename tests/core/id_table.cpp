// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/core/id_table.hpp>

#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/memory_archive.hpp"

using fedagg::errc;
using fedagg::id_table;
using fedagg_test::memory_archive;

TEST_CASE("ids are numbered in the order of their addition") {
  std::vector<std::string> names;
  for (int k = 0; k < 300; ++k) names.push_back("site-" + std::to_string(k));
  names.push_back("site");
  names.push_back(std::string("si\0te", 5));
  std::mt19937 random(3);
  std::shuffle(names.begin(), names.end(), random);
  id_table t;
  CHECK(t.find("site") == id_table::none);
  for (std::size_t k = 0; k < names.size(); ++k) {
    CHECK(t.find(names[k]) == id_table::none);
    REQUIRE(t.add(names[k]) == errc::ok);
  }
  REQUIRE(t.size() == names.size());
  for (std::size_t k = 0; k < names.size(); ++k) {
    CHECK(t[k] == names[k]);
    CHECK(t.find(names[k]) == k);
    CHECK(t.add(names[k]) == errc::duplicate_client);
  }
  CHECK(t.add("") == errc::bad_parameter);
  CHECK(t.find("") == id_table::none);
  CHECK(t.find("site-999") == id_table::none);
  CHECK(t.find("a") == id_table::none);
  CHECK(t.find("z") == id_table::none);
  CHECK(t.size() == names.size());
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("without memory the table stays as it was") {
  std::size_t failures = 0;
  id_table t;
  for (int k = 0; k < 40; ++k) {
    const std::string name = "client-number-" + std::to_string(k);
    for (std::size_t more = 0;; ++more) {
      const id_table before = t;
      bool threw = false;
      {
        const allocations::limit none(more);
        try {
          static_cast<void>(t.add(name));
        } catch (const std::bad_alloc&) {
          threw = true;
        }
      }
      if (!threw) break;
      ++failures;
      REQUIRE(t == before);
      CHECK(t.find(name) == id_table::none);
    }
    REQUIRE(t.find(name) == static_cast<std::size_t>(k));
  }
  CHECK(failures > 10);
}
#endif

TEST_CASE("a table is saved and loaded") {
  id_table t, loaded, empty;
  for (const char* id : {"north", "south", "west", "an"}) REQUIRE(t.add(id) == errc::ok);
  REQUIRE(loaded.add("old") == errc::ok);
  memory_archive a;
  REQUIRE(a.save(t) == errc::ok);
  REQUIRE(a.load(loaded) == errc::ok);
  CHECK(loaded == t);
  CHECK(loaded.find("west") == 2);
  REQUIRE(a.save(empty) == errc::ok);
  REQUIRE(a.load(loaded) == errc::ok);
  CHECK(loaded == empty);

  const auto refused = [&](std::vector<std::uint8_t> ids, std::vector<std::uint64_t> ends) {
    struct raw {
      std::vector<std::uint8_t> ids;
      std::vector<std::uint64_t> ends;
      errc archive(memory_archive& to) {
        static_cast<void>(to.array("ids", ids));
        return to.array("ends", ends);
      }
    } r{ids, ends};
    memory_archive file;
    REQUIRE(file.save(r) == errc::ok);
    id_table into;
    return file.load(into) == errc::file_format;
  };
  CHECK_FALSE(refused({'a', 'b', 'c'}, {1, 3}));
  CHECK(refused({'a', 'b', 'c'}, {1, 2}));
  CHECK(refused({'a', 'b', 'c'}, {1, 4}));
  CHECK(refused({'a', 'b', 'c'}, {1, 1, 3}));
  CHECK(refused({'a', 'b', 'c'}, {2, 1, 3}));
  CHECK(refused({'a', 'b', 'c'}, {0, 3}));
  CHECK(refused({'a', 'b', 'a'}, {1, 2, 3}));
  CHECK(refused({'a'}, {}));
  CHECK(refused({'a'}, {std::uint64_t{1} << 63}));
}
