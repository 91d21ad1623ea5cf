// SPDX-License-Identifier: MIT
// usage: kappa [--help]. Searches for the worst (f, kappa) ratio of rules and chains and prints it beside the proven
// bound: norm(R(x) - mean_S)^2 over the mean of norm(x_i - mean_S)^2 over S, for S any n - f of the rows (Allouah et
// al. 2023, arXiv:2302.01772, definition 2).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <numbers>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/adapters/threads.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/core/workspace.hpp>

#include "robustness/rules.hpp"

namespace {

using nlohmann::json;

constexpr const char* usage =
    "usage: kappa [--rule JSON]... [--clients N --hostile F] [--tries K] [--seed S] [--threads N]\n"
    "\n"
    "Searches for the worst ratio of each rule, at random and uphill from there, and prints it beside the proven "
    "bound\n"
    "and the least that any rule can have, f / (n - 2f). \"declared\" in a rule stands for f, as in\n"
    "  --rule '{\"chain\": [{\"rule\": \"nnm\", \"f\": \"declared\"}, {\"rule\": \"median\"}]}'\n"
    "Without rules: those with a bound and some without; without N and F: 7 clients with 1 hostile, 11 with 2, 11 "
    "with\n"
    "4. K aggregations each (100000). Exits with 1 if a bound is exceeded.\n";

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The published bound: Allouah et al. 2023 (arXiv:2302.01772), table 1 and lemma 1 for NNM; SMEA: Allouah et al. 2023
/// (arXiv:2302.04787). Krum's is for the n - f nearest, the row itself included.
std::optional<double> proven(const json& rule, double n, double f) {
  const double odds = f / (n - 2 * f);
  if (rule.contains("chain")) {
    if (rule["chain"].size() != 2 || rule["chain"][0] != json{{"rule", "nnm"}, {"f", "declared"}}) return {};
    const auto inner = proven(rule["chain"][1], n, f);
    if (!inner) return {};
    return 8 * f / (n - f) * (*inner + 1);
  }
  if (rule == json{{"rule", "median"}} || rule == json{{"rule", "geometric_median"}})
    return 4 * (1 + odds) * (1 + odds);
  if (rule == json{{"rule", "trimmed_mean"}, {"trim", "declared"}}) return 6 * odds * (1 + odds);
  if (rule == json{{"rule", "krum"}, {"f", "declared"}, {"neighbours", "n-f-1"}}) return 6 * (1 + odds);
  if (rule == json{{"rule", "smea"}, {"f", "declared"}}) return 4 * f / (n - f) * (1 + odds) * (1 + odds);
  return {};
}

/// n rows of d numbers, the last f of `order` hostile.
struct point {
  std::size_t n = 0, d = 0;
  std::vector<double> x;
  std::span<double> row(std::size_t i) { return std::span(x).subspan(i * d, d); }
  std::span<const double> row(std::size_t i) const { return std::span(x).subspan(i * d, d); }
};

class search {
public:
  search(const json& rule, std::size_t n, std::size_t f, std::uint64_t seed)
      : rule_(study::read_rule(rule, {static_cast<std::int64_t>(f), 0})), n_(n), f_(f), draws_(seed, "kappa"),
        order_(n) {}

  double run(std::size_t tries) {
    double worst = 0;
    const std::size_t climb = 2500;
    for (std::size_t start = 0; evaluations_ < tries; ++start) {
      draws_.permutation(order_);
      point best = random_point(start);
      double highest = ratio(best);
      for (std::size_t k = 0; k < climb && evaluations_ < tries; ++k) {
        point next = best;
        move(next);
        if (const double r = ratio(next); r >= highest) {
          highest = r;
          best = std::move(next);
          if (settle(best)) highest = ratio(best);
        }
      }
      worst = std::max(worst, over_all_subsets(best));
    }
    return worst;
  }

  fedagg::errc refused() const { return refused_; }

private:
  double uniform() { return (static_cast<double>(draws_() >> 12) + 0.5) * 0x1p-52; }
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(draws_.below(bound)); }
  std::span<const std::size_t> honest() const { return std::span(order_).first(n_ - f_); }
  std::span<const std::size_t> hostile() const { return std::span(order_).last(f_); }

  /// Clouds, clusters and single outliers, with hostile rows on top of each other or apart, near or far.
  point random_point(std::size_t start) {
    static constexpr std::size_t dimensions[] = {1, 2, 4, 16};
    point p{n_, dimensions[start % 4], {}};
    p.x.assign(p.n * p.d, 0.0);
    const std::size_t kind = below(3), apart = 1 + below(n_ - f_);
    for (std::size_t k = 0; k < n_ - f_; ++k)
      for (double& x : p.row(order_[k])) {
        if (kind == 0) x = normal();
        if (kind == 1 && k < apart) x = 1 + 1e-3 * normal();
        if (kind == 2 && k < apart) x = normal();
      }
    std::vector<double> at(p.d);
    const double far = std::exp(4 * normal());
    for (std::size_t k = 0; k < f_; ++k) {
      if (k == 0 || uniform() < 0.2)
        for (double& x : at) x = far * normal();
      std::copy(at.begin(), at.end(), p.row(hostile()[k]).begin());
    }
    return p;
  }

