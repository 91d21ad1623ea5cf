// SPDX-License-Identifier: MIT
#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>

#include "formats/folder.hpp"
#include "support/catch.hpp"

using fedagg::dtype;
using fedagg::errc;
using fedagg::file_error;
using fedagg::model_view;
using fedagg::safetensors_file;
using fedagg::safetensors_metadata;
using fedagg::safetensors_tensor;
using fedagg::safetensors_type;
using fedagg::safetensors_writer;

static_assert(!std::is_copy_constructible_v<safetensors_writer> &&
              std::is_nothrow_move_constructible_v<safetensors_writer>);

TEST_CASE("the bytes are those of the Python package") {
  folder here;
  std::vector<float> b = {1, 2, 3}, a = {4, 5};
  const bool flags[] = {true, false, true};
  const std::int64_t steps = 7;
  const std::int8_t small[] = {1, 2, 3};
  model_view model;
  model.add("b", b).add("a", a);
  model.add("q\"\xc3\xa9\x01/\x7f", std::span(flags));
  model.add("z", fedagg::any_tensor(dtype::i64, &steps, std::span<const std::size_t>{}));
  model.add("i8", std::span(small));
  fedagg::save_safetensors(here / "f", model, {{"k", "v\n\t\b\f\r\\\x1f"}});
  const std::string header =
      R"({"__metadata__":{"k":"v\n\t\b\f\r\\\u001f"},"z":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"b":{"dtype":"F32","shape":[3],"data_offsets":[16,28]},)"
      R"("i8":{"dtype":"I8","shape":[3],"data_offsets":[28,31]},"q\")"
      "\xc3\xa9"
      R"(\u0001/)"
      "\x7f"
      R"(":{"dtype":"BOOL","shape":[3],"data_offsets":[31,34]}})";
  std::string data(34, '\0');
  std::memcpy(data.data(), &steps, 8);
  std::memcpy(data.data() + 8, a.data(), 8);
  std::memcpy(data.data() + 16, b.data(), 12);
  std::memcpy(data.data() + 28, small, 3);
  std::memcpy(data.data() + 31, flags, 3);
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(get(here / "f") == raw(padded) + data);
  CHECK(here.entries() == 1);
}

TEST_CASE("every type, written and read, is what it was") {
  folder here;
  std::vector<safetensors_tensor> layout;
  for (std::size_t k = 0; k < fedagg::safetensors_type_count; ++k) {
    const auto type = static_cast<safetensors_type>(k);
    layout.push_back({std::string(fedagg::name_of(type)) + " vector", type, {2, 4}});
    layout.push_back({std::string(fedagg::name_of(type)) + " empty", type, {0, 4}});
    if (fedagg::bits_of(type) >= 8) layout.push_back({std::string(fedagg::name_of(type)) + " scalar", type, {}});
  }
  const safetensors_metadata metadata = {{"", ""}, {"\xe2\x82\xac", "\"\\/\n"}, {"num_examples", "120"}};
  auto writer = safetensors_writer::create(here / "f", layout, metadata);
  REQUIRE(writer.tensors().size() == layout.size());
  unsigned char next = 0;
  for (std::size_t k = 0; k < layout.size(); ++k) {
    CHECK(writer.tensors()[k].name == layout[k].name);
    CHECK(writer.model().entries()[k].name == layout[k].name);
    CHECK(writer.find(layout[k].name) == &writer.tensors()[k]);
    for (std::byte& byte : writer.bytes(writer.tensors()[k])) byte = std::byte{next++};
  }
  writer.commit();
  CHECK(writer.model().size() == 0);

  const auto file = safetensors_file::open(here / "f");
  CHECK(file.metadata() == metadata);
  REQUIRE(file.tensors().size() == layout.size());
  next = 0;
  for (const safetensors_tensor& declared : layout) {
    INFO(declared.name);
    const safetensors_tensor* tensor = file.find(declared.name);
    REQUIRE(tensor != nullptr);
    CHECK(tensor->type == declared.type);
    CHECK(tensor->shape == declared.shape);
    for (const std::byte byte : file.bytes(*tensor)) CHECK(byte == std::byte{next++});
    // Widest first, behind a header that is a multiple of 8: what the library computes with is aligned.
    const std::size_t width = fedagg::size_of(fedagg::element_type(tensor->type));
    if (width != 0) CHECK(reinterpret_cast<std::uintptr_t>(file.view(*tensor).data()) % width == 0);
  }
}

