// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_SECURE_PLAY_HPP
#define FEDAGG_TESTS_SUPPORT_SECURE_PLAY_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <utility>
#include <vector>

#include "support/secure_round.hpp"

namespace fedagg_test {

/// Keeps the last state, as a client's caller does.
struct state_store {
  bytes last;
  bool works = true;
  std::size_t calls = 0;
  bool operator()(fedagg::bytes_view state) {
    ++calls;
    if (works) last.assign(state.begin(), state.end());
    return works;
  }
};

/// A round that went well, as one client saw it: it can be had again at any of its stages.
struct secure_play {
  using client = fedagg::secure_client<toy_suite>;

  secure_round<toy_suite> round;
  std::uint32_t self;
  fedagg::secret_key state_key;
  std::vector<bytes> states;   ///< [k]: sealed, after k messages
  std::vector<std::vector<bytes>> all_states; ///< [k][i]: client i's
  std::vector<bytes> outputs;  ///< [k]: the answer then
  std::vector<bytes> messages; ///< [k]: what leads from k to k + 1
  std::vector<std::vector<bytes>> sent; ///< [k][i]: what client i answered then
  bytes sum;

  secure_play(std::uint32_t n, const fedagg::secure_parameters& parameters,
              std::initializer_list<fedagg::ring_segment> segments, std::uint32_t client_index = 0)
      : round(n, parameters, segments), self(client_index) {
    state_key.data()[0] = 77;
    std::vector<state_store> stores(n);
    for (std::uint32_t i = 0; i < n; ++i) round.clients[i].keep(state_key, stores[i]);
    must(round.begin() == fedagg::errc::ok);
    auto& server = round.aggregator;
    bytes message;
    for (;;) {
      const auto own = round.clients[self].output();
      states.push_back(stores[self].last);
      all_states.emplace_back();
      for (const auto& s : stores) all_states.back().push_back(s.last);
      outputs.emplace_back(own.begin(), own.end());
      sent.emplace_back();
      for (const auto& c : round.clients) {
        sent.back().emplace_back(c.output().begin(), c.output().end());
        must(server.try_receive(c.output()) == fedagg::errc::ok);
      }
      must(server.try_advance() == fedagg::errc::ok);
      if (server.stage() == fedagg::server_stage::done) break;
      for (std::uint32_t i = 0; i < n; ++i) {
        must(server.try_message(i, message) == fedagg::errc::ok);
        if (i == self) messages.push_back(message);
        must(round.clients[i].try_receive(message) == fedagg::errc::ok);
      }
    }
    sum = round.taken();
    must(sum == round.expected());
  }

  const fedagg::secure_setup& setup() const { return round.world.setup; }
  const fedagg::signing_key& identity(std::uint32_t i) const { return round.world.identities[i]; }
  /// The stages at which a client waits for a message.
  std::size_t stages() const { return messages.size(); }

  /// The client as it was after k messages; `keep` must outlive it.
  template <class S = toy_suite>
  fedagg::secure_client<S> at(std::size_t k, state_store& keep, const S& suite = S{}) const {
    return other_at(self, k, keep, suite);
  }
  /// The same of client i.
  template <class S = toy_suite>
  fedagg::secure_client<S> other_at(std::uint32_t i, std::size_t k, state_store& keep, const S& suite = S{}) const {
    fedagg::secure_client<S> c(suite);
    c.keep(state_key, keep);
    must(c.try_restore(setup(), identity(i), all_states[k][i]) == fedagg::errc::ok);
    fedagg::ring_vector x;
    must(x.try_copy(round.inputs[i]) == fedagg::errc::ok);
    if (k < 2) must(c.try_input(std::move(x)) == fedagg::errc::ok);
    return c;
  }
  fedagg::ring_vector input() const {
    fedagg::ring_vector x;
    must(x.try_copy(round.inputs[self]) == fedagg::errc::ok);
    return x;
  }
  /// A sealed state, opened.
  bytes plain(fedagg::bytes_view sealed) const {
    const fedagg::digest binding = fedagg::transcript<toy_suite>("fedagg client state 1")
                                       .bytes(setup().hash<toy_suite>())
                                       .number(self)
                                       .finish();
    bytes out(sealed.size() - 40);
    must(toy_suite().open(state_key, sealed.first<24>(), sealed.subspan(24), binding, out));
    return out;
  }
  bytes sealed(fedagg::bytes_view plain_state) const {
    const fedagg::digest binding = fedagg::transcript<toy_suite>("fedagg client state 1")
                                       .bytes(setup().hash<toy_suite>())
                                       .number(self)
                                       .finish();
    bytes out(plain_state.size() + 40);
    toy_suite().seal(state_key, fedagg::bytes_view(out).first<24>(), plain_state, binding,
                     fedagg::bytes_span(out).subspan(24));
    return out;
  }

  static void must(bool holds) {
    if (!holds) std::abort();
  }
};

inline secure_play play_of(fedagg::threat_model model, std::uint32_t self = 0) {
  using fedagg::threat_model;
  if (model == threat_model::curious)
    return {5, {.model = model, .colluding = 1, .dropouts = 2, .threshold = 3}, {{32, 5}, {64, 2}}, self};
  if (model == threat_model::semi_malicious) // on a sparse graph
    return {8, {.model = model, .colluding = 0, .dropouts = 2, .threshold = 4, .degree = 6}, {{13, 5}, {64, 1}}, self};
  return {5, {.model = model, .colluding = 1, .dropouts = 1, .threshold = 4}, {{32, 5}, {17, 2}}, self};
}
inline constexpr fedagg::threat_model all_models[] = {
    fedagg::threat_model::curious, fedagg::threat_model::semi_malicious, fedagg::threat_model::malicious};

/// A directory's message with its right binding, whatever the entries.
inline bytes directory_message(const secure_play& play, const fedagg::digest& graph_seed,
                               const std::vector<fedagg::directory_entry>& entries) {
  bytes payload, out;
  fedagg::wire_writer w(payload);
  w.bytes(graph_seed).u32(static_cast<std::uint32_t>(entries.size()));
  for (const auto& e : entries) e.write(w);
  const fedagg::digest context = fedagg::context_of<toy_suite>(play.setup().hash<toy_suite>(), payload);
  fedagg::begin_message({fedagg::secure_message::directory, play.self, context}, out);
  fedagg::wire_writer(out).bytes(payload);
  return out;
}
/// Its entries.
inline std::vector<fedagg::directory_entry> directory_entries(fedagg::bytes_view message) {
  fedagg::wire_reader r(fedagg::payload(message).subspan(32));
  std::vector<fedagg::directory_entry> out(r.u32());
  for (auto& e : out) e.read(r);
  secure_play::must(r.done());
  return out;
}
/// Signs an entry's keys as its client would.
inline void sign_entry(const secure_play& play, fedagg::directory_entry& e) {
  bytes message;
  e.message(play.setup().hash<toy_suite>(), message);
  message.resize(message.size() - fedagg::message_signature_bytes);
  fedagg::sign_message(toy_suite(), play.identity(e.client), message);
  std::copy(message.end() - 64, message.end(), e.signed_by.begin());
}

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_SECURE_PLAY_HPP