  void move(point& p) {
    const double step = std::exp(-10 + 11 * uniform());
    const std::size_t i = below(n_), j = below(n_);
    switch (below(6)) {
    case 0: // one row
      for (double& x : p.row(i)) x += step * normal();
      break;
    case 1: // one coordinate of it
      p.row(i)[below(p.d)] += step * normal();
      break;
    case 2: // all hostile rows alike
      for (std::size_t c = 0; c < p.d; ++c) {
        const double by = step * normal();
        for (const std::size_t h : hostile()) p.row(h)[c] += by;
      }
      break;
    case 3: // onto, towards or beyond another row
      for (std::size_t c = 0; c < p.d; ++c) p.row(i)[c] += (step > 1 ? 1 : step) * (p.row(j)[c] - p.row(i)[c]);
      break;
    case 4: { // the hostile rows' distance from the honest ones
      const double factor = std::exp((uniform() < 0.5 ? -1 : 1) * step);
      for (const std::size_t h : hostile())
        for (double& x : p.row(h)) x *= factor;
      break;
    }
    default: // everything
      for (double& x : p.x) x += 0.1 * step * normal();
    }
  }

  /// Where numbers leave their range, moves the honest mean to zero and the honest spread to one. That changes the
  /// ratio only of rules with an origin.
  bool settle(point& p) const {
    std::vector<double> mean;
    const double spread = spread_of(p, honest(), mean);
    double largest = 0;
    for (const double x : p.x) largest = std::max(largest, std::abs(x));
    if (!(spread > 0) || (spread > 1e-2 && spread < 1e2 && largest < 1e6)) return false;
    const double scale = 1 / std::sqrt(spread);
    for (std::size_t i = 0; i < n_; ++i)
      for (std::size_t c = 0; c < p.d; ++c) p.row(i)[c] = std::clamp((p.row(i)[c] - mean[c]) * scale, -1e6, 1e6);
    return true;
  }

  static double spread_of(const point& p, std::span<const std::size_t> subset, std::vector<double>& mean) {
    mean.assign(p.d, 0.0);
    const auto size = static_cast<double>(subset.size());
    for (const std::size_t i : subset)
      for (std::size_t c = 0; c < p.d; ++c) mean[c] += p.row(i)[c] / size;
    double spread = 0;
    for (const std::size_t i : subset)
      for (std::size_t c = 0; c < p.d; ++c) spread += (p.row(i)[c] - mean[c]) * (p.row(i)[c] - mean[c]) / size;
    return spread;
  }

  bool aggregate(const point& p) {
    ++evaluations_;
    clients_.clear();
    clients_.updates();
    for (std::size_t i = 0; i < n_; ++i) clients_.add(p.row(i));
    out_.assign(p.d, 0.0);
    const fedagg::errc rc = rule_(clients_, std::span<double>(out_), space_);
    if (rc != fedagg::errc::ok) refused_ = rc;
    return rc == fedagg::errc::ok;
  }

  /// Of the aggregate in `out_`. Where rows are so close that rounding decides, 0 unless the aggregate is truly away.
  double ratio_of(const point& p, std::span<const std::size_t> subset) {
    const double spread = spread_of(p, subset, mean_);
    double away = 0, size = 0;
    for (std::size_t c = 0; c < p.d; ++c) away += (out_[c] - mean_[c]) * (out_[c] - mean_[c]);
    for (const std::size_t i : subset)
      for (const double x : p.row(i)) size = std::max(size, x * x);
    if (!(spread > 1e-16 * size)) return away > 1e-12 * size ? infinity : 0;
    return away / spread;
  }
  double ratio(const point& p) { return aggregate(p) ? ratio_of(p, honest()) : -1; }

  /// S need not be the rows that the search called honest.
  double over_all_subsets(const point& p) {
    if (!aggregate(p)) return 0;
    std::vector<bool> in(n_, false);
    std::fill(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n_ - f_), true);
    double worst = 0;
    std::vector<std::size_t> subset;
    do {
      subset.clear();
      for (std::size_t i = 0; i < n_; ++i)
        if (in[i]) subset.push_back(i);
      worst = std::max(worst, ratio_of(p, subset));
    } while (std::prev_permutation(in.begin(), in.end()));
    return worst;
  }

  study::aggregation rule_;
  std::size_t n_, f_, evaluations_ = 0;
  fedagg::random_stream draws_;
  std::vector<std::size_t> order_;
  std::vector<double> out_, mean_;
  fedagg::cohort clients_;
  fedagg::workspace space_;
  fedagg::errc refused_ = fedagg::errc::ok;
};

