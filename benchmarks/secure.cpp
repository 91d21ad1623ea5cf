// SPDX-License-Identifier: MIT
// What secure aggregation costs a client and the server beyond generating the masks: everything that they compute in a
// round, key agreements, shares, signatures and hashes, over the keystream of the same masks alone.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fedagg/adapters/sodium.hpp>
#include <fedagg/secure/secure_client.hpp>
#include <fedagg/secure/secure_server.hpp>

#include "support/ratios.hpp"

namespace {

using bench::alone;
using bench::seconds_of;
using fedagg::errc;
using fedagg::ring_vector;
using fedagg::threat_model;
using client = fedagg::secure_client<fedagg::sodium_suite>;
using server = fedagg::secure_server<fedagg::sodium_suite>;
using bytes = std::vector<std::uint8_t>;

void require(errc rc) {
  if (rc == errc::ok) return;
  std::fprintf(stderr, "secure: %s\n", fedagg::message(rc));
  std::exit(2);
}

struct cohort {
  std::vector<fedagg::signing_key> identities;
  fedagg::secure_setup setup;
  std::vector<client> clients;
  server aggregator;

  cohort(std::uint32_t n, const fedagg::secure_parameters& parameters, std::size_t d) : clients(n) {
    fedagg::sodium_suite suite;
    setup.parameters = parameters;
    for (std::uint32_t i = 0; i < n; ++i) {
      fedagg::secret_key seed;
      suite.random(seed.bytes());
      suite.signing_keys(seed, identities.emplace_back(), setup.roster.emplace_back());
    }
    suite.random(setup.session);
    require(setup.layout.try_add(32, d));
    require(setup.layout.try_add(64, 2));
    require(aggregator.try_begin(setup));
    for (std::uint32_t i = 0; i < n; ++i) require(clients[i].try_begin(setup, identities[i]));
  }

  void give_input(std::size_t i) {
    ring_vector x;
    require(x.try_reset(setup.layout));
    require(clients[i].try_input(std::move(x)));
  }
  /// Sends what the first `count` clients have, and ends the stage.
  void collect(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) require(aggregator.try_receive(clients[i].output()));
    require(aggregator.try_advance());
  }
  double deliver(std::size_t i) {
    bytes message;
    require(aggregator.try_message(static_cast<std::uint32_t>(i), message));
    return seconds_of([&] { require(clients[i].try_receive(message)); });
  }
  double deliver_all(std::size_t count) {
    double first = deliver(0);
    for (std::size_t i = 1; i < count; ++i) deliver(i);
    return first;
  }
};

/// Seconds to add so many masks to a vector of d words, best of three.
double keystream(std::size_t masks, std::size_t d) {
  std::vector<std::uint32_t> words(d);
  std::vector<fedagg::mask_key> keys(masks);
  for (std::size_t k = 0; k < masks; ++k) keys[k].key.data()[0] = static_cast<std::uint8_t>(k);
  double best = 1e300;
  for (int again = 0; again < 3; ++again)
    best = std::min(best,
                    seconds_of([&] { require(fedagg::add_masks(fedagg::chacha20_masks{}, std::span(words), keys)); }));
  return best;
}

fedagg::secure_parameters parameters(threat_model model) {
  return {.model = model, .colluding = 30, .dropouts = 10, .threshold = model == threat_model::curious ? 50u : 67u};
}

void measure_client(threat_model model, std::size_t d, std::vector<bench::ratio>& rows, std::size_t at) {
  const std::uint32_t n = 101;
  cohort c(n, parameters(model), d);
  c.give_input(0);
  double own = 0;
  c.collect(n);
  own += c.deliver_all(n);
  c.collect(n);
  own += c.deliver(0);
  rows[at].samples.push_back(own / keystream(n, d));
}

void measure_server(threat_model model, std::size_t d, std::vector<bench::ratio>& rows, std::size_t at) {
  const std::uint32_t n = 100, stay = 90;
  cohort c(n, parameters(model), d);
  for (std::size_t i = 0; i < stay; ++i) c.give_input(i);
  c.collect(n);
  c.deliver_all(n);
  c.collect(n);
  c.deliver_all(stay);
  c.collect(stay);
  double verifying = c.deliver_all(stay);
  if (model != threat_model::curious) {
    c.collect(stay);
    verifying = c.deliver_all(stay);
  }
  for (std::size_t i = 0; i < stay; ++i) require(c.aggregator.try_receive(c.clients[i].output()));
  const double own = seconds_of([&] { require(c.aggregator.try_advance()); });
  const std::size_t masks = stay + (n - stay) * stay;
  rows[at].samples.push_back(own / keystream(masks, d));
  if (model != threat_model::curious) rows[at + 1].samples.push_back(verifying / keystream(n, d));
}

} // namespace

int main(int count, char** arguments) {
  bool quick = false;
  if (!bench::read_quick(count, arguments, "secure", quick)) return 2;
  bench::print_machine();
  std::printf("libsodium %s\n", sodium_version_string());
  const std::size_t d = 1000000;
  std::vector<bench::ratio> rows = {
      {"client, 100 neighbours, curious: all until the masked vector / masks", {}, "<=", 1.3},
      {"client, 100 neighbours, malicious: the same", {}, "", 0},
      {"server, n=100, 10 dropped, curious: unmasking / masks", {}, "<=", 1.3},
      {"server, n=100, 10 dropped, malicious: the same", {}, "", 0},
      {"client, malicious: verifying 67 consents / its masks", {}, "", 0},
  };
  for (int round = 0; round < (quick ? 3 : 9); ++round) {
    measure_client(threat_model::curious, d, rows, 0);
    measure_client(threat_model::malicious, d, rows, 1);
    if (round >= (quick ? 1 : 3)) continue;
    measure_server(threat_model::curious, d, rows, 2);
    measure_server(threat_model::malicious, d, rows, 3);
  }
  const double bits = 8.0 * static_cast<double>(fedagg::message_header_bytes + fedagg::message_signature_bytes + 16);
  std::printf("a masked vector of d 32-bit elements and two words: 32 d + %.0f bits\n", bits);
  return bench::print(rows);
}
