// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_PERTURBATION_HPP
#define FEDAGG_CORE_PERTURBATION_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/arena.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The direction in which min-max and min-sum move the honest mean (Shejwalkar, Houmansadr 2021).
enum class perturbation : std::uint8_t {
  unit_vector, ///< the mean's opposite, of length 1
  sign,        ///< -1, 0 or 1: the opposite of the mean's sign
  deviation,   ///< the standard deviations' opposite, with n - 1
};

inline constexpr const char* perturbation_names[] = {"unit_vector", "sign", "deviation"};
constexpr name_list value_names(perturbation) noexcept { return {perturbation_names, 3}; }

namespace detail {

/// How n rows lie about their mean and along a direction p: all that bounds the attack need. p is kept without its
/// length, -mean for `unit_vector`, so that a short mean loses nothing.
struct perturbed_rows {
  std::span<double> square;    ///< squared norm of x_i - mean
  std::span<double> along;     ///< p (x_i - mean)
  double direction_square = 0; ///< squared norm of p
  bool direction = false;      ///< p is not zero, whatever its square is
};

/// p in one tile of coordinates.
template <class T>
errc tile_direction(perturbation p, honest_rows<T> rows, std::size_t first, std::span<const double> mean,
                    std::span<double> direction) noexcept {
  if (p == perturbation::deviation) {
    const auto divisor = static_cast<double>(rows.size() - 1);
    if (const errc rc = tile_deviation<T>(rows, first, mean, divisor, direction); rc != errc::ok) return rc;
    for (double& x : direction) x = -x;
  } else {
    for (std::size_t k = 0; k < mean.size(); ++k)
      direction[k] = p == perturbation::unit_vector ? -mean[k] : mean[k] > 0 ? -1.0 : mean[k] < 0 ? 1.0 : 0.0;
  }
  return errc::ok;
}

/// Fills `seen`; `distances`, where given, gets all squared distances too. One pass, O(n d), O(n^2 d) with distances.
template <class T>
errc look_along(perturbation p, honest_rows<T> rows, std::size_t size, arena& memory, perturbed_rows& seen,
                tile_distances* distances) {
  seen = {memory.take<double>(rows.size()), memory.take<double>(rows.size())};
  double room[moments_tile];
  return for_each_mean<T>(rows, size, [&](std::size_t first, std::span<const double> mean) {
    const std::span<double> direction(room, mean.size());
    if (const errc rc = tile_direction<T>(p, rows, first, mean, direction); rc != errc::ok) return rc;
    bool finite = true;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      double square = 0, along = 0;
      for (std::size_t k = 0; k < mean.size(); ++k) {
        const double away = plus(as_double(rows[i][first + k]), -mean[k]);
        square = plus(square, times(away, away));
        along = plus(along, times(away, direction[k]));
      }
      seen.square[i] = plus(seen.square[i], square);
      seen.along[i] = plus(seen.along[i], along);
      finite = finite && is_finite(seen.square[i]) && is_finite(seen.along[i]);
    }
    for (const double x : direction) {
      seen.direction_square = plus(seen.direction_square, times(x, x));
      seen.direction = seen.direction || x != 0;
    }
    if (distances) distances->add<T>(rows, first, mean.size());
    return finite && is_finite(seen.direction_square) ? errc::ok : errc::overflow;
  });
}

/// out = mean + factor p. One pass.
template <class T>
errc move_along(perturbation p, honest_rows<T> rows, double factor, std::span<T> out) {
  double room[moments_tile];
  return for_each_mean<T>(rows, out.size(), [&](std::size_t first, std::span<const double> mean) {
    const std::span<double> moved(room, mean.size());
    if (const errc rc = tile_direction<T>(p, rows, first, mean, moved); rc != errc::ok) return rc;
    for (std::size_t k = 0; k < mean.size(); ++k) moved[k] = plus(mean[k], times(factor, moved[k]));
    return round_tile<T>(moved, out.subspan(first, mean.size()));
  });
}

} // namespace detail

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_PERTURBATION_HPP
