// SPDX-License-Identifier: MIT
#include <string>
#include <type_traits>

#include <fedagg/core/chain.hpp>
#include <fedagg/mixing/arc.hpp>
#include <fedagg/mixing/nnm.hpp>
#include <fedagg/rules/krum.hpp>
#include <fedagg/rules/mean.hpp>

#include "support/catch.hpp"

using namespace fedagg;

namespace elsewhere {

/// A stage of a user's.
struct swapped {
  static constexpr const char* name = "swapped";
  static constexpr geometry_needs needs = geometry_needs::nothing;
  static constexpr auto fields() { return std::tuple{}; }
  errc mix(const geometry&, arena&, affine_map&) const { return errc::ok; }
};

/// A rule of a user's.
struct lowest {
  static constexpr const char* name = "lowest";
  static constexpr auto fields() { return std::tuple{}; }
};

} // namespace elsewhere

namespace {

template <class A, class B>
concept pipes = requires(const A& a, const B& b) {
  a | b;
};

} // namespace

static_assert(mixing_stages<arc> && mixing_stages<chained<arc, nnm>> && !mixing_stages<krum>);
static_assert(chained_rule<chained<arc, nnm, krum>> && !chained_rule<chained<arc, nnm>> && !chained_rule<krum>);
static_assert(rule_value<chained<arc, krum>>);
static_assert(pipes<arc, krum> && pipes<arc, nnm> && pipes<chained<arc, nnm>, mean>);
// Nothing follows a rule.
static_assert(!pipes<krum, arc> && !pipes<krum, krum> && !pipes<chained<arc, krum>, mean>);
static_assert(!pipes<arc, int> && !pipes<int, krum>);

TEST_CASE("a chain holds its parts in order, however it was written") {
  constexpr auto piped = arc{.f = 1} | nnm{.f = 2} | krum{.f = 3};
  constexpr auto called = chain(arc{.f = 1}, nnm{.f = 2}, krum{.f = 3});
  static_assert(std::is_same_v<decltype(piped), const chained<arc, nnm, krum>>);
  static_assert(std::is_same_v<decltype(called), decltype(piped)>);
  CHECK(piped.parts.first.f == 1);
  CHECK(piped.parts.rest.first.f == 2);
  CHECK(piped.parts.rest.rest.first.f == 3);
  CHECK(called.parts.rest.rest.first.f == 3);
}

TEST_CASE("stages can be joined first, and are values") {
  constexpr auto stages = arc{.f = 1} | nnm{.f = 2};
  constexpr auto one = stages | krum{.f = 3}, other = stages | krum{.f = 4};
  static_assert(std::is_same_v<decltype(one), const chained<arc, nnm, krum>>);
  CHECK(one.parts.rest.rest.first.f == 3);
  CHECK(other.parts.rest.rest.first.f == 4);
  CHECK(other.parts.first.f == 1);
}

TEST_CASE("parts of the user's own are found beside the library's") {
  static_assert(std::is_same_v<decltype(elsewhere::swapped{} | krum{}), chained<elsewhere::swapped, krum>>);
  static_assert(std::is_same_v<decltype(nnm{} | elsewhere::lowest{}), chained<nnm, elsewhere::lowest>>);
  // Where no part is the library's, the function is found by its name.
  static_assert(std::is_same_v<decltype(fedagg::chain(elsewhere::swapped{}, elsewhere::lowest{})),
                               chained<elsewhere::swapped, elsewhere::lowest>>);
  static_assert(std::is_same_v<decltype(fedagg::chain(elsewhere::swapped{}, elsewhere::swapped{}, elsewhere::lowest{})),
                               chained<elsewhere::swapped, elsewhere::swapped, elsewhere::lowest>>);
  CHECK(std::string(decltype(nnm{} | krum{})::name) == "chain");
}
