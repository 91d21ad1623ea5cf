// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <vector>

#include <fedagg/secure/secure_setup.hpp>

#include "support/catch.hpp"
#include "support/toy_suite.hpp"

using namespace fedagg;
using fedagg_test::toy_suite;

namespace {

secure_setup setup_of(std::uint32_t n, const secure_parameters& parameters) {
  secure_setup s;
  s.parameters = parameters;
  for (std::uint32_t i = 0; i < n; ++i) {
    public_key key = {};
    for (int b = 0; b < 4; ++b) key[static_cast<std::size_t>(b)] = static_cast<std::uint8_t>(i >> 8 * b);
    s.roster.push_back(key);
  }
  s.session[0] = 1;
  s.round = 7;
  REQUIRE(s.layout.try_add(32, 10) == errc::ok);
  s.description = {1, 2};
  return s;
}
errc check(std::uint32_t n, const secure_parameters& parameters) { return setup_of(n, parameters).check(); }

struct other_suite : toy_suite {
  static constexpr const char* name = "toy2";
};
struct other_masks : chacha20_masks {
  static constexpr const char* name = "chacha8";
};
struct short_masks : chacha20_masks {
  static constexpr std::uint64_t segment_bytes = 40;
};

constexpr threat_model curious = threat_model::curious, semi_malicious = threat_model::semi_malicious,
                       malicious = threat_model::malicious;

} // namespace

TEST_CASE("a segment that is longer than a mask is refused before anything begins") {
  const secure_parameters fine = {.colluding = 1, .dropouts = 1, .threshold = 6};
  for (const unsigned bits : {8u, 16u, 17u, 32u, 33u, 64u}) {
    const std::uint64_t most = (std::uint64_t{1} << 38) / ring_layout::word_bytes_of(bits);
    for (const std::uint64_t count : {most, most + 1}) {
      secure_setup s = setup_of(7, fine);
      REQUIRE(s.layout.try_add(bits, count) == errc::ok);
      REQUIRE(s.layout.try_add(8, 1) == errc::ok);
      CHECK(s.check() == (count == most ? errc::ok : errc::size_overflow));
      CHECK(s.check<short_masks>() == errc::size_overflow);
    }
  }
  secure_setup s = setup_of(7, fine);
  CHECK(s.check<short_masks>() == errc::ok);
  REQUIRE(s.layout.try_add(32, 11) == errc::ok);
  CHECK(s.check<short_masks>() == errc::size_overflow);
  CHECK(s.check() == errc::ok);
}

TEST_CASE("what is refused whatever the threat model") {
  for (const threat_model model : {curious, semi_malicious, malicious}) {
    const secure_parameters fine = {.model = model, .colluding = 1, .dropouts = 1, .threshold = 6};
    secure_setup s = setup_of(7, fine);
    REQUIRE(s.check() == errc::ok);
    CHECK(setup_of(0, fine).check() == errc::bad_parameter);
    CHECK(setup_of(1, {.model = model}).check() == errc::bad_parameter);
    s.layout = {};
    CHECK(s.check() == errc::bad_parameter);
    for (const std::size_t i : {0u, 3u}) {
      s = setup_of(7, fine);
      s.roster[i] = s.roster[6];
      CHECK(s.check() == errc::bad_key);
    }
    for (const std::uint32_t much : {7u, 8u, ~0u}) {
      secure_parameters p = fine;
      p.colluding = much;
      CHECK(check(7, p) == errc::bad_parameter);
      p = fine;
      p.dropouts = much;
      CHECK(check(7, p) == errc::bad_parameter);
      p = fine;
      p.degree = much;
      CHECK(check(7, p) == errc::bad_parameter);
      p = fine;
      p.threshold = much;
      CHECK(check(7, p) == errc::insecure_parameters);
    }
    // More than are left, and fewer than two that do not collude.
    secure_parameters p = fine;
    p.minimum_inputs = 7;
    CHECK(check(7, p) == errc::insecure_parameters);
    p.minimum_inputs = 6;
    CHECK(check(7, p) == errc::ok);
    p.minimum_inputs = 2;
    CHECK(check(7, p) == errc::insecure_parameters);
    p = fine;
    p.model = static_cast<threat_model>(3);
    CHECK(check(7, p) == errc::insecure_parameters);
  }
  // With two clients each learns the other's vector, and says so by its parameters.
  CHECK(check(2, {.model = curious, .threshold = 1}) == errc::ok);
  CHECK(check(2, {.model = malicious}) == errc::ok);
}

