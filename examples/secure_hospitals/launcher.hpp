// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_LAUNCHER_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_LAUNCHER_HPP

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <fedagg/secure/secure_client.hpp>

#include "patients.hpp"
#include "process.hpp"
#include "referee.hpp"

namespace secure_hospitals {

/// "keys", "shares", "input", "consent", "openings": what a client has made last.
const char* name_of(fedagg::client_stage made);

/// What happens in a round: these hospitals are killed, each when it has made this message, which has not left.
struct accident {
  std::vector<std::size_t> killed = {};
  fedagg::client_stage at = fedagg::client_stage::idle;
  bool back_at_once = false; ///< started again in the same round, else for the next one
};

struct launch {
  std::string program; ///< this one
  std::string folder;  ///< for secrets and states
  std::uint64_t seed = 1;
  /// Of round k + 1 each. Those with hospitals that are back at once come after those with others.
  std::vector<accident> rounds = {};
};

/// What a hospital said in a round.
struct account {
  bytes input;                             ///< that it encoded last
  std::map<std::string, std::string> made; ///< its messages, by stage: hashes
  std::string restored;                    ///< the stage that it went on from after it was killed
  bool sent_the_same = false;              ///< what it sent then is what it would have sent before
};

/// The server and the hospitals as processes of their own, and what they say for those who watch.
class launcher {
public:
  explicit launcher(launch how);

  /// Starts a hospital, which will be held at the accidents of this round and later ones.
  void start(std::size_t hospital, std::uint64_t round);
  /// Waits until it has made the message that it is held at, and kills it.
  void kill(std::size_t hospital, std::uint64_t round);
  /// Waits for the end of a round. Nothing if the server gave it up, and then `why` says so.
  std::optional<ended_round> end_of(std::uint64_t round, std::string& why);
  /// Once it has said that it made that message.
  const account& of(std::size_t hospital, std::uint64_t round, fedagg::client_stage made);
  /// True if all processes end by themselves, without a fault.
  bool finish();

private:
  template <class Done>
  void wait(const char* what, const Done& done);
  void heard_from_server(const std::string& line);
  void heard_from(std::size_t hospital, const std::string& line);

  launch how_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::signal_set signals_{io_, SIGINT, SIGTERM};
  bool interrupted_ = false;
  std::string port_;
  std::map<std::uint64_t, std::vector<std::string>> ended_;
  std::map<std::pair<std::size_t, std::uint64_t>, account> said_;
  std::unique_ptr<process> server_;
  std::array<std::unique_ptr<process>, hospitals::sites.size()> hospitals_;
};

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_LAUNCHER_HPP
