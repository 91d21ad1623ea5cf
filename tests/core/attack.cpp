// SPDX-License-Identifier: MIT
#include <fedagg/core/attack.hpp>

#include "support/attacks.hpp"

using namespace attacks;
using namespace fedagg::detail;

namespace {

enum class colour : std::uint8_t { red, green };

/// A user's attack: all zeros, times a parameter.
struct silence {
  double volume = fedagg::unset;
  std::int64_t count = 2;
  colour paint = colour::red;
  bool loud = false;

  static constexpr const char* name = "silence";
  static constexpr auto fields() {
    using a = silence;
    return std::tuple{fedagg::field{"volume", &a::volume, fedagg::unset, 5}, fedagg::field{"count", &a::count, 1, 3},
                      fedagg::field{"paint", &a::paint, 0, 1}, fedagg::field{"loud", &a::loud, 0, 1}};
  }
  template <class T>
  errc craft(const knowledge<T>& k, crafted<T> out, attack_workspace& space) const {
    space.begin();
    if (!parameters_in_range(*this)) return errc::bad_parameter;
    if (const errc rc = check_knowledge<T>(k, out); rc != errc::ok) return rc;
    for (T& x : out) x = T{};
    return errc::ok;
  }
  template <class T>
  errc craft(const knowledge<T>& k, crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }
};
static_assert(fedagg::attack<silence>);
struct no_craft {
  static constexpr const char* name = "no_craft";
  static constexpr auto fields() { return std::tuple{}; }
};
static_assert(!fedagg::attack<no_craft>);

} // namespace

TEST_CASE("a user's attack is as small as a rule") {
  const auto m = craft(silence{}, sample<float>(kind::normal, 3, 5, 1));
  CHECK(m.code == errc::ok);
  CHECK(m.row == std::vector<float>(5, 0.0f));
  check_refusals(silence{});
}

TEST_CASE("parameters are in the range of their fields, or not given") {
  CHECK(parameters_in_range(silence{}));
  CHECK(parameters_in_range(silence{.volume = 0}));
  CHECK(parameters_in_range(silence{.volume = 5}));
  CHECK(!parameters_in_range(silence{.volume = 5.1}));
  CHECK(!parameters_in_range(silence{.volume = -0.5}));
  CHECK(!parameters_in_range(silence{.volume = -2}));
  CHECK(!parameters_in_range(silence{.volume = std::bit_cast<double>(std::uint64_t{0x7ff8} << 48)}));
  CHECK(!parameters_in_range(silence{.count = 0}));
  CHECK(!parameters_in_range(silence{.count = 4}));
  CHECK(parameters_in_range(silence{.paint = colour::green, .loud = true}));
  CHECK(!parameters_in_range(silence{.paint = static_cast<colour>(2)}));
}

TEST_CASE("the clients of a round") {
  const std::vector<float> a{1};
  const std::vector<std::span<const float>> honest{a, a, a};
  CHECK(knowledge<float>{.honest = honest, .clients = 0, .hostile = 2}.total() == 5);
  CHECK(knowledge<float>{.honest = honest, .clients = 9, .hostile = 2}.total() == 9);
  std::vector<float> out(1);
  for (std::size_t clients = 1; clients < 8; ++clients) {
    const knowledge<float> k{.honest = honest, .clients = clients, .hostile = 2};
    CHECK(silence{}.craft(k, out) == (clients < 5 ? errc::bad_parameter : errc::ok));
  }
}

TEST_CASE("a direction that is nowhere is refused") {
  const std::vector<float> a{1};
  const std::vector<std::span<const float>> honest{a};
  std::vector<float> out(1);
  const knowledge<float> k{
      .honest = honest, .clients = 0, .hostile = 1, .direction = {static_cast<const float*>(nullptr), 1}};
  CHECK(silence{}.craft(k, out) == errc::null_data);
}

TEST_CASE("ranges of memory that touch do not overlap") {
  const char room[8] = {};
  CHECK(!overlap(room, 4, room + 4, 4));
  CHECK(!overlap(room + 4, 4, room, 4));
  CHECK(overlap(room, 5, room + 4, 4));
  CHECK(overlap(room + 4, 4, room, 5));
  CHECK(overlap(room, 8, room + 2, 1));
  CHECK(overlap(room + 2, 1, room, 8));
  CHECK(!overlap(room, 0, room, 8));
  CHECK(!overlap(room, 8, room + 2, 0));
}

TEST_CASE("a workspace forgets the last call and keeps its memory") {
  attack_workspace space;
  space.strength = space.damage = 1;
  space.evaluations = 3;
  space.reversed = space.no_direction = space.gave_up = true;
  const double* before = space.memory.take<double>(100).data();
  space.begin();
  CHECK(space.strength == 0);
  CHECK(space.damage == 0);
  CHECK(space.evaluations == 0);
  CHECK(!space.reversed);
  CHECK(!space.no_direction);
  CHECK(!space.gave_up);
  CHECK(space.memory.take<double>(100).data() == before);
}