TEST_CASE("the conditions on the complete graph, all of them") {
  for (const threat_model model : {curious, semi_malicious, malicious})
    for (std::uint32_t n = 2; n <= 7; ++n)
      for (std::uint32_t c = 0; c < n; ++c)
        for (std::uint32_t d = 0; d < n; ++d)
          for (std::uint32_t t = 0; t <= n + 1; ++t) {
            const std::uint32_t used = t == 0 ? n - d : t;
            const bool secret = model == curious ? used > c : 2 * used > n + c;
            const bool lives = used <= n - d && c + 2 <= n - d;
            const errc rc = check(n, {.model = model, .colluding = c, .dropouts = d, .threshold = t});
            if (rc != (secret && lives ? errc::ok : errc::insecure_parameters))
              FAIL(int(model) << " n " << n << " c " << c << " d " << d << " t " << t);
            // The degree may be said or not.
            CHECK(check(n, {.model = model, .colluding = c, .dropouts = d, .threshold = t, .degree = n - 1}) == rc);
          }
}

TEST_CASE("sparse graphs: never against a malicious server, else an even degree that is large enough") {
  CHECK(check(100, {.model = malicious, .threshold = 30, .degree = 40}) == errc::insecure_parameters);
  CHECK(check(100, {.model = semi_malicious, .threshold = 30, .degree = 40}) == errc::ok);
  CHECK(check(100, {.model = semi_malicious, .threshold = 20, .degree = 40}) == errc::insecure_parameters);
  CHECK(check(100, {.model = semi_malicious, .threshold = 41, .degree = 40}) == errc::insecure_parameters);
  CHECK(check(100, {.model = semi_malicious, .threshold = 30, .degree = 41}) == errc::insecure_parameters);
  CHECK(check(100, {.model = semi_malicious, .threshold = 0, .degree = 40}) == errc::insecure_parameters);
  CHECK(check(100, {.model = curious, .threshold = 20, .degree = 40}) == errc::ok);
  CHECK(check(100, {.model = curious, .colluding = 50, .threshold = 20, .degree = 40}) == errc::insecure_parameters);
  // What the search finds is accepted, one neighbour or one share less is not.
  for (const threat_model model : {curious, semi_malicious}) {
    const std::uint32_t n = 1000, c = 50, d = 100;
    secure_parameters p = {.model = model, .colluding = c, .dropouts = d};
    REQUIRE(fedagg::try_choose_graph(n, p) == errc::ok);
    REQUIRE(p.degree + 1 < n);
    CHECK(check(n, p) == errc::ok);
    secure_parameters weaker = p;
    weaker.degree -= 2;
    CHECK(check(n, weaker) == errc::insecure_parameters);
    weaker = p;
    --weaker.threshold;
    CHECK(check(n, weaker) == errc::insecure_parameters);
    // A set of survivors needs a quorum, which so many dropouts do not leave.
    if (model == semi_malicious) {
      weaker = p;
      weaker.dropouts = 500;
      CHECK(check(n, weaker) == errc::insecure_parameters);
    }
  }
}

TEST_CASE("what is left open is filled in") {
  secure_setup s = setup_of(10, {.model = malicious, .colluding = 2, .dropouts = 3});
  REQUIRE(s.check() == errc::ok);
  CHECK(s.complete());
  CHECK(s.degree() == 9);
  CHECK(s.threshold() == 7);
  CHECK(s.minimum_inputs() == 4);
  CHECK(s.quorum() == 7);
  CHECK(s.least() == 7);
  CHECK(s.consistent());
  s.parameters.minimum_inputs = 7;
  CHECK(s.minimum_inputs() == 7);
  s.parameters.model = curious;
  s.parameters.threshold = 3;
  s.parameters.minimum_inputs = 0;
  CHECK_FALSE(s.consistent());
  CHECK(s.quorum() == 0);
  CHECK(s.least() == 4);

  s = setup_of(100, {.model = semi_malicious, .colluding = 3, .threshold = 30, .degree = 40});
  CHECK_FALSE(s.complete());
  CHECK(s.quorum() == 52); // two sets of as many have more clients in common than collude
  CHECK(2 * s.quorum() > 100 + 3);
  CHECK(2 * (s.quorum() - 1) <= 100 + 3);
  // No more may be missing than the graph was chosen for.
  CHECK(s.least() == 100);
  s.parameters.dropouts = 30;
  CHECK(s.least() == 70);
  s.parameters.dropouts = 60;
  CHECK(s.least() == 52);
  s.parameters.colluding = 4;
  CHECK(s.quorum() == 53);
}

