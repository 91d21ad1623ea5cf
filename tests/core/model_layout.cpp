// SPDX-License-Identifier: MIT
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <fedagg/core/model_layout.hpp>

#include "support/catch.hpp"
#include "support/memory_archive.hpp"

using fedagg::any_tensor;
using fedagg::dtype;
using fedagg::errc;
using fedagg::integers;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg_test::memory_archive;

namespace {

struct sample {
  std::vector<float> w = std::vector<float>(6);
  std::vector<std::int64_t> steps = {3};
  std::vector<fedagg::bfloat16> h = std::vector<fedagg::bfloat16>(4);
  double one = 1;
  std::string name = "layer.w";

  mutable_model_view model() {
    const std::size_t matrix[] = {2, 3}, empty[] = {4, 0};
    mutable_model_view m;
    m.add(name, fedagg::tensor_view<float>(w.data(), matrix)).add("steps", steps, integers::keep).add("h", h);
    m.add("one", fedagg::any_mutable_tensor(dtype::f64, &one, {}));
    m.add("", fedagg::any_mutable_tensor(dtype::u8, nullptr, empty));
    m.add("nothing", fedagg::any_mutable_tensor());
    m.add("exotic", fedagg::any_mutable_tensor(dtype::other, h.data(), matrix));
    return m;
  }
};

std::vector<std::size_t> shape_of(const model_layout& l, std::size_t k) {
  return {l.shape(k).begin(), l.shape(k).end()};
}

} // namespace

TEST_CASE("a layout outlives the model that it is taken from") {
  model_layout l;
  {
    sample s;
    l = model_layout(s.model());
    s.name = "another";
  }
  REQUIRE(l.status() == errc::ok);
  REQUIRE(l.size() == 7);
  CHECK(l.name(0) == "layer.w");
  CHECK(l.name(4).empty());
  CHECK(l.name(6) == "exotic");
  CHECK(l.type(1) == dtype::i64);
  CHECK(l.policy(1) == integers::keep);
  CHECK(l.policy(2) == integers::average);
  CHECK(shape_of(l, 0) == std::vector<std::size_t>{2, 3});
  CHECK(shape_of(l, 3).empty());
  CHECK(shape_of(l, 4) == std::vector<std::size_t>{4, 0});
  CHECK(l.elements(0) == 6);
  CHECK(l.elements(3) == 1);
  CHECK(l.elements(4) == 0);
  CHECK(l.elements(5) == 0);
  CHECK(l.elements_before(3) == 11);
  CHECK(l.elements() == 6 + 1 + 4 + 1 + 6);
}

TEST_CASE("only a model of the same names, types and shapes matches") {
  sample s;
  const mutable_model_view m = s.model();
  const model_layout l(m);
  CHECK(l.matches(m) == errc::ok);
  CHECK(l.matches(model_view(m)) == errc::ok);
  CHECK(l.matches(model_layout(m)) == errc::ok);

  model_view shorter;
  for (std::size_t k = 0; k + 1 < m.size(); ++k) shorter.add(m.entries()[k].name, m.entries()[k].tensor);
  CHECK(l.matches(shorter) == errc::client_layout);
  CHECK(l.matches(model_layout(shorter)) == errc::client_layout);

  // Each difference by itself; the policy is not one, for matching.
  const std::size_t turned[] = {3, 2}, flat[] = {6}, matrix[] = {2, 3};
  const auto with_first = [&](std::string_view name, const any_tensor& t, integers policy = integers::average) {
    model_view other;
    other.add(name, t, policy);
    for (std::size_t k = 1; k < m.size(); ++k)
      other.add(m.entries()[k].name, m.entries()[k].tensor, m.entries()[k].policy);
    return other;
  };
  const model_view same = with_first("layer.w", any_tensor(dtype::f32, s.w.data(), matrix));
  CHECK(l.matches(same) == errc::ok);
  CHECK(model_layout(same) == l);
  for (const model_view& other : {with_first("layer.v", any_tensor(dtype::f32, s.w.data(), matrix)),
                                  with_first("layer.w", any_tensor(dtype::i32, s.w.data(), matrix)),
                                  with_first("layer.w", any_tensor(dtype::f32, s.w.data(), turned)),
                                  with_first("layer.w", any_tensor(dtype::f32, s.w.data(), flat))}) {
    CHECK(l.matches(other) == errc::client_layout);
    CHECK(l.matches(model_layout(other)) == errc::client_layout);
    CHECK_FALSE(model_layout(other) == l);
  }
  const model_view kept = with_first("layer.w", any_tensor(dtype::f32, s.w.data(), matrix), integers::keep);
  CHECK(l.matches(kept) == errc::ok);
  CHECK_FALSE(model_layout(kept) == l);
  // A tensor without memory has no element, a scalar has one.
  model_layout scalar, none;
  CHECK(scalar.add("x", dtype::f32, {}) == errc::ok);
  none = model_layout(model_view().add("x", any_tensor()));
  CHECK(scalar.matches(none) == errc::client_layout);
}

