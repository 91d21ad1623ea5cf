// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_GRAPH_PARAMETERS_HPP
#define FEDAGG_SECURE_GRAPH_PARAMETERS_HPP

#include <bit>
#include <cstdint>

#include <fedagg/core/error.hpp>
#include <fedagg/core/power.hpp>
#include <fedagg/secure/threat_model.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a round has to withstand: n clients, of whom at most `colluding` pool what they know with the server and at
/// most `dropouts` leave. Both sets are chosen before the graph is drawn; they may overlap.
struct graph_setting {
  std::uint32_t clients = 0;
  std::uint32_t colluding = 0;
  std::uint32_t dropouts = 0;
  threat_model model = threat_model::malicious;
  /// The server knows the graph when it says who has left, and says what it likes. Then every client must refuse to
  /// open shares for survivors that `mask_graph::supports` does not hold for. The degree is about a tenth larger.
  bool adaptive_dropouts = false;
};

/// How many neighbours a client has, and how many shares reconstruct a secret.
struct graph_parameters {
  std::uint32_t degree = 0;
  std::uint32_t threshold = 0;
};

/// Base-2 logarithms of upper bounds of two probabilities over the draw of the graph; `never` where it cannot happen.
struct graph_risk {
  /// Some client has so many colluding neighbours that its secrets are theirs, or the honest clients that stay fall
  /// apart, so that the sums of parts of them come out. A promise where it is at most -40.
  double disclosure = 0;
  /// Some client has fewer live neighbours than the threshold, so that the round fails. At most -20.
  double failure = 0;

  static constexpr double never = -1e9;
};

inline constexpr std::uint32_t max_graph_clients = std::uint32_t{1} << 20;

namespace detail {

/// Base-2 logarithms of probabilities in units of 2^-34, in integer arithmetic: the same on every machine and whatever
/// the build's flags, off by less than `slack` after a sum of ten.
struct log_probability {
  static constexpr int point = 34;
  static constexpr std::int64_t one = std::int64_t{1} << point, never = INT64_MIN / 2, slack = one >> 24;
  static constexpr std::uint64_t log2_e = 24785312075u; // in these units

  static constexpr std::int64_t log(std::uint64_t x) noexcept {
    const binary_logarithm l = log_of_two(static_cast<double>(x));
    return static_cast<std::int64_t>(l.size.whole << point | l.size.part >> (64 - point));
  }

  /// log2 n!, by Stirling's series with two terms from 19 on: off by less than 2^-30.
  static constexpr std::int64_t factorial(std::uint64_t n) noexcept {
    if (n < 19) {
      std::uint64_t product = 1;
      for (std::uint64_t k = 2; k <= n; ++k) product *= k;
      return log(product);
    }
    const binary_logarithm l = log_of_two(static_cast<double>(n));
    const std::uint64_t power = (n * l.size.whole << point) + high_product(n << point, l.size.part);
    // log2 e in units of 2^-64 beyond its whole part, for it is taken n times.
    const std::uint64_t falling = (n << point) + high_product(n << point, 0x71547652b82fe177u);
    constexpr std::uint64_t root_two_pi = 22776178323u; // log2 of it
    const std::uint64_t root = static_cast<std::uint64_t>(log(n)) / 2 + root_two_pi;
    return static_cast<std::int64_t>(power - falling + root + log2_e / 12 / n - log2_e / 360 / n / n / n);
  }
  static constexpr std::int64_t choose(std::uint64_t n, std::uint64_t k) noexcept {
    return factorial(n) - factorial(k) - factorial(n - k);
  }

  /// At least P(X >= t) where X of `draws` ones out of `all` things are among the `marked`: its first term, times the
  /// sum of the others relative to it, of which those behind the 64th are bounded by a geometric series.
  static constexpr std::int64_t tail(std::uint64_t all, std::uint64_t marked, std::uint64_t draws,
                                     std::uint64_t t) noexcept {
    const std::uint64_t most = marked < draws ? marked : draws, rest = all - marked;
    if (t == 0 || t + rest <= draws) return 0;
    if (t > most) return never;
    constexpr std::uint64_t whole = std::uint64_t{1} << 32;
    std::uint64_t term = whole >> 2, sum = term;
    for (std::uint64_t j = t; j < most; ++j) {
      // Term j + 1 over term j, rounded up, in units of 2^-32: it falls as j grows.
      const std::uint64_t up = (marked - j) * (draws - j), down = (j + 1) * (rest + j + 1 - draws);
      if (up >= down) return 0; // t is below what is expected
      const int cut = std::bit_width(up) > 31 ? static_cast<int>(std::bit_width(up)) - 31 : 0;
      const std::uint64_t ratio = (((up >> cut) + (cut != 0)) << 32) / (down >> cut) + 1;
      if (ratio >= whole) return 0;
      if (j - t == 64) {
        sum += term * ratio / (whole - ratio) + 1;
        break;
      }
      term = (term * ratio >> 32) + 1;
      sum += term;
      if (term < 4) {
        sum += term * ratio / (whole - ratio) + 1;
        break;
      }
    }
    const std::int64_t p =
        choose(marked, t) + choose(rest, draws - t) - choose(all, draws) + log(sum) - 30 * one + slack;
    return p < 0 ? p : 0;
  }

