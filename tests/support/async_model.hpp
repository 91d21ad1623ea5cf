// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_ASYNC_MODEL_HPP
#define FEDAGG_TESTS_SUPPORT_ASYNC_MODEL_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fedagg/core/errc.hpp>

#include "catch.hpp"
#include "memory_archive.hpp"

/// What an asynchronous server should take, written down a second time as plainly as possible, and random calls that
/// compare the two.
namespace async_model {

using fedagg::errc;

struct model {
  std::uint64_t version = 0, bound = 0, floor = 0, taken = 0, refused = 0;
  std::size_t needed = 0, received = 0;
  /// Everything that was ever taken: nothing is forgotten here.
  std::set<std::pair<std::string, std::uint64_t>> ever;

  std::uint64_t oldest() const { return std::max(floor, version > bound ? version - bound : 0); }

  errc receive(const std::string& id, std::uint64_t from, bool usable) {
    const auto no = [&](errc rc) {
      ++refused;
      return rc;
    };
    if (from > version) return no(errc::value_range);
    if (from < oldest()) return no(errc::stale_client);
    if (ever.count({id, from})) return no(errc::duplicate_client);
    if (id.size() > 1024) return no(errc::unknown_client);
    if (received == needed) return no(errc::round_closed);
    if (!usable) return no(errc::non_finite);
    ever.insert({id, from});
    ++received;
    ++taken;
    return errc::ok;
  }
  errc flush() {
    if (received < needed) return errc::round_incomplete;
    received = 0;
    floor = std::max(floor, oldest());
    ++version;
    floor = std::max(floor, oldest());
    return errc::ok;
  }
};

/// How many (client, version) pairs an object remembers.
template <class Object>
std::size_t remembered(Object& object) {
  fedagg_test::memory_archive a;
  REQUIRE(a.save(object) == errc::ok);
  CHECK(a.twice.empty());
  return a.items.at("seen.versions").bytes.size() / 8;
}

/// Random calls. `Subject` has `server`, `receive(id, from, usable)`, `flush()` if it has to be asked for, and
/// `reload(bound)`, which saves it and loads it into one with another bound on staleness.
template <class Subject>
void random_calls(Subject& subject, std::size_t needed, bool flushes, std::uint64_t bound, std::uint64_t seed,
                  std::size_t steps) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  model m;
  m.version = m.floor = subject.server.model_version();
  m.bound = bound;
  m.needed = needed;
  std::size_t good = 0, bad = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    const std::size_t kind = below(12);
    errc got = errc::ok, want = errc::ok;
    if (kind < 9) {
      std::string id = "client" + std::to_string(below(6));
      if (below(40) == 0) id = std::string(1025, 'x');
      if (below(40) == 0) id = "";
      if (below(40) == 0) id = "once" + std::to_string(step);
      const std::uint64_t ahead = below(12) == 0 ? 1 + below(3) : 0, behind = below(static_cast<std::size_t>(bound) + 3);
      const std::uint64_t from = m.version + ahead > behind ? m.version + ahead - behind : 0;
      const bool usable = below(8) != 0;
      want = m.receive(id, from, usable);
      if (want == errc::ok && !flushes) REQUIRE(m.flush() == errc::ok);
      got = subject.receive(id, from, usable);
      id.assign(id.size(), '?');
    } else if (kind < 11) {
      if (!flushes) continue;
      want = m.flush();
      got = subject.flush();
    } else if (below(10) == 0) {
      m.bound = below(static_cast<std::size_t>(bound) + 1);
      subject.reload(m.bound);
    }
    (got == errc::ok ? good : bad) += 1;
    CAPTURE(seed, step, kind, message(got), message(want));
    const auto& s = subject.server;
    const bool agrees = s.model_version() == m.version && s.oldest() == m.oldest() && s.taken() == m.taken &&
                        s.refused() == m.refused;
    if (got != want || !agrees) {
      REQUIRE(got == want);
      REQUIRE(s.model_version() == m.version);
      REQUIRE(s.oldest() == m.oldest());
      REQUIRE(s.taken() == m.taken);
      REQUIRE(s.refused() == m.refused);
    }
    if (step % 64 == 0) CHECK(remembered(subject.server) <= needed * (static_cast<std::size_t>(bound) + 1));
  }
  CHECK(good > steps / 6);
  CHECK(bad > steps / 6);
  CHECK(m.version > 20);
}

/// Every item of a saved server shortened, lengthened or missing, and a few values out of range.
template <class Make>
void hostile_files(const fedagg_test::memory_archive& saved, const Make& make) {
  const auto load = [&](const fedagg_test::memory_archive& a) {
    auto fresh = make();
    fedagg_test::memory_archive copy = a;
    return copy.load(fresh);
  };
  REQUIRE(load(saved) == errc::ok);
  for (const auto& [name, item] : saved.items) {
    CAPTURE(name);
    auto a = saved;
    a.items.erase(name);
    CHECK(load(a) == errc::file_format);
    a = saved;
    a.items[name].bytes.resize(item.bytes.size() + 8);
    CHECK(load(a) == errc::file_format);
    if (item.bytes.size() >= 8) {
      a = saved;
      a.items[name].bytes.resize(item.bytes.size() - 8);
      CHECK(load(a) == errc::file_format);
    }
  }
  const auto spoil = [&](const char* name, std::size_t at, std::uint64_t value) {
    auto a = saved;
    auto& bytes = a.items.at(name).bytes;
    REQUIRE((at + 1) * sizeof value <= bytes.size());
    std::memcpy(bytes.data() + at * sizeof value, &value, sizeof value);
    return load(a);
  };
  std::uint64_t version = 0, oldest = 0;
  std::memcpy(&version, saved.items.at("version").bytes.data(), 8);
  std::memcpy(&oldest, saved.items.at("oldest").bytes.data(), 8);
  CHECK(spoil("oldest", 0, version + 1) == errc::file_format);
  CHECK(spoil("version", 0, UINT64_MAX) == errc::file_format);
  CHECK(spoil("seen.versions", 0, version + 1) == errc::file_format);
  if (oldest > 0) CHECK(spoil("seen.versions", 0, oldest - 1) == errc::file_format);
  CHECK(spoil("seen.id_sizes", 0, UINT64_MAX) == errc::file_format);
  CHECK(spoil("seen.id_sizes", 0, 1025) == errc::file_format);
  // Out of order, and twice.
  CHECK(spoil("seen.versions", 0, version) == errc::file_format);
}

} // namespace async_model

#endif // FEDAGG_TESTS_SUPPORT_ASYNC_MODEL_HPP
