// SPDX-License-Identifier: MIT
#include <cstring>
#include <string>
#include <type_traits>

#include <fedagg/core/error.hpp>

#include "support/catch.hpp"

using fedagg::errc;
using fedagg::error;

static_assert(std::is_nothrow_copy_constructible_v<error>, "an exception that cannot throw while it is copied");
static_assert(std::is_nothrow_copy_assignable_v<error>);
static_assert(std::is_base_of_v<std::exception, error>);

TEST_CASE("an error is its code's sentence and what it is about") {
  CHECK(std::string(error(errc::null_data).what()) == fedagg::message(errc::null_data));
  CHECK(error(errc::null_data).code() == errc::null_data);
  CHECK(std::string(error(errc::overflow, "tensor 'w'").what()) ==
        std::string(fedagg::message(errc::overflow)) + ": tensor 'w'");
  CHECK(std::string(error(errc::overflow, "").what()) == fedagg::message(errc::overflow));
}

TEST_CASE("long details are cut at 511 characters, not overrun") {
  const std::string prefix = std::string(fedagg::message(errc::overflow)) + ": ";
  for (const std::size_t extra : {0u, 1u, 2u, 100u, 100000u}) {
    const std::string detail(511 - prefix.size() - 1 + extra, 'x');
    const error e(errc::overflow, detail);
    const std::string want = (prefix + detail).substr(0, 511);
    CHECK(std::string(e.what()) == want);
  }
}

TEST_CASE("a copy holds its own text") {
  error copy(errc::ok);
  {
    const error first(errc::file_io, "disk");
    copy = first;
  }
  CHECK(copy.code() == errc::file_io);
  CHECK(std::string(copy.what()).find("disk") != std::string::npos);
}

TEST_CASE("a detail need not end in zero, and percent signs are text") {
  const char text[] = {'%', 's', '%', 'n', 'Z'};
  const error e(errc::file_io, std::string_view(text, 4));
  CHECK(std::string(e.what()) == std::string(fedagg::message(errc::file_io)) + ": %s%n");
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("raise throws the typed error, which is a std::exception") {
  try {
    fedagg::impl::raise(errc::empty_cohort, "here");
    FAIL("it returned");
  } catch (const std::exception& e) {
    const auto* typed = dynamic_cast<const error*>(&e);
    REQUIRE(typed != nullptr);
    CHECK(typed->code() == errc::empty_cohort);
    CHECK(std::string(typed->what()).find("here") != std::string::npos);
  }
}
#endif
