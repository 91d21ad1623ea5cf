// SPDX-License-Identifier: MIT
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include <fedagg/core/model_buffer.hpp>

#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/memory_archive.hpp"

using fedagg::dtype;
using fedagg::errc;
using fedagg::integers;
using fedagg::model_buffer;
using fedagg::model_layout;
using fedagg::precision;
using fedagg_test::memory_archive;

namespace {

model_layout sample() {
  const std::size_t matrix[] = {3, 5}, one[] = {1}, none[] = {0}, many[] = {17};
  model_layout l;
  l.add("w", dtype::f32, matrix);
  l.add("steps", dtype::i64, one, integers::keep);
  l.add("half", dtype::bf16, many);
  l.add("empty", dtype::f64, none);
  l.add("last", dtype::f64, one);
  return l;
}

} // namespace

TEST_CASE("a buffer has the floating tensors of a model, zero and aligned") {
  for (const precision type : {precision::f32, precision::f64}) {
    model_buffer b(sample(), type);
    REQUIRE(b.status() == errc::ok);
    REQUIRE(b.size() == 4);
    CHECK(b.type() == type);
    const char* names[] = {"w", "half", "empty", "last"};
    const std::size_t sources[] = {0, 2, 3, 4}, sizes[] = {15, 17, 0, 1};
    for (std::size_t k = 0; k < b.size(); ++k) {
      const auto& e = b.model().entries()[k];
      CHECK(e.name == names[k]);
      CHECK(b.source(k) == sources[k]);
      CHECK(e.tensor.status() == errc::ok);
      CHECK(e.tensor.type() == (type == precision::f64 ? dtype::f64 : dtype::f32));
      CHECK(e.tensor.size() == sizes[k]);
      CHECK(reinterpret_cast<std::uintptr_t>(e.tensor.data()) % 64 == 0);
      CHECK(std::as_const(b).model().entries()[k].tensor.data() == e.tensor.data());
    }
    CHECK(b.model().entries()[0].tensor.shape()[1] == 5);
    CHECK(b.layout().matches(b.model()) == errc::ok);
    b.fill(0.1);
    for (std::size_t k = 0; k < b.size(); ++k) {
      if (type == precision::f64) {
        for (const double x : b.values<double>(k)) CHECK(x == 0.1);
      } else {
        for (const float x : std::as_const(b).values<float>(k)) CHECK(x == 0.1f);
      }
    }
    const model_buffer zero(sample(), type);
    for (std::size_t k = 0; k < zero.size() && type == precision::f32; ++k)
      for (const float x : zero.values<float>(k)) CHECK(x == 0);
    CHECK_FALSE(zero == b);
  }
}

TEST_CASE("tensors do not share memory") {
  model_buffer b(sample(), precision::f32);
  for (std::size_t k = 0; k < b.size(); ++k)
    for (float& x : b.values<float>(k)) x = static_cast<float>(k + 1);
  for (std::size_t k = 0; k < b.size(); ++k)
    for (const float x : b.values<float>(k)) CHECK(x == static_cast<float>(k + 1));
}

TEST_CASE("a selection may be any tensors, integers too") {
  const model_buffer b(sample(), precision::f64, [](std::size_t k) { return k == 1 || k == 4; });
  REQUIRE(b.size() == 2);
  CHECK(b.layout().name(0) == "steps");
  CHECK(b.layout().type(0) == dtype::f64);
  CHECK(b.source(1) == 4);
  const model_buffer none(sample(), precision::f64, [](std::size_t) { return false; });
  CHECK(none.status() == errc::ok);
  CHECK(none.size() == 0);
}

TEST_CASE("copies are deep, moves take the memory along") {
  model_buffer a(sample(), precision::f32);
  a.fill(2);
  model_buffer b = a;
  CHECK(b == a);
  b.values<float>(0)[3] = 5;
  CHECK(a.values<float>(0)[3] == 2);
  CHECK_FALSE(b == a);
  CHECK(b.layout().matches(b.model()) == errc::ok);

  a = b;
  CHECK(a == b);
  CHECK(a.model().entries()[0].tensor.data() != b.model().entries()[0].tensor.data());
  const auto& self = a;
  a = self;
  CHECK(a == b);

  const void* at = b.model().entries()[0].tensor.data();
  model_buffer c = std::move(b);
  CHECK(c.model().entries()[0].tensor.data() == at);
  CHECK(c.model().entries()[0].name.data() == c.layout().name(0).data());
  CHECK(c == a);
  model_buffer d;
  d = std::move(c);
  CHECK(d == a);
  CHECK(model_buffer() == model_buffer());
  CHECK_FALSE(model_buffer() == d);
}

