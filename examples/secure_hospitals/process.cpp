// SPDX-License-Identifier: MIT
#include "process.hpp"

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/read_until.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frames.hpp"

extern char** environ;

namespace secure_hospitals {
namespace {

constexpr std::size_t longest_line = 1 << 16;

[[noreturn]] void fail(int reason, const char* what) { throw std::system_error(reason, std::generic_category(), what); }

/// Starts this program with its output into a pipe.
::pid_t spawn(const std::vector<std::string>& arguments, int output) {
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  ::posix_spawn_file_actions_t files;
  if (const int failed = ::posix_spawn_file_actions_init(&files); failed != 0) fail(failed, "posix_spawn");
  ::pid_t id = -1;
  int failed = ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (failed == 0) failed = ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  if (failed == 0) failed = ::posix_spawn(&id, argv[0], &files, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (failed != 0) fail(failed, argv[0]);
  return id;
}

} // namespace

process::process(asio::io_context& io, const std::vector<std::string>& arguments, line_handler on_line)
    : io_(io), output_(new output{asio::posix::stream_descriptor(io), {}, std::move(on_line)}) {
  int ends[2];
  if (::pipe(ends) != 0) fail(errno, "pipe");
  // No other child may hold an end: it would keep the pipe open.
  for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  output_->pipe.assign(ends[0]);
  try {
    id_ = spawn(arguments, ends[1]);
  } catch (...) {
    ::close(ends[1]);
    throw;
  }
  ::close(ends[1]);
  read(output_);
}

process::~process() {
  output_->on_line = nullptr;
  kill();
  std::error_code ignored;
  output_->pipe.close(ignored);
}

void process::read(const std::shared_ptr<output>& from) {
  asio::async_read_until(from->pipe, asio::dynamic_buffer(from->text, longest_line), '\n',
                         [from](std::error_code failed, std::size_t size) {
                           if (failed) {
                             from->pipe.close(failed);
                             return;
                           }
                           const std::string line = from->text.substr(0, size - 1);
                           from->text.erase(0, size);
                           if (from->on_line) from->on_line(line);
                           read(from);
                         });
}

void process::kill() {
  if (id_ < 0) return;
  ::kill(id_, SIGKILL);
  while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
  id_ = -1;
  // What it wrote, and then the end.
  if (output_->on_line) run_until(io_, std::chrono::seconds(10), [this] { return !output_->pipe.is_open(); });
}

bool process::finish(std::chrono::milliseconds longest) {
  int status = -1;
  const auto end = std::chrono::steady_clock::now() + longest;
  while (id_ >= 0 && std::chrono::steady_clock::now() < end) {
    if (::waitpid(id_, &status, WNOHANG) == id_)
      id_ = -1;
    else
      run_until(io_, std::chrono::milliseconds(5), [] { return false; });
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace secure_hospitals
