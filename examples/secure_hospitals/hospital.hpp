// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_HOSPITAL_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_HOSPITAL_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <asio/io_context.hpp>

#include <fedagg/secure/secure_client.hpp>

#include "frames.hpp"
#include "state_file.hpp"
#include "work.hpp"

namespace secure_hospitals {

struct hospital_options {
  std::uint32_t place = 0; ///< in the roster
  std::string folder;      ///< its own: secrets and state
  unsigned short port = 0;
  /// Longer than the server is ever silent.
  std::chrono::milliseconds patience = std::chrono::seconds(200);

  // For those who watch the example; nothing else depends on them.
  std::function<void(std::uint64_t round, const fedagg::ring_vector& input)> on_input = {};
  std::function<void(std::uint64_t round, fedagg::client_stage made, fedagg::bytes_view message)> on_restored = {};
  /// After a message was made and the state saved, before it leaves.
  std::function<void(std::uint64_t round, fedagg::client_stage made, fedagg::bytes_view message)> on_made = {};
};

/// A hospital: trains on patients that it shows to nobody, and sends what only the sum can be read of.
class hospital {
public:
  hospital(hospital_options how, agreement agreed, hospitals::patients own);

  /// Takes part in rounds until the server says that there are no more. Throws where it cannot go on.
  void run();

private:
  void connect();
  const frame& next();
  void greet(fedagg::bytes_view challenge);
  void take_up(const task& t);
  void send_answer();

  hospital_options how_;
  agreement agreed_;
  hospitals::patients own_;
  secrets secrets_;
  state_file state_;
  fedagg::secure_client<suite> client_;
  asio::io_context io_;
  std::shared_ptr<connection> server_;
};

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_HOSPITAL_HPP
