// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fedagg/core/model_buffer.hpp>
#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>
#include <fedagg/formats/saved_state.hpp>

#include "formats/everything.hpp"
#include "formats/folder.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

using fedagg::dtype;
using fedagg::errc;
using fedagg::file_error;
using fedagg::model_buffer;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::precision;
using fedagg::safetensors_metadata;
using fedagg::safetensors_tensor;
using fedagg::state_reader;
using fedagg::state_writer;
using fedagg::try_load_state;
using fedagg::try_save_state;

namespace {

/// A small one.
struct counter {
  static constexpr const char* kind = "counter";
  static constexpr unsigned version = 1;
  std::uint64_t count = 0;
  std::vector<double> sums;
  template <class Archive>
  errc archive(Archive& a) {
    if (const errc rc = a.value("count", count); rc != errc::ok) return rc;
    if (const errc rc = a.array("sums", sums); rc != errc::ok) return rc;
    return a.loading() && sums.size() != count ? errc::file_format : errc::ok;
  }
  friend bool operator==(const counter&, const counter&) = default;
};

struct newer_counter : counter {
  static constexpr unsigned version = 2;
};
struct other_kind : counter {
  static constexpr const char* kind = "other";
};

/// The file's parts, to be changed and sealed with the right checksum again: what a hostile writer can make.
struct parts {
  safetensors_metadata metadata;
  std::vector<safetensors_tensor> tensors;
  std::vector<std::string> data;

  explicit parts(const std::string& path) {
    const auto file = fedagg::safetensors_file::open(path);
    metadata = file.metadata();
    tensors.assign(file.tensors().begin(), file.tensors().end());
    for (const auto& t : file.tensors())
      data.emplace_back(reinterpret_cast<const char*>(file.bytes(t).data()), file.bytes(t).size());
  }
  std::string file(bool seal = true) const {
    std::vector<safetensors_tensor> laid = tensors;
    safetensors_metadata m = metadata;
    file_error error;
    std::string header, all;
    const auto lay = [&] { return fedagg::impl::write_safetensors_header(laid, m, "parts", header, error); };
    REQUIRE(lay() == errc::ok);
    for (std::size_t k = 0; k < laid.size(); ++k) {
      all.resize(std::max(all.size(), laid[k].end));
      all.replace(laid[k].begin, data[k].size(), data[k]);
    }
    if (seal) {
      m["checksum"].clear();
      fedagg::impl::append_hex(m["checksum"], fedagg::impl::state_checksum(m, laid, as_bytes(all)), 16);
      REQUIRE(lay() == errc::ok);
    }
    return header + all;
  }
};

errc open_error(const std::string& path) {
  state_reader reader;
  file_error error;
  const errc rc = state_reader::try_open(path, reader, error);
  if (rc != errc::ok) CHECK(error.code() == rc);
  return rc;
}

errc parse_error(const std::string& file) {
  state_reader reader;
  file_error error;
  return state_reader::try_parse(as_bytes(file), "memory", reader, error);
}

template <class Object>
errc load_error(const std::string& file, const std::string& text = {}) {
  Object object{}, before = object;
  file_error error;
  state_reader reader;
  errc rc = state_reader::try_parse(as_bytes(file), "memory", reader, error);
  if (rc == errc::ok) rc = reader.try_load("state", object, error);
  if (rc != errc::ok) {
    CHECK(error.code() == rc);
    CHECK(object == before);
    INFO(error.text());
    CHECK(std::string_view(error.text()).find(text) != std::string_view::npos);
  }
  return rc;
}

} // namespace

