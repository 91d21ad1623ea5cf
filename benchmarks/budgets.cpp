// SPDX-License-Identifier: MIT
// Prints a line for each budget of speed and memory: what was measured, the bar, ok or short. docs/benchmarks.md says
// how each is measured.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <fedagg/adapters/threads.hpp>
#include <fedagg/fedagg.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/passes/accumulator.hpp>
#include <fedagg/passes/gram.hpp>
#include <fedagg/passes/rows.hpp>
#include <fedagg/rules/meamed.hpp>
#include <fedagg/rules/phocas.hpp>
#if __has_include(<Eigen/Eigenvalues>)
#include <fedagg/spectral.hpp>
#endif

#include "support/clients.hpp"
#include "support/counted_memory.hpp"
#include "support/fma_loop.hpp"
#include "support/machine.hpp"
#include "support/ratios.hpp"
#include "support/read_loop.hpp"

namespace {

struct settings {
  std::vector<std::string> filters;
  std::string json;
  bool quick = false;
  bool list = false;
  int rounds = 9;
  std::size_t offset = 0;
};

struct verdict {
  std::string name;
  double measured, low, high; ///< median and quartiles over the rounds
  double gigabytes;           ///< moved per second, 0 where bytes are not what is measured
  bool at_least;
  double bar;
  bool ok() const { return at_least ? measured >= bar : measured <= bar; }
};

volatile std::uint64_t sink;

using bench::alone;
using bench::quantile;
using bench::seconds_of;
using bench::together;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "budgets: %s\n", why.c_str());
  std::exit(2);
}

void require(fedagg::errc rc) {
  if (rc != fedagg::errc::ok) stop(fedagg::message(rc));
}

class report {
public:
  explicit report(const settings& how) : how_(how), cache_(bench::last_level_cache()) {
    if (cache_ == 0) cache_ = std::size_t{32} << 20;
    std::printf("%s, last-level cache %zu MiB, transparent huge pages: %s\n%s, load %s\n\n", bench::processor().c_str(),
                cache_ >> 20, bench::first_line("/sys/kernel/mm/transparent_hugepage/enabled").c_str(),
                bench::compiler().c_str(), bench::load().c_str());
    std::printf("%-58s %8s %9s  %-5s %14s %6s\n", "budget", "measured", "bar", "", "quartiles", "GB/s");
  }

  bool wants(const std::string& name) const {
    if (how_.list) std::printf("%s\n", name.c_str());
    return !how_.list && (how_.filters.empty() || std::any_of(how_.filters.begin(), how_.filters.end(), [&](auto& f) {
                            return name.find(f) != std::string::npos;
                          }));
  }

  void add(const std::string& name, const std::vector<double>& samples, const char* bound, double bar,
           double gigabytes = 0) {
    const bool at_least = std::strcmp(bound, ">=") == 0;
    const verdict v{name, quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75), gigabytes, at_least,
                    bar};
    std::printf("%-58s %8.2f %3s %5.2f  %-5s %5.2f .. %5.2f", name.c_str(), v.measured, bound, bar,
                v.ok() ? "ok" : "short", v.low, v.high);
    if (gigabytes > 0) std::printf(" %6.1f", gigabytes);
    std::printf("\n");
    std::fflush(stdout);
    verdicts_.push_back(v);
  }

  /// `in_turn`: the best of those loops that read a part of every row in turn.
  void bandwidth(const std::string& name, double best, double in_turn, const bench::read_loop& loop) {
    char text[160];
    const std::string burst = loop.whole() ? "whole rows" : "bursts of " + std::to_string(loop.burst) + " bytes";
    std::snprintf(text, sizeof text, "%-11s %5.1f GB/s: %s, %s, %zu bytes ahead; in bursts %.1f GB/s", name.c_str(),
                  best, loop.name, burst.c_str(), loop.ahead, in_turn);
    bandwidths_.push_back(text);
  }

  int finish() const {
    if (how_.list) return 0;
    if (!bandwidths_.empty()) std::printf("\nthe best read loop on each set of buffers:\n");
    for (const std::string& line : bandwidths_) std::printf("  %s\n", line.c_str());
    std::printf("\nmeasured by programs of their own: steps, streaming, masking, secure, ring\n"
                "not measured, because the library has no such thing yet: int8 with a scale per client\n");
    const auto shorts = std::count_if(verdicts_.begin(), verdicts_.end(), [](const verdict& v) { return !v.ok(); });
    std::printf("%zu budgets, %td short, load %s\n", verdicts_.size(), shorts, bench::load().c_str());
    if (!how_.json.empty()) write_json();
    if (verdicts_.empty()) stop("no budget has that name");
    return shorts == 0 ? 0 : 1;
  }

  const settings& how() const { return how_; }
  std::size_t cache() const { return cache_; }

