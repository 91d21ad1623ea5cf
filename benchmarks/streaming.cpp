// SPDX-License-Identifier: MIT
// What it costs to add a client to a sum that streams: against a trivial loop over the same streams (reads the client,
// reads and writes one double per coordinate), and the order-independent sums against the plain one. A line each: the
// median of the rounds, the bar where there is one, quartiles.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fedagg/adapters/threads.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/passes/accumulator.hpp>
#include <fedagg/passes/binned_accumulator.hpp>
#include <fedagg/passes/fixed_point_accumulator.hpp>

#include "support/clients.hpp"
#include "support/ratios.hpp"

namespace {

constexpr std::size_t n = 4; // clients that take turns

using bench::alone;
using bench::seconds_of;
using bench::together;
using row = bench::ratio;

void require(fedagg::errc rc) {
  if (rc == fedagg::errc::ok) return;
  std::fprintf(stderr, "streaming: %s\n", fedagg::message(rc));
  std::exit(2);
}

/// sums[j] += w x[j], a line of x at a time; `ahead` elements are prefetched, 0 for none.
using add_function = void (*)(const float* x, double w, std::size_t begin, std::size_t end, double* sums,
                              std::size_t ahead);
struct add_loop {
  const char* name;
  add_function run;
  std::size_t ahead;
};

#define FEDAGG_BENCH_ADD_LOOP(NAME, ...)                                                                               \
  __VA_ARGS__ void NAME(const float* x, double w, std::size_t begin, std::size_t end, double* sums,                    \
                        std::size_t ahead) {                                                                           \
    if (ahead == 0) {                                                                                                  \
      for (std::size_t j = begin; j < end; ++j) sums[j] += w * static_cast<double>(x[j]);                              \
      return;                                                                                                          \
    }                                                                                                                  \
    for (std::size_t at = begin; at + 16 <= end; at += 16) {                                                           \
      __builtin_prefetch(x + at + ahead);                                                                              \
      for (std::size_t j = 0; j < 16; ++j) sums[at + j] += w * static_cast<double>(x[at + j]);                         \
    }                                                                                                                  \
    for (std::size_t j = end - (end - begin) % 16; j < end; ++j) sums[j] += w * static_cast<double>(x[j]);             \
  }

#if defined(__GNUC__) && !defined(__clang__)
#define FEDAGG_BENCH_O3 gnu::optimize("O3"),
#define FEDAGG_BENCH_WIDE ",prefer-vector-width=512"
#else
#define FEDAGG_BENCH_O3
#define FEDAGG_BENCH_WIDE ""
#endif
FEDAGG_BENCH_ADD_LOOP(add_16, [[FEDAGG_BENCH_O3 gnu::noinline]])
#if defined(__x86_64__)
FEDAGG_BENCH_ADD_LOOP(add_32, [[ FEDAGG_BENCH_O3 gnu::noinline, gnu::target("avx2,fma") ]])
FEDAGG_BENCH_ADD_LOOP(add_64,
                      [[ FEDAGG_BENCH_O3 gnu::noinline, gnu::target("avx512f,avx512dq,fma" FEDAGG_BENCH_WIDE) ]])
#endif

std::vector<add_loop> add_loops() {
  std::vector<add_loop> all;
  for (const std::size_t ahead : {std::size_t{0}, std::size_t{256}, std::size_t{1024}}) {
    all.push_back({"sse", add_16, ahead});
#if defined(__x86_64__)
    if (fedagg::isa_available(fedagg::isa::avx2)) all.push_back({"avx2", add_32, ahead});
    if (fedagg::isa_available(fedagg::isa::avx512)) all.push_back({"avx512", add_64, ahead});
#endif
  }
  return all;
}

class field {
public:
  explicit field(std::size_t d) : d_(d), clients_(n, d), sums_(d, 0) {
    std::memset(sums_.data(), 0, d * sizeof(double));
    for (std::size_t i = 0; i < n; ++i) views_.emplace_back(std::span<const float>(clients_.rows()[i], d));
  }

  std::size_t dimension() const { return d_; }
  const fedagg::model_view& view(std::size_t i) const { return views_[i]; }

  /// The best of all, chosen at first use; the finalists of one round three times more.
  void choose() {
    std::vector<std::pair<double, add_loop>> timed;
    for (const add_loop& l : add_loops()) timed.push_back({1e300, l});
    for (int again = 0; again < 5; ++again)
      for (auto& [time, l] : timed) {
        loop_ = l;
        time = std::min(time, seconds_of([&] { add(); }, alone));
      }
    const auto best = std::min_element(timed.begin(), timed.end(), [](auto& a, auto& b) { return a.first < b.first; });
    loop_ = best->second;
    std::printf("d = %zu: the best loop is %s, %zu elements ahead, %.1f GB/s\n", d_, loop_.name, loop_.ahead,
                static_cast<double>(n * d_ * 20) / best->first / 1e9);
  }

  /// All clients in turn.
  void add() {
    for (std::size_t i = 0; i < n; ++i) loop_.run(clients_.rows()[i], 100, 0, d_, sums_.data(), loop_.ahead);
  }
  void add(fedagg::thread_pool& pool) {
    constexpr std::size_t tile = 65536;
    for (std::size_t i = 0; i < n; ++i)
      pool((d_ + tile - 1) / tile, [&](std::size_t k) {
        loop_.run(clients_.rows()[i], 100, k * tile, std::min(d_, (k + 1) * tile), sums_.data(), loop_.ahead);
      });
  }

