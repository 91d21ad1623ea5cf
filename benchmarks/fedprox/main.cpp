// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fedagg/adapters/threads.hpp>

#include "chart.hpp"
#include "synthetic.hpp"
#include "training.hpp"

namespace {

using namespace fedprox;

constexpr const char* usage =
    "usage: fedprox [--check] [--svg FILE] [--rounds N] [--threads N]\n"
    "\n"
    "FedProx on the synthetic data of its paper (Li et al. 2020, arXiv:1812.06127), mu 0 and 1, three seeds.\n"
    "\n"
    "  --check     exit with 1 unless mu = 1 is above mu = 0 in accuracy and below it in jitter on the three sets "
    "that\n"
    "              are not IID, below in accuracy on the one that is, and where it was in spite of 90 % stragglers\n"
    "  --svg FILE  draw the first seed's curves\n"
    "  --rounds N  rounds, 200 unless given; the late ones, whose jitter is measured, are the second half\n";

constexpr std::size_t seeds = 3;

struct setting {
  const char* name;
  std::size_t data;
  training zero, one;
};

struct measured {
  double loss[seeds], accuracy[seeds], jitter[seeds];
};

double mean_of(const double (&x)[seeds]) {
  double sum = 0;
  for (const double v : x) sum += v;
  return sum / static_cast<double>(seeds);
}

bool failed = false;
void claim(bool holds, const char* what, const char* where) {
  std::printf("%-4s %s: %s\n", holds ? "ok" : "FAIL", where, what);
  failed = failed || !holds;
}

} // namespace

int main(int count, char** words) {
  bool check = false;
  std::string svg;
  std::size_t rounds = 200, threads = 0;
  for (int k = 1; k < count; ++k) {
    const bool more = k + 1 < count;
    if (std::strcmp(words[k], "--check") == 0)
      check = true;
    else if (std::strcmp(words[k], "--svg") == 0 && more)
      svg = words[++k];
    else if (std::strcmp(words[k], "--rounds") == 0 && more)
      rounds = std::strtoul(words[++k], nullptr, 10);
    else if (std::strcmp(words[k], "--threads") == 0 && more)
      threads = std::strtoul(words[++k], nullptr, 10);
    else
      return std::fputs(usage, stderr), 2;
  }
  if (rounds < 2 || rounds > 100000 || threads > 1000) return std::fputs(usage, stderr), 2;

  const recipe recipes[] = {
      {"iid", 0, 0, true}, {"(0, 0)", 0, 0, false}, {"(0.5, 0.5)", 0.5, 0.5, false}, {"(1, 1)", 1, 1, false}};
  const training zero{0, stragglers::none, rounds}, one{1, stragglers::none, rounds};
  const setting settings[] = {
      {"iid", 0, zero, one},
      {"(0, 0)", 1, zero, one},
      {"(0.5, 0.5)", 2, zero, one},
      {"(1, 1)", 3, zero, one},
      {"(1, 1), 90 % slow", 3, {0, stragglers::dropped, rounds}, {1, stragglers::partial, rounds}},
  };
  constexpr std::size_t n = std::size(settings);

  fedagg::thread_pool pool(threads);
  std::vector<std::vector<device>> data(std::size(recipes) * seeds);
  pool(data.size(), [&](std::size_t k) { data[k] = synthetic(recipes[k / seeds], k % seeds + 1); });
  // The longest ones first: the uneven rest is then short.
  std::vector<curve> curves(n * 2 * seeds);
  pool(curves.size(), [&](std::size_t k) {
    const setting& s = settings[k / (2 * seeds)];
    curves[k] = train(data[s.data * seeds + k % seeds], k / seeds % 2 == 0 ? s.zero : s.one, k % seeds + 1);
  });

  std::printf("%-18s %-10s %-17s %-20s %s\n", "data", "mu", "train loss", "test accuracy", "mean |loss change|, late");
  std::vector<measured> results;
  for (std::size_t k = 0; k < n * 2; ++k) {
    measured m;
    for (std::size_t s = 0; s < seeds; ++s) {
      const curve& c = curves[k * seeds + s];
      m.loss[s] = c.loss.back();
      m.accuracy[s] = c.accuracy.back();
      m.jitter[s] = 0;
      const std::size_t first = rounds / 2;
      for (std::size_t t = first; t < rounds; ++t)
        m.jitter[s] += std::abs(c.loss[t + 1] - c.loss[t]) / static_cast<double>(rounds - first);
    }
    results.push_back(m);
    const bool slow = settings[k / 2].zero.slow != stragglers::none;
    std::printf("%-18s %-10s %5.2f %5.2f %5.2f %6.3f %6.3f %6.3f %9.4f %7.4f %7.4f\n", settings[k / 2].name,
                k % 2 ? (slow ? "1, partial" : "1") : (slow ? "0, dropped" : "0"), m.loss[0], m.loss[1], m.loss[2],
                m.accuracy[0], m.accuracy[1], m.accuracy[2], m.jitter[0], m.jitter[1], m.jitter[2]);
  }

  if (!svg.empty()) {
    std::vector<pair_of_curves> drawn;
    for (std::size_t k = 0; k < n; ++k)
      drawn.push_back({settings[k].name, &curves[2 * k * seeds], &curves[(2 * k + 1) * seeds]});
    std::ofstream file(svg);
    file << chart(drawn);
    if (!file.flush()) return std::fprintf(stderr, "fedprox: cannot write %s\n", svg.c_str()), 1;
  }
  if (!check) return 0;

  for (std::size_t k = 0; k < 4; ++k) {
    const measured &a = results[2 * k], &b = results[2 * k + 1];
    if (k == 0) {
      bool below = true;
      for (std::size_t s = 0; s < seeds; ++s) below = below && b.accuracy[s] < a.accuracy[s];
      claim(below, "mu = 1 has the lower accuracy, with each seed", settings[k].name);
      continue;
    }
    bool above = true, calmer = true;
    for (std::size_t s = 0; s < seeds; ++s) {
      above = above && b.accuracy[s] > a.accuracy[s];
      calmer = calmer && b.jitter[s] < a.jitter[s];
    }
    claim(above, "mu = 1 has the higher accuracy, with each seed", settings[k].name);
    claim(calmer, "mu = 1 has the lower jitter, with each seed", settings[k].name);
  }
  const measured &full = results[7], &partial = results[9], &dropped = results[8];
  bool still = true;
  for (std::size_t s = 0; s < seeds; ++s) still = still && std::abs(partial.accuracy[s] - full.accuracy[s]) <= 0.02;
  claim(still, "mu = 1 is within 0.02 of its accuracy without stragglers, with each seed", settings[4].name);
  claim(mean_of(partial.accuracy) > mean_of(dropped.accuracy), "mu = 1 is above mu = 0, which drops them, on average",
        settings[4].name);
  return failed ? 1 : 0;
}