TEST_CASE("a zero of the other sign is another value") {
  model_buffer a(sample(), precision::f64), b = a;
  b.values<double>(0)[0] = -0.0;
  CHECK_FALSE(a == b);
}

TEST_CASE("what no memory can hold") {
  const std::size_t huge[] = {PTRDIFF_MAX / 4}, third[] = {PTRDIFF_MAX / 16};
  model_layout half;
  REQUIRE(half.add("x", dtype::bf16, huge) == errc::ok);
  CHECK(model_buffer(half, precision::f64).status() == errc::size_overflow);
  model_buffer b(sample(), precision::f32);
  const model_buffer before = b;
  CHECK(try_make_buffer(half, precision::f64, b) == errc::size_overflow);
  CHECK(b == before);

  model_layout sum;
  for (const char* name : {"a", "b", "c"}) REQUIRE(sum.add(name, dtype::f16, third) == errc::ok);
  CHECK(model_buffer(sum, precision::f64).status() == errc::size_overflow);
  CHECK(model_buffer(sum, precision::f64).size() == 0);
  model_layout bad;
  bad.add("x", dtype::f64, huge);
  REQUIRE(bad.status() != errc::ok);
  CHECK(model_buffer(bad).status() == bad.status());

  CHECK(try_make_buffer(sample(), precision::f32, b) == errc::ok);
  CHECK(b.size() == 4);
  CHECK(try_make_buffer(
            sample(), precision::f32, [](std::size_t k) { return k == 1; }, b) == errc::ok);
  CHECK(b.size() == 1);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("without memory nothing changes") {
  const model_layout l = sample();
  model_buffer b(l, precision::f32), made;
  const model_buffer before = b;
  std::size_t failures = 0;
  for (errc rc = errc::out_of_memory; rc != errc::ok; ++failures) {
    REQUIRE(failures < 100);
    {
      const allocations::limit none(failures);
      rc = try_make_buffer(l, precision::f64, b);
    }
    if (rc != errc::ok) CHECK((rc == errc::out_of_memory && b == before));
  }
  CHECK(failures > 5);
  CHECK(b == model_buffer(l));
  const auto make = [&] {
    const allocations::limit none(3);
    made = model_buffer(l);
  };
  CHECK_THROWS_AS(make(), std::bad_alloc);
}
#endif

TEST_CASE("a buffer is saved and loaded bit for bit") {
  for (const precision type : {precision::f32, precision::f64}) {
    model_buffer b(sample(), type, [](std::size_t k) { return k != 2; });
    b.fill(0.1);
    memory_archive a;
    REQUIRE(a.save(b) == errc::ok);
    CHECK(a.twice.empty());
    model_buffer loaded(sample());
    REQUIRE(a.load(loaded) == errc::ok);
    CHECK(loaded == b);
    CHECK(loaded.layout().matches(loaded.model()) == errc::ok);
  }
  model_buffer none, loaded(sample());
  memory_archive a;
  REQUIRE(a.save(none) == errc::ok);
  REQUIRE(a.load(loaded) == errc::ok);
  CHECK(loaded == none);
}

TEST_CASE("a spoilt buffer is refused before memory is taken") {
  model_buffer b(sample(), precision::f32);
  memory_archive good;
  REQUIRE(good.save(b) == errc::ok);
  const auto refused = [](memory_archive a) {
    model_buffer loaded;
    return a.load(loaded) == errc::file_format;
  };
  for (const auto& [name, item] : good.items) {
    INFO(name);
    memory_archive a = good;
    a.items.erase(name);
    CHECK(refused(a));
  }
  memory_archive a = good;
  a.items["f64"].bytes[0] = std::byte{1};
  CHECK(refused(a));
  a = good;
  a.items["sources"].bytes[8] = std::byte{0};
  CHECK(refused(a));
  a = good;
  a.items["values.1"].bytes.resize(4);
  CHECK(refused(a));
  // A layout of many terabytes, and little data.
  a = good;
  for (const char* list : {"layout.extents", "layout.elements"})
    a.items[list].bytes[std::string_view(list) == "layout.extents" ? 16 + 5 : 8 + 5] = std::byte{0x7f};
  CHECK(refused(a));
}
