// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_WEIGHTING_HPP
#define FEDAGG_PROTOCOLS_WEIGHTING_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/exact_sum.hpp>
#include <fedagg/core/power.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/core/staleness.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/fp_guard.hpp>

/// Weights for a cohort, one per client, from what a server knows of its clients: for `cohort::weights`. Every function
/// fills a span of the caller's and looks at all of its input before it writes. A client whose own number makes no
/// sense (a loss that is NaN) gets a NaN as its weight, so that the round's policy rejects it and names it.

namespace fedagg::inline FEDAGG_ABI {

/// How a loss becomes a weight.
enum class loss_form : std::uint8_t {
  softmax, ///< exp(strength (F_i - F)), F the largest loss (the smallest for a negative strength)
  power,   ///< (F_i / F)^strength, F the largest loss
};

inline constexpr const char* loss_form_names[] = {"softmax", "power"};
constexpr name_list value_names(loss_form) noexcept { return {loss_form_names, 2}; }

/// Weights that grow with the clients' losses, the largest one being 1. Strength 0 weighs all alike. Losses are claims:
/// a client that reports a huge one takes the round over unless its share is capped.
struct loss_weighting {
  loss_form form = loss_form::softmax;
  double strength = 1; ///< per unit of loss (softmax, may be negative), or the exponent (power, not negative)

  static constexpr const char* name = "loss_weighting";
  static constexpr auto fields() {
    return std::tuple{
        field{"form", &loss_weighting::form, 0, 1, "softmax or power of the losses"},
        field{"strength", &loss_weighting::strength, -any_count, any_count, "per unit of loss, or the exponent"}};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

inline double no_weight() noexcept { return std::bit_cast<double>(std::uint64_t{0x7ff8000000000000u}); }

inline errc one_each(std::size_t known, std::span<const double> out) noexcept {
  return known == 0 ? errc::empty_cohort : known != out.size() ? errc::weight_count : errc::ok;
}

/// Calls `fill(a span of `size`)` and returns what it filled; raises its code.
template <class F>
std::vector<double> owned_weights(std::size_t size, const F& fill) {
  std::vector<double> out(size);
  if (const errc rc = fill(std::span<double>(out)); rc != errc::ok) raise(rc);
  return out;
}

} // namespace impl

/// As many as the client has examples. `integer_range` beyond 2^53, `zero_weight_sum` if nobody has any.
[[nodiscard]] inline errc try_sample_weights(std::span<const std::uint64_t> examples, std::span<double> out) noexcept {
  if (const errc rc = impl::one_each(examples.size(), out); rc != errc::ok) return rc;
  bool any = false;
  for (const std::uint64_t n : examples) {
    if (n > std::uint64_t{1} << 53) return errc::integer_range;
    any = any || n != 0;
  }
  if (!any) return errc::zero_weight_sum;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(examples[i]);
  return errc::ok;
}

/// 1 for everybody.
[[nodiscard]] inline errc try_uniform_weights(std::span<double> out) noexcept {
  if (out.empty()) return errc::empty_cohort;
  for (double& w : out) w = 1;
  return errc::ok;
}

/// By the clients' losses. A loss that is NaN or Inf, or negative for `power`, is its client's fault: its weight is a
/// NaN. `zero_weight_sum` if no loss is left; losses that are all 0 weigh alike.
[[nodiscard]] inline errc try_loss_weights(const loss_weighting& how, std::span<const double> losses,
                                           std::span<double> out) noexcept {
  const impl::fp_guard guard;
  if (const errc rc = impl::one_each(losses.size(), out); rc != errc::ok) return rc;
  const bool power = how.form == loss_form::power, falling = std::bit_cast<std::uint64_t>(how.strength) >> 63;
  if (how.form > loss_form::power || !is_finite(how.strength) || how.strength > any_count ||
      how.strength < (power ? 0 : -any_count))
    return errc::bad_parameter;
  const auto good = [power](double f) { return is_finite(f) && !(power && f < 0); };
  double most = 0;
  bool any = false;
  for (const double f : losses) {
    if (!good(f)) continue;
    if (!any || (falling && !power ? f < most : f > most)) most = f;
    any = true;
  }
  if (!any) return errc::zero_weight_sum;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!good(losses[i])) {
      out[i] = impl::no_weight();
    } else if (power) {
      out[i] = most > 0 ? detail::power(detail::quotient(losses[i], most), how.strength) : 1;
    } else {
      // Never positive; beyond all numbers the weight is none. Halves, because a difference of two losses can be.
      const double half =
          detail::times(how.strength, detail::plus(detail::times(losses[i], 0.5), detail::times(most, -0.5)));
      out[i] = !is_finite(half) || half < -1e3 ? 0 : detail::exponential(2 * half);
    }
  }
  return errc::ok;
}

