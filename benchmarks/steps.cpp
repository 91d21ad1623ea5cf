// SPDX-License-Identifier: MIT
// What a server optimizer's step and the corrections of clients cost, against a trivial loop that reads and writes the
// same streams of floats. A line each: the median of the rounds, the bar, quartiles.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <fedagg/client/proximal.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/optimizers.hpp>

#include "support/ratios.hpp"

namespace {

constexpr std::size_t most_streams = 6;

void require(fedagg::errc rc) {
  if (rc == fedagg::errc::ok) return;
  std::fprintf(stderr, "steps: %s\n", fedagg::message(rc));
  std::exit(2);
}

/// Adds what all `inputs` streams have to each of the `updates` streams.
using touch_function = void (*)(const float* const* in, float* const* io, std::size_t inputs, std::size_t updates,
                                std::size_t d);

template <std::size_t Inputs, std::size_t Updates>
[[gnu::always_inline]] inline void touch(const float* const* in, float* const* io, std::size_t d) {
  const float *__restrict__ a = in[0], *__restrict__ b = in[Inputs - 1];
  float *__restrict__ x = io[0], *__restrict__ y = io[Updates > 1 ? 1 : 0], *__restrict__ z = io[Updates > 2 ? 2 : 0],
                     *__restrict__ w = io[Updates > 3 ? 3 : 0];
  for (std::size_t j = 0; j < d; ++j) {
    const float s = Inputs > 1 ? a[j] + b[j] : a[j];
    x[j] += s;
    if constexpr (Updates > 1) y[j] += s;
    if constexpr (Updates > 2) z[j] += s;
    if constexpr (Updates > 3) w[j] += s;
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#define FEDAGG_BENCH_O3 gnu::optimize("O3"),
#define FEDAGG_BENCH_WIDE ",prefer-vector-width=512"
#else
#define FEDAGG_BENCH_O3
#define FEDAGG_BENCH_WIDE ""
#endif
#define FEDAGG_BENCH_TOUCH(NAME, ...)                                                                                  \
  __VA_ARGS__ void NAME(const float* const* in, float* const* io, std::size_t inputs, std::size_t updates,             \
                        std::size_t d) {                                                                               \
    switch (inputs * 10 + updates) {                                                                                   \
    case 11: return touch<1, 1>(in, io, d);                                                                            \
    case 12: return touch<1, 2>(in, io, d);                                                                            \
    case 13: return touch<1, 3>(in, io, d);                                                                            \
    case 14: return touch<1, 4>(in, io, d);                                                                            \
    case 21: return touch<2, 1>(in, io, d);                                                                            \
    case 22: return touch<2, 2>(in, io, d);                                                                            \
    default: std::abort();                                                                                             \
    }                                                                                                                  \
  }
FEDAGG_BENCH_TOUCH(touch_16, [[FEDAGG_BENCH_O3 gnu::noinline]])
#if defined(__x86_64__)
FEDAGG_BENCH_TOUCH(touch_32, [[ FEDAGG_BENCH_O3 gnu::noinline, gnu::target("avx2") ]])
FEDAGG_BENCH_TOUCH(touch_64, [[ FEDAGG_BENCH_O3 gnu::noinline, gnu::target("avx512f" FEDAGG_BENCH_WIDE) ]])
#endif

std::vector<touch_function> loops() {
  std::vector<touch_function> all{touch_16};
#if defined(__x86_64__)
  if (fedagg::isa_available(fedagg::isa::avx2)) all.push_back(touch_32);
  if (fedagg::isa_available(fedagg::isa::avx512)) all.push_back(touch_64);
#endif
  return all;
}

/// Streams of floats that both the loop and the step go over; the step keeps its own state, of the same size.
class field {
public:
  explicit field(std::size_t d) : d_(d) {
    for (auto& s : streams_) s.assign(d, 0.25f);
    for (std::size_t j = 0; j < d; ++j) streams_[0][j] = static_cast<float>(j % 1000) * 1e-6f;
    for (std::size_t k = 0; k < most_streams; ++k) {
      in_.push_back(fedagg::model_view(streams_[k]));
      io_.push_back(fedagg::mutable_model_view(streams_[k]));
    }
  }
  std::size_t dimension() const { return d_; }
  const fedagg::model_view& in(std::size_t k) const { return in_[k]; }
  const fedagg::mutable_model_view& io(std::size_t k) const { return io_[k]; }

  /// The loop's time over the step's, of the best of as many turns each: the step follows every run of a loop.
  void compare(std::size_t inputs, std::size_t updates, const std::function<void()>& step, int rounds, bench::ratio& r) {
    const float* in[2] = {streams_[0].data(), streams_[1].data()};
    float* io[4] = {streams_[2].data(), streams_[3].data(), streams_[4].data(), streams_[5].data()};
    for (int round = 0; round < rounds; ++round) {
      double loop = 1e300, own = 1e300;
      for (int turn = 0; turn < 3; ++turn) {
        for (const touch_function f : loops()) {
          loop = std::min(loop, bench::seconds_of([&] { f(in, io, inputs, updates, d_); }));
          own = std::min(own, bench::seconds_of(step));
        }
      }
      r.samples.push_back(loop / own);
    }
    for (std::size_t k = 2; k < most_streams; ++k) std::fill(streams_[k].begin(), streams_[k].end(), 0.25f);
  }

private:
  std::size_t d_;
  std::vector<float> streams_[most_streams];
  std::vector<fedagg::model_view> in_;
  std::vector<fedagg::mutable_model_view> io_;
};

template <class O>
void server(field& f, const O& optimizer, int rounds, std::vector<bench::ratio>& rows) {
  constexpr std::size_t aggregates = fedagg::impl::aggregates_of<O>;
  for (const fedagg::write way : {fedagg::write::direct, fedagg::write::atomic}) {
    fedagg::optimizer_state state;
    fedagg::server_step_options how;
    how.write = way;
    how.participation = 0.5;
    how.roles = fedagg::tensor_roles::none();
    std::array<const fedagg::model_view*, aggregates - 1> more{};
    for (auto& m : more) m = &f.in(1);
    const bool direct = way == fedagg::write::direct;
    bench::ratio r{std::string(O::name) + (direct ? "" : ", write::atomic") + " d=" + std::to_string(f.dimension())};
    if (direct) r.bound = ">=", r.bar = 0.90;
    f.compare(aggregates, 1 + O::slots, [&] {
      require(fedagg::try_step(optimizer, f.io(2), fedagg::pseudo_gradient::delta(f.in(0)), state, how, more));
    }, rounds, r);
    rows.push_back(std::move(r));
  }
}

} // namespace

int main(int count, char** arguments) {
  bool quick = false;
  if (!bench::read_quick(count, arguments, "steps", quick)) return 2;
  bench::print_machine();
  std::vector<bench::ratio> rows;
  for (const std::size_t d : {std::size_t{1000000}, std::size_t{20000000}}) {
    field f(d);
    const int rounds = quick ? 3 : d > 1000000 ? 7 : 25;
    server(f, fedagg::sgd{.learning_rate = 1e-6}, rounds, rows);
    server(f, fedagg::fed_avgm{.learning_rate = 1e-6}, rounds, rows);
    server(f, fedagg::fed_adagrad{.learning_rate = 1e-6}, rounds, rows);
    server(f, fedagg::fed_adam{.learning_rate = 1e-6}, rounds, rows);
    server(f, fedagg::fed_yogi{.learning_rate = 1e-6}, rounds, rows);
    server(f, fedagg::fed_ams{.learning_rate = 1e-6}, rounds, rows);
    server(f, fedagg::fed_dyn{.alpha = 1}, rounds, rows);
    server(f, fedagg::scaffold_server{.learning_rate = 1e-6}, rounds, rows);
    bench::ratio proximal{"proximal gradient d=" + std::to_string(d), {}, ">=", 0.90};
    f.compare(2, 1, [&] { require(fedagg::proximal_term{.mu = 0.1}.try_add_gradient(f.in(0), f.in(1), f.io(2))); },
              rounds, proximal);
    rows.push_back(std::move(proximal));
  }
  return bench::print(rows);
}
