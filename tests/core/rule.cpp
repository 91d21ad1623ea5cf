// SPDX-License-Identifier: MIT
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <tuple>

#include <fedagg/core/rule.hpp>

#include "support/catch.hpp"

using fedagg::errc;
using fedagg::field;
using fedagg::rule_value;

namespace elsewhere {

enum class colour : unsigned char { red, green };
inline constexpr const char* colours[] = {"red", "green"};
constexpr fedagg::name_list value_names(colour) noexcept { return {colours, 2}; }

/// A user's rule, outside of the library's namespaces.
struct painted {
  std::int64_t count = fedagg::unset;
  double share = 0.25;
  bool loud = false;
  colour paint = colour::red;
  static constexpr const char* name = "painted";
  static constexpr auto fields() {
    return std::tuple{field{"count", &painted::count, -1, 10}, field{"share", &painted::share, 0, 0.5, "a share"},
                      field{"loud", &painted::loud, 0, 1}, field{"paint", &painted::paint, 0, 1}};
  }
};

struct nameless {
  static constexpr auto fields() { return std::tuple{}; }
};
struct without_fields {
  static constexpr const char* name = "x";
};
struct fields_of_another_kind {
  static constexpr const char* name = "x";
  static constexpr int fields() { return 0; }
};
struct with_state {
  explicit with_state(int) {}
  static constexpr const char* name = "x";
  static constexpr auto fields() { return std::tuple{}; }
};
struct not_copyable {
  not_copyable(const not_copyable&) = delete;
  static constexpr const char* name = "x";
  static constexpr auto fields() { return std::tuple{}; }
};
struct linear {
  static constexpr const char* name = "linear";
  static constexpr auto fields() { return std::tuple{}; }
  errc combine(std::span<const double>, std::span<double>, double&) const noexcept { return errc::ok; }
};
struct linear_that_throws {
  static constexpr const char* name = "linear";
  static constexpr auto fields() { return std::tuple{}; }
  errc combine(std::span<const double>, std::span<double>, double&) const { return errc::ok; }
};

} // namespace elsewhere

static_assert(rule_value<elsewhere::painted>);
static_assert(!rule_value<elsewhere::nameless> && !rule_value<elsewhere::without_fields>);
static_assert(!rule_value<elsewhere::fields_of_another_kind> && !rule_value<elsewhere::with_state>);
static_assert(!rule_value<elsewhere::not_copyable> && !rule_value<int>);
static_assert(fedagg::linear_rule<elsewhere::linear> && !fedagg::linear_rule<elsewhere::linear_that_throws>);
static_assert(!fedagg::ordered_rule<elsewhere::linear> && !fedagg::linear_rule<elsewhere::painted>);

TEST_CASE("a field knows its name, its range and what it is about") {
  const auto [count, share, loud, paint] = elsewhere::painted::fields();
  CHECK(std::string(share.name) == "share");
  CHECK(std::string(share.about) == "a share");
  CHECK(std::string(count.about).empty());
  CHECK(loud.in_range({}));
  CHECK(paint.in_range({}));
}

TEST_CASE("ranges are closed, and no NaN lies in one") {
  const auto count = std::get<0>(elsewhere::painted::fields());
  const auto share = std::get<1>(elsewhere::painted::fields());
  for (const std::int64_t good : {-1, 0, 10}) CHECK(count.in_range({.count = good}));
  for (const std::int64_t bad : {std::int64_t{-2}, std::int64_t{11}, INT64_MAX, INT64_MIN})
    CHECK_FALSE(count.in_range({.count = bad}));
  for (const double good : {0.0, 0.5, 0.1}) CHECK(share.in_range({.share = good}));
  for (const double bad : {-0.1, 0.6}) CHECK_FALSE(share.in_range({.share = bad}));
  for (const std::uint64_t bits :
       {0x7ff8000000000000u, 0xfff8000000000000u, 0x7ff0000000000000u, 0xfff0000000000000u, 0x7ff0000000000001u})
    CHECK_FALSE(share.in_range({.share = std::bit_cast<double>(bits)}));
}

TEST_CASE("names of an enumeration's values are found where the enumeration is") {
  CHECK(value_names(fedagg::weights::trusted).count == 2);
  CHECK(std::string(value_names(fedagg::weights::trusted).names[1]) == "trusted");
  CHECK(std::string(value_names(elsewhere::colour::red).names[0]) == "red");
}
