// SPDX-License-Identifier: MIT
// usage: kappa [--help]. Searches for the worst (f, kappa) ratio of rules and chains and prints it beside the proven
// bound: norm(R(x) - mean_S)^2 over the mean of norm(x_i - mean_S)^2 over S, for S any n - f of the rows (Allouah et
// al. 2023, arXiv:2302.01772, definition 2).
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/adapters/threads.hpp>
#include <fedagg/core/element.hpp>
#include <fedagg/core/error.hpp>

#include "robustness/rules.hpp"
#include "theory/bounds.hpp"
#include "theory/search.hpp"
#include "theory/table.hpp"

namespace {

using nlohmann::json;

constexpr const char* usage =
    "usage: kappa [--rule JSON]... [--clients N --hostile F] [--tries K] [--seed S] [--threads N] [--json FILE]\n"
    "             [--bound-percent P]\n"
    "       kappa --table [--tries K] [--seed S] [--threads N]\n"
    "\n"
    "Searches for the worst ratio of each rule, at random and uphill from there, and prints it beside the proven\n"
    "bound and the least that any rule can have, f / (n - 2f). \"declared\" in a rule stands for f and \"seed\" for S, "
    "as\n"
    "in --rule '{\"chain\": [{\"rule\": \"nnm\", \"f\": \"declared\"}, {\"rule\": \"median\"}]}'.\n"
    "Without rules: those with a bound and some without; without N and F: 7 clients with 1 hostile, 11 with 2, 11\n"
    "with 4. K aggregations each (100000). --json writes the results, --bound-percent takes P percent of every bound\n"
    "to show that the search can exceed one. --table prints every rule's properties as the table of docs/rules.md.\n"
    "Exit code: 0; 1 if a bound is exceeded; 2 for errors, also if a rule accepted none of the aggregations.\n";

struct settings {
  std::vector<json> rules;
  std::size_t n = 0, f = 0, tries = 100000, seed = 1, threads = 0, percent = 100;
  std::string json_file;
  bool table = false;
};

struct job {
  json rule;
  std::size_t n, f;
  std::optional<double> bound;
  double worst = 0;
  std::size_t accepted = 0;
  fedagg::errc refused = fedagg::errc::ok;
};

json declared(const char* name) { return {{"rule", name}, {"f", "declared"}}; }

json chain(std::vector<json> parts) { return {{"chain", std::move(parts)}}; }

std::vector<json> known_rules() {
  const json trimmed_mean = {{"rule", "trimmed_mean"}, {"trim", "declared"}}, median = {{"rule", "median"}},
             krum = {{"rule", "krum"}, {"f", "declared"}, {"neighbours", "n-f-1"}};
  const std::vector<json> alone = {median,
                                   trimmed_mean,
                                   {{"rule", "geometric_median"}},
                                   krum,
                                   declared("smea"),
                                   declared("meamed"),
                                   declared("phocas"),
                                   declared("mda")};
  std::vector<json> all = alone;
  for (const json& rule : alone) all.push_back(chain({declared("nnm"), rule}));
  for (const json& rule : {trimmed_mean, median, krum}) {
    all.push_back(chain({declared("arc"), rule}));
    all.push_back(chain({declared("arc"), declared("nnm"), rule}));
  }
  const std::vector<json> unproven = {
      {{"rule", "mean"}}, declared("krum"), declared("multi_krum"), declared("cge"), declared("caf")};
  all.insert(all.end(), unproven.begin(), unproven.end());
  return all;
}

std::string text_of(const json& rule) {
  if (!rule.contains("chain"))
    return study::label_of(rule) + (rule.value("neighbours", "") == "n-f-1" ? " (n - f)" : "");
  std::string text;
  for (const json& part : rule["chain"]) text += (text.empty() ? "" : " | ") + text_of(part);
  return text;
}

std::string number(std::optional<double> x) {
  char text[32] = "-";
  if (x) std::snprintf(text, sizeof text, "%.4g", *x);
  return text;
}

bool exceeds(const job& j) { return j.bound && j.worst > *j.bound * (1 + 1e-9); }

void write_json(const std::string& path, const std::vector<job>& jobs) {
  json all = json::array();
  for (const job& j : jobs) {
    json line = {{"rule", j.rule}, {"n", j.n}, {"f", j.f}, {"accepted", j.accepted}};
    line["worst"] = fedagg::is_finite(j.worst) ? json(j.worst) : json("infinite");
    line["least"] = theory::least_ratio(j.n, j.f);
    if (j.bound) line["bound"] = *j.bound;
    all.push_back(line);
  }
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) throw std::runtime_error("cannot write " + path);
  const bool written = std::fputs((all.dump(1) + "\n").c_str(), file) >= 0;
  if (std::fclose(file) != 0 || !written) throw std::runtime_error("cannot write " + path);
}