TEST_CASE("ranks from 0 to 12 keep their shape") {
  folder here;
  std::vector<safetensors_tensor> layout;
  for (std::size_t rank = 0; rank <= 12; ++rank) {
    std::vector<std::size_t> shape(rank, 1);
    if (rank > 0) shape.front() = 3;
    if (rank > 1) shape.back() = 2;
    layout.push_back({"rank " + std::to_string(rank), safetensors_type::f32, shape});
  }
  auto writer = safetensors_writer::create(here / "f", layout);
  for (const auto& entry : writer.model().entries()) CHECK(entry.tensor.status() == errc::ok);
  writer.commit();
  const auto file = safetensors_file::open(here / "f");
  for (const auto& declared : layout) CHECK(file.find(declared.name)->shape == declared.shape);
  // A view keeps eight dimensions apart, so that is what a model can save.
  fedagg::save_safetensors(here / "g", file.model());
  CHECK(safetensors_file::open(here / "g").find("rank 8")->shape == layout[8].shape);
  CHECK(safetensors_file::open(here / "g").find("rank 9")->shape == std::vector<std::size_t>{3, 1, 1, 1, 1, 1, 1, 2});
}

TEST_CASE("the model of a writer is an output in declared order") {
  folder here;
  const std::vector<safetensors_tensor> layout = {{"u8", safetensors_type::u8, {2}},
                                                  {"f64", safetensors_type::f64, {1}}};
  auto writer = safetensors_writer::create(here / "f", layout);
  const fedagg::mutable_model_view& out = writer.model();
  REQUIRE(out.entries()[1].tensor.type() == dtype::f64);
  *static_cast<double*>(out.entries()[1].tensor.data()) = 2.5;
  static_cast<std::uint8_t*>(out.entries()[0].tensor.data())[1] = 9;
  safetensors_writer moved = std::move(writer);
  CHECK(moved.model().entries()[0].name == "u8");
  moved.commit();
  const auto file = safetensors_file::open(here / "f");
  CHECK(*static_cast<const double*>(file.view(*file.find("f64")).data()) == 2.5);
  CHECK(file.bytes(*file.find("u8"))[1] == std::byte{9});
}

TEST_CASE("strided tensors are gathered") {
  folder here;
  std::array<float, 24> x{};
  for (std::size_t k = 0; k < x.size(); ++k) x[k] = static_cast<float>(k);
  const auto strided = [&](std::vector<std::size_t> shape, std::vector<std::ptrdiff_t> strides, std::size_t from) {
    return fedagg::tensor_view<const float>(x.data() + from, shape, strides);
  };
  model_view model;
  model.add("transposed", strided({4, 3, 2}, {1, 8, 4}, 0));
  model.add("reversed", strided({3}, {-2}, 10));
  model.add("broadcast", strided({2, 3}, {0, 1}, 5));
  model.add("column", strided({6, 1}, {4, 7}, 3));
  model.add("none", strided({2, 0, 3}, {9, 9, 9}, 0));
  fedagg::save_safetensors(here / "f", model);
  const auto file = safetensors_file::open(here / "f");
  const auto values = [&](const char* name) {
    const auto bytes = file.bytes(*file.find(name));
    std::vector<float> out(bytes.size() / sizeof(float));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  };
  std::vector<float> expected;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k) expected.push_back(static_cast<float>(i + 8 * j + 4 * k));
  CHECK(values("transposed") == expected);
  CHECK(values("reversed") == std::vector<float>{10, 8, 6});
  CHECK(values("broadcast") == std::vector<float>{5, 6, 7, 5, 6, 7});
  CHECK(values("column") == std::vector<float>{3, 7, 11, 15, 19, 23});
  CHECK(values("none").empty());
  CHECK(file.find("none")->shape == std::vector<std::size_t>{2, 0, 3});
}