private:
  void write_json() const {
    std::FILE* file = std::fopen(how_.json.c_str(), "w");
    if (!file) stop("cannot write " + how_.json);
    std::fprintf(file, "{\"processor\": \"%s\", \"compiler\": \"%s\", \"last_level_cache\": %zu, \"budgets\": [",
                 bench::processor().c_str(), bench::compiler().c_str(), cache_);
    const char* comma = "";
    for (const verdict& v : verdicts_) {
      std::fprintf(file,
                   "%s\n  {\"name\": \"%s\", \"measured\": %.6g, \"quartiles\": [%.6g, %.6g], \"bound\": \"%s\", "
                   "\"bar\": %.6g, \"ok\": %s, \"gigabytes_per_second\": %.6g}",
                   comma, v.name.c_str(), v.measured, v.low, v.high, v.at_least ? ">=" : "<=", v.bar,
                   v.ok() ? "true" : "false", v.gigabytes);
      comma = ",";
    }
    std::fprintf(file, "\n]}\n");
    if (std::fclose(file) != 0) stop("cannot write " + how_.json);
  }

  const settings& how_;
  std::size_t cache_;
  std::vector<verdict> verdicts_;
  std::vector<std::string> bandwidths_;
};

/// The best times of two functions that take turns.
struct pair_of_times {
  double reference, ours;
};
template <class A, class B>
pair_of_times take_turns(int turns, clockid_t clock, const A& reference, const B& ours) {
  pair_of_times best{1e300, 1e300};
  for (int k = 0; k < turns; ++k) {
    best.reference = std::min(best.reference, seconds_of(reference, clock));
    best.ours = std::min(best.ours, seconds_of(ours, clock));
    // A slow function averages what a fast one needs turns for.
    if (best.ours + best.reference > 0.25) break;
  }
  return best;
}

/// One set of buffers, larger than four times the cache, and the best read loop over it.
template <class T>
class field {
public:
  field(report& to, std::size_t n, std::size_t at_least)
      : to_(to), clients_(n, dimension(to, n, at_least), to.how().offset) {
    for (std::size_t i = 0; i < n; ++i) bytes_.push_back(reinterpret_cast<const std::byte*>(clients_.rows()[i]));
  }

  const bench::clients<T>& clients() const { return clients_; }
  report& to() const { return to_; }
  int turns() const { return to_.how().quick ? 2 : 3; }

  /// Chosen at first use: the best of all, the finalists twice more.
  const bench::read_loop& loop() {
    if (!loop_) {
      auto loops = bench::read_loops(to_.how().quick);
      std::vector<std::pair<double, bench::read_loop>> timed;
      for (const auto& l : loops) timed.push_back({seconds_of([&] { read(l); }, alone), l});
      const auto faster = [](const auto& a, const auto& b) { return a.first < b.first; };
      const auto middle = std::stable_partition(timed.begin(), timed.end(), [](auto& t) { return t.second.whole(); });
      std::sort(timed.begin(), middle, faster);
      std::sort(middle, timed.end(), faster);
      timed.erase(std::min(middle + 8, timed.end()), timed.end());
      timed.erase(std::min(timed.begin() + 8, middle), middle);
      for (int again = 0; again < 3; ++again)
        for (auto& [time, l] : timed) time = std::min(time, seconds_of([&, &l = l] { read(l); }, alone));
      const auto& best = *std::min_element(timed.begin(), timed.end(), faster);
      loop_ = best.second;
      double in_turn = 1e300;
      for (const auto& [time, l] : timed)
        if (!l.whole()) in_turn = std::min(in_turn, time);
      const double gigabytes = clients_.input_bytes() / 1e9;
      to_.bandwidth(std::string(fedagg::name_of(fedagg::dtype_of<T>)) + " n=" + std::to_string(clients_.size()),
                    gigabytes / best.first, gigabytes / in_turn, best.second);
    }
    return *loop_;
  }

