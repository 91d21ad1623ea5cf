// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_PROCESS_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_PROCESS_HPP

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <sys/types.h>

namespace secure_hospitals {

/// A child process whose output is read line by line. It does not outlive this object, and leaves no zombie.
class process {
public:
  using line_handler = std::function<void(const std::string&)>;

  /// Starts this program again with other arguments, and nothing on its standard input. Throws.
  process(asio::io_context& io, const std::vector<std::string>& arguments, line_handler on_line);
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process();

  /// SIGKILL: it gets no chance to say anything. Lines that it wrote before are still handed out.
  void kill();
  /// False once it has closed its output, which it does when it ends.
  bool running() const noexcept { return output_->pipe.is_open(); }
  /// True if it ends by itself with exit code 0 within this time.
  bool finish(std::chrono::milliseconds longest);

private:
  /// What a read that is under way needs, for it can outlive the process object.
  struct output {
    asio::posix::stream_descriptor pipe;
    std::string text = {};
    line_handler on_line;
  };
  static void read(const std::shared_ptr<output>& from);

  asio::io_context& io_;
  std::shared_ptr<output> output_;
  ::pid_t id_ = -1; // -1 once it was waited for
};

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_PROCESS_HPP
