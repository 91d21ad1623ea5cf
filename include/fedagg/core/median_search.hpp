// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_MEDIAN_SEARCH_HPP
#define FEDAGG_CORE_MEDIAN_SEARCH_HPP

#include <cstddef>
#include <utility>

#include <fedagg/core/directions.hpp>
#include <fedagg/core/geometry.hpp>
#include <fedagg/core/line_median.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI::detail {

/// argmin_z of sum_i w_i norm(x_i - z), in n dimensions. A point is a sum of directions seen from a row near it; steps
/// are Newton's, solved by conjugate gradients, behind each of them one of Weiszfeld's, which gives the coefficients
/// back as a convex combination and the gradient without cancellation.
class median_search {
public:
  median_search(const geometry& g, slice<const double> weights, arena& memory)
      : g_(g), w_(weights), n_(weights.size()), from_(n_, memory), here_(n_, memory), next_(n_, memory),
        trial_(n_, memory), best_(n_, memory), order_(memory.room<ranked>(n_)), scratch_{} {
    for (auto& s : scratch_) s = memory.room<double>(n_);
    for (const double w : w_) total_ = plus(total_, w);
  }

  /// Coefficients and their divisor; returns the steps taken. `gap` is the norm of sum_i w_i (direction from z to x_i),
  /// the part that data points at z can hold taken off, over the total weight: computed from the distances, and as good
  /// as these.
  std::size_t run(std::size_t max_steps, slice<double> coefficients, double& divisor, double& gap) {
    std::size_t centre = central_row();
    from_.look(g_, centre);
    gap = 0;
    if (line_median line(g_, w_, from_, order_); line.exists()) {
      gap = line.solve(coefficients, divisor);
      return 0;
    }
    if (const std::size_t best = best_row(); best != centre) from_.look(g_, centre = best);
    divisor = 1;
    if (leave_row(gap)) {
      coefficients[centre] = 1;
      return 0;
    }
    const std::size_t steps = descend(max_steps);
    gap = here_.gap;
    divisor = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      coefficients[i] = quotient(here_.pull[i], here_.pulls);
      divisor = plus(divisor, coefficients[i]);
    }
    return steps;
  }