int run(const settings& s) {
  std::vector<std::pair<std::size_t, std::size_t>> sizes = {{7, 1}, {11, 2}, {11, 4}};
  if (s.n != 0) sizes = {{s.n, s.f}};
  std::vector<job> jobs;
  for (const json& rule : s.rules.empty() ? known_rules() : s.rules)
    for (const auto& [n, f] : sizes) {
      jobs.push_back({rule, n, f, {}});
      const json full = study::canonical(rule, {static_cast<std::int64_t>(f), 0, static_cast<std::int64_t>(s.seed)});
      if (const auto bound = theory::proven_bound(full, n, f))
        jobs.back().bound = *bound * static_cast<double>(s.percent) / 100;
    }
  fedagg::thread_pool pool(s.threads);
  pool(jobs.size(), [&](std::size_t k) {
    theory::search search(jobs[k].rule, jobs[k].n, jobs[k].f, s.seed);
    jobs[k].worst = search.run(s.tries);
    jobs[k].accepted = search.accepted();
    jobs[k].refused = search.refused();
  });
  int code = 0;
  std::printf("%-36s %3s %3s %12s %12s %12s\n", "rule", "n", "f", "worst found", "proven", "least");
  for (const job& j : jobs) {
    std::printf("%-36s %3zu %3zu %12s %12s %12s", text_of(j.rule).c_str(), j.n, j.f,
                number(j.accepted ? std::optional(j.worst) : std::nullopt).c_str(), number(j.bound).c_str(),
                number(theory::least_ratio(j.n, j.f)).c_str());
    if (exceeds(j)) std::printf("  EXCEEDED");
    if (j.refused != fedagg::errc::ok) std::printf("  refused: %s", fedagg::message(j.refused));
    std::puts("");
    if (j.accepted == 0)
      code = 2;
    else if (exceeds(j) && code == 0)
      code = 1;
  }
  if (!s.json_file.empty()) write_json(s.json_file, jobs);
  return code;
}

bool read(int count, char** words, settings& s) {
  for (int k = 1; k < count; ++k) {
    const std::string word = words[k];
    if (word == "--table") {
      s.table = true;
      continue;
    }
    if (++k >= count || *words[k] == '\0') return false;
    const std::string value = words[k];
    std::size_t* const number = word == "--clients"         ? &s.n
                                : word == "--hostile"       ? &s.f
                                : word == "--tries"         ? &s.tries
                                : word == "--seed"          ? &s.seed
                                : word == "--threads"       ? &s.threads
                                : word == "--bound-percent" ? &s.percent
                                                            : nullptr;
    if (number != nullptr) {
      if (value.size() >= 10 || value.find_first_not_of("0123456789") != std::string::npos) return false;
      *number = std::stoul(value);
    } else if (word == "--json") {
      s.json_file = value;
    } else if (word == "--rule") {
      s.rules.push_back(json::parse(value, nullptr, false));
      if (!s.rules.back().is_object()) return false;
    } else {
      return false;
    }
  }
  return true;
}

} // namespace

int main(int count, char** words) {
  if (count == 2 && (words[1] == std::string("--help") || words[1] == std::string("-h"))) {
    std::fputs(usage, stdout);
    return 0;
  }
  settings s;
  if (!read(count, words, s) || (s.table && (!s.rules.empty() || s.n != 0 || !s.json_file.empty()))) {
    std::fputs(usage, stderr);
    return 2;
  }
  // All subsets are looked at: 20 clients with 9 hostile ones have 167960.
  if ((s.n == 0) != (s.f == 0) || (s.n != 0 && (2 * s.f >= s.n || s.n > 20))) {
    std::fputs("kappa: --clients and --hostile go together, 2 F < N, N <= 20, F > 0\n", stderr);
    return 2;
  }
  try {
    if (!s.table) return run(s);
    std::fputs(theory::table(s.tries, s.seed, s.threads).c_str(), stdout);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kappa: %s\n", e.what());
    return 2;
  }
}
