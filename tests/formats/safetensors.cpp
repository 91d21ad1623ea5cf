// SPDX-License-Identifier: MIT
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include <fedagg/formats/safetensors.hpp>

#include "formats/folder.hpp"
#include "support/catch.hpp"

using fedagg::dtype;
using fedagg::errc;
using fedagg::file_error;
using fedagg::safetensors_file;
using fedagg::safetensors_type;

static_assert(!std::is_copy_constructible_v<safetensors_file> &&
              std::is_nothrow_move_constructible_v<safetensors_file>);

namespace {

std::string entry(const std::string& name, const std::string& type, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

std::string one(const std::string& type, const std::string& shape, const std::string& offsets, std::size_t data) {
  return raw("{" + entry("w", type, shape, offsets) + "}", data);
}

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + rest;
}

struct hostile {
  const char* what;
  std::string content;
  errc code;
  const char* tensor; ///< null if the fault is not in one tensor
};

const std::string good = entry("w", "U8", "[2]", "[0,2]");

std::vector<hostile> hostile_files() {
  const errc format = errc::file_format, type = errc::json_type, cut = errc::file_truncated;
  std::vector<hostile> all = {
      {"empty", "", cut, nullptr},
      {"shorter than the length", std::string("\2\0\0\0\0\0\0", 7), cut, nullptr},
      {"header one byte behind the file", with_length(3, "{}"), cut, nullptr},
      {"header far behind the file", with_length(99'999'999, "{}"), cut, nullptr},
      {"header above 100 MB", with_length(100'000'001, "{}"), format, nullptr},
      {"header length overflows", with_length(UINT64_MAX, "{}"), format, nullptr},
      {"header length wraps to zero", with_length(UINT64_MAX - 7, "{}"), format, nullptr},
      {"no header", raw(""), format, nullptr},
      {"space before the header", raw(" {}"), format, nullptr},
      {"byte order mark", raw("\xef\xbb\xbf{}"), format, nullptr},
      {"an array", raw("[]"), format, nullptr},
      {"unfinished JSON", raw("{\"w\":{\"dtype\":\"U8\""), format, "w"},
      {"two objects", raw("{}{}"), format, nullptr},
      {"null byte behind the object", raw(std::string("{}\0garbage", 10)), format, nullptr},
      {"comment", raw("{/**/}"), format, nullptr},
      {"trailing comma", raw("{" + good + ",}", 2), format, nullptr},
      {"NaN", one("U8", "[NaN]", "[0,2]", 2), format, "w"},
      {"invalid UTF-8 in a name", raw("{" + entry("\xff", "U8", "[2]", "[0,2]") + "}", 2), format, nullptr},
      {"overlong UTF-8 in a name", raw("{" + entry("\xc0\xaf", "U8", "[2]", "[0,2]") + "}", 2), format, nullptr},
      {"lone surrogate in a name", raw("{" + entry("\\ud800", "U8", "[2]", "[0,2]") + "}", 2), format, nullptr},
      {"nesting in a shape", one("U8", std::string(1'000'000, '['), "[0,2]", 2), type, "w"},
      {"nesting in an entry", raw([] {
         std::string deep = "{";
         for (int k = 0; k < 200'000; ++k) deep += "\"w\":{";
         return deep;
       }()),
       type, "w"},
      {"nesting at the top", raw("{" + std::string(1'000'000, '[')), format, nullptr},
      {"two tensors of one name", raw("{" + good + "," + entry("w", "U8", "[1]", "[2,3]") + "}", 3), format, "w"},
      {"one name in two spellings", raw("{" + good + "," + entry("\\u0077", "U8", "[1]", "[2,3]") + "}", 3), format,
       "w"},
      {"a key twice in a tensor",
       raw("{\"w\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2), format, "w"},
      {"metadata twice", raw("{\"__metadata__\":{},\"__metadata__\":{}}"), format, nullptr},
      {"a metadata key twice", raw("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}"), format, nullptr},
      {"unknown key", raw("{\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"x\":0}}", 2), type, "w"},
      {"no dtype", raw("{\"w\":{\"shape\":[2],\"data_offsets\":[0,2]}}", 2), type, "w"},
      {"no shape", raw("{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,2]}}", 2), type, "w"},
      {"no data_offsets", raw("{\"w\":{\"dtype\":\"U8\",\"shape\":[2]}}", 2), type, "w"},
      {"unknown dtype", one("F128", "[2]", "[0,2]", 2), format, "w"},
      {"lower-case dtype", one("u8", "[2]", "[0,2]", 2), format, "w"},
      {"begin behind end", one("U8", "[2]", "[2,0]", 2), format, "w"},
      {"hole at the beginning", one("U8", "[2]", "[1,3]", 3), format, "w"},
      {"hole between tensors", raw("{" + good + "," + entry("v", "U8", "[1]", "[3,4]") + "}", 4), format, "v"},
      {"overlap", raw("{" + good + "," + entry("v", "U8", "[2]", "[1,3]") + "}", 3), format, "v"},
      {"the same bytes twice", raw("{" + good + "," + entry("v", "U8", "[2]", "[0,2]") + "}", 2), format, "v"},
      {"empty tensor inside another", raw("{" + good + "," + entry("v", "U8", "[0]", "[1,1]") + "}", 2), format, "v"},
      {"empty tensor behind the data", raw("{" + good + "," + entry("v", "U8", "[0]", "[9,9]") + "}", 2), format, "v"},
      {"size too small for the shape", one("F32", "[2]", "[0,2]", 2), format, "w"},
      {"size too large for the shape", one("U8", "[1]", "[0,2]", 2), format, "w"},
      {"scalar without data", one("F32", "[]", "[0,0]", 0), format, "w"},
      {"shape overflows 64 bits", one("U8", "[4294967296,4294967296]", "[0,0]", 0), errc::size_overflow, "w"},
      {"bytes overflow 64 bits", one("F64", "[2305843009213693952]", "[0,0]", 0), errc::size_overflow, "w"},
      {"overflow hidden by a zero", one("U8", "[0,4294967296,4294967296]", "[0,0]", 0), errc::size_overflow, "w"},
      {"extent beyond the address space", one("U8", "[9223372036854775808]", "[0,0]", 0), errc::size_overflow, "w"},
      {"offset beyond the address space", one("U8", "[2]", "[0,18446744073709551615]", 2), errc::size_overflow, "w"},
      {"truncated data", one("U8", "[3]", "[0,3]", 2), cut, "w"},
      {"no data", one("U8", "[2]", "[0,2]", 0), cut, "w"},
      {"surplus data", one("U8", "[2]", "[0,2]", 3), format, "w"},
      {"data without tensors", raw("{}", 1), format, nullptr},
      {"nibbles that end inside a byte", one("F4", "[3]", "[0,2]", 2), errc::file_format, "w"},
      {"six bits that end inside a byte", one("F6_E2M3", "[3]", "[0,3]", 3), errc::file_format, "w"},
  };
  for (const char* shape : {"-1", "[-1]", "[-0]", "[2.0]", "[1e0]", "[99999999999999999999]", "[\"2\"]", "[null]",
                            "[[2]]", "[{}]", "{}", "\"2\"", "null", "true", "[true]"})
    all.push_back({shape, one("U8", shape, "[0,2]", 2), type, "w"});
  for (const char* offsets : {"[0]", "[]", "[0,2,2]", "2", "[0,\"2\"]", "[0,-2]", "[0,2.0]", "{}", "null", "[[0,2]]"})
    all.push_back({offsets, one("U8", "[2]", offsets, 2), type, "w"});
  for (const char* kind : {"1", "null", "[]", "{}", "true", "1.5"})
    all.push_back({kind, raw("{\"w\":{\"dtype\":" + std::string(kind) + ",\"shape\":[2],\"data_offsets\":[0,2]}}", 2),
                   type, "w"});
  for (const char* value : {"1", "null", "[]", "\"U8\"", "true", "-1.5"})
    all.push_back({value, raw("{\"w\":" + std::string(value) + "}", 2), type, "w"});
  for (const char* value :
       {"1", "null", "[]", "\"a\"", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":true}"})
    all.push_back({value, raw("{\"__metadata__\":" + std::string(value) + "}"), type, nullptr});
  return all;
}

} // namespace

TEST_CASE("a hostile file is refused with its name, its tensor and a typed reason") {
  folder here;
  const std::string path = here / "evil.safetensors";
  for (const hostile& h : hostile_files()) {
    DYNAMIC_SECTION(h.what << " in " << (h.tensor != nullptr ? h.tensor : "the file")) {
      auto kept = safetensors_file::parse(as_bytes(raw("{}")), "kept");
      file_error error;
      CHECK(safetensors_file::try_parse(as_bytes(h.content), "evil.safetensors", kept, error) == h.code);
      CHECK(kept.name() == "kept");
      CHECK(error.code() == h.code);
      CHECK_THAT(error.text(), Catch::Contains("evil.safetensors"));
      CHECK((std::string(error.text()).find("tensor \"") != std::string::npos) == (h.tensor != nullptr));
      if (h.tensor != nullptr) CHECK_THAT(error.text(), Catch::Contains("tensor \"" + std::string(h.tensor) + "\""));

      put(path, h.content);
      CHECK(safetensors_file::try_open(path, kept, error) == h.code);
      CHECK(kept.name() == "kept");
#if FEDAGG_EXCEPTIONS
      try {
        safetensors_file::open(path);
        FAIL("accepted");
      } catch (const fedagg::error& e) {
        CHECK(e.code() == h.code);
        CHECK_THAT(e.what(), Catch::Contains("evil.safetensors"));
        if (h.tensor != nullptr) CHECK_THAT(e.what(), Catch::Contains("tensor \"" + std::string(h.tensor) + "\""));
      }
#endif
    }
  }
}

TEST_CASE("every cut of a good file, and every byte behind it, is refused") {
  const std::string file = raw("{\"__metadata__\":{\"k\":\"v\"}," + entry("a", "F32", "[2]", "[0,8]") + "," +
                                   entry("b", "U8", "[3]", "[8,11]") + "}  ",
                               11);
  safetensors_file kept;
  file_error error;
  REQUIRE(safetensors_file::try_parse(as_bytes(file), "f", kept, error) == errc::ok);
  for (std::size_t size = 0; size < file.size(); ++size) {
    INFO(size);
    CHECK(safetensors_file::try_parse(as_bytes(file).first(size), "f", kept, error) == errc::file_truncated);
  }
  CHECK(safetensors_file::try_parse(as_bytes(file + '\0'), "f", kept, error) == errc::file_format);
}

TEST_CASE("the values, shapes and names of a file") {
  const std::string file =
      raw("{" + entry("late", "U16", "[2,1]", "[5,9]") + "," + entry("odd \\\"\\u00e9\\n", "F32", "[]", "[1,5]") + "," +
              entry("first", "BOOL", "[1]", "[0,1]") + "," + entry("none", "F64", "[3,0,5]", "[9,9]") + "," +
              entry("", "I8", "[0]", "[0,0]") + ",\"__metadata__\":{\"b\":\"2\",\"\":\"\\u0000x\"}} \t\n ",
          9);
  const auto f = safetensors_file::parse(as_bytes(file), "f");
  REQUIRE(f.tensors().size() == 5);
  CHECK(f.name() == "f");
  const char* names[] = {"", "first", "odd \"\xc3\xa9\n", "late", "none"};
  for (std::size_t k = 0; k < 5; ++k) {
    CHECK(f.tensors()[k].name == names[k]);
    CHECK(f.find(names[k]) == &f.tensors()[k]);
    CHECK(f.model().entries()[k].name == names[k]);
    CHECK(f.model().entries()[k].tensor.status() == errc::ok);
  }
  CHECK(f.find("absent") == nullptr);
  CHECK(f.find("zzz") == nullptr);
  CHECK(f.metadata() == fedagg::safetensors_metadata{{"", std::string("\0x", 2)}, {"b", "2"}});

  const auto& scalar = f.model().entries()[2].tensor;
  CHECK((scalar.rank() == 0 && scalar.size() == 1 && scalar.type() == dtype::f32));
  float value = 0;
  std::memcpy(&value, scalar.data(), sizeof value);
  const unsigned char expected[] = {2, 3, 4, 5};
  CHECK(std::memcmp(&value, expected, 4) == 0);
  CHECK(f.model().entries()[1].tensor.type() == dtype::boolean);
  CHECK(f.tensors()[3].shape == std::vector<std::size_t>{2, 1});
  CHECK(f.bytes(f.tensors()[3])[0] == std::byte{6});
  CHECK(f.model().entries()[4].tensor.size() == 0);
  CHECK(f.bytes(f.tensors()[4]).empty());
}

TEST_CASE("every type of the format is read, and carried if it cannot be computed with") {
  for (std::size_t k = 0; k < fedagg::safetensors_type_count; ++k) {
    const auto type = static_cast<safetensors_type>(k);
    DYNAMIC_SECTION(fedagg::name_of(type)) {
      const std::size_t bytes = 8 * fedagg::bits_of(type) / 8;
      const std::string file = one(fedagg::name_of(type), "[2,4]", "[0," + std::to_string(bytes) + "]", bytes);
      const auto f = safetensors_file::parse(as_bytes(file));
      CHECK(f.tensors()[0].type == type);
      CHECK(f.bytes(f.tensors()[0]).size() == bytes);
      const auto& view = f.model().entries()[0].tensor;
      CHECK(view.type() == fedagg::element_type(type));
      CHECK(view.size() == 8);
      CHECK(view.data() == f.bytes(f.tensors()[0]).data());
      if (view.type() != dtype::other) CHECK(fedagg::size_of(view.type()) * 8 == fedagg::bits_of(type));
      CHECK(fedagg::find_safetensors_type(fedagg::name_of(type)) == type);
      if (view.type() != dtype::other) CHECK(fedagg::find_safetensors_type(view.type()) == type);
    }
  }
  CHECK(!fedagg::find_safetensors_type(dtype::other));
}

TEST_CASE("any rank is kept") {
  for (std::size_t rank = 0; rank <= 12; ++rank) {
    std::string shape = "[";
    for (std::size_t k = 0; k < rank; ++k) shape += k == 0 ? "2" : k == 3 ? ",3" : ",1";
    const std::size_t size = rank == 0 ? 1 : rank < 4 ? 2 : 6;
    const std::string file = one("U8", shape + "]", "[0," + std::to_string(size) + "]", size);
    const auto f = safetensors_file::parse(as_bytes(file));
    CHECK(f.tensors()[0].shape.size() == rank);
    CHECK(f.model().entries()[0].tensor.size() == size);
    CHECK(f.model().entries()[0].tensor.rank() == std::min(rank, fedagg::max_rank));
  }
}

TEST_CASE("no tensor at all is a file") {
  CHECK(safetensors_file::parse(as_bytes(raw("{}"))).tensors().empty());
  CHECK(safetensors_file::parse(as_bytes(raw("{\"__metadata__\":{}}      "))).model().size() == 0);
  const safetensors_file nothing;
  CHECK((nothing.tensors().empty() && nothing.find("w") == nullptr && nothing.model().size() == 0));
}

TEST_CASE("views survive a move of the file") {
  folder here;
  put(here / "m", raw("{" + good + "}", 2));
  auto a = safetensors_file::open(here / "m");
  const auto view = a.model().entries()[0];
  safetensors_file b = std::move(a);
  safetensors_file c;
  c = std::move(b);
  CHECK(c.model().entries()[0].name.data() == view.name.data());
  CHECK(view.name == "w");
  CHECK(static_cast<const char*>(view.tensor.data())[1] == 2);
  CHECK(c.find("w")->name == "w");
}

TEST_CASE("what is not a readable regular file is refused, and nothing blocks") {
  folder here;
  safetensors_file f;
  file_error error;
  CHECK(safetensors_file::try_open(here / "absent", f, error) == errc::file_not_found);
  CHECK_THAT(error.text(), Catch::Contains("absent"));
  CHECK(safetensors_file::try_open(here.path(), f, error) == errc::file_io);
  CHECK_THAT(error.text(), Catch::Contains(here.path()));
  REQUIRE(::mkfifo((here / "pipe").c_str(), 0666) == 0);
  CHECK(safetensors_file::try_open(here / "pipe", f, error) == errc::file_io);
  CHECK(safetensors_file::try_open("/dev/zero", f, error) == errc::file_io);
  CHECK(safetensors_file::try_open(here / std::string(300, 'x'), f, error) == errc::file_io);
  CHECK(safetensors_file::try_open(here / std::string("a\0b", 3), f, error) == errc::bad_parameter);
  put(here / "empty", "");
  CHECK(safetensors_file::try_open(here / "empty", f, error) == errc::file_truncated);
  put(here / "secret", raw("{}"));
  REQUIRE(::chmod((here / "secret").c_str(), 0) == 0);
  const unprivileged nobody;
  if (nobody.ok())
    CHECK(safetensors_file::try_open(here / "secret", f, error) == errc::file_io);
  else
    WARN("cannot drop root's rights: not tested");
}
