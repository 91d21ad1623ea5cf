// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_ROUND_MODEL_HPP
#define FEDAGG_TESTS_SUPPORT_ROUND_MODEL_HPP

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fedagg/protocols/round/plan.hpp>

#include "catch.hpp"

/// What a round should do, written down a second time as plainly as possible, and random calls that compare the two.
namespace round_model {

using fedagg::errc;
using fedagg::standing;

/// What a client may send; only the first can be used.
enum class content { good, nan, longer, negative_weight };

struct model {
  struct client {
    standing where = standing::missing;
    errc reason = errc::ok;
    std::int64_t when = 0;
    double weight = 0;
    std::size_t refused = 0;
    std::vector<double> sent;
  };
  std::map<std::string, client> clients;
  std::uint64_t round = 0, refused = 0;
  std::int64_t deadline = 0, clock = std::numeric_limits<std::int64_t>::min();
  std::size_t needed = 0, minimum = 0;
  fedagg::round_phase phase = fedagg::round_phase::idle;
  bool closed = false;

  std::size_t count(standing s) const {
    std::size_t n = 0;
    for (const auto& [id, c] : clients) n += c.where == s;
    return n;
  }
  std::size_t received() const { return count(standing::received); }

  errc begin(const fedagg::round_plan& p, const std::vector<std::string>& ids) {
    if (phase == fedagg::round_phase::open) return errc::round_incomplete;
    if (phase != fedagg::round_phase::idle && p.round <= round) return errc::bad_parameter;
    std::map<std::string, client> fresh;
    for (const auto& id : ids)
      if (!fresh.try_emplace(id).second) return errc::duplicate_client;
    if (fresh.empty()) return errc::empty_cohort;
    const std::size_t n = p.needed == fedagg::round_plan::automatic ? fresh.size() : p.needed;
    const std::size_t m = p.minimum == fedagg::round_plan::automatic ? n : p.minimum;
    if (n > fresh.size() || m < 1 || m > n) return errc::bad_parameter;
    clients = fresh;
    round = p.round;
    deadline = p.deadline;
    needed = n;
    minimum = m;
    refused = 0;
    closed = false;
    phase = fedagg::round_phase::open;
    return errc::ok;
  }

  errc receive(const fedagg::delivery& d, content what, const std::vector<double>& sent) {
    if (phase == fedagg::round_phase::idle) return errc::round_closed;
    clock = std::max(clock, d.now);
    const auto at = clients.find(std::string(d.client));
    const auto no = [&](errc why, bool move = false, standing to = standing::missing) {
      ++refused;
      if (at != clients.end()) {
        if (move) at->second.where = to;
        ++at->second.refused;
        if (at->second.where != standing::received) {
          at->second.reason = why;
          at->second.when = clock;
        }
      }
      return why;
    };
    if (d.round < round) return no(errc::stale_client);
    if (d.round > round) return no(errc::value_range);
    if (at == clients.end()) return no(errc::unknown_client);
    client& c = at->second;
    if (c.where == standing::received) return no(errc::duplicate_client);
    if (clock >= deadline) return no(errc::late_client, true, standing::late);
    if (phase != fedagg::round_phase::open || closed || received() == needed)
      return no(errc::round_closed, true, standing::surplus);
    if (what == content::negative_weight) return no(errc::invalid_weight, true, standing::rejected);
    if (what == content::longer) return no(errc::client_layout, true, standing::rejected);
    if (what == content::nan) return no(errc::non_finite, true, standing::rejected);
    c = {standing::received, errc::ok, clock, d.weight, c.refused, sent};
    return errc::ok;
  }

  errc fail(const std::string& id, errc reason, std::int64_t now) {
    if (phase != fedagg::round_phase::open) return errc::round_closed;
    if (reason == errc::ok) return errc::bad_parameter;
    const auto at = clients.find(id);
    if (at == clients.end()) return errc::unknown_client;
    if (at->second.where == standing::received) return errc::duplicate_client;
    clock = std::max(clock, now);
    at->second.where = standing::failed;
    at->second.reason = reason;
    at->second.when = clock;
    return errc::ok;
  }

  bool ready(std::int64_t now) const {
    return phase == fedagg::round_phase::open &&
           (received() == needed || closed || std::max(clock, now) >= deadline || count(standing::missing) == 0);
  }
  errc finish(std::int64_t now) {
    if (phase != fedagg::round_phase::open) return errc::round_closed;
    clock = std::max(clock, now);
    if (!ready(now) || received() < minimum) return errc::round_incomplete;
    phase = fedagg::round_phase::finished;
    return errc::ok;
  }
  errc extend(std::int64_t to) {
    if (phase != fedagg::round_phase::open) return errc::round_closed;
    if (to <= clock) return errc::bad_parameter;
    deadline = to;
    closed = false;
    return errc::ok;
  }
  errc close() {
    if (phase != fedagg::round_phase::open) return errc::round_closed;
    closed = true;
    return errc::ok;
  }
  void abandon() {
    if (phase == fedagg::round_phase::open) phase = fedagg::round_phase::abandoned;
  }

