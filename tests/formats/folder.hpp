// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_FORMATS_FOLDER_HPP
#define FEDAGG_TESTS_FORMATS_FOLDER_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include <unistd.h>

/// An empty folder that goes away with everything in it.
class folder {
public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "fedagg-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    std::filesystem::permissions(path_, std::filesystem::perms(0777));
  }
  ~folder() { std::filesystem::remove_all(path_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

private:
  std::filesystem::path path_;
};

/// Runs with the rights of nobody, which root can take on; false if the tests run as someone who cannot.
class unprivileged {
public:
  unprivileged() : changed_(::geteuid() == 0 && ::seteuid(65534) == 0) {}
  ~unprivileged() {
    if (changed_ && ::seteuid(0) != 0) std::abort();
  }
  unprivileged(const unprivileged&) = delete;
  unprivileged& operator=(const unprivileged&) = delete;
  bool ok() const { return ::geteuid() != 0; }

private:
  bool changed_;
};

inline void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

inline std::string get(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

/// A safetensors file by hand: the length of the header, the header, and `data` bytes that count from 1.
inline std::string raw(const std::string& header, std::size_t data = 0) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  file += header;
  for (std::size_t k = 0; k < data; ++k) file += static_cast<char>(k + 1);
  return file;
}

#endif // FEDAGG_TESTS_FORMATS_FOLDER_HPP
