// SPDX-License-Identifier: MIT
#include <cstdint>
#include <vector>

#include <fedagg/core/archive.hpp>

#include "support/catch.hpp"
#include "support/memory_archive.hpp"

using fedagg::errc;
using fedagg_test::memory_archive;

namespace {

struct inner {
  std::uint64_t round = 0;
  std::vector<float> sums;
  template <class Archive>
  errc archive(Archive& a) {
    if (const errc rc = a.value("round", round); rc != errc::ok) return rc;
    std::size_t count = sums.size();
    if (const errc rc = a.count("sums", count); rc != errc::ok) return rc;
    if (a.loading()) sums.resize(count);
    return a.array("sums", std::span<float>(sums));
  }
};

struct middle {
  inner first, second;
  template <class Archive>
  errc archive(Archive& a) {
    if (const errc rc = fedagg::archive_part(a, "first", first); rc != errc::ok) return rc;
    return fedagg::archive_part(a, "second", second);
  }
};

struct outer {
  middle parts;
  std::vector<char> text;
  fedagg::model_layout layout;
  template <class Archive>
  errc archive(Archive& a) {
    if (const errc rc = fedagg::archive_part(a, "parts", parts); rc != errc::ok) return rc;
    if (const errc rc = a.layout("layout", layout); rc != errc::ok) return rc;
    return a.value("text", text);
  }
};

} // namespace

TEST_CASE("parts of parts have names of their own") {
  outer saved;
  saved.parts.first = {7, {1, 2, 3}};
  saved.parts.second = {8, {}};
  saved.text = {'h', 'i'};
  memory_archive a;
  REQUIRE(a.save(saved) == errc::ok);
  CHECK(a.twice.empty());
  for (const char* name : {"parts.first.round", "parts.first.sums", "parts.second.round", "layout.types", "text"})
    CHECK(a.items.count(name) == 1);

  outer loaded;
  REQUIRE(a.load(loaded) == errc::ok);
  CHECK(loaded.parts.first.round == 7);
  CHECK(loaded.parts.first.sums == std::vector<float>{1, 2, 3});
  CHECK(loaded.parts.second.round == 8);
  CHECK(loaded.parts.second.sums.empty());
  CHECK(loaded.text == saved.text);
}

TEST_CASE("a part's error is the whole's") {
  outer saved;
  memory_archive a;
  REQUIRE(a.save(saved) == errc::ok);
  a.items.erase("parts.second.sums");
  outer loaded;
  CHECK(a.load(loaded) == errc::file_format);
}