  void read() { read(loop()); }

  /// Our time over that of one read.
  template <class F>
  void measure_times(const std::string& name, double bar, const F& ours) {
    ours();
    loop();
    std::vector<double> ratios;
    for (int round = 0; round < to_.how().rounds; ++round) {
      const auto best = take_turns(
          turns(), alone, [&] { read(); }, ours);
      ratios.push_back(best.ours / best.reference);
    }
    to_.add(name, ratios, "<=", bar);
  }

  /// Two threads share the read as they share a rule's work: tiles of columns, taken one by one.
  void read(fedagg::thread_pool& pool) {
    const bench::read_loop& l = loop();
    const std::size_t end = clients_.dimension() * sizeof(T), tile = 65536 * sizeof(T);
    std::atomic<std::uint64_t> total{0};
    pool((end + tile - 1) / tile, [&](std::size_t i) {
      total += l.run(bytes_.data(), bytes_.size(), i * tile, std::min(end, (i + 1) * tile), l.burst, l.ahead);
    });
    sink = total;
  }

  /// Ratio of our bytes per second to the read loop's.
  template <class F>
  void measure(const std::string& name, double bytes, double bar, const F& ours) {
    ours();
    loop();
    std::vector<double> ratios, times;
    for (int round = 0; round < to_.how().rounds; ++round) {
      const auto best = take_turns(
          turns(), alone, [&] { read(); }, ours);
      ratios.push_back(bytes / clients_.input_bytes() * best.reference / best.ours);
      times.push_back(best.ours);
    }
    to_.add(name, ratios, ">=", bar, bytes / quantile(times, 0.5) / 1e9);
  }

private:
  static std::size_t dimension(report& to, std::size_t n, std::size_t at_least) {
    const std::size_t large = 4 * to.cache() / (n * sizeof(T)) + 1;
    return (std::max(at_least, large) + 65535) / 65536 * 65536;
  }

  void read(const bench::read_loop& l) {
    sink = l.run(bytes_.data(), bytes_.size(), 0, clients_.dimension() * sizeof(T), l.burst, l.ahead);
  }

  report& to_;
  bench::clients<T> clients_;
  std::vector<const std::byte*> bytes_;
  std::optional<bench::read_loop> loop_;
};

/// Buffers are made when the first budget asks for them.
template <class T>
class lazy_field {
public:
  lazy_field(report& to, std::size_t n, std::size_t at_least = 1000000) : to_(to), n_(n), at_least_(at_least) {}
  field<T>& operator*() {
    if (!field_) field_.emplace(to_, n_, at_least_);
    return *field_;
  }

private:
  report& to_;
  std::size_t n_, at_least_;
  std::optional<field<T>> field_;
};

fedagg::trimmed_mean quarter(std::size_t n) { return {.trim = static_cast<std::int64_t>(n / 4)}; }

std::string named(const std::string& what, std::size_t n, fedagg::isa isa) {
  return what + " n=" + std::to_string(n) + " " + fedagg::name_of(isa);
}

template <class T, class Rule>
void rule_budget(field<T>& f, const std::string& name, fedagg::isa isa, const Rule& rule, double bar) {
  fedagg::use_isa(isa);
  fedagg::workspace space;
  const fedagg::mutable_model_view out(f.clients().out());
  const double bytes = f.clients().input_bytes() + f.clients().output_bytes();
  f.measure(name, bytes, bar, [&] { require(fedagg::try_aggregate(rule, f.clients().cohort(), out, space)); });
}

struct bar_of {
  fedagg::isa isa;
  double bar;
};

template <class T, class Rule>
void rule_budgets(lazy_field<T>& f, report& to, const std::string& what, std::size_t n, const Rule& rule,
                  std::initializer_list<bar_of> bars) {
  for (const auto& [isa, bar] : bars)
    if (fedagg::isa_available(isa) && to.wants(named(what, n, isa)))
      rule_budget(*f, named(what, n, isa), isa, rule, bar);
}

using fedagg::isa;

