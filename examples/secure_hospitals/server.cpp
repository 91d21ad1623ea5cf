// SPDX-License-Identifier: MIT
#include "server.hpp"

#include <algorithm>
#include <utility>

#include <asio/steady_timer.hpp>

#include "patients.hpp"

namespace secure_hospitals {

using asio::ip::tcp;
using fedagg::errc;
using fedagg::server_stage;

namespace {

constexpr std::size_t most_strangers = 16;
constexpr auto greeting_time = std::chrono::seconds(10);

} // namespace

server::server(server_options how, agreement agreed)
    : how_(std::move(how)), agreed_(std::move(agreed)), optimizer_(fedagg::precision::f32),
      acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), hospitals_(agreed_.roster.size()) {
  accept();
}

void server::run() {
  for (task_.round = 1; task_.round <= how_.rounds; ++task_.round) {
    run_until(io_, how_.gathering, [&] { return all_there(); });
    fedagg::ring_vector sum;
    errc rc = round(sum);
    fedagg::ring_totals totals;
    if (rc == errc::ok) rc = take_sum(task_, sum, protocol_.survivors().size(), totals, optimizer_);
    if (how_.on_round) how_.on_round(task_.round, rc, protocol_.survivors(), sum, task_);
    protocol_ = fedagg::secure_server<suite>();
  }
  for (const auto& c : hospitals_)
    if (c) c->send(frame_kind::finished, {});
  run_until(io_, std::chrono::seconds(5),
            [&] { return std::none_of(hospitals_.begin(), hospitals_.end(), [](const auto& c) { return bool(c); }); });
}

/// One round of the protocol, all of it: each stage ends when nobody is waited for, or at its deadline.
errc server::round(fedagg::ring_vector& sum) {
  const fedagg::secure_setup setup = setup_of(agreed_, task_.round, codec_of(task_.asks));
  if (const errc rc = protocol_.try_begin(setup); rc != errc::ok) return rc;
  while (protocol_.stage() != server_stage::done) {
    for (std::uint32_t i = 0; i < hospitals_.size(); ++i) tell(i);
    run_until(io_, how_.deadline, [&] { return !waiting(); });
    if (const errc rc = protocol_.try_advance(); rc != errc::ok) return rc;
  }
  return protocol_.try_take_sum(sum);
}

/// Sends a hospital what this stage has for it.
void server::tell(std::uint32_t i) {
  if (!hospitals_[i]) return;
  bytes message;
  if (protocol_.stage() == server_stage::keys)
    hospitals_[i]->send(frame_kind::task, written(task_));
  else if (protocol_.try_message(i, message) == errc::ok)
    hospitals_[i]->send(frame_kind::message, message);
}

bool server::waiting() const {
  for (std::uint32_t i = 0; i < hospitals_.size(); ++i)
    if (protocol_.expects(i) && !protocol_.answered(i) && protocol_.report(i).fault == errc::ok &&
        (hospitals_[i] || task_.round >= how_.patient_from))
      return true;
  return false;
}

bool server::all_there() const {
  return std::all_of(hospitals_.begin(), hospitals_.end(), [](const auto& c) { return bool(c); });
}

void server::accept() {
  acceptor_.async_accept([this](std::error_code failed, tcp::socket socket) {
    if (!failed && strangers_ < most_strangers) admit(std::move(socket));
    accept();
  });
}

/// Asks who it is; a stranger that does not say so in time is gone.
void server::admit(tcp::socket socket) {
  const auto c = std::make_shared<connection>(std::move(socket));
  const auto timer = std::make_shared<asio::steady_timer>(io_, greeting_time);
  timer->async_wait([c](std::error_code cancelled) {
    if (!cancelled) c->close();
  });
  bytes challenge(32);
  if (!suite().random(challenge)) return c->close();
  ++strangers_;
  c->send(frame_kind::challenge, challenge);
  c->receive(
      [this, c, timer, challenge](const frame* f) {
        --strangers_;
        timer->cancel();
        if (!f) return;
        fedagg::wire_reader r(f->body);
        const std::uint32_t i = r.u32();
        const fedagg::signature claimed = r.array<64>();
        if (f->kind == frame_kind::greeting && r.done() && i < agreed_.roster.size() &&
            suite().verify(agreed_.roster[i], greeting(agreed_, challenge, i), claimed))
          join(i, c);
        else
          c->close();
      },
      greeting_bytes);
}

/// A hospital is there, perhaps again: in a round that waits for it, it hears what the others have heard.
void server::join(std::uint32_t i, const std::shared_ptr<connection>& c) {
  if (hospitals_[i]) hospitals_[i]->close();
  hospitals_[i] = c;
  if (protocol_.expects(i)) {
    if (protocol_.stage() != server_stage::keys) c->send(frame_kind::task, written(task_));
    tell(i);
  }
  serve(i, c);
}

void server::serve(std::uint32_t i, const std::shared_ptr<connection>& c) {
  c->receive([this, i, c](const frame* f) {
    if (f) {
      // Whatever is wrong with it is in the report of whoever signed it.
      if (f->kind == frame_kind::message) (void)protocol_.try_receive(f->body);
      serve(i, c);
    } else if (hospitals_[i] == c) {
      hospitals_[i].reset();
    }
  });
}

} // namespace secure_hospitals
