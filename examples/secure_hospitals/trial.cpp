// SPDX-License-Identifier: MIT
#include "trial.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "launcher.hpp"
#include "patients.hpp"
#include "referee.hpp"

namespace secure_hospitals {
namespace {

using fedagg::client_stage;

constexpr client_stage stages[] = {client_stage::sent_keys, client_stage::sent_shares, client_stage::sent_input,
                                   client_stage::sent_consent, client_stage::sent_openings};

/// Two rounds without an accident; at each stage one hospital that comes back for the next round; two hospitals, where
/// one may drop out; at each stage one that comes back at once; then none.
std::vector<accident> accidents(std::uint64_t rounds) {
  std::vector<accident> all(2);
  for (std::size_t k = 0; k < 5; ++k) all.push_back({{k}, stages[k], false});
  all.push_back({{0, 4}, client_stage::sent_input, false});
  for (std::size_t k = 0; k < 5; ++k) all.push_back({{(k + 2) % 5}, stages[k], true});
  all.resize(static_cast<std::size_t>(rounds));
  return all;
}

/// Whose input must be in the sum: that of everyone from whom it left.
std::vector<std::size_t> expected(const accident& a) {
  std::vector<std::size_t> in;
  for (std::size_t h = 0; h < hospitals::sites.size(); ++h)
    if (a.back_at_once || a.at > client_stage::sent_input || std::count(a.killed.begin(), a.killed.end(), h) == 0)
      in.push_back(h);
  return in;
}

/// Everything that is to hold in a round; prints its row.
class table {
public:
  table(launcher& running, const hospitals::split& data)
      : running_(running), judge_(data), held_out_(data.test.size()) {
    std::printf("%5s  %-29s  %-8s  %8s  %8s  %8s  %6s  %6s  %8s\n", "round", "killed", "accepted", "patients", "off by",
                "bound", "home %", "test %", "in clear");
  }

  bool row(std::uint64_t round, const accident& a) {
    std::string why;
    const std::optional<ended_round> r = running_.end_of(round, why);
    std::printf("%5u  %-29s  ", static_cast<unsigned>(round), description(a).c_str());
    const bool good = r ? sum_row(round, a, *r)
                        : a.killed.size() > strength.dropouts &&
                              why == std::string("gave up: ") + message(fedagg::errc::round_incomplete);
    std::printf("%s%s\n", r ? "" : why.c_str(), good ? "" : "  WRONG");
    std::fflush(stdout);
    return good;
  }

private:
  bool sum_row(std::uint64_t round, const accident& a, const ended_round& r) {
    const verdict v = judge_.judge(r);
    std::string accepted;
    for (std::size_t h = 0; h < hospitals::sites.size(); ++h)
      accepted += std::count(r.accepted.begin(), r.accepted.end(), h) != 0 ? hospitals::sites[h].name[0] : '-';
    std::printf("%-8s  %8u  %8.1e  %8.1e", accepted.c_str(), static_cast<unsigned>(v.patients), v.deviation, v.bound);
    if (round > 1 && v.patients > 0)
      std::printf("  %6.1f  %6.1f  %8.1f", per_cent(static_cast<Eigen::Index>(v.right_at_home), v.patients),
                  per_cent(v.right, held_out_), per_cent(v.right_in_the_clear, held_out_));
    bool good = a.killed.size() <= strength.dropouts && r.accepted == expected(a) && v.holds();
    if (a.back_at_once)
      for (const std::size_t h : a.killed) {
        const account& said = running_.of(h, round, client_stage::sent_openings);
        good = good && said.restored == name_of(a.at) && said.sent_the_same;
      }
    // Who is near the border is told, so that nobody takes an equal number for chance. Before the first step all are.
    if (round > 1 && v.undecided > 0) std::printf("  %u undecided", static_cast<unsigned>(v.undecided));
    return good;
  }

  static std::string description(const accident& a) {
    std::string text;
    for (const std::size_t h : a.killed) text += (text.empty() ? "" : ", ") + std::string(hospitals::sites[h].name);
    if (!text.empty()) text += std::string(" at ") + name_of(a.at) + (a.back_at_once ? ", restored" : "");
    return text;
  }
  template <class Count>
  static double per_cent(Eigen::Index right, Count all) {
    return 100.0 * static_cast<double>(right) / static_cast<double>(all);
  }

  launcher& running_;
  referee judge_;
  Eigen::Index held_out_;
};

} // namespace

bool run_trial(const trial_options& how) {
  const hospitals::split data = hospitals::shared_out(hospitals::read_csv(HOSPITALS_DATA), how.seed).front();
  const std::vector<accident> plan = accidents(how.rounds);
  launcher running({how.program, how.folder, how.seed, plan});
  std::printf(
      "Five hospitals (north, east, south, west, harbour), secure aggregation against a malicious server and %u of\n"
      "them; %u of %zu shares open a secret, %u may drop out. Round 1 finds the scale of the measurements.\n\n",
      strength.colluding, strength.threshold, hospitals::sites.size(), strength.dropouts);
  table t(running, data);
  std::uint64_t wrong = 0;
  for (std::uint64_t round = 1; round <= how.rounds; ++round) {
    const accident& a = plan[static_cast<std::size_t>(round - 1)];
    for (const std::size_t h : a.killed) {
      running.kill(h, round);
      if (a.back_at_once) running.start(h, round + 1);
    }
    if (!t.row(round, a)) ++wrong;
    for (const std::size_t h : a.killed)
      if (!a.back_at_once) running.start(h, round + 1);
  }
  if (!running.finish()) {
    std::printf("\nA process did not end as it should.\n");
    return false;
  }
  if (wrong > 0) {
    std::printf("\n%u rounds are not as they should be.\n", static_cast<unsigned>(wrong));
    return false;
  }
  std::printf("\nShown: with one hospital killed at any stage, each sum was that of the accepted vectors, bit for bit; "
              "restored\n"
              "hospitals sent again what they had made, byte for byte, and finished their round; two killed ended "
              "theirs without\n"
              "a sum. Every coordinate was within the bound of FedAvg in the clear, and so was every decision after %u "
              "rounds.\n",
              static_cast<unsigned>(how.rounds));
  return true;
}

} // namespace secure_hospitals
