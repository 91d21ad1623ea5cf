// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fedagg/core/model_view.hpp>

#include "support/catch.hpp"

using fedagg::dtype;
using fedagg::integers;
using fedagg::model_view;
using fedagg::mutable_model_view;

static_assert(std::is_convertible_v<std::vector<float>&, mutable_model_view>);
static_assert(std::is_convertible_v<const std::vector<float>&, model_view>);
static_assert(!std::is_convertible_v<const std::vector<float>&, mutable_model_view>, "a const output");
static_assert(!std::is_convertible_v<std::vector<float>, model_view>, "a temporary model");
static_assert(!std::is_convertible_v<std::span<const float>, mutable_model_view>);
static_assert(std::is_convertible_v<mutable_model_view, model_view>);
static_assert(!std::is_convertible_v<model_view, mutable_model_view>);

namespace {

template <class Model, class Source>
concept takes = requires(Model m, Source&& s) {
  m.add("w", static_cast<Source&&>(s));
};

} // namespace

static_assert(takes<mutable_model_view, std::vector<float>&> && takes<model_view, const std::vector<float>&>);
static_assert(!takes<model_view, std::vector<float>>, "a temporary tensor");
static_assert(!takes<mutable_model_view, const std::vector<float>&>, "a const tensor of an output");
static_assert(!takes<mutable_model_view, std::span<const float>>);

TEST_CASE("tensors keep their order, names, types and policies") {
  std::vector<float> w = {1};
  std::array<std::int64_t, 2> steps = {};
  std::vector<fedagg::bfloat16> h(3);
  mutable_model_view m;
  m.add("w", w).add("steps", steps, integers::keep).add("h", h).add("w", std::span<float>(w));
  REQUIRE(m.size() == 4);
  const std::string names[] = {"w", "steps", "h", "w"};
  const dtype types[] = {dtype::f32, dtype::i64, dtype::bf16, dtype::f32};
  for (std::size_t k = 0; k < 4; ++k) {
    CHECK(m.entries()[k].name == names[k]);
    CHECK(m.entries()[k].tensor.type() == types[k]);
    CHECK((m.entries()[k].policy == integers::keep) == (k == 1));
  }
  CHECK(m.entries()[2].tensor.data() == h.data());
}

TEST_CASE("one tensor is a model of one nameless tensor") {
  std::vector<double> v(4);
  const model_view m = v;
  REQUIRE(m.size() == 1);
  CHECK(m.entries()[0].name.empty());
  CHECK(m.entries()[0].tensor.size() == 4);
}

TEST_CASE("an output is also an input, entry by entry") {
  std::vector<float> a(2);
  std::vector<std::uint8_t> b(3);
  mutable_model_view out;
  out.add("a", a).add("b", b, integers::keep);
  const model_view in = out;
  REQUIRE(in.size() == 2);
  CHECK(in.entries()[0].tensor.data() == a.data());
  CHECK(in.entries()[1].name == "b");
  CHECK(in.entries()[1].policy == integers::keep);
}

TEST_CASE("run-time typed tensors are added as they are, bad ones included") {
  const std::size_t shape[] = {4};
  model_view m;
  m.add("x", fedagg::any_tensor(dtype::f32, nullptr, shape));
  CHECK(m.entries()[0].tensor.status() == fedagg::errc::null_data);
}

TEST_CASE("a cleared model is empty") {
  std::vector<float> v(1);
  model_view m = v;
  m.clear();
  CHECK(m.size() == 0);
  CHECK(m.entries().empty());
}
