// SPDX-License-Identifier: MIT
#include <fedagg/core/geometry.hpp>

#include "support/catch.hpp"

using namespace fedagg;

namespace {

struct rule {
  static constexpr const char* name = "rule";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr auto fields() { return std::tuple{}; }
  errc coefficients(const geometry&, arena&, solution&) const { return errc::ok; }
};
struct selecting : rule {
  errc second(std::size_t, nearest_values&) const { return errc::ok; }
};
struct stage {
  static constexpr const char* name = "stage";
  static constexpr geometry_needs needs = geometry_needs::nothing;
  static constexpr auto fields() { return std::tuple{}; }
  errc mix(const geometry&, arena&, affine_map&) const { return errc::ok; }
};
struct without_needs {
  static constexpr const char* name = "without_needs";
  static constexpr auto fields() { return std::tuple{}; }
  errc coefficients(const geometry&, arena&, solution&) const { return errc::ok; }
};
struct returns_nothing {
  static constexpr const char* name = "returns_nothing";
  static constexpr geometry_needs needs = geometry_needs::norms;
  static constexpr auto fields() { return std::tuple{}; }
  void coefficients(const geometry&, arena&, solution&) const {}
};

} // namespace

static_assert(geometric_rule<rule> && !selecting_rule<rule> && !mixing<rule>);
static_assert(selecting_rule<selecting>);
static_assert(mixing<stage> && !geometric_rule<stage>);
static_assert(!geometric_rule<without_needs> && !geometric_rule<returns_nothing>);
static_assert(geometry_needs::nothing < geometry_needs::norms && geometry_needs::norms < geometry_needs::trusted &&
              geometry_needs::trusted < geometry_needs::distances);

TEST_CASE("a geometry is indexed by row, the trusted row last") {
  const double distances[] = {0, 1, 2, 1, 0, 3, 2, 3, 0};
  const double products[] = {4, 5, 6, 5, 7, 8, 6, 8, 9};
  const std::size_t clients[] = {2, 5};
  geometry g;
  g.rows = 2;
  g.has_trusted = true;
  g.distances = distances;
  g.products = products;
  CHECK(g.order() == 3);
  CHECK(g.square_distance(0, 2) == 2);
  CHECK(g.square_distance(2, 1) == 3);
  CHECK(g.product(1, 2) == 8);
  CHECK(g.client(1) == 1);
  g.clients = clients;
  CHECK(g.client(0) == 2);
  CHECK(g.client(1) == 5);
  g.has_trusted = false;
  CHECK(g.order() == 2);
}

TEST_CASE("a map is filled row by row") {
  arena memory;
  affine_map map;
  map.start(memory, 3, 4, 5);
  map.put(1, 0.5);
  map.put(3, 0.5);
  map.end_row();
  map.end_row();
  map.put(0, 1);
  map.end_row();
  CHECK((map.out == 3 && map.in == 4 && map.rows_done == 3));
  REQUIRE(map.row(0).size() == 2);
  CHECK((map.row(0)[1].index == 3 && map.row(0)[1].share == 0.5));
  CHECK(map.row(1).empty());
  REQUIRE(map.row(2).size() == 1);
  CHECK(map.row(2)[0].index == 0);
  // The next use starts anew.
  map.start(memory, 1, 1, 1);
  CHECK((map.rows_done == 0 && map.entries_done == 0));
}
