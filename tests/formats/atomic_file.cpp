// SPDX-License-Identifier: MIT
#include <csignal>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fedagg/formats/io/atomic_file.hpp>

#include "formats/folder.hpp"
#include "support/catch.hpp"

using fedagg::atomic_file;
using fedagg::errc;
using fedagg::file_error;

namespace {

unsigned mode_of(const std::string& path) {
  struct stat about = {};
  return ::stat(path.c_str(), &about) == 0 ? about.st_mode & 07777 : 0;
}

/// Whether files have a temporary name here while they are written.
bool with_names([[maybe_unused]] const folder& here) {
#if defined(O_TMPFILE) && !defined(FEDAGG_NO_TMPFILE)
  const int descriptor = ::open(here.path().c_str(), O_RDWR | O_TMPFILE, 0600);
  if (descriptor >= 0) ::close(descriptor);
  return descriptor < 0;
#else
  return true;
#endif
}

} // namespace

TEST_CASE("the file appears on commit, and is complete") {
  folder here;
  file_error error;
  atomic_file file;
  REQUIRE(atomic_file::try_create(here / "f", 10'000, file, error) == errc::ok);
  CHECK_FALSE(std::filesystem::exists(here / "f"));
  REQUIRE(file.bytes().size() == 10'000);
  CHECK(file.bytes()[9'999] == std::byte{0});
  std::memset(file.bytes().data(), 'x', 10'000);
  REQUIRE(file.try_commit(error) == errc::ok);
  CHECK(file.bytes().empty());
  CHECK(get(here / "f") == std::string(10'000, 'x'));
  CHECK(here.entries() == 1);
  CHECK(file.try_commit(error) == errc::bad_parameter);
}

TEST_CASE("without a commit the old file stays and the temporary goes") {
  folder here;
  file_error error;
  put(here / "f", "old");
  {
    atomic_file file;
    REQUIRE(atomic_file::try_create(here / "f", 3, file, error) == errc::ok);
    std::memcpy(file.bytes().data(), "new", 3);
    CHECK(here.entries() == (with_names(here) ? 2 : 1));
    CHECK(get(here / "f") == "old");
    atomic_file moved = std::move(file);
    CHECK(moved.bytes().size() == 3);
    CHECK(file.bytes().empty());
  }
  CHECK(get(here / "f") == "old");
  CHECK(here.entries() == 1);
}

TEST_CASE("a map of the old file is not disturbed by the new one") {
  folder here;
  file_error error;
  put(here / "f", "old");
  std::ifstream reader(here / "f");
  atomic_file file;
  REQUIRE(atomic_file::try_create(here / "f", 3, file, error) == errc::ok);
  std::memcpy(file.bytes().data(), "new", 3);
  REQUIRE(file.try_commit(error) == errc::ok);
  std::string word;
  reader >> word;
  CHECK(word == "old");
  CHECK(get(here / "f") == "new");
}

TEST_CASE("permissions are a new file's, or those of the file that is replaced") {
  folder here;
  file_error error;
  atomic_file file;
  const auto mask = ::umask(027);
  CHECK(atomic_file::try_create(here / "f", 1, file, error) == errc::ok);
  CHECK(file.try_commit(error) == errc::ok);
  ::umask(mask);
  CHECK(mode_of(here / "f") == 0640);
  for (const ::mode_t mode : {0600u, 0664u, 0444u}) {
    REQUIRE(::chmod((here / "f").c_str(), mode) == 0);
    REQUIRE(atomic_file::try_create(here / "f", 1, file, error) == errc::ok);
    REQUIRE(file.try_commit(error) == errc::ok);
    CHECK(mode_of(here / "f") == mode);
  }
}

TEST_CASE("a symbolic link stays one, and its target is replaced") {
  folder here;
  file_error error;
  atomic_file file;
  std::filesystem::create_directory(here / "deep");
  put(here / "deep/real", "old");
  std::filesystem::create_symlink("deep/real", here / "link");
  REQUIRE(atomic_file::try_create(here / "link", 3, file, error) == errc::ok);
  std::memcpy(file.bytes().data(), "new", 3);
  REQUIRE(file.try_commit(error) == errc::ok);
  CHECK(std::filesystem::is_symlink(here / "link"));
  CHECK(get(here / "deep/real") == "new");
}

TEST_CASE("a relative name without a folder is beside the working directory's files") {
  folder here;
  file_error error;
  atomic_file file;
  const auto back = std::filesystem::current_path();
  std::filesystem::current_path(here.path());
  CHECK(atomic_file::try_create("plain", 1, file, error) == errc::ok);
  CHECK(file.try_commit(error) == errc::ok);
  std::filesystem::current_path(back);
  CHECK(std::filesystem::exists(here / "plain"));
}

TEST_CASE("what cannot be written is refused at once, names the file and leaves nothing") {
  folder here;
  file_error error;
  atomic_file file;
  const auto refused = [&](const std::string& path, errc code) {
    INFO(path);
    const std::size_t before = here.entries();
    CHECK(atomic_file::try_create(path, 100, file, error) == code);
    CHECK(file.bytes().empty());
    CHECK_THAT(error.text(), Catch::Contains(path.substr(path.size() - std::min<std::size_t>(path.size(), 150))));
    CHECK(here.entries() == before);
  };
  put(here / "old", "old");
  REQUIRE(::mkfifo((here / "pipe").c_str(), 0666) == 0);
  refused("", errc::bad_parameter);
  refused(here / "x/", errc::bad_parameter);
  refused(here.path(), errc::file_io);
  refused(here / "pipe", errc::file_io);
  refused("/dev/null", errc::file_io);
  refused(here / "absent/f", errc::file_not_found);
  refused(here / "old/f", errc::file_not_found);
  refused(here / std::string(300, 'x'), errc::file_io);
  CHECK(atomic_file::try_create(here / "f", 0, file, error) == errc::bad_parameter);
  CHECK(atomic_file::try_create(here / "f", SIZE_MAX, file, error) == errc::bad_parameter);
  // The longest name a file can have leaves no room to add to it.
  REQUIRE(atomic_file::try_create(here / std::string(255, 'x'), 1, file, error) == errc::ok);
  REQUIRE(file.try_commit(error) == errc::ok);

  REQUIRE(::chmod(here.path().c_str(), 0555) == 0);
  {
    const unprivileged nobody;
    if (nobody.ok())
      refused(here / "f", errc::file_io);
    else
      WARN("cannot drop root's rights: not tested");
  }
  ::chmod(here.path().c_str(), 0777);
  CHECK(get(here / "old") == "old");
}

TEST_CASE("no room for the bytes is an error before the first one is written") {
  folder here;
  put(here / "f", "old");
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  rlimit small = limit;
  small.rlim_cur = 4096;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  file_error error;
  atomic_file file;
  const errc code = atomic_file::try_create(here / "f", 1 << 20, file, error);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  CHECK(code == errc::file_io);
  CHECK_THAT(error.text(), Catch::Contains("cannot reserve"));
  CHECK(get(here / "f") == "old");
  CHECK(here.entries() == 1);
}

TEST_CASE("a process that is killed leaves the old file, and nothing else where files need no name") {
  folder here;
  put(here / "f", "old");
  const ::pid_t child = ::fork();
  if (child == 0) {
    file_error error;
    atomic_file file;
    if (atomic_file::try_create(here / "f", 3, file, error) != errc::ok) ::_exit(1);
    std::memcpy(file.bytes().data(), "new", 3);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  CHECK(get(here / "f") == "old");
  CHECK(here.entries() == (with_names(here) ? 2 : 1));
}

TEST_CASE("many files are written at once in one folder") {
  folder here;
  file_error error;
  std::vector<atomic_file> files(12);
  for (std::size_t k = 0; k < files.size(); ++k) {
    REQUIRE(atomic_file::try_create(here / std::to_string(k), 1, files[k], error) == errc::ok);
    files[k].bytes()[0] = static_cast<std::byte>('0' + k);
  }
  for (atomic_file& file : files) REQUIRE(file.try_commit(error) == errc::ok);
  CHECK(here.entries() == files.size());
  for (std::size_t k = 0; k < files.size(); ++k)
    CHECK(get(here / std::to_string(k)) == std::string(1, static_cast<char>('0' + k)));
}

TEST_CASE("a rename that fails leaves the old file and no temporary") {
  folder here;
  file_error error;
  atomic_file file;
  REQUIRE(atomic_file::try_create(here / "f", 3, file, error) == errc::ok);
  std::filesystem::create_directory(here / "f");
  CHECK(file.try_commit(error) == errc::file_io);
  CHECK_THAT(error.text(), Catch::Contains(here / "f"));
  CHECK(std::filesystem::is_directory(here / "f"));
  CHECK(here.entries() == 1);
}
