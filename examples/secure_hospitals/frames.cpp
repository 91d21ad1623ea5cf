// SPDX-License-Identifier: MIT
#include "frames.hpp"

#include <utility>

#include <asio/buffer.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

namespace secure_hospitals {
namespace {

constexpr std::size_t longest_queue = 16;

} // namespace

connection::connection(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
  std::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

void connection::receive(handler then, std::size_t longest) {
  asio::async_read(socket_, asio::buffer(head_),
                   [self = shared_from_this(), then = std::move(then), longest](std::error_code failed, std::size_t) {
                     if (failed) return self->over(then);
                     self->read_body(then, longest);
                   });
}

void connection::read_body(handler then, std::size_t longest) {
  fedagg::wire_reader r(head_);
  const std::size_t size = r.u32();
  const std::uint8_t kind = r.u8();
  if (size > longest || kind < 1 || kind > static_cast<std::uint8_t>(frame_kind::finished)) return over(then);
  in_.kind = static_cast<frame_kind>(kind);
  in_.body.resize(size);
  asio::async_read(socket_, asio::buffer(in_.body),
                   [self = shared_from_this(), then = std::move(then)](std::error_code failed, std::size_t) {
                     if (failed) return self->over(then);
                     then(&self->in_);
                   });
}

void connection::over(const handler& then) {
  close();
  then(nullptr);
}

void connection::send(frame_kind kind, fedagg::bytes_view body) {
  if (!open()) return;
  if (out_.size() == longest_queue) return close();
  fedagg::wire_writer(out_.emplace_back())
      .u32(static_cast<std::uint32_t>(body.size()))
      .u8(static_cast<std::uint8_t>(kind))
      .bytes(body);
  if (out_.size() == 1) write();
}

void connection::write() {
  asio::async_write(socket_, asio::buffer(out_.front()),
                    [self = shared_from_this()](std::error_code failed, std::size_t) {
                      if (failed) return self->close();
                      self->out_.pop_front();
                      if (!self->out_.empty()) self->write();
                    });
}

void connection::close() noexcept {
  std::error_code ignored;
  socket_.close(ignored);
}

} // namespace secure_hospitals
