// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fedagg/core/cohort.hpp>

#include "support/catch.hpp"

using fedagg::cohort;
using fedagg::errc;
using fedagg::tensor_view;

namespace {

template <class S>
concept client_from = requires(cohort c, S&& s) {
  c.add(static_cast<S&&>(s));
};
template <class S>
concept base_from = requires(cohort c, S&& s) {
  c.base(static_cast<S&&>(s));
};

} // namespace

static_assert(client_from<std::vector<float>&> && client_from<std::span<const float>> &&
              client_from<fedagg::model_view>);
static_assert(client_from<fedagg::mutable_model_view&>, "an output is also an input");
static_assert(!client_from<std::vector<float>> && !client_from<const std::vector<float>>, "a temporary client");
static_assert(!client_from<const char (&)[4]>, "a string");
static_assert(base_from<std::vector<float>&> && !base_from<std::vector<float>>, "a temporary base");

TEST_CASE("clients keep their order, weights and ids") {
  std::vector<float> a(2), b(2);
  cohort c;
  c.add(a).add(b, {.weight = 120, .id = "north"});
  REQUIRE(c.size() == 2);
  CHECK(c.weight(0) == 1);
  CHECK(c.weight(1) == 120);
  CHECK(c.id(0).empty());
  CHECK(c.id(1) == "north");
  CHECK(c.tensors(0)[0].tensor.data() == a.data());
  CHECK(c.tensors(1)[0].tensor.data() == b.data());
}

TEST_CASE("clients may have as many tensors as they like, also none") {
  std::vector<float> a(2), b(3);
  fedagg::model_view two, none;
  two.add("a", a).add("b", b);
  cohort c;
  c.add(two).add(none).add(a).add(two);
  REQUIRE(c.size() == 4);
  CHECK(c.tensors(0).size() == 2);
  CHECK(c.tensors(1).empty());
  CHECK(c.tensors(2).size() == 1);
  CHECK(c.tensors(3)[1].name == "b");
}

TEST_CASE("every row of a matrix is a client") {
  double m[24] = {};
  const std::size_t shape[] = {3, 4};
  const std::ptrdiff_t reversed[] = {-8, 2};
  cohort c;
  c.add_rows(tensor_view<const double>(m, shape));
  c.add_rows(tensor_view<double>(m + 16, shape, reversed));
  REQUIRE(c.size() == 6);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(c.tensors(i)[0].tensor.data() == m + 4 * i);
    CHECK(c.tensors(i)[0].tensor.size() == 4);
    CHECK(c.tensors(i + 3)[0].tensor.data() == m + 16 - 8 * i);
    CHECK(c.tensors(i + 3)[0].tensor.strides()[0] == 2);
  }
}

TEST_CASE("a matrix without columns has clients without elements, one without rows has none") {
  const std::size_t no_columns[] = {3, 0}, no_rows[] = {0, 3};
  cohort c;
  c.add_rows(tensor_view<float>(nullptr, no_rows));
  CHECK(c.size() == 0);
  c.add_rows(tensor_view<float>(nullptr, no_columns));
  CHECK(c.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(c.tensors(i)[0].tensor.status() == errc::ok);
}

TEST_CASE("a matrix that cannot be one is kept as a client that shows why") {
  const std::size_t shape[] = {2, 2};
  cohort c;
  c.add_rows(tensor_view<float>(nullptr, shape));
  REQUIRE(c.size() == 1);
  CHECK(c.tensors(0)[0].tensor.status() == errc::null_data);
}

TEST_CASE("weights given at once replace the clients' own, one per client") {
  std::vector<float> a(2);
  cohort c;
  c.add(a, {.weight = 5}).add(a, {.weight = 6});
  CHECK(c.status() == errc::ok);
  for (const std::size_t count : {0u, 1u, 3u}) {
    c.weights(std::vector<double>(count, 2.0));
    CHECK(c.status() == errc::weight_count);
  }
  c.weights(std::array{7.0, 8.0});
  CHECK(c.status() == errc::ok);
  CHECK(c.weight(0) == 7);
  CHECK(c.weight(1) == 8);
  c.add(a);
  CHECK(c.status() == errc::weight_count);
}

TEST_CASE("a base is an origin, and so is the word that these are updates") {
  std::vector<float> a(2);
  cohort c;
  CHECK_FALSE(c.has_origin());
  c.updates();
  CHECK(c.has_origin());
  CHECK_FALSE(c.has_base());
  cohort d;
  d.base(a);
  CHECK(d.has_base());
  CHECK(d.has_origin());
  CHECK(d.base().size() == 1);
}

TEST_CASE("a cleared cohort remembers nothing") {
  std::vector<float> a(2);
  cohort c;
  c.add(a, {.weight = 9, .id = "x"}).base(a).updates().weights(std::array{1.0});
  c.clear();
  CHECK(c.size() == 0);
  CHECK_FALSE(c.has_base());
  CHECK_FALSE(c.has_origin());
  CHECK(c.base().empty());
  CHECK(c.status() == errc::ok);
  c.add(a);
  CHECK(c.weight(0) == 1);
  CHECK(c.id(0).empty());
  CHECK(c.tensors(0).size() == 1);
}