fedagg::isa best_isa() {
  for (const isa which : {isa::avx512, isa::avx2})
    if (fedagg::isa_available(which)) return which;
  return isa::baseline;
}

void thread_budgets(lazy_field<float>& f, report& to) {
  if (std::thread::hardware_concurrency() < 2) return;
  const auto speed_up = [&](const std::string& name, const auto& rule) {
    if (!to.wants(name)) return;
    auto& in = *f;
    fedagg::use_isa(best_isa());
    fedagg::thread_pool pool(2);
    fedagg::workspace space;
    const fedagg::mutable_model_view out(in.clients().out());
    fedagg::options two;
    two.executor = pool;
    const auto ours = [&](const fedagg::options& how) {
      require(fedagg::try_aggregate(rule, in.clients().cohort(), out, space, how));
    };
    ours(two);
    in.loop();
    std::vector<double> ratios;
    for (int round = 0; round < to.how().rounds; ++round) {
      const auto one = take_turns(
          in.turns(), together, [&] { in.read(); }, [&] { ours({}); });
      const auto both = take_turns(
          in.turns(), together, [&] { in.read(pool); }, [&] { ours(two); });
      ratios.push_back(one.ours / both.ours / (one.reference / both.reference));
    }
    to.add(name, ratios, ">=", 0.95);
  };
  speed_up("two threads, combine f32 n=20", fedagg::mean{});
  speed_up("two threads, trimmed mean f32 n=20", quarter(20));
}

/// A coordinate-wise rule as it is written with std::nth_element: columns are gathered tile by tile, so that memory is
/// read as well as it can be.
template <class F>
void each_column(const bench::clients<float>& c, const F& result) {
  constexpr std::size_t tile = 64;
  const std::size_t n = c.size();
  std::vector<float> columns(n * tile);
  for (std::size_t at = 0; at < c.dimension(); at += tile) {
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < tile; ++j) columns[j * n + i] = c.rows()[i][at + j];
    for (std::size_t j = 0; j < tile; ++j) c.out()[at + j] = result(columns.data() + j * n, n);
  }
}

float nth_median(float* x, std::size_t n) {
  std::nth_element(x, x + n / 2, x + n);
  return n % 2 ? x[n / 2] : (x[n / 2] + *std::max_element(x, x + n / 2)) / 2;
}

float nth_trimmed_mean(float* x, std::size_t n) {
  const std::size_t k = n / 4;
  std::nth_element(x, x + k, x + n);
  std::nth_element(x + k, x + (n - k), x + n);
  return static_cast<float>(std::accumulate(x + k, x + (n - k), 0.0) / static_cast<double>(n - 2 * k));
}

void selection_budgets(report& to) {
  constexpr std::size_t n = 1000;
  std::optional<bench::clients<float>> made;
  const auto against = [&](const std::string& name, const auto& rule, auto&& theirs) {
    if (!to.wants(name)) return;
    // No more columns than fill the cache four times: this one is bound by arithmetic, and the other takes its time.
    const std::size_t large = 4 * to.cache() / (n * sizeof(float)) + 1;
    if (!made) made.emplace(n, (large + 63) / 64 * 64, to.how().offset);
    fedagg::use_isa(best_isa());
    fedagg::workspace space;
    const fedagg::mutable_model_view out(made->out());
    const auto ours = [&] { require(fedagg::try_aggregate(rule, made->cohort(), out, space)); };
    ours();
    std::vector<double> ratios;
    for (int round = 0; round < std::min(to.how().rounds, 7); ++round) {
      const auto best = take_turns(
          1, alone, [&] { each_column(*made, theirs); }, ours);
      ratios.push_back(best.reference / best.ours);
    }
    to.add(name, ratios, ">=", 20);
  };
  const std::string suffix = std::string(" n=1000 / nth_element ") + fedagg::name_of(best_isa());
  against("columns median f32" + suffix, fedagg::median{}, nth_median);
  against("columns trimmed mean f32" + suffix, quarter(n), nth_trimmed_mean);
}

