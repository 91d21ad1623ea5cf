// SPDX-License-Identifier: MIT
#include <string>

#include <fedagg/formats/io/file_error.hpp>

#include "support/catch.hpp"

using fedagg::errc;
using fedagg::file_error;

TEST_CASE("the text names the file, the tensor and the reason") {
  file_error e;
  CHECK(std::string(e.text()).empty());
  CHECK(e.set(errc::file_format, "a.bin", "is bad") == errc::file_format);
  CHECK(std::string(e.text()) == "a.bin: is bad");
  CHECK(e.set(errc::file_truncated, "a.bin", "w", "is bad") == errc::file_truncated);
  CHECK(e.code() == errc::file_truncated);
  CHECK(std::string(e.text()) == "a.bin: tensor \"w\": is bad");
  e.set(errc::file_format, "a.bin", "", "is bad");
  CHECK(std::string(e.text()) == "a.bin: tensor \"\": is bad");
}

TEST_CASE("whatever the names are, the text is short, printable UTF-8 and keeps the reason") {
  file_error e;
  std::string accents;
  for (int k = 0; k < 500; ++k) accents += "\xe2\x82\xac";
  for (const std::string& name : {std::string("a\0b\x1b[31m\n\x7f", 10), std::string("\xff\xfe"), accents,
                                  "x" + accents, "xx" + accents, std::string(5000, 'n')}) {
    e.set(errc::file_format, name, name, "is bad");
    const std::string text = e.text();
    INFO(text);
    CHECK(fedagg::is_utf8(text));
    CHECK(text.size() < 400);
    CHECK_THAT(text, Catch::EndsWith(": is bad"));
    for (const char c : text) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
  }
  e.set(errc::file_format, std::string(300, 'd') + "/name.bin", "is bad");
  CHECK_THAT(e.text(), Catch::StartsWith("...") && Catch::Contains("/name.bin: is bad"));
}

TEST_CASE("UTF-8 is what Unicode says") {
  using fedagg::is_utf8;
  using namespace std::string_view_literals;
  for (const auto good : {""sv, "a"sv, "\0"sv, "\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv,
                          "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv})
    CHECK(is_utf8(good));
  for (const auto bad : {"\x80"sv, "\xbf"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xc2"sv, "\xc2x"sv, "\xe0\x9f\xbf"sv,
                         "\xed\xa0\x80"sv, "\xed\xbf\xbf"sv, "\xe2\x82"sv, "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv,
                         "\xf5\x80\x80\x80"sv, "\xff"sv, "a\xfe"sv, "\xf0\x90\x80"sv})
    CHECK(!is_utf8(bad));
}
