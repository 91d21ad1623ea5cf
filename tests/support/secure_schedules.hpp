// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_SECURE_SCHEDULES_HPP
#define FEDAGG_TESTS_SUPPORT_SECURE_SCHEDULES_HPP

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "support/hostile_server.hpp"
#include "support/secure_simulation.hpp"

namespace fedagg_test {

/// A number that the environment says.
inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// One schedule: a shape, and one round or two of it, each with a server that keeps to the protocol over a faulty
/// network, or with one that does not, where the threat model has one. What went wrong, in words: nothing.
template <class Base>
std::string run_schedule(std::uint64_t seed, tally& count) {
  using fedagg::threat_model;
  fedagg::random_stream random(seed, "schedule");
  secure_parties<Base> w(shape::draw(random), seed);
  const threat_model model = w.setup.parameters.model;
  ++count.schedules;
  typename hostile_round<Base>::signatures kept;
  for (std::uint64_t rounds = 1 + (random.below(4) == 0); rounds > 0; --rounds) {
    if (model != threat_model::curious && random.below(2)) {
      ++count.hostile;
      hostile_round<Base> r(w);
      r.run(static_cast<int>(random.below(r.strategies)), &kept);
      count.openings += r.openings;
    } else {
      faulty_round<Base> r(w, count);
      r.run();
      // Who changes what the server says is no curious party.
      if (model == threat_model::curious && !r.passive()) return w.trouble;
    }
    if (!w.trouble.empty()) return w.trouble;
    if (std::string leak = w.tracker.text(); !leak.empty()) return leak;
  }
  return {};
}

/// A round of so many clients on a sparse graph.
template <class Base>
std::string run_large(std::uint32_t n, std::uint64_t seed, tally& count) {
  fedagg::random_stream random(seed, "large");
  shape s;
  s.clients = n;
  auto& p = s.parameters;
  p.model = random.below(2) ? fedagg::threat_model::curious : fedagg::threat_model::semi_malicious;
  p.colluding = static_cast<std::uint32_t>(random.below(n / 20));
  p.dropouts = static_cast<std::uint32_t>(n / 50 + random.below(n / 10));
  if (try_choose_graph(n, p) != fedagg::errc::ok) return "no graph";
  s.segments = {{32, 8}, {64, 2}};
  s.colluding.resize(n);
  for (std::uint32_t left = p.colluding; left > 0;)
    if (const auto i = static_cast<std::size_t>(random.below(n)); !s.colluding[i]) s.colluding[i] = true, --left;
  if (s.setup().complete()) return "a complete graph";
  secure_parties<Base> w(s, seed);
  ++count.schedules;
  faulty_round<Base> r(w, count);
  r.run();
  if (r.kinds() < 4) w.complain("a round with few faults");
  return w.trouble.empty() && (p.model != fedagg::threat_model::curious || r.passive()) ? w.tracker.text() : w.trouble;
}

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_SECURE_SCHEDULES_HPP
