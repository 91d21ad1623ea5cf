// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_FANG_HPP
#define FEDAGG_ATTACKS_FANG_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/krum_scores.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The rule that fang is aimed at.
enum class fang_target : std::uint8_t {
  coordinate, ///< median or trimmed mean
  krum,
};

inline constexpr const char* fang_target_names[] = {"coordinate", "krum"};
constexpr name_list value_names(fang_target) noexcept { return {fang_target_names, 2}; }

/// Rows against the direction in which the honest clients move the model (Fang, Cao, Jia, Gong 2020, arXiv:1911.11815),
/// in the versions that know every honest row.
/// `coordinate`: in each coordinate between the honest extreme on the far side of the direction and `b` times it (or
/// its b-th part, where that is further out); a direction of zero counts as negative. `krum`: the row -lambda
/// sign(direction), lambda halved from their bound until Krum takes it although every tie is lost. O(n d), one pass;
/// for Krum O(n^2 d), two passes, memory of O(n^2 + 256 n).
struct fang {
  fang_target target = fang_target::coordinate;
  double b = 2;                        ///< how far beyond the honest extreme, as a factor
  bool deterministic = false;          ///< the end of the interval instead of a draw from it
  std::int64_t seed = unset;           ///< of this round's draws, the stream "fang"
  std::int64_t f = unset;              ///< of the Krum that is attacked; not given: the number of hostile rows
  nearest neighbours = nearest::n_f_2; ///< of the Krum that is attacked
  std::int64_t power = 2;              ///< of the Krum that is attacked
  double threshold = 1e-5;             ///< the search for lambda gives up below

  static constexpr const char* name = "fang";
  static constexpr auto fields() {
    using a = fang;
    return std::tuple{field{"target", &a::target, 0, 1, "the rule that is attacked"},
                      field{"b", &a::b, 1, detail::largest_double, "how far beyond the honest extreme, as a factor"},
                      field{"deterministic", &a::deterministic, 0, 1, "the end of the interval instead of a draw"},
                      field{"seed", &a::seed, unset, any_count, "seed of this round's draws"},
                      field{"f", &a::f, unset, any_count, "Krum's f, the number of hostile rows if not given"},
                      field{"neighbours", &a::neighbours, 0, 3, "how many of the nearest others count in Krum"},
                      field{"power", &a::power, 1, 4, "power of the distances that Krum sums"},
                      field{"threshold", &a::threshold, 0, detail::largest_double, "the search for lambda ends below"}};
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this)) return errc::bad_parameter;
    if (const errc rc = detail::check_knowledge<T>(k, out); rc != errc::ok) return rc;
    for (const T x : k.direction)
      if (!is_finite(detail::as_double(x))) return errc::non_finite;
    return target == fang_target::krum ? against_krum<T>(k, out, space) : against_columns<T>(k, out, space);
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }

