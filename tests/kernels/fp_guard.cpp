// SPDX-License-Identifier: MIT
#include <fedagg/kernels/fp_guard.hpp>

#include <cfenv>
#include <tuple>

#include <fedagg/rules.hpp>

#include "compiled/rules.hpp"
#include "support/numeric.hpp"

using namespace numeric;

#if defined(__x86_64__)
namespace {

constexpr unsigned flush = 0x8040, upward = 0x4000, toward_zero = 0x6000, standard = 0x1f80;

constexpr unsigned modes[] = {standard | flush, standard | upward, standard | toward_zero, standard | flush | upward};

/// A rule with an operation of each kind.
struct mixture {
  static constexpr const char* name = "mixture";
  static constexpr auto fields() { return std::tuple{}; }
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    x.sort();
    L sum = x[0];
    for (std::size_t i = 1; i < x.size(); ++i) sum += x[i] * L(typename L::value_type(0.7));
    out = sum / L(static_cast<typename L::value_type>(x.size())) - abs(x[0]) * x[1];
  }
};

/// The aggregate, computed in the mode in use.
template <class T, class Rule>
std::vector<T> as_it_is(const Rule& rule, const matrix<T>& x, std::span<const double> weights) {
  fedagg::cohort clients;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  if (!weights.empty()) clients.weights(weights);
  std::vector<T> out(x.d);
  fedagg::workspace space;
  if (fedagg::try_aggregate(rule, clients, out, space) != fedagg::errc::ok) out.clear();
  return out;
}

template <class Rule>
void check_modes(const Rule& rule, kind k, std::span<const double> weights) {
  const auto f32 = sample<float>(k, 9, 77, 1);
  const auto f64 = sample<double>(k, 9, 77, 1);
  const auto f16 = sample<fedagg::float16>(k, 9, 77, 1);
  std::vector<float> want32;
  std::vector<double> want64;
  std::vector<fedagg::float16> want16;
  {
    const mode now(standard);
    want32 = as_it_is(rule, f32, weights);
    want64 = as_it_is(rule, f64, weights);
    want16 = as_it_is(rule, f16, weights);
  }
  for (const unsigned which : modes) {
    std::vector<float> got32;
    std::vector<double> got64;
    std::vector<fedagg::float16> got16;
    unsigned after = 0;
    {
      const mode now(which);
      got32 = as_it_is(rule, f32, weights);
      got64 = as_it_is(rule, f64, weights);
      got16 = as_it_is(rule, f16, weights);
      after = __builtin_ia32_stmxcsr();
    }
    INFO(Rule::name << " " << name_of(k) << " mode " << which);
    CHECK((after & 0xffc0u) == which);
    CHECK(!want32.empty());
    CHECK(same_bits(want32, got32));
    CHECK(same_bits(want64, got64));
    CHECK(same_bits(want16, got16));
  }
}

} // namespace

TEST_CASE("the guard sets the standard mode and puts the caller's back") {
  for (const unsigned which : modes) {
    unsigned inside = 0, after = 0;
    {
      const mode now(which);
      {
        const fedagg::impl::fp_guard guard;
        inside = __builtin_ia32_stmxcsr();
      }
      after = __builtin_ia32_stmxcsr();
    }
    CHECK((inside & 0xffc0u) == standard);
    CHECK((after & 0xffc0u) == which);
  }
}

TEST_CASE("the caller's floating-point mode changes no bit and is there afterwards") {
  const std::vector<double> w = {0.1, 0.2, 0.30000000000000004, 0.7, 1.1, 0.9, 0.4, 0.8, 0.6};
  const std::vector<double> tiny = {1e-310, 3e-310, 2e-310, 1e-310, 1e-310, 1e-310, 2e-310, 1e-310, 1e-310};
  for (const kind k : {kind::normal, kind::denormal}) {
    for (const auto& weights : {w, tiny}) {
      check_modes(fedagg::mean{}, k, weights);
      check_modes(fedagg::median{.weighting = fedagg::weights::trusted}, k, weights);
      check_modes(fedagg::trimmed_mean{.mass = 0.1, .weighting = fedagg::weights::trusted}, k, weights);
    }
    check_modes(fedagg::median{}, k, {});
    check_modes(fedagg::trimmed_mean{.fraction = 0.3}, k, {});
    check_modes(mixture{}, k, {});
  }
}

TEST_CASE("a caller that traps is not trapped by a round") {
  const auto x = sample<double>(kind::mixed, 5, 40, 2);
  const std::vector<double> w = {0.1, 0.2, 0.3, 0.4, 0.7};
  std::vector<double> got;
  {
    // Everything unmasked, inexact results and underflow too.
    const mode now(0);
    got = as_it_is(fedagg::mean{}, x, w);
  }
  CHECK(got.size() == x.d);
}
#else
TEST_CASE("the caller's rounding mode changes no bit and is there afterwards") {
  const auto x = sample<float>(kind::normal, 9, 77, 1);
  const std::vector<double> w = {0.1, 0.2, 0.3, 0.7, 1.1, 0.9, 0.4, 0.8, 0.6};
  const auto want = aggregated(fedagg::mean{}, x, w);
  std::fesetround(FE_UPWARD);
  const auto got = aggregated(fedagg::mean{}, x, w);
  const int after = std::fegetround();
  std::fesetround(FE_TONEAREST);
  CHECK(after == FE_UPWARD);
  CHECK(!want.empty());
  CHECK(same_bits(want, got));
}
#endif