  template <class Sums>
  void absorb(Sums& sums, fedagg::executor_ref executor = {},
              fedagg::client_check check = fedagg::client_check::here) const {
    for (std::size_t i = 0; i < n; ++i) require(sums.try_absorb(views_[i], 100, executor, check));
  }

private:
  std::size_t d_;
  bench::clients<float> clients_;
  bench::row<double> sums_;
  std::vector<fedagg::model_view> views_;
  add_loop loop_{};
};

/// Best of a few turns of each, interleaved.
template <std::size_t N>
void take_turns(int turns, clockid_t clock, const std::array<std::function<void()>, N>& each,
                std::array<double, N>& best) {
  best.fill(1e300);
  for (int k = 0; k < turns; ++k)
    for (std::size_t i = 0; i < N; ++i) {
      each[i](); // its sums are in the cache, if they fit
      best[i] = std::min(best[i], seconds_of(each[i], clock));
    }
}

void measure(std::size_t d, int rounds, std::vector<row>& rows) {
  field f(d);
  f.choose();
  const fedagg::model_view layout = f.view(0);
  // Room for all that will be added.
  const auto how = fedagg::fixed_point::finest(64, 128, 100000);
  fedagg::mean_accumulator plain(layout);
  fedagg::fixed_point_accumulator fixed(layout, how);
  fedagg::binned_accumulator binned(layout);
  using fedagg::client_check;
  const std::string suffix = " d=" + std::to_string(d);
  const std::array<std::function<void()>, 6> one{[&] { f.add(); },
                                                 [&] { f.absorb(plain); },
                                                 [&] { f.absorb(plain, {}, client_check::fused); },
                                                 [&] { f.absorb(plain, {}, client_check::done); },
                                                 [&] { f.absorb(fixed); },
                                                 [&] { f.absorb(binned); }};
  row here{"mean, client_check::here / loop" + suffix, {}, "", 0};
  row fused{"mean, client_check::fused / loop" + suffix, {}, ">=", 0.90};
  row done{"mean, client_check::done / loop" + suffix, {}, ">=", 0.90};
  row point{"fixed point / loop" + suffix, {}, ">=", 0.90};
  row point_time{"time of fixed point / mean's, client_check::fused" + suffix, {}, "<=", 1.3};
  row bins_time{"time of bins / mean's, client_check::fused" + suffix, {}, "", 0};
  std::array<double, 6> t{};
  take_turns(1, alone, one, t);
  for (int round = 0; round < rounds; ++round) {
    take_turns(3, alone, one, t);
    here.samples.push_back(t[0] / t[1]);
    fused.samples.push_back(t[0] / t[2]);
    done.samples.push_back(t[0] / t[3]);
    point.samples.push_back(t[0] / t[4]);
    point_time.samples.push_back(t[4] / t[2]);
    bins_time.samples.push_back(t[5] / t[2]);
  }
  rows.insert(rows.end(), {here, fused, done, point, point_time, bins_time});
  if (std::thread::hardware_concurrency() < 2) return;

  fedagg::thread_pool pool(2);
  // A client each, at once; who is done takes the next.
  const auto at_once = [&](auto& sums) { pool(n, [&](std::size_t i) { require(sums.try_absorb(f.view(i), 100)); }); };
  const std::array<std::function<void()>, 8> two{[&] { f.add(); },
                                                 [&] { f.add(pool); },
                                                 [&] { f.absorb(plain, {}, client_check::fused); },
                                                 [&] { f.absorb(plain, pool, client_check::fused); },
                                                 [&] { f.absorb(plain); },
                                                 [&] { at_once(plain); },
                                                 [&] { f.absorb(fixed); },
                                                 [&] { at_once(fixed); }};
  row loop{"two threads, the loop's own speed-up" + suffix, {}, "", 0};
  row shared{"two threads share a client, mean, client_check::fused" + suffix, {}, ">=", 0.95};
  row split{"two threads, a client each, mean, client_check::here" + suffix, {}, ">=", 0.95};
  row split_fixed{"two threads, a client each, fixed point" + suffix, {}, ">=", 0.95};
  std::array<double, 8> s{};
  for (int round = 0; round < rounds; ++round) {
    take_turns(3, together, two, s);
    const double own = s[0] / s[1];
    loop.samples.push_back(own);
    shared.samples.push_back(s[2] / s[3] / own);
    split.samples.push_back(s[4] / s[5] / own);
    split_fixed.samples.push_back(s[6] / s[7] / own);
  }
  rows.insert(rows.end(), {loop, shared, split, split_fixed});
}

} // namespace

int main(int count, char** arguments) {
  bool quick = false;
  if (!bench::read_quick(count, arguments, "streaming", quick)) return 2;
  bench::print_machine();
  std::vector<row> rows;
  for (const std::size_t d : {std::size_t{1000000}, std::size_t{10000000}})
    measure(d, quick ? 3 : d > 1000000 ? 9 : 25, rows);
  return bench::print(rows);
}