TEST_CASE("an object is saved and loaded bit for bit") {
  folder here;
  file_error error;
  const everything saved = everything::sample();
  REQUIRE(try_save_state(here / "s", saved, R"({"rule":"mean"})", error) == errc::ok);
  CHECK(here.entries() == 1);
  everything loaded;
  REQUIRE(try_load_state(here / "s", loaded, R"({"rule":"mean"})", error) == errc::ok);
  CHECK(loaded == saved);
  everything again;
  CHECK(try_load_state(here / "s", again, "", error) == errc::ok);
  CHECK(again == saved);

  // The same state gives the same file.
  REQUIRE(try_save_state(here / "t", loaded, R"({"rule":"mean"})", error) == errc::ok);
  CHECK(get(here / "s") == get(here / "t"));

  everything untouched;
  CHECK(try_load_state(here / "s", untouched, R"({"rule":"median"})", error) == errc::state_mismatch);
  CHECK(error.code() == errc::state_mismatch);
  CHECK(std::string_view(error.text()).find("another configuration") != std::string_view::npos);
  CHECK(untouched == everything{});
}

TEST_CASE("several entries are one file") {
  folder here;
  counter sums{2, {0.5, 0.25}};
  const everything all = everything::sample();
  std::vector<float> w(6);
  std::vector<std::int64_t> steps = {41};
  for (std::size_t k = 0; k < w.size(); ++k) w[k] = static_cast<float>(k);
  // Transposed, backwards.
  const std::size_t matrix[] = {3, 2};
  const std::ptrdiff_t strides[] = {-1, 3};
  mutable_model_view model;
  model.add("w", fedagg::tensor_view<float>(w.data() + 2, matrix, strides)).add("steps", steps);
  double scalar = 3;
  model.add("scalar", fedagg::any_mutable_tensor(dtype::f64, &scalar, {}));

  state_writer writer;
  writer.add("sums", sums)
      .add("all", all, "{}")
      .add("model", model)
      .add("round", 17)
      .add("seed", std::uint64_t{1} << 63);
  writer.add("rate", 0.1f).add("done", true).add("text", "abc").add("name", std::string("d\xc3\xa9"));
  writer.commit(here / "s");
  const std::string first = get(here / "s");
  writer.commit(here / "s");
  CHECK(get(here / "s") == first);
  CHECK(here.entries() == 1);

  const auto reader = state_reader::open(here / "s");
  CHECK(reader.contains("sums"));
  CHECK_FALSE(reader.contains("sum"));
  CHECK(reader.configuration("all") == "{}");
  CHECK(reader.configuration("sums").empty());
  counter loaded;
  reader.load("sums", loaded);
  CHECK(loaded == sums);
  everything every;
  reader.load("all", every, "{}");
  CHECK(every == all);
  int round = 0;
  std::uint64_t seed = 0;
  double rate = 0;
  bool done = false;
  std::string text, name;
  reader.load("round", round);
  reader.load("seed", seed);
  reader.load("rate", rate);
  reader.load("done", done);
  reader.load("text", text);
  reader.load("name", name);
  CHECK(round == 17);
  CHECK(seed == std::uint64_t{1} << 63);
  CHECK(rate == 0.1f);
  CHECK(done);
  CHECK(text == "abc");
  CHECK(name == "d\xc3\xa9");

  // In another order, into memory that lies otherwise.
  std::vector<float> v(6, -1);
  std::vector<std::int64_t> count(1);
  double one = 0;
  mutable_model_view other;
  other.add("scalar", fedagg::any_mutable_tensor(dtype::f64, &one, {}));
  other.add("steps", count).add("w", fedagg::tensor_view<float>(v.data(), matrix));
  reader.load("model", other);
  CHECK(one == 3);
  CHECK(count[0] == 41);
  CHECK(v == std::vector<float>{2, 5, 1, 4, 0, 3});

  // A narrow integer refuses what it cannot hold; nothing is taken for something else.
  file_error error;
  std::int8_t narrow = 5;
  std::int64_t negative = 0;
  CHECK(reader.try_load("round", narrow, error) == errc::ok);
  CHECK(narrow == 17);
  CHECK(reader.try_load("seed", negative, error) == errc::file_format);
  CHECK(reader.try_load("done", round, error) == errc::file_format);
  CHECK(reader.try_load("round", done, error) == errc::file_format);
  CHECK(reader.try_load("round", rate, error) == errc::file_format);
  CHECK(reader.try_load("round", text, error) == errc::file_format);
  CHECK(round == 17);
  CHECK(text == "abc");
  CHECK(reader.try_load("missing", round, error) == errc::state_mismatch);
  CHECK(reader.try_load("model", round, error) == errc::state_mismatch);
  CHECK(reader.try_load("sums", other, error) == errc::state_mismatch);
  CHECK(reader.try_load("round", loaded, error) == errc::state_mismatch);
  CHECK(loaded == sums);
}

