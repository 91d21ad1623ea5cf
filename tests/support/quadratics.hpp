// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_QUADRATICS_HPP
#define FEDAGG_TESTS_SUPPORT_QUADRATICS_HPP

#include <cstddef>
#include <vector>

#include "numeric.hpp"

/// Clients with losses 1/2 sum_j a_j (y_j - b_j)^2 of their own, whose common minimum is known: what algorithms against
/// client drift are tried on. Everything is computed in a type that the caller names.
namespace quadratics {

struct problem {
  std::size_t clients, size;
  std::vector<std::vector<double>> a, b;

  /// Curvatures between 0.5 and 2.5, minima some units apart.
  problem(std::size_t n, std::size_t d, std::uint64_t seed) : clients(n), size(d), a(n), b(n) {
    numeric::standard_mode();
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < d; ++j) {
        a[i].push_back(1.5 + numeric::uniform(random));
        b[i].push_back(3 * numeric::uniform(random));
      }
  }

  template <class T>
  std::vector<T> gradient(std::size_t i, const std::vector<T>& y) const {
    std::vector<T> g(size);
    for (std::size_t j = 0; j < size; ++j) g[j] = static_cast<T>(a[i][j]) * (y[j] - static_cast<T>(b[i][j]));
    return g;
  }
  /// Of the weighted sum of the losses.
  std::vector<double> optimum(const std::vector<double>& weights) const {
    std::vector<double> x(size);
    for (std::size_t j = 0; j < size; ++j) {
      double above = 0, below = 0;
      for (std::size_t i = 0; i < clients; ++i) above += weights[i] * a[i][j] * b[i][j], below += weights[i] * a[i][j];
      x[j] = above / below;
    }
    return x;
  }
};

/// Which clients take part in round t: `take` of them, others every time.
inline std::vector<std::size_t> participants(std::size_t round, std::size_t clients, std::size_t take) {
  std::vector<std::size_t> who;
  for (std::size_t k = 0; k < take; ++k) who.push_back((round * 2 + k * (round % 2 + 1)) % clients);
  std::sort(who.begin(), who.end());
  who.erase(std::unique(who.begin(), who.end()), who.end());
  return who;
}

template <class A, class B>
double distance(const std::vector<A>& x, const std::vector<B>& y) {
  double most = 0;
  for (std::size_t j = 0; j < x.size(); ++j) {
    const auto difference = static_cast<double>(static_cast<long double>(x[j]) - static_cast<long double>(y[j]));
    most = std::max(most, difference < 0 ? -difference : difference);
  }
  return most;
}

} // namespace quadratics

#endif // FEDAGG_TESTS_SUPPORT_QUADRATICS_HPP