  /// At least the logarithm of 2^a + 2^b.
  static constexpr std::int64_t either(std::int64_t a, std::int64_t b) noexcept {
    if (a < b) return either(b, a);
    if (b <= never / 2) return a;
    const auto apart = static_cast<std::uint64_t>(a - b);
    const double part = exponential_of_two({apart >> point, apart << (64 - point)}, true);
    const binary_logarithm l = log_of_two(1 + part);
    const std::int64_t p = a + static_cast<std::int64_t>(l.size.whole << point | l.size.part >> (64 - point)) + 4;
    return p < 0 ? p : 0;
  }
};

/// The two bad events of docs/secure/graph_parameters.md on a Harary graph, each bounded by the expected number of its
/// causes.
struct harary_risk {
  using real = log_probability;
  std::uint64_t n, colluding, dropouts;
  bool half;     ///< the server may ask half of the holders for one secret of a client and half for the other
  bool adaptive; ///< and choose who leaves

  explicit constexpr harary_risk(const graph_setting& s) noexcept
      : n(s.clients), colluding(s.colluding), dropouts(s.dropouts), half(s.model != threat_model::curious),
        adaptive(s.adaptive_dropouts) {}

  /// Two survivors, each followed by k / 2 bad clients: n (n - k - 1) / 2 pairs of places.
  constexpr std::int64_t apart(std::uint64_t k) const noexcept {
    if (k + 2 > n) return real::never;
    const std::uint64_t all = colluding + dropouts, likeliest = k / 2 * (n + 1) / (k / 2 + 1);
    const std::uint64_t bad = all < likeliest ? all : likeliest;
    if (bad < k) return real::never;
    const std::int64_t p = real::log(n) + real::log(n - k - 1) - real::one + real::choose(n - k - 2, bad - k) -
                           real::choose(n, bad) + real::slack;
    return p < 0 ? p : 0;
  }
  /// Two runs of k / 2 places with `count` colluding clients or more in each.
  constexpr std::int64_t split(std::uint64_t k, std::uint64_t count) const noexcept {
    const std::int64_t one = real::tail(n, colluding, k / 2, count);
    if (one == real::never) return one;
    const std::int64_t p = real::log(n) + real::log(n - 1) - real::one + 2 * one + 4;
    return p < 0 ? p : 0;
  }
  /// Some client with `count` colluding neighbours or more.
  constexpr std::int64_t surrounded(std::uint64_t k, std::uint64_t count) const noexcept {
    return some(real::tail(n, colluding, k, count));
  }
  /// Some client with `count` neighbours or more that drop out.
  constexpr std::int64_t deserted(std::uint64_t k, std::uint64_t count) const noexcept {
    return some(real::tail(n, dropouts, k, count));
  }
  constexpr std::int64_t disclosure(std::uint64_t k, std::uint64_t t) const noexcept {
    if ((half || adaptive) && 2 * t <= k) return 0;
    return real::either(adaptive ? split(k, t - k / 2) : apart(k), surrounded(k, half ? 2 * t - k : t));
  }
  constexpr std::int64_t failure(std::uint64_t k, std::uint64_t t) const noexcept { return deserted(k, k - t + 1); }

private:
  constexpr std::int64_t some(std::int64_t p) const noexcept {
    if (p == real::never) return p;
    const std::int64_t sum = p + real::log(n) + 4;
    return sum < 0 ? sum : 0;
  }
};

/// The least number in [low, high] from which on `enough` holds; high if it holds nowhere below.
template <class F>
constexpr std::uint64_t least(std::uint64_t low, std::uint64_t high, const F& enough) noexcept {
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (enough(middle))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

inline constexpr std::int64_t allowed_disclosure = -40 * log_probability::one;
inline constexpr std::int64_t allowed_failure = -20 * log_probability::one;

} // namespace detail

/// Bounds of what can go wrong on the graph of a degree with a threshold: sound for at most as many colluding clients
/// and dropouts as declared. `bad_parameter` for a degree that no `mask_graph` has, a threshold of 0 or above the
/// number of holders, no client, or more than `max_graph_clients`. On the complete graph, where nothing is left to
/// chance, each is `never` or 0 (certain).
[[nodiscard]] constexpr errc find_graph_risk(const graph_setting& setting, const graph_parameters& parameters,
                                             graph_risk& out) noexcept {
  const auto [n, c, d, model, adaptive] = setting;
  const auto [k, t] = parameters;
  if (n > max_graph_clients || !is_mask_degree(n, k) || t == 0) return errc::bad_parameter;
  if (k == n - 1) {
    if (t > n) return errc::bad_parameter;
    const bool secret = c < n && check_complete(n, t, c, 0, model) == errc::ok, live = d < n && t <= n - d;
    out = {secret ? graph_risk::never : 0, live ? graph_risk::never : 0};
    return errc::ok;
  }
  if (t > k) return errc::bad_parameter;
  if (c >= n || d >= n || model == threat_model::malicious) {
    out = {0, 0};
    return errc::ok;
  }
  using real = detail::log_probability;
  const detail::harary_risk risk(setting);
  const auto shown = [](std::int64_t p) {
    return p <= real::never / 2 ? graph_risk::never : static_cast<double>(p) / static_cast<double>(real::one);
  };
  out = {shown(risk.disclosure(k, t)), shown(risk.failure(k, t))};
  return errc::ok;
}

/// The conditions of a threat model on any graph: those of `check_complete` for a degree of n - 1; else the two bounds
/// of `graph_risk`, of which disclosure must be at most 2^-40 and failure at most 2^-20, and a model other than
/// `malicious`. `insecure_parameters`.
[[nodiscard]] constexpr errc check_graph(const graph_setting& setting, const graph_parameters& parameters) noexcept {
  graph_risk risk;
  if (find_graph_risk(setting, parameters, risk) != errc::ok) return errc::insecure_parameters;
  return risk.disclosure <= -40 && risk.failure <= -20 ? errc::ok : errc::insecure_parameters;
}
[[nodiscard]] constexpr errc check_graph(std::uint32_t clients, std::uint32_t degree, std::uint32_t threshold,
                                         std::uint32_t colluding, std::uint32_t dropouts, threat_model model) noexcept {
  return check_graph(graph_setting{clients, colluding, dropouts, model, false}, graph_parameters{degree, threshold});
}

/// The smallest degree for which `check_graph` holds, and the smallest threshold for it: the cheapest graph that keeps
/// the promise. The complete graph where no sparse one does, and always for the `malicious` model.
/// `insecure_parameters` where none does; `bad_parameter` for no client or more than `max_graph_clients`. `out` is
/// untouched where it fails.
[[nodiscard]] constexpr errc try_find_graph(const graph_setting& setting, graph_parameters& out) noexcept {
  const auto [n, c, d, model, adaptive] = setting;
  if (n == 0 || n > max_graph_clients) return errc::bad_parameter;
  if (c >= n || d >= n) return errc::insecure_parameters;
  if (model != threat_model::malicious) {
    using namespace detail;
    const harary_risk risk(setting);
    // From this degree on the survivors hold together.
    std::uint64_t k = 2;
    if (!adaptive) k = 2 * least(1, n / 2, [&](std::uint64_t h) { return risk.apart(2 * h) <= allowed_disclosure; });
    // So many are too few to matter, one cause of a disclosure at a time; never fewer for a larger degree.
    std::uint64_t around = 1, beside = 1, gone = 1;
    while (k + 1 < n) {
      around = least(around, k + 1, [&](std::uint64_t s) { return risk.surrounded(k, s) <= allowed_disclosure; });
      gone = least(gone, k + 1, [&](std::uint64_t q) { return risk.deserted(k, q) <= allowed_failure; });
      const std::uint64_t high = k + 1 - gone;
      std::uint64_t low = risk.half ? (k + around + 1) / 2 : around;
      if (adaptive) {
        beside = least(beside, k / 2 + 1, [&](std::uint64_t s) { return risk.split(k, s) <= allowed_disclosure; });
        if (low < k / 2 + beside) low = k / 2 + beside;
      }
      if (low > high) {
        // With two more neighbours the highest threshold grows by at most 2, the lowest not at all, or by at least 1
        // where it goes by the half of them: so many degrees will not do.
        k += 2 * (risk.half ? low - high : (low - high + 1) / 2);
        continue;
      }
      low = least(low, high + 1, [&](std::uint64_t t) { return risk.disclosure(k, t) <= allowed_disclosure; });
      if (low <= high) {
        out = {static_cast<std::uint32_t>(k), static_cast<std::uint32_t>(low)};
        return errc::ok;
      }
      k += 2;
    }
  }
  const std::uint32_t t =
      model == threat_model::curious ? c + 1 : static_cast<std::uint32_t>((std::uint64_t{n} + c) / 2 + 1);
  if (check_complete(n, t, c, d, model) != errc::ok) return errc::insecure_parameters;
  out = {n - 1, t};
  return errc::ok;
}

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// The same; throws fedagg::error.
inline graph_parameters find_graph(const graph_setting& setting) {
  graph_parameters found;
  if (const errc rc = try_find_graph(setting, found); rc != errc::ok) impl::raise(rc);
  return found;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_GRAPH_PARAMETERS_HPP
