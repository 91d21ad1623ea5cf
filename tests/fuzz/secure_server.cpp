// SPDX-License-Identifier: MIT
// A server of secure aggregation and a client that sends it anything. What that client did not sign means nothing; what
// it did is taken or costs it its place; the others' round ends as it should.
//
// An input is the threat model, the stage, and then messages of client 1: how it is to be mended, its length in two
// bytes, and its bytes. Mending gives it the header of a right message and the client's signature.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "support/secure_play.hpp"

namespace {

using namespace fedagg;
using namespace fedagg_test;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

enum mending : std::uint8_t { raw = 0, with_signature = 1, with_header = 2, right = 3, kinds = 4 };
constexpr std::uint32_t hostile = 1;

using server_type = secure_server<toy_suite>;

bytes mended(const secure_play& play, bytes_view sample, std::uint8_t how, bytes_view body) {
  bytes out;
  if (how == raw) return {body.begin(), body.end()};
  if (how == with_header) {
    out.assign(sample.begin(), sample.begin() + message_header_bytes);
    out.insert(out.end(), body.begin(), body.end());
  } else {
    out.assign(body.begin(), body.end());
  }
  sign_message(toy_suite(), play.identity(hostile), out);
  return out;
}

/// The rest of the round with clients that keep to the protocol. True if it ended with a sum.
bool finish(const secure_play& play, server_type& server, std::size_t stage, bool speaks) {
  const std::uint32_t n = play.setup().clients();
  std::vector<state_store> stores(n);
  std::vector<secure_client<toy_suite>> clients;
  for (std::uint32_t i = 0; i < n; ++i) clients.push_back(play.other_at(i, stage, stores[i], toy_suite(8, i)));
  bytes message;
  for (;;) {
    for (std::uint32_t i = 0; i < n; ++i)
      if (server.expects(i) && !server.answered(i) && (i != hostile || speaks)) {
        const errc rc = server.try_receive(clients[i].output());
        require(i == hostile || rc == errc::ok, "who keeps to the protocol is heard");
      }
    const errc rc = server.try_advance();
    for (std::uint32_t i = 0; i < n; ++i)
      require(i == hostile || server.report(i).fault == errc::ok, "nobody else is blamed");
    if (rc == errc::bad_dealer) {
      require(server.culprit() == hostile && server.stage() == server_stage::failed, "a bad dealer is named");
      return false;
    }
    if (rc == errc::round_incomplete) return false;
    require(rc == errc::ok, "a stage ends, or too few have answered");
    if (server.stage() == server_stage::done) return true;
    for (std::uint32_t i = 0; i < n; ++i)
      if (server.try_message(i, message) == errc::ok) {
        const errc taken = clients[i].try_receive(message);
        require(i == hostile || taken == errc::ok, "what the server sends is right");
      }
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const secure_play plays[] = {play_of(all_models[0]), play_of(all_models[1]), play_of(all_models[2])};
  wire_reader in({data, size});
  const secure_play& play = plays[in.u8() % 3];
  const std::size_t stage = in.u8() % (play.stages() + 1);
  const std::uint32_t n = play.setup().clients();
  server_type server(toy_suite(1, 0xfffe)); // draws what the play's server drew
  require(server.try_begin(play.setup()) == errc::ok, "a round begins");
  for (std::size_t k = 0; k < stage; ++k) {
    for (std::uint32_t i = 0; i < n; ++i)
      require(server.try_receive(play.sent[k][i]) == errc::ok, "a round goes on");
    require(server.try_advance() == errc::ok, "a stage ends");
  }
  const bytes& sample = play.sent[stage][hostile];
  bool changed = false, own_vector = true;
  for (int k = 0; k < 8 && in.left() > 3; ++k) {
    const std::uint8_t how = in.u8() % kinds;
    const std::size_t low = in.u8(), length = low | std::size_t{in.u8()} << 8;
    const bytes_view body = in.bytes(std::min(length, in.left()));
    const bytes message = how == right ? sample : mended(play, sample, how, body);
    const bool answered = server.answered(hostile), at_fault = server.report(hostile).fault != errc::ok;
    const errc rc = server.try_receive(message);
    if (rc == errc::ok) {
      if (!answered && server.stage() == server_stage::inputs)
        own_vector = std::ranges::equal(signed_payload(message), signed_payload(sample));
      require(server.answered(hostile), "who is heard has answered");
    } else {
      require(server.answered(hostile) == answered, "what is refused is no answer");
    }
    if (at_fault || answered) {
      require((server.report(hostile).fault != errc::ok) == at_fault, "one fault, or none");
    } else if (server.report(hostile).fault != errc::ok) {
      require(server.report(hostile).fault == rc && server.report(hostile).stage == server.stage(), "a fault is named");
      require(verify_message(toy_suite(), play.setup().roster[hostile], message), "a fault is signed");
    }
    changed = changed || server.answered(hostile) != answered || (server.report(hostile).fault != errc::ok) != at_fault;
    for (std::uint32_t i = 0; i < n; ++i)
      if (i != hostile) require(!server.answered(i) && server.report(i).fault == errc::ok, "others are left alone");
  }
  if (!changed) return 0;
  // A client that has sent other keys or shares than its own is silent from there on.
  const bool speaks = stage != 1 && (stage != 0 || !server.answered(hostile));
  if (finish(play, server, stage, speaks) && own_vector) {
    ring_vector sum, expected;
    require(server.try_take_sum(sum) == errc::ok, "a sum is there to be had");
    require(expected.try_reset(play.setup().layout) == errc::ok, "memory");
    for (std::uint32_t i = 0; i < n; ++i)
      if (server.survivors().contains(i)) require(try_add(expected, play.round.inputs[i]) == errc::ok, "it adds");
    require(packed(sum) == packed(expected), "the sum is exact");
  }
  return 0;
}
