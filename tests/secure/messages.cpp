// SPDX-License-Identifier: MIT
// The bytes on the wire, by hand: whoever changes them changes the version.
#include <cstdint>
#include <cstring>
#include <vector>

#include <fedagg/secure/secure_client.hpp>
#include <fedagg/secure/secure_server.hpp>

#include "support/catch.hpp"
#include "support/secure_play.hpp"

using namespace fedagg;
using namespace fedagg_test;

namespace {

digest counting(std::uint8_t from) {
  digest d;
  for (std::size_t k = 0; k < 32; ++k) d[k] = static_cast<std::uint8_t>(from + k);
  return d;
}
bool same(bytes_view a, bytes_view b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

/// The hash of a transcript, by hand.
struct parts {
  bytes in;
  explicit parts(const char* label) { part({reinterpret_cast<const std::uint8_t*>(label), std::strlen(label)}); }
  parts& number(std::uint64_t x) {
    for (int b = 0; b < 8; ++b) in.push_back(static_cast<std::uint8_t>(x >> 8 * b));
    return *this;
  }
  parts& part(bytes_view p) {
    number(p.size());
    in.insert(in.end(), p.begin(), p.end());
    return *this;
  }
  digest hash() const {
    toy_suite::hasher h;
    h.update(in);
    return h.finish();
  }
};

/// Takes a message apart.
struct taken {
  bytes_view left;
  bytes_view operator()(std::size_t size) {
    REQUIRE(left.size() >= size);
    const bytes_view out = left.first(size);
    left = left.subspan(size);
    return out;
  }
  std::uint32_t word() {
    const bytes_view w = (*this)(4);
    return static_cast<std::uint32_t>(w[0] | w[1] << 8 | w[2] << 16) | static_cast<std::uint32_t>(w[3]) << 24;
  }
  void header(std::uint8_t kind, std::uint32_t client, const digest& binding) {
    const std::uint8_t magic[] = {0x46, 0x41, 1, kind};
    CHECK(same((*this)(4), magic));
    CHECK(word() == client);
    CHECK(same((*this)(32), binding));
  }
  /// Of the bytes before it.
  void signed_by(const secure_play& p, std::uint32_t client, bytes_view message) {
    REQUIRE(left.size() == 64);
    const digest d =
        parts("fedagg secure aggregation 1 message").part(message.first(message.size() - 64)).hash();
    signature s;
    std::memcpy(s.data(), left.data(), 64);
    CHECK(toy_suite().verify(p.setup().roster[client], d, s));
  }
};

} // namespace

TEST_CASE("a header, byte by byte") {
  bytes out = {1, 2, 3};
  begin_message({secure_message::consent, 0x04030201, counting(100)}, out);
  bytes expected = {'F', 'A', 1, 7, 1, 2, 3, 4};
  for (std::uint8_t k = 0; k < 32; ++k) expected.push_back(static_cast<std::uint8_t>(100 + k));
  CHECK(out == expected);
  CHECK(out.size() == message_header_bytes);
  message_header h;
  REQUIRE(read_header(out, h) == errc::ok);
  CHECK(h.kind == secure_message::consent);
  CHECK(h.client == 0x04030201);
  CHECK((h.binding == counting(100)));
  for (std::size_t size = 0; size < 40; ++size) CHECK(read_header(bytes_view(out).first(size), h) == errc::message_format);
  for (unsigned byte = 0; byte < 256; ++byte) {
    bytes m = out;
    m[3] = static_cast<std::uint8_t>(byte);
    CHECK((read_header(m, h) == errc::ok) == (byte >= 1 && byte <= 9));
    for (std::size_t at = 0; at < 3; ++at) {
      m = out;
      m[at] = static_cast<std::uint8_t>(byte);
      CHECK((read_header(m, h) == errc::ok) == (byte == out[at]));
    }
  }
}

TEST_CASE("the numbers of the kinds and of what a share is of") {
  CHECK(static_cast<int>(secure_message::keys) == 1);
  CHECK(static_cast<int>(secure_message::directory) == 2);
  CHECK(static_cast<int>(secure_message::shares) == 3);
  CHECK(static_cast<int>(secure_message::deliveries) == 4);
  CHECK(static_cast<int>(secure_message::masked) == 5);
  CHECK(static_cast<int>(secure_message::survivors) == 6);
  CHECK(static_cast<int>(secure_message::consent) == 7);
  CHECK(static_cast<int>(secure_message::consents) == 8);
  CHECK(static_cast<int>(secure_message::openings) == 9);
  CHECK(static_cast<int>(share_of::none) == 0);
  CHECK(static_cast<int>(share_of::self_mask) == 1);
  CHECK(static_cast<int>(share_of::mask_key) == 2);
  CHECK(static_cast<int>(threat_model::curious) == 0);
  CHECK(static_cast<int>(threat_model::semi_malicious) == 1);
  CHECK(static_cast<int>(threat_model::malicious) == 2);
  CHECK(directory_entry::bytes == 132);
  CHECK(sealed_shares::bytes == 176);
  CHECK(opened_share::bytes == 37);
}

TEST_CASE("a directory entry, sealed shares, an opened share") {
  directory_entry e;
  e.client = 0x01020304;
  e.share_key = counting(1);
  e.mask_key = counting(50);
  for (std::size_t k = 0; k < 64; ++k) e.signed_by[k] = static_cast<std::uint8_t>(150 + k);
  bytes out;
  wire_writer w(out);
  e.write(w);
  bytes expected = {4, 3, 2, 1};
  const auto append = [&](bytes_view more) { expected.insert(expected.end(), more.begin(), more.end()); };
  append(e.share_key);
  append(e.mask_key);
  append(e.signed_by);
  CHECK((out == expected));
  directory_entry f;
  wire_reader r(out);
  f.read(r);
  CHECK(r.done());
  CHECK((f.client == e.client && f.share_key == e.share_key && f.mask_key == e.mask_key && f.signed_by == e.signed_by));
  // What was signed when the keys were sent.
  bytes message, by_hand;
  e.message(counting(9), message);
  begin_message({secure_message::keys, e.client, counting(9)}, by_hand);
  by_hand.insert(by_hand.end(), expected.begin() + 4, expected.end());
  CHECK((message == by_hand));

  sealed_shares s, t;
  s.self_hash = counting(2);
  s.mask_hash = counting(70);
  for (std::size_t k = 0; k < s.nonce.size(); ++k) s.nonce[k] = static_cast<std::uint8_t>(200 + k);
  for (std::size_t k = 0; k < s.sealed.size(); ++k) s.sealed[k] = static_cast<std::uint8_t>(3 * k);
  out.clear();
  expected.clear();
  s.write(w);
  append(s.self_hash);
  append(s.mask_hash);
  append(s.nonce);
  append(s.sealed);
  CHECK((out == expected));
  wire_reader again(out);
  t.read(again);
  CHECK(again.done());
  CHECK((t.self_hash == s.self_hash && t.mask_hash == s.mask_hash && t.nonce == s.nonce && t.sealed == s.sealed));

  opened_share o, q;
  o.kind = share_of::mask_key;
  o.share[0] = 5;
  o.share[35] = 6;
  out.clear();
  o.write(w);
  expected.assign(37, 0);
  expected[0] = 2;
  expected[1] = 5;
  expected[36] = 6;
  CHECK((out == expected));
  wire_reader third(out);
  q.read(third);
  CHECK((q.kind == o.kind && q.share == o.share));
}

TEST_CASE("every message of a round, taken apart") {
  for (const threat_model model : all_models) {
    const secure_play p = play_of(model);
    const bool complete = p.setup().complete();
    const std::uint32_t n = p.setup().clients(), k = p.setup().degree();
    const digest setup_hash = p.setup().hash<toy_suite>();

    taken keys{p.outputs[0]};
    keys.header(1, 0, setup_hash);
    const bytes_view share_key = keys(32), mask_key = keys(32);
    keys.signed_by(p, 0, p.outputs[0]);

    taken directory{p.messages[0]};
    const digest context = parts("fedagg secure aggregation 1 context")
                               .part(setup_hash)
                               .part(bytes_view(p.messages[0]).subspan(40))
                               .hash();
    directory.header(2, 0, context);
    const bytes_view graph_seed = directory(32);
    CHECK(directory.word() == n);
    for (std::uint32_t i = 0; i < n; ++i) {
      CHECK(directory.word() == i);
      const bytes_view s = directory(32), m = directory(32), by = directory(64);
      if (i != 0) continue;
      CHECK(same(s, share_key));
      CHECK(same(m, mask_key));
      CHECK(same(by, bytes_view(p.outputs[0]).last(64)));
    }
    CHECK(directory.left.empty());
    digest seed;
    std::copy(graph_seed.begin(), graph_seed.end(), seed.begin());
    const auto neighbours = mask_graph(n, k, seed).neighbours(0);

    taken shares{p.outputs[1]};
    shares.header(3, 0, context);
    shares(32); // of the seed
    if (complete) shares(32);
    CHECK(shares.word() == k);
    shares(k * (32 + 32 + 24 + 72 + 16));
    shares.signed_by(p, 0, p.outputs[1]);

    taken deliveries{p.messages[1]};
    deliveries.header(4, 0, context);
    const std::uint8_t everyone[] = {static_cast<std::uint8_t>((1u << n) - 1)};
    CHECK(same(deliveries(1), everyone));
    for (const std::uint32_t i : neighbours) {
      // What that client sealed for its first neighbour, which client 0 is.
      const bytes_view theirs = payload(p.sent[1][i]);
      CHECK(same(deliveries(32), theirs.first(32)));
      CHECK(same(deliveries(176), theirs.subspan(complete ? 68 : 36, 176)));
    }
    CHECK(deliveries.left.empty());

    taken masked{p.outputs[2]};
    masked.header(5, 0, context);
    masked(p.setup().layout.packed_bytes());
    masked.signed_by(p, 0, p.outputs[2]);

    taken survivors{p.messages[2]};
    survivors.header(6, 0, context);
    CHECK(same(survivors(1), everyone));
    CHECK(survivors.left.empty());
    const digest sets =
        parts("fedagg survivors").part(context).part(everyone).part(everyone).hash();

    const bytes& last = p.outputs.back();
    if (p.setup().consistent()) {
      taken consent{p.outputs[3]};
      consent.header(7, 0, context);
      CHECK(same(consent(32), sets));
      consent.signed_by(p, 0, p.outputs[3]);
      taken consents{p.messages[3]};
      consents.header(8, 0, context);
      CHECK(consents.word() == p.setup().quorum());
      for (std::uint32_t i = 0; i < p.setup().quorum(); ++i) {
        CHECK(consents.word() == i);
        const bytes_view by = consents(64);
        if (i == 0) CHECK(same(by, bytes_view(p.outputs[3]).last(64)));
      }
      CHECK(consents.left.empty());
    }
    taken openings{last};
    openings.header(9, 0, context);
    CHECK(same(openings(32), sets));
    if (complete) openings(36);
    CHECK(openings.word() == k);
    for (std::uint32_t i = 0; i < k; ++i) {
      CHECK(openings(1)[0] == 1);
      openings(36);
    }
    openings.signed_by(p, 0, last);
  }
}

TEST_CASE("messages too short to be signed are not") {
  const secure_play p = play_of(threat_model::malicious);
  const bytes& right = p.outputs[0];
  CHECK(verify_message(toy_suite(), p.setup().roster[0], right));
  CHECK_FALSE(verify_message(toy_suite(), p.setup().roster[1], right));
  for (std::size_t size = 0; size < right.size(); ++size)
    CHECK_FALSE(verify_message(toy_suite(), p.setup().roster[0], bytes_view(right).first(size)));
}