TEST_CASE("a model is loaded whole or not at all") {
  folder here;
  std::vector<float> w = {1, 2}, v = {3};
  state_writer writer;
  writer.add("model", model_view().add("w", w).add("v", v)).commit(here / "s");
  const auto reader = state_reader::open(here / "s");
  file_error error;
  std::vector<float> a(2), b(1), c(1);
  std::vector<double> d(1);
  const std::size_t column[] = {2, 1};
  const auto refused = [&](const mutable_model_view& m) {
    const errc rc = reader.try_load("model", m, error);
    CHECK(a == std::vector<float>(2));
    CHECK(error.code() == rc);
    return rc;
  };
  CHECK(refused(mutable_model_view().add("w", a)) == errc::state_mismatch);
  CHECK(refused(mutable_model_view().add("w", a).add("v", b).add("u", c)) == errc::state_mismatch);
  CHECK(refused(mutable_model_view().add("w", a).add("u", b)) == errc::state_mismatch);
  CHECK(refused(mutable_model_view().add("w", a).add("v", d)) == errc::state_mismatch);
  CHECK(refused(mutable_model_view().add("w", a).add("w", a)) == errc::state_mismatch);
  CHECK(refused(mutable_model_view().add("v", b).add("w", fedagg::tensor_view<float>(a.data(), column))) ==
        errc::state_mismatch);
  CHECK(refused(mutable_model_view().add("v", b).add("w", fedagg::any_mutable_tensor(dtype::f32, nullptr, column))) ==
        errc::null_data);
  CHECK(reader.try_load("model", mutable_model_view().add("v", b).add("w", a), error) == errc::ok);
  CHECK(a == w);
}

TEST_CASE("what is no saved state, or one of something else") {
  folder here;
  file_error error;
  CHECK(open_error(here / "none") == errc::file_not_found);
  put(here / "empty", "");
  CHECK(open_error(here / "empty") == errc::file_truncated);
  put(here / "text", "a text that is not a safetensors file");
  CHECK(open_error(here / "text") == errc::file_format);
  std::vector<float> w(3);
  fedagg::save_safetensors(here / "model", w);
  CHECK(open_error(here / "model") == errc::file_format);

  const counter saved{1, {2}};
  REQUIRE(try_save_state(here / "s", saved, "", error) == errc::ok);
  CHECK(load_error<counter>(get(here / "s")) == errc::ok);
  CHECK(load_error<newer_counter>(get(here / "s"), "another version") == errc::state_mismatch);
  CHECK(load_error<other_kind>(get(here / "s"), "another kind") == errc::state_mismatch);

  const auto with = [&](const char* key, const char* value, bool seal = true) {
    parts p(here / "s");
    p.metadata[key] = value;
    return load_error<counter>(p.file(seal));
  };
  CHECK(with("format", "fedagg-state") == errc::ok);
  CHECK(with("format", "pt") == errc::file_format);
  CHECK(with("format_version", "2") == errc::state_mismatch);
  CHECK(with("format_version", "2", false) == errc::state_mismatch);
  CHECK(with("format_version", "") == errc::file_format);
  CHECK(with("format_version", "0") == errc::file_format);
  CHECK(with("format_version", "1x") == errc::file_format);
  CHECK(with("checksum", "", false) == errc::file_format);
  CHECK(with("checksum", "0123456789abcdeg", false) == errc::file_format);
  CHECK(with("checksum", "0123456789abcdef0", false) == errc::file_format);
  CHECK(with("checksum", "0123456789abcdef", false) == errc::checksum_mismatch);
  CHECK(with("library", "9.9.9", false) == errc::checksum_mismatch);
  CHECK(with("library", "9.9.9") == errc::ok);
  CHECK(with("kind:state", "other") == errc::state_mismatch);
  CHECK(with("version:state", "2") == errc::state_mismatch);
}