  /// The weighted mean of what is received; whole numbers, so that nothing is rounded before the quotient.
  std::vector<double> mean() const {
    std::vector<double> sum(3, 0.0);
    double weight = 0;
    for (const auto& [id, c] : clients)
      if (c.where == standing::received) {
        for (std::size_t j = 0; j < 3; ++j) sum[j] += c.weight * c.sent[j];
        weight += c.weight;
      }
    for (double& x : sum) x /= weight;
    return sum;
  }
};

/// Everything that a round tells is what the model says.
template <class Round>
bool agrees(const Round& r, const model& m, std::int64_t now) {
  bool same = r.phase() == m.phase && r.ready(now) == m.ready(now) && r.refused() == m.refused;
  same = same && r.size() == m.clients.size() && r.received() == m.received();
  for (std::size_t s = 0; s < fedagg::standings; ++s)
    same = same && r.count(static_cast<standing>(s)) == m.count(static_cast<standing>(s));
  if (m.phase == fedagg::round_phase::idle) return same;
  same = same && r.number() == m.round && r.plan().deadline == m.deadline && r.plan().needed == m.needed &&
         r.plan().minimum == m.minimum;
  for (std::size_t i = 0; same && i < r.size(); ++i) {
    const fedagg::client_record c = r.record(i);
    const auto at = m.clients.find(std::string(c.id));
    same = at != m.clients.end() && r.find(c.id) == i && c.standing == at->second.where &&
           c.reason == at->second.reason && c.when == at->second.when && c.weight == at->second.weight &&
           c.refused == at->second.refused;
  }
  return same;
}

/// Random calls. `Subject` has `round` and: begin(plan, ids), receive(delivery, content, slot) -> code, with the values
/// to send in values(slot); finish(out, now) -> code; and reload(), which may save and load it.
template <class Subject>
void random_calls(Subject& subject, std::uint64_t seed, std::size_t steps) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<std::string> names = {"ann", "bob", "", std::string(90, 'c'), "dan", "eve", "ann2", "zoe"};
  model m;
  std::int64_t now = -50;
  std::size_t finished = 0, reached[8] = {};
  for (std::size_t step = 0; step < steps; ++step) {
    now += static_cast<std::int64_t>(below(4));
    // A clock that now and then is behind.
    const std::int64_t t = below(8) == 0 ? now - static_cast<std::int64_t>(below(6)) : now;
    errc got = errc::ok, want = errc::ok;
    std::size_t kind = below(16);
    // Without an open round most calls are pointless.
    if (m.phase != fedagg::round_phase::open && below(3) == 0) kind = 15;
    // With one, starting another.
    if (m.phase == fedagg::round_phase::open && kind == 15 && below(4) != 0) kind = 14;
    if (kind < 8) {
      // The id dies right after the call.
      std::string id = below(12) == 0 ? "stranger" + std::to_string(below(1000)) : names[below(names.size())];
      const auto what = static_cast<content>(below(3) == 0 ? below(4) : 0);
      const std::size_t slot = subject.slot(id);
      auto& values = subject.values(slot, what);
      std::vector<double> sent(3);
      // What is received may still be read at the end: it is not touched.
      const auto at = m.clients.find(id);
      const bool settled = at != m.clients.end() && at->second.where == standing::received;
      for (std::size_t j = 0; j < 3; ++j) {
        sent[j] = static_cast<double>(below(201)) - 100;
        if (!settled) values[j] = static_cast<float>(sent[j]);
      }
      fedagg::delivery d{id, m.round + (below(9) == 0 ? below(3) : 1) - 1, t,
                         what == content::negative_weight ? -1.0 : static_cast<double>(below(5) + 1)};
      want = m.receive(d, what, sent);
      got = subject.receive(d, what, slot);
    } else if (kind < 10) {
      const std::string id = below(9) == 0 ? "nobody" : names[below(names.size())];
      const errc why = below(9) == 0 ? errc::ok : errc::late_client;
      want = m.fail(id, why, t);
      got = subject.round.try_fail(id, why, t);
    } else if (kind == 10) {
      const std::int64_t to = t + static_cast<std::int64_t>(below(20)) - 4;
      want = m.extend(to);
      got = subject.round.try_extend(to);
    } else if (kind == 11) {
      if (below(3) != 0) continue;
      want = m.close();
      got = subject.round.try_close();
    } else if (kind == 12) {
      if (below(6) != 0) continue;
      m.abandon();
      subject.round.abandon();
    } else if (kind == 13) {
      if (subject.reload()) m.clock = std::numeric_limits<std::int64_t>::min();
    } else if (kind == 14) {
      std::vector<float> out(3, -7777.0f);
      want = m.finish(t);
      got = subject.finish(out, t);
      if (want == errc::ok) {
        ++finished;
        const auto mean = m.mean();
        for (std::size_t j = 0; j < 3; ++j) {
          CAPTURE(seed, step, j);
          CHECK(std::abs(static_cast<double>(out[j]) - mean[j]) <= 1e-5);
        }
      } else {
        CHECK(out == std::vector<float>(3, -7777.0f));
      }
    } else {
      std::vector<std::string> ids;
      for (const auto& name : names)
        if (below(4) != 0) ids.push_back(name);
      if (below(12) == 0 && !ids.empty()) ids.push_back(ids.front());
      if (below(20) == 0) ids.clear();
      fedagg::round_plan p;
      p.round = m.round + below(3);
      if (below(4) != 0) p.deadline = t + static_cast<std::int64_t>(below(30));
      if (below(2) != 0) p.needed = below(ids.size() + 2);
      if (below(5) != 0) p.minimum = below(4) == 0 ? below(ids.size() + 2) : 1 + below(3);
      want = m.begin(p, ids);
      got = subject.round.try_begin(p, ids);
      for (auto& id : ids) id.assign(id.size(), '?');
    }
    reached[got == errc::ok ? 0 : 1] += 1;
    if (got != want || !agrees(subject.round, m, t)) {
      CAPTURE(seed, step, kind, message(got), message(want));
      REQUIRE(got == want);
      REQUIRE(agrees(subject.round, m, t));
    }
  }
  // The calls must have been worth something.
  CHECK(finished > steps / 400);
  CHECK(reached[0] > steps / 5);
  CHECK(reached[1] > steps / 5);
}

} // namespace round_model

#endif // FEDAGG_TESTS_SUPPORT_ROUND_MODEL_HPP