/// What the values nearest a centre cost beyond sorting: the time over the trimmed mean's.
void nearest_budgets(report& to) {
  constexpr std::size_t n = 20, d = 1000000;
  std::optional<bench::clients<float>> made;
  const auto over_trimmed = [&](const char* what, const auto& rule) {
    const std::string name = named(std::string(what) + " / trimmed mean f32", n, best_isa());
    if (!to.wants(name)) return;
    if (!made) made.emplace(n, d, to.how().offset);
    fedagg::use_isa(best_isa());
    fedagg::workspace space;
    const fedagg::mutable_model_view out(made->out());
    const auto trimmed = [&] { require(fedagg::try_aggregate(quarter(n), made->cohort(), out, space)); };
    const auto ours = [&] { require(fedagg::try_aggregate(rule, made->cohort(), out, space)); };
    ours();
    std::vector<double> ratios;
    for (int round = 0; round < to.how().rounds; ++round) {
      const auto best = take_turns(3, alone, trimmed, ours);
      ratios.push_back(best.ours / best.reference);
    }
    to.add(name, ratios, "<=", 2.5);
  };
  over_trimmed("meamed", fedagg::meamed{.f = n / 4});
  over_trimmed("phocas", fedagg::phocas{.f = n / 4});
}

/// What geometric rules and chains cost beyond the two passes that they stand on.
void geometric_budgets(report& to) {
  constexpr std::size_t n = 20, d = 1000000;
  const isa which = best_isa();
  std::optional<bench::clients<float>> made;
  fedagg::cohort updates, history, with_server;
  fedagg::workspace space;
  const auto over = [&](const std::string& what, const char* passes, const auto& rule, const auto& first_pass) {
    const std::string name = named(what + " f32 / (" + passes + " + combine)", n, which);
    if (!to.wants(name)) return;
    if (!made) {
      made.emplace(n, d, to.how().offset);
      history = made->cohort();
      history.updates();
      updates = history;
      updates.history(history);
      // Any row will do for the server's own: nothing here depends on what it holds.
      with_server = updates;
      with_server.trusted(fedagg::model_view(std::span<const float>(made->rows()[n - 1], d)));
    }
    // A rule is not charged for one more row that it does not use.
    const fedagg::cohort& clients = what == "fltrust" ? with_server : updates;
    fedagg::use_isa(which);
    const fedagg::mutable_model_view out(made->out());
    const auto reference = [&] {
      require(first_pass());
      require(fedagg::try_aggregate(fedagg::mean{}, clients, out, space));
    };
    const auto ours = [&] { require(fedagg::try_aggregate(rule, clients, out, space)); };
    ours();
    reference();
    std::vector<double> ratios;
    for (int round = 0; round < std::min(to.how().rounds, 7); ++round) {
      const auto best = take_turns(2, alone, reference, ours);
      ratios.push_back(best.ours / best.reference);
    }
    to.add(name, ratios, "<=", 1.25);
  };
  fedagg::gram_table pairs;
  fedagg::row_table table;
  const auto over_gram = [&](const char* what, const auto& rule) {
    over(what, "gram", rule, [&] { return fedagg::try_gram(history, pairs); });
  };
  const auto over_rows = [&](const char* what, const auto& rule, bool signs, bool trusted) {
    over_gram(what, rule);
    over(what, "rows", rule, [&] {
      const fedagg::model_view server(std::span<const float>(made->rows()[n - 1], d));
      fedagg::rows_request request;
      request.counts = signs;
      if (trusted) request.others = std::span(&server, 1);
      return fedagg::try_rows(history, table, request);
    });
  };
  constexpr std::int64_t f = 4;
  over_gram("krum", fedagg::krum{.f = f});
  over_gram("multi_krum", fedagg::multi_krum{.f = f});
  over_gram("bulyan", fedagg::bulyan{.f = f});
  over_gram("monna", fedagg::monna{.f = f, .pivot = 0});
  over_gram("geometric_median", fedagg::geometric_median{});
  over_gram("centered_clipping", fedagg::centered_clipping{.tau = 500, .iterations = 3});
  over_gram("foolsgold", fedagg::foolsgold{});
  over_rows("cge", fedagg::cge{.f = f}, false, false);
  over_rows("norm_bounding", fedagg::norm_bounding{.bound = 500}, false, false);
  over_rows("fltrust", fedagg::fltrust{}, false, true);
  over_rows("sign_guard", fedagg::sign_guard{}, true, false);
  over_gram("nnm | krum", fedagg::nnm{.f = f} | fedagg::krum{.f = f});
  over_gram("nnm | median", fedagg::nnm{.f = f} | fedagg::median{});
  over_gram("nnm | trimmed_mean", fedagg::nnm{.f = f} | fedagg::trimmed_mean{.trim = f});
  over_gram("arc | nnm | multi_krum", fedagg::arc{.f = f} | fedagg::nnm{.f = f} | fedagg::multi_krum{.f = f});
#if __has_include(<Eigen/Eigenvalues>)
  over_gram("caf", fedagg::caf{.f = f});
  over_gram("dnc", fedagg::dnc{.f = f, .seed = 1});
#endif
}

