// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_OPTIMAL_HPP
#define FEDAGG_ATTACKS_OPTIMAL_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>

#include <fedagg/core/attack.hpp>
#include <fedagg/core/moments.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How optimal looks for the factor.
enum class line_search : std::uint8_t {
  grid,      ///< `steps` points from low to high, then golden sections about the best
  shrinking, ///< from low in steps of high - low that double while they pay, then shrink by 0.8; `steps` tries in all
};

inline constexpr const char* line_search_names[] = {"grid", "shrinking"};
constexpr name_list value_names(line_search) noexcept { return {line_search_names, 2}; }

/// The attack `Attack` with the factor that moves the server's aggregate furthest from the honest mean (Shejwalkar,
/// Houmansadr, NDSS 2021, doi:10.14722/ndss.2021.24498; the line search: Allouah et al. 2023, arXiv:2302.01772). For
/// inner_product and alie, whose `searched()` names the factor.
/// Needs to know the honest rows, how many clients are hostile, and the rule: it works on copies of it and of its
/// state, one for each try, so that neither the server's state nor its random streams move. Deterministic; of equal
/// factors the lowest. One aggregation for each step and refinement and two more, memory of O(d).
template <class Attack>
struct optimal {
  Attack base = {}; ///< whose factor is searched for
  double low = 0;   ///< the least factor
  double high = 10; ///< the greatest factor
  std::int64_t steps = 33;
  std::int64_t refinements = 32; ///< of the grid: golden sections
  line_search search = line_search::grid;

  static constexpr const char* name = "optimal";
  static constexpr auto fields() {
    using a = optimal;
    return std::tuple{field{"low", &a::low, 0, detail::largest_double, "the least factor"},
                      field{"high", &a::high, 0, detail::largest_double, "the greatest factor"},
                      field{"steps", &a::steps, 2, 1000000, "points of the grid, or tries"},
                      field{"refinements", &a::refinements, 0, 1000, "golden sections about the best of the grid"},
                      field{"search", &a::search, 0, 1, "how the factor is looked for"}};
  }

  /// `out` becomes the row that every hostile client sends. `aggregate(rows, result)` is what the server will compute:
  /// rows (honest ones first, then a copy per hostile client) as spans of const T, result as a span of T, errc. A
  /// factor whose row overflows or whose round is refused is passed over; if all are, the last code is returned.
  template <class T, class Aggregate>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, const Aggregate& aggregate, attack_workspace& space) const {
    const impl::fp_guard guard;
    space.begin();
    if (!detail::parameters_in_range(*this) || !(low < high)) return errc::bad_parameter;
    if (const errc rc = detail::check_knowledge<T>(k, out); rc != errc::ok) return rc;
    if (k.hostile == 0) return errc::bad_parameter;
    trial<T, Aggregate> t{*this, k, out, aggregate, space};
    if (const errc rc = t.prepare(); rc != errc::ok) return rc;
    search == line_search::grid ? on_grid(t) : shrinking(t);
    if (!t.found) return t.last;
    space.strength = t.best;
    space.damage = t.damage;
    return t.write(t.best);
  }
  template <class T, class Aggregate>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, const Aggregate& aggregate) const {
    attack_workspace space;
    return craft(k, out, aggregate, space);
  }

private:
  template <class T, class Aggregate>
  struct trial {
    const optimal& attack;
    const knowledge<T>& k;
    std::span<T> out;
    const Aggregate& aggregate;
    attack_workspace& space;
    attack_workspace inner = {};
    std::span<double> mean = {};
    std::span<T> result = {};
    std::span<std::span<const T>> rows = {};
    bool found = false;
    double best = 0, damage = 0;
    errc last = errc::bad_parameter;

    errc prepare() {
      mean = space.memory.take<double>(out.size());
      result = space.memory.take<T>(out.size());
      rows = space.memory.take<std::span<const T>>(k.honest.size() + k.hostile);
      for (std::size_t i = 0; i < rows.size(); ++i)
        rows[i] = i < k.honest.size() ? k.honest[i] : std::span<const T>(out);
      return detail::for_each_mean<T>(k.honest, out.size(), [&](std::size_t first, std::span<const double> m) {
        for (std::size_t j = 0; j < m.size(); ++j) mean[first + j] = m[j];
        return errc::ok;
      });
    }

    errc write(double factor) {
      Attack a = attack.base;
      a.*Attack::searched() = factor;
      return a.craft(k, out, inner);
    }

    /// How far the aggregate comes from the honest mean; negative where there is none.
    double operator()(double factor) {
      ++space.evaluations;
      errc rc = write(factor);
      if (rc == errc::ok) {
        std::decay_t<Aggregate> copy = aggregate;
        rc = copy(std::span<const std::span<const T>>(rows), result);
      }
      double square = 0;
      for (std::size_t j = 0; j < out.size() && rc == errc::ok; ++j) {
        const double away = detail::plus(detail::as_double(result[j]), -mean[j]);
        square = detail::plus(square, detail::times(away, away));
      }
      if (rc == errc::ok && !is_finite(square)) rc = errc::overflow;
      if (rc != errc::ok) {
        last = rc;
        return -1;
      }
      const double distance = detail::square_root(square);
      if (!found || distance > damage || (!(distance < damage) && factor < best)) {
        found = true;
        best = factor;
        damage = distance;
      }
      return distance;
    }
  };

  template <class Trial>
  void on_grid(Trial& t) const {
    const double step = detail::quotient(detail::plus(high, -low), static_cast<double>(steps - 1));
    const auto point = [&](std::int64_t i) {
      return i <= 0 ? low : i >= steps - 1 ? high : detail::plus(low, detail::times(static_cast<double>(i), step));
    };
    std::int64_t at = 0;
    double highest = -1;
    for (std::int64_t i = 0; i < steps; ++i)
      if (const double y = t(point(i)); y > highest) {
        highest = y;
        at = i;
      }
    constexpr double section = 0.6180339887498949;
    double a = point(at - 1), b = point(at + 1);
    const auto inside = [&](double share) { return detail::plus(a, detail::times(share, detail::plus(b, -a))); };
    if (refinements == 0) return;
    double x = inside(1 - section), y = inside(section), fx = t(x), fy = t(y);
    for (std::int64_t i = 0; i < refinements; ++i) {
      if (fx >= fy) {
        b = y;
        y = x;
        fy = fx;
        x = inside(1 - section);
        fx = t(x);
      } else {
        a = x;
        x = y;
        fx = fy;
        y = inside(section);
        fy = t(y);
      }
    }
  }

  template <class Trial>
  void shrinking(Trial& t) const {
    double from = low, step = detail::plus(high, -low), highest = t(low);
    bool growing = true;
    for (std::int64_t i = 1; i < steps; ++i) {
      const double y = t(detail::plus(from, step));
      if (y > highest) {
        highest = y;
        from = detail::plus(from, step);
      } else {
        growing = false;
      }
      step = detail::times(step, growing ? 2 : 0.8);
    }
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_OPTIMAL_HPP