private:
  /// The sign of the direction at coordinate first + j: 1 or -1, and 0 for `krum` where it is zero.
  template <class T>
  static int towards(const knowledge<T>& k, std::size_t first, std::span<const double> mean, std::size_t j) noexcept {
    const double x = k.direction.empty() ? mean[j] : detail::as_double(k.direction[first + j]);
    return x > 0 ? 1 : x < 0 ? -1 : 0;
  }

  template <class T>
  errc against_columns(const knowledge<T>& k, std::span<T> out, attack_workspace& space) const {
    if (!deterministic && seed < 0) return errc::bad_parameter;
    random_stream draws(static_cast<std::uint64_t>(seed), name);
    space.strength = b;
    return detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> mean) {
      for (std::size_t j = 0; j < mean.size(); ++j) {
        double least = detail::as_double(k.honest[0][first + j]), greatest = least;
        for (const auto& row : k.honest) {
          const double x = detail::as_double(row[first + j]);
          if (x < least) least = x;
          if (x > greatest) greatest = x;
        }
        const bool down = towards(k, first, mean, j) > 0;
        const double near = down ? least : greatest;
        // Away from the honest rows: times b on their side of zero, divided by b where zero lies further out.
        const double far = (near > 0) != down ? detail::times(near, b) : detail::quotient(near, b);
        const double share = deterministic ? 1 : detail::times(static_cast<double>(draws() >> 11), 0x1p-53);
        if (!is_finite(far)) return errc::overflow;
        double x = detail::plus(near, detail::times(share, detail::plus(far, -near)));
        if (down ? x < far : x > far) x = far;
        if (deterministic) x = far;
        if (!detail::round_to(x, out[first + j])) return errc::overflow;
      }
      return errc::ok;
    });
  }

  template <class T>
  errc against_krum(const knowledge<T>& k, std::span<T> out, attack_workspace& space) const {
    const std::size_t honest = k.honest.size(), n = k.total();
    if (k.hostile == 0 || n != honest + k.hostile) return errc::bad_parameter;
    std::size_t count = 0, breakdown = 0;
    const detail::krum_parameters krum{f == unset ? static_cast<std::int64_t>(k.hostile) : f, neighbours, power};
    if (const errc rc = detail::krum_neighbours(krum, n, count, breakdown); rc != errc::ok) return rc;

    detail::tile_distances distances(honest, space.memory);
    // Of every honest row: its squared norm and its product with the direction's signs.
    const auto square = space.memory.take<double>(honest), along = space.memory.take<double>(honest);
    double moved = 0; // coordinates with a direction
    const errc rc =
        detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> mean) {
          for (std::size_t j = 0; j < mean.size(); ++j) {
            const int s = towards(k, first, mean, j);
            moved += s != 0;
            for (std::size_t i = 0; i < honest; ++i) {
              const double x = detail::as_double(k.honest[i][first + j]);
              square[i] = detail::plus(square[i], detail::times(x, x));
              along[i] = detail::plus(along[i], s > 0 ? x : s < 0 ? -x : 0.0);
            }
          }
          distances.add<T>(k.honest, first, mean.size());
          return errc::ok;
        });
    if (rc != errc::ok) return rc;
    for (std::size_t i = 0; i < honest; ++i)
      if (!is_finite(square[i]) || !is_finite(along[i])) return errc::overflow;

    double lambda = 0;
    space.no_direction = !(moved > 0);
    if (!space.no_direction) {
      const auto room = space.memory.take<double>(n * n), scores = space.memory.take<double>(n);
      const auto order = space.memory.take<detail::ranked>(n);
      // The hostile rows come last, so that Krum gives every tie to an honest one.
      for (std::size_t i = 0; i < honest; ++i)
        for (std::size_t j = 0; j < honest; ++j) room[i * n + j] = distances(i, j);
      geometry g;
      g.rows = n;
      g.distances = room;
      lambda = bound(g, honest, static_cast<std::size_t>(krum.f), moved, square, order);
      if (!is_finite(lambda)) return errc::overflow;
      for (;;) {
        T sent{};
        if (!detail::round_to(lambda, sent)) return errc::overflow;
        lambda = detail::as_double(sent);
        ++space.evaluations;
        if (wins(g, honest, lambda, moved, square, along, room, order, scores, count)) break;
        const double half = lambda / 2;
        if (!(half >= threshold) || !(half > 0)) {
          space.gave_up = true;
          break;
        }
        lambda = half;
      }
    }
    space.strength = lambda;
    return detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> mean) {
      for (std::size_t j = 0; j < mean.size(); ++j) {
        const int s = towards(k, first, mean, j);
        if (!detail::round_to(s > 0 ? -lambda : s < 0 ? lambda : 0.0, out[first + j])) return errc::overflow;
      }
      return errc::ok;
    });
  }

  /// Their upper bound of lambda, for the distances that `g` knows: of the n - f - 2 rows that count for a hostile one,
  /// n - f - 1 less the hostile ones are honest.
  static double bound(const geometry& g, std::size_t honest, std::size_t f, double moved,
                      std::span<const double> square, std::span<detail::ranked> order) noexcept {
    const std::size_t n = g.rows, others = n > f + 2 ? n - f - 2 : 0;
    double least = detail::largest_double, furthest = 0;
    for (std::size_t i = 0; i < honest; ++i) {
      std::size_t at = 0;
      for (std::size_t j = 0; j < honest; ++j)
        if (j != i) order[at++] = {g.square_distance(i, j), j};
      const std::size_t count = others < at ? others : at;
      detail::smallest_first(order.first(at), count);
      double sum = 0;
      for (const auto& o : order.first(count)) sum = detail::plus(sum, detail::square_root(o.value));
      if (sum < least) least = sum;
      if (square[i] > furthest) furthest = square[i];
    }
    const std::size_t left = honest > f + 1 ? honest - f - 1 : 1;
    const double length = detail::square_root(moved);
    return detail::plus(detail::quotient(detail::quotient(least, static_cast<double>(left)), length),
                        detail::quotient(detail::square_root(furthest), length));
  }

  bool wins(const geometry& g, std::size_t honest, double lambda, double moved, std::span<const double> square,
            std::span<const double> along, std::span<double> room, std::span<detail::ranked> order,
            std::span<double> scores, std::size_t count) const noexcept {
    const std::size_t n = g.rows;
    for (std::size_t i = 0; i < honest; ++i) {
      const double cross = detail::times(2, detail::times(lambda, along[i]));
      const double own = detail::times(detail::times(lambda, lambda), moved);
      double d = detail::plus(detail::plus(square[i], own), cross);
      if (!(d > 0)) d = 0;
      if (!is_finite(d)) d = detail::largest_double;
      for (std::size_t h = honest; h < n; ++h) room[i * n + h] = room[h * n + i] = d;
    }
    detail::krum_scores(g, count, power, order, scores);
    std::size_t best = 0;
    for (std::size_t i = 1; i < n; ++i)
      if (scores[i] < scores[best]) best = i;
    return best >= honest;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_FANG_HPP
