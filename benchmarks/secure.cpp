// SPDX-License-Identifier: MIT
// What secure aggregation costs a client and the server beyond generating the masks: everything that they compute in a
// round, key agreements, shares, signatures and hashes, over the keystream of the same masks alone.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fedagg/adapters/sodium.hpp>
#include <fedagg/secure/chacha20.hpp>
#include <fedagg/secure/ring_codec.hpp>
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
  std::vector<float> update;
  fedagg::ring_codec codec;
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
    update.assign(d, 0.25f);
    codec = fedagg::ring_codec({.max_clients = n, .max_weight = 1000, .clip = 8},
                               fedagg::model_layout(fedagg::model_view(update)));
    setup.carry(codec);
    require(aggregator.try_begin(setup));
    for (std::uint32_t i = 0; i < n; ++i) require(clients[i].try_begin(setup, identities[i]));
  }

  /// A quarter everywhere, by 100 samples. Returns the seconds that it took.
  double give_input(std::size_t i) {
    return seconds_of([&] {
      fedagg::secret_key key;
      fedagg::sodium_suite().random(key.bytes());
      fedagg::chacha20_stream random(key, fedagg::stream_purpose::rounding);
      ring_vector x;
      require(codec.try_encode(update, 100u, {}, random, x, {.write = fedagg::write::direct})); // x is new
      require(clients[i].try_input(std::move(x)));
    });
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
  /// To the first `count`, at least three. Returns the time of the fastest of the first three.
  double deliver_all(std::size_t count) {
    double best = 1e300;
    for (std::size_t i = 0; i < count; ++i) {
      const double seconds = deliver(i);
      if (i < 3) best = std::min(best, seconds);
    }
    return best;
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

fedagg::secure_parameters parameters(threat_model model, std::uint32_t n) {
  const std::uint32_t colluding = 3 * n / 10;
  return {.model = model,
          .colluding = colluding,
          .dropouts = n / 10,
          .threshold = model == threat_model::curious ? n / 2 : (n + colluding) / 2 + 1};
}

/// Seconds of a client among n: all that it computes until its masked vector is ready, encoding included. Each stage is
/// that of the fastest of three.
double client_seconds(threat_model model, std::uint32_t n, std::size_t d) {
  cohort c(n, parameters(model, n), d);
  double encoding = 1e300;
  for (std::size_t i = 0; i < 3; ++i) encoding = std::min(encoding, c.give_input(i));
  c.collect(n);
  const double sharing = c.deliver_all(n);
  c.collect(n);
  return encoding + sharing + c.deliver_all(3);
}

struct server_times {
  double unmasking = 0, verifying = 0;
  std::size_t masks = 0;
};

/// A tenth of the clients drops out before its masked vector is sent.
server_times measure_server(threat_model model, std::uint32_t n, std::size_t d) {
  const std::uint32_t stay = n - n / 10;
  cohort c(n, parameters(model, n), d);
  for (std::size_t i = 0; i < stay; ++i) c.give_input(i);
  c.collect(n);
  c.deliver_all(n);
  c.collect(n);
  c.deliver_all(stay);
  c.collect(stay);
  server_times t;
  t.verifying = c.deliver_all(stay);
  if (model != threat_model::curious) {
    c.collect(stay);
    t.verifying = c.deliver_all(stay);
  }
  for (std::size_t i = 0; i < stay; ++i) require(c.aggregator.try_receive(c.clients[i].output()));
  t.unmasking = seconds_of([&] { require(c.aggregator.try_advance()); });
  t.masks = stay + std::size_t{n - stay} * stay;
  ring_vector sum;
  require(c.aggregator.try_take_sum(sum));
  std::vector<float> mean(d);
  (void)c.codec.decode(sum, stay, fedagg::mutable_model_view(mean));
  for (const float x : mean) require(x > 0.249f && x < 0.251f ? errc::ok : errc::bad_sum);
  return t;
}

/// What a client with 100 neighbours computes, part by part, and all of it: nothing else takes time.
void print_parts(std::size_t d) {
  constexpr std::uint32_t n = 101;
  const cohort c(n, parameters(threat_model::curious, n), d);
  fedagg::sodium_suite suite;
  fedagg::secret_key secret, shared;
  suite.random(secret.bytes());
  fedagg::public_key own, verifying;
  suite.agreement_public(secret, own);
  fedagg::signing_key signing;
  suite.signing_keys(secret, signing, verifying);
  fedagg::digest hash = {};
  fedagg::signature made;
  suite.sign(signing, hash, made);

  double sum = 0;
  const auto part = [&](const char* name, int times, auto&& f) {
    double best = 1e300;
    for (int again = 0; again < 3; ++again)
      best = std::min(best, seconds_of([&] {
                        for (int k = 0; k < times; ++k) f();
                      }));
    sum += best;
    std::printf("%8.2f  %s", 1e3 * best, name);
    if (times > 1) std::printf(", %d of %.1f us", times, 1e6 * best / times);
    std::printf("\n");
  };
  std::printf("\na client with 100 neighbours until its masked vector is ready, in ms\n");
  ring_vector x;
  require(x.try_reset(c.setup.layout));
  std::vector<fedagg::mask_key> keys(n);
  part("101 masks", 1, [&] { require(fedagg::add_masks(fedagg::chacha20_masks{}, x, keys)); });
  part("key agreements", 2 * (n - 1), [&] { (void)suite.agree(secret, own, shared); });
  part("verifications", n - 1, [&] { (void)suite.verify(verifying, hash, made); });
  bytes packed(c.setup.layout.packed_bytes());
  part("the hash of the masked vector", 1, [&] { hash = fedagg::message_digest<fedagg::sodium_suite>(packed); });
  part("encoding into new memory", 1, [&] {
    fedagg::chacha20_stream random(secret, fedagg::stream_purpose::rounding);
    ring_vector fresh;
    require(c.codec.try_encode(c.update, 100u, {}, random, fresh, {.write = fedagg::write::direct}));
  });
  std::vector<std::uint32_t> points;
  for (std::uint32_t i = 0; i < n; ++i) points.push_back(fedagg::shamir_x(i));
  bytes shares(points.size() * fedagg::shamir_share_bytes);
  part("secrets shared", 2, [&] {
    require(fedagg::shamir_share(
        secret, c.setup.threshold(), points, [&](fedagg::bytes_span to) { return suite.random(to); }, shares));
  });
  const fedagg::key_schedule<fedagg::sodium_suite> schedule(suite, hash);
  part("shares hashed, sealed, opened and hashed again", n - 1, [&] {
    fedagg::sealed_shares s;
    std::uint8_t plain[fedagg::sealed_shares::plain_bytes] = {};
    const fedagg::bytes_view share(shares.data(), fedagg::shamir_share_bytes);
    for (int k = 0; k < 2; ++k) {
      s.self_hash = schedule.share_hash(fedagg::share_of::self_mask, 1, 2, share);
      s.mask_hash = schedule.share_hash(fedagg::share_of::mask_key, 1, 2, share);
      hash = schedule.share_binding(1, 2, hash, s.self_hash, s.mask_hash);
      if (k == 0) suite.random(s.nonce), suite.seal(secret, s.nonce, plain, hash, s.sealed);
    }
    (void)suite.open(secret, s.nonce, s.sealed, hash, plain);
  });
  part("packing", 1, [&] { require(fedagg::try_pack(x, packed)); });
  double whole = 1e300;
  for (int again = 0; again < 3; ++again) whole = std::min(whole, client_seconds(threat_model::curious, n, d));
  std::printf("%8.2f  these together\n%8.2f  all that it computes\n\n", 1e3 * sum, 1e3 * whole);
}

} // namespace

int main(int count, char** arguments) {
  if (count == 4 && std::strcmp(arguments[1], "--seconds") == 0) {
    const auto d = static_cast<std::size_t>(std::atoll(arguments[2]));
    const auto n = static_cast<std::uint32_t>(std::atoi(arguments[3]));
    if (d == 0 || n < 10 || n > 1000) return std::fprintf(stderr, "secure: --seconds D NEIGHBOURS\n"), 2;
    const server_times t = measure_server(threat_model::malicious, n, d);
    std::printf("{\"client\": %g, \"unmasking\": %g, \"masks\": %zu, \"isa\": \"%s\"}\n",
                client_seconds(threat_model::malicious, n + 1, d), t.unmasking, t.masks,
                fedagg::name_of(fedagg::active_isa()));
    return 0;
  }
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
      {"client, malicious: verifying the quorum's consents / its masks", {}, "", 0},
  };
  for (int round = 0; round < (quick ? 3 : 9); ++round) {
    rows[0].samples.push_back(client_seconds(threat_model::curious, 101, d) / keystream(101, d));
    rows[1].samples.push_back(client_seconds(threat_model::malicious, 101, d) / keystream(101, d));
    if (round >= (quick ? 1 : 3)) continue;
    const server_times curious = measure_server(threat_model::curious, 100, d);
    const server_times malicious = measure_server(threat_model::malicious, 100, d);
    rows[2].samples.push_back(curious.unmasking / keystream(curious.masks, d));
    rows[3].samples.push_back(malicious.unmasking / keystream(malicious.masks, d));
    rows[4].samples.push_back(malicious.verifying / keystream(100, d));
  }
  const double bits = 8.0 * static_cast<double>(fedagg::message_header_bytes + fedagg::message_signature_bytes + 16);
  std::printf("a masked vector of d 32-bit elements and two words: 32 d + %.0f bits\n", bits);
  print_parts(d);
  return bench::print(rows);
}