TEST_CASE("two setups that differ in anything have different hashes") {
  const secure_parameters p = {.model = semi_malicious, .colluding = 1, .dropouts = 1, .threshold = 6};
  const secure_setup base = setup_of(7, p);
  std::vector<digest> all = {base.hash<toy_suite>()};
  const auto with = [&](auto change) {
    secure_setup s = base;
    change(s);
    all.push_back(s.hash<toy_suite>());
  };
  with([](auto& s) { s.parameters.model = curious; });
  with([](auto& s) { s.parameters.model = malicious; });
  with([](auto& s) { s.parameters.colluding = 2, s.parameters.minimum_inputs = 3; });
  with([](auto& s) { s.parameters.dropouts = 0; });
  with([](auto& s) { s.parameters.threshold = 5; });
  with([](auto& s) { s.parameters.degree = 4; });
  with([](auto& s) { s.parameters.minimum_inputs = 4; });
  with([](auto& s) { s.session[31] ^= 1; });
  with([](auto& s) { s.session[0] ^= 1; });
  with([](auto& s) { ++s.round; });
  with([](auto& s) { s.round += std::uint64_t{1} << 32; });
  with([](auto& s) { std::swap(s.roster[0], s.roster[1]); });
  with([](auto& s) { s.roster.pop_back(); });
  with([](auto& s) { s.roster[6][31] ^= 1; });
  with([](auto& s) { REQUIRE(s.layout.try_add(32, 0) == errc::ok); });
  with([](auto& s) {
    s.layout = {};
    REQUIRE(s.layout.try_add(32, 11) == errc::ok);
  });
  with([](auto& s) {
    s.layout = {};
    REQUIRE(s.layout.try_add(31, 10) == errc::ok);
  });
  with([](auto& s) { s.description.push_back(0); });
  with([](auto& s) { s.description.clear(); });
  with([](auto& s) { s.description[1] ^= 1; });
  // Other primitives, other masks.
  all.push_back(base.hash<other_suite>());
  all.push_back(base.hash<toy_suite, other_masks>());
  const std::size_t count = all.size();
  std::sort(all.begin(), all.end());
  CHECK(static_cast<std::size_t>(std::unique(all.begin(), all.end()) - all.begin()) == count);

  // What says the same is the same.
  secure_setup same = base;
  same.parameters.degree = 6;
  same.parameters.threshold = 0;
  same.parameters.minimum_inputs = 3;
  CHECK((same.hash<toy_suite>() == base.hash<toy_suite>()));
}

TEST_CASE("the hash of a setup, part by part") {
  const secure_setup s = setup_of(3, {.model = malicious, .dropouts = 1, .threshold = 2});
  std::vector<std::uint8_t> in;
  const auto number = [&](std::uint64_t x) {
    for (int b = 0; b < 8; ++b) in.push_back(static_cast<std::uint8_t>(x >> 8 * b));
  };
  const auto part = [&](const void* data, std::size_t size) {
    number(size);
    const auto* p = static_cast<const std::uint8_t*>(data);
    in.insert(in.end(), p, p + size);
  };
  part("fedagg secure aggregation 1 setup", 33);
  part("toy", 3);
  part("chacha20", 8);
  for (const std::uint64_t x : {2u, 0u, 1u, 2u, 2u, 2u})
    number(x); // model, colluding, dropouts, threshold, degree, inputs
  part(s.session.data(), 32);
  number(7);
  number(3);
  for (const auto& key : s.roster) part(key.data(), 32);
  number(1);
  number(32);
  number(10);
  part(s.description.data(), 2);
  toy_suite::hasher h;
  h.update(in);
  CHECK((h.finish() == s.hash<toy_suite>()));
}
