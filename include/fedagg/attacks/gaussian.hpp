// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_GAUSSIAN_HPP
#define FEDAGG_ATTACKS_GAUSSIAN_HPP

#include <cstddef>
#include <cstdint>
#include <tuple>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/core/normal_quantile.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Noise: every coordinate drawn from a normal distribution (Blanchard et al. 2017, arXiv:1703.02757).
/// Needs to know nothing. The draws come from the stream "gaussian" of the seed, the same on every machine: a new round
/// wants a new seed. O(d), no memory.
struct gaussian {
  double mean = 0;
  double deviation = 1;
  std::int64_t seed = unset; ///< of this round's draws

  static constexpr const char* name = "gaussian";
  static constexpr auto fields() {
    using a = gaussian;
    return std::tuple{
        field{"mean", &a::mean, -detail::largest_double, detail::largest_double, "mean of every coordinate"},
        field{"deviation", &a::deviation, 0, detail::largest_double, "standard deviation of every coordinate"},
        field{"seed", &a::seed, unset, any_count, "seed of this round's draws"}};
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this) || seed < 0) return errc::bad_parameter;
    if (const errc rc = detail::check_knowledge<T>(k, out, 0); rc != errc::ok) return rc;
    space.strength = deviation;
    random_stream draws(static_cast<std::uint64_t>(seed), name);
    for (T& x : out) {
      // The middles of 2^52 equal parts of (0, 1): none of them is an end.
      const double uniform = detail::times(detail::plus(static_cast<double>(draws() >> 12), 0.5), 0x1p-52);
      const double away = detail::times(deviation, detail::normal_quantile(uniform));
      if (!detail::round_to(detail::plus(mean, away), x)) return errc::overflow;
    }
    return errc::ok;
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_GAUSSIAN_HPP