/// All inner products: against one read of the clients where memory bounds them, against multiplications in registers
/// where those do.
void gram_budgets(report& to) {
  const isa which = best_isa();
  fedagg::gram_table table;
  for (const std::size_t n : {std::size_t{20}, std::size_t{32}}) {
    const std::string name = named("gram f32 / one read", n, which);
    if (!to.wants(name)) continue;
    fedagg::use_isa(which);
    field<float> in(to, n, 1000000);
    fedagg::cohort updates = in.clients().cohort();
    updates.updates();
    in.measure_times(name, 2.5, [&] { require(fedagg::try_gram(updates, table)); });
  }
  constexpr std::size_t n = 100, d = 1 << 18;
  const std::string name = named("gram f32 / peak of f64 products", n, which);
  if (!to.wants(name)) return;
  fedagg::use_isa(which);
  const bench::clients<float> in(n, d, to.how().offset);
  fedagg::cohort updates = in.cohort();
  updates.updates();
  const bench::fma_loop peak = bench::fma_loop_of(which);
  const std::size_t products = n * (n + 1) / 2 * d;
  const auto multiply = [&] { sink = static_cast<std::uint64_t>(peak.run(products / peak.products)); };
  const auto ours = [&] { require(fedagg::try_gram(updates, table)); };
  ours();
  std::vector<double> ratios;
  for (int round = 0; round < to.how().rounds; ++round) {
    const auto best = take_turns(2, alone, multiply, ours);
    ratios.push_back(best.reference / best.ours);
  }
  to.add(name, ratios, ">=", 0.5);
}

void memory_budgets(report& to) {
  constexpr std::size_t n = 20, d = 1 << 20;
  std::optional<bench::clients<float>> made;
  const auto in = [&]() -> bench::clients<float>& {
    if (!made) made.emplace(n, d);
    return *made;
  };
  // A tile holds 512 coordinates of every client and of the output in double; n^2 is the clients' bookkeeping.
  const auto tiles = [](std::size_t threads) {
    return threads * (n + 1) * 512 * sizeof(double) + n * n * sizeof(double);
  };
  const auto others = [&](const std::string& name, const auto& rule, std::size_t threads, std::size_t allowed) {
    if (!to.wants(name)) return;
    fedagg::thread_pool pool(threads);
    fedagg::options how;
    how.executor = pool;
    const auto& c = in();
    const fedagg::mutable_model_view out(c.out());
    const std::size_t bytes = bench::peak_of([&] {
      fedagg::workspace space;
      require(fedagg::try_aggregate(rule, c.cohort(), out, space, how));
    });
    to.add(name, {static_cast<double>(bytes) / static_cast<double>(allowed)}, "<=", 1);
  };
  others("memory / (8 d), mean", fedagg::mean{}, 1, 8 * d);
  others("memory / (threads x tile + n^2), median", fedagg::median{}, 1, tiles(1));
  others("memory / (threads x tile + n^2), trimmed", quarter(n), 1, tiles(1));
  others("memory / (.), trimmed, 2 threads", quarter(n), 2, tiles(2));
  if (const std::string name = "memory / (8 d), mean accumulator"; to.wants(name)) {
    const auto& c = in();
    const fedagg::mutable_model_view out(c.out());
    const std::size_t bytes = bench::peak_of([&] {
      fedagg::mean_accumulator sums{fedagg::model_view(c.out())};
      for (std::size_t i = 0; i < n; ++i) {
        const fedagg::model_view client(std::span<const float>(c.rows()[i], c.dimension()));
        require(sums.try_absorb(client));
      }
      require(sums.try_finish(out));
    });
    to.add(name, {static_cast<double>(bytes) / (8.0 * d)}, "<=", 1.01);
  }
}