TEST_CASE("a file with the right checksum can be hostile still") {
  folder here;
  file_error error;
  const everything saved = everything::sample();
  REQUIRE(try_save_state(here / "s", saved, "", error) == errc::ok);
  const parts good(here / "s");
  CHECK(load_error<everything>(good.file()) == errc::ok);
  CHECK(good.file() == get(here / "s"));

  for (const auto& [key, value] : good.metadata) {
    if (!key.starts_with("state/")) continue;
    INFO(key);
    for (const char* bad :
         {"", "x", "0x", "text", "hex:0", "hex:gg", "99999999999999999999999", "0x3fb999999999999A"}) {
      parts p = good;
      p.metadata[key] = bad;
      CHECK(load_error<everything>(p.file(), "state \"state") == errc::file_format);
    }
    parts p = good;
    p.metadata.erase(key);
    CHECK(load_error<everything>(p.file(), "is missing") == errc::file_format);
  }
  for (std::size_t k = 0; k < good.tensors.size(); ++k) {
    INFO(good.tensors[k].name);
    // Left out; named otherwise; of another type; of two dimensions.
    parts p = good;
    p.tensors.erase(p.tensors.begin() + static_cast<std::ptrdiff_t>(k));
    p.data.erase(p.data.begin() + static_cast<std::ptrdiff_t>(k));
    CHECK(load_error<everything>(p.file()) == errc::file_format);
    p = good;
    p.tensors[k].name += 'x';
    CHECK(load_error<everything>(p.file(), "is missing") == errc::file_format);
    p = good;
    p.tensors[k].type = fedagg::safetensors_type::i8;
    p.tensors[k].shape = {p.data[k].size()};
    CHECK(load_error<everything>(p.file()) == errc::file_format);
    p = good;
    p.tensors[k].shape.push_back(1);
    CHECK(load_error<everything>(p.file()) == errc::file_format);
  }
  parts p = good;
  p.metadata["state/more"] = "1";
  CHECK(load_error<everything>(p.file(), "contradict") == errc::file_format);
  p = good;
  p.tensors.push_back({"state/more", fedagg::safetensors_type::u8, {0}});
  p.data.emplace_back();
  CHECK(load_error<everything>(p.file()) == errc::file_format);
  // Another entry is none of its business.
  p.tensors.back().name = "statement/more";
  p.metadata["state.more"] = "1";
  CHECK(load_error<everything>(p.file()) == errc::ok);

  const counter lies{3, {1, 2}};
  REQUIRE(try_save_state(here / "s", lies, "", error) == errc::ok);
  CHECK(load_error<counter>(get(here / "s"), "contradict") == errc::file_format);
}

TEST_CASE("no flipped bit and no cut goes unseen") {
  folder here;
  file_error error;
  const counter saved{3, {0.1, 0.2, 0.3}};
  REQUIRE(try_save_state(here / "s", saved, R"({"a":"b"})", error) == errc::ok);
  const std::string good = get(here / "s");
  std::size_t by_checksum = 0;
  const auto refused = [&](const std::string& file) {
    state_reader reader;
    const errc rc = state_reader::try_parse(as_bytes(file), "memory", reader, error);
    if (rc == errc::checksum_mismatch) ++by_checksum;
    return rc != errc::ok;
  };
  CHECK_FALSE(refused(good));
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    INFO(bit);
    CHECK(refused(bad));
  }
  CHECK(by_checksum > 8 * 24);
  for (std::size_t size = 0; size < good.size(); ++size) CHECK(refused(good.substr(0, size)));
  CHECK(refused(good + '\0'));
}

