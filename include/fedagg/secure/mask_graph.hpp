// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_MASK_GRAPH_HPP
#define FEDAGG_SECURE_MASK_GRAPH_HPP

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/secure/secret.hpp>
#include <fedagg/secure/threat_model.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Who masks with whom and holds whose shares (Bell et al. 2020, doi:10.1145/3372297.3417885): the complete graph, or the
/// Harary graph H(n, k) on a random circle. There the clients 0 .. n - 1 sit in an order that is drawn from a seed, and the
/// neighbours of each are the k / 2 on either side: everyone has k neighbours, and only 2 runs of k / 2 missing ones cut
/// the graph. Who knows the seed knows the graph: nothing here is secret.
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
  /// `bad_parameter`. The graph is as it was where this fails.
  [[nodiscard]] errc try_reset(std::uint32_t clients, std::uint32_t degree, const digest& seed) noexcept {
    if (!is_mask_degree(clients, degree)) return errc::bad_parameter;
    return impl::no_throw([&] {
      detail::list<std::uint32_t> circle, place;
      if (degree != clients - 1) {
        circle.resize(clients);
        place.resize(clients);
        draw(seed, circle);
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

  /// The neighbours of a client, ascending, into `degree()` places; `bad_parameter` if there are not as many, or no such
  /// client.
  [[nodiscard]] errc try_neighbours(std::uint32_t client, std::span<std::uint32_t> out) const noexcept {
    if (client >= clients_ || out.size() != degree_) return errc::bad_parameter;
    if (complete()) {
      for (std::uint32_t k = 0; k < degree_; ++k) out[k] = k < client ? k : k + 1;
      return errc::ok;
    }
    std::uint32_t p = place_[client];
    for (std::uint32_t k = 0; k < degree_; ++k) {
      // The place before the first one on the left, then on to the right, past the client itself.
      if (k == 0) p = p >= degree_ / 2 ? p - degree_ / 2 : p + clients_ - degree_ / 2;
      else p = next(p);
      if (k == degree_ / 2) p = next(p);
      out[k] = circle_[p];
    }
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
  std::uint32_t next(std::uint32_t place) const noexcept { return place + 1 < clients_ ? place + 1 : 0; }

  // ChaCha20 with the seed for a key and the purpose "grap" for a nonce.
  struct stream {
    std::uint32_t key[8], number = 0, at = 16, block[16] = {};

    std::uint32_t word() noexcept {
      if (at == 16) {
        std::uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
        for (int k = 0; k < 8; ++k) state[4 + k] = key[k];
        state[12] = number++;
        state[13] = 0x70617267;
        for (int k = 0; k < 16; ++k) block[k] = state[k];
        for (int round = 0; round < 10; ++round) {
          for (int k = 0; k < 4; ++k) quarter(k, 4 + k, 8 + k, 12 + k);
          for (int k = 0; k < 4; ++k) quarter(k, 4 + (k + 1) % 4, 8 + (k + 2) % 4, 12 + (k + 3) % 4);
        }
        for (int k = 0; k < 16; ++k) block[k] += state[k];
        at = 0;
      }
      return block[at++];
    }
    void quarter(int a, int b, int c, int d) noexcept {
      std::uint32_t* const x = block;
      x[a] += x[b], x[d] = std::rotl(x[d] ^ x[a], 16);
      x[c] += x[d], x[b] = std::rotl(x[b] ^ x[c], 12);
      x[a] += x[b], x[d] = std::rotl(x[d] ^ x[a], 8);
      x[c] += x[d], x[b] = std::rotl(x[b] ^ x[c], 7);
    }
    std::uint64_t below(std::uint64_t bound) noexcept {
      const std::uint64_t rest = (0 - bound) % bound;
      for (;;) {
        const std::uint64_t low = word(), r = std::uint64_t{word()} << 32 | low;
        if (r >= rest) return r % bound;
      }
    }
  };
  static void draw(const digest& seed, std::span<std::uint32_t> circle) noexcept {
    stream random;
    for (std::size_t k = 0; k < 8; ++k)
      random.key[k] = std::uint32_t{seed[4 * k]} | std::uint32_t{seed[4 * k + 1]} << 8 |
                      std::uint32_t{seed[4 * k + 2]} << 16 | std::uint32_t{seed[4 * k + 3]} << 24;
    for (std::size_t i = 0; i < circle.size(); ++i) circle[i] = static_cast<std::uint32_t>(i);
    for (std::size_t i = circle.size(); i > 1; --i) std::swap(circle[i - 1], circle[random.below(i)]);
  }

  std::uint32_t clients_ = 0, degree_ = 0;
  detail::list<std::uint32_t> circle_; ///< who sits at a place
  detail::list<std::uint32_t> place_;  ///< where a client sits
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_MASK_GRAPH_HPP