struct job {
  json rule;
  std::size_t n, f;
  double worst = 0;
  fedagg::errc refused = fedagg::errc::ok;
};

std::vector<json> known_rules() {
  const std::vector<json> alone = {{{"rule", "median"}},
                                   {{"rule", "trimmed_mean"}, {"trim", "declared"}},
                                   {{"rule", "geometric_median"}},
                                   {{"rule", "krum"}, {"f", "declared"}, {"neighbours", "n-f-1"}}};
  const std::vector<json> unproven = {{{"rule", "mean"}},
                                      {{"rule", "krum"}, {"f", "declared"}},
                                      {{"rule", "multi_krum"}, {"f", "declared"}},
                                      {{"rule", "mda"}, {"f", "declared"}},
                                      {{"rule", "meamed"}, {"f", "declared"}},
                                      {{"rule", "phocas"}, {"f", "declared"}},
                                      {{"rule", "cge"}, {"f", "declared"}}};
  std::vector<json> all = alone;
  for (const json& rule : alone) all.push_back({{"chain", json::array({{{"rule", "nnm"}, {"f", "declared"}}, rule})}});
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

int run(std::vector<json> rules, std::size_t n, std::size_t f, std::size_t tries, std::uint64_t seed,
        std::size_t threads) {
  if (rules.empty()) rules = known_rules();
  std::vector<std::pair<std::size_t, std::size_t>> sizes = {{7, 1}, {11, 2}, {11, 4}};
  if (n != 0) sizes = {{n, f}};
  std::vector<job> jobs;
  for (const json& rule : rules)
    for (const auto& [clients, hostile] : sizes) jobs.push_back({rule, clients, hostile});
  fedagg::thread_pool pool(threads);
  pool(jobs.size(), [&](std::size_t k) {
    search s(jobs[k].rule, jobs[k].n, jobs[k].f, seed);
    jobs[k].worst = s.run(tries);
    jobs[k].refused = s.refused();
  });
  bool exceeded = false;
  std::printf("%-36s %3s %3s %12s %12s %12s\n", "rule", "n", "f", "worst found", "proven", "least");
  for (const job& j : jobs) {
    const auto clients = static_cast<double>(j.n), hostile = static_cast<double>(j.f);
    const auto bound = proven(j.rule, clients, hostile);
    char of_bound[32] = "-";
    if (bound) std::snprintf(of_bound, sizeof of_bound, "%.4g", *bound);
    std::printf("%-36s %3zu %3zu %12.4g %12s %12.4g", text_of(j.rule).c_str(), j.n, j.f, j.worst, of_bound,
                hostile / (clients - 2 * hostile));
    if (bound && j.worst > *bound * (1 + 1e-9)) {
      exceeded = true;
      std::printf("  EXCEEDED");
    }
    if (j.refused != fedagg::errc::ok) std::printf("  refused: %s", fedagg::message(j.refused));
    std::puts("");
  }
  return exceeded ? EXIT_FAILURE : EXIT_SUCCESS;
}

} // namespace

int main(int count, char** words) {
  std::vector<json> rules;
  std::size_t n = 0, f = 0, tries = 100000, seed = 1, threads = 0;
  for (int k = 1; k < count; k += 2) {
    const std::string word = words[k];
    if (word == "--help" || word == "-h") {
      std::fputs(usage, stdout);
      return EXIT_SUCCESS;
    }
    std::size_t* const number = word == "--clients"   ? &n
                                : word == "--hostile" ? &f
                                : word == "--tries"   ? &tries
                                : word == "--seed"    ? &seed
                                : word == "--threads" ? &threads
                                                      : nullptr;
    const std::string value = k + 1 < count ? words[k + 1] : "";
    bool fine = !value.empty();
    if (number != nullptr) {
      fine = fine && value.size() < 10 && value.find_first_not_of("0123456789") == std::string::npos;
      if (fine) *number = std::stoul(value);
    } else {
      const json rule = json::parse(value, nullptr, false);
      fine = fine && word == "--rule" && rule.is_object();
      rules.push_back(rule);
    }
    if (!fine) {
      std::fputs(usage, stderr);
      return 2;
    }
  }
  // All subsets are looked at: 20 clients with 9 hostile ones have 167960.
  if ((n == 0) != (f == 0) || (n != 0 && (2 * f >= n || n > 20))) {
    std::fputs("kappa: --clients and --hostile go together, 2 F < N, N <= 20, F > 0\n", stderr);
    return 2;
  }
  try {
    return run(std::move(rules), n, f, tries, seed, threads);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kappa: %s\n", e.what());
    return EXIT_FAILURE;
  }
}
