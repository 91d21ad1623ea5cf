// SPDX-License-Identifier: MIT
#include "hospital.hpp"

#include <cstdio>
#include <stdexcept>
#include <utility>

namespace secure_hospitals {

using fedagg::client_stage;
using fedagg::errc;

hospital::hospital(hospital_options how, agreement agreed, hospitals::patients own)
    : how_(std::move(how)), agreed_(std::move(agreed)), own_(std::move(own)), secrets_(read_secrets(how_.folder)),
      state_(how_.folder + "/state") {
  // From now on nothing leaves that a restarted process would not know of.
  client_.keep(secrets_.state_key, state_);
}

void hospital::run() {
  connect();
  for (;;) {
    const frame& f = next();
    if (f.kind == frame_kind::finished) return;
    if (f.kind == frame_kind::challenge) greet(f.body);
    if (f.kind == frame_kind::task) {
      task t;
      if (read(f.body, t)) take_up(t);
    }
    if (f.kind == frame_kind::message) {
      // A server that does not keep to the protocol gets no answer, and nothing has changed.
      const errc rc = client_.try_receive(f.body);
      if (rc == errc::ok)
        send_answer();
      else
        std::fprintf(stderr, "%s: %s\n", how_.folder.c_str(), message(rc));
    }
  }
}

void hospital::take_up(const task& t) {
  if (t.round < state_.round()) return;
  const fedagg::secure_setup setup = setup_of(agreed_, t.round, codec_of(t.asks));
  errc rc = errc::ok;
  if (t.round == state_.round()) {
    // A round that was begun is gone on with, or not at all: begun again, it could yield a second input.
    rc = client_.try_restore(setup, secrets_.identity, state_.sealed());
    if (rc == errc::ok && how_.on_restored) how_.on_restored(t.round, client_.stage(), client_.output());
  } else {
    state_.begin(t.round);
    rc = client_.try_begin(setup, secrets_.identity);
  }
  // A vector that was masked is in the state, masked; one that was not is made now.
  if (rc == errc::ok && client_.stage() <= client_stage::sent_shares) {
    fedagg::ring_vector input;
    rc = answer(t, own_, input);
    if (rc == errc::ok && how_.on_input) how_.on_input(t.round, input);
    if (rc == errc::ok) rc = client_.try_input(std::move(input));
  }
  if (rc == errc::ok)
    send_answer();
  else
    std::fprintf(stderr, "%s: no part in round %llu: %s\n", how_.folder.c_str(),
                 static_cast<unsigned long long>(t.round), message(rc));
}

void hospital::send_answer() {
  if (how_.on_made) how_.on_made(state_.round(), client_.stage(), client_.output());
  server_->send(frame_kind::message, client_.output());
}

void hospital::greet(fedagg::bytes_view challenge) {
  fedagg::signature signed_by;
  suite().sign(secrets_.identity, greeting(agreed_, challenge, how_.place), signed_by);
  bytes body;
  fedagg::wire_writer(body).u32(how_.place).bytes(signed_by);
  server_->send(frame_kind::greeting, body);
}

void hospital::connect() {
  asio::ip::tcp::socket socket(io_);
  bool done = false;
  std::error_code failed;
  socket.async_connect({asio::ip::address_v4::loopback(), how_.port}, [&](std::error_code ec) {
    done = true;
    failed = ec;
  });
  const bool answered = run_until(io_, how_.patience, [&] { return done; });
  if (!answered || failed) throw std::runtime_error("cannot reach the server");
  server_ = std::make_shared<connection>(std::move(socket));
}

const frame& hospital::next() {
  const frame* got = nullptr;
  bool done = false;
  server_->receive([&](const frame* f) {
    got = f;
    done = true;
  });
  // Handlers that are left behind here are never run.
  if (!run_until(io_, how_.patience, [&] { return done; }) || !got) throw std::runtime_error("the server is gone");
  return *got;
}

} // namespace secure_hospitals