private:
  struct point {
    slice<double> b, projection, distance, pull, gradient, slope;
    double square = 0;    ///< its distance to the centre, squared
    double objective = 0; ///< relative to the centre's
    double noise = 0;     ///< of the objective
    double pulls = 0;
    double gap = 0;

    point(std::size_t n, arena& memory)
        : b(memory.room<double>(n)), projection(memory.room<double>(n)), distance(memory.room<double>(n)),
          pull(memory.room<double>(n)), gradient(memory.room<double>(n)), slope(memory.room<double>(n)) {}
  };

  static double dot(slice<const double> a, slice<const double> b) noexcept {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum = plus(sum, times(a[i], b[i]));
    return sum;
  }

  void swap_points() noexcept { std::swap(here_, next_); }

  /// The row that half of the weight is nearest to: no minority chooses where it lies.
  std::size_t central_row() noexcept {
    std::size_t best = 0;
    double least = largest_double;
    for (std::size_t k = 0; k < n_; ++k) {
      if (!(w_[k] > 0)) continue;
      for (std::size_t i = 0; i < n_; ++i) order_[i] = {g_.square_distance(k, i), i};
      smallest_first(order_, n_);
      double reached = 0, radius = 0;
      for (const ranked& r : order_) {
        reached = plus(reached, w_[r.index]);
        radius = r.value;
        if (reached > total_ / 2) break;
      }
      if (radius < least) {
        least = radius;
        best = k;
      }
    }
    return best;
  }

  /// The row with the least objective. If any row is the median, this one is.
  std::size_t best_row() noexcept {
    std::size_t best = 0;
    double least = largest_double;
    for (std::size_t k = 0; k < n_; ++k) {
      if (!(w_[k] > 0)) continue;
      const double r = from_.radius(k), square = times(r, r);
      double objective = 0;
      for (std::size_t i = 0; i < n_; ++i) {
        const double more = plus(square, -times(times(2, from_.radius(i)), times(r, from_.cosine(i, k))));
        const double both = plus(square_root(g_.square_distance(i, k)), from_.radius(i));
        if (both > 0) objective = plus(objective, times(w_[i], quotient(more, both)));
      }
      if (objective < least) {
        least = objective;
        best = k;
      }
    }
    return best;
  }

  /// Whether the centre is the median; else the first step from it (Vardi and Zhang 2000).
  bool leave_row(double& gap) noexcept {
    double held = 0, pulls = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      const double r = from_.radius(i);
      here_.b[i] = r > 0 ? w_[i] : 0;
      if (r > 0)
        pulls = plus(pulls, quotient(w_[i], r));
      else
        held = plus(held, w_[i]);
    }
    from_.project(here_.b, here_.projection);
    const double pulled = square_root(dot(here_.b, here_.projection));
    gap = pulled > held ? quotient(pulled - held, total_) : 0;
    if (!(gap > 1e-15)) return true;
    const double step = quotient(quotient(pulled - held, pulls), pulled);
    for (double& b : here_.b) b = times(b, step);
    evaluate(here_);
    weiszfeld(here_, next_);
    swap_points();
    return false;
  }

  /// Distances, objective and gradient of a point whose b is known.
  void evaluate(point& p) noexcept {
    from_.project(p.b, p.projection);
    p.square = from_.distances(p.b, p.projection, p.distance);
    p.objective = p.pulls = p.noise = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      const double r = from_.radius(i), d = p.distance[i];
      p.pull[i] = w_[i] > 0 && d > 0 ? quotient(w_[i], d) : 0;
      p.pulls = plus(p.pulls, p.pull[i]);
      const double more = plus(p.square, -times(times(2, r), p.projection[i]));
      const double term = d + r > 0 ? times(w_[i], quotient(more, d + r)) : 0;
      p.objective = plus(p.objective, term);
      p.noise = plus(p.noise, term < 0 ? -term : term);
    }
    p.noise *= 1e-14;
    // sum_i pull_i (x_i - z), by the direction that each row has from the centre.
    for (std::size_t i = 0; i < n_; ++i)
      p.gradient[i] = plus(times(p.pull[i], from_.radius(i)), -times(p.pulls, p.b[i]));
    from_.project(p.gradient, p.slope);
    p.gap = quotient(square_root(dot(p.gradient, p.slope)), total_);
  }

  /// to = the mean of the rows by their pulls at p, evaluated.
  void weiszfeld(const point& p, point& to) noexcept {
    for (std::size_t i = 0; i < n_; ++i) to.b[i] = quotient(times(p.pull[i], from_.radius(i)), p.pulls);
    evaluate(to);
  }

  /// out_i = (direction from z to x_i) times sum_j x_j (direction from z to x_j).
  void among_directions(const point& p, slice<const double> x, slice<double> out) noexcept {
    const auto c = scratch_[5];
    combine_directions(p, x, c);
    from_.project(c, out);
    const double own = dot(p.b, out);
    for (std::size_t i = 0; i < n_; ++i)
      out[i] = p.pull[i] > 0 ? quotient(plus(times(from_.radius(i), out[i]), -own), p.distance[i]) : 0;
  }

  /// c = sum_j x_j (direction from z to x_j), by directions from the centre.
  void combine_directions(const point& p, slice<const double> x, slice<double> c) noexcept {
    double sum = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      c[i] = p.pull[i] > 0 ? quotient(x[i], p.distance[i]) : 0;
      sum = plus(sum, c[i]);
    }
    for (std::size_t i = 0; i < n_; ++i) c[i] = plus(times(c[i], from_.radius(i)), -times(sum, p.b[i]));
  }

  /// step = Newton's. The Hessian is S - sum_i pull_i e_i e_i' on the span of the directions e_i, S = sum of the pulls:
  /// step = gradient / S + sum_i y_i e_i with y = P^1/2 (S - P^1/2 E'E P^1/2)^-1 P^1/2 E' gradient / S, P = diag pull.
  void newton(const point& p, slice<double> step) noexcept {
    const auto q = scratch_[0], residual = scratch_[1], search = scratch_[2], image = scratch_[3], root = scratch_[4];
    const double own = dot(p.b, p.slope);
    for (std::size_t i = 0; i < n_; ++i) {
      root[i] = square_root(p.pull[i]);
      const double along = p.pull[i] > 0 ? quotient(times(from_.radius(i), p.slope[i]) - own, p.distance[i]) : 0;
      residual[i] = search[i] = quotient(times(root[i], along), p.pulls);
      q[i] = 0;
    }
    double square = dot(residual, residual);
    const double enough = times(square, 1e-16);
    for (std::size_t k = 0; k < n_ && k < 200 && square > enough; ++k) {
      const auto weighed = step;
      for (std::size_t i = 0; i < n_; ++i) weighed[i] = times(root[i], search[i]);
      among_directions(p, weighed, image);
      for (std::size_t i = 0; i < n_; ++i) image[i] = plus(times(p.pulls, search[i]), -times(root[i], image[i]));
      const double curvature = dot(search, image);
      if (!(curvature > 0)) break;
      const double length = quotient(square, curvature);
      for (std::size_t i = 0; i < n_; ++i) {
        q[i] = plus(q[i], times(length, search[i]));
        residual[i] = plus(residual[i], -times(length, image[i]));
      }
      const double before = square;
      square = dot(residual, residual);
      const double turn = quotient(square, before);
      for (std::size_t i = 0; i < n_; ++i) search[i] = plus(residual[i], times(turn, search[i]));
    }
    for (std::size_t i = 0; i < n_; ++i) q[i] = times(root[i], q[i]);
    combine_directions(p, q, step);
    for (std::size_t i = 0; i < n_; ++i) step[i] = plus(step[i], quotient(p.gradient[i], p.pulls));
  }

  /// Steps from `here_` until the gradient is as small as rounding lets it be.
  std::size_t descend(std::size_t max_steps) noexcept {
    std::size_t steps = 0;
    copy(here_, best_);
    int idle = 0;
    while (steps < max_steps && here_.gap > 1e-15 && idle < (best_.gap < 1e-12 ? 3 : 30)) {
      ++steps;
      const auto step = scratch_[6];
      newton(here_, step);
      bool taken = false;
      double share = 1;
      for (int halvings = 0; halvings < 10 && !taken; ++halvings, share /= 2) {
        for (std::size_t i = 0; i < n_; ++i) trial_.b[i] = plus(here_.b[i], times(share, step[i]));
        evaluate(trial_);
        if (!(trial_.objective <= plus(here_.objective, here_.noise))) continue;
        weiszfeld(trial_, next_);
        taken = next_.gap < here_.gap * (1 - share / 4) || next_.objective < here_.objective - here_.noise;
      }
      if (!taken) weiszfeld(here_, next_);
      swap_points();
      ++idle;
      if (here_.gap < best_.gap) {
        if (here_.gap < best_.gap / 2) idle = 0;
        copy(here_, best_);
      }
    }
    std::swap(here_, best_);
    return steps;
  }

  static void copy(const point& from, point& to) noexcept {
    const auto put = [](slice<double> a, slice<double> b) {
      for (std::size_t i = 0; i < a.size(); ++i) b[i] = a[i];
    };
    put(from.b, to.b);
    put(from.projection, to.projection);
    put(from.distance, to.distance);
    put(from.pull, to.pull);
    put(from.gradient, to.gradient);
    put(from.slope, to.slope);
    to.square = from.square;
    to.objective = from.objective;
    to.noise = from.noise;
    to.pulls = from.pulls;
    to.gap = from.gap;
  }

  const geometry& g_;
  slice<const double> w_;
  std::size_t n_;
  double total_ = 0;
  directions from_;
  point here_, next_, trial_, best_;
  slice<ranked> order_;
  slice<double> scratch_[7];
};

} // namespace fedagg::inline FEDAGG_ABI::detail

#endif // FEDAGG_CORE_MEDIAN_SEARCH_HPP