TEST_CASE("what is wrong with a view or a shape is kept") {
  const std::size_t shape[] = {4}, huge[] = {static_cast<std::size_t>(-1) / 4, 16}, half[] = {PTRDIFF_MAX / 2 + 1};
  model_view null;
  null.add("x", any_tensor(dtype::f32, nullptr, shape));
  CHECK(model_layout(null).status() == errc::null_data);
  CHECK(model_layout(null).matches(null) == errc::null_data);
  CHECK(model_layout().matches(null) == errc::client_layout);

  std::vector<float> v(4);
  model_layout l(model_view().add("x", v));
  CHECK(l.matches(null) == errc::null_data);
  CHECK(l.matches(model_layout(null)) == errc::null_data);
  CHECK(l.add("y", dtype::f64, huge) == errc::size_overflow);
  CHECK(l.status() == errc::size_overflow);
  CHECK(l.matches(model_view().add("x", v)) == errc::size_overflow);

  // Each of them could exist, but not all.
  model_layout sum;
  CHECK(sum.add("a", dtype::u8, half) == errc::ok);
  sum.add("b", dtype::u8, half);
  CHECK(sum.status() == errc::size_overflow);
  CHECK(sum.elements() <= PTRDIFF_MAX);

  const std::size_t nine[] = {1, 2, 1, 1, 1, 1, 1, 1, 3};
  model_layout folded;
  CHECK(folded.add("x", dtype::f32, nine) == errc::ok);
  CHECK(shape_of(folded, 0) == std::vector<std::size_t>{2, 1, 1, 1, 1, 1, 1, 3});
}

TEST_CASE("a layout is saved and loaded") {
  sample s;
  model_layout l(s.model());
  memory_archive a;
  REQUIRE(a.save(l) == errc::ok);
  CHECK(a.twice.empty());
  model_layout loaded;
  loaded.add("old", dtype::f32, {});
  REQUIRE(a.load(loaded) == errc::ok);
  CHECK(loaded == l);
  CHECK(loaded.matches(s.model()) == errc::ok);

  model_layout empty, again(s.model());
  REQUIRE(a.save(empty) == errc::ok);
  REQUIRE(a.load(again) == errc::ok);
  CHECK(again == empty);

  const std::size_t shape[] = {4};
  model_layout bad(model_view().add("x", any_tensor(dtype::f32, nullptr, shape)));
  CHECK(a.save(bad) == errc::null_data);
}

TEST_CASE("a spoilt layout is refused") {
  sample s;
  model_layout l(s.model());
  memory_archive good;
  REQUIRE(good.save(l) == errc::ok);
  for (const auto& [name, item] : good.items) {
    INFO(name);
    // Missing, one element short, one too many.
    memory_archive a = good;
    model_layout loaded;
    a.items.erase(name);
    CHECK(a.load(loaded) == errc::file_format);
    a = good;
    const std::size_t width = name == "types" || name == "names" || name == "keep" ? 1 : 8;
    a.items[name].bytes.resize(item.bytes.size() - width);
    CHECK(a.load(loaded) == errc::file_format);
    a = good;
    a.items[name].bytes.resize(item.bytes.size() + width, std::byte{'f'});
    CHECK(a.load(loaded) == errc::file_format);
    // No element can be 0xff.. except a character of a name.
    for (std::size_t at = 0; at < item.bytes.size(); at += width) {
      if (name == "names") break;
      a = good;
      for (std::size_t i = 0; i < width; ++i) a.items[name].bytes[at + i] = std::byte{0xff};
      CHECK(a.load(loaded) == errc::file_format);
    }
  }
  // Extents whose product is right for no memory.
  memory_archive a = good;
  for (std::size_t k = 0; k < 2; ++k) a.items["extents"].bytes[8 * k + 6] = std::byte{0x7f};
  model_layout loaded;
  CHECK(a.load(loaded) == errc::file_format);
}
