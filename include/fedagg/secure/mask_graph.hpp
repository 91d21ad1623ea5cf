// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_MASK_GRAPH_HPP
#define FEDAGG_SECURE_MASK_GRAPH_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/secure/chacha20.hpp>
#include <fedagg/secure/secret.hpp>
#include <fedagg/secure/threat_model.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Who masks with whom and holds whose shares (Bell et al. 2020, doi:10.1145/3372297.3417885): the complete graph, or
/// the Harary graph H(n, k) on a random circle. There the clients 0 .. n - 1 sit in an order that is drawn from a seed,
/// and the neighbours of each are the k / 2 on either side: everyone has k neighbours, and only 2 runs of k / 2 missing
/// ones cut the graph. Who knows the seed knows the graph: nothing here is secret.
///
/// The same graph for a seed on every machine. O(n) memory, whatever the degree; none on the complete graph.
class mask_graph {
public:
  /// A graph without clients.
  mask_graph() = default;
  /// The graph of `try_reset`; throws fedagg::error.
  mask_graph(std::uint32_t clients, std::uint32_t degree, const digest& seed) {
    if (const errc rc = try_reset(clients, degree, seed); rc != errc::ok) impl::raise(rc);
  }

  /// A degree of n - 1 is the complete graph, which needs no seed; any other is even, from 2 on and below it, else
  /// `bad_parameter`; `size_overflow` for 2^30 clients and more of such a degree; `out_of_memory`. The graph is as it
  /// was where this fails.
  [[nodiscard]] errc try_reset(std::uint32_t clients, std::uint32_t degree, const digest& seed) noexcept {
    if (!is_mask_degree(clients, degree)) return errc::bad_parameter;
    if (degree != clients - 1 && clients >> 30 != 0) return errc::size_overflow;
    return impl::no_throw([&] {
      detail::list<std::uint32_t> circle, place;
      if (degree != clients - 1) {
        circle.resize(clients);
        place.resize(clients);
        chacha20_stream(seed, stream_purpose::graph).permutation(circle);
        for (std::uint32_t p = 0; p < clients; ++p) place[circle[p]] = p;
      }
      circle_.swap(circle);
      place_.swap(place);
      clients_ = clients;
      degree_ = degree;
      return errc::ok;
    });
  }

  std::uint32_t clients() const noexcept { return clients_; }
  std::uint32_t degree() const noexcept { return degree_; }
  bool complete() const noexcept { return circle_.empty(); }

  /// False for a client with itself, and for clients that there are not.
  bool are_neighbours(std::uint32_t a, std::uint32_t b) const noexcept {
    if (a >= clients_ || b >= clients_ || a == b) return false;
    if (complete()) return true;
    const std::uint32_t apart = place_[a] < place_[b] ? place_[b] - place_[a] : place_[a] - place_[b];
    return apart <= degree_ / 2 || clients_ - apart <= degree_ / 2;
  }

  /// Whether every client for which `survives(client)` holds has at least `threshold` neighbours for which it holds; on
  /// the complete graph, where a client holds a share of its own secrets, whether as many survive. An honest server's
  /// survivors do, or it could not reconstruct. Those of another one do not if it has cut the graph: see
  /// `graph_setting::adaptive_dropouts`. O(n) time.
  template <class Survives>
  bool supports(std::uint32_t threshold, const Survives& survives) const {
    if (complete()) {
      std::uint32_t count = 0;
      for (std::uint32_t i = 0; i < clients_; ++i) count += survives(i) ? 1u : 0u;
      return count == 0 || count >= threshold;
    }
    // Of the places from k / 2 before one to k / 2 behind it, itself included.
    const std::uint32_t half = degree_ / 2;
    std::uint32_t around = 0;
    for (std::uint32_t p = clients_ - half; p < clients_ + half; ++p) around += survives(circle_[wrapped(p)]) ? 1u : 0u;
    for (std::uint32_t p = 0; p < clients_; ++p) {
      around += survives(circle_[wrapped(p + half)]) ? 1u : 0u;
      if (survives(circle_[p]) && around - 1 < threshold) return false;
      around -= survives(circle_[wrapped(p + clients_ - half)]) ? 1u : 0u;
    }
    return true;
  }

  /// The neighbours of a client, ascending, into `degree()` places; `bad_parameter` if there are not as many, or no
  /// such client.
  [[nodiscard]] errc try_neighbours(std::uint32_t client, std::span<std::uint32_t> out) const noexcept {
    if (client >= clients_ || out.size() != degree_) return errc::bad_parameter;
    if (complete()) {
      for (std::uint32_t k = 0; k < degree_; ++k) out[k] = k < client ? k : k + 1;
      return errc::ok;
    }
    const std::uint32_t half = degree_ / 2, before = wrapped(place_[client] + clients_ - half);
    for (std::uint32_t k = 0; k < degree_; ++k) out[k] = circle_[wrapped(before + k + (k < half ? 0 : 1))];
    std::sort(out.begin(), out.end());
    return errc::ok;
  }
  /// The same; throws fedagg::error.
  std::vector<std::uint32_t> neighbours(std::uint32_t client) const {
    std::vector<std::uint32_t> out(degree_);
    if (const errc rc = try_neighbours(client, out); rc != errc::ok) impl::raise(rc);
    return out;
  }

private:
  /// Of a place below 2n, the same on the circle.
  std::uint32_t wrapped(std::uint32_t place) const noexcept { return place < clients_ ? place : place - clients_; }

  std::uint32_t clients_ = 0, degree_ = 0;
  detail::list<std::uint32_t> circle_; ///< who sits at a place
  detail::list<std::uint32_t> place_;  ///< where a client sits
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_MASK_GRAPH_HPP