void run(report& to) {
  using sizes = std::initializer_list<std::size_t>;
  for (const std::size_t n : sizes{3, 20, 100}) {
    lazy_field<float> f(to, n);
    const double bar = n == 100 ? 0.85 : 0.90;
    rule_budgets(f, to, "combine f32", n, fedagg::mean{}, {{isa::avx512, bar}, {isa::avx2, bar}, {isa::baseline, 0.6}});
    if (n != 20) continue;
    for (const auto which : {isa::avx512, isa::avx2})
      if (fedagg::isa_available(which) && to.wants(named("rows (norms) f32", n, which))) {
        fedagg::use_isa(which);
        fedagg::row_table table;
        const auto& c = (*f).clients();
        (*f).measure(named("rows (norms) f32", n, which), c.input_bytes(), 0.85,
                     [&] { require(fedagg::try_rows(c.cohort(), table)); });
      }
    thread_budgets(f, to);
  }
  for (const std::size_t n : sizes{20, 100}) {
    {
      lazy_field<fedagg::float16> f(to, n);
      rule_budgets(f, to, "combine f16", n, fedagg::mean{}, {{isa::avx512, 0.8}});
    }
    lazy_field<fedagg::bfloat16> f(to, n);
    rule_budgets(f, to, "combine bf16", n, fedagg::mean{}, {{isa::avx512, 0.8}});
  }
  for (const std::size_t n : sizes{8, 20, 32, 50, 100}) {
    lazy_field<float> f(to, n);
    const double wide = n <= 32 ? 0.7 : n == 50 ? 0.45 : 0.25;
    const auto both = [&](const char* what, const auto& rule) {
      rule_budgets(f, to, what, n, rule, {{isa::avx512, wide}});
      if (n <= 20) rule_budgets(f, to, what, n, rule, {{isa::avx2, 0.55}});
    };
    both("columns median f32", fedagg::median{});
    both("columns trimmed mean f32", quarter(n));
  }
  selection_budgets(to);
  nearest_budgets(to);
  gram_budgets(to);
  geometric_budgets(to);
  memory_budgets(to);
}

constexpr const char* usage =
    "usage: budgets [--filter TEXT]... [--quick] [--rounds N] [--offset BYTES] [--json FILE] [--list]\n"
    "  --filter TEXT   only budgets whose name contains TEXT\n"
    "  --quick         fewer rounds and read loops\n"
    "  --rounds N      rounds per budget (9)\n"
    "  --offset BYTES  move every row so far from a cache line, a multiple of 4 (0)\n"
    "  --json FILE     write the table there too\n"
    "  --list          print the names only\n"
    "Exit code: 0 if all budgets hold, 1 if one is short, 2 for wrong usage.\n";

settings parse(int count, char** words) {
  settings s;
  const std::vector<std::string> args(words + 1, words + count);
  for (std::size_t i = 0; i < args.size(); ++i) {
    const auto value = [&]() -> const std::string& {
      if (i + 1 == args.size()) stop(args[i] + " needs a value");
      return args[++i];
    };
    if (args[i] == "--help" || args[i] == "-h") {
      std::fputs(usage, stdout);
      std::exit(0);
    } else if (args[i] == "--filter") {
      s.filters.push_back(value());
    } else if (args[i] == "--json") {
      s.json = value();
    } else if (args[i] == "--rounds") {
      s.rounds = std::max(1, std::atoi(value().c_str()));
    } else if (args[i] == "--offset") {
      s.offset = static_cast<std::size_t>(std::max(0, std::atoi(value().c_str()))) / 4 * 4;
    } else if (args[i] == "--list") {
      s.list = true;
    } else if (args[i] == "--quick") {
      s.quick = true;
      s.rounds = 3;
    } else {
      std::fputs(usage, stderr);
      stop("what is " + args[i] + "?");
    }
  }
  return s;
}

} // namespace

int main(int count, char** words) {
  const settings how = parse(count, words);
  report to(how);
  run(to);
  return to.finish();
}