TEST_CASE("random damage to a large state is seen") {
  folder here;
  file_error error;
  counter saved;
  saved.count = 20'000;
  for (std::size_t k = 0; k < saved.count; ++k) saved.sums.push_back(static_cast<double>(k) / 7);
  REQUIRE(try_save_state(here / "s", saved, "", error) == errc::ok);
  std::string file = get(here / "s");
  state_reader reader;
  REQUIRE(state_reader::try_parse(as_bytes(file), "memory", reader, error) == errc::ok);
  std::mt19937_64 random(11);
  for (int k = 0; k < 300; ++k) {
    const std::size_t bit = random() % (8 * file.size()), length = k % 3 == 0 ? 1 : random() % 3000 + 1;
    std::string bad = file;
    if (k % 3 == 0) {
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    } else {
      // A burst of zeros, or of other data: what a disk that lost a block gives back.
      for (std::size_t i = bit / 8; i < bit / 8 + length && i < bad.size(); ++i)
        bad[i] = k % 3 == 1 ? '\0' : static_cast<char>(random());
    }
    INFO(k);
    if (bad != file) CHECK(state_reader::try_parse(as_bytes(bad), "memory", reader, error) != errc::ok);
  }
}

TEST_CASE("tensors that change places, names, types or shapes are seen") {
  folder here;
  std::vector<float> a = {1, 2}, b = {3, 4};
  state_writer().add("m", model_view().add("a", a).add("b", b)).commit(here / "s");
  parts p(here / "s");
  CHECK(parse_error(p.file(false)) == errc::ok);
  parts other = p;
  for (safetensors_tensor& t : other.tensors) t.type = fedagg::safetensors_type::i32;
  CHECK(parse_error(other.file(false)) == errc::checksum_mismatch);
  std::vector<float> c(6);
  const std::size_t matrix[] = {2, 3};
  state_writer().add("m", model_view().add("c", fedagg::tensor_view<float>(c.data(), matrix))).commit(here / "m");
  other = parts(here / "m");
  CHECK(parse_error(other.file(false)) == errc::ok);
  other.tensors[0].shape = {3, 2};
  CHECK(parse_error(other.file(false)) == errc::checksum_mismatch);
  std::swap(p.data[0], p.data[1]);
  CHECK(parse_error(p.file(false)) == errc::checksum_mismatch);
  // With the names too: the header then says the same of other places.
  std::string turned = get(here / "s");
  const auto first = turned.find("m/a"), second = turned.find("m/b");
  turned.replace(first, 3, "m/b").replace(second, 3, "m/a");
  for (std::size_t k = 0; k < 8; ++k) std::swap(turned[turned.size() - 16 + k], turned[turned.size() - 8 + k]);
  CHECK(parse_error(turned) == errc::checksum_mismatch);
}

TEST_CASE("what cannot be saved leaves the old file") {
  folder here;
  file_error error;
  const counter one{1, {1}};
  REQUIRE(try_save_state(here / "s", one, "", error) == errc::ok);
  const std::string before = get(here / "s");
  const auto refused = [&](const state_writer& w) {
    const errc rc = w.try_commit(here / "s", error);
    CHECK(error.code() == rc);
    CHECK(get(here / "s") == before);
    CHECK(here.entries() == 1);
    return rc;
  };
  std::vector<float> v(2);
  const std::size_t shape[] = {2};
  CHECK(refused(state_writer().add("a", one).add("a", 1)) == errc::bad_parameter);
  CHECK(refused(state_writer().add("", one)) == errc::bad_parameter);
  CHECK(refused(state_writer().add("a/b", one)) == errc::bad_parameter);
  CHECK(refused(state_writer().add("\xff", one)) == errc::bad_parameter);
  CHECK(refused(state_writer().add("a", one, "\xff")) == errc::bad_parameter);
  CHECK(refused(state_writer().add("m", model_view().add("x", v).add("x", v))) == errc::bad_parameter);
  CHECK(refused(state_writer().add("m", model_view().add("\xff", v))) == errc::bad_parameter);
  CHECK(refused(state_writer().add("m", model_view().add("x", fedagg::any_tensor(dtype::f32, nullptr, shape)))) ==
        errc::null_data);
  CHECK(refused(state_writer().add("m", model_view().add("x", fedagg::any_tensor(dtype::other, v.data(), shape)))) ==
        errc::unsupported_element);
  model_layout bad;
  const std::size_t huge[] = {static_cast<std::size_t>(-1) / 2, 8};
  bad.add("x", dtype::f32, huge);
  CHECK(refused(state_writer().add("l", bad)) == errc::size_overflow);
  CHECK(std::string_view(error.text()).find("\"l\"") != std::string_view::npos);
  CHECK(state_writer().add("a", one).try_commit(here / "no/such/folder", error) == errc::file_not_found);
}

