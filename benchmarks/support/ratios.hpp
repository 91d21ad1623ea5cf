// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_SUPPORT_RATIOS_HPP
#define FEDAGG_BENCHMARKS_SUPPORT_RATIOS_HPP

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include <fedagg/kernels/isa.hpp>

#include "machine.hpp"

/// Ratios that are measured over several rounds, and what a program of them prints.
namespace bench {

/// What one thread spends on a processor: its time by the clock, less what other programs take of it.
inline constexpr clockid_t alone = CLOCK_THREAD_CPUTIME_ID;
/// What several threads take together.
inline constexpr clockid_t together = CLOCK_MONOTONIC;

double seconds_of(auto&& f, clockid_t clock = alone) {
  const auto now = [&] {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  const double begin = now();
  f();
  return now() - begin;
}

inline double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

/// A ratio of each round; a bar of 0 is none.
struct ratio {
  std::string name;
  std::vector<double> samples = {};
  const char* bound = "";
  double bar = 0;
};

/// Reads the one option of such a program; false, and what it takes on the standard error, if there are others.
inline bool read_quick(int count, char** arguments, const char* program, bool& quick) {
  quick = count > 1 && std::strcmp(arguments[1], "--quick") == 0;
  if (count <= (quick ? 2 : 1)) return true;
  std::fprintf(stderr, "usage: %s [--quick]\n", program);
  return false;
}

inline void print_machine() {
  std::printf("%s, last-level cache %zu MiB, %s\n%s, load %s\n\n", processor().c_str(), last_level_cache() >> 20,
              fedagg::name_of(fedagg::active_isa()), compiler().c_str(), load().c_str());
}

/// A line each: the median, the bar, whether it holds, quartiles. Returns what a program exits with.
inline int print(std::span<const ratio> all) {
  int shorts = 0;
  std::printf("\n%-66s %8s %9s  %-5s %14s\n", "", "measured", "bar", "", "quartiles");
  for (const ratio& r : all) {
    const double median = quantile(r.samples, 0.5);
    const bool ok = r.bar == 0 || (std::strcmp(r.bound, ">=") == 0 ? median >= r.bar : median <= r.bar);
    shorts += !ok;
    char bar[16] = "";
    if (r.bar > 0) std::snprintf(bar, sizeof bar, "%s %5.2f", r.bound, r.bar);
    std::printf("%-66s %8.2f %9s  %-5s %5.2f .. %5.2f\n", r.name.c_str(), median, bar,
                r.bar == 0 ? "" : ok ? "ok" : "short", quantile(r.samples, 0.25), quantile(r.samples, 0.75));
  }
  std::printf("\n%d short, load %s\n", shorts, load().c_str());
  return shorts == 0 ? 0 : 1;
}

} // namespace bench

#endif // FEDAGG_BENCHMARKS_SUPPORT_RATIOS_HPP
