// SPDX-License-Identifier: MIT
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include <fedagg/core/errc.hpp>

#include "support/catch.hpp"

using fedagg::errc;
using fedagg::message;

static_assert(static_cast<int>(errc::ok) == 0, "ok is zero");
static_assert(noexcept(message(errc::ok)));
static_assert(message(errc::ok)[0] == 'o', "messages are constants");

namespace {

constexpr int codes = static_cast<int>(errc::bad_sum) + 1;
const char* const fallback = message(static_cast<errc>(-1));

} // namespace

TEST_CASE("every code has a sentence of its own, without a full stop") {
  std::vector<std::string> seen;
  for (int i = 0; i < codes; ++i) {
    const char* text = message(static_cast<errc>(i));
    REQUIRE(text != nullptr);
    INFO("code " << i << ": " << text);
    CHECK(std::strlen(text) > 0);
    CHECK(text[std::strlen(text) - 1] != '.');
    CHECK(std::strcmp(text, fallback) != 0);
    for (const auto& other : seen) CHECK(other != text);
    seen.emplace_back(text);
  }
}

TEST_CASE("a number that is no code has a sentence too") {
  for (const int i : {-1, codes, 1000000}) CHECK(std::strcmp(message(static_cast<errc>(i)), "unknown error") == 0);
}

TEST_CASE("codes fit where a pass packs them with a tensor's index") { CHECK(codes <= 64); }