/// By how many versions ago the clients began. `bad_parameter` as `staleness::status`; `zero_weight_sum` if all are so
/// old that nothing is left.
[[nodiscard]] inline errc try_staleness_weights(const staleness& how, std::span<const std::uint64_t> ages,
                                                std::span<double> out) noexcept {
  const impl::fp_guard guard;
  if (const errc rc = impl::one_each(ages.size(), out); rc != errc::ok) return rc;
  if (const errc rc = how.status(); rc != errc::ok) return rc;
  bool any = false;
  for (const std::uint64_t age : ages) any = any || how(age) > 0;
  if (!any) return errc::zero_weight_sum;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = how(ages[i]);
  return errc::ok;
}

/// weights[i] *= factors[i], to combine what the other functions return; all times one power of two where a product is
/// out of the range of doubles. What is no weight on either side is a NaN afterwards. `zero_weight_sum` if nothing is
/// left.
[[nodiscard]] inline errc try_multiply_weights(std::span<const double> factors, std::span<double> weights) noexcept {
  const impl::fp_guard guard;
  if (const errc rc = impl::one_each(factors.size(), weights); rc != errc::ok) return rc;
  const auto good = [&](std::size_t i) { return detail::valid_weight(weights[i]) && detail::valid_weight(factors[i]); };
  const auto product = [&](std::size_t i) {
    detail::exact_sum one;
    one.add_product(weights[i], factors[i]);
    return one.value();
  };
  int largest = -5000;
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (good(i))
      if (const auto p = product(i); p.significand > 0 && p.exponent > largest) largest = p.exponent;
  if (largest == -5000) return errc::zero_weight_sum;
  const int shift = largest > 1000 ? 1000 - largest : largest < -900 ? -900 - largest : 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto p = good(i) ? product(i) : detail::exact_sum::rounded{};
    weights[i] = good(i) ? detail::exact_sum::shifted(p.significand, p.exponent + shift) : impl::no_weight();
  }
  return errc::ok;
}

/// Lowers the heaviest weights to one level so that nobody has more than `share` of all that is left: min(w_i, t) with
/// t = share sum_j min(w_j, t), the exact fixed point and not one step towards it. Weights that are not cut keep their
/// bits; what is no weight is not looked at. `bad_parameter` if not even equal weights obey (share times the number of
/// positive weights below 1), `zero_weight_sum`. A client that a round rejects later takes its weight along: the
/// others' shares grow. O(n / share) at most, and no memory; independent of the order of clients.
[[nodiscard]] inline errc try_cap_weights(double share, std::span<double> weights) noexcept {
  const impl::fp_guard guard;
  if (weights.empty()) return errc::empty_cohort;
  if (!is_finite(share) || !(share > 0) || share > 1) return errc::bad_parameter;
  const auto positive = [](double w) { return detail::valid_weight(w) && w > 0; };
  double largest = 0, least = detail::largest_double;
  std::size_t count = 0;
  for (const double w : weights) {
    if (!positive(w)) continue;
    ++count;
    if (w > largest) largest = w;
    if (w < least) least = w;
  }
  if (count == 0) return errc::zero_weight_sum;
  // 1/3 three times is one, although no double is a third.
  const double most = detail::times(share, static_cast<double>(count));
  if (most < 1 - 0x1p-50) return errc::bad_parameter;
  double level = least;
  if (most > 1 + 0x1p-50) {
    // From above: who is over the level is cut to it, and the level falls until nobody else is over it. At most
    // 1 / share clients ever are.
    for (level = largest;;) {
      detail::exact_sum rest, room;
      std::size_t over = 0;
      for (const double w : weights) {
        if (!positive(w)) continue;
        if (w > level)
          ++over;
        else
          rest.add_product(share, w);
      }
      room.add(1);
      room.add_product(-share, static_cast<double>(over));
      if (!(room.value().significand > 0)) break;
      const double next = detail::exact_sum::ratio(rest, room);
      if (!(next < level)) break;
      level = next;
    }
  }
  for (double& w : weights)
    if (positive(w) && w > level) w = level;
  return errc::ok;
}

/// The same as a vector of their own; throw fedagg::error.
inline std::vector<double> sample_weights(std::span<const std::uint64_t> examples) {
  return impl::owned_weights(examples.size(), [&](std::span<double> out) { return try_sample_weights(examples, out); });
}
inline std::vector<double> uniform_weights(std::size_t clients) {
  return impl::owned_weights(clients, [](std::span<double> out) { return try_uniform_weights(out); });
}
inline std::vector<double> loss_weights(const loss_weighting& how, std::span<const double> losses) {
  return impl::owned_weights(losses.size(), [&](std::span<double> out) { return try_loss_weights(how, losses, out); });
}
inline std::vector<double> staleness_weights(const staleness& how, std::span<const std::uint64_t> ages) {
  return impl::owned_weights(ages.size(), [&](std::span<double> out) { return try_staleness_weights(how, ages, out); });
}
inline std::vector<double> capped_weights(double share, std::span<const double> weights) {
  return impl::owned_weights(weights.size(), [&](std::span<double> out) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = weights[i];
    return try_cap_weights(share, out);
  });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_WEIGHTING_HPP
