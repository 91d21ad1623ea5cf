// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_SECURE_ROUND_HPP
#define FEDAGG_TESTS_SUPPORT_SECURE_ROUND_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include <fedagg/core/random.hpp>
#include <fedagg/secure/secure_client.hpp>
#include <fedagg/secure/secure_server.hpp>

#include "support/toy_suite.hpp"

namespace fedagg_test {

using bytes = std::vector<std::uint8_t>;

/// A roster with keys, and a setup. The suite of party i draws from its own stream.
template <class S>
struct secure_world {
  std::vector<fedagg::signing_key> identities;
  fedagg::secure_setup setup;

  secure_world(std::uint32_t n, const fedagg::secure_parameters& parameters,
               std::initializer_list<fedagg::ring_segment> segments, std::uint64_t seed = 1) {
    toy_suite random(seed, 0xffff);
    setup.parameters = parameters;
    for (std::uint32_t i = 0; i < n; ++i) {
      fedagg::secret_key s;
      random.random(s.bytes());
      setup.roster.emplace_back();
      S().signing_keys(s, identities.emplace_back(), setup.roster.back());
    }
    random.random(setup.session);
    setup.round = seed;
    for (const auto& s : segments) (void)setup.layout.try_add(s.bits, s.count);
    setup.description = {1, 2, 3};
  }
};

/// Random words in every segment, or their sum.
inline void fill(fedagg::ring_vector& x, fedagg::random_stream& random) {
  for (std::size_t k = 0; k < x.size(); ++k)
    x.visit(k, [&]<class W>(std::span<W> words) {
      for (W& w : words) w = static_cast<W>(random());
    });
}

/// The vector as bytes: what two equal ones have in common, whatever lies above their bits.
inline bytes packed(const fedagg::ring_vector& x) {
  bytes out(x.layout().packed_bytes());
  (void)fedagg::try_pack(x, out);
  return out;
}

/// One round over perfect wires; client i answers only the first `answers[i]` times.
template <class S>
struct secure_round {
  using client = fedagg::secure_client<S>;
  using server = fedagg::secure_server<S>;

  secure_world<S> world;
  server aggregator;
  std::vector<client> clients;
  std::vector<fedagg::ring_vector> inputs;
  std::vector<unsigned> answers;

  secure_round(std::uint32_t n, const fedagg::secure_parameters& parameters,
               std::initializer_list<fedagg::ring_segment> segments, std::uint64_t seed = 1)
      : world(n, parameters, segments, seed), aggregator(S(seed, 0xfffe)), answers(n, 99) {
    fedagg::random_stream random(seed, "inputs");
    for (std::uint32_t i = 0; i < n; ++i) {
      clients.emplace_back(S(seed, i));
      (void)inputs.emplace_back().try_reset(world.setup.layout);
      fill(inputs.back(), random);
    }
  }

  fedagg::errc begin() {
    if (const auto rc = aggregator.try_begin(world.setup); rc != fedagg::errc::ok) return rc;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (const auto rc = clients[i].try_begin(world.setup, world.identities[i]); rc != fedagg::errc::ok) return rc;
      fedagg::ring_vector x;
      if (const auto rc = x.try_copy(inputs[i]); rc != fedagg::errc::ok) return rc;
      if (const auto rc = clients[i].try_input(std::move(x)); rc != fedagg::errc::ok) return rc;
    }
    return fedagg::errc::ok;
  }

  /// What the clients that still answer have ready goes to the server, the stage ends, and they take what it says.
  fedagg::errc step() {
    using fedagg::errc;
    for (std::size_t i = 0; i < clients.size(); ++i)
      if (answers[i] > 0 && aggregator.expects(static_cast<std::uint32_t>(i))) {
        if (const auto rc = aggregator.try_receive(clients[i].output()); rc != errc::ok) return rc;
        --answers[i];
      }
    if (const auto rc = aggregator.try_advance(); rc != errc::ok) return rc;
    bytes message;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (answers[i] == 0 || !aggregator.expects(static_cast<std::uint32_t>(i))) continue;
      if (const auto rc = aggregator.try_message(static_cast<std::uint32_t>(i), message); rc != errc::ok) return rc;
      if (const auto rc = clients[i].try_receive(message); rc != errc::ok) return rc;
    }
    return errc::ok;
  }

  fedagg::errc run() {
    if (const auto rc = begin(); rc != fedagg::errc::ok) return rc;
    while (aggregator.stage() != fedagg::server_stage::done)
      if (const auto rc = step(); rc != fedagg::errc::ok) return rc;
    return fedagg::errc::ok;
  }

  /// The sum of the inputs of those who sent theirs.
  bytes expected() const {
    fedagg::ring_vector sum;
    (void)sum.try_reset(world.setup.layout);
    for (std::size_t i = 0; i < clients.size(); ++i)
      if (aggregator.survivors().contains(static_cast<std::uint32_t>(i))) (void)fedagg::try_add(sum, inputs[i]);
    return packed(sum);
  }
  bytes taken() {
    fedagg::ring_vector sum;
    return aggregator.try_take_sum(sum) == fedagg::errc::ok ? packed(sum) : bytes();
  }
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_SECURE_ROUND_HPP
