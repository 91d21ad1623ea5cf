// SPDX-License-Identifier: MIT
#include <string>
#include <utility>

#include <fcntl.h>

#include <fedagg/formats/io/mapped_file.hpp>

#include "formats/folder.hpp"
#include "support/catch.hpp"

using fedagg::errc;
using fedagg::mapped_file;

TEST_CASE("a file as memory") {
  folder here;
  fedagg::file_error error;
  mapped_file file;
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{4096}, (std::size_t{1} << 20), (std::size_t{3} << 20) + 5}) {
    std::string content(size, '\0');
    for (std::size_t k = 0; k < size; ++k) content[k] = static_cast<char>(k * 7 + k / 1000);
    put(here / "f", content);
    REQUIRE(mapped_file::try_open(here / "f", file, error) == errc::ok);
    REQUIRE(file.bytes().size() == size);
    CHECK(std::memcmp(file.bytes().data(), content.data(), size) == 0);
  }
  put(here / "empty", "");
  mapped_file empty;
  REQUIRE(mapped_file::try_open(here / "empty", empty, error) == errc::ok);
  CHECK(empty.bytes().empty());
}

TEST_CASE("moves leave nothing behind and nothing open") {
  folder here;
  fedagg::file_error error;
  put(here / "f", "abc");
  const int before = ::open("/dev/null", O_RDONLY);
  ::close(before);
  mapped_file a;
  REQUIRE(mapped_file::try_open(here / "f", a, error) == errc::ok);
  mapped_file b(std::move(a));
  CHECK(a.bytes().empty());
  CHECK(b.bytes().size() == 3);
  a = std::move(b);
  mapped_file& self = a;
  a = std::move(self);
  CHECK(a.bytes().size() == 3);
  const int after = ::open("/dev/null", O_RDONLY);
  ::close(after);
  CHECK(before == after);
}

TEST_CASE("a failure leaves the old mapping in place") {
  folder here;
  fedagg::file_error error;
  put(here / "f", "abc");
  mapped_file a;
  REQUIRE(mapped_file::try_open(here / "f", a, error) == errc::ok);
  CHECK(mapped_file::try_open(here / "absent", a, error) == errc::file_not_found);
  CHECK(a.bytes().size() == 3);
}
