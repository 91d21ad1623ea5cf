// SPDX-License-Identifier: MIT
// A client of secure aggregation and a server that sends it anything. What is refused changes nothing; what is answered
// is answered by a message of the protocol that the client signed, once in each stage.
//
// An input is the threat model, the stage, and then messages: how it is to be mended, its length in two bytes, and its
// bytes. Mending gives it the header of a right message and signs what hostile clients could have signed, because
// nothing behind that would be seen otherwise.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

enum mending : std::uint8_t { raw = 0, with_header = 1, with_signatures = 2, as_state = 3, right = 4, kinds = 5 };

/// What the harness knows of the round as the client sees it.
struct view {
  digest context = {};
  bytes dealers, survivors;
};

secure_message awaited(client_stage stage) {
  switch (stage) {
  case client_stage::sent_keys:
    return secure_message::directory;
  case client_stage::sent_shares:
    return secure_message::deliveries;
  case client_stage::sent_input:
    return secure_message::survivors;
  default:
    return secure_message::consents;
  }
}

bytes mended(const secure_play& play, const view& seen, client_stage stage, std::uint8_t how, bytes payload_bytes) {
  const std::uint32_t n = play.setup().clients();
  const secure_message kind = awaited(stage);
  bytes out;
  if (how == with_signatures && kind == secure_message::directory) {
    constexpr std::size_t first = 36, size = directory_entry::bytes;
    for (std::size_t at = first; at + size <= payload_bytes.size(); at += size) {
      directory_entry e;
      wire_reader r(bytes_view(payload_bytes).subspan(at));
      e.read(r);
      if (e.client >= n) continue;
      sign_entry(play, e);
      std::copy(e.signed_by.begin(), e.signed_by.end(), payload_bytes.begin() + static_cast<std::ptrdiff_t>(at + 68));
    }
  }
  if (how == with_signatures && kind == secure_message::consents) {
    const toy_suite suite;
    const digest sets = key_schedule<toy_suite>(suite, seen.context).survivors(seen.dealers, seen.survivors);
    for (std::size_t at = 4; at + 68 <= payload_bytes.size(); at += 68) {
      const std::uint32_t client = wire_reader(bytes_view(payload_bytes).subspan(at)).u32();
      if (client >= n) continue;
      begin_message({secure_message::consent, client, seen.context}, out);
      wire_writer(out).bytes(sets);
      sign_message(suite, play.identity(client), out);
      std::copy(out.end() - 64, out.end(), payload_bytes.begin() + static_cast<std::ptrdiff_t>(at + 4));
    }
  }
  const digest binding = kind == secure_message::directory
                             ? context_of<toy_suite>(play.setup().hash<toy_suite>(), payload_bytes)
                             : seen.context;
  begin_message({kind, play.self, binding}, out);
  wire_writer(out).bytes(payload_bytes);
  return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const secure_play plays[] = {play_of(all_models[0], 1), play_of(all_models[1], 1), play_of(all_models[2], 1)};
  wire_reader in({data, size});
  const secure_play& play = plays[in.u8() % 3];
  std::size_t stage = in.u8() % play.stages();
  state_store store;
  auto client = play.at(stage, store);
  view seen;
  if (stage > 0) seen.context = wire_reader(bytes_view(play.messages[0]).subspan(8)).array<32>();
  const auto set_in = [&](bytes_view message) {
    const std::size_t set = client_set::bytes_for(play.setup().clients());
    return bytes(message.begin() + message_header_bytes, message.begin() + static_cast<std::ptrdiff_t>(message_header_bytes + set));
  };
  if (stage > 1) seen.dealers = set_in(play.messages[1]);
  if (stage > 2) seen.survivors = set_in(play.messages[2]);
  bool masked = stage > 1, restored = false;

  for (int k = 0; k < 8 && in.left() > 3; ++k) {
    const std::uint8_t how = in.u8() % kinds;
    const std::size_t low = in.u8(), length = low | std::size_t{in.u8()} << 8;
    const bytes_view body = in.bytes(std::min(length, in.left()));
    const client_stage before = client.stage();
    const bytes output(client.output().begin(), client.output().end());
    if (how == as_state) {
      const errc rc = client.try_restore(play.setup(), play.identity(play.self), play.sealed(body));
      if (rc == errc::ok) {
        // Nothing that a client wrote; the harness knows no more about it.
        restored = true;
        (void)client.try_input(play.input());
        continue;
      }
      require(rc == errc::state_mismatch, "what is no state is refused as one");
      require(client.stage() == before && std::ranges::equal(client.output(), output), "a refusal changes nothing");
      continue;
    }
    const std::size_t step = static_cast<std::size_t>(before) - 1;
    const bytes message = how == raw ? bytes(body.begin(), body.end())
                          : how == right && step < play.stages()
                              ? play.messages[step]
                              : mended(play, seen, before, how, bytes(body.begin(), body.end()));
    const errc rc = client.try_receive(message);
    if (rc != errc::ok) {
      require(client.stage() == before && std::ranges::equal(client.output(), output), "a refusal changes nothing");
      continue;
    }
    if (client.stage() == before) {
      require(std::ranges::equal(client.output(), output), "what came before is answered with the same bytes");
      continue;
    }
    require(client.stage() > before, "no way back");
    if (restored) continue;
    require(store.calls > 0, "what leaves is kept first");
    require(verify_message(toy_suite(), play.setup().roster[play.self], client.output()), "an answer is signed");
    message_header header;
    require(read_header(client.output(), header) == errc::ok && header.client == play.self, "an answer has a header");
    switch (client.stage()) {
    case client_stage::sent_shares:
      require(header.kind == secure_message::shares, "a directory is answered with shares");
      seen.context = header.binding;
      break;
    case client_stage::sent_input:
      require(header.kind == secure_message::masked && !masked, "one vector is masked, once");
      require(signed_payload(client.output()).size() == play.setup().layout.packed_bytes(), "the whole of it");
      masked = true;
      seen.dealers = set_in(message);
      break;
    case client_stage::sent_consent:
      require(header.kind == secure_message::consent && play.setup().consistent(), "survivors are consented to");
      seen.survivors = set_in(message);
      break;
    default:
      require(header.kind == secure_message::openings, "in the end shares are opened");
    }
    require(header.binding == seen.context, "an answer is bound to its round");
    if (client.stage() == client_stage::sent_openings) {
      const bytes plain = play.plain(store.last);
      wire_reader r(plain);
      detail::client_state end;
      require(end.read(r, play.setup().clients()) == errc::ok, "what is kept can be read");
      const std::uint8_t zero[32] = {};
      require(std::ranges::equal(end.seed.bytes(), zero) && std::ranges::equal(end.mask_key.bytes(), zero),
              "no secret is left");
    }
  }
  return 0;
}
