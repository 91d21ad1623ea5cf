// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_SERVER_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_SERVER_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <fedagg/secure/secure_server.hpp>

#include "frames.hpp"
#include "work.hpp"

namespace secure_hospitals {

struct server_options {
  std::uint64_t rounds = 1;
  /// How long a round waits for all hospitals to be there before it begins, and how long each of its stages for
  /// answers.
  std::chrono::milliseconds gathering = std::chrono::seconds(30), deadline = std::chrono::seconds(20);
  /// Before this round a hospital whose connection closes has dropped out at once; from it on it has until the stage's
  /// deadline to come back.
  std::uint64_t patient_from = 1;

  /// After each round: its number, what came of it, whose answers are in the sum, the sum, and what the hospitals are
  /// asked next.
  std::function<void(std::uint64_t, fedagg::errc, const fedagg::client_set&, const fedagg::ring_vector&, const task&)>
      on_round = {};
};

/// The server: brings the hospitals' messages together, and sees the sum of what they trained.
class server {
public:
  server(server_options how, agreement agreed);

  /// Free for this run, on this machine only.
  unsigned short port() const { return acceptor_.local_endpoint().port(); }
  void run();

private:
  fedagg::errc round(fedagg::ring_vector& sum);
  bool waiting() const;
  void tell(std::uint32_t hospital);

  void accept();
  void admit(asio::ip::tcp::socket socket);
  void join(std::uint32_t hospital, const std::shared_ptr<connection>& c);
  void serve(std::uint32_t hospital, const std::shared_ptr<connection>& c);
  bool all_there() const;

  server_options how_;
  agreement agreed_;
  task task_;
  fedagg::optimizer_state optimizer_;
  fedagg::secure_server<suite> protocol_;

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::ip::tcp::acceptor acceptor_;
  std::vector<std::shared_ptr<connection>> hospitals_; ///< null for those that are not there
  std::size_t strangers_ = 0;                          ///< connections that have not greeted
};

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_SERVER_HPP