TEST_CASE("what no file may hold is refused, and the old file stays") {
  folder here;
  put(here / "f", "old");
  file_error error;
  safetensors_writer writer;
  using list = std::vector<safetensors_tensor>;
  const auto f32 = safetensors_type::f32;
  const auto refused = [&](const list& tensors, const safetensors_metadata& metadata, errc code, const char* part) {
    INFO(part);
    CHECK(safetensors_writer::try_create(here / "f", tensors, metadata, writer, error) == code);
    CHECK_THAT(error.text(), Catch::Contains(here / "f") && Catch::Contains(part));
    CHECK(writer.tensors().empty());
    CHECK(get(here / "f") == "old");
    CHECK(here.entries() == 1);
  };
  refused({{"w", f32, {1}}, {"v", f32, {1}}, {"w", safetensors_type::u8, {2}}}, {}, errc::bad_parameter,
          "tensor \"w\"");
  refused({{"__metadata__", f32, {1}}}, {}, errc::bad_parameter, "tensor \"__metadata__\"");
  refused({{"\xff", f32, {1}}}, {}, errc::bad_parameter, "UTF-8");
  refused({{"w", static_cast<safetensors_type>(22), {1}}}, {}, errc::bad_parameter, "tensor \"w\"");
  refused({{"w", safetensors_type::f4, {3}}}, {}, errc::bad_parameter, "inside a byte");
  refused({{"w", f32, {std::size_t{1} << 32, std::size_t{1} << 32}}}, {}, errc::size_overflow, "tensor \"w\"");
  refused({{"v", f32, {std::size_t{1} << 60}}, {"w", f32, {std::size_t{1} << 60}}}, {}, errc::size_overflow,
          "tensor \"w\"");
  refused({}, {{"k", "\xc0\x80"}}, errc::bad_parameter, "metadata");
  refused({}, {{"\x80", ""}}, errc::bad_parameter, "metadata");
  refused({}, {{"k", std::string(100'000'000, 'x')}}, errc::size_overflow, "100 MB");

  int x = 0;
  CHECK(fedagg::try_save_safetensors(here / "f", model_view().add("w", fedagg::any_tensor(dtype::other, &x, {})), {},
                                     error) == errc::unsupported_element);
  CHECK_THAT(error.text(), Catch::Contains("tensor \"w\""));
  const std::size_t four[] = {4};
  CHECK(fedagg::try_save_safetensors(here / "f", model_view().add("w", fedagg::any_tensor(dtype::f32, nullptr, four)),
                                     {}, error) == errc::null_data);
  CHECK(get(here / "f") == "old");
#if FEDAGG_EXCEPTIONS
  try {
    fedagg::save_safetensors(here / "absent/f", model_view());
    FAIL("written");
  } catch (const fedagg::error& e) {
    CHECK(e.code() == errc::file_not_found);
    CHECK_THAT(e.what(), Catch::Contains("absent/f"));
  }
  CHECK_THROWS_AS(writer.commit(), fedagg::error);
#endif
  CHECK(here.entries() == 1);
}

TEST_CASE("a writer that is not committed leaves nothing") {
  folder here;
  put(here / "f", "old");
  {
    const std::vector<safetensors_tensor> layout = {{"w", safetensors_type::f32, {1000}}};
    auto writer = safetensors_writer::create(here / "f", layout);
    CHECK(get(here / "f") == "old");
  }
  CHECK(get(here / "f") == "old");
  CHECK(here.entries() == 1);
}

TEST_CASE("a file may be replaced by a function of itself") {
  folder here;
  std::vector<float> w = {1, 2, 3};
  fedagg::save_safetensors(here / "f", model_view().add("w", w));
  const auto file = safetensors_file::open(here / "f");
  auto writer = safetensors_writer::create(here / "f", file.tensors(), file.metadata());
  for (std::size_t k = 0; k < 3; ++k)
    static_cast<float*>(writer.model().entries()[0].tensor.data())[k] =
        2 * static_cast<const float*>(file.model().entries()[0].tensor.data())[k];
  writer.commit();
  CHECK(static_cast<const float*>(file.model().entries()[0].tensor.data())[2] == 3);
  CHECK(static_cast<const float*>(safetensors_file::open(here / "f").model().entries()[0].tensor.data())[2] == 6);
}

TEST_CASE("a metadata text may be replaced once the data are known") {
  folder here;
  file_error error;
  const std::vector<safetensors_tensor> layout = {{"sum", safetensors_type::f32, {1}}};
  const fedagg::safetensors_metadata metadata = {
      {"a", R"("sum":"1234")"}, {"sum", "0000"}, {"sum\"", "1111"}, {"tumsum", "2222"}};
  auto writer = safetensors_writer::create(here / "f", layout, metadata);
  CHECK(writer.data().size() == 4);
  CHECK(writer.data().data() == writer.bytes(writer.tensors()[0]).data());
  for (const char* bad : {"123", "12345", "12\"4", "12\\4", "12\n4", "\xff\xff\xff\xff"})
    CHECK(writer.try_replace("sum", bad, error) == errc::bad_parameter);
  CHECK(writer.try_replace("su", "1234", error) == errc::bad_parameter);
  CHECK(writer.try_replace("", "1234", error) == errc::bad_parameter);
  REQUIRE(writer.try_replace("sum", "\xc3\xa9xy", error) == errc::ok);
  writer.commit();
  CHECK(writer.try_replace("sum", "1234", error) == errc::bad_parameter);
  auto expected = metadata;
  expected["sum"] = "\xc3\xa9xy";
  CHECK(safetensors_file::open(here / "f").metadata() == expected);
  CHECK(safetensors_writer().try_replace("sum", "1234", error) == errc::bad_parameter);
}
