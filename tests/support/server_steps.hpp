// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_SERVER_STEPS_HPP
#define FEDAGG_TESTS_SUPPORT_SERVER_STEPS_HPP

#include <array>
#include <cstddef>
#include <tuple>
#include <vector>

#include <fedagg/passes/server_step.hpp>

#include "support/numeric.hpp"

/// Rounds of an optimizer beside a reference that is written from the paper, a coordinate at a time.
namespace server_steps {

using namespace numeric;
using fedagg::errc;

/// A root that no flag of the build replaces by an estimate: Newton's steps from double's.
inline quad root(quad x) {
  if (x == 0) return 0;
  quad r = __builtin_sqrt(static_cast<double>(x));
  for (int i = 0; i < 3; ++i) r = divide(add(r, divide(x, r)), 2);
  return r;
}

inline quad power_of(quad x, int n) {
  quad p = 1;
  for (int i = 0; i < n; ++i) p = multiply(p, x);
  return p;
}

/// One coordinate's state.
template <std::size_t Slots>
using slots_of = std::array<quad, Slots + 1>;

/// `reference(slots, delta, more, x, steps_before)` moves x; four rounds, of which one has a zero delta here and there.
template <class X, class O, class Reference>
void follows(const O& optimizer, fedagg::precision type, std::size_t d, const Reference& reference,
             double participation = 1) {
  constexpr std::size_t more = fedagg::impl::aggregates_of<O> - 1;
  const auto means = sample<X>(kind::normal, 8, d, 71);
  for (const bool as_delta : {false, true}) {
    std::vector<X> first;
    bool begun = false;
    on_each_isa([&](fedagg::isa) {
      const auto start = sample<X>(kind::normal, 1, d, 72);
      std::vector<X> x(start.data), aggregate(d), extra(d);
      const fedagg::mutable_model_view model(x);
      fedagg::optimizer_state state(type);
      std::vector<slots_of<O::slots>> slots(d);
      std::vector<quad> want(d), moved(d, 0);
      for (std::size_t j = 0; j < d; ++j) {
        want[j] = value(x[j]);
        for (std::size_t k = 0; k < O::slots; ++k) slots[j][k] = optimizer.initial(k);
      }
      const double loss = std::is_same_v<X, double> && (type == fedagg::precision::f64 || O::slots == 0) ? unit : 0x1p-24;
      for (int round = 0; round < 4; ++round) {
        for (std::size_t j = 0; j < d; ++j) {
          const auto r = static_cast<std::size_t>(round);
          aggregate[j] = (j + r) % 5 == 0 ? (as_delta ? stored<X>(0) : x[j]) : means.at(r, j);
          extra[j] = means.at(4 + r, j);
          const quad delta = as_delta ? quad(value(aggregate[j])) : add(value(aggregate[j]), -quad(value(x[j])));
          const quad before = value(x[j]);
          quad now = before;
          reference(slots[j], delta, quad(value(extra[j])), now, round);
          moved[j] = add(moved[j], magnitude(add(now, -before)));
          want[j] = now;
        }
        const fedagg::model_view view(aggregate), beside(extra);
        const threads pool{2};
        std::array<const fedagg::model_view*, more> further{};
        for (auto& f : further) f = &beside;
        const errc rc = [&] {
          const mode callers(worst);
          return fedagg::try_step(optimizer, model,
                                  as_delta ? fedagg::pseudo_gradient::delta(view) : fedagg::pseudo_gradient::model(view),
                                  state,
                                  {.participation = participation,
                                   .write = round % 2 ? fedagg::write::direct : fedagg::write::atomic,
                                   .executor = pool},
                                  further);
        }();
        REQUIRE(rc == errc::ok);
        CHECK(state.round() == static_cast<std::uint64_t>(round) + 1);
        std::size_t wrong = 0;
        // A few roundings of the moments and of the step in each round; x is rounded once.
        for (std::size_t j = 0; j < d; ++j)
          wrong += !rounds_to<X>(x[j], want[j], multiply(moved[j] + multiply(magnitude(want[j]), unit / loss / 8), 40 * quad(loss)));
        INFO(O::name << ' ' << format<X>::name << " d=" << d << " round " << round << " delta " << as_delta);
        CHECK(wrong == 0);
      }
      if (!begun) first = x;
      begun = true;
      CHECK(same_bits(first, x));
    });
  }
}

template <class O, class Reference>
void follows_everywhere(const O& optimizer, const Reference& reference, double participation = 1) {
  for (const std::size_t d : {1u, 5u, 70u, 300u}) {
    follows<double>(optimizer, fedagg::precision::f64, d, reference, participation);
    follows<float>(optimizer, fedagg::precision::f32, d, reference, participation);
  }
  follows<float>(optimizer, fedagg::precision::f64, 300, reference, participation);
  follows<fedagg::bfloat16>(optimizer, fedagg::precision::f32, 70, reference, participation);
}

/// Every parameter refuses what lies outside its range, NaN included, and nothing is written.
template <class O>
void refuses_bad_parameters() {
  std::vector<double> x{1, 2}, mean{3, 4};
  const fedagg::mutable_model_view model(x);
  const fedagg::model_view view(mean);
  const auto refused = [&](const O& o) {
    fedagg::optimizer_state state;
    std::array<const fedagg::model_view*, fedagg::impl::aggregates_of<O> - 1> further{};
    for (auto& f : further) f = &view;
    const auto rc = fedagg::try_step(o, model, fedagg::pseudo_gradient::model(view), state, {}, further);
    return rc == fedagg::errc::bad_parameter && state.round() == 0 && state.optimizer().empty();
  };
  std::apply(
      [&](const auto&... f) {
        const auto each = [&](const auto& field) {
          using T = std::remove_cvref_t<decltype(std::declval<O>().*field.member)>;
          if constexpr (std::is_same_v<T, double>) {
            for (const double bad : {field.low - 1, field.high * 2 + 1, std::bit_cast<double>(0x7ff8000000000000u),
                                     std::bit_cast<double>(0x7ff0000000000000u)}) {
              O o;
              o.*field.member = bad;
              INFO(O::name << '.' << field.name << " = " << bad);
              CHECK(refused(o));
            }
            if (field.low == fedagg::unset) {
              O o;
              o.*field.member = -0.5;
              CHECK(refused(o));
            }
          } else if constexpr (std::is_enum_v<T>) {
            O o;
            o.*field.member = static_cast<T>(200);
            CHECK(refused(o));
          }
        };
        (each(f), ...);
      },
      O::fields());
  CHECK(x == std::vector<double>{1, 2});
}

} // namespace server_steps

#endif // FEDAGG_TESTS_SUPPORT_SERVER_STEPS_HPP
