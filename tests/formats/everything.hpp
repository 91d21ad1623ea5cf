// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_FORMATS_EVERYTHING_HPP
#define FEDAGG_TESTS_FORMATS_EVERYTHING_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/model_buffer.hpp>

/// Everything that an archive knows.
struct everything {
  static constexpr const char* kind = "everything";
  static constexpr unsigned version = 3;

  std::uint64_t round = 0;
  std::int64_t signed_ = 0;
  double x = 0, y = 0;
  bool yes = false, no = true;
  std::vector<char> text;
  std::string other;
  std::vector<double> a;
  std::vector<float> b;
  std::vector<std::int64_t> c;
  std::vector<std::uint64_t> d;
  std::vector<std::int32_t> e;
  std::vector<std::uint32_t> f;
  std::vector<std::uint8_t> g;
  fedagg::model_buffer buffer;

  static everything sample() {
    everything s;
    s.round = std::numeric_limits<std::uint64_t>::max();
    s.signed_ = std::numeric_limits<std::int64_t>::min();
    s.x = -0.0;
    s.y = std::bit_cast<double>(0x7ff4000000000123u); // a signalling NaN
    s.yes = true;
    s.no = false;
    s.text = {'\xff', 'a', '\0'};
    s.other = "\"quoted\" \xc3\xa9\n";
    s.a = {0.1, -0.0, 5e-324};
    s.b = {1, 2};
    s.c = {-1};
    s.d = {1, 2, 3};
    s.e = {-7};
    s.g = {0, 255, 3};
    const std::size_t shape[] = {2, 3};
    fedagg::model_layout l;
    l.add("w", fedagg::dtype::f32, shape);
    l.add("\xff not UTF-8", fedagg::dtype::f16, {});
    l.add("w", fedagg::dtype::f32, shape);
    s.buffer = fedagg::model_buffer(l, fedagg::precision::f32);
    s.buffer.fill(0.25);
    return s;
  }

  template <class Archive>
  fedagg::errc archive(Archive& ar) {
    fedagg::errc rc = ar.value("round", round);
    if (rc == fedagg::errc::ok) rc = ar.value("signed", signed_);
    if (rc == fedagg::errc::ok) rc = ar.value("x", x);
    if (rc == fedagg::errc::ok) rc = ar.value("y", y);
    if (rc == fedagg::errc::ok) rc = ar.value("yes", yes);
    if (rc == fedagg::errc::ok) rc = ar.value("no", no);
    if (rc == fedagg::errc::ok) rc = ar.value("text", text);
    if (rc == fedagg::errc::ok) rc = ar.value("other", other);
    if (rc == fedagg::errc::ok) rc = ar.array("a", a);
    if (rc == fedagg::errc::ok) rc = ar.array("b", b);
    if (rc == fedagg::errc::ok) rc = ar.array("c", c);
    if (rc == fedagg::errc::ok) rc = ar.array("d", d);
    if (rc == fedagg::errc::ok) rc = ar.array("e", e);
    if (rc == fedagg::errc::ok) rc = ar.array("f", f);
    if (rc == fedagg::errc::ok) rc = ar.array("g", g);
    if (rc == fedagg::errc::ok) rc = fedagg::archive_part(ar, "buffer", buffer);
    return rc;
  }

  friend bool operator==(const everything& p, const everything& q) {
    return p.round == q.round && p.signed_ == q.signed_ &&
           std::bit_cast<std::uint64_t>(p.x) == std::bit_cast<std::uint64_t>(q.x) &&
           std::bit_cast<std::uint64_t>(p.y) == std::bit_cast<std::uint64_t>(q.y) && p.yes == q.yes && p.no == q.no &&
           p.text == q.text && p.other == q.other && p.a == q.a && p.b == q.b && p.c == q.c && p.d == q.d &&
           p.e == q.e && p.f == q.f && p.g == q.g && p.buffer == q.buffer;
  }
};

#endif // FEDAGG_TESTS_FORMATS_EVERYTHING_HPP