namespace {

/// Says something else each time it is asked.
struct restless {
  static constexpr const char* kind = "restless";
  static constexpr unsigned version = 1;
  int mode = 0;
  std::uint64_t asked = 0;
  template <class Archive>
  errc archive(Archive& a) {
    ++asked;
    std::vector<double> sums(mode == 1 ? static_cast<std::size_t>(asked) : 2);
    std::uint64_t number = mode == 0 ? asked : 0;
    if (const errc rc = a.value("number", number); rc != errc::ok) return rc;
    if (const errc rc = a.array(mode == 2 && asked == 2 ? "b" : "a", sums); rc != errc::ok) return rc;
    if (mode == 3 && asked == 1) return a.array("c", sums);
    if (mode == 4 && asked == 2) return a.array("c", sums);
    if (mode == 5 && asked == 2) return errc::rule_failed;
    return errc::ok;
  }
};

} // namespace

TEST_CASE("an object that changes while it is saved") {
  folder here;
  file_error error;
  for (int mode = 0; mode < 6; ++mode) {
    INFO(mode);
    restless object{mode};
    CHECK(try_save_state(here / "s", object, "", error) == (mode == 5 ? errc::rule_failed : errc::bad_parameter));
    CHECK(here.entries() == 0);
  }
  restless calm{6};
  CHECK(try_save_state(here / "s", calm, "", error) == errc::ok);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("without memory nothing changes") {
  folder here;
  file_error error;
  const everything saved = everything::sample();
  const std::string path = here / "s";
  std::size_t failures = 0;
  for (errc rc = errc::out_of_memory; rc != errc::ok; ++failures) {
    {
      const allocations::limit none(failures);
      rc = try_save_state(path, saved, "{}", error);
    }
    if (rc == errc::ok) break;
    CHECK(rc == errc::out_of_memory);
    CHECK(here.entries() == 0);
  }
  CHECK(failures > 50);
  everything loaded;
  failures = 0;
  for (errc rc = errc::out_of_memory; rc != errc::ok; ++failures) {
    {
      const allocations::limit none(failures);
      rc = try_load_state(path, loaded, "{}", error);
    }
    if (rc == errc::ok) break;
    CHECK(rc == errc::out_of_memory);
    CHECK(loaded == everything{});
  }
  CHECK(failures > 50);
  CHECK(loaded == saved);
}

TEST_CASE("the calls that throw name the file") {
  folder here;
  counter c{1, {1}};
  CHECK_THROWS_AS(fedagg::load_state(here / "none", c), fedagg::error);
  fedagg::save_state(here / "s", c, "{}");
  counter loaded;
  fedagg::load_state(here / "s", loaded, "{}");
  CHECK(loaded == c);
  try {
    fedagg::load_state(here / "s", loaded, "[]");
    FAIL();
  } catch (const fedagg::error& e) {
    CHECK(e.code() == errc::state_mismatch);
    CHECK(std::string_view(e.what()).find("/s: state \"state\"") != std::string_view::npos);
  }
}
#endif
