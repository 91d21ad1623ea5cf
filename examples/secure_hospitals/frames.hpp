// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_FRAMES_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_FRAMES_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include "agreement.hpp"

namespace secure_hospitals {

/// What goes over a socket: four bytes of length, one of kind, and that many bytes.
enum class frame_kind : std::uint8_t {
  challenge = 1, ///< server: 32 random bytes
  greeting,      ///< hospital: its place in the roster, and its signature of the challenge
  task,          ///< server: a round begins
  message,       ///< both: of the protocol
  finished,      ///< server: there are no more rounds
};
struct frame {
  frame_kind kind{};
  bytes body;
};

/// No frame of this program is longer, and one that says so is not read. The longest carries a masked vector: a larger
/// model needs more.
inline constexpr std::size_t longest_frame = 1 << 16;
inline constexpr std::size_t greeting_bytes = 4 + sizeof(fedagg::signature);

/// One end of a TCP connection that carries frames. Held by shared pointers, which its handlers share.
class connection : public std::enable_shared_from_this<connection> {
public:
  /// Called with a frame, or with null where there will be none any more.
  using handler = std::function<void(const frame*)>;

  explicit connection(asio::ip::tcp::socket socket);

  bool open() const noexcept { return socket_.is_open(); }
  /// Reads the next frame; one of more than so many bytes ends the connection.
  void receive(handler then, std::size_t longest = longest_frame);
  /// Queues a frame. A peer that does not read what it is sent loses the connection.
  void send(frame_kind kind, fedagg::bytes_view body);
  void close() noexcept;

private:
  void read_body(handler then, std::size_t longest);
  void over(const handler& then);
  void write();

  asio::ip::tcp::socket socket_;
  std::array<std::uint8_t, 5> head_ = {};
  frame in_;
  std::deque<bytes> out_;
};

/// Lets things happen until `done()`, but no longer than that; says whether it is.
template <class Done>
bool run_until(asio::io_context& io, std::chrono::milliseconds longest, const Done& done) {
  const auto end = std::chrono::steady_clock::now() + longest;
  while (!done()) {
    if (io.stopped()) io.restart();
    if (io.run_one_until(end) == 0 && std::chrono::steady_clock::now() >= end) return done();
  }
  return true;
}

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_FRAMES_HPP
